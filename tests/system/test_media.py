"""Every openly licensed video goes through the real processes: done, or one clear line; no traceback, no hang."""

import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.system.processes import Run

pytestmark = [pytest.mark.system, pytest.mark.media, pytest.mark.slow]

UNREADABLE = {
    "truncated_no_moov.mp4",
    "zero_bytes.mp4",
    "text_renamed.mp4",
    "zero_frames.mp4",
    "video_02_audio_only.mp4",
}


class Outcome:
    """How one replay ended."""

    def __init__(self, bowam: Run, video: Path, out: Path) -> None:
        self.video = video
        self.run = bowam("replay", video, "--events", out, timeout=400)
        self.written = out.exists()
        self.events = [json.loads(line) for line in out.read_bytes().splitlines()] if self.written else []

    def final(self, kind: str) -> list[dict]:
        return [event for event in self.events if event["phase"] == "final" and event["kind"] == kind]


@pytest.fixture(scope="module")
def outcomes(media: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Outcome]:
    """All of them, two at a time."""
    import subprocess

    from tests.system.processes import BOWAM

    def bowam(*arguments: object, timeout: float) -> "subprocess.CompletedProcess[str]":
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        command = [*BOWAM, *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, timeout=timeout, env=environment)

    folder = tmp_path_factory.mktemp("media")
    videos = sorted(path for top in ("videos", "robust") for path in (media / top).rglob("*") if path.is_file())
    assert len(videos) > 30
    with ThreadPoolExecutor(2) as pool:
        done = pool.map(lambda video: Outcome(bowam, video, folder / f"{video.stem}{video.suffix}.jsonl"), videos)
        return {outcome.video.name: outcome for outcome in done}


@pytest.mark.timeout(1500)
def test_every_video_is_replayed_or_refused_in_one_line(outcomes: dict[str, Outcome]) -> None:
    """Exit 0 with events, possibly none; or exit 1 with one line that names the file, and no output."""
    for name, outcome in outcomes.items():
        errors = outcome.run.stderr
        assert "Traceback" not in errors, errors
        assert "internal error" not in errors, errors
        if outcome.run.returncode == 0:
            assert outcome.written, name
            assert all(line.startswith("warning: ") for line in errors.splitlines()), errors
        else:
            assert outcome.run.returncode == 1, name
            assert len(errors.strip().splitlines()) == 1, errors
            assert name in errors
            assert not outcome.written


def test_only_what_holds_no_picture_is_refused(outcomes: dict[str, Outcome]) -> None:
    """Damaged, odd, variable, rotated and cut off: all of it is decoded as far as it goes."""
    assert {name for name, outcome in outcomes.items() if outcome.run.returncode == 1} == UNREADABLE


def test_a_file_that_is_cut_off_says_so(outcomes: dict[str, Outcome]) -> None:
    """Decoded as far as it goes, quality `truncated`."""
    outcome = outcomes["truncated_faststart.mp4"]
    assert "The file is cut off" in outcome.run.stderr
    assert all("truncated" in event["quality"] for event in outcome.events)


def test_no_face_at_all_is_a_warning(outcomes: dict[str, Outcome]) -> None:
    """A cartoon and a crowd in which nobody is found."""
    assert "no face was found" in outcomes["no_face.mp4"].run.stderr


def test_a_smile_is_no_micro_expression(outcomes: dict[str, Outcome]) -> None:
    """single_face.mp4: neutral, a blink, then a smile of two seconds."""
    assert not outcomes["single_face.mp4"].final("micro")


def test_no_event_spans_two_people(outcomes: dict[str, Outcome]) -> None:
    """Cuts at frame 20, at frame 40, and every 75 frames: no movement begins before and ends after one."""
    cuts = {
        "cut_identity_change.mp4": [20],
        "two_people_swap_at_40.mp4": [40],
        "ten_speakers_33s.mp4": range(75, 800, 75),
    }
    for name, frames in cuts.items():
        for event in outcomes[name].events:
            last = (event["offset"] or event["apex"])["frame"]
            assert not any(event["onset"]["frame"] < cut <= last for cut in frames), (name, event)


def test_flicker_and_shaking_are_no_micro_expressions(outcomes: dict[str, Outcome]) -> None:
    """Neutral faces under flickering light and in a shaking picture."""
    for name in ("flicker_neutral.mp4", "shake_neutral.mp4"):
        assert not outcomes[name].final("micro"), name
