"""The candidates: each a way from two crops to the motion of the face's regions against the head.

All share the regions, their windows and the model of the head, so that only the estimate of motion differs.
"""

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np

from bowam_model.flow import farneback
from bowam_stream.spotting.motion import Windows, measure, prepare
from bowam_stream.spotting.regions import CENTRES, CROP_PX, GRID, head_fields

_RIGID_STEPS, _RIGID_PX = 3, 0.25  # the robust fit of the head, as in `spotting.motion`
_PATCH_PX, _STRIDE_PX = 48, 24
_NO_GUESS: Any = None  # OpenCV takes None, its stubs do not

Follow = Callable[[np.ndarray], np.ndarray]  # crop -> motion of the regions since the reference (R, 2), crop px
Start = Callable[[np.ndarray, np.ndarray], Follow]  # reference crop, landmarks (468, 2)


def against_head(motion: np.ndarray, seen: np.ndarray, where: Windows) -> np.ndarray:
    """Motion of the regions (R, 2) from that of the cells (cells, 2), of which `seen` (cells,) 0..1 tell something."""
    fields = head_fields()
    head = np.zeros(6)
    rigid = where.rigid * seen
    weights = rigid
    for _ in range(_RIGID_STEPS):
        matrix = np.einsum("c,cak,cal->kl", weights, fields, fields, optimize=True)
        side = np.einsum("c,cak,ca->k", weights, fields, motion, optimize=True)
        head = np.linalg.solve(matrix + 1e-3 * weights.sum() * np.eye(6), side)
        apart = ((motion - fields @ head) ** 2).sum(axis=1)
        weights = rigid / (1.0 + apart / _RIGID_PX**2) ** 2
    regions = where.regions * seen
    return regions @ (motion - fields @ head) / np.maximum(regions.sum(axis=1, keepdims=True), 1e-9)


def regional_solve(reference: np.ndarray, landmarks: np.ndarray) -> Follow:
    """The spotter's own."""
    key, where = prepare(reference), Windows.on(landmarks)
    return lambda crop: measure(key, prepare(crop), where)[0]


def dense(flow: Callable[[np.ndarray, np.ndarray], np.ndarray], side_px: int = CROP_PX) -> Start:
    """A dense flow on crops of `side_px`, averaged over the cells."""

    def start(reference: np.ndarray, landmarks: np.ndarray) -> Follow:
        where, before = Windows.on(landmarks), _sized(reference, side_px)
        everywhere = np.ones(len(CENTRES), np.float32)
        scale = CROP_PX / side_px

        def follow(crop: np.ndarray) -> np.ndarray:
            cells = cv2.resize(flow(before, _sized(crop, side_px)), (GRID, GRID), interpolation=cv2.INTER_AREA)
            return against_head(cells.reshape(-1, 2) * scale, everywhere, where)

        return follow

    return start


def inverse_search(preset: int, finest: int) -> Start:
    """OpenCV's DIS (Kroeger 2016) with another finest scale than the preset's; 0 is the full crop."""
    engine = cv2.DISOpticalFlow.create(preset)
    engine.setFinestScale(finest)
    return dense(lambda before, after: engine.calc(before, after, _NO_GUESS))


def lucas_kanade(window_px: int, side_px: int = CROP_PX, every: int = 1) -> Start:
    """Pyramidal Lucas-Kanade (Bouguet 2001) at the cells that are read, of these one in `every` across and down.

    `window_px` is the side of its own window, in pixels of a crop of `side_px`.
    """
    lattice = np.zeros((GRID, GRID), bool)
    lattice[::every, ::every] = True
    scale = CROP_PX / side_px

    def start(reference: np.ndarray, landmarks: np.ndarray) -> Follow:
        where, before = Windows.on(landmarks), _sized(reference, side_px)
        chosen = _read_from(where) & lattice.reshape(-1)
        points = ((CENTRES[chosen] + 0.5) / scale - 0.5).reshape(-1, 1, 2)

        def follow(crop: np.ndarray) -> np.ndarray:
            there, found, _ = cv2.calcOpticalFlowPyrLK(
                before, _sized(crop, side_px), points, _NO_GUESS, winSize=(window_px, window_px), maxLevel=2
            )
            motion, seen = np.zeros_like(CENTRES), np.zeros(len(CENTRES), np.float32)
            motion[chosen], seen[chosen] = (there - points)[:, 0] * scale, found[:, 0]
            return against_head(motion, seen, where)

        return follow

    return start


def phase_correlation(reference: np.ndarray, landmarks: np.ndarray) -> Follow:
    """Shift of overlapping patches by OpenCV's phase correlation; a cell has the mean of the patches over it."""
    where = Windows.on(landmarks)
    wanted = _read_from(where).reshape(GRID, GRID)
    window = cv2.createHanningWindow((_PATCH_PX, _PATCH_PX), cv2.CV_32F)
    cell, size = CROP_PX // GRID, _PATCH_PX // (CROP_PX // GRID)
    corners = range(0, GRID - size + 1, _STRIDE_PX // cell)
    patches = [(row, col) for row in corners for col in corners if wanted[row : row + size, col : col + size].any()]
    before = reference.astype(np.float32)

    def follow(crop: np.ndarray) -> np.ndarray:
        after = crop.astype(np.float32)
        total, count = np.zeros((GRID, GRID, 2), np.float32), np.zeros((GRID, GRID, 1), np.float32)
        for row, col in patches:
            part = (slice(row * cell, row * cell + _PATCH_PX), slice(col * cell, col * cell + _PATCH_PX))
            # Copies: OpenCV multiplies the window into the very arrays that it is given.
            shift, _ = cv2.phaseCorrelate(before[part].copy(), after[part].copy(), window)
            total[row : row + size, col : col + size] += shift
            count[row : row + size, col : col + size] += 1
        motion = (total / np.maximum(count, 1)).reshape(-1, 2)
        return against_head(motion, np.minimum(count, 1).reshape(-1), where)

    return follow


def _sized(crop: np.ndarray, side_px: int) -> np.ndarray:
    return crop if side_px == CROP_PX else cv2.resize(crop, (side_px, side_px), interpolation=cv2.INTER_AREA)


def _read_from(where: Windows) -> np.ndarray:
    """Cells (cells,) bool in which a region or the rigid face has a good part of its weight."""
    windows = np.vstack([where.regions, where.rigid])
    return np.asarray((windows > 0.3 * windows.max(axis=1, keepdims=True)).any(axis=0))


PRESETS = {
    "ultrafast": cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST,
    "fast": cv2.DISOPTICAL_FLOW_PRESET_FAST,
    "medium": cv2.DISOPTICAL_FLOW_PRESET_MEDIUM,
}
OURS = "regional Gauss-Newton (ours)"
ESTIMATORS: dict[str, Start] = {
    OURS: regional_solve,
    "Farneback 240": dense(farneback),
    "Farneback 128": dense(farneback, 128),
    **{f"DIS {name}, finest {k}": inverse_search(preset, k) for name, preset in PRESETS.items() for k in (2, 1, 0)},
    "Lucas-Kanade 15": lucas_kanade(15),
    "Lucas-Kanade 31": lucas_kanade(31),
    "Lucas-Kanade 31, one cell in 4": lucas_kanade(31, every=2),
    "Lucas-Kanade 15 at 120": lucas_kanade(15, 120),
    "Lucas-Kanade 15 at 120, one cell in 4": lucas_kanade(15, 120, every=2),
    "phase correlation 48": phase_correlation,
}
