"""The transport without sockets: capture and worker in one process, as in tests and in somebody else's program.

    link = memory_link(settings, lossless=True)
    with link.sender() as sender, link.receiver() as receiver: ...        # each in a thread of its own

It keeps the promises of the sockets. Live: never waits, drops by age, counts. Lossless: waits for a receiver, hands
over every frame once, rewinds for a new receiver and refuses a second one.
"""

import threading
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Protocol, Self

from bowam_stream import clock
from bowam_stream.errors import TransportError
from bowam_stream.messages import AlignedFrame, EndOfStream, Hello
from bowam_stream.transport.codec import Message, stamped
from bowam_stream.transport.inbox import Inbox
from bowam_stream.transport.interface import (
    NOTHING_SKIPPED,
    Drops,
    FrameReceiver,
    FrameSender,
    Observer,
    Rewind,
    Skipped,
    StreamState,
)
from bowam_stream.transport.settings import TransportSettings


class _End:
    """What both ends of both kinds have in common."""

    endpoint = "memory"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Release what this end holds."""


class LiveLink:
    """One camera or more to any number of receivers; each has an Inbox of its own."""

    def __init__(self, settings: TransportSettings, now_ns: Callable[[], int] = clock.monotonic_ns) -> None:
        self.settings = settings
        self.now_ns = now_ns
        self._lock = threading.Lock()
        self._inboxes: list[Inbox] = []
        self._hellos: dict[str, Hello] = {}

    def sender(self) -> "LiveMemorySender":
        """A capture's end."""
        return LiveMemorySender(self)

    def receiver(self, observer: Observer | None = None) -> "LiveMemoryReceiver":
        """A worker's end; it gets the hellos of all streams that are open."""
        inbox = Inbox(self.settings, observer or Drops(), self.now_ns)
        with self._lock:
            self._inboxes.append(inbox)
            for hello in self._hellos.values():
                inbox.push(hello)
        return LiveMemoryReceiver(self, inbox)

    def publish(self, message: Message) -> None:
        """Hand `message` to all that listen."""
        with self._lock:
            match message:
                case Hello():
                    self._hellos[message.camera] = message
                case EndOfStream():
                    self._hellos.pop(message.camera, None)
            for inbox in self._inboxes:
                inbox.push(message)

    def detach(self, inbox: Inbox) -> None:
        """Forget a receiver."""
        with self._lock:
            self._inboxes = [other for other in self._inboxes if other is not inbox]


class LiveMemorySender(_End):
    """Hands frames to whoever listens, and never waits."""

    def __init__(self, link: LiveLink) -> None:
        self._link = link
        self._stream: StreamState | None = None

    def open(self, hello: Hello) -> None:
        """Begin a stream; one that is still open ends as `interrupted`."""
        if self._stream is not None:
            self._link.publish(self._stream.interrupted())
        self._stream = StreamState(hello)
        self._link.publish(hello)

    def send(self, frame: AlignedFrame) -> None:
        """Hand over one frame."""
        if self._stream is None:
            raise TransportError("no stream is open: call open(hello) before send(frame)")
        self._link.publish(stamped(frame, self._link.now_ns()))
        self._stream.sent(frame)

    def end(self, end: EndOfStream) -> None:
        """Hand over `end`."""
        if self._stream is not None:
            self._link.publish(end)
        self._stream = None

    def close(self, end: EndOfStream | None = None) -> None:
        """Hand over `end`, if given."""
        if end is not None:
            self.end(end)
        self._stream = None


class LiveMemoryReceiver(_End):
    """Takes what is young enough."""

    def __init__(self, link: LiveLink, inbox: Inbox) -> None:
        self._link = link
        self._inbox = inbox

    def receive(self, timeout_s: float) -> Message | None:
        """The next message that is young enough, or None."""
        return self._inbox.take(timeout_s)

    def waiting(self, camera: str) -> int:
        """Frames of `camera` that wait."""
        return self._inbox.waiting(camera)

    def skipped(self) -> Skipped:
        """What was dropped before the last message."""
        return self._inbox.skipped()

    def acknowledge(self, end: EndOfStream) -> None:
        """Nobody waits for it."""

    def close(self) -> None:
        """Stop listening."""
        self._link.detach(self._inbox)


class ReplayLink:
    """One recording to one receiver; at most `credits` messages wait."""

    def __init__(self, settings: TransportSettings) -> None:
        self.settings = settings
        self.changed = threading.Condition()
        self.queue: deque[Message] = deque()
        self.active: ReplayMemoryReceiver | None = None
        self.greeted = False  # a receiver got the hello: when another one comes, all begins anew
        self.rewind = False
        self.done: str | None = None  # session that was acknowledged

    def sender(self) -> "ReplayMemorySender":
        """The capture's end."""
        return ReplayMemorySender(self)

    def receiver(self, observer: Observer | None = None) -> "ReplayMemoryReceiver":
        """The worker's end. Raises TransportError while another one is open."""
        with self.changed:
            if self.active is not None:
                raise TransportError("this recording already feeds a worker; close that one first")
            self.active = ReplayMemoryReceiver(self, observer or Drops())
            self.queue.clear()
            self.rewind, self.greeted, self.done = self.greeted, False, None
            self.changed.notify_all()
            return self.active


class ReplayMemorySender(_End):
    """Hands over every message as soon as there is room."""

    def __init__(self, link: ReplayLink) -> None:
        self._link = link
        self._opened = False

    def open(self, hello: Hello) -> None:
        """Begin the recording; waits for a receiver."""
        self._opened = True
        with self._link.changed:
            self._link.greeted = self._link.rewind = False
            self._transmit(hello)
            self._link.greeted = True

    def send(self, frame: AlignedFrame) -> None:
        """Hand over one frame. Raises Rewind or TransportError."""
        if not self._opened:
            raise TransportError("no stream is open: call open(hello) before send(frame)")
        with self._link.changed:
            self._transmit(stamped(frame, clock.monotonic_ns()))

    def end(self, end: EndOfStream) -> None:
        """Hand over `end`, and wait until it is acknowledged."""
        if self._opened:
            with self._link.changed:
                self._transmit(end)
                self._wait(lambda: self._link.done == end.session)
        self._opened = False

    def close(self, end: EndOfStream | None = None) -> None:
        """Hand over `end`, if given, and wait until it is acknowledged."""
        if end is not None:
            self.end(end)
        self._opened = False

    def _transmit(self, message: Message) -> None:
        self._wait(lambda: self._link.active is not None and len(self._link.queue) < self._link.settings.credits)
        self._link.queue.append(message)
        self._link.changed.notify_all()

    def _wait(self, fulfilled: Callable[[], bool]) -> None:
        link, patience_s = self._link, self._link.settings.patience_ms / 1000
        if not link.changed.wait_for(lambda: link.rewind or fulfilled(), patience_s):
            raise TransportError(f"the receiver was silent for {patience_s:.0f} s")
        if link.rewind:
            link.rewind = False
            raise Rewind


class ReplayMemoryReceiver(_End):
    """Takes every message once, in order."""

    def __init__(self, link: ReplayLink, observer: Observer) -> None:
        self._link = link
        self._observer = observer

    def receive(self, timeout_s: float) -> Message | None:
        """The next message, or None."""
        with self._link.changed:
            if self._link.active is not self or not self._link.changed.wait_for(lambda: self._link.queue, timeout_s):
                return None
            self._link.changed.notify_all()
            message = self._link.queue.popleft()
        if isinstance(message, AlignedFrame):
            self._observer.received(message.camera)
        return message

    def waiting(self, camera: str) -> int:
        """Nothing waits here: the sender does."""
        return 0

    def skipped(self) -> Skipped:
        """Nothing is ever dropped."""
        return NOTHING_SKIPPED

    def acknowledge(self, end: EndOfStream) -> None:
        """Let the sender go."""
        with self._link.changed:
            self._link.done = end.session
            self._link.changed.notify_all()

    def close(self) -> None:
        """Make room for another receiver."""
        with self._link.changed:
            if self._link.active is self:
                self._link.active = None
                self._link.queue.clear()
                self._link.changed.notify_all()


class MemoryLink(Protocol):
    """Where both ends come from."""

    def sender(self) -> FrameSender: ...

    def receiver(self, observer: Observer | None = None) -> FrameReceiver: ...


def memory_link(settings: TransportSettings | None = None, *, lossless: bool) -> MemoryLink:
    """A transport inside this process."""
    settings = settings or TransportSettings()
    return ReplayLink(settings) if lossless else LiveLink(settings)
