"""What every backend is made for, and the call that it becomes."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bowam_model.network import Network

Compute = Callable[[np.ndarray], np.ndarray]
"""Pictures, float32 (B, C, side, side), to logits, float32 (B, K)."""


@dataclass(frozen=True)
class Task:
    """A network that is to be computed, in evaluation mode."""

    network: Network
    side_px: int  # of its input
    threads: int  # of the processor
    weights: str  # "sha256:<hex>" of its file


def cache_folder() -> Path:
    """Where what was made for this machine is kept: $XDG_CACHE_HOME/bowam or ~/.cache/bowam."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "bowam"
