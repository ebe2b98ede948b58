"""What a source of frames is."""

import os
from collections.abc import Callable, Iterator
from typing import Annotated, Protocol

import msgspec

from bowam_stream import clock
from bowam_stream.messages import Frame

Loops = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]
DecodeThreads = Annotated[int, msgspec.Meta(ge=1, le=64)]
RateHz = Annotated[float, msgspec.Meta(gt=0, le=10_000)]


class SourceSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How frames are fetched, and under which terms."""

    consent: bool | None = None  # True: the people in view agreed; False: not, or not asked; None: nothing is stated
    rate_hz: RateHz | None = None  # images, and recordings without timestamps: frames per second; cameras: asked for
    loops: Loops = 1  # recordings: how often they are played, with continuing time and frame numbers
    decode_threads: DecodeThreads = 1  # more are faster for 4K, but a damaged recording may then decode differently
    camera_size: str | None = None  # webcams: "1280x720"; None leaves it to the driver
    open_timeout_s: float = 5.0  # network cameras: how long a connection may take
    read_timeout_s: float = 5.0  # network cameras: how long a frame may take before the connection counts as lost


class Clocks(msgspec.Struct, frozen=True, kw_only=True):
    """Where a camera takes its time from. Recordings never look at a clock."""

    monotonic_ns: Callable[[], int] = clock.monotonic_ns
    utc_ns: Callable[[], int] = clock.utc_ns


class Source(Protocol):
    """Frames, and what can be said of them beforehand.

    Iterating starts over: a recording from its first frame, a camera with a new connection (and so a new session). It
    ends when the recording does. It raises SourceError when a connection is lost or nothing can be decoded.
    """

    @property
    def name(self) -> str:
        """For people: file name or address, credentials removed."""

    @property
    def live(self) -> bool:
        """True: a camera, whose frames are stamped with the monotonic clock and are gone if nobody takes them."""

    @property
    def rate_hz(self) -> float | None:
        """Nominal frame rate, if one is stated."""

    @property
    def frames(self) -> int | None:
        """How many frames will come: an estimate, None if unknown."""

    @property
    def quality(self) -> tuple[str, ...]:
        """What is known to be wrong before frame 0, such as "truncated" or "no_timestamps"."""

    @property
    def late_quality(self) -> tuple[str, ...]:
        """What the last iteration found wrong on its way, such as "damaged"."""

    @property
    def digest(self) -> str | None:
        """SHA-256 of the content, hexadecimal; None for cameras."""

    def __iter__(self) -> Iterator[Frame]: ...


def printable(name: str) -> str:
    """A file name as text that can be sent and shown: bytes that are no UTF-8 become U+FFFD."""
    return os.fsencode(name).decode(errors="replace")
