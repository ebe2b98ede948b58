"""Micro-expressions in live video: capture, spotting, recognition and events. See README.md, "Follow one frame".

Nothing is imported here before it is asked for, so that a capture process never loads torch.
"""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["Event", "__version__", "subscribe"]

if TYPE_CHECKING:
    from bowam_stream.events.subscriber import subscribe
    from bowam_stream.messages import Event

_HOMES = {"Event": "bowam_stream.messages", "subscribe": "bowam_stream.events.subscriber"}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        import importlib

        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
