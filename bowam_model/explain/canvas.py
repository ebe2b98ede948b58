"""Pictures for papers with OpenCV alone: labelled panels in rows, colour maps, the colour wheel of flow.

Everything is uint8 (H, W, 3) RGB on white.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from bowam_model.errors import ImageError

PANEL_PX = 280
GAP_PX = 14
MARGIN_PX = 28
INK = (38, 38, 44)
FAINT = (112, 112, 120)
FINE = 4  # text is drawn this much larger and averaged down: OpenCV's strokes are whole pixels wide
CAP_PX = 21.0  # height of a capital of OpenCV's simplex letters at scale 1


@dataclass(frozen=True, eq=False)
class Panel:
    """One picture with words above and below it."""

    picture: np.ndarray  # uint8 (H, W) grey or (H, W, 3) RGB
    title: str = ""
    caption: str = ""


def letters(words: str, height_px: float = 11.0, ink: tuple[int, int, int] = INK, bold: bool = False) -> np.ndarray:
    """One line of text, as wide as it is. ASCII: OpenCV draws nothing else."""
    scale = FINE * height_px / CAP_PX
    stroke = max(1, round(FINE * height_px * (0.17 if bold else 0.115)))
    (width, height), below = cv2.getTextSize(words, cv2.FONT_HERSHEY_SIMPLEX, scale, stroke)
    edge = stroke + FINE
    fine = np.full((height + 2 * below + 2 * edge, width + 2 * edge, 3), 255, np.uint8)
    cv2.putText(fine, words, (edge, height + edge), cv2.FONT_HERSHEY_SIMPLEX, scale, ink, stroke, cv2.LINE_AA)
    size = (-(-fine.shape[1] // FINE), -(-fine.shape[0] // FINE))
    return cv2.resize(fine, size, interpolation=cv2.INTER_AREA)


def coloured(values: np.ndarray, low: float, high: float, colours: int = cv2.COLORMAP_VIRIDIS) -> np.ndarray:
    """Numbers (H, W) in a perceptually uniform colour map; equal limits give its lowest colour."""
    span = high - low
    share = (np.asarray(values, np.float32) - low) / span if span > 0 else np.zeros(np.shape(values), np.float32)
    level = np.rint(np.clip(share, 0, 1) * 255).astype(np.uint8)
    return cv2.cvtColor(cv2.applyColorMap(level, colours), cv2.COLOR_BGR2RGB)


def flow_colours(flow: np.ndarray, full_px: float) -> np.ndarray:
    """The usual colour wheel: hue is the direction, white is stillness, full colour a length of `full_px` or more."""
    u, v = (np.ascontiguousarray(flow[..., i], np.float32) for i in range(2))
    length, hue_deg = cv2.cartToPolar(u, v, angleInDegrees=True)
    share = np.minimum(length / np.float32(full_px), 1)
    hsv = np.dstack([hue_deg, share, 1 - 0.15 * share]).astype(np.float32)
    return np.rint(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB) * 255).astype(np.uint8)


def wheel(side_px: int, full_px: float) -> np.ndarray:
    """The key to `flow_colours`: the colour at each place is that of a movement from the middle to there."""
    at = np.linspace(-1.05, 1.05, 3 * side_px, dtype=np.float32) * np.float32(full_px)
    flow = np.stack(np.meshgrid(at, at), axis=-1)
    picture = flow_colours(flow, full_px)
    picture[np.hypot(flow[..., 0], flow[..., 1]) > full_px] = 255
    return cv2.resize(picture, (side_px, side_px), interpolation=cv2.INTER_AREA)


def bar(low: str, high: str, colours: int = cv2.COLORMAP_VIRIDIS, width_px: int = 180) -> np.ndarray:
    """The key to `coloured`: a strip with a word at either end."""
    ramp = coloured(np.tile(np.linspace(0, 1, width_px), (14, 1)), 0, 1, colours)
    parts = [letters(low, 10, FAINT), ramp, letters(high, 10, FAINT)]
    return _side_by_side(parts, gap_px=8)


def overlay(face: np.ndarray, heat: np.ndarray, colours: np.ndarray) -> np.ndarray:
    """Colours over a grey face: the more, the hotter. `heat` (H, W) 0..1."""
    weight = (0.2 + 0.5 * np.clip(heat, 0, 1))[..., None]
    grey = np.repeat(face[..., None].astype(np.float32), 3, axis=2)
    return np.rint(grey * (1 - weight) + colours * weight).astype(np.uint8)


def bars(shares: np.ndarray, width_px: int, names: Sequence[str], tall_px: int = 60) -> np.ndarray:
    """Shares (groups, N), 0..1, as a row of thin columns for each group, one above the other, with a line at a half.

    Args:
        names: of the groups.
    """
    title_px, gap_px = 20, 8
    step = title_px + tall_px + gap_px
    picture = np.full((step * len(shares), width_px, 3), 255, np.uint8)
    for row, (name, group) in enumerate(zip(names, shares, strict=True)):
        bottom = row * step + title_px + tall_px
        paste(picture, letters(name, 9, FAINT), 0, row * step)
        edges = np.linspace(0, width_px, len(group) + 1).astype(int)
        for share, left, right, colour in zip(
            group, edges[:-1], edges[1:], coloured(group[None], 0, 1)[0], strict=True
        ):
            picture[bottom - round(tall_px * float(share)) : bottom, left : max(right, left + 1)] = colour
        picture[bottom : bottom + 1] = FAINT
        picture[bottom - tall_px // 2] = FAINT
    return picture


def paste(sheet: np.ndarray, picture: np.ndarray, x: int, y: int) -> None:
    """Put a picture on a sheet, in place; what hangs over the edge is cut off."""
    part = sheet[max(y, 0) : y + picture.shape[0], max(x, 0) : x + picture.shape[1]]
    top, left = max(-y, 0), max(-x, 0)
    part[:] = picture[top : top + part.shape[0], left : left + part.shape[1]]


def compose(
    rows: Sequence[Sequence[Panel | None]],
    *,
    heading: str,
    notes: Sequence[str] = (),
    names: Sequence[str] = (),
    keys: Sequence[np.ndarray] = (),
    panel_px: int = PANEL_PX,
    smooth: bool = True,
) -> np.ndarray:
    """A page: heading, rows of panels (None leaves a gap), keys and notes below.

    Args:
        names: one for each row, to the left of it; `|` breaks a line.
        keys: colour bars and wheels.
        smooth: enlarge pictures smoothly; False shows their pixels.
    Returns:
        uint8 (H, W, 3) RGB.
    """
    labels = [[letters(line, 11, INK, i == 0) for i, line in enumerate(name.split("|"))] for name in names]
    left = MARGIN_PX + max((line.shape[1] + GAP_PX for label in labels for line in label), default=0)
    strips, y = [], 0
    for row in rows:
        above = 27 if any(panel and panel.title for panel in row) else 0
        below = 23 if any(panel and panel.caption for panel in row) else 0
        strips.append((y + above, row))
        y += above + panel_px + below + GAP_PX
    columns = max(len(row) for row in rows)
    foot = [letters(note, 9.5, FAINT) for note in notes]
    head = letters(heading, 15, INK, bold=True)
    key = _side_by_side(keys, gap_px=24) if keys else np.zeros((0, 0, 3), np.uint8)
    inner = max(columns * (panel_px + GAP_PX), *(line.shape[1] for line in [*foot, head]), key.shape[1])
    width = max(left + columns * (panel_px + GAP_PX), MARGIN_PX + inner) - GAP_PX + MARGIN_PX
    top = MARGIN_PX + head.shape[0] + GAP_PX
    page = np.full(
        (top + y + (key.shape[0] + GAP_PX if keys else 0) + 22 * len(foot) + MARGIN_PX, width, 3), 255, np.uint8
    )
    paste(page, head, MARGIN_PX, MARGIN_PX)
    for index, (at, row) in enumerate(strips):
        for column, panel in enumerate(row):
            if panel:
                _place(page, panel, left + column * (panel_px + GAP_PX), top + at, panel_px, smooth)
        for line, words in enumerate(labels[index] if labels else []):
            offset = (panel_px - 20 * len(labels[index])) // 2
            paste(page, words, MARGIN_PX, top + at + offset + 20 * line)
    paste(page, key, left if keys else 0, top + y)
    below = top + y + (key.shape[0] + GAP_PX if keys else 0)
    for index, line_ in enumerate(foot):
        paste(page, line_, MARGIN_PX, below + 22 * index)
    return page


def make_folder(path: Path) -> None:
    """Said before the work, not after it. Raises ImageError where there can be no such folder."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ImageError(f"can't write to {path}: {error.strerror}") from error


def write_png(path: Path, picture: np.ndarray) -> None:
    """Raises ImageError where the file can't be written."""
    write_bytes(path, cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))[1].tobytes())


def write_bytes(path: Path, data: bytes) -> None:
    """Raises ImageError where the file can't be written."""
    try:
        path.write_bytes(data)
    except OSError as error:
        raise ImageError(f"can't write {path}: {error.strerror}") from error


def _place(page: np.ndarray, panel: Panel, x: int, y: int, side_px: int, smooth: bool) -> None:
    picture = panel.picture if panel.picture.ndim == 3 else cv2.cvtColor(panel.picture, cv2.COLOR_GRAY2RGB)
    shrinking = picture.shape[0] > side_px
    how = cv2.INTER_AREA if shrinking else cv2.INTER_CUBIC if smooth else cv2.INTER_NEAREST
    if picture.shape[:2] != (side_px, side_px):
        picture = cv2.resize(picture, (side_px, side_px), interpolation=how)
    cv2.rectangle(page, (x - 1, y - 1), (x + side_px, y + side_px), (214, 214, 218), 1)
    paste(page, picture, x, y)
    for words, at, ink in ((panel.title, y - 27, INK), (panel.caption, y + side_px + 4, FAINT)):
        if words:
            line = letters(words, 10, ink)
            paste(page, line, x + (side_px - line.shape[1]) // 2, at)


def _side_by_side(pictures: Sequence[np.ndarray], gap_px: int) -> np.ndarray:
    height = max(picture.shape[0] for picture in pictures)
    width = sum(picture.shape[1] for picture in pictures) + gap_px * (len(pictures) - 1)
    strip = np.full((height, width, 3), 255, np.uint8)
    x = 0
    for picture in pictures:
        paste(strip, picture, x, (height - picture.shape[0]) // 2)
        x += picture.shape[1] + gap_px
    return strip
