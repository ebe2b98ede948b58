"""Where live frames wait for a worker that may be busy: bounded in age and number, every loss counted.

A spotter needs contiguous frames. So when the oldest waiting frame is too old, or too many wait, *all* that wait are
dropped at once: one visible gap and then fresh frames, rather than every second frame for ever.
"""

import logging
import threading
from collections import Counter, deque
from collections.abc import Callable

import msgspec

from bowam_stream import clock
from bowam_stream.clock import NS_PER_MS, NS_PER_SECOND
from bowam_stream.errors import TransportError
from bowam_stream.messages import AlignedFrame, EndOfStream, Hello
from bowam_stream.transport.codec import Message
from bowam_stream.transport.interface import (
    AGE,
    CAPACITY,
    LOST,
    NO_HELLO,
    NOTHING_SKIPPED,
    REFUSED,
    STAGE,
    UNKNOWN_CAMERA,
    Observer,
    Skipped,
)
from bowam_stream.transport.settings import TransportSettings

log = logging.getLogger(__name__)

MAX_CAMERAS = 256  # of one worker; a stranger can't make it hold more
MAX_MARKS = 4  # hellos and ends that may wait: the end of one stream, another that came and went, and the last hello


COMPLAIN_EVERY_NS = 10 * NS_PER_SECOND


class Waiting(msgspec.Struct):
    """A message, the time from which its age counts, and what was dropped since the message before it."""

    message: Message
    born_ns: int
    skipped: Counter[tuple[str, str]] | None = None

    def carry(self, skipped: Counter[tuple[str, str]] | None) -> None:
        """Take over what a message that is gone carried."""
        if skipped:
            self.skipped = skipped + self.skipped if self.skipped else skipped


class CameraQueue:
    """Waiting messages of one camera. A pure state machine: time comes in with every call."""

    def __init__(self, camera: str, settings: TransportSettings, observer: Observer, clock_id: str) -> None:
        self.camera = camera
        self._max_age_ns = settings.max_age_ms * NS_PER_MS
        self._takeover_ns = settings.takeover_ms * NS_PER_MS
        self._capacity = max(settings.ring_frames, MAX_MARKS + 1)
        self._observer = observer
        self._clock_id = clock_id
        self._waiting: deque[Waiting] = deque()
        self._pending: Counter[tuple[str, str]] = Counter()  # dropped since the last of them: (session, reason)
        self._early: tuple[str, Counter[str]] = ("", Counter())  # frames of a session that has not begun, by reason
        self._hello: Hello | None = None  # of the session that holds the camera; None before the first and after an end
        self._last_seq: int | None = None
        self._heard_ns = 0
        self._refused_session: str | None = None
        self._told_ns: int | None = None  # when drops were last said in the log
        self._untold = 0

    def __len__(self) -> int:
        return sum(isinstance(item.message, AlignedFrame) for item in self._waiting)

    def push(self, message: Message, now_ns: int) -> None:
        """Take what came from the wire at `now_ns`."""
        match message:
            case Hello():
                self._push_hello(message, now_ns)
            case AlignedFrame():
                self._push_frame(message, now_ns)
            case EndOfStream():
                if self._hello is not None and message.session == self._hello.session:
                    self._note_lost(message.seq)
                    self._hello = None
                    self._append(message, now_ns, now_ns)

    def pop(self, now_ns: int) -> Waiting | None:
        """The next message that is young enough at `now_ns`, and what was dropped before it."""
        self._drop_old(now_ns)
        return self._waiting.popleft() if self._waiting else None

    def _push_hello(self, hello: Hello, now_ns: int) -> None:
        if self._hello is not None and hello.session == self._hello.session:
            self._heard_ns = now_ns
        elif self._held(now_ns):
            if self._refused_session != hello.session:
                self._refused_session = hello.session
                log.warning(
                    "refused a second capture of this camera; give it another --camera name",
                    extra={"camera": self.camera},
                )
        else:
            self._begin(hello, now_ns)

    def _begin(self, hello: Hello, now_ns: int) -> None:
        self._hello, self._last_seq, self._heard_ns = hello, None, now_ns
        self._append(hello, now_ns, now_ns)
        session, reasons = self._early
        if session == hello.session:
            self._pending.update({(session, reason): count for reason, count in reasons.items()})
        self._early = ("", Counter())

    def _held(self, now_ns: int) -> bool:
        return self._hello is not None and now_ns - self._heard_ns < self._takeover_ns

    def _push_frame(self, frame: AlignedFrame, now_ns: int) -> None:
        if self._hello is None or frame.session != self._hello.session:
            reason = REFUSED if self._held(now_ns) else NO_HELLO
            self._observer.dropped(self.camera, STAGE, reason)
            if self._early[0] != frame.session:
                self._early = (frame.session, Counter())
            self._early[1][reason] += 1
            return
        if self._last_seq is not None and frame.seq <= self._last_seq:  # PUB never reorders: it began anew
            self._begin(self._hello, now_ns)
        self._heard_ns = now_ns
        self._note_lost(frame.seq)
        self._last_seq = frame.seq
        same_clock = frame.clock == self._clock_id
        self._append(frame, min(frame.published_ns, now_ns) if same_clock else now_ns, now_ns)

    def _note_lost(self, seq: int) -> None:
        """Count what is missing between the last frame and `seq`. A worker that joined late has no last frame."""
        if self._last_seq is not None and seq > self._last_seq + 1:
            count = seq - self._last_seq - 1
            self._observer.gap(self.camera)
            self._observer.dropped(self.camera, STAGE, LOST, count)
            assert self._hello is not None
            self._pending[self._hello.session, LOST] += count

    def _append(self, message: Message, born_ns: int, now_ns: int) -> None:
        self._drop_old(now_ns)
        if len(self._waiting) >= self._capacity:
            self._drop_window(CAPACITY, now_ns)
        self._waiting.append(Waiting(message, born_ns, self._pending or None))
        if self._pending:
            self._pending = Counter()

    def _drop_old(self, now_ns: int) -> None:
        for item in self._waiting:
            if isinstance(item.message, AlignedFrame):
                if now_ns - item.born_ns > self._max_age_ns:
                    self._drop_window(AGE, now_ns)
                return

    def _drop_window(self, reason: str, now_ns: int) -> None:
        """Drop all frames that wait. The last hellos and ends stay: the receiver must know where it stands."""
        kept: deque[Waiting] = deque()
        carried: Counter[tuple[str, str]] = Counter()
        frames = 0
        for item in self._waiting:
            carried.update(item.skipped or {})
            if isinstance(item.message, AlignedFrame):
                carried[item.message.session, reason] += 1
                frames += 1
            else:
                item.skipped, carried = carried, Counter()
                kept.append(item)
        carried.update(self._pending)
        self._pending = carried
        while len(kept) > MAX_MARKS:
            gone = kept.popleft()
            kept[0].carry(gone.skipped)
        self._waiting = kept
        if frames:
            self._observer.dropped(self.camera, STAGE, reason, frames)
            self._complain(reason, frames, now_ns)

    def _complain(self, reason: str, frames: int, now_ns: int) -> None:
        """Say it, but not more often than `COMPLAIN_EVERY_NS`."""
        self._untold += frames
        if self._told_ns is None or now_ns - self._told_ns >= COMPLAIN_EVERY_NS:
            why = "were too old" if reason == AGE else "were too many"
            said = f"dropped {self._untold} frames that {why}: this worker can't keep up"
            log.warning(said, extra={"camera": self.camera})
            self._told_ns, self._untold = now_ns, 0


class Inbox:
    """The queues of all cameras, between the thread that receives and the one that works. Cameras take turns."""

    def __init__(
        self, settings: TransportSettings, observer: Observer, now_ns: Callable[[], int] = clock.monotonic_ns
    ) -> None:
        self._settings = settings
        self._observer = observer
        self._now_ns = now_ns
        self._changed = threading.Condition()
        self._queues: dict[str, CameraQueue] = {}
        self._turns: deque[CameraQueue] = deque()
        self._skipped = NOTHING_SKIPPED
        self._failure: BaseException | None = None

    def push(self, message: Message) -> None:
        """Take a message from the wire."""
        with self._changed:
            queue = self._queues.get(message.camera)
            if queue is None:
                if len(self._queues) >= MAX_CAMERAS:
                    if isinstance(message, AlignedFrame):
                        self._observer.received(UNKNOWN_CAMERA)
                        self._observer.dropped(UNKNOWN_CAMERA, STAGE, REFUSED)
                    return
                queue = CameraQueue(message.camera, self._settings, self._observer, clock.clock_id())
                self._queues[message.camera] = queue
                self._turns.append(queue)
            if isinstance(message, AlignedFrame):
                self._observer.received(message.camera)
            queue.push(message, self._now_ns())
            self._changed.notify()

    def take(self, timeout_s: float) -> Message | None:
        """The next message, or None if none comes within `timeout_s`. TransportError if the receiving thread broke."""
        with self._changed:
            message: Message | None = None

            def arrived() -> bool:
                nonlocal message
                message = self._pop()
                return message is not None or self._failure is not None

            if self._changed.wait_for(arrived, timeout_s) and message is None:
                raise TransportError(f"frames can't be received any more: {self._failure}") from self._failure
            return message

    def skipped(self) -> Skipped:
        """What of its camera was dropped before the message that was taken last, since the one before it."""
        return self._skipped

    def waiting(self, camera: str) -> int:
        """Frames of `camera` that wait."""
        with self._changed:
            return len(self._queues.get(camera, ()))

    def fail(self, error: BaseException) -> None:
        """Nothing will come any more, because of `error`."""
        with self._changed:
            self._failure = error
            self._changed.notify()

    def _pop(self) -> Message | None:
        now_ns = self._now_ns()
        for _ in range(len(self._turns)):
            queue = self._turns[0]
            self._turns.rotate(-1)
            item = queue.pop(now_ns)
            if item is not None:
                self._skipped = item.skipped or NOTHING_SKIPPED
                return item.message
        return None
