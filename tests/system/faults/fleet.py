"""Our own supervisor over many captures and one worker, where `bowam live` has one of each.

python -m tests.system.faults.fleet PLAN.json          [[name, [argument, ...]], ...]
"""

import json
import logging
import os
import sys
from pathlib import Path

from bowam_stream import logs
from bowam_stream.errors import ProcessFailed
from bowam_stream.pipeline.stop import StopFlag
from bowam_stream.pipeline.supervisor import CAPTURE, Supervisor

POLL_S = 0.1  # as `bowam live` does


def main(plan: Path) -> int:
    logs.configure(os.environ.get("BOWAM_LOG_LEVEL", "info"), "human")
    stop = StopFlag().install()
    try:
        with Supervisor() as supervisor:
            for name, arguments in json.loads(plan.read_text()):
                supervisor.start(name, arguments, again=("--wait",) if name == CAPTURE else ())
            while not stop and supervisor.watch():
                stop.wait(POLL_S)
    except ProcessFailed as error:
        logging.getLogger(__name__).error("gave up: %s", error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
