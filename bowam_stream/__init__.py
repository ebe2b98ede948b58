"""Micro-expressions in live video: capture, spotting, recognition and events. See README.md, "Follow one frame".

What `__all__` names is public: its signatures change only as docs/reference/stability.md says. Nothing is imported here
before it is asked for, so that a capture process never loads torch.
"""

from typing import TYPE_CHECKING

__version__ = "0.1.0"
__all__ = [
    "AlignedFrame",
    "AsyncSubscription",
    "Candidate",
    "ConfigError",
    "Delivery",
    "EndOfStream",
    "Event",
    "Face",
    "FaceQuality",
    "Hello",
    "Model",
    "Moment",
    "Spotter",
    "SpottingSettings",
    "StreamError",
    "Subscription",
    "TraceRow",
    "TransportError",
    "Triple",
    "__version__",
    "align",
    "spot",
    "subscribe",
    "subscribe_async",
]

if TYPE_CHECKING:
    from bowam_stream.errors import ConfigError, StreamError, TransportError
    from bowam_stream.events.asynchronous import AsyncSubscription, subscribe_async
    from bowam_stream.events.subscriber import Subscription, subscribe
    from bowam_stream.messages import (
        AlignedFrame,
        Candidate,
        Delivery,
        EndOfStream,
        Event,
        Face,
        FaceQuality,
        Hello,
        Model,
        Moment,
        Triple,
    )
    from bowam_stream.pipeline.in_memory import align, spot
    from bowam_stream.spotting import Spotter, SpottingSettings, TraceRow

else:  # a type checker shall not take any name for one of ours
    _HOMES = {
        "errors": ("ConfigError", "StreamError", "TransportError"),
        "events.asynchronous": ("AsyncSubscription", "subscribe_async"),
        "events.subscriber": ("Subscription", "subscribe"),
        "messages": (
            *("AlignedFrame", "Candidate", "Delivery", "EndOfStream", "Event", "Face", "FaceQuality"),
            *("Hello", "Model", "Moment", "Triple"),
        ),
        "pipeline.in_memory": ("align", "spot"),
        "spotting": ("Spotter", "SpottingSettings", "TraceRow"),
    }

    def __getattr__(name):
        for home, names in _HOMES.items():
            if name in names:
                import importlib

                return getattr(importlib.import_module(f"{__name__}.{home}"), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__():
        return sorted({*globals(), *__all__})
