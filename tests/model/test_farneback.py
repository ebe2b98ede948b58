"""Farneback in PyTorch against OpenCV's, on drawn pictures and on real faces."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from bowam_model.errors import ImageError, OptionError
from bowam_model.farneback import Farneback, FarnebackSettings, area_matrix, linear_matrix
from bowam_model.flow import farneback

RNG = np.random.default_rng(3)


def texture(height: int, width: int) -> np.ndarray:
    noise = cv2.GaussianBlur(RNG.normal(size=(height, width)), (0, 0), 2.5)
    return np.clip(128 + 250 * noise, 0, 255).astype(np.uint8)


def moved(picture: np.ndarray) -> np.ndarray:
    """Shifted by (1.3, -0.7), turned a little, darker, and with noise."""
    turn = cv2.getRotationMatrix2D((picture.shape[1] / 2, picture.shape[0] / 2), 0.5, 1.01)
    turn[:, 2] += (1.3, -0.7)
    seen = cv2.warpAffine(picture, turn, picture.shape[::-1], borderMode=cv2.BORDER_REFLECT)
    return np.clip(0.9 * seen + RNG.normal(0, 2, seen.shape), 0, 255).astype(np.uint8)


def flow_of(settings: FarnebackSettings | None, source: np.ndarray, target: np.ndarray) -> np.ndarray:
    found = Farneback(*source.shape, settings)(torch.from_numpy(source)[None], torch.from_numpy(target)[None])
    return found[0].permute(1, 2, 0).numpy()


@pytest.mark.parametrize("size", [(240, 240), (241, 197), (129, 240), (63, 150), (17, 31), (16, 16)])
def test_the_flow_is_that_of_opencv_at_any_size(size: tuple[int, int]) -> None:
    source = texture(*size)
    target = moved(source)
    difference = np.abs(flow_of(None, source, target) - farneback(source, target))
    assert difference.mean() <= 1e-4
    assert difference.max() <= 0.01


@pytest.mark.parametrize(
    ("settings", "flags"),
    [
        (FarnebackSettings(gaussian=True), cv2.OPTFLOW_FARNEBACK_GAUSSIAN),
        (FarnebackSettings(pyr_scale=0.7, levels=2, winsize=10, iterations=2, poly_n=7, poly_sigma=1.5), 0),
        (FarnebackSettings(levels=0, winsize=9), 0),
    ],
    ids=["gaussian", "other numbers and an even window", "one level"],
)
def test_other_parameters_mean_what_they_mean_in_opencv(settings: FarnebackSettings, flags: int) -> None:
    source = texture(120, 101)
    target = moved(source)
    s = settings
    expected = cv2.calcOpticalFlowFarneback(
        source, target, None, s.pyr_scale, s.levels, s.winsize, s.iterations, s.poly_n, s.poly_sigma, flags
    )
    difference = np.abs(flow_of(settings, source, target) - expected)
    assert difference.mean() <= 1e-4
    assert difference.max() <= 0.01


def test_what_leaves_the_picture_is_treated_as_in_opencv() -> None:
    """A shift of 9 pixels: at the borders the flow leads out of the picture."""
    source = texture(96, 110)
    target = np.roll(source, (9, -9), (0, 1))
    expected = farneback(source, target)
    assert (np.arange(110) + expected[..., 0] < 0).any()
    difference = np.abs(flow_of(None, source, target) - expected)
    assert difference.mean() <= 1e-4
    assert difference.max() <= 0.01


@pytest.mark.media
def test_the_flow_of_real_faces_is_that_of_opencv(media: Path) -> None:
    """From neutral to smiling: up to 20 px, more than a micro-expression ever moves."""
    pairs = list(
        zip(*(sorted((media / "identities" / kind).glob("*"))[:4] for kind in ("neutral", "smiling")), strict=True)
    )
    assert pairs
    for height, width in ((240, 240), (151, 203)):
        faces = [
            [cv2.resize(cv2.imread(str(path), 0), (width, height), interpolation=cv2.INTER_AREA) for path in pair]
            for pair in pairs
        ]
        for source, target in faces:
            difference = np.abs(flow_of(None, source, target) - farneback(source, target))
            assert difference.mean() <= 1e-4
            assert difference.max() <= 0.01


def test_a_batch_is_its_pictures_one_by_one() -> None:
    sources = np.stack([texture(64, 72) for _ in range(3)])
    targets = np.stack([moved(source) for source in sources])
    together = Farneback(64, 72)(torch.from_numpy(sources), torch.from_numpy(targets)).permute(0, 2, 3, 1).numpy()
    for one, source, target in zip(together, sources, targets, strict=True):
        np.testing.assert_allclose(one, flow_of(None, source, target), atol=1e-4)


@pytest.mark.parametrize(("size", "resized"), [(240, 60), (240, 100), (61, 60)])
def test_matrices_resize_as_opencv_does(size: int, resized: int) -> None:
    picture = texture(size, size).astype(np.float32)
    for matrix, how in ((linear_matrix, cv2.INTER_LINEAR), (area_matrix, cv2.INTER_AREA)):
        found = matrix(size, resized) @ picture @ matrix(size, resized).T
        np.testing.assert_allclose(found, cv2.resize(picture, (resized, resized), interpolation=how), atol=1e-2)


def test_what_can_not_be_computed_is_refused() -> None:
    with pytest.raises(OptionError, match="at least 16 pixels"):
        Farneback(240, 15)
    with pytest.raises(OptionError, match="pyr_scale"):
        FarnebackSettings(pyr_scale=1)
    with pytest.raises(OptionError, match="must be positive"):
        FarnebackSettings(winsize=0)
    with pytest.raises(ImageError, match="this flow takes"):
        Farneback(32, 32).expand(torch.zeros(1, 32, 33))
