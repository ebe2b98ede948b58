"""`bowam replay` tells one recording from many, refuses what does not fit, and says how far it is."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from bowam_stream.cli import corpus
from bowam_stream.cli.app import app
from bowam_stream.cli.corpus import Progress
from bowam_stream.corpus.run import Standing
from bowam_stream.errors import StreamError


class Cluster:
    """As much of an engine as progress asks for."""

    def nodes(self) -> int:
        return 3


def refusal(*arguments: object) -> str:
    """The one line of an error."""
    result = CliRunner().invoke(app, ["replay", *map(str, arguments)])
    assert isinstance(result.exception, StreamError), result.output
    return str(result.exception)


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    (tmp_path / "videos").mkdir()
    for name in ("a.mp4", "b.mp4"):
        (tmp_path / "videos" / name).write_text("nonsense")
    return tmp_path / "videos"


@pytest.mark.parametrize(
    "options",
    [
        ("--speed", "1"),
        ("--events", "e.jsonl"),
        ("--report", "r.html"),
        ("--overlay", "o.mp4"),
        ("--explain", "x.csv"),
        ("--journal", "j"),
        ("--keep", "k"),
        ("--loops", "2"),
        ("--camera", "door"),
    ],
)
def test_what_is_for_one_recording_is_refused_for_many(videos: Path, tmp_path: Path, options: tuple[str, str]) -> None:
    said = refusal(videos, "--out", tmp_path / "out", *options)
    assert said.startswith(f"{options[0]}")
    assert "is for one recording" in said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "options",
    [
        ("--out", "o"),
        ("--segment-minutes", "0"),
        ("--engine", "ray"),
        ("--address", "a:1"),
        ("--workers", "2"),
        ("--gpus", "1"),
    ],
)
def test_what_is_for_many_is_refused_for_one(videos: Path, options: tuple[str, str]) -> None:
    said = refusal(videos / "a.mp4", *options)
    assert said.startswith(f"{options[0]} is for a corpus")


def test_a_corpus_needs_a_folder_and_one_that_holds_nothing_else(videos: Path) -> None:
    assert "name a folder for what is found: --out FOLDER" in refusal(videos)
    assert "holds other things (a.mp4)" in refusal(videos, "--out", videos)
    (videos / "bowam.toml").write_text("[source]\nloops = 2\n")
    assert "--loops is for one recording" in refusal(videos, "--out", "o", "--config", videos / "bowam.toml")


def test_progress_is_told_by_media_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of what this run did: parts that were there before do not make it faster."""
    now_s = [100.0]
    monkeypatch.setattr(corpus.time, "monotonic", lambda: now_s[0])
    progress = Progress(Cluster())  # type: ignore[arg-type]
    assert progress.text() == "listing"
    progress.standing(Standing(stage="survey", recordings=4, done=1, failed=0))
    assert progress.text() == "surveyed 1 of 4 recordings; 3 nodes"
    common = {"stage": "watch", "recordings": 4, "failed": 1, "parts": 40, "media_s": 36_000.0}
    progress.standing(Standing(**common, done=1, parts_done=10, media_left_s=27_000.0))  # type: ignore[arg-type]
    now_s[0] += 600.0
    progress.standing(Standing(**common, done=2, parts_done=20, media_left_s=18_000.0))  # type: ignore[arg-type]
    assert progress.text() == (
        "2 of 4 recordings, 1 failed; 20 of 40 parts; 15.0 h of video per hour, 20 min left; 3 nodes"
    )
    now_s[0] += 36_000.0
    assert "20 h 20 min left" in progress.text()
