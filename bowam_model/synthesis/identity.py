"""Who is animated: a photo of a neutral face, and where the face is in it."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from bowam_model.errors import DatasetError, ImageError, MissingDependency

PHOTO_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")


@dataclass(frozen=True, eq=False)
class Identity:
    """One person's photo with the face located in it."""

    name: str  # file name without its suffix
    photo: np.ndarray  # uint8 (H, W, 3) RGB
    landmarks: np.ndarray  # float32 (468, 2): Face Mesh points in pixels of the aligned crop
    transform: np.ndarray  # float64 (2, 3): photo pixels (x, y, 1) -> crop pixels
    digest: str  # "sha256:<hex>" of the photo's file, or of its pixels where there is none


def identity_of(photo: np.ndarray, name: str, digest: str | None = None) -> Identity:
    """Locate the face in `photo`, uint8 (H, W, 3) RGB. Raises ImageError where there is none."""
    from bowam_model.face import align_still

    face = align_still(photo)
    if face is None:
        raise ImageError(f"no face found in {name}: give a frontal photo with an evenly lit face")
    return Identity(
        name=name,
        photo=photo,
        landmarks=face.landmarks,
        transform=face.transform,
        digest=digest or "sha256:" + hashlib.sha256(photo.tobytes()).hexdigest(),
    )


def load_identity(path: str | Path | None = None) -> Identity:
    """Read one photo. None: the portrait of the astronaut Eileen Collins (NASA, public domain) that scikit-image ships.

    Raises ImageError (unreadable, no face) or MissingDependency (no scikit-image).
    """
    if path is None:
        return _portrait()
    path = Path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ImageError(f"can't read {path}: {error.strerror}") from error
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
    if image is None:
        raise ImageError(f"{path} is not a picture that can be decoded: give a JPEG or PNG photo")
    photo = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
    return identity_of(photo, path.stem, "sha256:" + hashlib.sha256(data).hexdigest())


def photo_paths(path: str | Path) -> list[Path]:
    """The photos of a folder in order of their names, or the one photo itself. Raises DatasetError if there is none."""
    path = Path(path)
    if path.is_file():
        return [path]
    found = sorted(p for p in path.glob("*") if p.suffix.lower() in PHOTO_SUFFIXES) if path.is_dir() else []
    if not found:
        raise DatasetError(f"no photos in {path}: name a photo, or a folder of {', '.join(PHOTO_SUFFIXES)} files")
    return found


def load_identities(path: str | Path | None = None) -> list[Identity]:
    """One photo, or every photo of a folder in order of their names; None: the portrait of `load_identity`."""
    return [load_identity()] if path is None else [load_identity(photo) for photo in photo_paths(path)]


def _portrait() -> Identity:
    try:
        from skimage import data
    except ImportError as error:
        raise MissingDependency(
            "the default portrait comes with scikit-image: pip install 'bowam-stream[synth]', or name photos"
        ) from error
    return identity_of(np.ascontiguousarray(data.astronaut()), "astronaut")
