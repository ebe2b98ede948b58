"""Drawing on pictures, in place: smooth text, pills, translucent shapes. A picture is uint8 (H, W, 3) RGB."""

from functools import lru_cache

import cv2
import numpy as np
from PIL import ImageFont

Colour = tuple[int, int, int]

INK: Colour = (230, 237, 243)
FAINT: Colour = (139, 148, 158)
PANEL: Colour = (13, 17, 23)

# By kind and label; told apart with every common colour blindness (Okabe and Ito, 2008), bright enough for both themes.
COLOURS: dict[str, Colour] = {
    "positive": (0, 158, 115),
    "negative": (213, 94, 0),
    "surprise": (204, 121, 167),
    "macro": (86, 180, 233),
    "blink": (128, 136, 150),
}
OTHER_LABEL: Colour = (230, 159, 0)

_SHIFT = 4  # cv2 draws at 1/16 px


def colour_of(kind: str | None, label: str | None) -> Colour:
    """The colour of an event: its label's, or its kind's where it has none."""
    return COLOURS.get(label or kind or "", OTHER_LABEL)


@lru_cache(maxsize=8)
def _font(size_px: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size_px)
    assert isinstance(font, ImageFont.FreeTypeFont)
    return font


@lru_cache(maxsize=4096)
def _mask(text: str, size_px: int) -> np.ndarray:
    """Coverage of a text, float32 (H, W, 1) in 0..1; all texts of one size have the same height."""
    font = _font(size_px)
    ascent, descent = font.getmetrics()
    bitmap, (left, top) = font.getmask2(text, mode="L", anchor="ls")
    glyphs = np.asarray(bitmap, np.float32).reshape(bitmap.size[::-1]) / 255.0
    mask = np.zeros((ascent + descent, max(round(font.getlength(text)), left + glyphs.shape[1], 1)), np.float32)
    y, x = max(ascent + top, 0), max(left, 0)
    part = glyphs[: mask.shape[0] - y, : mask.shape[1] - x]
    mask[y : y + part.shape[0], x : x + part.shape[1]] = part
    return mask[:, :, None]


def text_size(text: str, size_px: int) -> tuple[int, int]:
    """Width and height of a text in px."""
    height, width, _ = _mask(text, size_px).shape
    return width, height


def write(picture: np.ndarray, text: str, at: tuple[int, int], size_px: int, colour: Colour, alpha: float = 1.0) -> int:
    """Write `text` with its upper left corner at (x, y); what lies outside is cut. Returns the text's width."""
    mask = _mask(text, size_px) * alpha
    _blend(picture, at, mask, colour)
    return mask.shape[1]


def figures(picture: np.ndarray, text: str, at: tuple[int, int], size_px: int, colour: Colour) -> int:
    """Write a number that changes all the time: sign by sign, digits equally wide, so that it neither jitters nor grows
    the cache. Returns its width."""
    x, y = at
    digit = max(text_size(sign, size_px)[0] for sign in "0123456789")
    for sign in text:
        width = text_size(sign, size_px)[0]
        write(picture, sign, (x + (digit - width) // 2 if sign.isdigit() else x, y), size_px, colour)
        x += digit if sign.isdigit() else width
    return x - at[0]


def pill(picture: np.ndarray, text: str, at: tuple[int, int], size_px: int, colour: Colour, alpha: float = 1.0) -> int:
    """A rounded field of `colour` with `text` in it. Returns its height."""
    width, height = text_size(text, size_px)
    pad = round(size_px * 0.55)
    box = (width + 2 * pad, height + pad)
    _blend(picture, at, _rounded(*box) * alpha, colour)
    write(picture, text, (at[0] + pad, at[1] + pad // 2), size_px, (255, 255, 255), alpha)
    return box[1]


@lru_cache(maxsize=64)
def _rounded(width: int, height: int) -> np.ndarray:
    """Coverage of a rounded rectangle, float32 (height, width, 1)."""
    y, x = np.mgrid[:height, :width].astype(np.float32) + 0.5
    radius = min(height, width) * 0.5
    dx = np.maximum(np.abs(x - width / 2) - (width / 2 - radius), 0)
    dy = np.maximum(np.abs(y - height / 2) - (height / 2 - radius), 0)
    return np.clip(radius - np.hypot(dx, dy) + 0.5, 0, 1)[:, :, None].astype(np.float32)


def fill(picture: np.ndarray, box: tuple[int, int, int, int], colour: Colour, alpha: float = 1.0) -> None:
    """Fill x0 <= x < x1, y0 <= y < y1, as far as it lies inside."""
    x0, y0, x1, y1 = box
    height, width = picture.shape[:2]
    x0, x1, y0, y1 = max(x0, 0), min(x1, width), max(y0, 0), min(y1, height)
    if x1 > x0 and y1 > y0:
        _blend(picture, (x0, y0), np.full((y1 - y0, x1 - x0, 1), alpha, np.float32), colour)


def line(picture: np.ndarray, points: np.ndarray, colour: Colour, thickness: int = 1) -> None:
    """A smooth open line through points (N, 2) in px."""
    steps = np.rint(np.clip(points, -30000, 30000) * (1 << _SHIFT)).astype(np.int32).reshape(-1, 1, 2)
    cv2.polylines(picture, [steps], False, colour, thickness, cv2.LINE_AA, _SHIFT)


def disc(picture: np.ndarray, middle: np.ndarray, radius_px: float, colour: Colour) -> None:
    """A smooth filled disc around (x, y)."""
    x, y = (int(v) for v in np.rint(np.clip(middle, -30000, 30000) * (1 << _SHIFT)))
    cv2.circle(picture, (x, y), round(radius_px * (1 << _SHIFT)), colour, -1, cv2.LINE_AA, _SHIFT)


def _blend(picture: np.ndarray, at: tuple[int, int], mask: np.ndarray, colour: Colour) -> None:
    x, y = at
    top, left = max(-y, 0), max(-x, 0)
    part = picture[max(y, 0) : max(y + mask.shape[0], 0), max(x, 0) : max(x + mask.shape[1], 0)]
    if part.size:
        mask = mask[top : top + part.shape[0], left : left + part.shape[1]]
        part[:] = np.rint(part + mask * (np.array(colour, np.float32) - part))
