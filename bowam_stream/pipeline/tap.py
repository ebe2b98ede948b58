"""Listens to the event topic while a run goes on: what a terminal shows. The journal, not the tap, is the result."""

from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

import msgspec
import zmq

from bowam_stream.addresses import reachable
from bowam_stream.errors import TransportError
from bowam_stream.events import from_json
from bowam_stream.events.wire import EVENT_TOPIC, MAX_MESSAGE_BYTES, STATUS_TOPIC, VIEW_TOPIC, read_message
from bowam_stream.keys import Keys, connect
from bowam_stream.messages import Event
from bowam_stream.pipeline.view import View


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """How one camera of a worker is doing: the body of the status topic."""

    camera: str
    session: str = ""
    source: str = ""
    frames: int = 0
    frames_with_face: int = 0
    frames_expected: int | None = None
    faces: int = 0  # in the last frame
    effective_hz: float = 0.0
    dropped: int = 0
    t_ns: int = 0
    clock: str = ""  # which the times of a camera are read from: clock.clock_id() of its capture; empty for recordings
    ended: bool = False
    quality: tuple[str, ...] = ()
    age_ms: float | None = None  # capture of the last frame to now; None where the clocks can't be compared
    threshold: float = 0.0  # of the spotter, now


def _nobody(_: Any) -> None:
    """Whoever is not interested."""


class Tap:
    """A subscriber without memory. Sees only what is published while it polls.

    With `views` it also listens to the view topic of all cameras, and the worker draws for it.
    """

    def __init__(self, endpoint: str, keys: Keys | None = None, *, views: bool = False) -> None:
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = self._context.socket(zmq.SUB)
        self._socket.set(zmq.MAXMSGSIZE, MAX_MESSAGE_BYTES)
        self._socket.set(zmq.LINGER, 0)
        self._socket.set(zmq.RECONNECT_IVL, 20)
        for prefix in (EVENT_TOPIC, STATUS_TOPIC, VIEW_TOPIC) if views else (EVENT_TOPIC, STATUS_TOPIC):
            self._socket.subscribe(prefix.encode())
        try:
            connect(self._socket, reachable(endpoint), keys)
        except BaseException:
            self._context.destroy(linger=0)
            raise

    def poll(
        self,
        timeout_s: float,
        on_event: Callable[[Event], None] = _nobody,
        on_status: Callable[[Status], None] = _nobody,
        on_view: Callable[[View], None] = _nobody,
    ) -> None:
        """Wait up to `timeout_s` for something, then hand out all that is there."""
        ready = self._socket.poll(round(timeout_s * 1000))
        while ready:
            try:
                message = read_message(self._socket.recv_multipart(zmq.NOBLOCK))
                if message.kind == "event":
                    on_event(from_json(message.body))
                elif message.kind == "view":
                    on_view(msgspec.msgpack.decode(message.body, type=View))
                else:
                    on_status(msgspec.json.decode(message.body, type=Status))
            except (TransportError, msgspec.DecodeError):
                pass  # not ours: whoever else speaks on this port is not this terminal's business
            ready = self._socket.poll(0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()
        self._context.term()
