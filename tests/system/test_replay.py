"""A recording through the real processes, undisturbed and disturbed."""

import csv
import json
import os
import re
import signal
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.system.processes import Run, alive, children, wait_for

pytestmark = pytest.mark.system


def test_the_same_recording_gives_the_same_bytes_at_any_speed(
    bowam: Run, clip: Path, undisturbed: bytes, tmp_path: Path
) -> None:
    """Replay is reproducible: at full speed, and as it was filmed."""
    for speed in ("max", "1"):
        out = tmp_path / f"{speed}.jsonl"
        run = bowam("replay", clip, "--speed", speed, "--events", out)
        assert run.returncode == 0, run.stderr
        assert out.read_bytes() == undisturbed


def test_every_event_is_closed_exactly_once_and_seq_has_no_gap(undisturbed: bytes) -> None:
    """One provisional, then one final or retracted, under the same id."""
    events = [json.loads(line) for line in undisturbed.splitlines()]
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    provisional = [event["event_id"] for event in events if event["phase"] == "provisional"]
    closing = [event["event_id"] for event in events if event["phase"] != "provisional"]
    assert len(set(provisional)) == len(provisional)
    assert sorted(closing) == sorted(provisional)
    assert all(event["delivery"] is None for event in events)


@pytest.mark.parametrize("victim", ["worker", "capture"])
def test_a_replay_whose_process_is_killed_ends_with_the_same_events(
    start: Callable, clip: Path, undisturbed: bytes, tmp_path: Path, victim: str
) -> None:
    """The supervisor starts it again, and the recording is fed from its first frame."""
    out, journal = tmp_path / "events.jsonl", tmp_path / "journal.sqlite"
    replay = start("replay", clip, "--speed", "1", "--events", out, "--journal", journal)
    wait_for(lambda: replay.poll() is not None or stored(journal))
    os.kill(children(replay.pid)[victim], signal.SIGKILL)
    _, errors = replay.communicate(timeout=120)
    assert replay.returncode == 0, errors
    assert "ended by signal 9; starting it again" in errors
    assert out.read_bytes() == undisturbed


def test_ctrl_c_ends_a_replay_with_one_line_and_keeps_what_was_found(
    start: Callable, clip: Path, undisturbed: bytes, tmp_path: Path
) -> None:
    """Nothing is left behind: no process, no half-written file."""
    out, journal = tmp_path / "events.jsonl", tmp_path / "journal.sqlite"
    replay = start(
        "replay",
        clip,
        "--speed",
        "1",
        "--events",
        out,
        "--journal",
        journal,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    wait_for(lambda: stored(journal))
    processes = children(replay.pid)
    replay.send_signal(signal.SIGINT)
    _, errors = replay.communicate(timeout=60)
    assert replay.returncode == 1
    assert errors.startswith("bowam: interrupted after")
    assert not any(Path(f"/proc/{pid}").exists() for pid in processes.values())
    assert undisturbed.startswith(out.read_bytes().splitlines(keepends=True)[0])
    assert not list(tmp_path.glob("bowam-*"))


def test_a_process_whose_supervisor_is_killed_ends_by_itself(start: Callable, clip: Path, tmp_path: Path) -> None:
    """No orphan keeps a camera or a port."""
    journal = tmp_path / "journal.sqlite"
    replay = start("replay", clip, "--speed", "1", "--journal", journal)
    wait_for(lambda: stored(journal))
    processes = children(replay.pid)
    replay.kill()
    wait_for(lambda: not any(alive(pid) for pid in processes.values()))


def test_a_capture_that_waits_for_a_worker_ends_on_ctrl_c(start: Callable, clip: Path, tmp_path: Path) -> None:
    """Nobody is there to be fed: nothing is lost, and nobody waits for a minute."""
    capture = start("--log-level", "info", "capture", clip, "--frames", f"ipc://{tmp_path}/frames", "--metrics-port", 0)
    wait_for(lambda: (tmp_path / "frames").exists())
    capture.send_signal(signal.SIGINT)
    assert capture.wait(timeout=10) == 0


def test_two_replays_at_once_do_not_meet(start: Callable, clip: Path, undisturbed: bytes, tmp_path: Path) -> None:
    """Private sockets, free ports."""
    outs = [tmp_path / "a.jsonl", tmp_path / "b.jsonl"]
    for run in [start("replay", clip, "--events", out) for out in outs]:
        _, errors = run.communicate(timeout=120)
        assert run.returncode == 0, errors
    assert [out.read_bytes() for out in outs] == [undisturbed, undisturbed]


def test_report_and_overlay_are_written(bowam: Run, clip: Path, tmp_path: Path) -> None:
    """A page that needs nothing from outside, and a video with a picture for every frame."""
    import av

    report, overlay = tmp_path / "report.html", tmp_path / "overlay.mp4"
    run = bowam("replay", clip, "--report", report, "--overlay", overlay)
    assert run.returncode == 0, run.stderr
    page = report.read_text()
    assert "clip.mp4" in page
    markup = re.sub(r"(?s)<script.*?</script>", "", page)
    assert not re.findall(r'(?:src|href)="(?!#|data:|https://doi\.org/)', markup)
    with av.open(str(overlay)) as container:
        assert sum(1 for _ in container.decode(video=0)) == 500


def test_an_explanation_has_every_frame_and_every_event_the_same_in_every_replay(
    bowam: Run, clip: Path, undisturbed: bytes, tmp_path: Path
) -> None:
    """And asking for it changes no event."""
    outs = [tmp_path / "a.csv", tmp_path / "b.csv"]
    for out, speed in zip(outs, ("max", "1"), strict=True):
        events = out.with_suffix(".jsonl")
        run = bowam("replay", clip, "--explain", out, "--events", events, "--speed", speed)
        assert run.returncode == 0, run.stderr
        assert events.read_bytes() == undisturbed
    assert outs[0].read_bytes() == outs[1].read_bytes()
    with outs[0].open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {int(row["frame"]) for row in rows} == set(range(500))
    told = [pair for row in rows for pair in zip(row["event_id"].split(";"), row["phase"].split(";"), strict=True)]
    said = [(event["event_id"], event["phase"]) for event in map(json.loads, undisturbed.splitlines())]
    assert [pair for pair in told if pair[0]] == said
    assert {"rest", "open", "told"} <= {row["state"] for row in rows}


def test_a_stream_without_faces_is_a_warning_not_an_error(bowam: Run, tmp_path: Path) -> None:
    """Nothing was lost: there was nobody."""
    out = tmp_path / "events.jsonl"
    run = bowam("replay", "test://pattern?frames=40&rate=25&size=320x240", "--events", out)
    assert run.returncode == 0
    assert "no face was found" in run.stderr
    assert out.read_bytes() == b""


def stored(journal: Path) -> int:
    """How many events stand in the journal; 0 while there is none."""
    if not journal.exists():
        return 0
    try:
        with sqlite3.connect(f"file:{journal}?mode=ro", uri=True) as reader:
            (count,) = reader.execute("SELECT count(*) FROM events").fetchone()
    except sqlite3.Error:
        return 0
    return int(count)


@pytest.mark.media
def test_as_many_faces_are_followed_as_were_asked_for(bowam: Run, media: Path, tmp_path: Path) -> None:
    """Two people side by side, who change places at frame 40: two tracks without the option, four with it."""
    video = media / "robust" / "two_people_swap_at_40.mp4"
    for options, faces, tracks in ((("--max-faces", "2"), 2, 4), ((), 1, 2)):
        out = tmp_path / f"{faces}.csv"
        run = bowam("replay", video, "--explain", out, *options)
        assert run.returncode == 0, run.stderr
        with out.open(newline="") as file:
            rows = [row for row in csv.DictReader(file) if row["signal"]]
        assert len(rows) == 75 * faces
        assert len({row["face"] for row in rows}) == tracks
