"""What a stranger can make a socket hold, bounded: parts of a message, topics of a publisher.

MAXMSGSIZE bounds one part. ZeroMQ has no bound on how many parts a message has, and collects them all before it hands
out the first: beyond loopback, keys keep strangers out; within, only the memory limit of the process helps. What comes
out of a socket is bounded here.
"""

from collections.abc import Callable

import zmq

MAX_SUBSCRIPTION_BYTES = 512  # MAXMSGSIZE of a publisher: a topic has 80 bytes, a CURVE handshake some 300
MAX_TOPIC_BYTES = 1 << 18  # of all topics: ZeroMQ keeps 49 bytes for each; 256 cameras are 41 KiB
HANDSHAKE_MS = 5000  # who connects and says nothing is cut off

Refused = Callable[[], None]
"""Hears of every message that was refused."""


def nobody_counts() -> None:
    """For those who don't count what they refuse."""


def receive_parts(socket: "zmq.Socket[bytes]", most: int) -> list[zmq.Frame]:
    """The next message, which must be there: at most `most` + 1 of its parts, so that one too many shows; the rest of
    them is forgotten one by one."""
    parts = [socket.recv(zmq.NOBLOCK, copy=False)]
    while parts[-1].more and len(parts) <= most:
        parts.append(socket.recv(zmq.NOBLOCK, copy=False))
    more = parts[-1].more
    while more:
        more = socket.recv(zmq.NOBLOCK, copy=False).more
    return parts


class Topics:
    """What subscribers of one socket have asked for. A topic counts once, also after its subscriber has gone."""

    def __init__(self) -> None:
        self._known: set[bytes] = set()
        self._bytes = 0

    def add(self, topic: bytes) -> bool:
        """Whether there is room for `topic`; if not, the socket wants to be opened anew, and all subscribers return."""
        if topic not in self._known:
            self._known.add(topic)
            self._bytes += len(topic) + 1
        return self._bytes <= MAX_TOPIC_BYTES
