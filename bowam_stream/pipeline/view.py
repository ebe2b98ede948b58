"""What a worker shows to a page: the spotter's signal, a small picture of each face, the pictures of each event.

Nothing of this is drawn while nobody asks for it, nothing is kept, and nothing waits for whoever looks: views travel on
the event socket, whose queues drop what is not fetched. A face, and where it was, is shown only where `[page] preview`
was asked for; the movement between the three frames of an event is no face, and is always shown.
"""

import logging
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any, Self

import cv2
import msgspec
import numpy as np

from bowam_stream import clock
from bowam_stream.events import EventPublisher
from bowam_stream.messages import AlignedFrame, Candidate, Hello
from bowam_stream.report.pictures import EventPictures, event_pictures
from bowam_stream.report.record import FrameRecord, TraceLike, frame_record

log = logging.getLogger(__name__)

EVERY_NS = 95 * clock.NS_PER_MS  # a view of each camera: three frames at 30 per second
JPEG_QUALITY = 80
MOST_FRAMES = 64  # of a view: 200 per second are 20
MOST_DRAWN = 8  # events that wait to be drawn; more are not


class Crop(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """The face as the spotter sees it: 240x240 grey."""

    track: int
    frame: int
    jpeg: bytes


class View(msgspec.Struct, frozen=True, kw_only=True):
    """What happened to one camera since the last view."""

    camera: str
    session: str
    lossless: bool = False  # a recording, whose t_ns begin at 0
    frames: tuple[FrameRecord, ...] = ()
    crops: tuple[Crop, ...] = ()  # of the last frame, where preview was asked for
    pictures: dict[str, EventPictures] = {}  # by event_id
    utc_ns: int = 0  # wall clock of the worker as the last frame had come: t_ns of that frame is about then


class Views:
    """Collects what is shown of all cameras of a worker. Used by one thread; what takes long is drawn in another."""

    def __init__(self, publisher: EventPublisher, *, preview: bool) -> None:
        self._publisher = publisher
        self._preview = preview
        self._frames: dict[str, list[FrameRecord]] = {}
        self._sent_ns: dict[str, int] = {}
        self._drawn: list[tuple[Hello, str, Future[EventPictures]]] = []
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="bowam-view")

    def frame(self, hello: Hello, frame: AlignedFrame, trace: Sequence[TraceLike]) -> None:
        """Show a frame and what the spotter saw in it; ten times a second something goes out."""
        camera = hello.camera
        if not self._publisher.watched(camera):
            self._frames.pop(camera, None)
            return
        frames = self._frames.setdefault(camera, [])
        frames.append(frame_record(frame, trace, places=self._preview))
        now_ns = clock.monotonic_ns()
        if now_ns - self._sent_ns.get(camera, 0) < EVERY_NS and len(frames) < MOST_FRAMES:
            return
        self._sent_ns[camera] = now_ns
        crops = tuple(_crop(face.track, frame.moment.frame, face.crop) for face in frame.faces) if self._preview else ()
        self._send(hello, frames=tuple(frames), crops=crops, utc_ns=clock.utc_ns())
        frames.clear()

    def candidate(self, hello: Hello, candidate: Candidate) -> None:
        """Draw the pictures of an event that the network looks at."""
        triple = candidate.triple
        if triple is None or len(self._drawn) >= MOST_DRAWN or not self._publisher.watched(hello.camera):
            return
        drawing = self._pool.submit(event_pictures, triple, faces=self._preview)
        self._drawn.append((hello, candidate.event_id, drawing))

    def poll(self) -> None:
        """Send what has been drawn meanwhile. Call it often; it never waits."""
        while self._drawn and self._drawn[0][2].done():
            hello, event_id, drawing = self._drawn.pop(0)
            if (error := drawing.exception()) is not None:
                log.warning("no pictures of event %s: %s", event_id, error)
            else:
                self._send(hello, pictures={event_id: drawing.result()})

    def _send(self, hello: Hello, **shown: Any) -> None:
        view = View(camera=hello.camera, session=hello.session, lossless=hello.lossless, **shown)
        self._publisher.view(view.camera, msgspec.msgpack.encode(view))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(cancel_futures=True)


def _crop(track: int, frame: int, crop: np.ndarray) -> Crop:
    _, code = cv2.imencode(".jpg", crop, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return Crop(track=track, frame=frame, jpeg=code.tobytes())
