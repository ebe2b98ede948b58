"""A test picture whose pixels carry the frame number, so that a test sees which frame arrived, and when.

The picture is a grid of 4 rows of 8 black or white cells: 24 bits of number, most significant first, then 8 bits of
checksum. The cells survive scaling and lossy compression.
"""

import hashlib
from collections.abc import Iterator
from urllib.parse import parse_qsl, urlsplit

import cv2
import numpy as np

from bowam_stream.capture.source import SourceSettings
from bowam_stream.clock import NS_PER_SECOND
from bowam_stream.errors import SourceError
from bowam_stream.messages import Frame, Moment

_ROWS, _COLUMNS = 4, 8
_NUMBER_BITS = 24
_BLACK, _WHITE = 32, 224


def draw_frame_number(number: int, width: int, height: int) -> np.ndarray:
    """Grey picture, uint8 (height, width), that carries `number` (0 to 2^24 - 1)."""
    cells = np.where(_bits(number), _WHITE, _BLACK).astype(np.uint8).reshape(_ROWS, _COLUMNS)
    return cv2.resize(cells, (width, height), interpolation=cv2.INTER_NEAREST)


def read_frame_number(image: np.ndarray) -> int | None:
    """The number in a picture made by `draw_frame_number`, at any size, (H, W) or (H, W, 3); None if it is not one."""
    grey = image if image.ndim == 2 else image.mean(axis=2)
    rows = (np.arange(_ROWS) + 0.5) * grey.shape[0] / _ROWS
    columns = (np.arange(_COLUMNS) + 0.5) * grey.shape[1] / _COLUMNS
    reach_y, reach_x = max(1, grey.shape[0] // _ROWS // 4), max(1, grey.shape[1] // _COLUMNS // 4)
    bits = (
        np.array(
            [
                grey[int(y) - reach_y : int(y) + reach_y, int(x) - reach_x : int(x) + reach_x].mean()
                for y in rows
                for x in columns
            ]
        )
        > (_BLACK + _WHITE) / 2
    )
    number = int("".join("1" if bit else "0" for bit in bits[:_NUMBER_BITS]), 2)
    return number if np.array_equal(bits, _bits(number)) else None


def _bits(number: int) -> np.ndarray:
    check = hashlib.blake2b(number.to_bytes(4, "big"), digest_size=1).digest()[0]
    word = f"{number:0{_NUMBER_BITS}b}{check:08b}"
    return np.array([digit == "1" for digit in word])


class Pattern:
    """The source `test://pattern?frames=300&rate=30&size=640x480`, a recording that needs no file."""

    live = False
    quality: tuple[str, ...] = ()
    late_quality: tuple[str, ...] = ()

    def __init__(self, spec: str, settings: SourceSettings) -> None:
        usage = "use test://pattern?frames=300&rate=30&size=640x480"
        parts = urlsplit(spec)
        query = {"frames": "300", "rate": "30", "size": "640x480"}
        given = dict(parse_qsl(parts.query))
        if parts.netloc != "pattern" or parts.path not in ("", "/") or not given.keys() <= query.keys():
            raise SourceError(f"{spec}: unknown test source; {usage}")
        query |= given
        try:
            count, self.rate_hz = int(query["frames"]), float(query["rate"])
            self._width, self._height = (int(side) for side in query["size"].split("x"))
        except ValueError as error:
            raise SourceError(f"{spec}: {error}; {usage}") from error
        if not (0 < count * settings.loops < 2**_NUMBER_BITS and 0 < self.rate_hz <= 10_000):
            raise SourceError(f"{spec}: too many or too few frames, or an impossible rate; {usage}")
        if not (32 <= self._width <= 8192 and 32 <= self._height <= 8192):
            raise SourceError(f"{spec}: size must be between 32x32 and 8192x8192; {usage}")
        self.name = spec
        self.frames = count * settings.loops
        self.digest = hashlib.sha256(f"{self.frames} {self.rate_hz} {self._width}x{self._height}".encode()).hexdigest()

    def __iter__(self) -> Iterator[Frame]:
        for number in range(self.frames):
            t_ns = round(number * NS_PER_SECOND / self.rate_hz)
            yield Frame(
                moment=Moment(frame=number, t_ns=t_ns), image=draw_frame_number(number, self._width, self._height)
            )
