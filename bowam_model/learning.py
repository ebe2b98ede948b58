"""What passes between preparation, learners and the protocol: examples in, a model out. No torch here.

Axis legend: N examples, V readings of one clip, H rows, W columns, C values of a flow, K classes.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np


@dataclass(frozen=True, eq=False, kw_only=True)
class Examples:
    """Flows, and who shows what.

    `flows_NVHWC` holds, for each clip, the flow of its annotated apex first; further readings (the apex one or two
    frames earlier and later) are for training alone. C is what `flow.bidirectional_flow` makes: (u, v) in pixels of
    the 240 px face, four values for "concat". A ready flow picture (`fusion` "picture") has u, v and strain, each
    stretched by its own unknown gain to -1..1, so that nothing in it has a unit.
    """

    flows_NVHWC: np.ndarray  # float16
    labels: np.ndarray  # int64 (N,), indices of `classes`
    classes: tuple[str, ...]
    subjects: np.ndarray  # int64 (N,), indices of `people`
    people: tuple[str, ...]  # "dataset/subject": two data sets may use one name for two people
    clips: tuple[str, ...]  # N times "dataset/subject/clip"
    fusion: str  # of flow.Fusion, or "picture"
    synthetic: bool = False  # made by a program: every result on them has to say so

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def datasets(self) -> np.ndarray:
        """The data set of each example, str (N,)."""
        return np.array([self.people[subject].split("/", 1)[0] for subject in self.subjects], np.str_)

    @cached_property
    def digest(self) -> str:
        """SHA-256 over everything: two results are comparable if they come from the same examples."""
        what = hashlib.sha256(
            repr((self.classes, self.people, self.clips, self.fusion, self.flows_NVHWC.shape)).encode()
        )
        for array in (self.flows_NVHWC, self.labels, self.subjects):
            what.update(np.ascontiguousarray(array).tobytes())
        return what.hexdigest()

    def __getstate__(self) -> dict[str, Any]:
        """A file that is mapped into memory travels to other processes by name: it may be larger than the memory."""
        state = dict(self.__dict__)
        flows = self.flows_NVHWC
        if isinstance(flows, np.memmap):
            file = Path(str(flows.filename))
            if file.suffix == ".npy" and flows.offset + flows.nbytes == file.stat().st_size:  # all of it, not a slice
                state["flows_NVHWC"] = file
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        if isinstance(state["flows_NVHWC"], Path):
            state = {**state, "flows_NVHWC": np.load(state["flows_NVHWC"], mmap_mode="c")}
        self.__dict__.update(state)

    def take(self, chosen: np.ndarray) -> "Examples":
        """Some of them: indices or a mask. Classes and people keep their numbers."""
        chosen = np.arange(len(self))[chosen]
        return replace(
            self,
            flows_NVHWC=self.flows_NVHWC[chosen],
            labels=self.labels[chosen],
            subjects=self.subjects[chosen],
            clips=tuple(self.clips[index] for index in chosen),
        )


class Model(Protocol):
    """What was learned."""

    @property
    def samples_seen(self) -> int:
        """How many examples it was shown, each time counted."""
        ...

    def predict(self, examples: Examples) -> np.ndarray:
        """Scores that add to 1, float32 (N, K), from the first reading alone; no chance is involved."""
        ...


OnEpoch = Callable[[int, float, Model], None]
"""Called after each epoch with its number (from 1), its mean loss and the model as it stands, good until it returns."""


class Learner(Protocol):
    """A recipe that turns examples into a model. Picklable, so that folds can run in other processes."""

    @property
    def name(self) -> str: ...

    @property
    def recipe(self) -> dict[str, Any]:
        """Everything that decides the result besides examples and seed, as plain values that JSON can hold."""
        ...

    @property
    def epochs(self) -> int:
        """How many rounds it learns; 1 where there are no rounds."""
        ...

    def for_epochs(self, epochs: int) -> "Learner":
        """The same recipe with another number of rounds; itself where there are no rounds."""
        ...

    def learn(
        self, examples: Examples, seed: int, *, on_epoch: OnEpoch | None = None, checkpoint: Path | None = None
    ) -> Model:
        """Learn from nothing. The same arguments give the same model on one machine.

        With `checkpoint`, its state is kept in that file after each epoch; a run that finds it there goes on from it
        and ends with the model of the run that was never cut. `on_epoch` then hears only the epochs that were left.
        """
        ...
