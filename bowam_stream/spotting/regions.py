"""Where the spotter looks: regions of the face as groups of Face Mesh points, and how a head in motion moves them.

"Left" and "right" are those of the picture. Every region is a soft window (a sum of Gaussians around its points), so
that a landmark that trembles moves a window's edge and not the measurement.
"""

import numpy as np

GRID = 30  # cells per side; one cell is 8 px of the 240 px crop
CROP_PX = 240
CELL_PX = CROP_PX / GRID

REGIONS: dict[str, tuple[int, ...]] = {
    "brow_outer_left": (70, 63, 105, 71),
    "brow_inner_left": (66, 107, 108, 69),
    "brow_inner_right": (296, 336, 337, 299),
    "brow_outer_right": (300, 293, 334, 301),
    "glabella": (9, 8, 55, 285),
    "nose_wing_left": (64, 129, 126),
    "nose_wing_right": (294, 358, 355),
    "cheek_left": (117, 118, 101, 50),
    "cheek_right": (346, 347, 330, 280),
    "mouth_corner_left": (61, 57, 186, 43),
    "mouth_corner_right": (291, 287, 410, 273),
    "lip_upper": (0, 37, 267, 164),
    "lip_lower": (17, 84, 314, 18),
    "chin": (199, 175, 208, 428),
    "eye_left": (159, 145, 158, 153, 160, 144),
    "eye_right": (386, 374, 385, 380, 387, 373),
}
NAMES = tuple(REGIONS)
EYES = np.array([name.startswith("eye") for name in NAMES])
MOUTH = np.array([name.startswith(("mouth", "lip", "chin")) for name in NAMES])
UPPER = np.array([name.startswith(("brow", "glabella")) for name in NAMES])

RIGID = (168, 6, 197, 195, 5, 9, 151, 67, 297, 109, 338, 54, 284, 116, 345, 123, 352, 50, 280, 126, 355, 193, 417)
"""Points that move little against the skull: bridge of the nose, forehead, temples, cheek bones."""

_EYE_OPENINGS = ((33, 133, 159, 145), (263, 362, 386, 374))  # outer and inner corner, upper and lower lid
_WINDOW_PX = 11.0  # standard deviation of one point's window
_EYE_MASK_PX = (26.0, 16.0)  # half axes of what a blink repaints, masked out of every region but the eyes
_POINTS = np.array([*(point for points in REGIONS.values() for point in points), *RIGID])  # of every window, in turn
_ENDS = np.cumsum([*(len(points) for points in REGIONS.values()), len(RIGID)])
_SHARES = [slice(first, end) for first, end in zip((0, *_ENDS[:-1]), _ENDS, strict=True)]  # of each window in _POINTS


def cell_centres() -> np.ndarray:
    """Centres of the cells in crop px, float32 (GRID * GRID, 2), row by row."""
    line = (np.arange(GRID, dtype=np.float32) + 0.5) * CELL_PX - 0.5
    return np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2)


CENTRES = cell_centres()


def windows(landmarks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weights of the cells for landmarks (468, 2): of each region (R, cells) and of the rigid face (cells,)."""
    eyes = np.zeros(len(CENTRES), np.float32)
    for outer, inner, upper, lower in _EYE_OPENINGS:
        middle = landmarks[[outer, inner, upper, lower]].mean(axis=0)
        eyes = np.maximum(eyes, np.exp(-(_squared(middle[None], _EYE_MASK_PX)[0] ** 2)))
    kept = 1.0 - eyes
    around = np.exp(-_squared(landmarks[_POINTS]) / (2 * _WINDOW_PX**2))
    *regions, rigid = (around[points].sum(axis=0).astype(np.float32) for points in _SHARES)
    stacked = np.stack(regions)
    stacked[~EYES] *= kept
    return stacked, rigid * kept


def eye_aspect_ratio(landmarks: np.ndarray) -> float:
    """Opening of the wider eye: height over width, about 0.3 open and below 0.15 closed."""
    ratios = []
    for outer, inner, upper, lower in _EYE_OPENINGS:
        width = np.hypot(*(landmarks[outer] - landmarks[inner]))
        ratios.append(np.hypot(*(landmarks[upper] - landmarks[lower])) / max(float(width), 1e-3))
    return float(max(ratios))


def head_fields() -> np.ndarray:
    """How the cells move with the head, float32 (cells, 2, 6): shift x, shift y, size, roll, yaw, pitch.

    Size and roll are in px at 60 px from the middle of the face. Yaw and pitch move a point by its depth: a parabola
    across the face with a nose on it, fitted to Face Mesh's depth over twelve neutral faces (residual 8 px; the depth
    of the nose over the eyes is 45 px).
    """
    x, y = ((CENTRES - CROP_PX / 2) / 60.0).T
    depth = (15.0 - 33.0 * x**2 - 3.0 * y + 24.0 * np.exp(-((x / 0.25) ** 2 + ((y - 0.05) / 0.4) ** 2) / 2)) / 60.0
    one, zero = np.ones_like(x), np.zeros_like(x)
    across = np.stack([one, zero, x, -y, depth, zero], axis=1)
    down = np.stack([zero, one, y, x, zero, depth], axis=1)
    return np.stack([across, down], axis=1).astype(np.float32)


def _squared(points: np.ndarray, axes: tuple[float, float] | None = None) -> np.ndarray:
    """Squared distance of every cell from points (N, 2), in px or, float64, in half axes: (N, cells)."""
    across, down = CENTRES[:GRID, 0] - points[:, :1], CENTRES[::GRID, 1] - points[:, 1:]
    if axes is not None:
        across, down = across / np.array(axes[:1]), down / np.array(axes[1:])
    return ((across**2)[:, None, :] + (down**2)[:, :, None]).reshape(len(points), -1)
