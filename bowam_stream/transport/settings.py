"""How frames travel from capture to worker."""

from typing import Annotated

import msgspec

AtLeastOne = Annotated[int, msgspec.Meta(ge=1)]


class TransportSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One file for both ends: capture binds `endpoint`, a worker connects to `connect`."""

    endpoint: str = "tcp://127.0.0.1:5555"  # where capture listens
    connect: tuple[str, ...] = ()  # the captures of a worker; empty: `endpoint`
    insecure: bool = False  # True: listen beyond this machine without keys, so that nothing is encrypted

    # Live: lossy, and young rather than complete.
    max_age_ms: AtLeastOne = 500  # an older frame is dropped with all that wait behind it: one gap, then fresh frames
    ring_frames: AtLeastOne = 128  # frames that may wait per camera: `max_age_ms` at 200 fps, and some
    queue_frames: AtLeastOne = 32  # of ZeroMQ at each end: it drops without regard to age, so it only bridges a moment
    kernel_buffer_bytes: AtLeastOne = 262_144  # four faces; with less, TCP waits for timers when a process is late
    hello_every_ms: AtLeastOne = 1000  # the hello is repeated: PUB loses what was sent before a worker joined
    takeover_ms: AtLeastOne = (
        2000  # another session of a camera is refused until the first ended, or was silent so long
    )

    # Recordings: lossless.
    credits: AtLeastOne = 16  # messages under way; bounds the memory of both ends
    patience_ms: AtLeastOne = 60_000  # how long to wait for a silent peer: a worker starts, warms up, or infers

    max_message_bytes: AtLeastOne = 1 << 20  # of one part of a message; a longer one closes the connection
    heartbeat_ms: AtLeastOne = 1000  # recordings: how often each end looks whether the other is still there
    heartbeat_timeout_ms: AtLeastOne = 3000  # a machine that does not answer for so long is gone; recordings: a process
    reconnect_ms: AtLeastOne = 100  # first wait before connecting again; doubles up to the last
    reconnect_max_ms: AtLeastOne = 2000
