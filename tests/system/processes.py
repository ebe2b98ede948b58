"""What system tests need to know of processes."""

import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

BOWAM = [sys.executable, "-m", "bowam_stream.cli"]

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def children(pid: int) -> dict[str, int]:
    """The verbs of the `bowam` processes that `pid` started, and their process ids."""
    found = {}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            words = (folder / "cmdline").read_bytes().split(b"\0")
        except (OSError, ValueError):
            continue
        if parent == pid and b"bowam_stream.cli" in words:
            found[words[words.index(b"bowam_stream.cli") + 1].decode()] = int(folder.name)
    return found


def wait_for(what: Callable[[], object], seconds: float = 60.0) -> object:
    """The first true answer of `what`; fails after `seconds`."""
    deadline = time.monotonic() + seconds
    while not (answer := what()):
        assert time.monotonic() < deadline, f"{what} did not come true within {seconds} s"
        time.sleep(0.02)
    return answer


def free_port() -> int:
    """A tcp port that nobody holds."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
