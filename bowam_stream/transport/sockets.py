"""How every frame socket is set up: bounded, never lingering. Its keys come from bowam_stream.keys."""

import zmq

from bowam_stream.addresses import notice_loss
from bowam_stream.bounds import HANDSHAKE_MS
from bowam_stream.transport.settings import TransportSettings

Socket = zmq.Socket[bytes]


def new_socket(context: zmq.Context[Socket], kind: int, settings: TransportSettings) -> Socket:
    """A socket that forgets what it could not send, and notices a peer that is gone."""
    socket: Socket = context.socket(kind)
    for option, value in (
        (zmq.LINGER, 0),
        (zmq.MAXMSGSIZE, settings.max_message_bytes),
        (zmq.HANDSHAKE_IVL, HANDSHAKE_MS),
        (zmq.RECONNECT_IVL, settings.reconnect_ms),
        (zmq.RECONNECT_IVL_MAX, settings.reconnect_max_ms),
    ):
        socket.setsockopt(option, value)
    notice_loss(socket, settings.heartbeat_timeout_ms)
    if kind in (zmq.ROUTER, zmq.DEALER):
        # A stopped process shows by heartbeats only. Credits keep these queues short, so that they are safe here: see
        # `notice_loss` for where they are not.
        socket.setsockopt(zmq.HEARTBEAT_IVL, settings.heartbeat_ms)
        socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, settings.heartbeat_timeout_ms)
        socket.setsockopt(zmq.HEARTBEAT_TTL, settings.heartbeat_timeout_ms)
    return socket
