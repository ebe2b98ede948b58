"""Connections that heal: where a handshake failed, they are made again with the keys that are there then."""

import contextlib
import itertools
import logging
import socket as socketlib
from collections.abc import Iterable
from typing import Any

import zmq
from zmq.utils.monitor import parse_monitor_message

from bowam_stream import clock
from bowam_stream.addresses import parse
from bowam_stream.errors import ConfigError, TransportError
from bowam_stream.keys.files import ALLOWED
from bowam_stream.keys.guard import FAILED
from bowam_stream.keys.keyring import LOG_EVERY_NS, Keys, connect

log = logging.getLogger(__name__)

_NUMBERS = itertools.count()  # a context may hold the monitors of several sockets, also of one that is just closing
AGAIN_NS = clock.NS_PER_SECOND  # after a handshake that failed
GIVEN_UP_NS = 2 * clock.NS_PER_SECOND  # after a connection that ended, without a word of another try
UP, DOWN, RETRIED = zmq.EVENT_HANDSHAKE_SUCCEEDED, zmq.EVENT_DISCONNECTED, zmq.EVENT_CONNECT_RETRIED
EVENTS = UP | DOWN | RETRIED | FAILED


class Links:
    """The connections of one socket, seen through its monitor. Where libzmq gives up, it connects again.

    libzmq gives a server up that refuses its key, and keeps to the server's key that it was given; but keys are allowed
    late, and are replaced. It also forgets, without a word, an address from which came what broke the protocol (another
    program, a part longer than MAXMSGSIZE). Used by the thread that owns the socket.
    """

    def __init__(
        self, socket: Any, endpoints: Iterable[str], keys: Keys | None, *, told: dict[str, str] | None = None
    ) -> None:
        """Connect to all `endpoints`, now or as soon as somebody listens there; see `connect` for what is raised.

        `told`: what the log says already of which endpoint, where links follow each other.
        """
        self._socket, self._keys = socket, keys
        socket.monitor(address := f"inproc://links.{next(_NUMBERS)}", EVENTS)
        self.monitor: zmq.Socket[bytes] = socket.context.socket(zmq.PAIR, socket_class=zmq.Socket)
        self.monitor.set(zmq.RCVHWM, 0)  # a full monitor stops its socket, and closing that would wait for ever
        self.monitor.connect(address)
        self._endpoints = tuple(endpoints)
        self.told: dict[str, str] = {} if told is None else told
        self._again_ns: dict[str, int] = {}
        self._lost: set[str] = set()  # those of them that may come back by themselves
        for endpoint in self._endpoints:
            connect(socket, endpoint, keys)

    def hear(self) -> list[tuple[str, bool]]:
        """What came from the monitor: addresses, and whether each is up now. Never waits; call it often."""
        heard = []
        now_ns = clock.monotonic_ns()
        while self.monitor.poll(0):
            event = parse_monitor_message(self.monitor.recv_multipart(zmq.NOBLOCK))
            address = event["endpoint"].decode(errors="replace")
            for endpoint in self._endpoints:
                if _means(endpoint, address):
                    self._note(endpoint, event["event"], now_ns)
            if event["event"] & (UP | DOWN):
                heard.append((address, event["event"] == UP))
        for endpoint in [endpoint for endpoint, due_ns in self._again_ns.items() if due_ns <= now_ns]:
            self._connect_again(endpoint, now_ns)
        return heard

    def wait_ms(self) -> int | None:
        """How soon `hear` has something to do even if nothing comes; None if never."""
        if not self._again_ns:
            return None
        left_ns = min(self._again_ns.values()) - clock.monotonic_ns()
        return max(0, left_ns // clock.NS_PER_MS + 1)

    def close(self) -> None:
        """End the monitor, before the socket is closed."""
        self._socket.disable_monitor()
        self.monitor.close(0)

    def _note(self, endpoint: str, event: int, now_ns: int) -> None:
        """When to connect again: soon where keys did not fit, and where libzmq seems to have given up."""
        if event & FAILED:
            self._lost.discard(endpoint)
            self._again_ns.setdefault(endpoint, now_ns + AGAIN_NS)
            self._tell(endpoint, event == zmq.EVENT_HANDSHAKE_FAILED_AUTH)
        elif event == DOWN and endpoint not in self._again_ns:
            self._lost.add(endpoint)
            self._again_ns[endpoint] = now_ns + GIVEN_UP_NS
        elif event == UP or (event == RETRIED and endpoint in self._lost):
            self._lost.discard(endpoint)
            self._again_ns.pop(endpoint, None)
            if event == UP:
                self.told.pop(endpoint, None)

    def _tell(self, endpoint: str, refused: bool) -> None:
        """Say why, once until the reason changes."""
        if self._keys is None:
            why = "does not speak with us: it wants keys, or is no socket of ours"
        elif refused:
            why = f"does not allow our key; put {self._keys.folder}/own.key into its folder {ALLOWED}"
        else:
            why = f"has no keys, or not the one that {self._keys.folder} says"
        if self.told.get(endpoint) != why:
            self.told[endpoint] = why
            log.warning("%s %s; trying again", endpoint, why)

    def _connect_again(self, endpoint: str, now_ns: int) -> None:
        del self._again_ns[endpoint]
        self._lost.discard(endpoint)
        with contextlib.suppress(zmq.ZMQError):  # libzmq gave it up already
            self._socket.disconnect(str(parse(endpoint)))
        try:
            connect(self._socket, endpoint, self._keys)
        except (ConfigError, TransportError) as error:  # a key that is just being copied
            log.warning("%s", error)
            self._again_ns[endpoint] = now_ns + LOG_EVERY_NS


def _means(endpoint: str, address: str) -> bool:
    """Whether a monitor that says `address` may mean `endpoint`: it says a name first, and its IP address later."""
    ours, theirs = parse(endpoint), parse(address)
    if ours.scheme != theirs.scheme or ours.port != theirs.port:
        return False
    if ours.host == theirs.host:
        return True
    if ours.scheme != "tcp":
        return False
    with contextlib.suppress(OSError, UnicodeError):  # no such name
        return theirs.host in {found[4][0] for found in socketlib.getaddrinfo(ours.host, ours.port)}
    return False
