"""Weights beside a data set: how often they are right on its clips, and whether they have seen its people before."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from bowam_model.errors import DatasetError, OptionError
from bowam_model.evaluation import (
    calibration_error,
    confusion_matrix,
    confusions_by_person,
    interval,
    reliability,
    tempered,
    uar,
    uf1_among,
)
from bowam_model.learning import Examples
from bowam_model.predictor import Predictor
from bowam_model.preparation import PreparationSettings
from bowam_model.recipes.figures import table
from bowam_model.training import predict


@dataclass(frozen=True, kw_only=True)
class Scores:
    """UF1 and UAR over the classes of the data, each with its 95% interval over people."""

    uf1: float
    uf1_interval: tuple[float, float]
    uar: float
    uar_interval: tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Recognition:
    """What the weights made of the data."""

    weights: str  # "sha256:<hex>"
    architecture: str
    data: str  # names of the sets
    synthetic: bool
    clips: int
    people: int
    people_trained_on: int | None  # None: the weights do not say whom they were trained on
    labels: tuple[str, ...]  # rows and columns of `confusion`
    classes: tuple[str, ...]  # of the data
    confusion: list[list[int]]
    scores: Scores  # as it answers: a label that the data do not have is a mistake
    among_classes: Scores | None  # the likeliest of the data's classes; None where the labels are the same
    calibration_error: float


def preparation(predictor: Predictor) -> PreparationSettings:
    """How clips have to be prepared for these weights; ready flow pictures need no preparation."""
    encoding = predictor.encoding
    if encoding.fusion == "picture":
        return PreparationSettings()
    return PreparationSettings(fusion=encoding.fusion, side_px=encoding.side)


def recognise(predictor: Predictor, examples: Examples) -> Recognition:
    """Ask the weights about every example.

    Raises:
        DatasetError: there are no examples.
        OptionError: the data have classes that the weights do not know, or flow of another kind.
    """
    labels = predictor.labels
    if not len(examples):
        raise DatasetError("none of the clips could be prepared: `bowam dataset prepare` says why")
    if unknown := [label for label in examples.classes if label not in labels]:
        raise OptionError(
            f"the data have {', '.join(unknown)}, the weights know {', '.join(labels)}: choose other --classes"
        )
    if examples.fusion != predictor.encoding.fusion:
        raise OptionError(
            f"the data are flow of fusion {examples.fusion!r}, the weights expect {predictor.encoding.fusion!r}"
        )
    chosen = [labels.index(label) for label in examples.classes]
    truth = np.array(chosen)[examples.labels]
    raw = predict(predictor.network, examples.flows_NVHWC[:, 0], predictor.encoding)
    probabilities = tempered(raw, predictor.temperature)
    said = probabilities.argmax(axis=1)
    among = np.array(chosen)[probabilities[:, chosen].argmax(axis=1)]
    there = {examples.people[subject] for subject in examples.subjects}
    return Recognition(
        weights=predictor.weights,
        architecture=predictor.name,
        data=", ".join(sorted(set(examples.datasets.tolist()))),
        synthetic=examples.synthetic,
        clips=len(examples),
        people=len(there),
        people_trained_on=len(there & set(predictor.trained_on)) if predictor.trained_on else None,
        labels=labels,
        classes=examples.classes,
        confusion=confusion_matrix(truth, said, len(labels)).tolist(),
        scores=_scores(truth, said, examples.subjects, len(labels), chosen),
        among_classes=_scores(truth, among, examples.subjects, len(labels), chosen)
        if len(chosen) < len(labels)
        else None,
        calibration_error=calibration_error(reliability(probabilities, truth)),
    )


def _scores(truth: np.ndarray, said: np.ndarray, people: np.ndarray, labels: int, chosen: list[int]) -> Scores:
    def uf1(confusion: np.ndarray) -> Any:
        return uf1_among(confusion, chosen)

    by_person = confusions_by_person(truth, said, people, labels)
    pooled = by_person.sum(axis=0)
    return Scores(
        uf1=float(uf1(pooled)),
        uf1_interval=interval(by_person, uf1),
        uar=float(uar(pooled)),
        uar_interval=interval(by_person, uar),
    )


def warnings(result: Recognition) -> list[str]:
    """What a reader must know before believing a figure."""
    if result.people_trained_on is None:
        return ["the weights do not say whom they were trained on: if it was these people, the figures mean nothing"]
    if result.people_trained_on:
        return [
            f"the weights were trained on {result.people_trained_on} of these {result.people} people: the figures tell "
            f"what they remember, not what they can do; `bowam loso` measures that"
        ]
    return []


def markdown(result: Recognition) -> list[str]:
    """The lines of a page."""
    made = " (synthetic)" if result.synthetic else ""
    lines = [
        f"# {result.architecture} on {result.data}{made}: {result.clips} clips, {result.people} people",
        "",
        f"Weights {result.weights}.",
        *(f"**Warning: {warning}.**" for warning in warnings(result)),
        "",
    ]
    rows = [("as it answers", *_row(result.scores))]
    if result.among_classes:
        rows.append((f"only {', '.join(result.classes)}", *_row(result.among_classes)))
    lines += table(("answers", "UF1 (95% over people)", "UAR (95% over people)"), rows)
    lines += ["", *table(("truth \\ said", *result.labels), _confusion_rows(result))]
    return [*lines, "", f"Expected calibration error {result.calibration_error:.3f} (ten bins of equal mass)."]


def _confusion_rows(result: Recognition) -> list[tuple[object, ...]]:
    """Rows of the confusion; a label that the data do not have has no row."""
    rows = zip(result.labels, result.confusion, strict=True)
    return [(label, *counts) for label, counts in rows if label in result.classes]


def _row(scores: Scores) -> tuple[str, str]:
    (a, b), (c, d) = scores.uf1_interval, scores.uar_interval
    return f"{scores.uf1:.3f} ({a:.3f}-{b:.3f})", f"{scores.uar:.3f} ({c:.3f}-{d:.3f})"
