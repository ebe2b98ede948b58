"""One learning, watched: what it scores on some examples at the end, and after each epoch if asked. It can be cut."""

import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from bowam_model.learning import Examples, Learner, Model


@dataclass(frozen=True, eq=False)
class Lesson:
    """What was seen. N watched examples, K classes, E epochs."""

    scores_NK: np.ndarray  # float32, of the model at the end
    epoch_scores_ENK: np.ndarray  # float32; (0, N, K) if not asked for
    losses: tuple[float | None, ...]  # by epoch, None for one without; empty if the learner tells of no epochs
    samples_seen: int
    seconds: float  # of learning and watching, pauses left out


class _Line(msgspec.Struct, frozen=True, kw_only=True):
    """Of a diary: an epoch, or the end."""

    seconds: float  # since the lesson began
    epoch: int | None = None  # None at the end
    loss: float | None = None
    scores: list[list[float]] | None = None
    samples_seen: int = 0


def seed_of(*place: int) -> int:
    """The seed of one lesson, from the run's seed and its place in the run: 32 bits."""
    return int(np.random.SeedSequence(place).generate_state(1)[0])


class _Stop(Exception):
    """The lesson is over before the learner is."""


def attend(
    learner: Learner,
    training: Examples,
    watched: Examples,
    seed: int,
    folder: Path,
    *,
    stop: int | None = None,
    every_epoch: bool = False,
) -> Lesson:
    """Learn from `training`, watch the scores on `watched`.

    `stop` ends the lesson after that epoch with the model as it then is: the first part of the learner's own way,
    its learning rates included, which a recipe for fewer epochs need not be.

    `folder` keeps the learner's checkpoint and the diary of the epochs that are over, so that a lesson that was cut
    goes on; when it is over, the diary alone stays, and the next call only reads it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint, path = folder / "checkpoint", folder / "diary.jsonl"
    lines = _read(path)
    if not _over(lines):
        goes_on, last = checkpoint.exists(), stop or learner.epochs
        lines = _learn(learner, training, watched, seed, checkpoint, path, lines, stop, every_epoch)
        if goes_on and not (_over(lines) and _epochs(lines).keys() == set(range(1, last + 1))):
            # Cut between a checkpoint and its line in the diary: that epoch is over and nobody saw it.
            checkpoint.unlink(missing_ok=True)
            lines = _learn(learner, training, watched, seed, checkpoint, path, [], stop, every_epoch)
        checkpoint.unlink(missing_ok=True)
    epochs = [line for _, line in sorted(_epochs(lines).items())]
    final = np.array(lines[-1].scores, np.float32)
    watched_epochs = [line.scores for line in epochs if every_epoch]
    return Lesson(
        final,
        np.array(watched_epochs, np.float32).reshape(len(watched_epochs), *final.shape),
        tuple(line.loss for line in epochs),
        lines[-1].samples_seen,
        lines[-1].seconds,
    )


def _over(lines: list[_Line]) -> bool:
    return bool(lines) and lines[-1].epoch is None


def _epochs(lines: list[_Line]) -> dict[int, _Line]:
    return {line.epoch: line for line in lines if line.epoch is not None}


def _read(path: Path) -> list[_Line]:
    """A last line that was cut counts as not written."""
    lines = []
    if path.exists():
        for text in path.read_bytes().split(b"\n")[:-1]:
            lines.append(msgspec.json.decode(text, type=_Line))
    return lines


def _learn(
    learner: Learner,
    training: Examples,
    watched: Examples,
    seed: int,
    checkpoint: Path,
    path: Path,
    lines: list[_Line],
    stop: int | None,
    every_epoch: bool,
) -> list[_Line]:
    lines, start = list(lines), time.perf_counter() - (lines[-1].seconds if lines else 0.0)
    with path.open("wb") as diary:

        def add(line: _Line) -> None:
            lines.append(line)
            diary.write(msgspec.json.encode(line) + b"\n")
            diary.flush()

        def end(model: Model) -> None:
            scores, seen = _scores(model, watched), int(model.samples_seen)
            add(_Line(scores=scores, samples_seen=seen, seconds=time.perf_counter() - start))

        def on_epoch(epoch: int, loss: float, model: Model) -> None:
            if stop is None or epoch <= stop:
                scores = _scores(model, watched) if every_epoch else None
                told = float(loss) if np.isfinite(loss) else None
                add(_Line(epoch=epoch, loss=told, scores=scores, seconds=time.perf_counter() - start))
            if epoch == stop:
                end(model)
            if stop is not None and epoch >= stop:
                raise _Stop

        diary.write(b"".join(msgspec.json.encode(line) + b"\n" for line in lines))
        with suppress(_Stop):
            end(learner.learn(training, seed, on_epoch=on_epoch, checkpoint=checkpoint))
    return lines


def _scores(model: Model, watched: Examples) -> list[list[float]]:
    scores = np.asarray(model.predict(watched), np.float32)
    if scores.shape != (len(watched), len(watched.classes)) or not np.isfinite(scores).all():
        raise ValueError(f"the model's scores are {scores.shape} or not finite: it did not learn")
    return scores.astype(float).tolist()
