"""Reading a movement off a signal: where it starts, peaks and ends."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Pulse:
    """Times in the unit of the input, between samples where the signal says so."""

    onset: float  # rises through `edge` of the peak
    apex: float
    offset: float | None  # falls through `edge` of the peak; None: not yet
    peak: float  # height over the level before the onset
    released: bool  # has fallen below `release` of the peak since the apex


def smooth(t: np.ndarray, x: np.ndarray, width: float) -> np.ndarray:
    """Mean over a window of about `width` around each sample, triangular, edges repeated. x is (N,) or (N, K)."""
    if len(t) < 3:
        return x
    n = round(width / float(np.median(np.diff(t))))
    if n < 1:
        return x
    kernel = np.bartlett(2 * n + 3)[1:-1]
    kernel /= kernel.sum()
    padded = np.pad(x, [(n, n)] + [(0, 0)] * (x.ndim - 1), mode="edge")
    if x.ndim == 1:
        return np.convolve(padded, kernel, mode="valid")
    return np.lib.stride_tricks.sliding_window_view(padded, 2 * n + 1, axis=0) @ kernel


def read(t: np.ndarray, x: np.ndarray, peak: int, *, edge: float, release: float) -> Pulse:
    """The movement with its highest sample at `peak`, in a signal x (N,) whose level before the movement is 0."""
    height = float(x[peak])
    before = np.flatnonzero(x[:peak] < edge * height)
    onset = float(t[0]) if not len(before) else _crossing(t, x, int(before[-1]), int(before[-1]) + 1, edge * height)
    after = peak + np.flatnonzero(x[peak:] < edge * height)
    offset = None if not len(after) else _crossing(t, x, int(after[0]), int(after[0]) - 1, edge * height)
    return Pulse(
        onset=onset,
        apex=_vertex(t, x, peak),
        offset=offset,
        peak=height,
        released=bool((x[peak:] < release * height).any()),
    )


def _crossing(t: np.ndarray, x: np.ndarray, low: int, high: int, level: float) -> float:
    share = (level - x[low]) / max(float(x[high] - x[low]), 1e-9)
    return float(t[low] + min(max(share, 0.0), 1.0) * (t[high] - t[low]))


def _vertex(t: np.ndarray, x: np.ndarray, peak: int) -> float:
    """Middle of the stretch around the peak that stays above 90 % of it, found by interpolation."""
    level = 0.9 * float(x[peak])
    below = np.flatnonzero(x[:peak] < level)
    left = float(t[0]) if not len(below) else _crossing(t, x, int(below[-1]), int(below[-1]) + 1, level)
    below = peak + np.flatnonzero(x[peak:] < level)
    right = float(t[peak]) if not len(below) else _crossing(t, x, int(below[0]), int(below[0]) - 1, level)
    return (left + right) / 2 if len(below) else float(t[peak])
