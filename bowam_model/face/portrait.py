"""One face of one picture: measured, cropped and described."""

from dataclasses import dataclass

import cv2
import numpy as np

from bowam_model.errors import ImageError
from bowam_model.face.geometry import CROP_PX, RIGID, TEMPLATE, crop_face, head_pose, inverse, map_points, similarity
from bowam_model.face.likeness import look_at_face
from bowam_model.face.mesh import FaceMesh

_RIGHT_CHEEK, _LEFT_CHEEK = 234, 454  # Face Mesh points at the edges of the face


@dataclass(frozen=True, eq=False)
class AlignedFace:
    """One face of one picture."""

    track: int  # the person, from 0; a cut or another person starts a new one
    crop: np.ndarray  # uint8 (240, 240) grey
    landmarks: np.ndarray  # float32 (468, 2): Face Mesh points as x, y in pixels of `crop`
    transform: np.ndarray  # float64 (2, 3): source pixels (x, y, 1) -> crop pixels
    sharpness: float  # variance of the Laplacian of the crop, grey levels squared
    yaw_deg: float  # see geometry.head_pose
    pitch_deg: float
    roll_deg: float
    size_px: float  # width of the face in the source picture
    confidence: float  # 0.5..1 from MediaPipe's face detector when it last looked; 0 if it saw no face there


@dataclass(frozen=True, eq=False)
class SeenFace:
    """A face in one picture, before it is known whose."""

    points: np.ndarray  # float64 (468, 3), pixels of the picture
    transform: np.ndarray  # float64 (2, 3), as measured
    likeness: np.ndarray | None
    centre: np.ndarray
    size_px: float


def require_picture(image: np.ndarray) -> None:
    """Raise ImageError if `image` is neither uint8 (H, W) nor (H, W, 3)."""
    if image.dtype != np.uint8 or not (image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 3)):
        raise ImageError(f"a picture must be uint8 (H, W) or (H, W, 3), not {image.dtype} {image.shape}")


def to_rgb(image: np.ndarray) -> np.ndarray:
    """`image`, uint8 (H, W) or (H, W, 3), as contiguous RGB, uint8 (H, W, 3)."""
    if image.ndim == 3:
        return np.ascontiguousarray(image)
    rgb = cv2.cvtColor(image, cv2.COLOR_GRAY2RGB)
    rgb.flags.writeable = False  # MediaPipe copies what somebody could write to
    return rgb


def see_face(image: np.ndarray, points: np.ndarray) -> SeenFace:
    """Measure the face whose Face Mesh points (468, 3) these are."""
    transform = similarity(points[RIGID, :2], TEMPLATE[:, :2])
    return SeenFace(
        points=points,
        transform=transform,
        likeness=look_at_face(image, transform),
        centre=points[:, :2].mean(axis=0),
        size_px=float(np.linalg.norm(points[_LEFT_CHEEK, :2] - points[_RIGHT_CHEEK, :2])),
    )


def move_face(face: SeenFace, transform: np.ndarray) -> SeenFace:
    """The same face in a picture in which `transform` aligns it."""
    back = inverse(transform[:, :2])
    motion = back @ face.transform[:, :2]
    points = face.points.copy()
    points[:, :2] = map_points(face.points[:, :2], face.transform)
    points[:, :2] = (points[:, :2] - transform[:, 2]) @ back.T
    growth = float(np.hypot(motion[0, 0], motion[1, 0]))
    points[:, 2] *= growth
    return SeenFace(
        points=points,
        transform=transform,
        likeness=face.likeness,
        centre=np.add.reduce(points[:, :2], axis=0) / len(points),
        size_px=face.size_px * growth,
    )


def describe(
    image: np.ndarray,
    face: SeenFace,
    transform: np.ndarray,
    *,
    track: int,
    confidence: float,
    crop_px: int = CROP_PX,
) -> AlignedFace:
    """The face under `transform` (source -> 240 px crop), which may be steadier than the one that was measured."""
    transform = transform * (crop_px / CROP_PX)
    crop = crop_face(image, transform, crop_px)
    yaw, pitch, roll = head_pose(face.points[RIGID])
    return AlignedFace(
        track=track,
        crop=crop,
        landmarks=map_points(face.points[:, :2], transform).astype(np.float32),
        transform=transform,
        sharpness=_sharpness(crop),
        yaw_deg=yaw,
        pitch_deg=pitch,
        roll_deg=roll,
        size_px=face.size_px,
        confidence=confidence,
    )


def _sharpness(crop: np.ndarray) -> float:
    """Variance of the Laplacian."""
    edges = cv2.Laplacian(crop, cv2.CV_16S)
    mean = cv2.sumElems(edges)[0] / edges.size
    return float(cv2.norm(edges, cv2.NORM_L2SQR)) / edges.size - mean**2


def align_still(image: np.ndarray) -> AlignedFace | None:
    """The largest face of one photo, uint8 (H, W) or (H, W, 3) RGB, without any memory; None if there is none."""
    require_picture(image)
    rgb = to_rgb(image)
    mesh = FaceMesh(max_faces=4, still=True)
    try:
        seen = [see_face(image, points) for points in mesh.find(rgb)]
    finally:
        mesh.close()
    if not seen:
        return None
    face = max(seen, key=lambda face: face.size_px)
    return describe(image, face, face.transform, track=0, confidence=1.0)
