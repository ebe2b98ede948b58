"""What every backend is made for, and the call that it becomes."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bowam_model.flow import Encoding
from bowam_model.network import Network

Compute = Callable[[np.ndarray], np.ndarray]
"""Aligned faces, uint8 (B, 3, 240, 240): onset, apex, offset -> probabilities, float32 (B, K)."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """A network that is to be computed, in evaluation mode, and what it needs around it."""

    network: Network
    encoding: Encoding
    temperature: float  # of the softmax
    threads: int  # of the processor, for the network
    weights: str  # "sha256:<hex>" of its file


def cache_folder() -> Path:
    """Where what was made for this machine is kept: $XDG_CACHE_HOME/bowam or ~/.cache/bowam."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "bowam"
