"""A video file through PyAV: every frame with its true presentation time, upright and progressive.

Before frame 0 the file is read once without decoding, which tells how many frames will come, when each is shown, and
whether the end is missing. Decoding goes on as far as it can: what is damaged is skipped, counted and marked.
"""

import hashlib
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import msgspec
import numpy as np

from bowam_stream.capture.source import SourceSettings, printable
from bowam_stream.capture.timeline import Timeline
from bowam_stream.clock import NS_PER_SECOND
from bowam_stream.errors import SourceError
from bowam_stream.messages import Frame, Moment

Decoded = tuple[Fraction | None, np.ndarray, tuple[str, ...]]
"""Timestamp in seconds, image and faults of a frame."""

_LOST_END_S = Fraction(1, 2)  # a file whose packets end this much before its stated duration has lost its end
_SQUARE = Fraction(1, 50)  # pixels whose sides differ by less are taken as square
_DEFAULT_RATE_HZ = 25.0  # of a bare bit stream that states no rate


class Survey(msgspec.Struct, frozen=True, kw_only=True):
    """What reading the packets without decoding them tells."""

    rate_hz: float | None
    packets: int  # of the video stream, without those that are not shown
    timestamps: bool
    truncated: bool
    stamps: np.ndarray | None  # int64 (packets,), rising: when each frame is shown; None where this can't be relied on
    time_base: Fraction  # seconds per unit of `stamps`


class Recording:
    """The frames of a video file."""

    live = False

    def __init__(self, path: Path, settings: SourceSettings) -> None:
        """Raise SourceError if the file is no video, holds no frame, or can't be read."""
        if settings.rate_hz is not None and not 0 < settings.rate_hz <= 10_000:
            raise SourceError(f"{path.name}: --rate {settings.rate_hz:g} is not a frame rate")
        self.name = printable(path.name)
        self.late_quality: tuple[str, ...] = ()
        self.skipped_packets = 0  # of the last iteration: packets that could not be decoded
        self._path, self._settings = path, settings
        survey = _survey(path, settings)
        self.rate_hz = survey.rate_hz if survey.timestamps else settings.rate_hz or survey.rate_hz or _DEFAULT_RATE_HZ
        self.frames = survey.packets * settings.loops
        self._stamps, self._time_base = (survey.stamps if settings.loops == 1 else None), survey.time_base
        self.quality = (*(["truncated"] * survey.truncated), *(["no_timestamps"] * (not survey.timestamps)))
        with path.open("rb") as file:
            self.digest = hashlib.file_digest(file, "sha256").hexdigest()

    @property
    def times_ns(self) -> np.ndarray | None:
        """Media time of every frame, int64; None where only decoding from the first one can tell."""
        if self._stamps is None:
            return None
        return np.array([self._time_ns(stamp) for stamp in self._stamps.tolist()], np.int64)

    def __iter__(self) -> Iterator[Frame]:
        self.late_quality, self.skipped_packets, number, start_ns = (), 0, 0, 0
        for _ in range(self._settings.loops):
            timeline = Timeline(self._period_ns, start_ns)
            for frame in self._frames(self._decode(), timeline, number):
                yield frame
                number += 1
            if not number:
                raise SourceError(f"{self.name}: not one frame can be decoded; check that it plays elsewhere")
            start_ns = timeline.next_ns

    def since(self, number: int) -> Iterator[Frame]:
        """The frames from `number` on, without decoding all that is before; as iterating gives them, if `times_ns`
        tells the truth. Raises SourceError where that is None."""
        if self._stamps is None:
            raise SourceError(f"{self.name}: its timestamps don't tell which frame is where; begin with the first")
        self.late_quality, self.skipped_packets = (), 0
        begin = int(self._stamps[number])
        yield from self._frames(self._sought(begin), Timeline(self._period_ns, self._time_ns(begin)), number)

    def _frames(self, decoded: Iterator[Decoded], timeline: Timeline, number: int) -> Iterator[Frame]:
        for stamp_s, image, quality in decoded:
            t_ns, mended = timeline.push(stamp_s)
            if mended and "no_timestamps" not in self.quality:
                quality = (*quality, "bad_timestamp")
            for word in quality:
                if word not in self.late_quality:
                    self.late_quality = (*self.late_quality, word)
            yield Frame(moment=Moment(frame=number, t_ns=t_ns), image=image, quality=quality)
            number += 1

    def _sought(self, begin: int) -> Iterator[Decoded]:
        """What is decoded from a timestamp on. Where seeking does not lead to it: all from the beginning."""
        begin_s = begin * self._time_base
        for sought in (begin, None):
            decoded = self._decode(sought)
            first = next((one for one in decoded if one[0] is None or one[0] >= begin_s), None)
            if first is not None and (first[0] == begin_s or sought is None):
                yield first
                yield from decoded
                return

    @property
    def _period_ns(self) -> int:
        return round(NS_PER_SECOND / (self.rate_hz or _DEFAULT_RATE_HZ))

    def _time_ns(self, stamp: int) -> int:
        assert self._stamps is not None
        first = round(int(self._stamps[0]) * self._time_base * NS_PER_SECOND)
        return round(stamp * self._time_base * NS_PER_SECOND) - first

    def _decode(self, sought: int | None = None) -> Iterator[Decoded]:
        """Every frame, in presentation order.

        `sought` is a timestamp; decoding begins at the last frame before it that needs no other.
        """
        import av

        with _opened(self._path) as container:
            stream = _video_stream(container, self._path)
            stream.thread_type, stream.thread_count = "AUTO", self._settings.decode_threads
            if sought is not None:
                container.seek(sought, stream=stream)
            broken = False
            packets = container.demux(stream)
            while True:
                try:
                    packet = next(packets)
                except StopIteration:
                    return
                except av.error.FFmpegError:
                    self.late_quality = (*self.late_quality, "truncated")
                    return
                try:
                    pictures = packet.decode()
                except av.error.FFmpegError:
                    self.skipped_packets += 1
                    broken = True
                    continue
                for picture in pictures:
                    stamp_s = None if picture.pts is None else picture.pts * picture.time_base
                    yield (
                        stamp_s,
                        to_image(picture, stream.sample_aspect_ratio),
                        ("damaged",) if broken or picture.is_corrupt else (),
                    )
                    broken = False


def _survey(path: Path, settings: SourceSettings) -> Survey:
    import av

    with _opened(path) as container:
        stream = _video_stream(container, path)
        packets, broken, end_s = 0, False, Fraction(0)
        stamps: list[int] = []
        try:
            for packet in container.demux():
                if not packet.size:
                    continue
                if packet.pts is not None:
                    end_s = max(end_s, (packet.pts + (packet.duration or 0)) * packet.time_base)
                if packet.stream_index == stream.index:
                    packets += not packet.is_discard
                    if packet.pts is not None and not packet.is_discard:
                        stamps.append(packet.pts)
                    broken = packet.is_corrupt
        except av.error.FFmpegError:
            broken = True
        if not packets:
            raise SourceError(f"{path.name}: the video holds no frames")
        # Matroska states its duration from time 0, MP4 from its first frame (where a cut shows in the last packet).
        stated_s = Fraction(container.duration or 0, av.time_base)
        rate = stream.average_rate or stream.guessed_rate
        return Survey(
            rate_hz=float(rate) if rate else None,
            packets=packets,
            timestamps=bool(stamps),
            truncated=broken or (bool(stamps) and end_s < stated_s - _LOST_END_S),
            stamps=np.sort(np.array(stamps, np.int64)) if len(stamps) == packets == len(set(stamps)) else None,
            time_base=stream.time_base or Fraction(1, av.time_base),
        )


def _opened(path: Path) -> Any:
    try:
        import av
    except ImportError as error:
        raise SourceError(f"video needs the extra [capture] ({error}): pip install 'bowam-stream[capture]'") from error
    if not path.stat().st_size:
        raise SourceError(f"{path.name}: the file is empty")
    try:
        # Only this file is read, even where a playlist inside it names others.
        return av.open(f"file:{path}", options={"protocol_whitelist": "file"}, metadata_errors="ignore")
    except PermissionError as error:
        raise SourceError(f"{path.name}: {error.strerror}; give this user the right to read it") from error
    except av.error.FFmpegError as error:
        raise SourceError(
            f"{path.name}: no video, or cut off before its table of contents ({error.strerror}); "
            "check that it plays elsewhere, or copy it again"
        ) from error
    except OSError as error:
        raise SourceError(f"{path.name}: {error.strerror}") from error


def _video_stream(container: Any, path: Path) -> Any:
    from av.stream import Disposition

    for stream in container.streams.video:
        if not stream.disposition & Disposition.attached_pic:  # the cover of a song
            if stream.codec_context is None:
                raise SourceError(f"{path.name}: its video codec is not known here; convert it to H.264")
            return stream
    if container.streams.audio:
        raise SourceError(f"{path.name}: holds sound but no video")
    raise SourceError(f"{path.name}: holds no video stream")


def to_image(picture: Any, aspect: Fraction | None) -> np.ndarray:
    """As it is meant to be seen: uint8 grey (H, W) or RGB (H, W, 3), square pixels, upright, without comb lines.

    `aspect` is the width of a stored pixel over its height, None if unknown.
    """
    layout = "gray" if picture.format.name.startswith("gray") else "rgb24"
    width = picture.width if not aspect or abs(aspect - 1) < _SQUARE else round(picture.width * aspect)
    image: np.ndarray = picture.to_ndarray(format=layout, width=width, threads=1)
    if picture.interlaced_frame:
        image = _one_field(image)
    if picture.rotation % 360:
        # libav states the angle that turns the picture upright, counter-clockwise.
        image = np.ascontiguousarray(np.rot90(image, round(picture.rotation / 90) % 4))
    return image


def _one_field(image: np.ndarray) -> np.ndarray:
    """Two fields were taken one after the other: keep the even lines and put the mean of their neighbours between."""
    even = image[0::2]
    below = np.concatenate([even[1:], even[-1:]])
    result = image.copy()
    result[1::2] = cv2.addWeighted(even, 0.5, below, 0.5, 0)[: result[1::2].shape[0]]
    return result
