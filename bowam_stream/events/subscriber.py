"""Events for your own program: each once, in order per camera, whatever happens in between.

    for event in subscribe("tcp://127.0.0.1:5556", since=0):
        print(event.camera, event.label)

Kill the worker, pull the cable, be slow: the subscription connects again by itself and fetches from the journal what it
missed. `Subscription.cursor` says where to resume in the next run.
"""

import contextlib
import logging
import math
from collections import deque
from collections.abc import Callable, Collection
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Self

import msgspec
import zmq

from bowam_stream import clock
from bowam_stream.addresses import notice_loss, parse
from bowam_stream.bounds import receive_parts
from bowam_stream.errors import TransportError
from bowam_stream.events.journal import PAGE_EVENTS
from bowam_stream.events.merge import Merge, Since
from bowam_stream.events.wire import (
    EVENT_TOPIC,
    GONE_MS,
    MAX_MESSAGE_BYTES,
    STATUS_TOPIC,
    Refused,
    topic,
)
from bowam_stream.keys import Keys, Links
from bowam_stream.messages import Event

log = logging.getLogger(__name__)

DEFAULT_ENDPOINT = "tcp://127.0.0.1:5556"
MAX_PARTS = PAGE_EVENTS + 1  # of a page; a message of the topic has three
ANSWER_MS = 1000  # an unanswered question to the journal is asked again: it went to a process that is gone
ANSWER_MAX_MS = 8000  # or the line is slow: each time it may take twice as long, and half as many events are asked for
WATCH_MS = 50  # how soon a connection that was cut is noticed while an answer is awaited
LINK_MS = 1000  # how soon a handshake that failed is noticed
RECONNECT_MS, RECONNECT_MAX_MS = 50, 1000


def journal_of(endpoint: str) -> str:
    """The journal socket that belongs to an event topic by default: the next port. Raises TransportError for ipc."""
    address = parse(endpoint)
    if not address.port:
        raise TransportError(f"{endpoint} has no port; name its journal socket as well (journal=...)")
    return str(msgspec.structs.replace(address, port=address.port + 1))


def deadline_ns(timeout_s: float | None) -> float:
    """When `timeout_s` will be over, on the monotonic clock; infinity for None."""
    return math.inf if timeout_s is None else clock.monotonic_ns() + timeout_s * clock.NS_PER_SECOND


class Story:
    """The two sockets of a subscription and the story that they tell, for blocking and for asyncio use alike."""

    _context_type: ClassVar[type[zmq.Context[Any]]]

    def __init__(
        self,
        endpoint: str,
        *,
        journal: str | None = None,
        cameras: Collection[str] | None = None,
        since: Since = None,
        keys: str | Path | None = None,
    ) -> None:
        self.endpoint = str(parse(endpoint))
        self.journal_endpoint = str(parse(journal)) if journal else journal_of(endpoint)
        self.malformed = 0  # messages of the topic that could not be read
        self._merge = Merge(cameras=cameras, since=since)
        self._ready: deque[Event] = deque()
        self._keys = None if keys is None else Keys(Path(keys))
        self._context = self._context_type()
        self._journal: Any = None  # connected while there is something to ask
        self._journal_links: Links | None = None
        self._reached = False  # the journal: a handshake that fails ends a connection, too
        self._asked_ns = 0
        self._unanswered = 0  # questions in a row
        self._topic = self._socket(zmq.SUB)
        for prefix in (EVENT_TOPIC, STATUS_TOPIC):
            for wanted in [prefix.encode()] if cameras is None else [topic(prefix, camera) for camera in cameras]:
                self._topic.subscribe(wanted)
        self._links = Links(self._topic, (self.endpoint,), self._keys)

    @property
    def journal(self) -> str | None:
        """Name of the journal that tells the events now. Another one counts from 1 again."""
        return self._merge.journal

    @property
    def cursor(self) -> dict[str, int]:
        """camera -> seq of its last event that was given out; as `since` it resumes behind it."""
        cursor = dict(self._merge.cursor)
        for event in reversed(self._ready):
            cursor[event.camera] = event.seq - 1
        return cursor

    @property
    def statuses(self) -> dict[str, dict[str, Any]]:
        """camera -> its last status."""
        found = {}
        for camera, body in self._merge.status.items():
            with contextlib.suppress(msgspec.DecodeError, UnicodeError, RecursionError):  # it came from the wire
                found[camera] = msgspec.json.decode(body, type=dict[str, Any])
        return found

    def _socket(self, kind: int) -> Any:
        socket = self._context.socket(kind)
        socket.set(zmq.LINGER, 0)
        socket.set(zmq.MAXMSGSIZE, MAX_MESSAGE_BYTES)
        socket.set(zmq.RECONNECT_IVL, RECONNECT_MS)
        socket.set(zmq.RECONNECT_IVL_MAX, RECONNECT_MAX_MS)
        notice_loss(socket, GONE_MS)
        return socket

    def _listen(self, end_ns: float) -> tuple[Any, bytes | None, int]:
        """The socket to wait at, what to send there first, and how many ms to wait at most."""
        self._watch()
        now_ns = clock.monotonic_ns()
        left_ms = max(0.0, (end_ns - now_ns) / clock.NS_PER_MS)
        if not self._merge.behind:
            self._hang_up()
            return self._topic, None, math.ceil(min(left_ms, LINK_MS))
        waited_ms = (now_ns - self._asked_ns) / clock.NS_PER_MS
        if self._asked_ns and waited_ms >= self._patience_ms():
            self._unheard()
        if self._asked_ns:
            return self._journal, None, math.ceil(min(left_ms, self._patience_ms() - waited_ms, WATCH_MS))
        if self._journal is None:
            self._journal = self._socket(zmq.DEALER)
            self._reached = False
            self._journal_links = Links(self._journal, (self.journal_endpoint,), self._keys, told=self._links.told)
        self._asked_ns = now_ns
        question = self._merge.request(max(PAGE_EVENTS >> self._unanswered, 1))
        return self._journal, question, math.ceil(min(left_ms, self._patience_ms(), WATCH_MS))

    def _patience_ms(self) -> int:
        return min(ANSWER_MS << self._unanswered, ANSWER_MAX_MS)

    def _hear(self, socket: Any, parts: list[bytes]) -> None:
        """Take in what came from `socket`."""
        if socket is self._journal:
            try:
                self._ready.extend(self._merge.on_page(parts))
            except Refused as error:
                if not self._answered():
                    raise
                log.warning("%s; asking again", error)  # once the time for an answer is over
                return
            self._asked_ns, self._unanswered = 0, max(self._unanswered - 1, 0)
            return
        self._watch()  # a new connection is known before its first message is believed
        try:
            self._ready.extend(self._merge.on_message(parts))
        except TransportError as error:
            self.malformed += 1
            if self.malformed & (self.malformed - 1) == 0:  # the 1st, 2nd, 4th ...: a flood must not fill the log
                log.warning("message %d that can't be read: %s", self.malformed, error)

    def _watch(self) -> None:
        """Notice connections that came and went."""
        if any(up for _, up in self._links.hear()):
            self._merge.connected()
            self._hang_up()  # a question to the process before it will never be answered
        for _, up in self._journal_links.hear() if self._journal_links is not None else ():
            if up:
                self._reached = True
            elif self._reached:
                self._unheard() if self._asked_ns else self._hang_up()

    def _unheard(self) -> None:
        """Nobody will answer; a late answer must not be taken for that of the next question."""
        self._unanswered = min(self._unanswered + 1, PAGE_EVENTS.bit_length())
        self._hang_up()

    def _hang_up(self) -> None:
        if self._journal_links is not None:
            self._journal_links.close()
        if self._journal is not None:
            self._journal.close()
        self._journal, self._journal_links, self._asked_ns = None, None, 0

    def _answered(self) -> bool:
        return self._merge.journal is not None

    def _check_answered(self, timeout_s: float | None) -> None:
        if not self._answered():
            raise TransportError(
                f"nothing answered at {self.journal_endpoint} within {timeout_s:g} s; is a worker running there"
                f"{', and do the keys fit' if self._keys else ''}?"
            )

    def close(self) -> None:
        """Leave; the subscription can't be used any more."""
        if hasattr(self, "_links") and not self._context.closed:
            self._hang_up()
            self._links.close()
        self._context.destroy(linger=0)

    def __del__(self) -> None:
        if hasattr(self, "_context"):  # a refused address never got that far
            self.close()


class Subscription(Story):
    """A running subscription: iterate over it, or `receive` with a timeout. As a context manager it closes itself."""

    _context_type = zmq.Context

    def receive(self, timeout_s: float | None = None) -> Event | None:
        """The next event; None if none came within `timeout_s`. Raises TransportError where answers make no sense."""
        self._run(lambda: bool(self._ready), timeout_s)
        return self._ready.popleft() if self._ready else None

    def _run(self, done: Callable[[], bool], timeout_s: float | None) -> None:
        end_ns = deadline_ns(timeout_s)
        while not done():
            socket, question, wait_ms = self._listen(end_ns)
            if question is not None:
                socket.send(question)
            if socket.poll(wait_ms):
                self._hear(socket, [part.bytes for part in receive_parts(socket, MAX_PARTS)])
            elif clock.monotonic_ns() >= end_ns:
                return

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Event:
        event = self.receive()
        assert event is not None
        return event

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def subscribe(
    endpoint: str = DEFAULT_ENDPOINT,
    *,
    journal: str | None = None,
    cameras: Collection[str] | None = None,
    since: Since = None,
    timeout_s: float | None = None,
    keys: str | Path | None = None,
) -> Subscription:
    """Events of a worker, each once, in order per camera and without gaps, for as long as you iterate.

    `journal` is the journal socket (the next port of `endpoint` by default). `since` is the last seq that you have, for
    all cameras or as {camera: seq}, where a camera that is not named starts from its first event; None gives what
    happens after this call. Where you give the last event itself, {camera: Event}, it is compared with the journal's:
    numbers alone can't tell a journal from an older copy of it that was restored. Events are records: a provisional one
    is followed by a final or retracted one. `keys` is the folder with own.key_secret and server.key, where the worker
    has keys (`bowam keygen`).

    Returns as soon as the worker answered; raises TransportError if nothing did within `timeout_s` (None waits), or if
    the cursor is of another journal; ConfigError if the keys can't be used. Later the subscription waits for a worker
    that went away, and goes on; it raises TransportError rather than give out numbers that have come to mean other
    events. What a purge removed before it was read is not told.
    """
    subscription = Subscription(endpoint, journal=journal, cameras=cameras, since=since, keys=keys)
    try:
        subscription._run(subscription._answered, timeout_s)
        subscription._check_answered(timeout_s)
    except BaseException:
        subscription.close()
        raise
    return subscription
