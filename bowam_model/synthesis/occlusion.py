"""Where skin covers or uncovers something, no smooth field will do: the closing eyelid and the opening mouth.

Both work on the head at rest, the *texture*, whose pixel (x, y) shows the point (x, y) / scale + origin of the crop.
"""

import cv2
import numpy as np

# Rows of mesh points from corner to corner with x rising: the skin above the lid, its fold, its edge, the lower lid.
LID_RIGHT: tuple[tuple[int, ...], ...] = (
    (225, 224, 223, 222, 221),
    (247, 30, 29, 27, 28, 56, 190),
    (33, 246, 161, 160, 159, 158, 157, 173, 133),
    (33, 7, 163, 144, 145, 153, 154, 155, 133),
)
LID_LEFT: tuple[tuple[int, ...], ...] = (
    (441, 442, 443, 444, 445),
    (414, 286, 258, 257, 259, 260, 467),
    (362, 398, 384, 385, 386, 387, 388, 466, 263),
    (362, 382, 381, 380, 374, 373, 390, 249, 263),
)
MARGIN_PX = 3.0  # of the crop, around an eye
LASHES_PX = 8.0  # a few lashes side by side


def lid_travel_px(landmarks: np.ndarray) -> float:
    """How far the middle of the upper lid travels in a blink, in the units of `landmarks` (468, 2): the wider eye."""
    return float(max(landmarks[145, 1] - landmarks[159, 1], landmarks[374, 1] - landmarks[386, 1]))


class Eyelid:
    """One eye that can close: the skin above the eye is stretched down over it, the eye itself stays where it is."""

    def __init__(
        self, rows: tuple[tuple[int, ...], ...], landmarks: np.ndarray, scale: float, origin: np.ndarray
    ) -> None:
        points = (landmarks - origin) * scale
        above, fold, upper, lower = (points[list(row)] for row in rows)
        left, right = upper[:, 0].min(), upper[:, 0].max()
        x0, x1 = int(left - MARGIN_PX * scale), int(right + MARGIN_PX * scale) + 1
        self._x = np.arange(x0, x1, dtype=np.float32)
        self._upper, self._lower = _curve(upper, self._x), _curve(lower, self._x)
        self._lower = np.maximum(self._lower, self._upper)
        # The skin that unfolds reaches half way from the fold of the lid to the brow.
        top = 0.5 * (_curve(above, self._x) + _curve(fold, self._x))
        self._top = np.minimum(top, self._upper - 4.0 * scale)
        y0, y1 = int(self._top.min()) - 2, int(self._lower.max() + MARGIN_PX * scale)
        self._across = 2 * round(LASHES_PX * scale / 2) + 1
        self._y = np.arange(y0, y1, dtype=np.float32)[:, None]
        self.box = (slice(y0, y1), slice(x0, x1))  # rows and columns of the texture that change

    def close(self, texture: np.ndarray, closure: float) -> np.ndarray:
        """The pixels of `box` with the eye closed by `closure`, 0 (as in the photo) to 1."""
        edge = self._upper + closure * (self._lower - self._upper)  # where the lid's edge is now
        skin_now, skin_before = edge - self._top, self._upper - self._top
        u = np.clip((edge - self._y) / skin_now, 0.0, 1.0)  # 0 at the lid's edge, 1 at the top of the skin
        # A cubic from edge to top that keeps the lashes and the brow's surroundings unstretched: slope 1 at both ends.
        slope = np.minimum(skin_now, 2.8 * skin_before)
        before = slope * u * (1 - u) ** 2 + skin_before * u**2 * (3 - 2 * u) - slope * u**2 * (u - 1)
        covered = (self._y >= self._top) & (self._y <= edge)
        rows = np.where(covered, self._upper - before, self._y).astype(np.float32)
        columns = np.broadcast_to(self._x, rows.shape)
        origin_y, origin_x = self.box[0].start, self.box[1].start
        patch = texture[self.box]
        x, y = columns - origin_x, rows - origin_y
        closed = cv2.remap(patch, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE).astype(np.float32)
        # Lashes that stood before the lid of the open eye would be drawn out to stripes: smooth the lid across.
        lid = np.where(covered, closure * np.minimum(1.0, np.minimum(u, 1.0 - u) * 5.0), 0.0).astype(np.float32)
        across = cv2.blur(closed, (self._across, 1), borderType=cv2.BORDER_REPLICATE)
        lid = lid.reshape(lid.shape + (1,) * (patch.ndim - 2))
        return np.rint(closed + lid * (across - closed)).astype(np.uint8)


def open_mouth(picture: np.ndarray, seam: np.ndarray, gap: np.ndarray, colour: np.ndarray) -> None:
    """Paint the inside of the mouth between the lips, in place.

    `seam` (N, 2) runs along the lower edge of what stays above, in pixels of `picture`; below each of its points the
    lips are `gap` (N,) pixels apart; `colour` is uint8 (3,), or () for a grey picture.
    """
    if gap.max() < 0.05:
        return
    x0, y0 = np.floor(seam.min(axis=0)).astype(int) - 3
    x1, y1 = np.ceil((seam + np.stack([0 * gap, gap], axis=1)).max(axis=0)).astype(int) + 4
    x0, y0 = max(x0, 0), max(y0, 0)
    box = picture[y0:y1, x0:x1]
    if not box.size:
        return
    lower = seam + np.stack([0 * gap, gap], axis=1)
    outline = np.concatenate([seam, lower[::-1]]) - (x0, y0)
    bits = 4
    mask = np.zeros(box.shape[:2], np.uint8)
    cv2.fillPoly(mask, [np.rint(outline * 2**bits).astype(np.int32)], (255,), cv2.LINE_AA, bits)
    alpha = cv2.GaussianBlur(mask, (0, 0), 1.4).astype(np.float32) / 255.0
    alpha = alpha.reshape(alpha.shape + (1,) * (picture.ndim - 2))
    box[:] = np.rint(box + alpha * (colour - box.astype(np.float32))).astype(np.uint8)


def mouth_colour(texture: np.ndarray, seam: np.ndarray) -> np.ndarray:
    """A dark red (or grey) that fits the light on the lips, uint8 (3,) or ()."""
    rows, columns = np.rint(seam[:, 1]).astype(int), np.rint(seam[:, 0]).astype(int)
    rows, columns = rows.clip(0, texture.shape[0] - 1), columns.clip(0, texture.shape[1] - 1)
    lips = np.median(texture[rows, columns], axis=0)
    return (lips * ((0.42, 0.28, 0.28) if texture.ndim == 3 else 0.32)).astype(np.uint8)


def _curve(points: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Height of the polyline through `points` (N, 2) at `x`, smoothed, with level ends."""
    order = np.argsort(points[:, 0], kind="stable")
    y = np.interp(x, points[order, 0], points[order, 1]).astype(np.float32)
    width = max(3, int(0.08 * len(x)) | 1)
    return cv2.blur(y[None], (width, 1), borderType=cv2.BORDER_REPLICATE)[0]
