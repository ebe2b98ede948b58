"""Bidirectional flow against displacements that are known because the pictures were drawn with them."""

import subprocess
import sys
from collections.abc import Callable

import cv2
import numpy as np
import pytest

from bowam_model.errors import ImageError, OptionError
from bowam_model.flow import Encoding, bidirectional_flow, centre_crop, encode, network_input, optical_strain

SIDE = 240
Y, X = np.mgrid[:SIDE, :SIDE].astype(np.float64)
INSIDE = (slice(40, 200), slice(40, 200))  # away from the border, where Farneback has nothing to compare


def _texture() -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """A smooth picture that can be looked at between its pixels."""
    rng = np.random.default_rng(7)
    waves = [(rng.uniform(0.1, 0.5, 2) * rng.choice([-1, 1], 2), rng.uniform(0, 6.28)) for _ in range(40)]

    def look(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        values = sum(np.sin(wx * x + wy * y + phase) for (wx, wy), phase in waves)
        return np.clip(128 + 18 * values, 0, 255).round().astype(np.uint8)

    return look


LOOK = _texture()
APEX = LOOK(X, Y)


def _seen_from_apex(u: np.ndarray | float, v: np.ndarray | float) -> np.ndarray:
    """A picture in which what the apex shows at (x, y) stands at (x + u, y + v), for smooth u and v.

    With p(x) the wanted picture, p(x + u(x)) = apex(x): so p is the apex seen through the inverse displacement, found
    by fixed-point iteration.
    """
    if np.isscalar(u) and np.isscalar(v):
        return LOOK(X - u, Y - v)
    x, y = X.copy(), Y.copy()
    for _ in range(30):
        x, y = X - _at(u, x, y), Y - _at(v, x, y)
    return LOOK(x, y)


def _at(field: np.ndarray | float, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    field = np.broadcast_to(np.asarray(field, np.float32), X.shape)
    return cv2.remap(np.ascontiguousarray(field), x.astype(np.float32), y.astype(np.float32), cv2.INTER_CUBIC)


BUMP = np.exp(-((X - 120) ** 2 + (Y - 100) ** 2) / (2 * 25**2))
SEEN_BY_ONSET = (0.5 * BUMP, 2.0 * BUMP)  # pixels from the apex's place to the onset's: skin that rose by 2 px
SEEN_BY_OFFSET = (-1.0 * BUMP, 1.2 * BUMP)
ONSET = _seen_from_apex(*SEEN_BY_ONSET)
OFFSET = _seen_from_apex(*SEEN_BY_OFFSET)


def _slope(found: np.ndarray, truth: np.ndarray) -> float:
    found, truth = found[INSIDE], truth[INSIDE]
    return float((found * truth).sum() / (truth * truth).sum())


@pytest.mark.parametrize("axis", [0, 1])
def test_addition_sums_the_ways_from_apex_to_both_ends(axis: int) -> None:
    """F = Farneback(apex, onset) + Farneback(apex, offset): equation 1, with the sign of the way home."""
    flow = bidirectional_flow(ONSET, APEX, OFFSET)
    truth = SEEN_BY_ONSET[axis] + SEEN_BY_OFFSET[axis]
    assert flow.shape == (SIDE, SIDE, 2)
    assert flow.dtype == np.float32
    assert np.abs(flow[..., axis] - truth)[INSIDE].mean() < 0.1
    assert 0.8 < _slope(flow[..., axis], truth) < 1.1


def test_what_rose_at_the_apex_points_down() -> None:
    """A movement that returns to its start gives twice the way from the apex to the onset."""
    flow = bidirectional_flow(ONSET, APEX, ONSET)
    assert 3.2 < flow[100, 120, 1] < 4.4


def test_every_fusion_by_known_shifts() -> None:
    """Whole pictures that are shifted by (2, 0) towards the onset and (0, -1) towards the offset."""
    onset, offset = _seen_from_apex(2, 0), _seen_from_apex(0, -1)

    def middle(fusion: str) -> np.ndarray:
        return bidirectional_flow(onset, APEX, offset, fusion)[INSIDE].mean((0, 1))  # type: ignore[arg-type]

    assert middle("add") == pytest.approx([2, -1], abs=0.05)
    assert middle("concat") == pytest.approx([2, 0, 0, -1], abs=0.05)
    assert middle("multiply") == pytest.approx([0, 0], abs=0.1)
    assert middle("traditional") == pytest.approx([-2, 0], abs=0.05)
    both_ways = bidirectional_flow(onset, APEX, onset, "multiply")[INSIDE].mean((0, 1))
    assert both_ways == pytest.approx([4, 0], abs=0.1)


def test_traditional_never_looks_at_the_offset() -> None:
    seen = [bidirectional_flow(ONSET, APEX, offset, "traditional") for offset in (OFFSET, APEX)]
    np.testing.assert_array_equal(*seen)


def test_a_still_face_has_no_flow_within_the_crop() -> None:
    """Farneback invents flow along the border, even between equal pictures; the centre crop leaves it out."""
    assert np.abs(bidirectional_flow(APEX, APEX, APEX)[8:-8, 8:-8]).max() < 2e-3


def test_two_threads_give_the_same_bits() -> None:
    np.testing.assert_array_equal(
        bidirectional_flow(ONSET, APEX, OFFSET, threads=2), bidirectional_flow(ONSET, APEX, OFFSET)
    )


def test_views_into_larger_pictures_are_welcome() -> None:
    large = np.zeros((SIDE, 2 * SIDE), np.uint8)
    large[:, ::2] = APEX
    np.testing.assert_array_equal(
        bidirectional_flow(ONSET, large[:, ::2], OFFSET), bidirectional_flow(ONSET, APEX, OFFSET)
    )


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (np.zeros((240, 240), np.float32), "apex is float32"),
        (np.zeros((240, 240, 3), np.uint8), "pass a grey uint8 array"),
        ([[0, 1], [1, 0]], "apex is list"),
        (None, "apex is NoneType"),
    ],
)
def test_what_is_no_grey_picture_is_named(wrong: object, says: str) -> None:
    with pytest.raises(ImageError, match=says):
        bidirectional_flow(APEX, wrong, APEX)  # type: ignore[arg-type]


@pytest.mark.parametrize("shape", [(0, 0), (240, 15)])
def test_pictures_too_small_for_flow_are_refused(shape: tuple[int, int]) -> None:
    with pytest.raises(ImageError, match="at least 16 pixels"):
        bidirectional_flow(*[np.zeros(shape, np.uint8)] * 3)


def test_sizes_that_differ_are_an_error() -> None:
    with pytest.raises(ImageError, match=r"offset has shape \(240, 230\)"):
        bidirectional_flow(APEX, APEX, APEX[:, :230])


def test_an_unknown_fusion_is_an_error() -> None:
    with pytest.raises(OptionError, match="unknown fusion 'max'"):
        bidirectional_flow(APEX, APEX, APEX, "max")  # type: ignore[arg-type]


def test_strain_of_a_linear_field_is_its_tensor() -> None:
    """u = .02 x + .05 y, v = .01 x - .03 y: exx .02, eyy -.03, exy .03."""
    flow = np.dstack([0.02 * X + 0.05 * Y, 0.01 * X - 0.03 * Y])
    np.testing.assert_allclose(optical_strain(flow), np.sqrt(0.02**2 + 0.03**2 + 2 * 0.03**2), rtol=1e-5)


def test_a_nod_has_no_strain() -> None:
    """Shift and small rotation move the face without deforming it."""
    flow = np.dstack([3 - 0.01 * Y, -2 + 0.01 * X])
    assert optical_strain(flow).max() < 1e-6


def test_uv_strain_is_scaled_flow_and_unscaled_strain() -> None:
    flow = np.dstack([3 * BUMP, -1.5 * BUMP]).astype(np.float32)
    picture = encode(flow, Encoding(scale_px=6))
    assert picture.shape == (3, SIDE, SIDE)
    assert picture.dtype == np.float32
    np.testing.assert_allclose(picture[0], BUMP / 2, atol=1e-6)
    np.testing.assert_allclose(picture[1], -BUMP / 4, atol=1e-6)
    np.testing.assert_allclose(picture[2], optical_strain(flow), atol=1e-6)


def test_products_are_divided_by_the_squared_scale() -> None:
    flow = np.full((20, 20, 2), 9, np.float32)
    assert encode(flow, Encoding(fusion="multiply", scale_px=3))[0, 5, 5] == pytest.approx(1)


def test_concat_encodes_both_directions_one_after_the_other() -> None:
    flow = np.random.default_rng(0).normal(size=(30, 40, 4)).astype(np.float32)
    for colours in ("uv_strain", "hsv"):
        picture = encode(flow, Encoding(fusion="concat", colours=colours))  # type: ignore[arg-type]
        one = Encoding(colours=colours)  # type: ignore[arg-type]
        np.testing.assert_array_equal(picture, np.concatenate([encode(flow[..., :2], one), encode(flow[..., 2:], one)]))


@pytest.mark.parametrize(
    ("vector", "rgb"),
    [
        ((4, 0), (1, -1, -1)),  # to the right: red
        ((0, 4), (0, 1, -1)),  # down, 90 degrees: between yellow and green
        ((-4, 0), (-1, 1, 1)),  # to the left: cyan
        ((0, -4), (0, -1, 1)),  # up, 270 degrees: violet
        ((2, 0), (0, -1, -1)),  # half the length: half the brightness
        ((40, 0), (1, -1, -1)),  # longer than the scale: no brighter
        ((0, 0), (-1, -1, -1)),  # still: black
    ],
)
def test_the_colour_wheel(vector: tuple[float, float], rgb: tuple[float, float, float]) -> None:
    flow = np.full((8, 8, 2), vector, np.float32)
    picture = encode(flow, Encoding(colours="hsv", scale_px=4))
    np.testing.assert_allclose(picture[:, 4, 4], rgb, atol=1e-5)


def test_the_colour_wheel_is_opencvs_but_for_its_rounding() -> None:
    """OpenCV's arc tangent is good to a third of a degree, which is 0.01 of a sixth of the wheel, in -1..1."""
    flow = np.random.default_rng(1).normal(size=(40, 30, 2)).astype(np.float32)
    length, hue_deg = cv2.cartToPolar(flow[..., 0], flow[..., 1], angleInDegrees=True)
    value = np.minimum(length / 2, 1)
    rgb = cv2.cvtColor(np.dstack([hue_deg, np.ones_like(value), value]), cv2.COLOR_HSV2RGB)
    picture = encode(flow, Encoding(colours="hsv", scale_px=2))
    np.testing.assert_allclose(picture, (rgb * 2 - 1).transpose(2, 0, 1), atol=0.015)


def test_derivatives_of_a_linear_field_are_its_coefficients() -> None:
    """u = .02 x + .05 y, v = .01 x - .03 y: u_x .02, u_y .05, v_x .01, v_y -.03."""
    flow = np.dstack([0.02 * X + 0.05 * Y, 0.01 * X - 0.03 * Y])
    picture = encode(flow, Encoding(colours="uv_derivatives", scale_px=6))
    np.testing.assert_array_equal(picture[:3], encode(flow, Encoding(scale_px=6)))
    np.testing.assert_allclose(picture[3:].mean((1, 2)), [-0.01, -0.04, 0.05, 0.06], atol=1e-5)
    assert np.ptp(picture[3:], axis=(1, 2)).max() < 1e-4


def test_uv_is_what_the_other_colours_begin_with() -> None:
    flow = np.random.default_rng(0).normal(size=(30, 41, 4)).astype(np.float32)
    picture = encode(flow, Encoding(fusion="concat", colours="uv"))
    np.testing.assert_array_equal(picture, encode(flow, Encoding(fusion="concat"))[[0, 1, 3, 4]])


@pytest.mark.parametrize("fusion", ["add", "concat", "picture"])
def test_centring_forgets_what_moves_the_entire_face(fusion: str) -> None:
    values = Encoding(fusion=fusion).values  # type: ignore[arg-type]
    flow = np.random.default_rng(0).normal(size=(31, 40, values)).astype(np.float32)
    encoding = Encoding(fusion=fusion, colours="uv", centre=True)  # type: ignore[arg-type]
    np.testing.assert_allclose(np.median(encode(flow, encoding), axis=(1, 2)), 0, atol=1e-6)
    np.testing.assert_allclose(encode(flow + np.float32(0.7), encoding), encode(flow, encoding), atol=1e-6)
    assert np.median(encode(flow, Encoding(fusion=fusion, colours="uv"))) != 0  # type: ignore[arg-type]


def test_a_ready_picture_is_shown_as_it_is() -> None:
    picture = np.random.default_rng(0).uniform(-1, 1, (28, 28, 3)).astype(np.float32)
    ready = Encoding(fusion="picture", colours="picture", input_px=28)
    np.testing.assert_array_equal(encode(picture, ready), picture.transpose(2, 0, 1))
    centred = encode(picture, Encoding(fusion="picture", colours="picture", centre=True))
    np.testing.assert_array_equal(centred[2], picture[..., 2])
    derived = encode(picture, Encoding(fusion="picture", colours="uv_derivatives"))
    np.testing.assert_array_equal(derived, encode(picture[..., :2], Encoding(colours="uv_derivatives", scale_px=1)))
    with pytest.raises(OptionError, match="ready flow pictures"):
        network_input(ONSET, APEX, OFFSET, ready)


def test_the_flow_of_the_large_face_is_averaged_to_a_smaller_side() -> None:
    """Vectors stay pixels of the large face."""
    picture = network_input(ONSET, APEX, OFFSET, Encoding(side_px=60, input_px=60, scale_px=1, colours="uv"))
    blocks = bidirectional_flow(ONSET, APEX, OFFSET).reshape(60, 4, 60, 4, 2).mean((1, 3))
    np.testing.assert_allclose(picture, blocks.transpose(2, 0, 1), atol=1e-5)


def test_flow_that_another_fusion_made_is_refused() -> None:
    with pytest.raises(ImageError, match=r"'concat' makes \(H, W, 4\)"):
        encode(np.zeros((240, 240, 2), np.float32), Encoding(fusion="concat"))


def test_the_crop_is_the_middle_and_nothing_is_resized() -> None:
    whole = encode(bidirectional_flow(ONSET, APEX, OFFSET), Encoding())
    picture = network_input(ONSET, APEX, OFFSET, Encoding())
    assert picture.shape == (3, 224, 224)
    assert picture.flags.c_contiguous
    np.testing.assert_array_equal(picture, whole[:, 8:-8, 8:-8])


@pytest.mark.parametrize(
    "encoding",
    [
        Encoding(colours="uv_derivatives"),
        Encoding(colours="hsv", centre=True, input_px=239),
        Encoding(fusion="concat", input_px=240),
        Encoding(centre=True, side_px=60, input_px=57),
    ],
    ids=lambda encoding: f"{encoding.colours}-{encoding.side}-{encoding.input_px}",
)
def test_painting_only_what_the_crop_keeps_changes_no_bit(encoding: Encoding) -> None:
    """Against the whole picture, cropped afterwards: also where derivatives reach over the crop's edge."""
    flow = bidirectional_flow(ONSET, APEX, OFFSET, encoding.fusion)  # type: ignore[arg-type]
    if encoding.side != encoding.aligned_px:
        flow = cv2.resize(flow, (encoding.side, encoding.side), interpolation=cv2.INTER_AREA)
    whole = centre_crop(encode(flow, encoding), encoding.input_px)
    np.testing.assert_array_equal(network_input(ONSET, APEX, OFFSET, encoding), whole)


def test_a_crop_larger_than_the_picture_is_an_error() -> None:
    with pytest.raises(ImageError, match="smaller than the crop"):
        centre_crop(np.zeros((3, 200, 300), np.float32), 224)


def test_a_face_of_another_size_is_refused_since_its_pixels_mean_something_else() -> None:
    small = np.ascontiguousarray(APEX[:230, :230])
    with pytest.raises(ImageError, match=r"aligned faces of shape \(240, 240\)"):
        network_input(small, small, small, Encoding())


@pytest.mark.parametrize(
    "options",
    [
        {"fusion": "max"},
        {"colours": "grey"},
        {"scale_px": 0},
        {"scale_px": float("nan")},
        {"input_px": 241},
        {"colours": "picture"},
        {"side_px": 64},
        {"side_px": 241},
    ],
)
def test_encodings_that_make_no_sense_are_refused(options: dict) -> None:
    with pytest.raises(OptionError):
        Encoding(**options)


def test_flow_needs_no_torch() -> None:
    code = "import sys, bowam_model.flow; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
