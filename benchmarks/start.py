"""How long starting takes: a help text against what it can't do without, a process until ready, and a first event."""

import subprocess
import sys
import tempfile
import time
import urllib.request
from http import HTTPStatus
from pathlib import Path

from benchmarks.clips import clip
from benchmarks.measure import Row, Spread, in_turn, ratio, report
from benchmarks.processes import COMMAND, Ports, running, until
from bowam_stream.events import subscribe

REPETITIONS = 9
RATE_HZ = 30.0


def ended(*command: str) -> float:
    """Seconds that a process takes from its start to its end."""
    started = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - started


def ready(port: int, *arguments: str | Path) -> float:
    """Seconds from the start of `bowam ARGUMENTS` to its /readyz saying so."""

    def says_so() -> bool:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer:
            return bool(answer.status == HTTPStatus.OK)

    started = time.perf_counter()
    with running(*arguments):
        until(says_so, f"bowam {arguments[0]}")
        return time.perf_counter() - started


def worker(folder: Path) -> float:
    """One start of a worker, to readiness."""
    ports = Ports.free()
    return ready(ports.worker, "worker", "--config", ports.write(folder))


def capture(folder: Path, video: Path) -> float:
    """One start of a capture, to readiness: its models are loaded and a stream is open."""
    ports = Ports.free()
    return ready(ports.capture, "capture", "--as-live", "--config", ports.write(folder), video)


def first_event(video: Path) -> float:
    """Seconds from the start of `bowam live` to its first event in another process, less the video until its apex."""
    ports = Ports.free()
    with tempfile.TemporaryDirectory() as name:  # a journal of its own: an older one has events at once
        return _first_event(video, ports, ports.write(Path(name)))


def _first_event(video: Path, ports: Ports, settings: Path) -> float:
    started = time.perf_counter()
    with running("live", "--source", video, "--config", settings):
        topic, journal = f"tcp://127.0.0.1:{ports.events}", f"tcp://127.0.0.1:{ports.journal}"
        with subscribe(topic, journal=journal, since=0) as events:
            event = events.receive(60.0)
        assert event is not None, "no event came within a minute"
        return time.perf_counter() - started - event.apex.frame / RATE_HZ


def run() -> None:
    python = sys.executable
    with tempfile.TemporaryDirectory() as name:
        video = clip(Path(name), RATE_HZ, 4.0)
        (folder := Path(name) / "moving").mkdir()
        moving = clip(folder, RATE_HZ, 6.0, 1.5)
        bare, bound, helped, worked, captured, told = in_turn(
            lambda: ended(python, "-c", "pass"),
            lambda: ended(python, "-c", "import typer, rich"),
            lambda: ended(*COMMAND, "--help"),
            lambda: worker(Path(name)),
            lambda: capture(Path(name), video),
            lambda: first_event(moving),
            repetitions=REPETITIONS,
        )
        (torch,) = in_turn(lambda: ended(python, "-c", "import torch"), repetitions=5)
    milliseconds = {"python alone": bare, "import typer, rich": bound, "bowam --help": helped}
    report(
        "start",
        [
            Row(
                what="bowam --help over python -c 'import typer, rich'",
                value=ratio(helped, bound),
                unit="x",
                target="<= 1.5",
            ),
            Row(what="worker, start to ready", value=Spread.of(worked), unit="s", target="<= 6"),
            Row(what="capture, start to ready", value=Spread.of(captured), unit="s"),
            Row(
                what="bowam live, start to its first event at a subscriber (less the video until its apex)",
                value=Spread.of(told),
                unit="s",
            ),
            Row(what="python -c 'import torch', most of a worker's start", value=Spread.of(torch), unit="s"),
            *(
                Row(what=what, value=Spread.of([t * 1e3 for t in times]), unit="ms")
                for what, times in milliseconds.items()
            ),
        ],
        f"{REPETITIONS} starts each, in turn; files in the page cache",
    )
