"""The frames of a sample, from images or from a video, and which of them the flow needs."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from bowam_model.datasets.sample import Frames, Sample, Video
from bowam_model.errors import MissingDependency

NS_PER_SECOND = 1_000_000_000
ASSUMED_HZ = 200.0  # where neither sheet nor file tells the rate (DFME: 200 to 500); it only paces the low-pass


class Unusable(Exception):
    """A sample cannot be prepared, and why."""


@dataclass(frozen=True, kw_only=True)
class Moments:
    """Frame numbers that the flow is made of, all of them on disk."""

    onset: int
    apexes: tuple[int, ...]  # the annotated (or middle) one first, then one earlier, one later, two earlier, ...
    offset: int

    @property
    def all(self) -> frozenset[int]:
        return frozenset((self.onset, *self.apexes, self.offset))


@dataclass(frozen=True, eq=False)
class Picture:
    """One frame."""

    number: int
    t_ns: int  # from the first frame, or from the start of the video
    image: np.ndarray  # uint8 (H, W) grey or (H, W, 3) RGB


def frame_numbers(sample: Sample) -> Sequence[int]:
    """The frames from onset to offset, ascending. Raises Unusable for a sample without bounds."""
    if sample.onset is None or sample.offset is None or sample.offset <= sample.onset:
        raise Unusable(f"nothing between onset {sample.onset} and offset {sample.offset}")
    if isinstance(sample.media, Video):
        return range(sample.onset, sample.offset + 1)
    assert isinstance(sample.media, Frames)
    return sample.media.numbers


def moments(sample: Sample, readings: int) -> Moments:
    """Onset, apex (the middle where nobody annotated it), its neighbours strictly inside the movement, and offset."""
    numbers = frame_numbers(sample)
    assert sample.onset is not None
    assert sample.offset is not None
    onset, offset = _nearest(numbers, sample.onset), _nearest(numbers, sample.offset)
    inside = [number for number in numbers if onset < number < offset]
    wanted = sample.middle if sample.apex is None else sample.apex
    assert wanted is not None
    apex = wanted if wanted in numbers else _nearest(inside or numbers, wanted)
    reach = [step for distance in range(1, readings // 2 + 1) for step in (-distance, distance)]
    return Moments(onset=onset, offset=offset, apexes=(apex, *(_nearest(inside or [apex], apex + s) for s in reach)))


def pictures(sample: Sample, numbers: Collection[int]) -> Iterator[Picture]:
    """These frames in ascending order. Raises Unusable where one cannot be read, MissingDependency without PyAV."""
    if isinstance(sample.media, Video):
        yield from _decoded(sample.media.path, numbers, sample.fps or ASSUMED_HZ)
        return
    assert isinstance(sample.media, Frames)
    period_ns = NS_PER_SECOND / (sample.fps or ASSUMED_HZ)
    first = sample.media.numbers[0]
    for number, path in zip(sample.media.numbers, sample.media.paths, strict=True):
        if number in numbers:
            yield Picture(number, round((number - first) * period_ns), read_picture(path))


def source_files(sample: Sample, numbers: Collection[int]) -> list[Path]:
    """The files that these frames are read from."""
    media = sample.media
    if isinstance(media, Frames):
        return [path for number, path in zip(media.numbers, media.paths, strict=True) if number in numbers]
    return [media.path]


def read_picture(path: Path) -> np.ndarray:
    """Grey (H, W) or RGB (H, W, 3), uint8; 16-bit images keep their upper byte. Raises Unusable."""
    try:
        data = np.frombuffer(path.read_bytes(), np.uint8)
        image = cv2.imdecode(data, cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH) if data.size else None
    except OSError as error:
        raise Unusable(f"{path.name}: {error.strerror}") from error
    except cv2.error as error:
        raise Unusable(f"{path.name}: {error.err}") from error
    if image is not None and image.dtype == np.uint16:
        image = (image // 256).astype(np.uint8)
    if image is None or image.dtype != np.uint8:
        raise Unusable(f"{path.name} is no image that can be decoded")
    return image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def _decoded(path: Path, numbers: Collection[int], rate_hz: float) -> Iterator[Picture]:
    """Frames of a video, counted as they are decoded: every one from the first, since an index cannot be trusted."""
    try:
        import av
    except ImportError as error:
        raise MissingDependency("reading video needs PyAV: pip install 'bowam-stream[capture]'") from error
    last, number = max(numbers), -1
    try:
        with av.open(f"file:{path}", options={"protocol_whitelist": "file"}, metadata_errors="ignore") as container:
            if not container.streams.video:
                raise Unusable(f"{path.name} holds no video")
            for number, frame in enumerate(container.decode(container.streams.video[0])):
                if number in numbers:
                    seconds = number / rate_hz if frame.time is None else frame.time
                    yield Picture(number, round(seconds * NS_PER_SECOND), _upright(frame))
                if number >= last:
                    return
    except (av.error.FFmpegError, OSError) as error:
        raise Unusable(f"{path.name}: frame {number + 1} can't be decoded ({error.strerror})") from error
    raise Unusable(f"{path.name} has {number + 1} frames; frame {last} is wanted")


def _upright(frame: Any) -> np.ndarray:
    grey = frame.format.name.startswith("gray")
    image: np.ndarray = frame.to_ndarray(format="gray" if grey else "rgb24", threads=1)
    # libav states the angle that turns the picture upright, counter-clockwise.
    return np.ascontiguousarray(np.rot90(image, round(frame.rotation / 90) % 4)) if frame.rotation % 360 else image


def _nearest(numbers: Sequence[int], wanted: int) -> int:
    """That frame, or the nearest one (the earlier of two)."""
    return min(numbers, key=lambda number: (abs(number - wanted), number))
