"""The short cuts of the spotter give what the long ways give."""

import numpy as np
import pytest

from bowam_stream.spotting.medians import median
from bowam_stream.spotting.regions import CENTRES, EYES, REGIONS, RIGID, windows


@pytest.mark.parametrize("shape", [(1,), (2,), (31,), (90,), (1, 16), (20, 16), (161, 16), (2, 3, 4)])
def test_medians_are_numpys_to_the_bit(shape: tuple[int, ...]) -> None:
    """Events must not depend on which of the two is used."""
    values = np.random.default_rng(3).normal(size=shape)
    assert np.array_equal(median(values), np.median(values, axis=0))


def test_windows_are_sums_of_gaussians_around_their_points() -> None:
    """Every window, cell by cell from its definition; where a blink repaints, only the eyes' own windows see."""
    landmarks = np.random.default_rng(4).uniform(0, 240, (468, 2)).astype(np.float32)
    regions, rigid = windows(landmarks)
    kept = np.ones(len(CENTRES))
    for corners in ((33, 133, 159, 145), (263, 362, 386, 374)):
        apart = (CENTRES - landmarks[list(corners)].mean(axis=0)) / (26.0, 16.0)
        kept = np.minimum(kept, 1 - np.exp(-((apart**2).sum(axis=1) ** 2)))
    for found, points, is_eye in zip((*regions, rigid), (*REGIONS.values(), RIGID), (*EYES, False), strict=True):
        expected = sum(
            np.exp(-((CENTRES - landmarks[point]) ** 2).sum(axis=1, dtype=np.float64) / (2 * 11.0**2))
            for point in points
        )
        np.testing.assert_allclose(found, expected * (1 if is_eye else kept), rtol=1e-4, atol=1e-6)
