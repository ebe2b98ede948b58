"""No candidate of the motion table loses by a wrong sign or scale of ours: each is right where the task is easy."""

import cv2
import numpy as np
import pytest

pytest.importorskip("benchmarks", reason="the benchmarks are seen from the root of a checkout only")

from benchmarks.motion.estimators import ESTIMATORS, against_head
from bowam_stream.spotting.motion import Windows
from bowam_stream.spotting.regions import CROP_PX, EYES, NAMES, REGIONS, head_fields


@pytest.fixture(scope="module")
def landmarks() -> np.ndarray:
    """(468, 2): every region has a place of its own, the eyes are low."""
    points = np.full((468, 2), 120.0, np.float32)
    for k, own in enumerate(REGIONS.values()):
        points[list(own)] = (50 + 45 * (k % 4), 45 + 45 * (k // 4))
    points[[33, 133, 263, 362]] = ((66, 225), (98, 225), (172, 225), (140, 225))
    return points


@pytest.fixture(scope="module")
def texture() -> np.ndarray:
    """uint8 (240, 240): detail at every scale."""
    rng = np.random.default_rng(5)
    layers = [s * cv2.GaussianBlur(rng.normal(0, 1, (CROP_PX, CROP_PX)), (0, 0), s) for s in (2.0, 4.0, 8.0)]
    whole = np.sum(layers, axis=0)
    return (30 + 190 * (whole - whole.min()) / np.ptp(whole)).astype(np.uint8)


def bent(texture: np.ndarray, field: np.ndarray) -> np.ndarray:
    """The texture displaced by a field (240, 240, 2)."""
    line = np.arange(CROP_PX, dtype=np.float32)
    source = np.stack(np.meshgrid(line, line), axis=-1) - field
    return cv2.remap(
        texture, source.astype(np.float32), np.empty(0), cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101
    )


@pytest.mark.parametrize("name", list(ESTIMATORS))
def test_every_estimator_finds_a_strong_local_motion_with_its_size_and_sign(
    name: str, texture: np.ndarray, landmarks: np.ndarray
) -> None:
    region = NAMES.index("nose_wing_left")
    centre = landmarks[list(REGIONS["nose_wing_left"])].mean(axis=0)
    line = np.arange(CROP_PX, dtype=np.float32)
    away = ((np.stack(np.meshgrid(line, line), axis=-1) - centre) ** 2).sum(axis=-1)
    direction = np.array([0.6, -0.8])
    moved = ESTIMATORS[name](texture, landmarks)(bent(texture, 2.0 * np.exp(-away / 800.0)[..., None] * direction))
    assert 0.5 < float(moved[region] @ direction) < 2.1  # the coarse ones recover less than half
    others = np.delete(moved, region, axis=0)[np.delete(~EYES, region)]
    assert np.linalg.norm(others, axis=1).max() < 0.5 * float(moved[region] @ direction)


def test_what_the_head_does_is_taken_out_of_cells_that_are_seen(landmarks: np.ndarray) -> None:
    where, fields = Windows.on(landmarks), head_fields()
    motion = fields @ np.array([0.7, -0.4, 0.2, 0.1, 0.05, -0.1])
    seen = (np.random.default_rng(1).random(len(motion)) > 0.3).astype(np.float32)
    hidden = np.where(seen[:, None] > 0, motion, 50.0)
    np.testing.assert_allclose(against_head(hidden, seen, where), 0.0, atol=0.02)
