"""From pixels to classes: alignment, bidirectional flow, the BOWAM network, training data, evaluation.

    from bowam_model import create_model, bidirectional_flow, load

What `__all__` names is public: its signatures change only as docs/reference/stability.md says. Nothing is imported here
before it is asked for: `bowam_model.face` must stay free of torch.
"""

from typing import TYPE_CHECKING

__all__ = [
    "AlignedFace",
    "BackendError",
    "DatasetError",
    "Encoding",
    "FaceAligner",
    "FaceSettings",
    "ImageError",
    "MissingDependency",
    "ModelError",
    "Network",
    "OptionError",
    "Predictor",
    "WeightsError",
    "align_still",
    "bidirectional_flow",
    "create_model",
    "load",
    "train_on_manifest",
]

if TYPE_CHECKING:
    from bowam_model.errors import (
        BackendError,
        DatasetError,
        ImageError,
        MissingDependency,
        ModelError,
        OptionError,
        WeightsError,
    )
    from bowam_model.face import AlignedFace, FaceAligner, FaceSettings, align_still
    from bowam_model.flow import Encoding, bidirectional_flow
    from bowam_model.network import Network, create_model
    from bowam_model.predictor import Predictor, load
    from bowam_model.recipes.trained import train_on_manifest

else:  # a type checker shall not take any name for one of ours
    _HOMES = {
        "errors": (
            *("BackendError", "DatasetError", "ImageError", "MissingDependency"),
            *("ModelError", "OptionError", "WeightsError"),
        ),
        "face": ("AlignedFace", "FaceAligner", "FaceSettings", "align_still"),
        "flow": ("Encoding", "bidirectional_flow"),
        "network": ("Network", "create_model"),
        "predictor": ("Predictor", "load"),
        "recipes.trained": ("train_on_manifest",),
    }

    def __getattr__(name):
        for home, names in _HOMES.items():
            if name in names:
                import importlib

                return getattr(importlib.import_module(f"{__name__}.{home}"), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__():
        return sorted({*globals(), *__all__})
