"""The spotter's trace of a whole run, compact enough to hold in memory: some 40 bytes per frame and face."""

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator

import msgspec
import numpy as np

from bowam_stream.clock import NS_PER_SECOND
from bowam_stream.report.record import FrameRecord


class Series(msgspec.Struct, frozen=True, kw_only=True):
    """The signal of one face; each float64 (frames with this face,), NaN where there is none."""

    t_s: np.ndarray
    signal: np.ndarray
    threshold: np.ndarray

    def between(self, start_s: float, end_s: float) -> "Series":
        """The rows of a span of time."""
        first, last = np.searchsorted(self.t_s, (start_s, end_s))
        part = slice(first, last)
        return Series(t_s=self.t_s[part], signal=self.signal[part], threshold=self.threshold[part])


class StateSpan(msgspec.Struct, frozen=True, kw_only=True):
    """How long the spotter was in one state over one face."""

    face: int
    state: str
    start_s: float
    end_s: float


class Unannounced(msgspec.Struct, frozen=True, kw_only=True):
    """A movement that was measured and never announced."""

    face: int
    reason: str
    start_s: float  # when it was first followed, a little after its onset
    end_s: float
    peak: float  # of the signal in between, in units of this face's noise at rest


class Trace(msgspec.Struct, frozen=True, kw_only=True):
    """A run as its record tells it."""

    t_s: np.ndarray  # float64 (frames,)
    with_face: np.ndarray  # bool (frames,)
    rate_hz: float | None  # measured: from the median time between two frames
    series: dict[int, Series]  # by face
    states: tuple[StateSpan, ...]
    unannounced: tuple[Unannounced, ...]  # in the order in which they ended

    @property
    def frames(self) -> int:
        return len(self.t_s)

    @property
    def frames_with_face(self) -> int:
        return int(np.count_nonzero(self.with_face))

    @property
    def end_s(self) -> float:
        """Time of the last frame."""
        return float(self.t_s[-1]) if len(self.t_s) else 0.0

    @property
    def lasting_s(self) -> np.ndarray:
        """How long each frame stands for: float64 (frames,), until the next one, but no longer than a gap."""
        if not len(self.t_s):
            return np.empty(0)
        return np.minimum(np.diff(self.t_s, append=self.t_s[-1] + 1.0 / (self.rate_hz or 30.0)), self.gap_s)

    @property
    def gap_s(self) -> float:
        """Rows of a face further apart than this are not joined by a line."""
        return max(2.5 / (self.rate_hz or 30.0), 0.05)


def read_trace(records: Iterable[FrameRecord]) -> Trace:
    """Read a record from its first frame to its last."""
    times, with_face, states = array("d"), array("b"), _States()
    columns: dict[int, tuple[array[float], array[float], array[float]]] = {}
    unannounced: list[Unannounced] = []
    for record in records:
        t_s = record.t_ns / NS_PER_SECOND
        times.append(t_s)
        with_face.append(any(face.transform is not None for face in record.faces))
        for face in record.faces:
            values = columns.setdefault(face.track, (array("d"), array("d"), array("d")))
            values[0].append(t_s)
            values[1].append(np.nan if face.signal is None else face.signal)
            values[2].append(np.nan if face.threshold is None else face.threshold)
            followed = states.push(face.track, face.state, t_s)
            if face.refused is not None:
                start_s = followed if followed is not None else t_s
                first = bisect_left(values[0], start_s)
                unannounced.append(
                    Unannounced(
                        face=face.track,
                        reason=face.refused,
                        start_s=start_s,
                        end_s=t_s,
                        peak=_peak(values[1][first:]),
                    )
                )
    period_s = float(np.median(np.diff(times))) if len(times) > 1 else 0.0
    return Trace(
        t_s=np.array(times),
        with_face=np.array(with_face, bool),
        rate_hz=1.0 / period_s if period_s > 0 else None,
        series={
            track: Series(t_s=np.array(t_s), signal=np.array(signal), threshold=np.array(threshold))
            for track, (t_s, signal, threshold) in columns.items()
        },
        states=tuple(states.spans(period_s)),
        unannounced=tuple(unannounced),
    )


def _peak(signal: Iterable[float]) -> float:
    return max((value for value in signal if not np.isnan(value)), default=0.0)


def thinned(t_s: np.ndarray, values: np.ndarray, *, bins: int, gap_s: float) -> tuple[np.ndarray, np.ndarray]:
    """At most about two points per bin, the smallest and the largest, so that no peak is lost; NaN where a gap is.

    Returns times and values, each float64 (points,). A short series comes back as it is, but for its gaps.
    """
    finite = np.isfinite(values)
    t_s, values = t_s[finite], values[finite]
    if not len(t_s):
        return t_s, values
    piece = np.concatenate([[0], np.cumsum(np.diff(t_s) > gap_s)])
    if len(t_s) > 2 * bins:
        bin_of = np.minimum((t_s - t_s[0]) / max(t_s[-1] - t_s[0], 1e-9) * bins, bins - 1).astype(np.int64)
        starts = np.flatnonzero(np.diff(piece * (bins + 1) + bin_of, prepend=-1))
        kept = np.array(sorted(_extremes(values, starts)))
        t_s, values, piece = t_s[kept], values[kept], piece[kept]
    breaks = np.flatnonzero(np.diff(piece)) + 1
    return np.insert(t_s, breaks, t_s[breaks - 1]), np.insert(values, breaks, np.nan)


def _extremes(values: np.ndarray, starts: np.ndarray) -> set[int]:
    found: set[int] = set()
    for start, end in zip(starts, [*starts[1:], len(values)], strict=True):
        found |= {int(start + np.argmin(values[start:end])), int(start + np.argmax(values[start:end]))}
    return found


class _States:
    """Joins equal states of a face into spans."""

    def __init__(self) -> None:
        self._open: dict[int, tuple[str, float, float]] = {}  # face -> state, start, last seen
        self._done: list[StateSpan] = []

    def push(self, face: int, state: str, t_s: float) -> float | None:
        """Returns when the state began that ends here; None: it goes on."""
        last = self._open.get(face)
        if last is not None and last[0] == state:
            self._open[face] = (state, last[1], t_s)
            return None
        self._open[face] = (state, t_s, t_s)
        if last is None:
            return None
        self._done.append(StateSpan(face=face, state=last[0], start_s=last[1], end_s=t_s))
        return last[1]

    def spans(self, period_s: float) -> Iterator[StateSpan]:
        last = (
            StateSpan(face=face, state=state, start_s=start, end_s=seen + period_s)
            for face, (state, start, seen) in self._open.items()
        )
        return iter(sorted([*self._done, *last], key=lambda span: (span.start_s, span.face)))
