"""Augmentation that keeps flow flow, and a loop that learns."""

import cv2
import numpy as np
import pytest
import torch

from bowam_model.flow import Encoding, farneback
from bowam_model.network import create_model
from bowam_model.training import TrainingSettings, augment, mirror, predict, rotate, train

SMALL = Encoding(input_px=56, aligned_px=64)


@pytest.fixture(scope="module")
def faces() -> tuple[np.ndarray, np.ndarray]:
    """A textured picture, and the same with its middle moved by (1.5, -1) px."""
    rng = np.random.default_rng(0)
    first = cv2.GaussianBlur(rng.uniform(0, 255, (240, 240)).astype(np.float32), (0, 0), 2.5)
    first = (first - first.min()) / np.ptp(first) * 255
    y, x = np.mgrid[0:240, 0:240].astype(np.float32)
    bump = np.exp(-((x - 140) ** 2 + (y - 100) ** 2) / (2 * 35**2))
    second = cv2.remap(first, x - 1.5 * bump, y + 1.0 * bump, cv2.INTER_CUBIC)
    return first.astype(np.uint8), np.clip(second, 0, 255).astype(np.uint8)


def test_a_mirrored_flow_is_the_flow_of_the_mirrored_faces(faces: tuple[np.ndarray, np.ndarray]) -> None:
    first, second = faces
    of_mirrored = farneback(np.ascontiguousarray(first[:, ::-1]), np.ascontiguousarray(second[:, ::-1]))
    found = mirror(farneback(first, second))
    assert np.abs(found - of_mirrored)[20:-20, 20:-20].max() < 0.02
    assert np.abs(found + of_mirrored)[..., 0].max() > 1.0  # and not its opposite


@pytest.mark.parametrize("angle_deg", [-8.0, 5.0, 90.0])
def test_a_rotated_flow_is_the_flow_of_the_rotated_faces(
    faces: tuple[np.ndarray, np.ndarray], angle_deg: float
) -> None:
    """Clockwise, as seen on the screen."""
    turn = cv2.getRotationMatrix2D((119.5, 119.5), -angle_deg, 1.0)
    turned = [cv2.warpAffine(face, turn, (240, 240), flags=cv2.INTER_CUBIC) for face in faces]
    expected = farneback(*turned)[60:180, 60:180]
    found = rotate(farneback(*faces), angle_deg)[60:180, 60:180]
    assert np.abs(expected).max() > 1.0
    assert np.abs(found - expected).mean() < 0.03


def test_augmentation_is_reproducible_and_keeps_the_length_within_its_limit(
    faces: tuple[np.ndarray, np.ndarray],
) -> None:
    flow = farneback(*faces).astype(np.float16)
    settings = TrainingSettings(stretch=0.15)
    for seed in range(5):
        first, again = (augment(flow, np.random.default_rng(seed), settings, 224) for _ in range(2))
        np.testing.assert_array_equal(first, again)
        assert first.shape == (224, 224, 2)
        ratio = np.hypot(*first.transpose(2, 0, 1)).max() / np.hypot(*flow.astype(np.float32).transpose(2, 0, 1)).max()
        assert 0.8 < ratio < 1.16


def test_a_small_network_learns_up_from_down_and_twice_the_same() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 96)
    flows = rng.normal(0, 0.3, (96, 64, 64, 2)).astype(np.float16)
    flows[..., 1] += np.where(labels == 1, 1.0, -1.0)[:, None, None].astype(np.float16)
    settings = TrainingSettings(epochs=16, batch=16, learning_rate=5e-3, rotation_deg=5.0)

    def trained() -> tuple[np.ndarray, list[float]]:
        torch.manual_seed(1)
        network = create_model("bowam-nano", 2, dims=(8, 16), depths=(1, 1), strides=(2,))
        losses: list[float] = []
        train(network, flows[:64], labels[:64], SMALL, settings, lambda count, loss: losses.append(loss))
        return predict(network, flows[64:], SMALL), losses

    probabilities, losses = trained()
    assert len(losses) == 64
    assert (probabilities.argmax(axis=1) == labels[64:]).mean() > 0.95
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0, atol=1e-5)
    np.testing.assert_array_equal(trained()[0], probabilities)
