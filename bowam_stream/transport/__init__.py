"""How aligned frames travel from capture to worker.

settings.py    everything that can be set           interface.py   what every sender and receiver does
codec.py       messages <-> multipart, validated    inbox.py       where live frames wait, and are dropped by age
live.py        PUB/SUB: lossy, young, counted       replay.py      ROUTER/DEALER with credits: nothing is lost
memory.py      both, without sockets                sockets.py     how every socket is set up
"""

from collections.abc import Callable

from bowam_stream.addresses import reachable
from bowam_stream.bounds import Refused, nobody_counts
from bowam_stream.errors import ConfigError
from bowam_stream.keys import Keys
from bowam_stream.transport.codec import MAX_FACES, Message, decode, encode
from bowam_stream.transport.interface import Cancelled, Drops, FrameReceiver, FrameSender, Observer, Rewind
from bowam_stream.transport.live import LiveReceiver, LiveSender
from bowam_stream.transport.memory import memory_link
from bowam_stream.transport.replay import ReplayReceiver, ReplaySender
from bowam_stream.transport.settings import TransportSettings

__all__ = [
    "MAX_FACES",
    "Cancelled",
    "Drops",
    "FrameReceiver",
    "FrameSender",
    "Message",
    "Observer",
    "Rewind",
    "TransportSettings",
    "decode",
    "encode",
    "memory_link",
    "open_receiver",
    "open_sender",
]


def open_sender(
    settings: TransportSettings,
    *,
    lossless: bool,
    cancelled: Callable[[], bool] = lambda: False,
    keys: Keys | None = None,
    refused: Refused = nobody_counts,
) -> FrameSender:
    """Listen at `settings.endpoint`. Raises AddressInUse, or TransportError for an address that can't be used.

    A lossless sender that waits for a worker asks `cancelled` about once a second, and raises Cancelled. `refused`
    hears of every message of a stranger.
    """
    if lossless:
        return ReplaySender(settings, cancelled, keys, refused=refused)
    return LiveSender(settings, keys=keys, refused=refused)


def open_receiver(
    settings: TransportSettings, *, lossless: bool, observer: Observer | None = None, keys: Keys | None = None
) -> FrameReceiver:
    """Connect to `settings.connect`, or to `settings.endpoint` where that is empty; captures may come later.

    Losses and links are told to `observer`. Raises ConfigError for several recordings at once and for a capture whose
    key is not known, TransportError for what is no address.
    """
    endpoints = settings.connect or (reachable(settings.endpoint),)
    observer = observer or Drops()
    if not lossless:
        return LiveReceiver(endpoints, settings, observer, keys=keys)
    if len(endpoints) > 1:
        raise ConfigError(f"a worker takes one recording at a time, not {len(endpoints)}; start a worker for each")
    return ReplayReceiver(endpoints[0], settings, observer, keys)
