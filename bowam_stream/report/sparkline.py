"""The signal around one event, in full resolution, as the paths of a small SVG."""

import msgspec
import numpy as np

from bowam_stream.clock import NS_PER_SECOND
from bowam_stream.messages import Event
from bowam_stream.report.trace import Trace, thinned

WIDTH, HEIGHT = 300, 84  # units of the SVG
POINTS = 200  # of the signal, at most: 1.5 s at 130 frames per second; faster ones keep their peaks
AROUND_S = 0.5  # shown before the onset and after the offset


class Sparkline(msgspec.Struct, frozen=True, kw_only=True):
    """Paths and places, in units of the SVG."""

    signal: str
    threshold: str
    onset: float
    apex: float
    offset: float
    start_s: float
    end_s: float


def sparkline(trace: Trace, event: Event, *, points: int = POINTS) -> Sparkline | None:
    """The signal of the event's face; None where there is none. What was refused before its end ends at its apex."""
    rows = trace.series.get(event.face)
    if rows is None:
        return None
    moments = (event.onset, event.apex, event.offset or event.apex)
    onset, apex, offset = (moment.t_ns / NS_PER_SECOND for moment in moments)
    start, end = onset - AROUND_S, offset + AROUND_S
    near = rows.between(start, end)
    signal, threshold = near.signal, near.threshold
    if not np.isfinite(signal).any():
        return None
    top = 1.1 * max(np.nanmax(signal), np.nanmax(threshold) if np.isfinite(threshold).any() else 0.0, 1e-6)

    def x(time_s: float) -> float:
        return round((time_s - start) / (end - start) * WIDTH, 1)

    def path(t_s: np.ndarray, values: np.ndarray) -> str:
        pixels = [f"{x(t):g} {round(HEIGHT * (1 - v / top), 1):g}" for t, v in zip(t_s, values, strict=True)]
        return "M" + "L".join(pixels) if pixels else ""

    return Sparkline(
        signal=path(*thinned(near.t_s, signal, bins=points // 2, gap_s=float("inf"))),
        threshold=path(*_corners(near.t_s, threshold)),
        onset=x(onset),
        apex=x(apex),
        offset=x(offset),
        start_s=start,
        end_s=end,
    )


def _corners(t_s: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Only the points of a line that rarely changes at which it bends, and its ends."""
    finite = np.isfinite(values)
    t_s, values = t_s[finite], values[finite]
    bends = np.diff(values) != 0
    kept = np.concatenate([bends, [True]]) | np.concatenate([[True], bends]) if len(values) else finite[:0]
    return t_s[kept], values[kept]
