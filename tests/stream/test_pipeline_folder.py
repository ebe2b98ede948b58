"""The private folder of a run."""

import tempfile
from pathlib import Path

import pytest

from bowam_stream.pipeline.folder import LOCK, PREFIX, private_folder, sweep


def test_a_folder_is_private_and_gone_afterwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody else can connect to the sockets in it."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with private_folder() as folder:
        assert folder.stat().st_mode & 0o077 == 0
        (folder / "frames").touch()
    assert not folder.exists()


def test_what_a_killed_run_left_is_swept_and_a_run_that_goes_on_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lock tells: the kernel releases that of a process that is gone. Folders of others are none of ours."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    killed, foreign = tmp_path / f"{PREFIX}killed", tmp_path / f"{PREFIX}foreign"
    for folder in (killed, foreign):
        folder.mkdir()
        (folder / "journal.sqlite").touch()
    (killed / LOCK).touch()
    with private_folder() as mine:
        assert not killed.exists()
        assert foreign.exists()
        sweep(tmp_path)
        assert mine.exists()
