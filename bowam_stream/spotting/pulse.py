"""Reading a movement off a signal: where it starts, peaks and ends."""

from dataclasses import dataclass

import numpy as np

from bowam_stream.spotting.medians import median

_FLANK = (0.25, 0.50)  # of the peak: levels where a flank is steep, so that noise hardly moves its crossings
_TOP = 0.85  # of the peak: chords here and at half height point to the apex
# Expressions rise and fall about like 0.5 (1 - cos(pi u)), which is at `level` where u = arccos(1 - 2 level) / pi.


@dataclass(frozen=True)
class Pulse:
    """Times in the unit of the input, between samples where the signal says so."""

    onset: float  # rises through `edge` of the peak
    apex: float
    offset: float | None  # falls through `edge` of the peak; None: not yet
    peak: float  # height over the level before the onset
    released: bool  # has fallen below `release` of the peak since the apex


def smooth(t: np.ndarray, x: np.ndarray, width: float) -> np.ndarray:
    """Weighted mean of the samples within about `width` on either side, edges repeated. x is (N, K)."""
    n = round(width / float(median(np.diff(t)))) if len(t) > 2 else 0
    if n < 1:
        return x
    kernel = np.bartlett(2 * n + 3)[1:-1]
    kernel /= kernel.sum()
    padded = np.pad(x, [(n, n), (0, 0)], mode="edge")
    return np.lib.stride_tricks.sliding_window_view(padded, 2 * n + 1, axis=0) @ kernel


def read(t: np.ndarray, x: np.ndarray, peak: int, *, edge: float, release: float) -> Pulse:
    """The movement with its highest sample at `peak`, in a signal x (N,) whose level before the movement is 0."""
    height = float(x[peak])
    onset = _edge(t[: peak + 1][::-1], x[: peak + 1][::-1], edge * height, height)
    offset = _edge(t[peak:], x[peak:], edge * height, height)
    return Pulse(
        onset=float(t[0]) if onset is None else onset,
        apex=_apex(t, x, peak),
        offset=offset,
        peak=height,
        released=bool((x[peak:] < release * height).any()),
    )


def crossing(t: np.ndarray, x: np.ndarray, level: float) -> float | None:
    """First time at which x, going along t in either direction, has come down to `level`; None if it has not."""
    below = np.flatnonzero(x < level)
    if not len(below):
        return None
    after = int(below[0])
    if after == 0:
        return float(t[0])
    share = (x[after - 1] - level) / (x[after - 1] - x[after])
    return float(t[after - 1] + share * (t[after] - t[after - 1]))


def _edge(t: np.ndarray, x: np.ndarray, level: float, height: float) -> float | None:
    """Where a flank that falls along t reaches `level`: half by what is seen there, half by its steep part.

    Near its foot a flank is shallow, so that noise moves the crossing; and video coding swallows the last of a motion.
    """
    seen = crossing(t, x, level)
    if seen is None:
        return None
    low, half = (crossing(t, x, share * height) for share in _FLANK)
    if low is None or half is None:
        return seen
    u_level, u_low, u_half = (np.arccos(1 - 2 * share) for share in (level / height, *_FLANK))
    return (seen + low + (low - half) * float((u_low - u_level) / (u_half - u_low))) / 2


def _apex(t: np.ndarray, x: np.ndarray, peak: int) -> float:
    """Where the lines through the ends of two chords meet, at half height and near the top.

    Exact where rise and fall have one shape, however different their lengths.
    """
    height = float(x[peak])
    ends = [
        crossing(t[part], x[part], share * height)
        for share in (0.5, _TOP)
        for part in (slice(peak, None, -1), slice(peak, None))
    ]
    left, right, top_left, top_right = ends
    if top_left is None or top_right is None:
        return float(t[peak])
    if left is None or right is None:
        return (top_left + top_right) / 2
    narrowing = (right - left) - (top_right - top_left)
    if narrowing <= 0:
        return float(t[peak])
    return float(np.clip((top_left * right - top_right * left) / narrowing, top_left, top_right))
