"""From pixels to classes: alignment, bidirectional flow, the BOWAM network, training data, evaluation.

    from bowam_model import create_model, bidirectional_flow, load

Nothing is imported here before it is asked for: `bowam_model.face` must stay free of torch.
"""

from typing import TYPE_CHECKING, Any

__all__ = ["bidirectional_flow", "create_model", "load"]

if TYPE_CHECKING:
    from bowam_model.flow import bidirectional_flow
    from bowam_model.network import create_model
    from bowam_model.predictor import load

_HOMES = {
    "bidirectional_flow": "bowam_model.flow",
    "create_model": "bowam_model.network",
    "load": "bowam_model.predictor",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        import importlib

        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
