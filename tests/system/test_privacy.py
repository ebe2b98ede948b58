"""No picture leaves memory unless it was asked for, and what is kept can be taken away again."""

import json
import os
import re
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.system.processes import Run, wait_for
from tests.system.test_live import Place

pytestmark = pytest.mark.system

PICTURES = (
    b"\x89PNG",
    b"\xff\xd8\xff",
    b"GIF8",
    b"ftyp",
    b"\x1aE\xdf\xa3",
    b"RIFF",
    b"NUMPY",
    b"II*\0",
    b"MM\0*",
    b"PK\3\4",
)
CROP_BYTES = 240 * 240


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.mark.parametrize("consent", ["--no-consent", None])
def test_a_live_run_leaves_a_journal_and_no_picture(
    start: Callable, clip: Path, place: Place, tmp_path: Path, consent: str | None
) -> None:
    """Every file in its folder and its temporary folder is looked into, for as long as it runs."""
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    around = {**os.environ, "TMPDIR": str(temporary)}
    stated = [consent] if consent else []
    place.play(10)
    live = start("live", "--source", clip, "--config", place.file, *stated, cwd=tmp_path, env=around)
    subscriber = place.subscribe(start, "--since", 0, "--timeout", 100, "--count", 2)
    seen: dict[str, bytes] = {}

    def look() -> bool:
        for file in (Path(folder) / name for folder, _, names in os.walk(tmp_path) for name in names):
            try:
                if file.is_file() and file.stat().st_size > len(seen.get(str(file), b"")):
                    seen[str(file)] = file.read_bytes()
            except OSError:  # gone meanwhile
                continue
        return subscriber.poll() is not None

    assert wait_for(look, 120)
    out, errors = subscriber.communicate()
    if live.poll() is None:
        live.send_signal(signal.SIGINT)
    _, said = live.communicate(timeout=30)
    assert live.returncode == 0, said
    look()
    assert "People in view must know" in said, "also where nobody looks at a terminal"
    assert "No picture is stored" in said
    expected = {"--no-consent": False, None: None}[consent]
    assert [json.loads(line)["consent"] for line in out.splitlines()] == [expected] * 2, errors
    assert any("journal.sqlite" in name for name in seen)
    for name, content in seen.items():
        assert not any(mark in content[:64] for mark in PICTURES), name
        assert "journal.sqlite" in name or len(content) < CROP_BYTES, f"{name} could hold a face"
    journal = b"".join(content for name, content in seen.items() if "journal.sqlite" in name)
    assert not re.search(rb"[\x80-\xff]{64}", journal), "text and small numbers only, nothing like pixels"


def test_what_was_seen_is_purged_while_the_worker_runs(start: Callable, bowam: Run, clip: Path, place: Place) -> None:
    """The journal forgets, `seq` does not, and a new subscriber begins behind it."""
    place.play(20)
    start("live", "--source", clip, "--config", place.file)
    first = place.subscribe(start, "--since", 0, "--timeout", 60, "--count", 4)
    out, errors = first.communicate(timeout=120)
    assert [json.loads(line)["seq"] for line in out.splitlines()] == [1, 2, 3, 4], errors
    purged = bowam("journal", "purge", "--older-than", "0s", "--config", place.file)
    assert purged.returncode == 0, purged.stderr
    removed = int(re.fullmatch(r"cam0: (\d+) events removed, .*\n", purged.stdout)[1])  # type: ignore[index]
    assert removed >= 2
    later = place.subscribe(start, "--since", 0, "--timeout", 60, "--count", 3)
    out, errors = later.communicate(timeout=120)
    seqs = [json.loads(line)["seq"] for line in out.splitlines()]
    assert seqs == [removed + 1, removed + 2, removed + 3], errors
