"""The terminal of `bowam live`: events as lines, and under them one line on how each camera is doing."""

import sys
from types import TracebackType
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from bowam_stream.cli.terminal import line, out
from bowam_stream.messages import Event
from bowam_stream.pipeline.tap import Status
from bowam_stream.spotting import SpottingSettings

LOW_RATE_HZ = SpottingSettings().low_rate_hz


class Panel:
    """Prints events on stdout; where that is a terminal, the state of each camera stays below them."""

    def __init__(self) -> None:
        self._cameras: dict[str, Status] = {}
        self._live: Live | None = None
        if sys.stdout.isatty():
            self._live = Live(Text("starting ..."), console=Console(highlight=False), refresh_per_second=4)

    def event(self, event: Event) -> None:
        """Show an event; provisional ones too, so that one sees them become final or withdrawn."""
        (self._live.console if self._live else out()).print(line(event), markup=False, soft_wrap=True)

    def status(self, status: Status) -> None:
        """Show how a camera is doing."""
        self._cameras[status.camera] = status
        if self._live:
            self._live.update(Group(*(Text(describe(status)) for _, status in sorted(self._cameras.items()))))

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()


def describe(status: Status) -> str:
    """One camera in one line, in plain words."""
    face = "face in view" if status.faces else "no face"
    rate = f"{status.effective_hz:.0f} frames/s" if status.effective_hz else "waiting for frames"
    slow = "; too slow for short micro-expressions" if 0 < status.effective_hz < LOW_RATE_HZ else ""
    dropped = f"; {status.dropped} frames dropped" if status.dropped else ""
    return f"{status.camera}: {status.source}, {rate}, {face}{slow}{dropped}"
