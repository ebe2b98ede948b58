"""Where things are in an aligned crop, and how a picture gets there.

The crop is 240 x 240 pixels, y downwards. In it the inner eye corners of the average adult face lie at (100, 84) and
(140, 84), its width from cheek to cheek is 158 px and its chin is at y = 211.
"""

import math

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
_FRONTAL = TEMPLATE - TEMPLATE.mean(axis=0)


def similarity(points: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Least-squares similarity, float64 (2, 3), that takes `points` (N, 2) to `target` (N, 2). Umeyama 1991 in 2-D."""
    # A tenth of the time of mean(), and the same bits.
    p_mean, t_mean = (np.add.reduce(x, axis=0) / len(x) for x in (points, target))
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
    # The template is centred, so the points need not be. LAPACK's SVD takes longer than all the rest, cv2's does not.
    _, u, vt = cv2.SVDecomp(points.T @ _FRONTAL)
    if cv2.determinant(u) * cv2.determinant(vt) < 0:
        u[:, 2] = -u[:, 2]
    (xx, _, xz), (yx, _, yz), (_, _, zz) = (u @ vt).tolist()
    yaw, pitch, roll = math.atan2(-xz, zz), math.atan2(-yz, math.hypot(xz, zz)), math.atan2(yx, xx)
    return math.degrees(yaw), math.degrees(pitch), math.degrees(roll)


def crop_face(image: np.ndarray, transform: np.ndarray, crop_px: int = CROP_PX) -> np.ndarray:
    """The aligned crop, uint8 (crop_px, crop_px) grey, of a picture (H, W) or (H, W, 3) RGB. Outside of it: black.

    Every crop pixel is the mean of about the area that it covers, so that a large face is not aliased: the picture is
    first reduced by a whole factor, and a Gaussian then brings the variance of the blur to that of a box as wide as
    one crop pixel. So the blur changes smoothly with the size of the face.
    """
    return warp_face(image, transform, (crop_px, crop_px))


def warp_face(image: np.ndarray, transform: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """As `crop_face`, for a target of any (width, height)."""
    (a, b, shift_x), (c, d, shift_y) = transform.tolist()
    source_px = 1.0 / float(np.hypot(a, c))  # source pixels per crop pixel
    factor = max(1, int(source_px))
    # Where the target's corners lie in the source. Plain numbers: numpy takes ten times longer for four points.
    corners = [(x - 0.5 - shift_x, y - 0.5 - shift_y) for x in (0, size[0]) for y in (0, size[1])]
    xs = [(d * x - b * y) / (a * d - b * c) for x, y in corners]
    ys = [(a * y - c * x) / (a * d - b * c) for x, y in corners]
    # Starting at a multiple of the factor, so that a pixel is always reduced together with the same neighbours.
    x0, y0 = (max(math.floor(min(v) / factor - 2) * factor, 0) for v in (xs, ys))
    x1, y1 = (math.ceil(max(v) + 2 * factor) for v in (xs, ys))
    part = image[y0 : max(y1, y0), x0 : max(x1, x0)]
    height, width = part.shape[0] // factor, part.shape[1] // factor
    if not height or not width:
        return np.zeros(size[::-1], np.uint8)
    grey = part if part.ndim == 2 else cv2.cvtColor(part, cv2.COLOR_RGB2GRAY)
    if factor > 1:
        grey = cv2.resize(grey[: height * factor, : width * factor], (width, height), interpolation=cv2.INTER_AREA)
    sigma = math.sqrt(max(source_px**2 - (factor**2 - 1), 0.0) / 12.0) / factor
    if sigma > 0:
        grey = cv2.GaussianBlur(grey, (3, 3), sigma)  # sigma is below 0.58
    # Pixel centres are at integers: reduced pixel u covers source pixels x0 + factor u .. x0 + factor u + factor - 1.
    reduced = transform * factor
    reduced[:, 2] = transform[:, 2] + transform[:, :2] @ np.array([x0 + (factor - 1) / 2, y0 + (factor - 1) / 2])
    return cv2.warpAffine(grey, reduced, size, flags=cv2.INTER_LINEAR)


def inverse(matrix: np.ndarray) -> np.ndarray:
    """Inverse of a 2 x 2 matrix; LAPACK takes 0.2 ms for it beside other work, a tenth of Face Mesh."""
    (a, b), (c, d) = matrix.tolist()
    return np.array([[d, -b], [-c, a]]) / (a * d - b * c)


def map_points(points: np.ndarray, transform: np.ndarray) -> np.ndarray:
    """Points (N, 2) of the source in crop pixels, float64 (N, 2)."""
    return points @ transform[:, :2].T + transform[:, 2]
