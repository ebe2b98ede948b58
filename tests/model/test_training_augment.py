"""Augmentation against the flow of pictures that were changed themselves and OpenCV; encoding against NumPy."""

import itertools

import cv2
import numpy as np
import pytest
import torch

from bowam_model.errors import ImageError
from bowam_model.flow import Encoding, encode, farneback
from bowam_model.training import TrainingSettings, encode_batch
from bowam_model.training.augment import Changes, crop, draw, jitter_colours, mirror, move, rotate

VALUES = {"add": 2, "traditional": 2, "multiply": 2, "concat": 4, "picture": 3}


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


def _batch(*flows_HWC: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.stack(flows_HWC).transpose(0, 3, 1, 2).copy())


def _picture(flow_CHW: torch.Tensor) -> np.ndarray:
    return flow_CHW.permute(1, 2, 0).numpy()


def _still(count: int, **changes: object) -> Changes:
    nothing = {
        "mirrored_B": np.zeros(count, bool),
        "angle_deg_B": np.zeros(count),
        "gain_B": np.ones(count),
        "top_B": np.zeros(count, int),
        "left_B": np.zeros(count, int),
    }
    return Changes(**(nothing | changes))  # type: ignore[arg-type]


def _smooth(count: int, values: int, height: int = 48, width: int = 40) -> torch.Tensor:
    noise = np.random.default_rng(3).normal(size=(count, height, width, values)).astype(np.float32)
    return _batch(*(cv2.GaussianBlur(picture, (0, 0), 3) * 5 for picture in noise))


def test_a_mirrored_flow_is_the_flow_of_the_mirrored_faces(faces: tuple[np.ndarray, np.ndarray]) -> None:
    first, second = faces
    of_mirrored = farneback(np.ascontiguousarray(first[:, ::-1]), np.ascontiguousarray(second[:, ::-1]))
    found = _picture(mirror(_batch(farneback(first, second)), "add")[0])
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
    found = _picture(rotate(_batch(farneback(*faces)), np.array([angle_deg]), "add")[0])[60:180, 60:180]
    assert np.abs(expected).max() > 1.0
    assert np.abs(found - expected).mean() < 0.03


@pytest.mark.parametrize("fusion", ["add", "concat", "picture"])
def test_each_of_a_batch_turns_by_its_own_angle_as_opencv_turns_it(fusion: str) -> None:
    """Not square, so that rows and columns can't be taken for each other."""
    flows, angles = _smooth(3, VALUES[fusion]), np.array([-8.0, 0.0, 6.0])
    found = rotate(flows, angles, fusion)
    for index, angle in enumerate(angles):
        turn = cv2.getRotationMatrix2D((19.5, 23.5), -angle, 1.0)
        expected = cv2.warpAffine(_picture(flows[index]), turn, (40, 48), flags=cv2.INTER_LINEAR)
        for field in range(0, VALUES[fusion] // 2 * 2, 2):
            expected[..., field : field + 2] = expected[..., field : field + 2] @ turn[:, :2].T
        # OpenCV rounds places to 1/32 of a pixel.
        np.testing.assert_allclose(_picture(found[index]), expected, atol=0.05)
    np.testing.assert_allclose(found[1], flows[1], atol=1e-4)


def test_a_mirrored_product_keeps_its_sign() -> None:
    """(-u) (-u') is u u'."""
    out, back = _smooth(2, 2)
    products = mirror((out * back)[None], "multiply")[0]
    np.testing.assert_allclose(products, (mirror(out[None], "add") * mirror(back[None], "add"))[0])


def test_both_fields_of_concat_and_no_strain_are_negated_by_a_mirror() -> None:
    flows = torch.ones(1, 4, 2, 2)
    assert mirror(flows, "concat")[0, :, 0, 0].tolist() == [-1, 1, -1, 1]
    assert mirror(flows[:, :3], "picture")[0, :, 0, 0].tolist() == [-1, 1, 1]


def test_a_stretch_lengthens_vectors_products_by_its_square_and_no_strain() -> None:
    flows = torch.ones(1, 3, 2, 2)
    gain = _still(1, gain_B=np.array([1.1]))
    assert move(flows, gain, "picture")[0, :, 0, 0].tolist() == pytest.approx([1.1, 1.1, 1])
    assert move(flows[:, :2], gain, "multiply")[0, :, 0, 0].tolist() == pytest.approx([1.21, 1.21])


def test_changes_are_applied_each_to_its_own_example() -> None:
    flows = _smooth(3, 2)
    moved = move(flows, _still(3, mirrored_B=np.array([False, True, False]), gain_B=np.array([1, 1, 2.0])), "add")
    np.testing.assert_array_equal(moved[0], flows[0])
    np.testing.assert_array_equal(moved[1], flows[1].numpy()[:, :, ::-1] * np.array([-1, 1])[:, None, None])
    np.testing.assert_array_equal(moved[2], 2 * flows[2])
    cut = crop(flows, _still(3, top_B=np.array([0, 3, 8]), left_B=np.array([1, 0, 0])), 40 - 1)
    np.testing.assert_array_equal(cut[0], flows[0, :, :39, 1:])
    np.testing.assert_array_equal(cut[1], flows[1, :, 3:42, :39])


def test_what_is_drawn_stays_within_the_settings_and_reaches_them() -> None:
    settings = TrainingSettings(rotation_deg=8, stretch=0.2)
    changes = draw(settings, 4000, (240, 240), 224, np.random.default_rng(0))
    assert 7.9 < np.abs(changes.angle_deg_B).max() <= 8
    assert 0.19 < np.abs(changes.gain_B - 1).max() <= 0.2
    assert 0.45 < changes.mirrored_B.mean() < 0.55
    assert set(changes.top_B) == set(changes.left_B) == set(range(17))
    off = TrainingSettings(rotation_deg=0, stretch=0, mirror=False, shift=False)
    still = draw(off, 9, (240, 240), 224, np.random.default_rng(0))
    assert set(still.top_B) == set(still.left_B) == {8}
    flows = _smooth(9, 2)
    np.testing.assert_array_equal(move(flows, still, "add"), flows)


def test_colours_change_by_the_formulas_of_the_usual_jitter() -> None:
    """Brightness, contrast and saturation, written out with NumPy for each picture."""
    rng = np.random.default_rng(0)
    rgb, factors = rng.uniform(0, 1, (4, 3, 9, 8)), rng.uniform(0.6, 1.4, (4, 3))
    found = (jitter_colours(torch.from_numpy(rgb.astype(np.float32)) * 2 - 1, factors) + 1) / 2
    grey = np.array([0.2989, 0.587, 0.114])
    for picture, (bright, contrast, saturation), seen in zip(rgb, factors, found.numpy(), strict=True):
        picture = np.clip(picture * bright, 0, 1)
        picture = np.clip(contrast * picture + (1 - contrast) * np.einsum("c,chw->hw", grey, picture).mean(), 0, 1)
        picture = np.clip(saturation * picture + (1 - saturation) * np.einsum("c,chw->hw", grey, picture), 0, 1)
        np.testing.assert_allclose(seen, picture, atol=1e-5)


@pytest.mark.parametrize(
    ("fusion", "colours", "centre"),
    [
        *itertools.product(VALUES, ["uv", "uv_strain", "uv_derivatives", "hsv"], [False, True]),
        ("picture", "picture", False),
        ("picture", "picture", True),
    ],
)
def test_flows_are_encoded_together_as_they_are_one_by_one(fusion: str, colours: str, centre: bool) -> None:
    """Odd sizes too, and two channels or seven: all combinations that exist."""
    encoding = Encoding(fusion=fusion, colours=colours, centre=centre, scale_px=1.5)  # type: ignore[arg-type]
    for height, width in ((28, 28), (31, 40), (2, 5), (33, 33)):
        rng = np.random.default_rng(height)
        flows = rng.normal(size=(3, height, width, VALUES[fusion])).astype(np.float16)
        found = encode_batch(torch.from_numpy(flows).float().permute(0, 3, 1, 2), encoding)
        expected = np.stack([encode(flow, encoding) for flow in flows])
        assert expected.shape[1] == encoding.channels
        np.testing.assert_allclose(found.numpy(), expected, atol=1e-5)


def test_flows_of_another_fusion_are_refused() -> None:
    with pytest.raises(ImageError, match=r"'concat' makes \(B, 4, H, W\)"):
        encode_batch(torch.zeros(1, 2, 9, 9), Encoding(fusion="concat"))
