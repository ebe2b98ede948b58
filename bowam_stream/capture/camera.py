"""Live cameras: webcams through V4L2, network cameras through RTSP.

One iteration is one connection. It ends with a SourceError when the connection is lost, or when the size of its
pictures changes, which is another view; `LiveGrabber` connects again.
"""

import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from bowam_stream.addresses import redact
from bowam_stream.capture.recording import to_image
from bowam_stream.capture.source import Clocks, SourceSettings
from bowam_stream.capture.standstill import FROZEN, Standstill
from bowam_stream.clock import NS_PER_MS, NS_PER_SECOND
from bowam_stream.errors import SourceError
from bowam_stream.messages import Frame, Moment

log = logging.getLogger(__name__)


class Camera:
    """What all cameras share: frames stamped with the monotonic clock, in strictly increasing order."""

    live = True
    frames: int | None = None
    quality: tuple[str, ...] = ()
    late_quality: tuple[str, ...] = ()
    digest: str | None = None

    def __init__(self, name: str, settings: SourceSettings, clocks: Clocks) -> None:
        self.name = name
        self.rate_hz = settings.rate_hz
        self._settings, self._clocks = settings, clocks

    def __iter__(self) -> Iterator[Frame]:
        last_ns, shape, still, told = -1, None, Standstill(), False
        for number, (image, stamp_ns) in enumerate(self._images()):
            now_ns = self._clocks.monotonic_ns()
            # A driver's stamp counts if it is of the same clock: not in the future, and not older than a second.
            t_ns = stamp_ns if stamp_ns is not None and now_ns - NS_PER_SECOND < stamp_ns <= now_ns else now_ns
            t_ns = last_ns = max(t_ns, last_ns + 1)
            utc_ns = self._clocks.utc_ns() - (now_ns - t_ns)
            if shape is not None and image.shape != shape:
                raise SourceError(
                    f"{self.name}: the size of the pictures changed from {_wide(shape)} to {_wide(image.shape)}"
                )
            shape = image.shape
            frozen = still.push(image, t_ns)
            if frozen and not told:  # once is enough: at every key frame it may seem to move
                log.warning("%s sends the same picture again and again; is it frozen?", self.name)
            told = told or frozen
            quality = (FROZEN,) if frozen else ()
            yield Frame(moment=Moment(frame=number, t_ns=t_ns, utc_ns=utc_ns), image=image, quality=quality)

    def _images(self) -> Iterator[tuple[np.ndarray, int | None]]:
        """Images of one connection, each with the driver's monotonic stamp if it has one."""
        raise NotImplementedError


class Webcam(Camera):
    """A camera of this machine, by number or device path. PyAV's wheels lack V4L2, so OpenCV reads it."""

    def __init__(self, spec: str, settings: SourceSettings, clocks: Clocks) -> None:
        """Raise SourceError if there is no such device."""
        self._device = spec if spec.startswith("/dev/") else f"/dev/video{spec}"
        super().__init__(self._device, settings, clocks)
        if not Path(self._device).exists():
            found = ", ".join(sorted(str(p) for p in Path("/dev").glob("video*"))) or "none"
            raise SourceError(f"{self._device}: no such camera (cameras here: {found}); plug one in or name a video")
        if not os.access(self._device, os.R_OK | os.W_OK):
            raise SourceError(f"{self._device}: no permission; add yourself to the group `video`")
        if settings.camera_size is not None and _size(settings.camera_size) is None:
            raise SourceError(f"camera size {settings.camera_size!r} is not like 1280x720")

    def _images(self) -> Iterator[tuple[np.ndarray, int | None]]:
        camera = cv2.VideoCapture(self._device, cv2.CAP_V4L2)
        try:
            if not camera.isOpened():
                raise SourceError(f"{self._device}: can't be opened; is another program using it?")
            camera.set(cv2.CAP_PROP_BUFFERSIZE, 1)
            size = _size(self._settings.camera_size) if self._settings.camera_size else None
            if size:
                camera.set(cv2.CAP_PROP_FRAME_WIDTH, size[0])
                camera.set(cv2.CAP_PROP_FRAME_HEIGHT, size[1])
            if self._settings.rate_hz:
                camera.set(cv2.CAP_PROP_FPS, self._settings.rate_hz)
            self.rate_hz = camera.get(cv2.CAP_PROP_FPS) or self._settings.rate_hz
            while True:
                seen, bgr = camera.read()
                if not seen:
                    raise SourceError(f"{self._device}: the camera stopped sending; check its cable")
                # For V4L2 this is the driver's stamp of the buffer, on the monotonic clock.
                stamp_ns = round(camera.get(cv2.CAP_PROP_POS_MSEC) * NS_PER_MS)
                yield cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), stamp_ns
        finally:
            camera.release()


class NetworkCamera(Camera):
    """An RTSP camera, over TCP and without buffering. Its name and its errors never show the password."""

    def __init__(self, url: str, settings: SourceSettings, clocks: Clocks) -> None:
        super().__init__(redact(url), settings, clocks)
        self._url = url

    def _images(self) -> Iterator[tuple[np.ndarray, int | None]]:
        try:
            import av
        except ImportError as error:
            raise SourceError(
                f"RTSP needs the extra [capture] ({error}): pip install 'bowam-stream[capture]'"
            ) from None
        # Errors of libav carry the whole address: only their short text is shown, and their cause is cut off.
        try:
            container: Any = av.open(
                self._url,
                options={"rtsp_transport": "tcp", "fflags": "nobuffer", "flags": "low_delay", "max_delay": "0"},
                timeout=(self._settings.open_timeout_s, self._settings.read_timeout_s),
            )
        except (av.error.FFmpegError, OSError) as error:
            why = _why(error, self._settings.open_timeout_s)
            raise SourceError(f"{self.name}: can't connect ({why}); check address and camera") from None
        with container:
            if not container.streams.video:
                raise SourceError(f"{self.name}: sends no video")
            stream = container.streams.video[0]
            stream.thread_count = 1  # frame threads would each hold a frame back
            self.rate_hz = float(stream.average_rate) if stream.average_rate else self._settings.rate_hz
            packets = container.demux(stream)
            while True:
                try:
                    packet = next(packets)
                except (StopIteration, av.error.FFmpegError, OSError) as error:
                    why = _why(error, self._settings.read_timeout_s)
                    raise SourceError(f"{self.name}: connection lost ({why})") from None
                try:
                    pictures = packet.decode()
                except av.error.FFmpegError:
                    continue  # a damaged packet: the next key frame mends it
                for picture in pictures:
                    yield to_image(picture, stream.sample_aspect_ratio), None


def _why(error: BaseException, timeout_s: float) -> str:
    """The reason in few words; libav calls our own time limit an exit."""
    if type(error).__name__ == "ExitError":
        return f"no answer within {timeout_s:g} s"
    return getattr(error, "strerror", None) or "end of stream"


def _wide(shape: tuple[int, ...]) -> str:
    return f"{shape[1]}x{shape[0]}"


def _size(text: str) -> tuple[int, int] | None:
    width, _, height = text.partition("x")
    return (int(width), int(height)) if width.isdigit() and height.isdigit() else None
