"""Live frames: PUB in the capture, SUB in the worker. Lossy by design, and honest about it.

The sender never waits: what a slow worker does not fetch is dropped by ZeroMQ and shows as a jump of `seq`. The
receiver drains its socket in a thread of its own into an Inbox, so that what is dropped there is chosen by age.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

import zmq

from bowam_stream import clock
from bowam_stream.bounds import MAX_SUBSCRIPTION_BYTES, Refused, Topics, nobody_counts, receive_parts
from bowam_stream.clock import NS_PER_MS
from bowam_stream.errors import ConfigError, TransportError
from bowam_stream.keys import Keys, Links, bind
from bowam_stream.messages import AlignedFrame, EndOfStream, Hello
from bowam_stream.transport.codec import MAX_PARTS, TOPIC, Message, decode, encode, stamped
from bowam_stream.transport.inbox import Inbox
from bowam_stream.transport.interface import MALFORMED, STAGE, UNKNOWN_CAMERA, Observer, Skipped, StreamState
from bowam_stream.transport.settings import TransportSettings
from bowam_stream.transport.sockets import Socket, new_socket

log = logging.getLogger(__name__)

END_REPEATS, END_EVERY_S = 5, 0.02
SUBSCRIPTIONS_AT_ONCE = 100  # read between two frames, so that a flood of them holds up none
END_LINGER_MS = 200  # how long the end of a stream may still be on its way when everything else is closed


class LiveSender:
    """Publishes one camera to any number of workers, and never waits for them."""

    def __init__(
        self,
        settings: TransportSettings,
        *,
        keys: Keys | None = None,
        now_ns: Callable[[], int] = clock.monotonic_ns,
        refused: Refused = nobody_counts,
    ) -> None:
        """`refused` hears of what subscribers say beside subscriptions to frames."""
        self._settings = settings
        self._keys = keys
        self._now_ns = now_ns
        self._refused = refused
        self._hello_every_ns = settings.hello_every_ms * NS_PER_MS
        self._stream: StreamState | None = None
        self._hello_due_ns = 0
        self._linger_ms = 0
        self.endpoint = self._listen(settings.endpoint)

    def _listen(self, endpoint: str) -> str:
        settings = self._settings
        self._topics = Topics()
        self._context: zmq.Context[Socket] = zmq.Context()
        # XPUB is a PUB that tells who subscribes, and VERBOSE tells every one: each gets the hello with the next frame.
        self._socket = new_socket(self._context, zmq.XPUB, settings)
        self._socket.setsockopt(zmq.XPUB_VERBOSE, 1)
        self._socket.setsockopt(zmq.MAXMSGSIZE, MAX_SUBSCRIPTION_BYTES)
        self._socket.setsockopt(zmq.SNDHWM, settings.queue_frames)
        self._socket.setsockopt(zmq.SNDBUF, settings.kernel_buffer_bytes)
        try:
            return bind(self._socket, endpoint, keys=self._keys, insecure=settings.insecure)
        except TransportError:
            self.close()
            raise

    def open(self, hello: Hello) -> None:
        """Begin a stream; one that is still open ends as `interrupted`."""
        if self._stream is not None:
            self._publish(self._stream.interrupted())
        self._stream = StreamState(hello)
        self._hello_due_ns = 0
        self._repeat_hello()

    def send(self, frame: AlignedFrame) -> None:
        """Publish `frame` to whoever keeps up."""
        if self._stream is None:
            raise TransportError("no stream is open: call open(hello) before send(frame)")
        self._repeat_hello()
        self._publish(stamped(frame, self._now_ns()))
        self._stream.sent(frame)

    def end(self, end: EndOfStream) -> None:
        """Publish `end`. A full queue would drop it, and libzmq does not tell: say it while the queues run empty."""
        for _ in range(END_REPEATS):
            self._publish(end)
            time.sleep(END_EVERY_S)
        self._stream, self._linger_ms = None, END_LINGER_MS

    def close(self, end: EndOfStream | None = None) -> None:
        """Publish `end`, if given, and release the socket."""
        if self._context.closed:
            return
        if end is not None:
            self.end(end)
        self._stream = None
        self._socket.close(linger=self._linger_ms)
        self._context.term()

    def _repeat_hello(self) -> None:
        assert self._stream is not None
        now_ns = self._now_ns()
        joined = False
        for _ in range(SUBSCRIPTIONS_AT_ONCE):
            if not self._socket.poll(0):
                break
            said = receive_parts(self._socket, 1)[0].bytes
            if not self._topics.add(said):  # ZeroMQ keeps them all: forget them, with everyone who is connected
                log.warning("%s: too many topics were subscribed to; workers are asked to connect again", self.endpoint)
                self._socket.close(linger=0)
                self._context.term()
                self._listen(self.endpoint)
                break
            if said[1:].startswith(TOPIC) or TOPIC.startswith(said[1:]):
                joined = True  # one more that has to be greeted, or one less
            else:
                self._refused()
        if joined or now_ns >= self._hello_due_ns:
            self._publish(self._stream.hello)
            self._hello_due_ns = now_ns + self._hello_every_ns

    def _publish(self, message: Message) -> None:
        self._socket.send_multipart(encode(message), zmq.NOBLOCK, copy=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class LiveReceiver:
    """Receives any number of cameras from any number of captures."""

    def __init__(
        self,
        endpoints: Sequence[str],
        settings: TransportSettings,
        observer: Observer,
        *,
        keys: Keys | None = None,
        now_ns: Callable[[], int] = clock.monotonic_ns,
    ) -> None:
        self._observer = observer
        self._inbox = Inbox(settings, observer, now_ns)
        self._malformed = 0
        self._context: zmq.Context[Socket] = zmq.Context()
        socket = new_socket(self._context, zmq.SUB, settings)
        socket.setsockopt(zmq.RCVHWM, settings.queue_frames)
        socket.setsockopt(zmq.RCVBUF, settings.kernel_buffer_bytes)
        socket.setsockopt(zmq.SUBSCRIBE, TOPIC)
        try:
            links = Links(socket, endpoints, keys)
        except (ConfigError, TransportError):
            self._context.destroy(linger=0)
            raise
        self._thread = threading.Thread(target=self._drain, args=(socket, links), name="bowam-frames", daemon=True)
        self._thread.start()

    def receive(self, timeout_s: float) -> Message | None:
        """The next message that is young enough, cameras taking turns; None if none comes within `timeout_s`."""
        return self._inbox.take(timeout_s)

    def waiting(self, camera: str) -> int:
        """Frames of `camera` that wait in this process."""
        return self._inbox.waiting(camera)

    def skipped(self) -> Skipped:
        """What was dropped before the last message."""
        return self._inbox.skipped()

    def acknowledge(self, end: EndOfStream) -> None:
        """Nobody waits for it."""

    def close(self) -> None:
        """Stop receiving; what waits is forgotten."""
        if not self._context.closed:
            self._context.term()  # wakes the thread, which closes its sockets, for which this waits
            self._thread.join()

    def _drain(self, socket: Socket, links: Links) -> None:
        """The receiving thread: it alone touches the sockets."""
        poller = zmq.Poller()
        poller.register(socket, zmq.POLLIN)
        poller.register(links.monitor, zmq.POLLIN)
        try:
            while True:
                for ready, _ in poller.poll(links.wait_ms()):
                    if ready is socket:
                        self._take([part.buffer for part in receive_parts(socket, MAX_PARTS)])
                for endpoint, up in links.hear():
                    self._observer.link(endpoint, up)
        except zmq.ContextTerminated:
            pass
        except Exception as error:  # a bug must reach the worker's thread, which would wait for ever
            log.exception("the receiving thread broke")
            self._inbox.fail(error)
        finally:
            links.monitor.close(0)
            socket.close(0)

    def _take(self, parts: list[memoryview]) -> None:
        try:
            self._inbox.push(decode(parts))
        except TransportError as error:
            self._malformed += 1
            self._observer.dropped(UNKNOWN_CAMERA, STAGE, MALFORMED)
            if (
                self._malformed & (self._malformed - 1) == 0
            ):  # the 1st, 2nd, 4th, 8th ...: a flood must not fill the log
                log.warning("message %d that can't be read: %s", self._malformed, error)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
