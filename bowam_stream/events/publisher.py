"""The event topic: what happens, to whoever listens, the moment it stands in the journal."""

import logging
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import msgspec
import zmq

from bowam_stream.addresses import notice_loss
from bowam_stream.bounds import HANDSHAKE_MS, MAX_SUBSCRIPTION_BYTES, Refused, Topics, nobody_counts, receive_parts
from bowam_stream.events.schema import to_json
from bowam_stream.events.wire import (
    EVENT_TOPIC,
    GONE_MS,
    STATUS_TOPIC,
    VIEW_TOPIC,
    Header,
    topic,
)
from bowam_stream.keys import Keys, bind
from bowam_stream.messages import Event

log = logging.getLogger(__name__)

LINGER_MS = 2000  # how long closing waits for events that are still on their way to slow subscribers
QUEUE_MESSAGES = 1000  # per subscriber; one that is further behind loses messages, notices, and asks the journal
SUBSCRIPTIONS_AT_ONCE = 1000  # so that a flood of them holds up nobody
SUBSCRIPTION, ITS_END = (
    b"\x01",
    b"\x00",
)  # XPUB hands out what subscribers send: 1 and a prefix for a subscription, 0 for its end


def _bare_status(camera: str) -> bytes:
    """What is told of a camera before it has a status: its header alone says how far it has come."""
    return msgspec.json.encode({"camera": camera})


def _may_match(prefix: bytes) -> bool:
    """Whether any topic of ours begins so."""
    known = (EVENT_TOPIC.encode(), STATUS_TOPIC.encode(), VIEW_TOPIC.encode())
    return prefix.startswith(known) or any(topic.startswith(prefix) for topic in known)


class EventPublisher:
    """Publishes events and statuses; one socket, used by one thread. Never waits for a subscriber.

    Raises AddressInUse or TransportError when it can't listen on `endpoint`; see `bowam_stream.addresses.bind`.
    """

    def __init__(
        self,
        endpoint: str,
        *,
        journal: str,
        heads: Mapping[str, int],
        keys: Keys | None = None,
        insecure: bool = False,
        refused: Refused = nobody_counts,
    ) -> None:
        """`journal` is the journal's name and `heads` its last seq of each camera; `refused` hears of nonsense."""
        self._journal = journal
        self._heads = dict(heads)
        self._statuses = {camera: _bare_status(camera) for camera in heads}
        self._keys, self._insecure = keys, insecure
        self._refused = refused
        self.endpoint = self._open(endpoint)

    def _open(self, endpoint: str) -> str:
        self._topics = Topics()
        self._viewers: set[bytes] = set()  # topics of views that somebody listens to
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.XPUB)
        self._socket.set(zmq.XPUB_VERBOSE, 1)  # or a second subscriber of a topic would go unnoticed
        self._socket.set(zmq.SNDHWM, QUEUE_MESSAGES)
        self._socket.set(zmq.MAXMSGSIZE, MAX_SUBSCRIPTION_BYTES)
        self._socket.set(zmq.HANDSHAKE_IVL, HANDSHAKE_MS)
        self._socket.set(zmq.LINGER, LINGER_MS)
        notice_loss(self._socket, GONE_MS)
        try:
            return bind(self._socket, endpoint, keys=self._keys, insecure=self._insecure)
        except BaseException:
            self.close()
            raise

    def publish(self, event: Event) -> None:
        """Send an event that stands in the journal."""
        self.poll()
        self._heads[event.camera] = max(event.seq, self._heads.get(event.camera, 0))
        self._statuses.setdefault(event.camera, _bare_status(event.camera))
        self._send(EVENT_TOPIC, event.camera, event.seq, to_json(event))

    def status(self, camera: str, fields: Mapping[str, Any]) -> None:
        """Send what a terminal or a page shows of a camera; later subscribers get the last one first."""
        self.poll()
        self._statuses[camera] = msgspec.json.encode(fields, order="sorted")
        self._send_status(camera)

    def watched(self, camera: str) -> bool:
        """Whether anybody asked for the view of a camera: nothing needs to be drawn where nobody looks."""
        return not self._viewers.isdisjoint((VIEW_TOPIC.encode(), topic(VIEW_TOPIC, camera)))

    def view(self, camera: str, body: bytes) -> None:
        """Send what a page shows of a camera. Never kept, and dropped where it is not fetched."""
        self._send(VIEW_TOPIC, camera, self._heads.get(camera, 0), body)

    def poll(self) -> None:
        """Give new subscribers the last status of the cameras that they asked for. Call it often; it never waits.

        The status tells how far each camera has come, so that who comes back notices what it missed.
        """
        prefixes = set()
        for _ in range(SUBSCRIPTIONS_AT_ONCE):
            if not self._socket.poll(0):
                break
            said = receive_parts(self._socket, 1)[0].bytes
            if said.startswith(SUBSCRIPTION):
                prefix = said.removeprefix(SUBSCRIPTION)
                if not self._topics.add(prefix):
                    self._begin_anew()
                    return
                if prefix.startswith(VIEW_TOPIC.encode()):
                    self._viewers.add(prefix)
                elif _may_match(prefix):
                    prefixes.add(prefix)
                else:
                    self._refused()
            elif said.startswith(ITS_END):
                self._viewers.discard(said.removeprefix(ITS_END))
            else:
                self._refused()
        for camera in self._statuses if prefixes else ():
            if topic(STATUS_TOPIC, camera).startswith(tuple(prefixes)):
                self._send_status(camera)

    def _begin_anew(self) -> None:
        """Forget a flood of topics, with everyone who is connected: who comes back asks for what it missed."""
        log.warning("%s: too many topics were subscribed to; all subscribers are asked to connect again", self.endpoint)
        self._refused()
        self._socket.close(linger=0)
        self._context.term()
        self._open(self.endpoint)

    def _send_status(self, camera: str) -> None:
        self._send(STATUS_TOPIC, camera, self._heads.get(camera, 0), self._statuses[camera])

    def _send(self, prefix: str, camera: str, seq: int, body: bytes) -> None:
        header = Header(journal=self._journal, camera=camera, seq=seq)
        self._socket.send_multipart([topic(prefix, camera), msgspec.msgpack.encode(header), body])

    def close(self) -> None:
        """Wait at most `LINGER_MS` for what is on its way, then end."""
        self._socket.close()
        self._context.term()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
