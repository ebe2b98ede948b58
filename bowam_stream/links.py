"""Connections that come back.

libzmq connects again by itself after a connection was lost, but not after a message that broke the protocol (something
else answered on that port, a part longer than MAXMSGSIZE): then it forgets the address without a word. Its events tell
the two apart: only the first is followed by CONNECT_RETRIED.
"""

import contextlib
from typing import Any

import zmq
from zmq.utils.monitor import parse_monitor_message

from bowam_stream.clock import NS_PER_SECOND

UP = zmq.EVENT_HANDSHAKE_SUCCEEDED
DOWN = zmq.EVENT_DISCONNECTED
BROKEN = zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
EVENTS = UP | DOWN | BROKEN | zmq.EVENT_CONNECT_RETRIED
LOOK_MS = 1000  # how often whoever waits for messages should call `renew`
GIVEN_UP_NS = 2 * NS_PER_SECOND  # without a word of another try


class Links:
    """The connections of one socket, by what its monitor (of `EVENTS`) says. Time comes in with every call."""

    def __init__(self) -> None:
        self._lost: dict[str, int] = {}  # endpoint -> when it was lost, while nothing tries it again

    def read(self, monitor: Any, now_ns: int) -> tuple[str, int]:
        """The next event: an endpoint, and what happened there (UP, DOWN or something else)."""
        told = parse_monitor_message(monitor.recv_multipart(zmq.NOBLOCK))
        event, endpoint = int(told["event"]), told["endpoint"].decode(errors="replace")
        if event & (DOWN | BROKEN):
            self._lost[endpoint] = now_ns
        else:
            self._lost.pop(endpoint, None)
        return endpoint, event

    def renew(self, socket: Any, now_ns: int) -> None:
        """Connect `socket` again where libzmq gave up."""
        for endpoint, lost_ns in self._lost.items():
            if now_ns - lost_ns > GIVEN_UP_NS:
                self._lost[endpoint] = now_ns
                with contextlib.suppress(zmq.ZMQError):  # it may be forgotten altogether
                    socket.disconnect(endpoint)
                socket.connect(endpoint)
