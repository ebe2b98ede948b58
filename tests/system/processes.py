"""What system tests need to know of processes."""

import random
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


def family(pid: int) -> dict[str, int]:
    """The same for a supervisor with many captures: a capture goes by its camera's name."""
    found = {}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            state, parent = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
            words = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
        except (OSError, ValueError):
            continue
        if int(parent) == pid and state != "Z" and "bowam_stream.cli" in words:
            name = next((word.removeprefix("--camera=") for word in words if word.startswith("--camera=")), None)
            found[name or words[words.index("bowam_stream.cli") + 1]] = int(folder.name)
    return found


def alive(pid: int) -> bool:
    """Whether the process runs; one that only waits to be reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def memory_mb(pid: int) -> float:
    """Resident memory of a process; 0 once it is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS")), 0.0)


def wait_for(what: Callable[[], object], seconds: float = 60.0) -> object:
    """The first true answer of `what`; fails after `seconds`."""
    deadline = time.monotonic() + seconds
    while not (answer := what()):
        assert time.monotonic() < deadline, f"{what} did not come true within {seconds} s"
        time.sleep(0.02)
    return answer


def free_port() -> int:
    """A tcp port that nobody holds, below those that the kernel gives to whoever connects: it stays ours."""
    while True:
        port = random.SystemRandom().randrange(10_000, 32_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
