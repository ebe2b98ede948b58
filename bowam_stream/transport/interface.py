"""What every transport looks like, in memory or on ZeroMQ.

with open_sender(settings, lossless=True) as sender:         with open_receiver(settings, lossless=True) as receiver:
    sender.open(hello)                                           receiver.receive(timeout_s=0.5)   # Hello first
    for frame in frames:                                         ...
        sender.send(frame)                                       receiver.acknowledge(end)  # all that follows from
    sender.close(end)                                                                       # the stream is safe
"""

import threading
from collections import Counter
from collections.abc import Mapping
from types import TracebackType
from typing import Protocol, Self

from bowam_stream.messages import AlignedFrame, EndOfStream, Hello
from bowam_stream.transport.codec import Message


class Rewind(Exception):
    """A new worker took over a recording: feed it again, from `open(hello)` and frame 0."""


class Cancelled(Exception):
    """The sender waits for a worker, none is there, and nobody wants to wait any longer."""


Skipped = Mapping[tuple[str, str], int]
"""(session, reason) -> frames that were dropped."""
NOTHING_SKIPPED: Skipped = {}


class FrameSender(Protocol):
    """The capture's end. Not thread-safe: one thread sends."""

    @property
    def endpoint(self) -> str:
        """The address that a receiver connects to, with the port that the system chose."""

    def open(self, hello: Hello) -> None:
        """Begin a stream. Lossless: waits for the worker. A stream that is still open ends as `interrupted`."""

    def send(self, frame: AlignedFrame) -> None:
        """Publish one frame. Live: never waits. Lossless: waits for a credit; raises Rewind or TransportError."""

    def end(self, end: EndOfStream) -> None:
        """End the stream; another may be opened. Lossless: as with `close`."""

    def close(self, end: EndOfStream | None = None) -> None:
        """End the stream, if `end` is given, and release everything. Lossless: `end` waits until the worker
        acknowledged it; raises Rewind (and stays open) or TransportError. Closing twice does nothing."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class FrameReceiver(Protocol):
    """The worker's end. Not thread-safe: one thread receives."""

    def receive(self, timeout_s: float) -> Message | None:
        """The next message, or None if none comes within `timeout_s`.

        A camera's Hello comes before its frames, and again wherever its stream begins anew: whoever gets one starts
        afresh for that camera. Raises TransportError if a lossless sender is silent for too long or refuses.
        """

    def waiting(self, camera: str) -> int:
        """Frames of `camera` that wait in this process; 0 for a lossless transport, where the sender waits instead."""

    def skipped(self) -> Skipped:
        """What of its camera was dropped between the last message that `receive` gave and the one before it."""

    def acknowledge(self, end: EndOfStream) -> None:
        """Say that all that follows from the stream is safe, so that a lossless sender may go. Live: does nothing."""

    def close(self) -> None:
        """Release everything. Closing twice does nothing."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Observer(Protocol):
    """Hears what a receiver has to tell beside messages; called from any thread, must not block."""

    def received(self, camera: str) -> None:
        """A frame of `camera` came off the wire: it will be given out, or told as dropped."""

    def dropped(self, camera: str, stage: str, reason: str, count: int = 1) -> None:
        """`count` frames of `camera` were lost; every lost frame is told exactly once."""

    def gap(self, camera: str) -> None:
        """The sequence of `camera` jumped: frames were lost on the wire."""

    def link(self, endpoint: str, up: bool) -> None:
        """The connection to `endpoint` was made or lost."""


STAGE = "receive"
LOST, AGE, CAPACITY, MALFORMED, REFUSED, NO_HELLO = "lost", "age", "capacity", "malformed", "refused", "no_hello"
ABSENT = "absent"
"""Published while no worker listened, or taken by one that died before it could tell; the worker finds that out."""
REASONS = (LOST, AGE, CAPACITY, MALFORMED, REFUSED, NO_HELLO)
"""Why a receiver drops: lost on the wire, too old, too many waiting, not a message, another session holds the camera,
no hello yet (a worker that joins). All but the first and the malformed were received."""
GRAB_FULL = "grab/queue_full"
"""What is missing between two published frames: a camera was faster than face alignment."""
UNKNOWN_CAMERA = ""
"""The camera of a message that can't be read."""


class Drops:
    """An Observer that counts. `frames` maps (camera, stage, reason) to lost frames, `gaps` a camera to its jumps."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.frames: Counter[tuple[str, str, str]] = Counter()
        self.gaps: Counter[str] = Counter()
        self.links: dict[str, bool] = {}
        self.arrived: Counter[str] = Counter()

    def received(self, camera: str) -> None:
        with self._lock:
            self.arrived[camera] += 1

    def dropped(self, camera: str, stage: str, reason: str, count: int = 1) -> None:
        with self._lock:
            self.frames[camera, stage, reason] += count

    def gap(self, camera: str) -> None:
        with self._lock:
            self.gaps[camera] += 1

    def link(self, endpoint: str, up: bool) -> None:
        with self._lock:
            self.links[endpoint] = up


class StreamState:
    """The stream that a sender has open: where it stands, and how it ends if nobody ends it."""

    def __init__(self, hello: Hello) -> None:
        self.hello = hello
        self._seq = self._frames = 0

    def sent(self, frame: AlignedFrame) -> None:
        """Take note of the last frame."""
        self._seq, self._frames = frame.seq + 1, frame.moment.frame + 1

    def interrupted(self) -> EndOfStream:
        """The end of a stream that another one replaces."""
        return EndOfStream(
            camera=self.hello.camera,
            session=self.hello.session,
            seq=self._seq,
            frames=self._frames,
            quality=("interrupted",),
            dropped={GRAB_FULL: self._frames - self._seq} if self._frames > self._seq else {},
        )
