"""Keeps up with a live camera: a thread takes every frame, and whoever is slower gets the newest ones."""

import random
import threading
from collections import deque
from collections.abc import Callable

import msgspec

from bowam_stream.capture.source import Source
from bowam_stream.errors import SourceError
from bowam_stream.messages import Frame


class GrabberSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a live camera is kept up with."""

    queue_frames: int = 2  # frames that may wait; the oldest is dropped
    first_delay_s: float = 0.5  # wait before the first attempt to connect again; doubles with each
    longest_delay_s: float = 30.0
    jitter: float = 0.2  # waits differ by up to this share, so that many cameras don't return at the same instant


_SETTINGS = GrabberSettings()


class Grabbed(msgspec.Struct, frozen=True, kw_only=True):
    """A frame and the connection that brought it. A new connection is a new session."""

    connection: int  # from 0
    frame: Frame


class Backoff:
    """Growing, jittered waits between attempts."""

    def __init__(self, settings: GrabberSettings, seed: int | None = None) -> None:
        self._settings = settings
        self._random = random.Random(seed)
        self._failures = 0

    def next_s(self) -> float:
        """Seconds to wait after one more failure."""
        delay_s = min(self._settings.first_delay_s * 2**self._failures, self._settings.longest_delay_s)
        self._failures = min(self._failures + 1, 30)
        return delay_s * (1 + self._random.uniform(-self._settings.jitter, self._settings.jitter))

    def reset(self) -> None:
        """It worked: the next failure is the first again."""
        self._failures = 0


class LiveGrabber:
    """Runs a live source in a thread and connects again, with growing waits, whenever it is lost.

    `on_frame(grabbed)` is called for every frame that the camera sent, `on_drop(grabbed, stage, reason)` for those that
    nobody took in time or that were left when it was stopped, `on_connection(up, error)` whenever the connection comes
    or goes. If the very first connection fails, `get` raises its error, since a wrong address should be said, not
    retried; unless `patient`, for a camera that is known to come.
    """

    def __init__(
        self,
        source: Source,
        settings: GrabberSettings = _SETTINGS,
        *,
        patient: bool = False,
        on_frame: Callable[[Grabbed], None] = lambda grabbed: None,
        on_drop: Callable[[Grabbed, str, str], None] = lambda grabbed, stage, reason: None,
        on_connection: Callable[[bool, SourceError | None], None] = lambda up, error: None,
    ) -> None:
        self._source, self._settings = source, settings
        self._patient, self._on_frame = patient, on_frame
        self._on_drop, self._on_connection = on_drop, on_connection
        self._queue: deque[Grabbed] = deque()
        self._changed = threading.Condition()
        self._stopping = threading.Event()
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="grab", daemon=True)

    def start(self) -> None:
        """Begin to connect and to take frames."""
        self._thread.start()

    def get(self, timeout_s: float) -> Grabbed | None:
        """The oldest frame that still waits, or None if none came in time. Raise what ended the thread, if it ended."""
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._failure or self._stopping.is_set(), timeout_s)
            if self._queue:
                return self._queue.popleft()
            if self._failure:
                raise self._failure
            return None

    def halt(self) -> None:
        """Take no frame any more, and drop those that wait; the thread may still hang in a read."""
        with self._changed:
            self._stopping.set()
            left = list(self._queue)
            self._queue.clear()
            self._changed.notify_all()
        for grabbed in left:
            self._on_drop(grabbed, "grab", "stopped")

    def stop(self, timeout_s: float = 10.0) -> None:
        """`halt`, and end the thread. A driver that hangs in a read is left behind after `timeout_s`."""
        self.halt()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def _run(self) -> None:
        backoff, connection = Backoff(self._settings), 0
        try:
            while not self._stopping.is_set():
                received = False
                try:
                    for frame in self._source:
                        if not received:
                            received = True
                            backoff.reset()
                            self._on_connection(True, None)
                        self._put(Grabbed(connection=connection, frame=frame))
                        if self._stopping.is_set():
                            return
                    raise SourceError(f"{self._source.name}: the stream ended")
                except SourceError as error:
                    connection += received
                    if not connection and not self._patient:
                        raise
                    self._on_connection(False, error)
                    self._stopping.wait(backoff.next_s())
        except Exception as error:
            with self._changed:
                self._failure = error
                self._changed.notify_all()

    def _put(self, grabbed: Grabbed) -> None:
        dropped = []
        with self._changed:
            if self._stopping.is_set():
                return
            self._on_frame(grabbed)
            self._queue.append(grabbed)
            while len(self._queue) > self._settings.queue_frames:
                dropped.append(self._queue.popleft())
            self._changed.notify_all()
        for old in dropped:
            self._on_drop(old, "grab", "queue_full")
