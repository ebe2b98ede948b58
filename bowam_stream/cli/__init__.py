"""The command line: one verb per file. `main` is the doorway and the only place that turns errors into exit statuses.

Exit status 0: done. 1: failed, with one clear line on stderr. 2: wrong usage.
"""

import os
import sys

from bowam_model.errors import ModelError
from bowam_stream.errors import StreamError
from bowam_stream.pipeline.supervisor import CRASHED, ERROR_PREFIX, FAILED


def main() -> None:
    """Entry point of `bowam`."""
    # Before NumPy is loaded. Our matrices are small: threads of OpenBLAS double the cost of the spotter, and how many
    # there are must not depend on the machine, since it changes the last bits.
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    from bowam_stream.cli.app import app

    try:
        app(standalone_mode=True)
    except (StreamError, ModelError) as error:
        fail(str(error), FAILED)
    except KeyboardInterrupt:
        fail("interrupted", FAILED)
    except BrokenPipeError:
        # The reader of our output went away (`bowam subscribe | head`): nothing to say, nothing more to flush.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except Exception as error:
        if os.environ.get("BOWAM_TRACEBACK"):
            raise
        kind = type(error).__name__
        from bowam_stream.pipeline.stop import supervised

        fail(f"internal error: {kind}: {error} (BOWAM_TRACEBACK=1 shows where)", CRASHED if supervised() else FAILED)


def fail(message: str, status: int) -> None:
    """Say one line on stderr and leave."""
    line = " ".join(message.split())
    sys.stderr.write(f"{ERROR_PREFIX}{line}\n")
    sys.stderr.flush()
    sys.exit(status)
