"""The median of few numbers, many times a second: NumPy's own spends ten times as long on preparations as on it."""

import numpy as np


def median(values: np.ndarray) -> np.ndarray:
    """`np.median(values, axis=0)`, to the same bits, of at least one row of numbers that are never nan."""
    ordered, middle = np.sort(values, axis=0), len(values) // 2
    return ordered[middle] if len(values) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
