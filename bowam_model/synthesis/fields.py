"""Action units as displacement fields on the face mesh.

A field says how far the skin seen at a pixel of the crop has moved, in pixels of the crop: picture(p) = neutral(p -
field(p)), so the largest displacement in the picture is the largest length of the field. Sides are the person's own:
*right* is on the left of the picture. Point numbers are those of MediaPipe's 468-point Face Mesh.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import msgspec
import numpy as np

CROP_PX = 240
GRID_ORIGIN_PX = (-100, -120)  # left, top of the grid on which fields are sampled: a whole head with its hair
GRID_SHAPE = (470, 440)  # rows, columns; one sample for each pixel of the crop

OVAL: tuple[int, ...] = (10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377)
OVAL += (152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109)
LIP_SEAM = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308)  # upper edge of the lower lip, corner to corner
EYE_RIGHT = (33, 246, 161, 160, 159, 158, 157, 173, 133, 155, 154, 153, 145, 144, 163, 7)
EYE_LEFT = (263, 466, 388, 387, 386, 385, 384, 398, 362, 382, 381, 380, 374, 373, 390, 249)

POINTS = {  # name: (points of the person's right side, of the left side)
    "inner_brow": ((107, 55, 66, 65), (336, 285, 296, 295)),
    "middle_brow": ((105, 52, 66, 65), (334, 282, 296, 295)),
    "outer_brow": ((70, 63, 46, 53), (300, 293, 276, 283)),
    "upper_lid": ((160, 159, 158), (387, 386, 385)),
    "lower_lid": ((144, 145, 153), (373, 374, 380)),
    "outer_eye": ((226, 31, 35), (446, 261, 265)),
    "cheek": ((50, 101, 118, 117), (280, 330, 347, 346)),
    "fold": ((205, 207), (425, 427)),  # beside the nasolabial fold
    "nose_wing": ((98, 129, 48, 64), (327, 358, 278, 294)),
    "upper_lip": ((39, 40, 37), (269, 270, 267)),
    "lip_corner": ((61, 185, 146), (291, 409, 375)),
    "jaw": ((17, 84, 181, 148, 171), (17, 314, 405, 377, 396)),
}


class Action(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How strongly one action unit takes part in an expression, on either side (0..1, relative to the others)."""

    unit: int
    right: float = 1.0
    left: float = 1.0


@dataclass(frozen=True)
class Pull:
    """A piece of skin that one muscle moves."""

    group: str  # key of POINTS
    outward: float  # displacement away from the midline, relative
    down: float  # displacement down the face, relative
    width_px: float  # Gaussian width across
    height_px: float  # Gaussian width along the face


UNITS: dict[int, tuple[Pull, ...]] = {  # FACS: Ekman, Friesen and Hager, 2002
    1: (Pull("inner_brow", -0.1, -1.0, 10, 11),),  # inner brow raiser
    2: (Pull("outer_brow", 0.15, -1.0, 12, 11),),  # outer brow raiser
    4: (Pull("inner_brow", -0.6, 0.8, 9, 10), Pull("middle_brow", -0.25, 0.6, 9, 10)),  # brow lowerer
    5: (Pull("upper_lid", 0.0, -1.0, 8, 3.5),),  # upper lid raiser
    6: (Pull("cheek", 0.15, -1.0, 14, 10), Pull("outer_eye", -0.4, 0.1, 8, 8)),  # cheek raiser
    7: (Pull("lower_lid", -0.1, -1.0, 9, 4), Pull("upper_lid", 0.0, 0.5, 8, 3)),  # lid tightener
    9: (Pull("nose_wing", -0.1, -1.0, 9, 11), Pull("upper_lip", 0.0, -0.5, 9, 7), Pull("inner_brow", -0.3, 0.4, 8, 8)),
    10: (Pull("upper_lip", 0.05, -1.0, 10, 6), Pull("nose_wing", 0.1, -0.5, 9, 8)),  # upper lip raiser
    12: (Pull("lip_corner", 0.75, -0.8, 11, 10), Pull("fold", 0.3, -0.5, 13, 14)),  # lip corner puller
    14: (Pull("lip_corner", 0.95, 0.0, 9, 7),),  # dimpler
    15: (Pull("lip_corner", 0.1, 1.0, 9, 10),),  # lip corner depressor
    26: (Pull("jaw", 0.0, 1.0, 19, 18),),  # jaw drop
}
JAW = 26
VARIATION_PX = 2.5  # standard deviations between people: where a muscle pulls,
VARIATION_RAD = 0.2  # in which direction,
VARIATION_SIZE = 0.2  # and over what width (logarithm)


@dataclass(frozen=True, eq=False)
class Expression:
    """Action units together, scaled so that the largest displacement is 1 pixel of the crop."""

    field: np.ndarray  # float32 (rows, columns, 2)
    lip_gap: np.ndarray  # float32 (11,): how far the lips part at the points of LIP_SEAM


def grid() -> tuple[np.ndarray, np.ndarray]:
    """Coordinates x, y of the samples in pixels of the crop, each float32 of GRID_SHAPE."""
    rows, columns = GRID_SHAPE
    x = np.arange(columns, dtype=np.float32) + GRID_ORIGIN_PX[0]
    y = np.arange(rows, dtype=np.float32) + GRID_ORIGIN_PX[1]
    return tuple(np.meshgrid(x, y))  # type: ignore[return-value]


def smoothstep(x: np.ndarray, low: float, high: float) -> np.ndarray:
    """0 below `low`, 1 above `high`, in between a cubic without kinks."""
    u = np.clip((x - low) / (high - low), 0.0, 1.0)
    return u * u * (3.0 - 2.0 * u)


def _inside_px(polygon: np.ndarray) -> np.ndarray:
    """Distance in pixels from the border of `polygon` (N, 2): positive inside, negative outside."""
    mask = np.zeros(GRID_SHAPE, np.uint8)
    cv2.fillPoly(mask, [np.rint(polygon - GRID_ORIGIN_PX).astype(np.int32)], (1,))
    inside = cv2.distanceTransform(mask, cv2.DIST_L2, 5)
    return inside - cv2.distanceTransform(1 - mask, cv2.DIST_L2, 5)


def lip_seam(landmarks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where the lips part: x (rising) and y of LIP_SEAM, each (11,)."""
    points = landmarks[list(LIP_SEAM)]
    return np.maximum.accumulate(points[:, 0]), points[:, 1]


class FaceFields:
    """The fields of one face. Each is computed when first asked for."""

    def __init__(self, landmarks: np.ndarray, variation: np.random.Generator | None = None) -> None:
        """`landmarks`: (468, 2) in pixels of the crop. With `variation`, every muscle is a little off the book."""
        self._variation = variation
        self.landmarks = landmarks.astype(np.float32)
        self._x, self._y = grid()
        self._cache: dict[tuple[int, str], np.ndarray] = {}
        oval = self.landmarks[list(OVAL)]
        self._face = smoothstep(_inside_px(oval), 1.0, 14.0)
        # The chin carries the skin below it along: the only movement that crosses the outline of the face.
        middle = oval.mean(axis=0)
        lowered = oval + np.maximum(oval - middle, 0) * (0.0, 0.45)
        self._face_and_throat = smoothstep(_inside_px(lowered), 1.0, 30.0)
        eyes = [_inside_px(self.landmarks[list(eye)]) for eye in (EYE_RIGHT, EYE_LEFT)]
        # A brow slides over the eye: its movement has died away where the upper lid begins.
        self._off_the_eyes = smoothstep(-np.maximum(*eyes), 3.0, 13.0)
        x, y = lip_seam(self.landmarks)
        below = self._y - np.interp(self._x[0], x, y)
        to_corner = np.abs(self._x - (x[0] + x[-1]) / 2) / ((x[-1] - x[0]) / 2)  # 0 in the middle, 1 at the corners
        held = (1.0 - smoothstep(to_corner, 0.2, 1.05)) ** 0.7  # the corners of the mouth hold the lips together
        chin = smoothstep(below, 4.0, 26.0)
        self._below_the_lips = smoothstep(below, 0.0, 2.0) * (chin + (1.0 - chin) * held)

    def unit(self, unit: int, side: str) -> np.ndarray:
        """Field of one action unit on one side ("right" or "left"), float32 (rows, columns, 2), not yet scaled."""
        if (unit, side) not in self._cache:
            self._cache[unit, side] = self._compute(unit, side)
        return self._cache[unit, side]

    def expression(self, actions: Iterable[Action]) -> Expression:
        """Several action units together. Raises ValueError where none has a strength above 0."""
        field = np.zeros((*GRID_SHAPE, 2), np.float32)
        gap = np.zeros(len(LIP_SEAM), np.float32)
        for action in actions:
            for side, strength in (("right", action.right), ("left", action.left)):
                field += strength * self.unit(action.unit, side)
                if action.unit == JAW:
                    gap += strength * self._below_the_seam(self.unit(JAW, side)[..., 1])
        peak = float(np.sqrt((field**2).sum(axis=-1).max()))
        if not peak > 0.0:
            raise ValueError("an expression needs at least one action with a strength above 0")
        return Expression(field=field / peak, lip_gap=gap / peak)

    def _below_the_seam(self, values: np.ndarray) -> np.ndarray:
        x, y = lip_seam(self.landmarks)
        columns, rows = np.rint(x - GRID_ORIGIN_PX[0]).astype(int), np.rint(y - GRID_ORIGIN_PX[1]).astype(int)
        return values[rows + 3, columns]

    def _compute(self, unit: int, side: str) -> np.ndarray:
        outward = -1.0 if side == "right" else 1.0
        field = np.zeros((*GRID_SHAPE, 2), np.float32)
        for pull in UNITS[unit]:
            points = self.landmarks[list(POINTS[pull.group][side == "left"])]
            direction = np.array([outward * pull.outward, pull.down])
            size_px = np.array([pull.width_px, pull.height_px])
            if self._variation is not None:
                turn = self._variation.normal(0.0, VARIATION_RAD)
                direction = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) @ direction
                size_px = size_px * np.exp(self._variation.normal(0.0, VARIATION_SIZE, 2))
                points = points + self._variation.normal(0.0, VARIATION_PX, 2)
            first = np.floor(points.min(axis=0) - 4 * size_px - GRID_ORIGIN_PX).astype(int).clip(0)
            last = np.ceil(points.max(axis=0) + 4 * size_px - GRID_ORIGIN_PX).astype(int)
            near = (slice(first[1], last[1]), slice(first[0], last[0]))  # beyond, a Gaussian is next to nothing
            stay = np.ones_like(self._x[near])
            for x, y in points.astype(np.float32):
                distance2 = ((self._x[near] - x) / size_px[0]) ** 2 + ((self._y[near] - y) / size_px[1]) ** 2
                stay *= 1.0 - np.exp(-0.5 * distance2.astype(np.float32))
            reach = 1.0 - stay  # a plateau over the group instead of a peak at each of its points
            if pull.group.endswith("brow"):
                reach = reach * self._off_the_eyes[near]
            field[near] += reach[..., None] * direction.astype(np.float32)
        mask = self._face_and_throat * self._below_the_lips if unit == JAW else self._face
        return field * mask[..., None]
