"""How much happened per minute: counts, and rates over the time in which a face was seen."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import msgspec
import numpy as np

from bowam_stream.clock import NS_PER_SECOND
from bowam_stream.messages import Event
from bowam_stream.report.trace import Trace

COUNTED = ("micro", "macro", "blink", "refused")
MINUTE_S, HOUR_S = 60.0, 3600.0
LEAST_FACE_S = 6.0  # a tenth of a minute: with less, one movement would become more than ten per minute
WHOLE_S = 59.5  # a minute that lasted so long is whole: a few frames are missing at its ends


class Minute(msgspec.Struct, frozen=True, kw_only=True):
    """A stretch of the run."""

    start_s: float
    seen_s: float  # of it lies within the recording
    face_s: float  # of it shows a face
    counts: Mapping[str, int]  # by COUNTED

    @property
    def whole(self) -> bool:
        return self.seen_s >= WHOLE_S

    @property
    def face_share(self) -> float:
        return self.face_s / self.seen_s if self.seen_s else 0.0

    def rate(self, what: str, *, per_s: float = MINUTE_S) -> float | None:
        """How many there were per minute (or `per_s`) with a face in view; None: a face was seen too briefly to say."""
        return None if self.face_s < LEAST_FACE_S else self.counts[what] * per_s / self.face_s


class Bar(msgspec.Struct, frozen=True, kw_only=True):
    """One minute in the chart, in units of an SVG that is one unit wide per minute and 100 high."""

    x: float
    width: float
    height: float
    partly: bool  # the minute is not whole, or a face was seen in part of it: scaled up
    text: str


class Lane(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the chart."""

    what: str  # one of COUNTED, or "face"
    top: float  # what the full height means: per minute
    bars: tuple[Bar, ...]


def minutes(trace: Trace, events: Iterable[Event]) -> tuple[Minute, ...]:
    """The run by minutes of its own time. A movement counts where it begins; refused are those taken back and those
    that were never announced."""
    if not trace.frames:
        return ()
    first = int(trace.t_s[0] // MINUTE_S)
    number = int(trace.t_s[-1] // MINUTE_S) - first + 1
    where = (trace.t_s // MINUTE_S).astype(np.int64) - first
    lasting_s = trace.lasting_s
    seen_s = np.bincount(where, lasting_s, number)
    face_s = np.bincount(where, lasting_s * trace.with_face, number)
    counts: list[Counter[str]] = [Counter() for _ in range(number)]
    for what, start_s in _movements(trace, events):
        counts[min(max(int(start_s // MINUTE_S) - first, 0), number - 1)][what] += 1
    return tuple(
        Minute(
            start_s=(first + i) * MINUTE_S,
            seen_s=float(seen_s[i]),
            face_s=float(face_s[i]),
            counts={what: counts[i][what] for what in COUNTED},
        )
        for i in range(number)
    )


def whole_run(run: Sequence[Minute]) -> Minute:
    """All minutes as one stretch."""
    return Minute(
        start_s=run[0].start_s if run else 0.0,
        seen_s=sum(minute.seen_s for minute in run),
        face_s=sum(minute.face_s for minute in run),
        counts={what: sum(minute.counts[what] for minute in run) for what in COUNTED},
    )


def chart(run: Sequence[Minute]) -> tuple[Lane, ...]:
    """Rates by minute, then how much of each minute shows a face."""
    lanes = []
    for what in COUNTED:
        rates = [minute.rate(what) for minute in run]
        top = max([1.0, *(rate for rate in rates if rate is not None)])
        bars = [
            Bar(
                x=i + 0.1,
                width=0.8,
                height=100.0 * rate / top,
                partly=not minute.whole or minute.face_share < 0.95,
                text=f"minute {i + 1}: {minute.counts[what]}, {rate:.1f} per minute with a face",
            )
            for i, (minute, rate) in enumerate(zip(run, rates, strict=True))
            if rate
        ]
        lanes.append(Lane(what=what, top=top, bars=tuple(bars)))
    faces = [
        Bar(
            x=float(i),
            width=1.0,
            height=100.0 * minute.face_share,
            partly=False,
            text=f"minute {i + 1}: a face in {minute.face_share:.0%} of it",
        )
        for i, minute in enumerate(run)
    ]
    return (*lanes, Lane(what="face", top=1.0, bars=tuple(faces)))


def _movements(trace: Trace, events: Iterable[Event]) -> Iterable[tuple[str, float]]:
    for event in events:
        start_s = event.onset.t_ns / NS_PER_SECOND
        if event.phase == "retracted":
            yield "refused", start_s
        elif event.phase == "final" and event.kind is not None:
            yield event.kind, start_s
    for movement in trace.unannounced:
        yield "refused", movement.start_s
