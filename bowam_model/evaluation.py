"""Scores of a recogniser. Pool the predictions of all folds first, then score once (FIELD.md section 2)."""

from collections.abc import Callable

import numpy as np


def confusion_matrix(truth: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """Counts, int64 (classes, classes): row = true class, column = predicted class."""
    counts = np.zeros((classes, classes), np.int64)
    np.add.at(counts, (np.asarray(truth), np.asarray(predicted)), 1)
    return counts


def uf1(confusion: np.ndarray) -> float:
    """Unweighted F1: the plain mean over classes of 2 TP / (2 TP + FP + FN); 0 for a class never seen nor said."""
    hits = np.diag(confusion).astype(float)
    named = confusion.sum(axis=0) + confusion.sum(axis=1)
    return float(np.divide(2 * hits, named, out=np.zeros_like(hits), where=named > 0).mean())


def uar(confusion: np.ndarray) -> float:
    """Unweighted average recall: the plain mean over the classes that occur of TP / (TP + FN)."""
    there = confusion.sum(axis=1)
    return float((np.diag(confusion)[there > 0] / there[there > 0]).mean()) if there.any() else 0.0


def interval(
    confusions_by_person: np.ndarray, score: Callable[[np.ndarray], float], seed: int = 0
) -> tuple[float, float]:
    """95% interval of a pooled score when other people had been drawn: bootstrap over people, 2,000 draws.

    `confusions_by_person` is (people, classes, classes).
    """
    people = len(confusions_by_person)
    drawn = np.random.default_rng(seed).integers(0, people, (2000, people))
    scores = [score(confusions_by_person[some].sum(axis=0)) for some in drawn]
    low, high = np.percentile(scores, (2.5, 97.5))
    return float(low), float(high)
