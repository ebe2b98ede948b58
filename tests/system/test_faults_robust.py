"""Every damaged and odd video, played as a camera: the worker is not disturbed, every frame is accounted for."""

import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import av
import pytest

from tests.system.faults.oracle import judge_frames, judge_journal, read_books
from tests.system.processes import BOWAM, wait_for
from tests.system.test_media import UNREADABLE

pytestmark = [pytest.mark.system, pytest.mark.media, pytest.mark.slow]

PLAY_S = 8.0  # then it is asked to end: most of them are shorter
AT_ONCE = 3
LONG_S = 3.0  # shorter ones may be over before the worker's connection stands


def length_s(video: Path) -> float:
    """As the file states it."""
    with av.open(str(video)) as container:
        return (container.duration or 0) / av.time_base


def play(video: Path, number: int, endpoint: str) -> tuple[str, int, str]:
    """Its name, how the capture ended, and what it said."""
    options = ("--camera", f"robust{number}", "--frames", endpoint, "--metrics-port", "0")
    process = subprocess.Popen(
        [*BOWAM, "capture", "--as-live", *options, str(video)], stderr=subprocess.PIPE, text=True
    )
    try:
        wait_for(lambda: Path(endpoint.removeprefix("ipc://")).exists() or process.poll() is not None, 60)
        process.wait(60 if video.name in UNREADABLE else PLAY_S)
    except subprocess.TimeoutExpired:
        process.terminate()
    return video.name, process.wait(30), process.communicate()[1]


def test_no_video_played_as_a_camera_disturbs_the_worker(start: Callable, media: Path, tmp_path: Path) -> None:
    """Each ends well, or in one line where it holds no picture; the books of all sessions agree."""
    videos = sorted(path for path in (media / "robust").rglob("*") if path.is_file())
    endpoints = [f"ipc://{tmp_path}/{number}" for number in range(len(videos))]
    frames = [word for endpoint in endpoints for word in ("--frames", endpoint)]
    journal = tmp_path / "journal.sqlite"
    ports = ("--endpoint", f"ipc://{tmp_path}/e", "--journal-endpoint", f"ipc://{tmp_path}/j", "--metrics-port", 0)
    worker = start("worker", *frames, *ports, "--journal", journal)
    wait_for(lambda: (tmp_path / "j").exists())
    with ThreadPoolExecutor(AT_ONCE) as pool:
        ended = list(pool.map(play, videos, range(len(videos)), endpoints))
    for name, status, errors in ended:
        lines = [line for line in errors.splitlines() if line.startswith("bowam: ")]
        assert "Traceback" not in errors, errors
        assert (status, len(lines)) == ((1, 1) if name in UNREADABLE else (0, 0)), f"{name}: {status} {errors}"
    assert worker.poll() is None, worker.communicate()[1]
    worker.terminate()
    assert worker.wait(timeout=30) == 0, worker.communicate()[1]
    books = read_books(journal)
    verdict = judge_journal(books)
    verdict.merge(judge_frames(books))
    assert verdict, verdict
    heard = {session["source"] for session in books.sessions}
    long = {video.name for video in videos if video.name not in UNREADABLE and length_s(video) >= LONG_S}
    assert len(long) >= 5
    assert long <= heard, "a camera's first frames find no worker yet, but not all of so many"
    assert not books.open, "a stream that ended left an event open"
