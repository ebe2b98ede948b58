"""What a person sees while a run goes on: events as lines on stdout, progress and warnings on stderr."""

import sys
from datetime import datetime
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from bowam_stream.clock import NS_PER_SECOND
from bowam_stream.messages import Event, Moment
from bowam_stream.pipeline.tap import Status

WARNINGS = ("truncated", "damaged", "no_timestamps", "bad_timestamp", "low_frame_rate")
"""What a person should know of a recording before believing its events; the words are those of the report."""


def out() -> Console:
    """Results go here."""
    return Console(highlight=False, soft_wrap=True)


def err() -> Console:
    """Everything else goes here."""
    return Console(stderr=True, highlight=False, soft_wrap=True)


def when(moment: Moment | None) -> str:
    """A moment: of a recording in seconds, of a camera as the time of day here."""
    if moment is None:
        return "-"
    if moment.utc_ns is None:
        return f"{moment.t_ns / NS_PER_SECOND:.3f}"
    return f"{datetime.fromtimestamp(moment.utc_ns / NS_PER_SECOND):%H:%M:%S.%f}"[:-3]


def line(event: Event) -> str:
    """One event in one line: onset, apex and offset, what it was."""
    times = f"{when(event.onset)} | {when(event.apex)} | {when(event.offset)}"
    what: str = event.kind or ""
    if event.label is not None and event.confidence is not None:
        what += f" {event.label} {event.confidence:.2f}"
    if event.phase == "retracted":
        what = f"({event.reason})"
    notes = f"  {', '.join(event.quality)}" if event.quality else ""
    return f"{event.camera}  {event.phase:<11}  {times}  {what}{notes}"


class Rate:
    """Frames per second over the whole run, from the status topic."""

    def __init__(self) -> None:
        self._first: tuple[float, int] | None = None

    def of(self, now_s: float, frames: int) -> float:
        if self._first is None:
            self._first = (now_s, frames)
        past_s, past = self._first
        return (frames - past) / (now_s - past_s) if now_s > past_s else 0.0


class RunProgress:
    """A progress bar over a replay with rate and time left; silent where stderr is no terminal."""

    def __init__(self, title: str) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed:.0f}/{task.total} frames"),
            TextColumn("{task.fields[rate]:.0f}/s"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
            disable=not sys.stderr.isatty(),
        )
        self._task: TaskID = self._progress.add_task(title, total=None, rate=0.0)
        self._rate = Rate()

    def status(self, status: Status) -> None:
        """Move on to where the worker is."""
        self.at(status.frames, status.frames_expected)

    def at(self, frames: int, expected: int | None) -> None:
        """Move on to `frames` of `expected`."""
        rate = self._rate.of(self._progress.get_time(), frames)
        self._progress.update(self._task, completed=frames, total=expected, rate=rate)

    def say(self, text: str) -> None:
        """A line of result, above the bar."""
        if self._progress.disable or not sys.stdout.isatty():
            out().print(text, markup=False)
        else:
            self._progress.console.print(text, markup=False, soft_wrap=True)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()
