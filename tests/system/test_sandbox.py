"""Capture and worker run as the units and images run them: without rights, with nothing to write but one folder."""

import contextlib
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.system import sandbox
from tests.system.processes import BOWAM, wait_for
from tests.system.test_live import Place

UNITS = Path(__file__).parents[2] / "deploy" / "systemd"

needs_tools = [tool for tool in ("unshare", "systemd-analyze") if shutil.which(tool) is None]
pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can give up its rights"),
    pytest.mark.skipif(bool(needs_tools), reason=f"not installed: {', '.join(needs_tools)}"),
]


class Box(Place):
    """The one folder that can be written to; stands for /run/bowam, /var/lib/bowam and /tmp."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.folder = folder
        self._paths = {
            "/opt/bowam/.venv/bin/bowam": " ".join(BOWAM),
            "/etc/bowam/bowam.toml": f"{folder}/bowam.toml",
            **dict.fromkeys(("/run/bowam", "/var/lib/bowam"), str(folder)),
            "%i": "cam0",
            "${METRICS_PORT}": str(self.capture),
        }
        example = (UNITS / "bowam.toml").read_text()
        ports = {"5556": self.events, "5557": self.journal, "9102": self.worker}
        self.file.write_text(self.here(re.sub("|".join(ports), lambda port: str(ports[port[0]]), example)))

    def here(self, text: str) -> str:
        """The same in this folder."""
        for there, here in self._paths.items():
            text = text.replace(there, here)
        return text

    def start(self, unit: str, *more: str, **environment: str) -> "subprocess.Popen[str]":
        """The command of a unit, behind its walls."""
        (command,) = sandbox.settings(UNITS / unit, "ExecStart")
        inside = [sys.executable, sandbox.__file__, str(UNITS / unit), str(self.folder)]
        stated = " ".join(sandbox.settings(UNITS / unit, "Environment")).replace("=/tmp", f"={self.folder}")
        outside = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
        outside |= dict(word.split("=", 1) for word in self.here(stated).split())
        with (self.folder / "log").open("a") as log:
            return subprocess.Popen(
                ["unshare", "--mount", *inside, *self.here(command).split(), *more],
                env={**outside, "TMPDIR": str(self.folder), **environment},
                stdout=subprocess.DEVNULL,
                stderr=log,
                text=True,
            )


@pytest.fixture
def box() -> Iterator[Box]:
    with tempfile.TemporaryDirectory(prefix="bowam-box-") as name:
        os.chown(name, sandbox.USER, sandbox.USER)
        yield Box(Path(name))


def test_the_walls_stand(box: Box) -> None:
    """Root is given up, nothing else can be written, and a forbidden system call fails."""
    inside = [sys.executable, sandbox.__file__, str(UNITS / "bowam-worker.service"), str(box.folder)]
    questions = (
        "import os, pathlib\n"
        "print(os.getuid())\n"
        f"for path in ('/tmp/x', '/etc/x', '/dev/shm/x', {str(Path(__file__).parent / 'x')!r}, '{box.folder}/x'):\n"
        "    try: print(pathlib.Path(path).write_text('x'))\n"
        "    except OSError as error: print(error.strerror)\n"
        "try: os.sched_setaffinity(0, [0])\n"
        "except OSError as error: print(error.strerror)\n"
    )
    done = subprocess.run(
        ["unshare", "--mount", *inside, sys.executable, "-c", questions], capture_output=True, text=True
    )
    said = [str(sandbox.USER), *["Read-only file system"] * 4, "1", "Operation not permitted"]
    assert done.stdout.splitlines() == said, done.stderr


def test_the_units_commands_serve_behind_their_walls(box: Box, clip: Path, start: Callable) -> None:
    """The lines of the units with the example settings: frames through /run/bowam, events in the journal."""
    shutil.copy(clip, box.folder / "clip.mp4")
    worker = box.start("bowam-worker.service")
    processes = [worker]
    try:
        assert wait_for(lambda: worker.poll() is not None or box.get(box.worker, "/readyz")[0] == 200)
        assert worker.poll() is None, (box.folder / "log").read_text()
        source = {"BOWAM_SOURCE": f"{box.folder}/clip.mp4"}
        processes.append(box.start("bowam-capture@.service", "--as-live", "--loops", "3", **source))
        subscriber = box.subscribe(start, "--since", 0, "--timeout", 60, "--count", 3)
        out, errors = subscriber.communicate(timeout=90)
        assert len(out.splitlines()) == 3, errors + (box.folder / "log").read_text()
        assert all(Path(f"/proc/{process.pid}/status").read_text().split("Uid:")[1].split()[0] == str(sandbox.USER)
                   for process in processes)  # fmt: skip
    finally:
        for process in processes:
            process.kill()
            process.wait()
    with contextlib.closing(sqlite3.connect(box.folder / "journal.sqlite")) as journal:
        assert journal.execute("SELECT count(*) FROM events").fetchone()[0] >= 3
    lines = (box.folder / "log").read_text().splitlines()
    records = [json.loads(line) for line in lines if line.startswith("{")]  # libraries in C++ write plain ones
    named = [record for record in records if "camera" in record]
    assert {record["logger"].rpartition(".")[2] for record in named} >= {"capturing", "working"}
    assert {record["camera"] for record in named} == {"cam0"}
    assert any(record.get("session") for record in named)
