"""Figures of the shipped weights: what a network said about people that it never saw, by class, stratum and frame rate.

Axis legend: N examples, K classes (labels.SHIPPED).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from bowam_model import evaluation
from bowam_model.evaluation import (
    abstention_threshold,
    confusion_matrix,
    confusions_by_person,
    fit_temperature,
    interval,
    tempered,
    uar,
    uf1,
)
from bowam_model.labels import MEGC2019, NONE, SHIPPED
from bowam_model.synthesis.plan import STRATA
from bowam_model.synthesis.triples import AMPLITUDES


@dataclass(frozen=True, eq=False)
class Result:
    """What a network said about examples."""

    labels: np.ndarray  # int64 (N,): the truth, indices of SHIPPED
    probabilities: np.ndarray  # float (N, K)
    details: np.ndarray  # str (N,): stratum of a micro-expression, kind of what is none
    people: np.ndarray  # int64 (N,)
    rates_hz: np.ndarray  # float64 (N,)

    @property
    def predicted(self) -> np.ndarray:
        """int64 (N,): indices of SHIPPED."""
        return self.probabilities.argmax(axis=1)

    def tempered(self, temperature: float) -> "Result":
        """The same answers, more or less sure."""
        return replace(self, probabilities=tempered(self.probabilities, temperature))

    def confusion(self, chosen: np.ndarray | slice = slice(None)) -> np.ndarray:
        """Counts, rows are the truth, over the chosen examples."""
        return confusion_matrix(self.labels[chosen], self.predicted[chosen], len(SHIPPED))

    def by_person(self) -> np.ndarray:
        """One confusion matrix for each person."""
        return confusions_by_person(self.labels, self.predicted, self.people, len(SHIPPED))

    def uf1(self) -> float:
        """Over the four classes."""
        return float(uf1(self.confusion()))

    def uar(self) -> float:
        """Over the four classes."""
        return float(uar(self.confusion()))


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """What was chosen on people that are in neither training nor test."""

    fitted: float  # the temperature that fits those people best
    temperature: float  # the one that the file carries: never below 1
    threshold: float  # of the confidence, after the temperature
    max_error: float  # the share of wrong answers that the threshold was chosen for


def calibrate(validation: Result, max_error: float) -> Calibration:
    """Fit the temperature, then the threshold: the lowest above which at most `max_error` are wrong, surely.

    A network may be made less sure than training left it, never surer: what sharpens it within the ranges of training
    makes it overconfident in most settings outside them (the card's table), and real faces lie outside.
    """
    fitted = fit_temperature(validation.probabilities, validation.labels)
    temperature = max(1.0, fitted)
    sure = validation.tempered(temperature)
    threshold = abstention_threshold(sure.probabilities, sure.labels, max_error)
    return Calibration(fitted=fitted, temperature=temperature, threshold=threshold, max_error=max_error)


def scores(result: Result) -> list[str]:
    """UF1 and UAR with intervals over people, and the confusion."""
    lines = []
    for title, score in (("UF1", uf1), ("UAR", uar)):
        low, high = interval(result.by_person(), score)
        value = score(result.confusion())
        lines.append(f"- {title} over the four classes: {value:.3f} (95% over people {low:.3f}-{high:.3f})")
    rows = [(label, *row) for label, row in zip(SHIPPED, result.confusion(), strict=True)]
    return [*lines, "", *table(("truth \\ said", *SHIPPED), rows)]


def by_class(result: Result) -> list[str]:
    """Precision, recall and F1 of each class."""
    each = evaluation.by_class(result.confusion())
    rows = [
        (label, int(each.count[k]), f"{each.precision[k]:.3f}", f"{each.recall[k]:.3f}", f"{each.f1[k]:.3f}")
        for k, label in enumerate(SHIPPED)
    ]
    return table(("class", "examples", "precision", "recall", "F1"), rows)


def by_stratum(result: Result) -> list[str]:
    """How often a micro-expression of a stratum is named rightly, or is taken for none."""
    none = SHIPPED.index(NONE)
    micro = [SHIPPED.index(label) for label in MEGC2019]
    rows = []
    for stratum in (stratum for stratum in (*STRATA, *AMPLITUDES) if stratum in result.details):
        some = result.confusion(result.details == stratum)
        seen = some.sum(axis=1)
        right = [f"{some[i, i] / max(seen[i], 1):.2f}" for i in micro]
        # A micro-expression called none counts against its class; `none` itself is no class of this row.
        f1 = [2 * some[i, i] / max(2 * some[i, i] + some[:, i].sum() + seen[i] - 2 * some[i, i], 1) for i in micro]
        missed = some[micro, none].sum() / max(seen[micro].sum(), 1)
        rows.append((stratum, *right, f"{missed:.2f}", f"{np.mean(f1):.3f}"))
    return table(("stratum", *(f"{label} right" for label in MEGC2019), "said none", "UF1 of 3"), rows)


def by_rate(result: Result) -> list[str]:
    """UF1 and UAR at each frame rate."""
    rows = []
    for rate_hz in np.unique(result.rates_hz):
        some = result.confusion(result.rates_hz == rate_hz)
        rows.append((f"{rate_hz:g} fps", some.sum(), f"{uf1(some):.3f}", f"{uar(some):.3f}"))
    return table(("frame rate", "examples", "UF1", "UAR"), rows)


def by_kind_of_none(result: Result) -> list[str]:
    """How often what is no micro-expression is called none."""
    none = SHIPPED.index(NONE)
    rows = []
    for kind in sorted(set(result.details[result.labels == none])):
        chosen = (result.labels == none) & (result.details == kind)
        rows.append((kind, chosen.sum(), f"{(result.predicted[chosen] == none).mean():.2f}"))
    return table(("what is none", "examples", "said none"), rows)


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """Lines of Markdown."""
    lines = ["| " + " | ".join(map(str, row)) + " |" for row in (head, *rows)]
    return [lines[0], "| --- " * len(head) + "|", *lines[1:]]
