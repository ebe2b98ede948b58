"""The commands of docs/operating.md, on the journal of a worker that goes on writing: backup, audit, restore."""

import contextlib
import json
import re
import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.system.processes import BOWAM, wait_for
from tests.system.test_live import Place

PAGE = (Path(__file__).parents[2] / "docs" / "operating.md").read_text()

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(shutil.which("sqlite3") is None, reason="sqlite3 is not installed"),
]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def commands(folder: Path) -> tuple[list[str], list[str]]:
    """Those of the section, for backup and for restore, with this folder's paths and without the service manager."""
    section = PAGE.partition("\n## Backup and restore")[2].partition("\n## ")[0]
    paths = {"/var/lib/bowam": str(folder), "/var/backups": str(folder / "backups")}
    found = []
    for line in re.findall(r"^    (.+)$", section, re.M):
        for there, here in paths.items():
            line = line.replace(there, here)
        found.append(re.sub(r"^bowam ", " ".join(BOWAM) + " ", line))
    restore = found.index("systemctl stop bowam-worker")
    mine = [line for line in found[restore:] if not line.startswith(("systemctl", "chown"))]
    assert len(mine) == 3, mine
    return found[:restore], mine


def events(text: str) -> list[dict]:
    """What a subscriber printed."""
    return [json.loads(line) for line in text.splitlines()]


def test_a_copy_of_a_running_journal_is_sound_and_can_be_restored(
    start: Callable, clip: Path, place: Place, tmp_path: Path
) -> None:
    """No number is missing in it; after the restore a subscriber gets the copy's events, then new ones."""
    (tmp_path / "backups").mkdir()
    journal = tmp_path / "journal.sqlite"
    backup, restore = commands(tmp_path)
    *copies, audit = backup
    place.play(40)
    live = start("live", "--source", clip, "--config", place.file)
    first = place.subscribe(start, "--since", 0, "--timeout", 60, "--count", 6)
    out, errors = first.communicate(timeout=90)
    assert len(events(out)) == 6, errors
    for command in copies:
        (tmp_path / "backups" / "bowam.sqlite").unlink(missing_ok=True)
        subprocess.run(command, shell=True, check=True)
        assert live.poll() is None
        subprocess.run(audit, shell=True, check=True, stdout=subprocess.DEVNULL)
        with contextlib.closing(sqlite3.connect(tmp_path / "backups" / "bowam.sqlite")) as copy:
            assert copy.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            (copied,) = copy.execute("SELECT count(*) FROM events").fetchone()
        assert copied >= 6

    def written() -> int:
        with contextlib.closing(sqlite3.connect(f"file:{journal}?mode=ro", uri=True)) as book:
            return int(book.execute("SELECT max(seq) FROM events").fetchone()[0])

    wait_for(lambda: written() > copied)
    live.terminate()
    live.communicate(timeout=60)
    for command in restore:
        subprocess.run(command, shell=True, check=True)
    assert written() == copied
    start("live", "--source", clip, "--config", place.file)
    again = place.subscribe(start, "--since", 0, "--timeout", 60, "--count", copied + 2)
    seqs = [event["seq"] for event in events(again.communicate(timeout=90)[0])]
    assert seqs == list(range(1, copied + 3))
