"""A folder of numbered images, the way micro-expression data sets come: one file per frame and no timestamps."""

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from bowam_stream.capture.source import SourceSettings, printable
from bowam_stream.clock import NS_PER_SECOND
from bowam_stream.errors import SourceError
from bowam_stream.messages import Frame, Moment

_LONGEST_S = 24 * 3600
SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".pgm", ".ppm"})


class ImageFolder:
    """Images in the order of the last integer in their names (img2 before img10), one every 1/rate seconds.

    A number that is missing is a frame that is missing: time goes on, the frame count does not. An image that can't be
    read is skipped, and the next one is marked "damaged".
    """

    live = False
    quality: tuple[str, ...] = ()

    def __init__(self, folder: Path, settings: SourceSettings) -> None:
        self.name = printable(folder.name)
        self.late_quality: tuple[str, ...] = ()
        self._files = _numbered(folder)
        if not self._files:
            raise SourceError(
                f"{folder}: no numbered images in this folder; name a folder that holds img1.jpg and so on"
            )
        if settings.rate_hz is None:
            raise SourceError(f"{folder}: images carry no time; give their frame rate with --rate")
        if not 0 < settings.rate_hz <= 10_000:
            raise SourceError(f"{folder}: --rate {settings.rate_hz:g} is not a frame rate")
        first, last = self._files[0][0], self._files[-1][0]
        if last - first > _LONGEST_S * settings.rate_hz:
            raise SourceError(
                f"{folder}: frame numbers from {self._files[0][1].name} to {self._files[-1][1].name} would be more "
                "than a day of video; are they dates? Number the images one by one"
            )
        self.rate_hz = settings.rate_hz
        self._loops = settings.loops
        self.frames = len(self._files) * settings.loops
        self.digest = _digest(self._files)

    def __iter__(self) -> Iterator[Frame]:
        first, last = self._files[0][0], self._files[-1][0]
        self.late_quality, frame, damaged = (), 0, False
        for loop in range(self._loops):
            for number, file in self._files:
                image = read_image(file)
                if image is None:
                    damaged, self.late_quality = True, ("damaged",)
                    continue
                position = loop * (last - first + 1) + number - first
                moment = Moment(frame=frame, t_ns=round(position * NS_PER_SECOND / self.rate_hz))
                yield Frame(moment=moment, image=image, quality=("damaged",) if damaged else ())
                frame, damaged = frame + 1, False
        if not frame:
            raise SourceError(f"{self.name}: none of the {len(self._files)} images can be read")


def read_image(file: Path) -> np.ndarray | None:
    """Grey (H, W) or RGB (H, W, 3), uint8; 16-bit images keep their upper byte. None if it is no image."""
    data = np.frombuffer(file.read_bytes(), np.uint8)
    image = cv2.imdecode(data, cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH) if data.size else None
    if image is None:
        return None
    if image.dtype == np.uint16:
        image = (image // 256).astype(np.uint8)
    if image.dtype != np.uint8:
        return None
    return image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def _numbered(folder: Path) -> list[tuple[int, Path]]:
    found: dict[int, Path] = {}
    for file in sorted(folder.iterdir()):
        digits = re.findall(r"\d+", file.stem)
        if digits and file.suffix.lower() in SUFFIXES and file.is_file():
            number = int(digits[-1])
            if number in found:
                raise SourceError(f"{folder}: {found[number].name} and {file.name} have the same number; keep one")
            found[number] = file
    return sorted(found.items())


def _digest(files: list[tuple[int, Path]]) -> str:
    digest = hashlib.sha256()
    for number, file in files:
        data = file.read_bytes()
        digest.update(f"{number} {len(data)}\n".encode())
        digest.update(data)
    return digest.hexdigest()
