"""What the two ends of a lossless stream tell each other beside messages; replay.py shows the conversation."""

import msgspec


class Control(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="schema"):
    """What the two ends tell each other beside messages."""


class Ready(Control, frozen=True, tag="bowam.ready/1"):
    """Worker: I take `credits` messages from the beginning of the recording."""

    credits: int


class Credit(Control, frozen=True, tag="bowam.credit/1"):
    """Worker: I took one message."""


class Done(Control, frozen=True, tag="bowam.done/1"):
    """Worker: all that follows from the stream is safe."""

    session: str


class Ping(Control, frozen=True, tag="bowam.ping/1"):
    """Capture: are you there? ZeroMQ answers, by finding the connection or not."""


class Refused(Control, frozen=True, tag="bowam.refused/1"):
    """Capture: go away."""

    reason: str


MAX_BYTES = 4096

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Ready | Credit | Done | Ping | Refused)


def write_control(control: Control) -> bytes:
    """The wire form."""
    return _encoder.encode(control)


def read_control(part: bytes) -> Control | None:
    """The control message in `part`, None if it is none."""
    if len(part) > MAX_BYTES:
        return None
    try:
        return _decoder.decode(part)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
