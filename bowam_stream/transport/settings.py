"""How frames travel from capture to worker."""

import msgspec


class TransportSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One file for both ends: capture binds `endpoint`, a worker connects to `connect`."""

    endpoint: str = "tcp://127.0.0.1:5555"  # where capture listens
    connect: tuple[str, ...] = ()  # the captures of a worker; empty: `endpoint`
    insecure: bool = False  # True: listen beyond this machine although nothing is encrypted

    # Live: lossy, and young rather than complete.
    max_age_ms: int = (
        500  # a frame that waited longer is dropped, with all that wait behind it: one gap, then fresh frames
    )
    ring_frames: int = 128  # frames that may wait per camera: `max_age_ms` at 200 fps, and some
    queue_frames: int = 4  # ZeroMQ's own queue at each end; it can't drop by age, so it is short
    kernel_buffer_bytes: int = (
        65536  # one face (crop and landmarks); the default of a tcp socket holds a second of frames
    )
    hello_every_ms: int = 1000  # the hello is repeated: PUB loses what was sent before a worker joined
    takeover_ms: int = 2000  # a second session of a camera is refused until the first was silent for so long, or ended

    # Recordings: lossless.
    credits: int = 16  # messages under way; bounds the memory of both ends
    patience_ms: int = 60_000  # how long to wait for a silent peer: a worker starts, warms up, or infers

    max_message_bytes: int = 1 << 20  # of one part of a message; a longer one closes the connection
    heartbeat_ms: int = 1000
    heartbeat_timeout_ms: int = 3000  # a peer that answers no heartbeat for so long is gone
    reconnect_ms: int = 100  # first wait before connecting again; doubles up to the last
    reconnect_max_ms: int = 2000
