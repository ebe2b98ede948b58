"""`python -m benchmarks.spotting tuning [GROUP ...]`: while the spotter is changed."""

import os
import sys
from pathlib import Path

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # as in every `bowam` process


def main() -> int:
    import msgspec

    from benchmarks.spotting import run

    part, *groups = sys.argv[1:] or ["tuning"]
    verdicts = run("test" if part == "test" else "tuning", groups, with_baselines=False)
    if kept := os.environ.get("BOWAM_BENCH_VERDICTS"):
        Path(kept).write_bytes(msgspec.json.encode(verdicts))
    return 0


if __name__ == "__main__":
    sys.exit(main())
