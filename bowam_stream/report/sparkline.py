"""The signal around one event, in full resolution, as the paths of a small SVG."""

import msgspec
import numpy as np

from bowam_stream.clock import NS_PER_SECOND
from bowam_stream.messages import Event
from bowam_stream.report.trace import Trace

WIDTH, HEIGHT = 300.0, 84.0  # units of the SVG
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


def sparkline(trace: Trace, event: Event) -> Sparkline | None:
    """The signal of the event's face; None where there is none, or the event has no end."""
    rows = trace.series.get(event.face)
    if rows is None or event.offset is None:
        return None
    onset, apex, offset = (moment.t_ns / NS_PER_SECOND for moment in (event.onset, event.apex, event.offset))
    start, end = onset - AROUND_S, offset + AROUND_S
    near = rows.between(start, end)
    t_s, signal, threshold = near.t_s, near.signal, near.threshold
    if not np.isfinite(signal).any():
        return None
    top = 1.1 * max(np.nanmax(signal), np.nanmax(threshold) if np.isfinite(threshold).any() else 0.0, 1e-6)

    def x(time_s: float) -> float:
        return round((time_s - start) / (end - start) * WIDTH, 1)

    def path(values: np.ndarray) -> str:
        points = [(x(t), HEIGHT * (1 - v / top)) for t, v in zip(t_s, values, strict=True) if np.isfinite(v)]
        return "M" + "L".join(f"{px:.1f} {py:.1f}" for px, py in points) if points else ""

    return Sparkline(
        signal=path(signal),
        threshold=path(threshold),
        onset=x(onset),
        apex=x(apex),
        offset=x(offset),
        start_s=start,
        end_s=end,
    )
