"""Learners that cost nothing, for the tests of the protocol. In a module that other processes can import."""

import os
import pickle
import signal
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from bowam_model.learning import Examples, Learner, OnEpoch


def examples_of(
    counts_PK: np.ndarray, *, datasets: tuple[str, ...] = ("one",), signal_px: float = 1.0, seed: int = 0
) -> Examples:
    """Person p shows class k `counts_PK[p, k]` times; 2x2 flows whose mean tells the class, and some noise."""
    rng = np.random.default_rng(seed)
    subjects = np.repeat(np.arange(len(counts_PK)), counts_PK.sum(axis=1))
    labels = np.concatenate([np.repeat(np.arange(counts_PK.shape[1]), row) for row in counts_PK])
    flows = rng.normal(size=(len(labels), 1, 2, 2, 2)) + signal_px * labels[:, None, None, None, None]
    people = tuple(f"{datasets[person % len(datasets)]}/s{person:02d}" for person in range(len(counts_PK)))
    return Examples(
        flows_NVHWC=flows.astype(np.float16),
        labels=labels.astype(np.int64),
        classes=("negative", "positive", "surprise")[: counts_PK.shape[1]],
        subjects=subjects.astype(np.int64),
        people=people,
        clips=tuple(f"{people[subject]}/c{index}" for index, subject in enumerate(subjects)),
        fusion="add",
    )


@dataclass
class Means:
    """Scores by the distance to the mean of each class."""

    means_K: np.ndarray
    samples_seen: int = 0

    def predict(self, examples: Examples) -> np.ndarray:
        values = examples.flows_NVHWC[:, 0].astype(float).mean(axis=(1, 2, 3))
        weights = np.exp(-np.abs(values[:, None] - self.means_K))
        return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)


@dataclass(frozen=True)
class NearestMean:
    """The mean of each class, disturbed by noise that is smallest at the epoch `best`. Keeps checkpoints.

    `spy` is a folder where it notes whom it was shown; `cut` is a file: while it is not there, the learner makes it
    and kills its process after its second epoch.
    """

    epochs: int = 1
    best: int = 1
    noise: float = 0.0
    spy: Path | None = field(default=None, compare=False)
    cut: Path | None = field(default=None, compare=False)
    fail_without: int | None = field(default=None, compare=False)  # raises where this subject is not shown

    @property
    def name(self) -> str:
        return f"means, noise {self.noise:g}"

    @property
    def recipe(self) -> dict[str, Any]:
        return {"epochs": self.epochs, "best": self.best, "noise": self.noise}

    def for_epochs(self, epochs: int) -> Learner:
        return replace(self, epochs=epochs)

    def learn(
        self, examples: Examples, seed: int, *, on_epoch: OnEpoch | None = None, checkpoint: Path | None = None
    ) -> Means:
        if self.spy:
            (self.spy / f"{os.getpid()}-{seed}-{self.epochs}-{len(examples)}").write_text(
                " ".join(map(str, np.unique(examples.subjects)))
            )
        if self.fail_without is not None and self.fail_without not in examples.subjects:
            raise ValueError(f"cannot do without {self.fail_without}")
        rng, first = np.random.default_rng(seed), 1
        values = examples.flows_NVHWC[:, 0].astype(float).mean(axis=(1, 2, 3))
        true = np.array([values[examples.labels == k].mean() for k in range(len(examples.classes))])
        model = Means(true)
        if checkpoint and checkpoint.exists():
            first, state, model = pickle.loads(checkpoint.read_bytes())
            rng.bit_generator.state = state
        for epoch in range(first, self.epochs + 1):
            noise = self.noise * abs(epoch - self.best) if self.epochs > 1 else self.noise
            model = Means(true + noise * rng.normal(size=len(true)), model.samples_seen + len(examples))
            if checkpoint:
                checkpoint.write_bytes(pickle.dumps((epoch + 1, rng.bit_generator.state, model)))
            if self.cut and epoch == 2 and not self.cut.exists():
                self.cut.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            if on_epoch:
                on_epoch(epoch, float(noise), model)
        return model


@dataclass
class Dice:
    """Scores that know nothing, other ones for each of its numbers."""

    number: int
    samples_seen: int = 0

    def predict(self, examples: Examples) -> np.ndarray:
        rng = np.random.default_rng([self.number, int(examples.subjects[0])])
        return rng.dirichlet(np.ones(len(examples.classes)), len(examples)).astype(np.float32)


@dataclass(frozen=True)
class Chance:
    """Throws dice again in each epoch."""

    epochs: int = 100
    name: str = "chance"

    @property
    def recipe(self) -> dict[str, Any]:
        return {"epochs": self.epochs}

    def for_epochs(self, epochs: int) -> Learner:
        return replace(self, epochs=epochs)

    def learn(
        self, examples: Examples, seed: int, *, on_epoch: OnEpoch | None = None, checkpoint: Path | None = None
    ) -> Dice:
        for epoch in range(1, self.epochs + 1):
            if on_epoch:
                on_epoch(epoch, float("nan"), Dice(seed + epoch))
        return Dice(seed + self.epochs)


def die_unless(marker: Path, value: int) -> int:
    """A piece of work that kills its process once."""
    if not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return value


def die() -> None:
    """A piece of work that always kills its process."""
    os.kill(os.getpid(), signal.SIGKILL)


def wait_at(pipe: str) -> None:
    """A piece of work that says that it has begun, and never ends."""
    with open(pipe, "wb", buffering=0) as writing:
        writing.write(b"x")
        signal.pause()


def threads_of(*_: object) -> tuple[str, int]:
    """What the process was born with, and what torch uses."""
    import torch

    return os.environ["OMP_NUM_THREADS"], torch.get_num_threads()


def unpicklable() -> object:
    """What cannot be sent back."""
    return lambda: 0


def add(offset: int, value: int) -> int:
    """`offset` is shared."""
    return offset + value


def die_shared(shared: int) -> None:
    """The process of a piece is killed."""
    die()


def die_unless_shared(shared: int, path: Path, value: int) -> int:
    """Killed the first time."""
    return die_unless(path, value)


def unpicklable_shared(shared: int) -> Any:
    """Something that can't be sent back."""
    return unpicklable()


def note_and_sleep(folder: Path, number: int, seconds: float) -> int:
    """Leaves a file that names its node when it begins."""
    import ray

    (folder / f"{number}-{os.getpid()}").write_text(ray.get_runtime_context().get_node_id())
    time.sleep(seconds)
    return number


def bulky(number: int, size: int) -> bytes:
    """So many bytes."""
    return bytes([number]) * size
