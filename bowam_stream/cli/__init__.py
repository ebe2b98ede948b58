"""The command line: one verb per file. `main` is the doorway and the only place that turns errors into exit statuses.

Exit status 0: done. 1: failed, with one clear line on stderr. 2: wrong usage.
"""

import errno
import io
import os
import signal
import sys
import traceback

from bowam_model.errors import ModelError
from bowam_stream.errors import StreamError
from bowam_stream.pipeline.arguments import hide_ours, without_credentials
from bowam_stream.pipeline.stop import CRASHED, ERROR_PREFIX, FAILED, supervised

INTERRUPTED = 130  # how typer ends on Ctrl-C where no verb took it in hand

OF_THE_MACHINE = {
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some space",
    errno.EROFS: "choose another folder",
    errno.EACCES: "give this user the right, or choose another place",
    errno.EPERM: "give this user the right, or choose another place",
    errno.ENAMETOOLONG: "choose a shorter one",
    errno.ELOOP: "these links lead in a circle; name a file",
    errno.EIO: "check the disk",
    errno.EMFILE: "raise the limit (ulimit -n)",
    errno.ENFILE: "close other programs",
}
"""What the system refuses wherever a file is touched, and what a person does about it. Starting again does not help."""


def main() -> None:
    """Entry point of `bowam`."""
    hide_ours()
    # Before NumPy is loaded. Our matrices are small: threads of OpenBLAS double the cost of the spotter, and how many
    # there are must not depend on the machine, since it changes the last bits.
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    # Like Ctrl-C, so that half-written files go away. A supervised process has written none before it answers SIGTERM
    # itself (StopFlag), and must not be interrupted while PyTorch loads: its C++ would abort with two lines of its own.
    signal.signal(signal.SIGTERM, signal.SIG_DFL if supervised() else signal.default_int_handler)
    from bowam_stream.cli.app import app

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a closed one is None; names need not fit into its encoding
            stream.reconfigure(errors="backslashreplace")
    try:
        app(standalone_mode=True)
    except (StreamError, ModelError) as error:
        fail(str(error), FAILED)
    except SystemExit as ending:
        if ending.code == INTERRUPTED:
            fail("interrupted", FAILED)
        raise
    except Exception as error:
        if advice := OF_THE_MACHINE.get(getattr(error, "errno", None) or 0):  # OSError, ZMQError
            name = getattr(error, "filename", None)
            fail(f"{f'{name}: ' if name else ''}{getattr(error, 'strerror', error)}; {advice}", FAILED)
        if os.environ.get("BOWAM_TRACEBACK"):
            sys.stderr.write(without_credentials(traceback.format_exc()))
            sys.exit(FAILED)
        kind = type(error).__name__
        fail(f"internal error: {kind}: {error} (BOWAM_TRACEBACK=1 shows where)", CRASHED if supervised() else FAILED)


def fail(message: str, status: int) -> None:
    """Say one line on stderr and leave."""
    line = without_credentials(" ".join(message.split()))
    sys.stderr.write(f"{ERROR_PREFIX}{line}\n")
    sys.stderr.flush()
    sys.exit(status)
