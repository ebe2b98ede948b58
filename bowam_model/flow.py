"""Bidirectional optical flow (BOFM, equation 1 of the paper) and the pictures the network sees of it. No torch here.

Axis legend: H rows, W columns, C channels. Flow vectors are (u, v): pixels of the aligned face to the right and down.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal, get_args

import cv2
import numpy as np

from bowam_model.errors import ImageError, OptionError

Fusion = Literal["add", "multiply", "concat", "traditional"]
Picture = Literal["picture"]
Colours = Literal["uv", "uv_strain", "uv_derivatives", "hsv", "picture"]

ALIGNED_PX = 240  # side of an aligned face: what a pixel of flow means
NETWORK_PX = 224  # side of the network's input, as in ConvNeXt
LARGEST_PX = 6.0  # the largest micro-expressions move a 240 px face by 3 px, and the flow sees them twice: out and back
COLOUR_CHANNELS = {"uv": 2, "uv_strain": 3, "uv_derivatives": 7, "hsv": 3, "picture": 3}  # of one flow field
SMALLEST_PX = 16  # below this side Farneback's own neighbourhood (winsize 15) does not fit into the picture


@dataclass(frozen=True, kw_only=True)
class Encoding:
    """How three faces become the network's input. Travels with the weights; other weights, another encoding."""

    fusion: Fusion | Picture = "add"  # Table 5, "traditional" of Table 4, or ready flow pictures (`encode`)
    colours: Colours = "uv_strain"  # see `encode`
    centre: bool = False  # first subtract the median of u and of v: what moves the entire face
    scale_px: float = LARGEST_PX  # flow of this length becomes 1
    input_px: int = NETWORK_PX  # side of the centre crop
    aligned_px: int = ALIGNED_PX  # side of the faces that the flow is computed on
    side_px: int | None = None  # the flow is averaged to this side before it is painted; None: aligned_px

    def __post_init__(self) -> None:
        if self.fusion not in (*get_args(Fusion), *get_args(Picture)):
            raise OptionError(f"unknown fusion {self.fusion!r}: use one of {', '.join(get_args(Fusion))}, picture")
        if self.colours not in get_args(Colours):
            raise OptionError(f"unknown colours {self.colours!r}: use one of {', '.join(get_args(Colours))}")
        if self.colours == "picture" and self.fusion != "picture":
            raise OptionError("colours 'picture' shows ready flow pictures as they are: they need fusion 'picture'")
        if not (np.isfinite(self.scale_px) and self.scale_px > 0):
            raise OptionError(f"scale_px is {self.scale_px}: it must be a positive number of pixels")
        if not 0 < self.side <= self.aligned_px:
            raise OptionError(f"side_px is {self.side_px}: it must lie between 1 and aligned_px ({self.aligned_px})")
        if not 0 < self.input_px <= self.side:
            raise OptionError(f"input_px is {self.input_px}: it must lie between 1 and aligned_px ({self.side})")

    @property
    def side(self) -> int:
        """Side of the flow that is painted, pixels."""
        return self.aligned_px if self.side_px is None else self.side_px

    @property
    def channels(self) -> int:
        """Channels of the network's input: those of the colours for each flow field, of which "concat" has two."""
        return COLOUR_CHANNELS[self.colours] * (2 if self.fusion == "concat" else 1)

    @property
    def values(self) -> int:
        """Values of a flow: two for each field, three in a ready flow picture."""
        return {"concat": 4, "picture": 3}.get(self.fusion, 2)

    @property
    def unit(self) -> float:
        """What u and v are divided by: square pixels for "multiply"; nothing in a ready picture has a unit."""
        return {"multiply": self.scale_px**2, "picture": 1.0}.get(self.fusion, self.scale_px)


def farneback(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Dense flow with OpenCV's Farneback: `source[y, x]` shows what `target[y + v, x + u]` shows.

    Args:
        source, target: uint8 (H, W), grey.
    Returns:
        float32 (H, W, 2), pixels.
    """
    no_guess: Any = None  # OpenCV takes None, its stubs do not
    return cv2.calcOpticalFlowFarneback(source, target, no_guess, 0.5, 3, 15, 3, 5, 1.2, 0)


def bidirectional_flow(
    onset: np.ndarray, apex: np.ndarray, offset: np.ndarray, fusion: Fusion = "add", *, threads: int = 1
) -> np.ndarray:
    """What moved at the apex, seen from both ends of the movement (equation 1, Table 5).

    With out = Farneback(apex, onset) and back = Farneback(apex, offset), component by component:

    - "add": out + back, pixels. A movement that returns doubles, an error of one direction is halved against it.
      The sign is that of the way home: skin that rose at the apex has v > 0.
    - "multiply": out * back, square pixels. The paper gives no formula; this is the element-wise product, so the
      direction along an axis is lost and only what both directions saw survives.
    - "concat": out and back side by side, (u_out, v_out, u_back, v_back), pixels.
    - "traditional": Farneback(onset, apex), pixels: the usual flow, which never looks at the offset.

    Args:
        onset, apex, offset: uint8 (H, W), grey, in one common alignment.
        threads: 2 computes both directions at once (OpenCV releases the interpreter); the result is the same.
    Returns:
        float32 (H, W, 2); (H, W, 4) for "concat".
    Raises:
        ImageError: a picture is not grey uint8, too small, or of another size than the others.
    """
    onset, apex, offset = _checked(onset=onset, apex=apex, offset=offset)
    if fusion == "traditional":
        return farneback(onset, apex)
    if fusion not in get_args(Fusion):
        raise OptionError(f"unknown fusion {fusion!r}: use one of {', '.join(get_args(Fusion))}")
    if threads > 1:
        with ThreadPoolExecutor(2) as pool:
            out, back = pool.map(farneback, (apex, apex), (onset, offset))
    else:
        out, back = farneback(apex, onset), farneback(apex, offset)
    if fusion == "add":
        return out + back
    if fusion == "multiply":
        return out * back
    return np.concatenate([out, back], axis=2)


def optical_strain(flow: np.ndarray) -> np.ndarray:
    """Magnitude of the strain tensor: sqrt(exx^2 + eyy^2 + 2 exy^2), by central differences.

    Args:
        flow: float (H, W, 2).
    Returns:
        float32 (H, W), pixels of displacement per pixel of face.
    """
    return _strain(*_slopes(np.moveaxis(flow, 2, 0)))


def encode(flow: np.ndarray, encoding: Encoding) -> np.ndarray:
    """Pictures of a flow, at its full size; `concat` gives those of both directions, one after the other.

    - "uv": (u / scale, v / scale).
    - "uv_strain": (u / scale, v / scale, strain). The strain has no unit and is not scaled.
    - "uv_derivatives": those three, then what the first derivatives say besides: divergence u_x + v_y, curl
      v_x - u_y, and the two shears u_x - v_y and u_y + v_x. They have no unit and are not scaled.
    - "hsv": the usual colour wheel as red, green, blue (hue = direction, from u > 0 towards v > 0; full saturation;
      value = length / scale, at most 1), normalised by mean .5 and deviation .5 to -1..1. The released code of the
      paper opens such pictures, but how they were painted is published nowhere.
    - "picture": u, v and strain of a ready flow picture as they are. The other colours take its u and v.

    Square pixels of "multiply" are divided by the square of the scale, pictures not at all. With `centre`, the median
    over the picture is subtracted from u and from v first. Flow that is flipped, rotated or cropped for training is
    transformed first and encoded then: a horizontal flip negates u, a rotation turns the vectors.
    `bowam_model.encoding.encode_batch` is the same for many at once, on any device.

    Args:
        flow: float32 (H, W, 2 or 4) of `bidirectional_flow` with `encoding.fusion`, or (H, W, 3), a ready picture.
    Returns:
        float32 (C, H, W) with C = encoding.channels.
    Raises:
        ImageError: the flow does not have the shape that the fusion makes.
    """
    if flow.ndim != 3 or flow.shape[2] != encoding.values or min(flow.shape[:2]) < 2:
        raise ImageError(
            f"flow of shape {flow.shape} can't be encoded: {encoding.fusion!r} makes (H, W, {encoding.values})"
        )
    return _painted(_centred(flow, encoding), encoding)


def centre_crop(picture_CHW: np.ndarray, side_px: int) -> np.ndarray:
    """The middle square of side `side_px`. Never a resize: that would change what a pixel of flow means.

    240 -> 224 also cuts off the 8 pixels in which Farneback finds up to 0.3 px of flow between equal pictures.

    Raises:
        ImageError: the picture is smaller than the crop.
    """
    height, width = picture_CHW.shape[-2:]
    if min(height, width) < side_px:
        raise ImageError(f"picture of {width}x{height} is smaller than the crop of {side_px}x{side_px}")
    top, left = (height - side_px) // 2, (width - side_px) // 2
    return picture_CHW[..., top : top + side_px, left : left + side_px]


def network_input(
    onset: np.ndarray, apex: np.ndarray, offset: np.ndarray, encoding: Encoding, *, threads: int = 1
) -> np.ndarray:
    """Three aligned faces to the network's input: flow, encoding, centre crop.

    Args:
        onset, apex, offset: uint8 (240, 240), grey, in one common alignment (side `encoding.aligned_px`).
    Returns:
        float32 (C, 224, 224): C = encoding.channels, side `encoding.input_px`.
    Raises:
        ImageError: a picture is not what it should be.
        OptionError: the encoding is one of ready flow pictures.
    """
    onset, apex, offset = faces(onset, apex, offset, encoding)
    assert encoding.fusion != "picture"
    flow = bidirectional_flow(onset, apex, offset, encoding.fusion, threads=threads)
    if encoding.side != encoding.aligned_px:
        flow = cv2.resize(flow, (encoding.side, encoding.side), interpolation=cv2.INTER_AREA)
    # Painted is what the crop keeps, and one pixel around it, which the derivatives at its edge need.
    start, kept = (encoding.side - encoding.input_px) // 2, encoding.input_px
    rim = min(start, 1)
    around = slice(start - rim, start + kept + 1)
    picture_CHW = _painted(_centred(flow, encoding)[around, around], encoding)
    return np.ascontiguousarray(picture_CHW[:, rim : rim + kept, rim : rim + kept])


def faces(onset: np.ndarray, apex: np.ndarray, offset: np.ndarray, encoding: Encoding) -> list[np.ndarray]:
    """The three as they are, contiguous, if weights of this encoding can read them.

    Raises:
        ImageError: a picture is not what it should be.
        OptionError: the encoding is one of ready flow pictures.
    """
    if encoding.fusion == "picture":
        raise OptionError("these weights read ready flow pictures, whose making is unknown: they can't read faces")
    side = encoding.aligned_px
    if np.shape(apex) != (side, side):
        raise ImageError(f"picture of shape {np.shape(apex)}: the weights expect aligned faces of shape {(side, side)}")
    return _checked(onset=onset, apex=apex, offset=offset)


def _checked(**pictures: np.ndarray) -> list[np.ndarray]:
    """The pictures, contiguous as OpenCV wants them, or an error that names the culprit."""
    for name, picture in pictures.items():
        if not isinstance(picture, np.ndarray) or picture.dtype != np.uint8 or picture.ndim != 2:
            found = f"{picture.dtype} {picture.shape}" if isinstance(picture, np.ndarray) else type(picture).__name__
            raise ImageError(f"{name} is {found}: pass a grey uint8 array of shape (H, W)")
        if min(picture.shape) < SMALLEST_PX:
            raise ImageError(f"{name} has shape {picture.shape}: flow needs at least {SMALLEST_PX} pixels a side")
    shape = pictures["apex"].shape
    for name, picture in pictures.items():
        if picture.shape != shape:
            raise ImageError(f"{name} has shape {picture.shape}, apex {shape}: align the three pictures to one size")
    return [np.ascontiguousarray(picture) for picture in pictures.values()]


def _centred(flow: np.ndarray, encoding: Encoding) -> np.ndarray:
    """The flow in single precision, less its median if the encoding says so."""
    flow = flow.astype(np.float32)
    if encoding.centre:
        moving = [0, 1, 2, 3][: encoding.values // 2 * 2]  # not a picture's strain
        flow[..., moving] -= np.median(flow[..., moving], axis=(0, 1))
    return flow


def _painted(flow: np.ndarray, encoding: Encoding) -> np.ndarray:
    """(H, W, values) -> float32 (C, H, W). Plane by plane: NumPy is several times slower on interleaved values."""
    planes = np.ascontiguousarray(flow.transpose(2, 0, 1))
    if encoding.colours == "picture":
        return planes
    paint = _PAINTERS[encoding.colours]
    return np.concatenate([paint(planes[i : i + 2], encoding.unit) for i in range(0, encoding.values // 2 * 2, 2)])


def _slopes(field: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """u_x, u_y, v_x, v_y of a field (2, H, W), by central differences."""
    u_y, u_x = np.gradient(field[0])
    v_y, v_x = np.gradient(field[1])
    return u_x, u_y, v_x, v_y


def _strain(u_x: np.ndarray, u_y: np.ndarray, v_x: np.ndarray, v_y: np.ndarray) -> np.ndarray:
    shear = (u_y + v_x) / 2
    return np.sqrt(u_x**2 + v_y**2 + 2 * shear**2).astype(np.float32, copy=False)


def _paint_uv(field: np.ndarray, unit: float) -> np.ndarray:
    return field / np.float32(unit)


def _paint_uv_strain(field: np.ndarray, unit: float) -> np.ndarray:
    return np.stack([*_paint_uv(field, unit), _strain(*_slopes(field))])


def _paint_uv_derivatives(field: np.ndarray, unit: float) -> np.ndarray:
    u_x, u_y, v_x, v_y = _slopes(field)
    shears = (u_x + v_y, v_x - u_y, u_x - v_y, u_y + v_x)
    return np.stack([*_paint_uv(field, unit), _strain(u_x, u_y, v_x, v_y), *shears])


def _paint_hsv(field: np.ndarray, unit: float) -> np.ndarray:
    """Hue to red, green, blue by distance on the wheel; OpenCV's own angle is wrong by up to a third of a degree."""
    value = np.minimum(np.hypot(field[0], field[1]) / np.float32(unit), 1)
    sixths = np.arctan2(field[1], field[0]) * np.float32(3 / np.pi)
    wheel = [np.mod(sixths + np.float32(start), 6) for start in (5, 3, 1)]
    rgb = np.stack([value - value * np.clip(np.minimum(k, 4 - k), 0, 1) for k in wheel])
    return (rgb - np.float32(0.5)) / np.float32(0.5)


_PAINTERS: dict[str, Callable[[np.ndarray, float], np.ndarray]] = {
    "uv": _paint_uv,
    "uv_strain": _paint_uv_strain,
    "uv_derivatives": _paint_uv_derivatives,
    "hsv": _paint_hsv,
}
