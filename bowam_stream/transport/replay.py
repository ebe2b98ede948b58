"""Recordings: every frame once, in order, and never more under way than the worker gave credits for.

    worker (DEALER, connects)                     capture (ROUTER, binds)
    [run, Ready(credits=16)]  ------------------>
                              <------------------ [run, Hello] [run, AlignedFrame] ...     one credit each
    [run, Credit]             ------------------>                                          for every message taken
                              <------------------ [run, EndOfStream]
    [run, Done(session)]      ------------------> all that follows from the stream is safe

`run` is a random name that a worker chooses for every connection: what belongs to an earlier one is ignored. A worker
that comes (back) while the capture is feeding makes the sender raise Rewind; a second one is refused while the first is
connected. Heartbeats end the connection of a peer that hangs.
"""

import logging
import math
import secrets
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

import msgspec
import zmq

from bowam_stream.bounds import Refused as Count
from bowam_stream.bounds import nobody_counts, receive_parts
from bowam_stream.errors import ConfigError, TransportError
from bowam_stream.keys import Keys, Links, bind
from bowam_stream.messages import AlignedFrame, EndOfStream, Hello
from bowam_stream.transport.codec import MAX_PARTS, Message, Part, decode, encode, stamped
from bowam_stream.transport.control import Control, Credit, Done, Ping, Ready, Refused, read_control, write_control
from bowam_stream.transport.interface import NOTHING_SKIPPED, Cancelled, Observer, Rewind, Skipped
from bowam_stream.transport.settings import TransportSettings
from bowam_stream.transport.sockets import Socket, new_socket

log = logging.getLogger(__name__)

RUN_BYTES = 8
CONTROLS_AT_ONCE = 100  # read between two frames, so that a flood of them holds up none
DONE_LINGER_MS = 2000  # how long `Done` may still be on its way when the worker closes


class Peer(msgspec.Struct):
    """The worker that is being fed."""

    identity: bytes  # of its connection: ROUTER gives every connection another one
    run: bytes
    credits: int
    done: str | None = None  # the session that it said Done to


class ReplaySender:
    """Feeds one recording to one worker."""

    def __init__(
        self,
        settings: TransportSettings,
        cancelled: Callable[[], bool] = lambda: False,
        keys: Keys | None = None,
        *,
        refused: Count = nobody_counts,
    ) -> None:
        """`refused` hears of every message of a stranger."""
        self._settings = settings
        self._count_refused = refused
        self._cancelled = cancelled
        self._peer: Peer | None = None
        self._opened = False
        self._greeted = False  # a worker got the hello: when another one comes, all begins anew
        self._context: zmq.Context[Socket] = zmq.Context()
        self._socket = new_socket(self._context, zmq.ROUTER, settings)
        self._socket.setsockopt(zmq.ROUTER_MANDATORY, 1)  # sending to a worker that is gone is an error, not silence
        self._socket.setsockopt(zmq.SNDHWM, 0)  # credits bound what is under way
        try:
            self.endpoint = bind(self._socket, settings.endpoint, keys=keys, insecure=settings.insecure)
        except TransportError:
            self.close()
            raise

    def open(self, hello: Hello) -> None:
        """Begin the recording: wait for a worker and greet it. Raises TransportError if none comes."""
        self._opened, self._greeted = True, False
        self._transmit(hello)
        self._greeted = True

    def send(self, frame: AlignedFrame) -> None:
        """Send one frame as soon as there is a credit. Raises Rewind, or TransportError after too long a silence."""
        if not self._opened:
            raise TransportError("no stream is open: call open(hello) before send(frame)")
        self._transmit(stamped(frame, time.monotonic_ns()))

    def end(self, end: EndOfStream) -> None:
        """Send `end`, and wait until the worker acknowledged it. Raises Rewind or TransportError."""
        self._transmit(end)
        self._wait("acknowledge the end of the recording", lambda peer: peer.done == end.session)

    def close(self, end: EndOfStream | None = None) -> None:
        """Send `end`, if given, and wait until the worker acknowledged it; then release the socket."""
        if self._context.closed:
            return
        if end is not None:
            self.end(end)
        self._socket.close(linger=0)
        self._context.term()

    def _transmit(self, message: Message) -> None:
        """Send `message` for one credit."""
        parts = encode(message)
        self._read_waiting()
        while True:
            peer = self._wait("ask for the next frame", lambda peer: peer.credits > 0)
            if self._send(peer, *parts):
                peer.credits -= 1
                return

    def _wait(self, what: str, fulfilled: Callable[[Peer], bool]) -> Peer:
        """The worker, once it did what we wait for. Raises Rewind, Cancelled or TransportError."""
        patience_s, silent_s = self._settings.patience_ms / 1000, 0.0
        while self._peer is None or not fulfilled(self._peer):
            if self._peer is None and self._cancelled():
                raise Cancelled
            if silent_s >= patience_s:
                who = "no worker" if self._peer is None else "the worker didn't"
                verb = "came to " if self._peer is None else ""
                raise TransportError(
                    f"{who} {verb}{what} at {self.endpoint} for {patience_s:.0f} s; start it, or see what it logged"
                )
            started_s = time.monotonic()
            if self._socket.poll(self._settings.heartbeat_ms):
                self._read_waiting()
                silent_s = 0.0
            else:
                silent_s += time.monotonic() - started_s
                if self._peer is not None:
                    self._send(self._peer, write_control(Ping()))
        return self._peer

    def _read_waiting(self) -> None:
        """Handle all that workers sent. Raises Rewind if another one takes over."""
        for _ in range(CONTROLS_AT_ONCE):
            if not self._socket.poll(0):
                return
            parts = [part.bytes for part in receive_parts(self._socket, 3)]
            control = read_control(parts[2]) if len(parts) == 3 and len(parts[1]) == RUN_BYTES else None
            peer = self._peer
            if isinstance(control, Ready):
                self._welcome(Peer(parts[0], parts[1], min(max(control.credits, 1), self._settings.credits)))
            elif control is None or peer is None or (peer.identity, peer.run) != (parts[0], parts[1]):
                self._count_refused()
                log.debug("ignored a message from a stranger or an earlier connection")
            elif isinstance(control, Credit):
                peer.credits = min(peer.credits + 1, self._settings.credits)
            elif isinstance(control, Done):
                peer.done = control.session

    def _welcome(self, newcomer: Peer) -> None:
        peer = self._peer
        if peer is not None and peer.identity != newcomer.identity and self._send(peer, write_control(Ping())):
            self._count_refused()
            log.warning("refused a second worker at %s", self.endpoint)
            reason = f"{self.endpoint} already feeds a worker; stop that one, or read another recording"
            self._send(newcomer, write_control(Refused(reason)))
            return
        self._peer = newcomer
        if self._greeted:
            self._greeted = False
            raise Rewind

    def _send(self, peer: Peer, *parts: Part) -> bool:
        """Whether `peer` is still connected."""
        try:
            self._socket.send_multipart([peer.identity, peer.run, *parts], zmq.NOBLOCK, copy=False)
        except zmq.ZMQError as error:
            if error.errno != zmq.EHOSTUNREACH:
                raise
            if peer is self._peer:
                log.warning("the worker at %s is gone; waiting for one", self.endpoint)
                self._peer = None
            return False
        return True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class ReplayReceiver:
    """Takes one recording after the other from one address, and loses nothing."""

    def __init__(
        self, endpoint: str, settings: TransportSettings, observer: Observer, keys: Keys | None = None
    ) -> None:
        self._endpoint = endpoint
        self._settings = settings
        self._observer = observer
        self._run = b""
        self._connected = False
        self._acknowledged = False  # nothing is owed to us: no capture has to be there
        self._silent_s = 0.0
        self._context: zmq.Context[Socket] = zmq.Context()
        self._socket = new_socket(self._context, zmq.DEALER, settings)
        try:
            self._links = Links(self._socket, (endpoint,), keys)
        except (ConfigError, TransportError):
            self._context.destroy(linger=0)
            raise
        self._poller = zmq.Poller()
        self._poller.register(self._socket, zmq.POLLIN)
        self._poller.register(self._links.monitor, zmq.POLLIN)

    def receive(self, timeout_s: float) -> Message | None:
        """The next message. Raises TransportError if the capture is gone for too long, refuses, or talks nonsense.

        A capture that is connected may be silent for as long as it likes: it decodes, or replays a pause at speed 1.
        """
        deadline_s = time.monotonic() + timeout_s
        patience_s = self._settings.patience_ms / 1000
        while True:
            started_s = time.monotonic()
            wait_s = max(0.0, min(deadline_s - started_s, patience_s))
            wait_ms, again_ms = math.ceil(wait_s * 1000), self._links.wait_ms()
            ready = dict(self._poller.poll(wait_ms if again_ms is None else min(wait_ms, again_ms)))
            for link in self._links.hear():
                self._note_link(*link)
            if self._socket in ready:
                self._silent_s = 0.0
                message = self._take([part.buffer for part in receive_parts(self._socket, MAX_PARTS + 1)])
                if message is not None:
                    return message
            elif not self._connected and not self._acknowledged:
                self._silent_s += time.monotonic() - started_s
                if self._silent_s >= patience_s:
                    where = f"at {self._endpoint} for {patience_s:.0f} s"
                    raise TransportError(f"no capture answered {where}; start it, or see what it logged")
            if time.monotonic() >= deadline_s:
                return None

    def waiting(self, camera: str) -> int:
        """Nothing waits here: the sender does."""
        return 0

    def skipped(self) -> Skipped:
        """Nothing is ever dropped."""
        return NOTHING_SKIPPED

    def acknowledge(self, end: EndOfStream) -> None:
        """Let the capture go: all that follows from the stream is safe."""
        self._acknowledged = True
        self._send(Done(end.session))

    def close(self) -> None:
        """Release the socket, after an acknowledgement had its chance to leave."""
        if not self._context.closed:
            self._links.close()
            self._socket.close(linger=DONE_LINGER_MS if self._acknowledged else 0)
            self._context.term()

    def _note_link(self, endpoint: str, up: bool) -> None:
        if up:  # also after a break: what was under way is lost, so the recording begins anew
            self._run = secrets.token_bytes(RUN_BYTES)
            self._send(Ready(self._settings.credits))
        self._connected = up
        self._silent_s = 0.0
        self._observer.link(endpoint, up)

    def _take(self, parts: list[memoryview]) -> Message | None:
        """The message in `parts`, or None if it is a control message or of an earlier run."""
        if len(parts) < 2 or parts[0] != self._run:
            return None
        if len(parts) == 2:
            control = read_control(bytes(parts[1]))
            if isinstance(control, Refused):
                raise TransportError(control.reason)
            return None
        message = decode(parts[1:])
        self._acknowledged = False
        if isinstance(message, AlignedFrame):
            self._observer.received(message.camera)
        self._send(Credit())
        return message

    def _send(self, control: Control) -> None:
        try:
            self._socket.send_multipart([self._run, write_control(control)], zmq.NOBLOCK)
        except zmq.Again:  # the capture is gone: once it is back, all begins anew
            log.debug("nobody takes %s", control)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
