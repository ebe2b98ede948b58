"""Faces of one picture after another: which person, where, how well seen.

Everything depends on the pictures and their media times alone, so that a replay gives the same bits.
"""

from dataclasses import dataclass
from types import TracebackType
from typing import Self

import cv2
import numpy as np

from bowam_model.errors import ImageError
from bowam_model.face.geometry import CROP_PX, RIGID, TEMPLATE, crop_face, head_pose, map_points, similarity
from bowam_model.face.mesh import FaceMesh


@dataclass(frozen=True, kw_only=True)
class FaceSettings:
    """How faces are followed and aligned."""

    crop_px: int = CROP_PX  # side of the square crop
    max_faces: int = 1  # 1: the most prominent face is followed


@dataclass(frozen=True, eq=False)
class AlignedFace:
    """One face of one picture."""

    track: int  # the person, from 0; a cut or another person starts a new one
    crop: np.ndarray  # uint8 (240, 240) grey
    landmarks: np.ndarray  # float32 (468, 2): Face Mesh points as x, y in pixels of `crop`
    transform: np.ndarray  # float64 (2, 3): source pixels (x, y, 1) -> crop pixels
    sharpness: float  # variance of the Laplacian of the crop, grey levels squared
    yaw_deg: float
    pitch_deg: float
    roll_deg: float
    size_px: float  # width of the face in the source picture
    confidence: float  # 0..1


class FaceAligner:
    """Finds, follows and aligns the faces of a stream of pictures."""

    def __init__(self, settings: FaceSettings = FaceSettings()) -> None:
        self._settings = settings
        self._mesh = FaceMesh(settings.max_faces)

    def align(self, image: np.ndarray, t_ns: int) -> tuple[AlignedFace, ...]:
        """Faces in `image`, uint8 (H, W) grey or (H, W, 3) RGB, taken at media time `t_ns`; empty if there is none.

        Raise ImageError for any other array.
        """
        rgb, grey = both_colours(image)
        return tuple(
            _describe(k, grey, points, similarity(points[RIGID, :2], TEMPLATE[:, :2]), self._settings.crop_px)
            for k, points in enumerate(self._mesh.find(rgb))
        )

    def close(self) -> None:
        """Free the mesh."""
        self._mesh.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()


def both_colours(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The picture as contiguous RGB (H, W, 3) and as grey (H, W), both uint8."""
    if image.dtype != np.uint8 or not (image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 3)):
        raise ImageError(f"a picture must be uint8 (H, W) or (H, W, 3), not {image.dtype} {image.shape}")
    if image.ndim == 2:
        return cv2.cvtColor(image, cv2.COLOR_GRAY2RGB), image
    return np.ascontiguousarray(image), cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)


def _describe(track: int, grey: np.ndarray, points: np.ndarray, transform: np.ndarray, crop_px: int) -> AlignedFace:
    crop = crop_face(grey, transform, crop_px)
    yaw, pitch, roll = head_pose(points[RIGID])
    return AlignedFace(
        track=track,
        crop=crop,
        landmarks=map_points(points[:, :2], transform).astype(np.float32),
        transform=transform,
        sharpness=float(cv2.Laplacian(crop, cv2.CV_16S).var()),
        yaw_deg=yaw,
        pitch_deg=pitch,
        roll_deg=roll,
        size_px=float(np.linalg.norm(points[454, :2] - points[234, :2])),
        confidence=1.0,
    )


def align_still(image: np.ndarray) -> AlignedFace | None:
    """The most prominent face of one photo, uint8 (H, W) or (H, W, 3) RGB; None if there is none."""
    rgb, grey = both_colours(image)
    with FaceMesh(4, still=True) as mesh:
        found = mesh.find(rgb)
    if not found:
        return None
    points = max(found, key=lambda p: float(np.linalg.norm(p[454, :2] - p[234, :2])))
    return _describe(0, grey, points, similarity(points[RIGID, :2], TEMPLATE[:, :2]), CROP_PX)
