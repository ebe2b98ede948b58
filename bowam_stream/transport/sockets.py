"""How every frame socket is set up: bounded, never lingering, with heartbeats. Keys (CURVE) would be set here."""

import zmq

from bowam_stream.addresses import parse
from bowam_stream.bounds import HANDSHAKE_MS
from bowam_stream.errors import TransportError
from bowam_stream.transport.settings import TransportSettings

Socket = zmq.Socket[bytes]


def new_socket(context: zmq.Context[Socket], kind: int, settings: TransportSettings) -> Socket:
    """A socket that forgets what it could not send, and notices a peer that is gone."""
    socket: Socket = context.socket(kind)
    for option, value in (
        (zmq.LINGER, 0),
        (zmq.MAXMSGSIZE, settings.max_message_bytes),
        (zmq.HANDSHAKE_IVL, HANDSHAKE_MS),
        (zmq.HEARTBEAT_IVL, settings.heartbeat_ms),
        (zmq.HEARTBEAT_TIMEOUT, settings.heartbeat_timeout_ms),
        (zmq.HEARTBEAT_TTL, settings.heartbeat_timeout_ms),
        (zmq.RECONNECT_IVL, settings.reconnect_ms),
        (zmq.RECONNECT_IVL_MAX, settings.reconnect_max_ms),
    ):
        socket.setsockopt(option, value)
    return socket


def connect(socket: Socket, endpoint: str) -> None:
    """Connect now or as soon as somebody listens there. Raises TransportError for what is no address."""
    address = parse(endpoint)
    if address.scheme == "tcp":
        socket.setsockopt(zmq.IPV6, int(":" in address.host))
    try:
        socket.connect(str(address))
    except zmq.ZMQError as error:
        raise TransportError(f"can't connect to {endpoint}: {zmq.strerror(error.errno or 0)}") from error
