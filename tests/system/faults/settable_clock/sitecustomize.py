"""A wall clock that can be set while a process runs: this folder stands on PYTHONPATH, a file says by how many seconds.

The monotonic clock is left alone, as the kernel leaves it when somebody sets the time.
"""

import os
import time
from pathlib import Path

_file = Path(os.environ.get("BOWAM_TEST_CLOCK", "/nonexistent"))
_time_ns = time.time_ns


def _set_time_ns() -> int:
    try:
        shift_s = float(_file.read_text() or 0)
    except (OSError, ValueError):
        shift_s = 0.0
    return _time_ns() + round(shift_s * 1e9)


time.time_ns = _set_time_ns
time.time = lambda: _set_time_ns() / 1e9
