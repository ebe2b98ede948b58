"""What computes probabilities from three faces: a few backends behind one call, and the choice among them.

    backends = Backends("auto", Task(network=network, encoding=encoding, ...))
    backends.name                       # "openvino-bf16"
    backends.compute(triples_B3HW)      # probabilities (B, K)
    backends.step_down("why")           # live: the next best takes over

The choice follows from what the machine has, never from a stopwatch, so that a recording meets the same backend
whatever else runs. A backend other than eager is asked about a few made-up faces before it is used, and refused where
its probabilities differ from eager's.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from bowam_model.backends import cpu, engines
from bowam_model.backends.task import Compute, Task
from bowam_model.errors import BackendError, OptionError

AUTO = "auto"
TOLERANCE = 0.02  # of a probability, against eager in single precision
PROBES = 3


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One backend: why it can't run on this machine (None: it can), and how it is built for a network."""

    missing: Callable[[], str | None]
    build: Callable[[Task], Compute]
    engine: Callable[[str], Path] | None = None  # weights' digest -> the file that must be made before it is built


KINDS: dict[str, Kind] = {
    **{
        name: Kind(missing=engine.missing, build=engine.load, engine=engine.path)
        for name, engine in engines.ENGINES.items()
    },
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


def probes(side_px: int) -> np.ndarray:
    """Made-up faces, the same each time: a soft texture that is displaced by up to some pixels at the apex.

    Returns:
        uint8 (PROBES, 3, side_px, side_px): onset, apex, offset.
    """
    generator = np.random.default_rng(240)
    y, x = np.mgrid[:side_px, :side_px].astype(np.float32)
    triples = np.empty((PROBES, 3, side_px, side_px), np.uint8)
    for triple in triples:
        noise = cv2.GaussianBlur(generator.normal(0, 1, (side_px, side_px)).astype(np.float32), (0, 0), 3)
        texture = 128 + 40 * noise / noise.std()
        top, left, width, u, v = generator.uniform((0.2, 0.2, 0.08, -4, -4), (0.8, 0.8, 0.25, 4, 4))
        bump = np.exp(-((y / side_px - top) ** 2 + (x / side_px - left) ** 2) / (2 * width**2)).astype(np.float32)
        for moment, share in enumerate((0.0, 1.0, 0.1)):
            moved = cv2.remap(texture, x - np.float32(share * u) * bump, y - np.float32(share * v) * bump, 1)
            triple[moment] = moved.clip(0, 255)
    return triples


class Backends:
    """The backend in use, and those that could follow it.

    Args:
        name: one of NAMES. "auto" takes the first that works; another name that one, or an error.
        task: what is to be computed.

    Attributes:
        name: of the backend in use.
        compute: uint8 (B, 3, 240, 240) -> probabilities, float32 (B, K).
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
        self._automatic = name == AUTO
        self.refused: list[tuple[str, str]] = []
        if name == AUTO:
            self._next()
        elif (reason := self._try(self._left.pop(0))) is not None:
            raise BackendError(f"backend {name} can't run here: {reason}; choose another, or {AUTO}")

    @property
    def why(self) -> str:
        """The backend in use and why none of the better ones, one line."""
        return self.name + "".join(f"; {name}: {reason}" for name, reason in self.refused)

    @property
    def wanted(self) -> list[str]:
        """Backends better than the one in use, best first, that lack nothing but their engine."""
        if not self._automatic:
            return []
        better = list(KINDS)[: list(KINDS).index(self.name)]
        return [name for name in better if self._lacks_engine(name)]

    def _lacks_engine(self, name: str) -> bool:
        path_of = KINDS[name].engine
        return path_of is not None and KINDS[name].missing() is None and not path_of(self._task.weights).is_file()

    def step_up(self, name: str) -> None:
        """Use this one if it works; the one in use follows it should it fail.

        Raises:
            BackendError: it does not work.
        """
        before = self.name
        reason = self._try(name)
        self.refused = [one for one in self.refused if one[0] != name]
        if reason is not None:
            self.refused.append((name, reason))
            raise BackendError(f"backend {name} can't run here: {reason}")
        self._left.insert(0, before)

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
    faces = probes(task.encoding.aligned_px)
    worst = float(np.abs(compute(faces) - cpu.eager(task)(faces)).max())  # NaN where an answer is
    return (
        None if math.isfinite(worst) and worst <= TOLERANCE else f"its probabilities differ from eager's by {worst:.3f}"
    )
