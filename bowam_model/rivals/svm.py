"""Support vector machines as learners: the plain rivals that a network has to beat.

Axis legend: N examples, V readings, H rows, W columns, C values of a flow, D numbers of a row, K classes.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from bowam_model.errors import MissingDependency, OptionError
from bowam_model.learning import Examples, OnEpoch
from bowam_model.rivals.features import Features, GridMeans, mirror

Kernel = Literal["rbf", "linear"]

AT_ONCE = 64  # flows that features are computed from together: 15 MB for each map of 240x240 that they hold
MOST_ROWS = 50_000  # that are remembered, some 2 KB each


@dataclass(frozen=True, kw_only=True)
class SvmLearner:
    """Features, standardised, into a class-balanced support vector machine (scikit-learn's SVC).

    Every reading of a clip is an example to learn from, and so is its mirror image. No chance is involved: the seed
    changes nothing.
    """

    features: Features = field(default_factory=GridMeans)
    kernel: Kernel = "rbf"
    C: float = 1.0  # what an error costs; a class weighs the more, the fewer examples it has
    gamma: float = 1.0  # width of "rbf" in units of 1 / D: exp(-gamma |x - y|^2 / D)
    standardise: bool = True  # each number to mean 0 and deviation 1 over the training examples
    mirror: bool = True  # learn from the mirrored faces too
    mirror_test: bool = False  # judge by the mean of both decisions; hardly another one if `mirror` is on

    def __post_init__(self) -> None:
        if self.kernel not in get_args(Kernel):
            raise OptionError(f"unknown kernel {self.kernel!r}: use one of {', '.join(get_args(Kernel))}")
        if not (0 < self.C < np.inf and 0 < self.gamma < np.inf):
            raise OptionError(f"C is {self.C} and gamma {self.gamma}: both must be positive numbers")

    @property
    def name(self) -> str:
        return f"svm-{self.features.name}"

    @property
    def recipe(self) -> dict[str, Any]:
        return {
            "learner": "svm",
            "features": {"name": self.features.name, **self.features.recipe},
            "kernel": self.kernel,
            "C": self.C,
            "gamma": self.gamma,
            "standardise": self.standardise,
            "mirror": self.mirror,
            "mirror_test": self.mirror_test,
        }

    @property
    def epochs(self) -> int:
        return 1

    def for_epochs(self, epochs: int) -> "SvmLearner":
        return self

    def learn(
        self, examples: Examples, seed: int, *, on_epoch: OnEpoch | None = None, checkpoint: Path | None = None
    ) -> "SvmModel":
        """Learn in one round: seconds, so that nothing is kept in `checkpoint`.

        The loss that `on_epoch` hears is the share of training examples that the machine gets wrong.

        Raises:
            MissingDependency: scikit-learn is not installed.
            OptionError: there are no examples, or the features can't be had from them.
        """
        if not len(examples):
            raise OptionError("there are no examples to learn from")
        readings = examples.flows_NVHWC.shape[1]
        flows = examples.flows_NVHWC.reshape(-1, *examples.flows_NVHWC.shape[2:])
        labels = np.repeat(examples.labels, readings)
        rows = _rows(self.features, flows, examples.fusion)
        if self.mirror:
            rows = np.concatenate([rows, _rows(self.features, flows, examples.fusion, mirrored=True)])
            labels = np.concatenate([labels, labels])
        mean, deviation = np.zeros(rows.shape[1]), np.ones(rows.shape[1])
        if self.standardise:
            mean, deviation = rows.mean(0, dtype=np.float64), rows.std(0, dtype=np.float64)
            deviation[deviation < 1e-9] = 1.0  # a number that never changes says nothing
        present = np.unique(labels)
        machine = None
        if len(present) > 1:
            machine = _svc()(
                kernel=self.kernel, C=self.C, gamma=self.gamma / rows.shape[1], class_weight="balanced", cache_size=500
            ).fit((rows - mean) / deviation, labels)
        model = SvmModel(
            learner=self, machine=machine, mean=mean, deviation=deviation, present=present, samples_seen=len(labels)
        )
        if on_epoch:
            wrong = model.predict(examples).argmax(1) != examples.labels
            on_epoch(1, float(wrong.mean()), model)
        return model


@dataclass(frozen=True, eq=False, kw_only=True)
class SvmModel:
    """A machine that has learned."""

    learner: SvmLearner
    machine: Any  # sklearn.svm.SVC; None where all training examples were of one class
    mean: np.ndarray  # float64 (D,), as is deviation
    deviation: np.ndarray
    present: np.ndarray  # the classes that it has seen, ascending
    samples_seen: int

    def predict(self, examples: Examples) -> np.ndarray:
        """Softmax of the one-against-rest decision values, float32 (N, K): a ranking, not calibrated probabilities.

        A class that was not among the training examples gets 0. Platt's probabilities are not used: they come from a
        random cross-validation and may contradict the decision.
        """
        flows = examples.flows_NVHWC[:, 0]
        decision = self._decide(flows, examples.fusion)
        if self.learner.mirror_test:
            decision = (decision + self._decide(flows, examples.fusion, mirrored=True)) / 2
        scores = np.zeros((len(examples), len(examples.classes)), np.float32)
        likeliness = np.exp(decision - decision.max(1, initial=-np.inf, keepdims=True))
        scores[:, self.present] = likeliness / likeliness.sum(1, keepdims=True)
        return scores

    def _decide(self, flows_NHWC: np.ndarray, fusion: str, mirrored: bool = False) -> np.ndarray:
        """One value for each class that it has seen, float64."""
        if self.machine is None or not len(flows_NHWC):
            return np.zeros((len(flows_NHWC), len(self.present)))
        rows = (_rows(self.learner.features, flows_NHWC, fusion, mirrored) - self.mean) / self.deviation
        decision = self.machine.decision_function(rows)
        return decision if decision.ndim == 2 else np.column_stack([-decision, decision])


def svm_grid(
    learner: SvmLearner = SvmLearner(),
    *,
    C: Sequence[float] = (0.3, 1, 3),
    gamma: Sequence[float] = (0.1, 0.3, 1),
) -> tuple[SvmLearner, ...]:
    """Candidates for a selection on training subjects: the learner with every pair of C and gamma (of C, if linear)."""
    widths = gamma if learner.kernel == "rbf" else (learner.gamma,)
    return tuple(replace(learner, C=float(c), gamma=float(g)) for c, g in product(C, widths))


_known_rows: dict[tuple[Features, str, bool, bytes], np.ndarray] = {}


def _rows(features: Features, flows_NHWC: np.ndarray, fusion: str, mirrored: bool = False) -> np.ndarray:
    """Features of the flows or of their mirror images, float32 (N, D).

    Folds share almost all of their flows, and candidates their features: each flow is looked at once in a process.
    """
    if len(_known_rows) > MOST_ROWS:
        _known_rows.clear()
    keys = [(features, fusion, mirrored, hashlib.blake2b(flow.tobytes()).digest()) for flow in flows_NHWC]
    missing = np.array([index for index, key in enumerate(keys) if key not in _known_rows], np.int64)
    for start in range(0, len(missing), AT_ONCE):
        chosen = missing[start : start + AT_ONCE]
        flows = mirror(flows_NHWC[chosen], fusion) if mirrored else flows_NHWC[chosen]
        _known_rows.update(zip((keys[index] for index in chosen), features(flows, fusion), strict=True))
    return np.array([_known_rows[key] for key in keys])


def _svc() -> Any:
    try:
        from sklearn.svm import SVC
    except ImportError as error:
        raise MissingDependency("this rival needs scikit-learn: pip install 'bowam-stream[rivals]'") from error
    return SVC
