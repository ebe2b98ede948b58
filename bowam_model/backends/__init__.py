"""What computes the network: a few backends behind one call, and the choice among them.

    backends = Backends("auto", Task(network, side_px=224, threads=1, weights="sha256:..."))
    backends.name                       # "openvino-bf16"
    backends.compute(pictures_BCHW)     # logits (B, K)
    backends.step_down("why")           # live: the next best takes over

The choice follows from what the machine has, never from a stopwatch, so that a recording meets the same backend
whatever else runs. A backend other than eager is asked about a few made-up flows before it is used, and refused where
its probabilities differ from eager's.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from bowam_model.backends import cpu, engines
from bowam_model.backends.task import Compute, Task
from bowam_model.errors import BackendError, OptionError

AUTO = "auto"
TOLERANCE = 0.02  # of a probability, against eager in single precision
PROBES = 4


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One backend: why it can't run on this machine (None: it can), and how it is made for a network."""

    missing: Callable[[], str | None]
    build: Callable[[Task], Compute]


KINDS: dict[str, Kind] = {
    "tensorrt": Kind(missing=engines.missing_tensorrt, build=engines.tensorrt),
    "aot-cuda": Kind(missing=engines.missing_cuda, build=engines.aot_cuda),
    "openvino-bf16": Kind(missing=cpu.missing_bf16, build=cpu.openvino_bf16),
    "openvino": Kind(missing=cpu.missing_openvino, build=cpu.openvino),
    "eager": Kind(missing=lambda: None, build=cpu.eager),
}
"""From the fastest to the one that always works."""

NAMES = (AUTO, *KINDS)

__all__ = ["AUTO", "KINDS", "NAMES", "Backends", "Compute", "Task", "probes", "survey"]


def survey() -> dict[str, str | None]:
    """Every backend, and why this machine can't run it (None: it can)."""
    return {name: kind.missing() for name, kind in KINDS.items()}


def probes(channels: int, side_px: int) -> np.ndarray:
    """Made-up encoded flows, the same each time: a few soft bumps of up to half the scale in every channel.

    Returns:
        float32 (PROBES, channels, side_px, side_px).
    """
    generator = np.random.default_rng(240)
    y, x = np.mgrid[:side_px, :side_px].astype(np.float32) / side_px
    pictures = np.zeros((PROBES, channels, side_px, side_px), np.float32)
    for plane in pictures.reshape(-1, side_px, side_px):
        for height, top, left, width in generator.uniform((-0.5, 0, 0, 0.05), (0.5, 1, 1, 0.2), (4, 4)):
            plane += np.exp(-((y - top) ** 2 + (x - left) ** 2) / (2 * width**2)) * height
    return pictures


class Backends:
    """The backend in use, and those that could follow it.

    Args:
        name: one of NAMES. "auto" takes the first that works; another name that one, or an error.
        task: what is to be computed.

    Attributes:
        name: of the backend in use.
        compute: float32 (B, C, side, side) -> float32 logits (B, K).
        refused: backend and reason of those that were passed over or failed, in order.
    Raises:
        OptionError: the name is unknown.
        BackendError: the backend that was named can't run here.
    """

    name: str
    compute: Compute

    def __init__(self, name: str, task: Task) -> None:
        if name not in NAMES:
            raise OptionError(f"unknown backend {name!r}: use one of {', '.join(NAMES)}")
        self._task = task
        order = list(KINDS)
        self._left = order if name == AUTO else order[order.index(name) :]
        self.refused: list[tuple[str, str]] = []
        if name == AUTO:
            self._next()
        elif (reason := self._try(self._left.pop(0))) is not None:
            raise BackendError(f"backend {name} can't run here: {reason}; choose another, or {AUTO}")

    @property
    def why(self) -> str:
        """The backend in use and why none of the better ones, one line."""
        return self.name + "".join(f"; {name}: {reason}" for name, reason in self.refused)

    def step_down(self, reason: str) -> None:
        """Give up the backend in use, for `reason`, and take the next that works.

        Raises:
            BackendError: none is left.
        """
        self.refused.append((self.name, reason))
        self._next()

    def _next(self) -> None:
        while self._left:
            name = self._left.pop(0)
            reason = self._try(name)
            if reason is None:
                return
            self.refused.append((name, reason))
        raise BackendError(f"no backend is left to compute {self._task.network.name}: {self.refused[-1][1]}")

    def _try(self, name: str) -> str | None:
        """Use this backend; otherwise say why not."""
        kind = KINDS[name]
        reason = kind.missing()
        if reason is not None:
            return reason
        try:
            compute = kind.build(self._task)
            reason = None if name == "eager" else _disagreement(compute, self._task)
        except Exception as error:  # whatever a backend's library raises
            reason = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
        if reason is None:
            self.name, self.compute = name, compute
        return reason


def _disagreement(compute: Compute, task: Task) -> str | None:
    """How far the probabilities are from eager's, if that is too far."""
    pictures = probes(task.network.settings.in_channels, task.side_px)
    found, truth = (
        torch.from_numpy(np.asarray(answer)).softmax(1).numpy()
        for answer in (compute(pictures), cpu.eager(task)(pictures))
    )
    worst = float(np.abs(found - truth).max())  # NaN where an answer is
    return (
        None if math.isfinite(worst) and worst <= TOLERANCE else f"its probabilities differ from eager's by {worst:.3f}"
    )
