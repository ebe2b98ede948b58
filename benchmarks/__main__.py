"""`python -m benchmarks [SUITE ...]`: all suites, or those that are named. See README.md for the contract."""

import importlib
import os
import sys

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # as in every `bowam` process

SUITES = (
    *("capture", "spotter", "motion", "network", "gpu", "worker", "latency", "page", "start"),
    *("spotting", "seams", "scaling", "memory"),
)


def main() -> int:
    options = [word for word in sys.argv[1:] if word.startswith("--")]
    names = [word for word in sys.argv[1:] if word not in options] or SUITES
    unknown = [name for name in names if name not in SUITES]
    if unknown:
        print(f"no suite {', '.join(unknown)}; there are {', '.join(SUITES)}", file=sys.stderr)
        return 2
    if options and (list(names), options) != (["scaling"], ["--overhead"]):
        print(f"{' '.join(options)}: there is one option, scaling --overhead", file=sys.stderr)
        return 2
    for name in names:
        importlib.import_module(f"benchmarks.{name}").run(*options)
    return 0


sys.exit(main())
