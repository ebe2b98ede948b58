"""How a camera is doing, in plain words."""

import msgspec

from bowam_stream.clock import NS_PER_SECOND
from bowam_stream.pipeline.tap import Status
from bowam_stream.report.words import QUALITY, STATES, plain
from bowam_stream.spotting import SpottingSettings

SILENT_NS = 3 * NS_PER_SECOND  # statuses come once a second and more often
LATE_MS = 500.0
DROPPING_NS = 10 * NS_PER_SECOND  # how long a drop is spoken of
NOTHING = "–"


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """What the page says of a camera now."""

    rate: str
    dropped: str
    age: str
    faces: str
    source: str
    warnings: tuple[str, ...]  # sentences; the worst first


def health(status: Status | None, settings: SpottingSettings, *, silent_ns: int | None, dropping: bool) -> Health:
    """`silent_ns`: since the last status, None before the first; `dropping`: frames were dropped lately."""
    if status is None:
        words = () if silent_ns is None else (_gone(silent_ns),)
        return Health(rate=NOTHING, dropped=NOTHING, age=NOTHING, faces=NOTHING, source="", warnings=words)
    return Health(
        rate=f"{status.effective_hz:.1f} /s" if status.effective_hz else NOTHING,
        dropped=f"{status.dropped:,}",
        age=NOTHING if status.age_ms is None else f"{status.age_ms:.0f} ms",
        faces=str(status.faces),
        source=status.source,
        warnings=tuple(_warnings(status, settings, silent_ns=silent_ns, dropping=dropping)),
    )


def _warnings(status: Status, settings: SpottingSettings, *, silent_ns: int | None, dropping: bool) -> list[str]:
    if status.ended:
        return ["The camera has ended."]
    if silent_ns is not None and silent_ns > SILENT_NS:
        return [_gone(silent_ns)]
    found = []
    rate_hz = status.effective_hz
    if 0 < rate_hz < settings.min_rate_hz:
        found.append(
            f"Too slow for micro-expressions: {rate_hz:.1f} frames per second, and {settings.min_rate_hz:.0f} are "
            "the least."
        )
    elif 0 < rate_hz < settings.low_rate_hz:
        found.append(f"{rate_hz:.0f} frames per second: short movements may be missed; 60 are better.")
    if status.faces == 0:
        found.append("No face in the picture.")
    if dropping:
        found.append("Frames are being dropped: the machine, or the line, is too slow.")
    if status.age_ms is not None and status.age_ms > LATE_MS:
        found.append(f"Late: what you see happened {status.age_ms / 1000:.1f} s ago.")
    said_already = ("low_frame_rate",)
    return found + [plain(word, QUALITY) for word in status.quality if word not in said_already]


def _gone(silent_ns: int) -> str:
    return f"Nothing heard from the worker for {silent_ns / NS_PER_SECOND:.0f} s: waiting for it."


def state_words(state: str) -> str:
    """The spotter's state."""
    return plain(state, STATES) if state else "nothing to see"


class Drops:
    """Remembers when frames were dropped last."""

    def __init__(self) -> None:
        self._count: int | None = None
        self._at_ns = -DROPPING_NS

    def note(self, dropped: int, now_ns: int) -> None:
        """What a status says."""
        if self._count is not None and dropped > self._count:
            self._at_ns = now_ns
        self._count = dropped

    def lately(self, now_ns: int) -> bool:
        """Within the last seconds."""
        return now_ns - self._at_ns < DROPPING_NS
