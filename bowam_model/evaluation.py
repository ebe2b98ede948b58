"""Scores of a recogniser. Pool the predictions of all folds first, then score once (FIELD.md section 2).

Axis legend: S seeds, P people, K classes; a stack of confusion matrices is (..., K, K), rows are the truth. The
bootstrap draws people, not clips: the clips of one person are alike, and the next study has other people.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

DRAWS = 2000
"""Of the bootstrap. The ends of a 95% interval then move by about a twentieth of its width from seed to seed."""

Score = Callable[[np.ndarray], Any]
"""`uf1` or `uar`: a number for one confusion matrix, float64 (...) for a stack of them."""


@dataclass(frozen=True)
class Estimate:
    """A pooled score over several seeds, and its 95% interval when other people had been drawn."""

    mean: float
    std: float  # between seeds, n - 1 in the denominator; 0 for one seed
    lowest: float
    highest: float
    low: float  # of the interval of the mean
    high: float


@dataclass(frozen=True)
class Difference:
    """By how much one run scores higher than another on the same people, with its 95% interval."""

    value: float
    low: float
    high: float
    above_zero: float  # share of draws in which it is positive


@dataclass(frozen=True, eq=False)
class ByClass:
    """float64 (K,) each; 0 where nothing is there to divide by."""

    count: np.ndarray
    recall: np.ndarray
    precision: np.ndarray
    f1: np.ndarray


def confusion_matrix(truth: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """Counts, int64 (classes, classes): row = true class, column = predicted class."""
    counts = np.zeros((classes, classes), np.int64)
    np.add.at(counts, (np.asarray(truth), np.asarray(predicted)), 1)
    return counts


def confusions_by_person(truth: np.ndarray, predicted: np.ndarray, people: np.ndarray, classes: int) -> np.ndarray:
    """One confusion matrix for each person that occurs in `people`, in their order: int64 (P, K, K)."""
    there, person = np.unique(people, return_inverse=True)
    counts = np.zeros((len(there), classes, classes), np.int64)
    np.add.at(counts, (person, np.asarray(truth), np.asarray(predicted)), 1)
    return counts


def by_class(confusion: np.ndarray) -> ByClass:
    """Recall, precision and F1 of each class."""
    hits, true, said = _hits(confusion), confusion.sum(axis=1), confusion.sum(axis=0)
    return ByClass(true.astype(float), _ratio(hits, true), _ratio(hits, said), _ratio(2 * hits, true + said))


def uf1(confusion: np.ndarray) -> Any:
    """Unweighted F1: the plain mean over classes of 2 TP / (2 TP + FP + FN); 0 for a class never seen nor said."""
    return _ratio(2 * _hits(confusion), confusion.sum(axis=-2) + confusion.sum(axis=-1)).mean(axis=-1)


def uar(confusion: np.ndarray) -> Any:
    """Unweighted average recall: the plain mean over the classes that occur of TP / (TP + FN)."""
    true = confusion.sum(axis=-1)
    return _ratio(_ratio(_hits(confusion), true).sum(axis=-1), (true > 0).sum(axis=-1))[()]


def interval(confusions_by_person: np.ndarray, score: Score, seed: int = 0) -> tuple[float, float]:
    """95% interval of a pooled score when other people had been drawn: bootstrap over people, 2,000 draws.

    `confusions_by_person` is (P, K, K).
    """
    return _percentiles(score(_drawn(confusions_by_person, seed)))


def estimate(confusions_SPKK: np.ndarray, score: Score, seed: int = 0) -> Estimate:
    """The score of each seed and of their mean; a draw takes the same people for all seeds."""
    each = score(confusions_SPKK.sum(axis=1))
    low, high = _percentiles(_mean_scores(confusions_SPKK, score, seed))
    spread = each.std(ddof=1) if len(each) > 1 else 0.0
    return Estimate(float(each.mean()), float(spread), float(each.min()), float(each.max()), low, high)


def difference(first_SPKK: np.ndarray, second_SPKK: np.ndarray, score: Score, seed: int = 0) -> Difference:
    """First minus second, means over seeds, on the same people in the same order; a draw takes the same for both."""
    if first_SPKK.shape[1:] != second_SPKK.shape[1:]:
        raise ValueError("a paired comparison needs the same people and classes")
    value = score(first_SPKK.sum(axis=1)).mean() - score(second_SPKK.sum(axis=1)).mean()
    drawn = _mean_scores(first_SPKK, score, seed) - _mean_scores(second_SPKK, score, seed)
    return Difference(float(value), *_percentiles(drawn), float((drawn > 0).mean()))


def _drawn(confusions_PKK: np.ndarray, seed: int) -> np.ndarray:
    """Pooled confusion matrices of people drawn with replacement: int64 (DRAWS, K, K)."""
    people = len(confusions_PKK)
    drawn = np.random.default_rng(seed).integers(0, people, (DRAWS, people))
    times = np.zeros((DRAWS, people), np.int64)
    np.add.at(times, (np.arange(DRAWS)[:, None], drawn), 1)
    return (times @ confusions_PKK.reshape(people, -1)).reshape(DRAWS, *confusions_PKK.shape[1:])


def _mean_scores(confusions_SPKK: np.ndarray, score: Score, seed: int) -> np.ndarray:
    """The mean over seeds of the score in each draw, (DRAWS,)."""
    return np.mean([score(_drawn(confusions, seed)) for confusions in confusions_SPKK], axis=0)


def _percentiles(values: np.ndarray) -> tuple[float, float]:
    low, high = np.percentile(values, (2.5, 97.5))
    return float(low), float(high)


def _hits(confusion: np.ndarray) -> np.ndarray:
    return np.diagonal(confusion, axis1=-2, axis2=-1).astype(float)


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    return np.divide(above, below, out=np.zeros(np.shape(above)), where=np.asarray(below) > 0)


@dataclass(frozen=True)
class Bin:
    """Examples of about one confidence: how sure the recogniser was of them, and how often it was right."""

    count: int
    confidence: float  # mean of the largest probability
    accuracy: float


def reliability(probabilities_NK: np.ndarray, truth_N: np.ndarray, bins: int = 10) -> list[Bin]:
    """Confidence beside accuracy in bins of equal mass, the least confident first (Nguyen & O'Connor, EMNLP 2015)."""
    confidence = probabilities_NK.max(axis=1).astype(float)
    right = probabilities_NK.argmax(axis=1) == truth_N
    split = np.array_split(np.argsort(confidence, kind="stable"), bins)
    return [Bin(len(some), float(confidence[some].mean()), float(right[some].mean())) for some in split if len(some)]


def calibration_error(bins: list[Bin]) -> float:
    """ECE: the mean distance of confidence and accuracy, each bin weighted by its count; 0 without bins."""
    return sum(b.count * abs(b.accuracy - b.confidence) for b in bins) / max(sum(b.count for b in bins), 1)


def tempered(probabilities_NK: np.ndarray, temperature: float) -> np.ndarray:
    """softmax(logits / temperature) from softmax(logits), float64 (N, K); above 1 is less sure of everything."""
    logits = np.log(np.maximum(probabilities_NK.astype(float), 1e-30)) / temperature
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def fit_temperature(probabilities_NK: np.ndarray, truth_N: np.ndarray) -> float:
    """The temperature under which the truth is likeliest (Guo et al., ICML 2017, section 4.2), within 0.05 to 20.

    Fit it on people that are in neither training nor test. The loss is convex in 1 / temperature, so that a search by
    the golden section finds its only minimum.
    """

    def loss(log_temperature: float) -> float:
        likely = tempered(probabilities_NK, float(np.exp(log_temperature)))[np.arange(len(truth_N)), truth_N]
        return float(-np.log(np.maximum(likely, 1e-300)).mean())

    low, high = float(np.log(0.05)), float(np.log(20.0))
    golden = (np.sqrt(5.0) - 1.0) / 2.0
    for _ in range(40):  # 0.618^40 of the range is 3e-8
        left, right = high - golden * (high - low), low + golden * (high - low)
        low, high = (low, right) if loss(left) <= loss(right) else (left, high)
    return float(np.exp((low + high) / 2.0))


def abstention_threshold(
    probabilities_NK: np.ndarray, truth_N: np.ndarray, max_error: float, doubt: float = 0.05
) -> float:
    """The least confidence from which on at most `max_error` of the answers are wrong; above 1 if there is none.

    It must be so with a certainty of 1 - `doubt`: a recogniser that errs as often as `max_error` would err as seldom as
    this one with a chance of at most `doubt` (exact binomial; Geifman & El-Yaniv, NeurIPS 2017, without their search).
    Choose it on people that are in neither training nor test; 149 right answers are the least that show 2%.
    """
    confidence = probabilities_NK.max(axis=1).astype(float)
    order = np.argsort(-confidence, kind="stable")
    wrong = np.cumsum(probabilities_NK.argmax(axis=1)[order] != truth_N[order])
    sure = confidence[order]
    ends = np.flatnonzero(np.append(sure[:-1] != sure[1:], True))  # examples of one confidence are answered together
    factorials = np.cumsum(np.log(np.maximum(np.arange(len(sure) + 1), 1)))  # of 0 to N, as logarithms

    def surely(count: int, trials: int) -> bool:
        """P(X <= count) of a binomial distribution is at most `doubt`."""
        k = np.arange(count + 1)
        ways = factorials[trials] - factorials[k] - factorials[trials - k]
        return float(np.exp(ways + k * np.log(max_error) + (trials - k) * np.log1p(-max_error)).sum()) <= doubt

    allowed = [end for end in ends if surely(wrong[end], end + 1)]
    return float(sure[allowed[-1]]) if allowed else float(np.nextafter(1.0, 2.0))


def selective(probabilities_NK: np.ndarray, truth_N: np.ndarray, threshold: float) -> tuple[float, float]:
    """Coverage (share of examples that are answered) and the share of wrong answers among them; 0 of none."""
    answered = probabilities_NK.max(axis=1).astype(float) >= threshold
    wrong = probabilities_NK.argmax(axis=1) != truth_N
    return float(answered.mean()), float(wrong[answered].mean()) if answered.any() else 0.0


def uf1_among(confusion: np.ndarray, classes: Sequence[int]) -> Any:
    """UF1 over some of the classes: what is taken for one of the others is a miss, and the others have no F1."""
    named = confusion.sum(axis=-2) + confusion.sum(axis=-1)
    return _ratio(2 * _hits(confusion), named)[..., list(classes)].mean(axis=-1)
