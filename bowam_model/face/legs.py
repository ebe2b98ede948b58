"""Legs of a stream: half minutes of media time. At the first picture of a leg, what follows its own past is renewed.

Then what is seen in a picture depends on the last few legs alone and not on where a stream was begun, so that a long
recording can be watched in parts by several machines with the same result, to the bit.
"""

import numpy as np

LEG_NS = 30_000_000_000

_GRID = 2.0**12  # steps per pixel: a hundred times finer than what a still face jitters by


def leg(t_ns: int) -> int:
    """Number of the leg that a moment belongs to."""
    return t_ns // LEG_NS


def settled(values: np.ndarray) -> np.ndarray:
    """Pixels on a grid: two runs that have come as close as rounding errors go on from the very same figures."""
    return np.round(values * _GRID) / _GRID
