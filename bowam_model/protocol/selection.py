"""Choosing a recipe and an epoch without looking at who is tested.

The trap of the field is to keep, for each fold, the epoch that is best on its test subject (FIELD.md section 2). Here
`select` gets the training examples of a fold and nothing else.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bowam_model.errors import OptionError
from bowam_model.evaluation import confusion_matrix, uf1
from bowam_model.learning import Examples, Learner
from bowam_model.protocol.folds import grouped
from bowam_model.protocol.lesson import attend, seed_of
from bowam_model.protocol.settings import ProtocolSettings
from bowam_model.protocol.store import Choice


def check_candidates(candidates: Sequence[Learner], settings: ProtocolSettings) -> None:
    """Raises OptionError if there is none, or a choice among several and no rule to choose by."""
    if not candidates:
        raise OptionError("there is no recipe to judge")
    if settings.selection == "fixed" and len(candidates) > 1:
        raise OptionError(f"{len(candidates)} recipes to choose from need selection 'inner'")


def select(
    candidates: Sequence[Learner], training: Examples, settings: ProtocolSettings, seed: int, fold: int, folder: Path
) -> tuple[Choice, int]:
    """Which candidate, for how many epochs; and how many samples it took to find out.

    With "inner", each candidate learns from some of the subjects of `training` and is scored on the others, in
    `inner_rounds` rounds whose predictions are pooled, after each epoch. Taken is the candidate and epoch of the
    highest smoothed UF1; of equals the first candidate and its first epoch. The final learning goes the same way as
    the inner one, learning rates included, and stops after that epoch. Raises OptionError for a single subject.
    """
    if settings.selection == "fixed" or (len(candidates) == 1 and candidates[0].epochs == 1):
        return Choice(candidate=0, epochs=candidates[0].epochs), 0
    subjects = len(np.unique(training.subjects))
    groups = max(2, min(settings.inner_folds, subjects))
    rounds = grouped(training, groups, settings.fold_seed)[: settings.inner_rounds]
    classes = len(training.classes)
    curves, samples_seen = [], 0
    for number, candidate in enumerate(candidates):
        confusions_EKK = np.zeros((candidate.epochs, classes, classes), np.int64)
        for inner in rounds:
            known, held_out = (training.take(part) for part in inner.split(training))
            lesson = attend(
                candidate,
                known,
                held_out,
                seed_of(seed, fold, 1 + number, inner.number),
                folder / f"inner-{number}-{inner.number}",
                every_epoch=candidate.epochs > 1,
            )
            samples_seen += lesson.samples_seen
            scores_ENK = lesson.epoch_scores_ENK if candidate.epochs > 1 else lesson.scores_NK[None]
            confusions_EKK += np.stack(
                [confusion_matrix(held_out.labels, one.argmax(1), classes) for one in scores_ENK]
            )
        curves.append(uf1(confusions_EKK))
    best = [smoothed(curve, settings.smooth_epochs) for curve in curves]
    winner = int(np.argmax([curve.max() for curve in best]))
    epochs = int(np.argmax(best[winner])) + 1
    inner_uf1 = tuple(tuple(float(value) for value in curve) for curve in curves)
    return Choice(candidate=winner, epochs=epochs, inner_uf1=inner_uf1), samples_seen


def smoothed(curve: np.ndarray, width: int) -> np.ndarray:
    """Mean over `width` epochs around each, over fewer at the ends; rounded, so that equals are equal."""
    half = width // 2
    means = [curve[max(0, epoch - half) : epoch + half + 1].mean() for epoch in range(len(curve))]
    return np.round(means, 9)
