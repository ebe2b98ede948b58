"""What the pictures of an event show is where the skin went."""

import base64
import re

import cv2
import numpy as np
import pytest

from bowam_stream.messages import Triple
from bowam_stream.report.pictures import (
    arrows,
    colour_wheel,
    data_uri,
    direction_colours,
    event_pictures,
)


def texture(shift: tuple[float, float] = (0.0, 0.0), amount: float = 1.0) -> np.ndarray:
    """A smooth random picture whose middle is moved by `shift` px."""
    rng = np.random.default_rng(3)
    picture = cv2.GaussianBlur(rng.uniform(0, 255, (240, 240)).astype(np.float32), (0, 0), 3)
    picture = cv2.normalize(picture, None, 20, 235, cv2.NORM_MINMAX)
    y, x = np.mgrid[:240, :240].astype(np.float32)
    weight = amount * np.exp(-((x - 120) ** 2 + (y - 120) ** 2) / (2 * 30.0**2))
    moved = cv2.remap(
        picture,
        (x - shift[0] * weight).astype(np.float32),
        (y - shift[1] * weight).astype(np.float32),
        cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_REFLECT,
    )
    return np.clip(np.rint(moved), 0, 255).astype(np.uint8)


def decoded(uri: str) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(base64.b64decode(uri.split(",")[1]), np.uint8), cv2.IMREAD_UNCHANGED)


def shafts(path: str) -> np.ndarray:
    """Foot and tip of each arrow, (N, 2, 2): every third stroke is a shaft."""
    strokes = re.findall(r"M(\S+) (\S+)L(\S+) (\S+)M", path + "M")
    return np.array(strokes, float).reshape(-1, 2, 2)


@pytest.mark.parametrize("shift", [(2.0, 0.0), (0.0, -2.0), (-1.5, 1.5)])
def test_arrows_point_where_the_skin_went(shift: tuple[float, float]) -> None:
    """The flow itself points home from the apex, so its sign has to be turned for the reader."""
    rest = texture()
    pictures = event_pictures(Triple(onset=rest, apex=texture(shift), offset=rest))
    ends = shafts(pictures.arrows)
    middle = np.abs(ends[:, 0] - 120).max(axis=1) < 20
    movement = (ends[middle, 1] - ends[middle, 0]).mean(axis=0) / pictures.magnification
    assert movement == pytest.approx(shift, abs=0.5)
    assert pictures.largest_px == pytest.approx(np.hypot(*shift), rel=0.25)


def test_a_still_face_has_dim_pictures_and_no_long_arrows() -> None:
    """Pictures are scaled by their own largest movement only above a floor."""
    rng = np.random.default_rng(0)
    onset, apex, offset = (np.clip(texture() + rng.normal(0, 1, (240, 240)), 0, 255).astype(np.uint8) for _ in range(3))
    pictures = event_pictures(Triple(onset=onset, apex=apex, offset=offset))
    flow = decoded(pictures.flow).astype(float)
    assert np.ptp(flow, axis=2).mean() < 25
    assert pictures.largest_px < 0.3


def test_crops_are_shown_as_they_are() -> None:
    rest = texture()
    pictures = event_pictures(Triple(onset=rest, apex=texture((2.0, 0.0)), offset=rest))
    shown = decoded(pictures.onset)
    assert shown.shape[:2] == (240, 240)
    assert np.abs(shown.reshape(240, 240, -1)[..., 0].astype(int) - rest).mean() < 3
    assert decoded(pictures.strain).shape == (240, 240, 3)


def test_strain_is_seen_where_the_skin_stretches_and_not_where_it_moves_as_one() -> None:
    rest = texture()
    strained = decoded(event_pictures(Triple(onset=rest, apex=texture((3.0, 0.0)), offset=rest)).strain).astype(float)
    heat = np.ptp(strained, axis=2)
    assert heat[115:125, 85:95].mean() > 3 * heat[10:30, 10:30].mean() + 5


def test_the_hue_is_the_direction() -> None:
    right, down, left, up = direction_colours(np.array([[(1, 0), (0, 1), (-1, 0), (0, -1)]], np.float32))[0].astype(int)
    assert right[0] > max(right[1:]) + 100
    assert left[0] < min(left[1:])
    assert down[1] > down[2] + 100
    assert up[2] > up[1] + 100


def test_arrows_are_as_long_as_they_say() -> None:
    vectors = np.zeros((24, 24, 2), np.float32)
    vectors[..., 0], vectors[..., 1] = 1.0, -0.5
    ends = shafts(arrows(vectors, 5, least_px=0.1))
    assert len(ends) == 4
    np.testing.assert_allclose(ends[:, 1] - ends[:, 0], np.tile([5.0, -2.5], (4, 1)), atol=0.06)
    assert arrows(vectors, 5, least_px=2.0) == ""


def test_a_colour_picture_keeps_its_channels() -> None:
    red = np.zeros((16, 16, 3), np.uint8)
    red[..., 0] = 255
    blue, green, back = decoded(data_uri(red))[8, 8].astype(int)
    assert back > 230
    assert max(blue, green) < 30


def test_the_wheel_is_clear_in_the_middle_and_outside() -> None:
    wheel = decoded(colour_wheel(96))
    assert wheel[48, 48, 3] < 10
    assert wheel[0, 0, 3] == 0
    assert wheel[48, 90, 3] > 200
