"""Tells a cut and a change of person from motion, by small normalised pictures.

1 - correlation between two frames that follow each other, on the test recordings:

                                 whole picture      aligned face
    change of person             0.10 .. 0.64       0.35 .. 0.92
    motion, flicker              0.00 .. 0.17       0.00 .. 0.20
    jerks of a dropped-frame     0.00 .. 0.04       0.00 .. 0.39
      video, a head that turns
"""

import cv2
import numpy as np

from bowam_model.face.geometry import CROP_PX, crop_face

_CUT = 0.30
# How much a face may change, the less the more the picture changed with it: (picture up to, face up to).
_SAME_PERSON = ((0.06, 0.50), (_CUT, 0.28), (float("inf"), 0.20))
_PICTURE = (32, 24)  # columns, rows
_FACE_PX = 24
_FLAT = 2.0  # grey levels: a picture that varies less shows nothing


def look_at_picture(image: np.ndarray) -> np.ndarray | None:
    """The picture, uint8 (H, W) or (H, W, 3) RGB, as a unit vector that neither brightness nor contrast change.

    None if it shows nothing.
    """
    grey = image if image.ndim == 2 else image[:, :, 1]  # green alone is grey enough
    step = max(1, min(grey.shape[0] // (2 * _PICTURE[1]), grey.shape[1] // (2 * _PICTURE[0])))
    return _unit(cv2.resize(np.ascontiguousarray(grey[::step, ::step]), _PICTURE, interpolation=cv2.INTER_AREA))


def look_at_face(image: np.ndarray, transform: np.ndarray) -> np.ndarray | None:
    """The face under `transform` (source -> 240 px crop) as a unit vector, in the same way."""
    return _unit(crop_face(image, transform * (_FACE_PX / CROP_PX), _FACE_PX))


def is_cut(picture_change: float) -> bool:
    """Whether two pictures that follow each other may show different scenes, so that a face must be searched anew."""
    return picture_change > _CUT


def is_other_person(face_change: float, picture_change: float) -> bool:
    """Whether two faces at the same place in pictures that follow each other are two people.

    Behind a selfie in motion the whole picture changes, and yet the face is the same.
    """
    return face_change > next(limit for change, limit in _SAME_PERSON if picture_change <= change)


def difference(a: np.ndarray, b: np.ndarray) -> float:
    """0 for the same, 1 for unrelated, up to 2."""
    return 1.0 - float(a @ b)


def _unit(small: np.ndarray) -> np.ndarray | None:
    vector = small.astype(np.float64).ravel()
    vector -= vector.mean()
    norm = float(np.linalg.norm(vector))
    return vector / norm if norm > _FLAT * np.sqrt(vector.size) else None
