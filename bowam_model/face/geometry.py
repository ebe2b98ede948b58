"""Where things are in an aligned crop, and how a picture gets there.

The crop is 240 x 240 pixels, y downwards. In it the inner eye corners of the average adult face lie at (100, 84) and
(140, 84), its width from cheek to cheek is 158 px and its chin is at y = 211.
"""

import cv2
import numpy as np

CROP_PX = 240

# Points that no muscle moves: eye corners, bridge and sides of the nose, temples. Rows: Face Mesh index, x, y, z in
# crop pixels, z towards the back of the head. Mean of 51 neutral, frontal faces (Face Research Lab London Set) under
# Face Mesh after similarity alignment, made symmetric about x = 120.
_RIGID = np.array(
    [
        (133, 100.0, 84.0, 0.0), (362, 140.0, 84.0, 0.0),
        (168, 120.0, 77.5, -19.4), (6, 120.0, 86.5, -24.2), (197, 120.0, 94.8, -29.8), (195, 120.0, 102.7, -35.9),
        (122, 113.5, 88.4, -21.3), (351, 126.5, 88.4, -21.3), (196, 113.7, 96.5, -28.0), (419, 126.3, 96.5, -28.0),
        (174, 109.0, 100.3, -23.1), (399, 131.0, 100.3, -23.1), (193, 111.3, 78.7, -14.5), (417, 128.7, 78.7, -14.5),
        (245, 108.5, 87.6, -10.4), (465, 131.5, 87.6, -10.4), (127, 40.0, 86.0, 64.5), (356, 200.0, 86.0, 64.5),
        (234, 41.0, 102.4, 70.1), (454, 199.0, 102.4, 70.1), (162, 41.2, 68.7, 52.3), (389, 198.8, 68.7, 52.3),
        (93, 42.2, 119.3, 70.8), (323, 197.8, 119.3, 70.8),
    ]
)  # fmt: skip
RIGID = _RIGID[:, 0].astype(int)
TEMPLATE = _RIGID[:, 1:]


def similarity(points: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Least-squares similarity, float64 (2, 3), that takes `points` (N, 2) to `target` (N, 2). Umeyama 1991 in 2-D."""
    p_mean, t_mean = points.mean(axis=0), target.mean(axis=0)
    p, t = points - p_mean, target - t_mean
    norm = (p * p).sum()
    c = (p * t).sum() / norm
    s = (p[:, 0] * t[:, 1] - p[:, 1] * t[:, 0]).sum() / norm
    rotation = np.array([[c, -s], [s, c]])
    return np.column_stack([rotation, t_mean - rotation @ p_mean])


def head_pose(points: np.ndarray) -> tuple[float, float, float]:
    """Yaw, pitch and roll in degrees from the rigid points (N, 3) of one face, in pixels of the picture.

    Orthogonal Procrustes against the frontal template. All zero: looking at the camera. Positive yaw turns the nose
    to the right of the picture, positive pitch down, positive roll turns the head clockwise.
    """
    a, b = TEMPLATE - TEMPLATE.mean(axis=0), points - points.mean(axis=0)
    u, _, vt = np.linalg.svd(b.T @ a)
    r = u @ np.diag([1.0, 1.0, np.sign(np.linalg.det(u @ vt))]) @ vt
    yaw = np.degrees(np.arctan2(-r[0, 2], r[2, 2]))
    pitch = np.degrees(np.arctan2(-r[1, 2], np.hypot(r[0, 2], r[2, 2])))
    roll = np.degrees(np.arctan2(r[1, 0], r[0, 0]))
    return float(yaw), float(pitch), float(roll)


def crop_face(grey: np.ndarray, transform: np.ndarray, crop_px: int = CROP_PX) -> np.ndarray:
    """The aligned crop, uint8 (crop_px, crop_px), of a grey picture (H, W). Outside the picture it is black.

    Every crop pixel averages n x n bilinear samples at most one source pixel apart, so that a large face is not
    aliased; n is at least 2, so that the blur does not depend on where the samples fall between the source's pixels.
    """
    scale = float(np.hypot(transform[0, 0], transform[1, 0]))
    n = min(max(2, int(np.ceil(1.0 / scale))), 8)
    fine = transform * n
    fine[:, 2] = (
        fine[:, 2] + (n - 1) / 2
    )  # pixel centres are at integers: crop pixel i covers fine pixels n i .. n i + n - 1
    sampled = cv2.warpAffine(grey, fine, (crop_px * n, crop_px * n), flags=cv2.INTER_LINEAR)
    return cv2.resize(sampled, (crop_px, crop_px), interpolation=cv2.INTER_AREA)


def map_points(points: np.ndarray, transform: np.ndarray) -> np.ndarray:
    """Points (N, 2) of the source in crop pixels, float64 (N, 2)."""
    return points @ transform[:, :2].T + transform[:, 2]
