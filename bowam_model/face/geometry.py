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


def crop_face(image: np.ndarray, transform: np.ndarray, crop_px: int = CROP_PX) -> np.ndarray:
    """The aligned crop, uint8 (crop_px, crop_px) grey, of a picture (H, W) or (H, W, 3) RGB. Outside of it: black.

    Every crop pixel is the mean of about the area that it covers, so that a large face is not aliased: the picture is
    first reduced by a whole factor, and a Gaussian then brings the variance of the blur to that of a box as wide as
    one crop pixel. So the blur changes smoothly with the size of the face.
    """
    linear, shift = transform[:, :2], transform[:, 2]
    source_px = 1.0 / float(np.hypot(transform[0, 0], transform[1, 0]))  # source pixels per crop pixel
    factor = max(1, int(source_px))
    corners = np.array([[0, 0], [crop_px, 0], [0, crop_px], [crop_px, crop_px]]) - 0.5
    seen = (corners - shift) @ inverse(linear).T
    # Starting at a multiple of the factor, so that a pixel is always reduced together with the same neighbours.
    x0, y0 = np.maximum(np.floor(seen.min(axis=0) / factor - 2) * factor, 0).astype(int)
    x1, y1 = np.ceil(seen.max(axis=0) + 2 * factor).astype(int)
    part = image[y0 : max(y1, y0), x0 : max(x1, x0)]
    height, width = part.shape[0] // factor, part.shape[1] // factor
    if not height or not width:
        return np.zeros((crop_px, crop_px), np.uint8)
    grey = part if part.ndim == 2 else cv2.cvtColor(part, cv2.COLOR_RGB2GRAY)
    if factor > 1:
        grey = cv2.resize(grey[: height * factor, : width * factor], (width, height), interpolation=cv2.INTER_AREA)
    sigma = float(np.sqrt(max(source_px**2 - (factor**2 - 1), 0.0) / 12.0)) / factor
    if sigma > 0:
        grey = cv2.GaussianBlur(grey, (3, 3), sigma)  # sigma is below 0.58
    # Pixel centres are at integers: reduced pixel u covers source pixels x0 + factor u .. x0 + factor u + factor - 1.
    origin = np.array([x0, y0]) + (factor - 1) / 2
    reduced = np.column_stack([linear * factor, shift + linear @ origin])
    return cv2.warpAffine(grey, reduced, (crop_px, crop_px), flags=cv2.INTER_LINEAR)


def inverse(matrix: np.ndarray) -> np.ndarray:
    """Inverse of a 2 x 2 matrix; LAPACK takes 0.2 ms for it beside other work, a tenth of Face Mesh."""
    (a, b), (c, d) = matrix.tolist()
    return np.array([[d, -b], [-c, a]]) / (a * d - b * c)


def map_points(points: np.ndarray, transform: np.ndarray) -> np.ndarray:
    """Points (N, 2) of the source in crop pixels, float64 (N, 2)."""
    return points @ transform[:, :2].T + transform[:, 2]
