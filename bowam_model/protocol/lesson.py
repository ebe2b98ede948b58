"""One learning, watched: what it scores on some examples at the end, and after each epoch if asked. It can be cut."""

import os
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from bowam_model.learning import Examples, Learner, Model


@dataclass(frozen=True, eq=False)
class Lesson:
    """What was seen. N watched examples, K classes, E epochs."""

    scores_NK: np.ndarray  # float32, of the model at the end
    epoch_scores_ENK: np.ndarray  # float32; (0, N, K) if not asked for
    losses: np.ndarray  # float64 (E,); empty if the learner tells of no epochs
    samples_seen: int
    seconds: float  # of learning and watching, pauses left out


def seed_of(*place: int) -> int:
    """The seed of one lesson, from the run's seed and its place in the run: 32 bits."""
    return int(np.random.SeedSequence(place).generate_state(1)[0])


def attend(
    learner: Learner, training: Examples, watched: Examples, seed: int, folder: Path, *, every_epoch: bool = False
) -> Lesson:
    """Learn from `training`, watch the scores on `watched`.

    `folder` keeps the learner's checkpoint and the diary of the epochs that are over, so that a lesson that was cut
    goes on; when it is over, the diary alone stays, and the next call only reads it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint, path = folder / "checkpoint", folder / "diary.npz"
    diary = _Diary.read(path)
    if diary.final is None:
        diary = _learn(learner, training, watched, seed, checkpoint, path, diary, every_epoch)
        if not diary.unbroken:  # cut between a checkpoint and its line in the diary
            checkpoint.unlink(missing_ok=True)
            diary = _learn(learner, training, watched, seed, checkpoint, path, _Diary(), every_epoch)
        diary.write(path)
        checkpoint.unlink(missing_ok=True)
    assert diary.final is not None
    none = np.zeros((0, *diary.final.shape), np.float32)
    epochs = [diary.scores[epoch] for epoch in sorted(diary.scores)]
    return Lesson(
        diary.final,
        np.stack(epochs) if epochs else none,
        np.array([diary.losses[epoch] for epoch in sorted(diary.losses)]),
        diary.samples_seen,
        diary.seconds,
    )


@dataclass
class _Diary:
    losses: dict[int, float] = field(default_factory=dict)
    scores: dict[int, np.ndarray] = field(default_factory=dict)
    final: np.ndarray | None = None
    samples_seen: int = 0
    seconds: float = 0.0

    @property
    def unbroken(self) -> bool:
        return sorted(self.losses) == list(range(1, len(self.losses) + 1))

    @classmethod
    def read(cls, path: Path) -> "_Diary":
        if not path.exists():
            return cls()
        with np.load(path) as kept:
            numbers = kept["epochs"].tolist()
            return cls(
                dict(zip(numbers, kept["losses"].tolist(), strict=True)),
                dict(zip(numbers, kept["scores"], strict=True)) if len(kept["scores"]) else {},
                kept["final"] if kept["final"].size else None,
                int(kept["samples_seen"]),
                float(kept["seconds"]),
            )

    def write(self, path: Path) -> None:
        half = path.with_suffix(".part.npz")
        np.savez(
            half,
            epochs=np.array(list(self.losses), np.int64),
            losses=np.array(list(self.losses.values())),
            scores=np.array(list(self.scores.values()), np.float32),
            final=np.zeros(0, np.float32) if self.final is None else self.final,
            samples_seen=np.int64(self.samples_seen),
            seconds=np.float64(self.seconds),
        )
        os.replace(half, path)


def _learn(
    learner: Learner,
    training: Examples,
    watched: Examples,
    seed: int,
    checkpoint: Path,
    path: Path,
    diary: _Diary,
    every_epoch: bool,
) -> _Diary:
    before, start = diary.seconds, time.perf_counter()

    def on_epoch(epoch: int, loss: float, model: Model) -> None:
        diary.losses[epoch] = float(loss)
        if every_epoch:
            diary.scores[epoch] = _scores(model, watched)
        diary.seconds = before + time.perf_counter() - start
        diary.write(path)

    model = learner.learn(training, seed, on_epoch=on_epoch, checkpoint=checkpoint)
    diary.final, diary.samples_seen = _scores(model, watched), int(model.samples_seen)
    diary.seconds = before + time.perf_counter() - start
    return diary


def _scores(model: Model, watched: Examples) -> np.ndarray:
    scores = np.asarray(model.predict(watched), np.float32)
    if scores.shape != (len(watched), len(watched.classes)) or not np.isfinite(scores).all():
        raise ValueError(f"the model's scores are {scores.shape} or not finite: it did not learn")
    return scores
