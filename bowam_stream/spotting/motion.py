"""How far each region of a face has moved against its skull, by direct regional registration (Gauss-Newton).

One linear solve per region over hundreds of pixels instead of many small ones: for a patch that moves as a whole this
is the least noisy estimate there is. Gradients are the mean of both pictures' (efficient second-order minimisation,
Benhimane & Malis 2004), which keeps the estimate linear up to about three pixels of the crop.

    crop -> Picture (half size, low contrast removed) -> normal equations on a 30 x 30 grid
         -> rigid motion of the head, robust (6 numbers) -> residual motion of each region
"""

from dataclasses import dataclass

import cv2
import numpy as np

from bowam_stream.clock import NS_PER_MS, leg
from bowam_stream.messages import Triple
from bowam_stream.spotting.regions import CROP_PX, GRID, NAMES, head_fields, windows

WORK_PX = CROP_PX // 2  # pictures are compared at half size
PX = CROP_PX / WORK_PX  # crop px per working px
# A derivative and the smoothing that belongs to it (Farid & Simoncelli 2004, table I, 5 taps): with Sobel's, which do
# not match, a shift of 2 px reads 2.4.
_LEVEL = np.array([0.037659, 0.249153, 0.426375, 0.249153, 0.037659], np.float32)
_SLOPE = np.array([-0.109604, -0.276691, 0.0, 0.276691, 0.109604], np.float32)
_BLUR_PX = 0.7  # working px: makes one solve valid for larger steps, takes sensor noise off
_CONTRAST_PX = 5  # working px: side of the box whose mean is removed, and with it the lighting
_RIDGE = 2e-4  # of normalised gradient energy per px: what keeps a region without texture at rest
_HEAD_PRIOR = 1e-3  # weak pull of the head's motion to rest, where texture does not decide
_ROBUST_PX = 0.25  # a cell that disagrees with the head by this much counts half
_ROBUST_STEPS = 2
_NOTHING = 1e-20  # of texture or of a window: an even picture, or a face beyond its crop, is at rest
_FAR_PX = 2.0  # crop px: one solve is trusted up to here
_KEY_MS = 400.0  # a key picture that is so old is renewed

_EXACT = 2.0**20  # steps per px: such numbers add up without rounding errors, wherever they are counted from

_HOLD_STEPS = 2  # of registration, when crops are laid over each other
_MIDDLE = np.array([CROP_PX / 2, CROP_PX / 2])


def _products(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.einsum("ck,cl->ckl", a, b).reshape(len(a), -1)


_FIELDS = np.ascontiguousarray(head_fields().transpose(1, 0, 2))
# float64 like all that is multiplied by them: NumPy would convert them anew in every product.
_ACROSS, _DOWN = _FIELDS.astype(np.float64)  # each (cells, 6)
# What each entry of a cell's normal equations adds to the head's, (cells, 36).
_XX, _YY = (_products(field, field).astype(np.float64) for field in _FIELDS)
_XY = (_products(*_FIELDS) + _products(*_FIELDS[::-1])).astype(np.float64)


@dataclass(frozen=True, eq=False)
class Picture:
    """A crop made ready for comparison; arrays (WORK_PX, WORK_PX) float32."""

    texture: np.ndarray
    across: np.ndarray  # derivative along x
    down: np.ndarray  # derivative along y
    brightness: float  # mean grey level of the crop
    contrast: float  # grey levels: what the texture was divided by


@dataclass(frozen=True, eq=False)
class Windows:
    """Where to look on this face, for as long as its landmarks stay put."""

    regions: np.ndarray  # float64 (R, cells)
    rigid: np.ndarray  # float64 (cells,)

    @classmethod
    def on(cls, landmarks: np.ndarray) -> "Windows":
        regions, rigid = windows(landmarks)
        whole = np.maximum(regions.sum(axis=1, keepdims=True), np.float32(_NOTHING))
        return cls((regions / whole).astype(np.float64), rigid)


def prepare(crop: np.ndarray) -> Picture:
    """Take lighting and noise off a uint8 (240, 240) crop."""
    small = cv2.GaussianBlur(
        cv2.resize(crop, (WORK_PX, WORK_PX), interpolation=cv2.INTER_AREA).astype(np.float32), (0, 0), _BLUR_PX
    )
    texture = small - cv2.blur(small, (_CONTRAST_PX, _CONTRAST_PX))
    contrast = float(cv2.norm(texture)) / WORK_PX
    texture *= 1.0 / max(contrast, 1.0)
    level = cv2.sepFilter2D(texture, cv2.CV_32F, _LEVEL, _LEVEL)
    across = cv2.sepFilter2D(texture, cv2.CV_32F, _SLOPE, _LEVEL)
    down = cv2.sepFilter2D(texture, cv2.CV_32F, _LEVEL, _SLOPE)
    return Picture(level, across, down, float(cv2.mean(small)[0]), contrast)


def measure(reference: Picture, current: Picture, where: Windows) -> tuple[np.ndarray, np.ndarray]:
    """Motion from reference to current in crop px: of the regions against the head (R, 2), and of the head (6,).

    The six numbers of the head are those of `regions.head_fields`.
    """
    equations = _normal_equations(reference, current)
    head = _head_motion(equations, where.rigid)
    across, down = _ACROSS @ head, _DOWN @ head
    xx, xy, yy, bx, by = equations
    rest = np.stack([xx, xy, yy, bx - xx * across - xy * down, by - xy * across - yy * down])
    return np.stack(_solve(where.regions @ rest.T), axis=1) * PX, head * PX


def _normal_equations(reference: Picture, current: Picture) -> np.ndarray:
    """Per cell, the least-squares step [[xx, xy], [xy, yy]] d = [bx, by] in working px: float32 (5, cells)."""
    gx = (reference.across + current.across) * 0.5
    gy = (reference.down + current.down) * 0.5
    fall = reference.texture - current.texture
    return np.stack([_cell_means(product) for product in (gx * gx, gx * gy, gy * gy, gx * fall, gy * fall)])


def _head_motion(equations: np.ndarray, rigid: np.ndarray) -> np.ndarray:
    """Six numbers that explain the rigid cells best; cells that move on their own lose their say (Geman-McClure)."""
    xx, xy, yy, bx, by = equations
    own_x, own_y = _solve(equations.T)
    weights = rigid
    prior = max(_HEAD_PRIOR * float(rigid @ xx), _NOTHING) * np.eye(6, dtype=np.float32)
    head = np.zeros(6, np.float32)
    for step in range(_ROBUST_STEPS + 1):
        matrix = (weights * xx) @ _XX + (weights * xy) @ _XY + (weights * yy) @ _YY
        side = (weights * bx) @ _ACROSS + (weights * by) @ _DOWN
        head = np.linalg.solve(matrix.reshape(6, 6) + prior, side)
        if step < _ROBUST_STEPS:
            apart = (own_x - _ACROSS @ head) ** 2 + (own_y - _DOWN @ head) ** 2
            weights = rigid / (1.0 + apart * (PX / _ROBUST_PX) ** 2) ** 2
    return head


def _solve(equations: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """x and y of the steps of many systems (N, 5), held at rest where there is no texture."""
    xx, xy, yy, bx, by = equations.T
    xx, yy = xx + _RIDGE, yy + _RIDGE
    determinant = xx * yy - xy * xy
    return (yy * bx - xy * by) / determinant, (xx * by - xy * bx) / determinant


def _cell_means(image: np.ndarray) -> np.ndarray:
    return cv2.resize(image, (GRID, GRID), interpolation=cv2.INTER_AREA).reshape(-1)


class Follower:
    """Positions over time: motion against a key picture, which is renewed before it is too old or too far away.

    Between two key pictures a step's error is common to all later positions, so it moves the level and not the shape of
    what is seen; positions are only ever compared within seconds. What is measured never depends on what is made of it.
    """

    def __init__(self) -> None:
        self._key: Picture | None = None
        self._where: Windows | None = None
        self._key_ns = 0
        self._regions = np.zeros((len(NAMES), 2))

    def push(self, t_ns: int, crop: np.ndarray, landmarks: np.ndarray) -> tuple[np.ndarray, Picture, np.ndarray | None]:
        """Positions of the regions (R, 2), in crop px since the first picture of the leg; the picture; and, where a leg
        has begun, that first picture's positions as they were counted until now.
        """
        picture = prepare(crop)
        if self._key is None or self._where is None:
            self._key, self._where, self._key_ns = picture, Windows.on(landmarks), t_ns
            return self._regions, picture, None
        moved, turned = measure(self._key, picture, self._where)
        regions = self._regions + np.round(moved * _EXACT) / _EXACT
        far = max(float(np.abs(moved).max()), float(np.abs(turned).max())) > _FAR_PX
        anew = leg(t_ns) != leg(self._key_ns)
        if far or anew or t_ns - self._key_ns >= _KEY_MS * NS_PER_MS:
            self._key, self._where, self._key_ns = picture, Windows.on(landmarks), t_ns
            self._regions = np.zeros_like(regions) if anew else regions
        return (self._regions, picture, regions) if anew else (regions, picture, None)


def common_alignment(onset: np.ndarray, apex: np.ndarray, offset: np.ndarray, landmarks: np.ndarray) -> Triple:
    """The three crops with the head held where it is at the apex: what is left of its motion is taken out."""
    fixed, where = prepare(apex), Windows.on(landmarks)
    return Triple(onset=_held(onset, fixed, where), apex=apex, offset=_held(offset, fixed, where))


def _held(crop: np.ndarray, fixed: Picture, where: Windows) -> np.ndarray:
    """`crop` warped by the similarity that lays its rigid parts over those of `fixed`."""
    warp = np.eye(2, 3)
    held = crop
    for _ in range(_HOLD_STEPS):
        x, y, size, roll = measure(fixed, prepare(held), where)[1][:4]
        # A point p of the fixed picture is seen at p + shift + (size, roll) / 60 * (p - middle).
        step = np.array([[1 + size / 60, -roll / 60, x], [roll / 60, 1 + size / 60, y]])
        step[:, 2] += _MIDDLE - step[:, :2] @ _MIDDLE
        warp = np.column_stack([warp[:, :2] @ step[:, :2], warp[:, :2] @ step[:, 2] + warp[:, 2]])
        held = cv2.warpAffine(
            crop,
            warp,
            (CROP_PX, CROP_PX),
            flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
    return held
