"""Prepared faces and flows on disk: a file of each for a sample, under a key of everything that decides its contents.

    CACHE/sources/ab/abcd...    SHA-256 of a clip's files, by their paths, sizes and times of change
    CACHE/faces/cd/cd23...npz   the aligned faces of one clip and what was odd about them, by key
    CACHE/flows/ef/ef01...npz   its flows, by key: another fusion or side does not align the faces again

Files appear under their names only when they are complete, so a run may be killed at any moment, and several may share
the folder. Anything in it may be deleted.
"""

import hashlib
import json
import os
import re
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import IO, Any

import cv2
import numpy as np

from bowam_model.datasets.sample import Sample
from bowam_model.errors import DatasetError
from bowam_model.preparation.pictures import Unusable, frame_numbers, moments, source_files
from bowam_model.preparation.settings import PreparationSettings

VERSION = 3  # goes up when the same pictures and settings give other flows


@dataclass(frozen=True)
class Places:
    """Where what is known of one sample belongs."""

    faces: Path
    flows: Path


@dataclass(frozen=True, eq=False)
class Faces:
    """The aligned faces of one sample."""

    crops: dict[int, np.ndarray]  # uint8 (240, 240) by frame number
    notes: tuple[str, ...]  # what was odd


@dataclass(frozen=True, eq=False)
class Entry:
    """What is known of one sample."""

    flows_VHWC: np.ndarray  # float16
    notes: tuple[str, ...]


def find(cache: Path, sample: Sample, settings: PreparationSettings, *, read: bool = True) -> Places | None:
    """Where faces and flows of a sample belong; None if its files would have to be read first and `read` is False.

    Files are known by their contents. A clip whose paths, sizes and times of change are those of an earlier run is
    taken to be unchanged. Raises Unusable where a file is not there.
    """
    numbers = frame_numbers(sample)
    used = numbers if settings.steady else sorted(moments(sample, settings.readings).all)
    source = _digest(cache, source_files(sample, used), read)
    if source is None:
        return None
    faces = {
        "version": VERSION,
        "libraries": _libraries(),
        "source": source,
        "frames": list(used),
        "onset, apex, offset": [sample.onset, sample.apex, sample.offset],
        "fps": sample.fps,
        "cropped": sample.cropped,
        "readings": settings.readings,
        "steady": settings.steady,
    }
    return Places(_path(cache / "faces", faces), _path(cache / "flows", faces | asdict(settings)))


def save_faces(path: Path, faces: Faces) -> None:
    """Raises DatasetError where the cache cannot be written."""
    numbers = sorted(faces.crops)
    crops = np.stack([faces.crops[number] for number in numbers])
    _write(path, lambda file: np.savez(file, numbers=numbers, crops=crops, notes=np.array(faces.notes, np.str_)))


def load_faces(path: Path) -> Faces | None:
    """None for a file that is missing or damaged: each array in it carries a checksum."""
    if (stored := _load(path, "numbers", "crops", "notes")) is None:
        return None
    numbers, crops, notes = stored
    return Faces(dict(zip(numbers.tolist(), crops, strict=True)), tuple(map(str, notes)))


def save(path: Path, entry: Entry) -> None:
    """Raises DatasetError where the cache cannot be written."""
    _write(path, lambda file: np.savez(file, flows=entry.flows_VHWC, notes=np.array(entry.notes, np.str_)))


def load(path: Path) -> Entry | None:
    """The same for flows."""
    if (stored := _load(path, "flows", "notes")) is None:
        return None
    flows, notes = stored
    return Entry(flows, tuple(map(str, notes)))


def _path(folder: Path, told: dict[str, Any]) -> Path:
    key = hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()
    return folder / key[:2] / f"{key}.npz"


def _load(path: Path, *names: str) -> list[np.ndarray] | None:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            return [stored[name] for name in names]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None


def _digest(cache: Path, files: Sequence[Path], read: bool) -> str | None:
    try:
        looks = [(str(path.absolute()), stat.st_size, stat.st_mtime_ns) for path in files for stat in [path.stat()]]
    except OSError as error:
        raise Unusable(f"{error.filename}: {error.strerror}") from error
    name = hashlib.sha256(json.dumps(looks).encode()).hexdigest()
    known = cache / "sources" / name[:2] / name
    try:
        text = known.read_text("ascii", "replace")
    except OSError:
        text = ""
    if re.fullmatch(r"[0-9a-f]{64}", text):
        return text
    if not read:
        return None
    digest = hashlib.sha256()
    for path in files:
        try:
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        except OSError as error:
            raise Unusable(f"{path.name}: {error.strerror}") from error
    _write(known, lambda file: file.write(digest.hexdigest().encode()))
    return digest.hexdigest()


def _write(path: Path, fill: Callable[[IO[bytes]], object]) -> None:
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with part.open("wb") as file:
                fill(file)
            os.replace(part, path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise DatasetError(f"can't write {path}: {error.strerror}; name another folder with --cache") from error


@lru_cache(maxsize=1)
def _libraries() -> tuple[str, str]:
    """They compute the flow and find the face."""
    try:
        return cv2.__version__, version("mediapipe")
    except PackageNotFoundError:
        return cv2.__version__, ""
