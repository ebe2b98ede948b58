"""Two runs on the same clips: is one better, or did it have luck with the people?"""

from dataclasses import asdict
from typing import Any

import numpy as np

from bowam_model.errors import RunError
from bowam_model.evaluation import Difference, difference
from bowam_model.protocol.result import SCORES, Result


def compare(first: Result, second: Result) -> dict[str, dict[str, Difference]]:
    """First minus second, UF1 and UAR, over all and of each data set; paired bootstrap over subjects.

    The examples may be prepared in different ways, and the seeds and folds may differ, but clips, subjects and labels
    have to be the same, in whatever order. Raises RunError if they are not.
    """
    if _truth(first) != _truth(second):
        raise RunError(
            f"{first.run.title!r} and {second.run.title!r} were not judged on the same clips, subjects and labels: "
            "only runs on the same data can be compared"
        )
    parts: list[str | None] = [None]
    if len(names := np.unique(first.datasets)) > 1:
        parts += names.tolist()
    return {
        part or "all": {
            name: difference(_by_person(first, part), _by_person(second, part), score) for name, score in SCORES.items()
        }
        for part in parts
    }


def comparison(first: Result, second: Result) -> dict[str, Any]:
    """The same as plain values, with both titles."""
    differences = {part: {k: asdict(v) for k, v in row.items()} for part, row in compare(first, second).items()}
    return {"first": first.run.title, "second": second.run.title, "first minus second": differences}


def comparison_lines(first: Result, second: Result) -> list[str]:
    """The report, Markdown. The leaked figures of an oracle run take no part."""
    lines = [f"# {first.run.title} against {second.run.title}", ""]
    if first.run.synthetic or second.run.synthetic:
        lines += ["**SYNTHETIC: the examples were made by a program; this says nothing about real people.**", ""]
    lines += [f"- {result.run.title}: {result.run.settings.describe()}" for result in (first, second)]
    if _tested_together(first) != _tested_together(second):
        lines += ["- the folds differ: one of the two learned from more, or other, people for a test"]
    lines += ["", "| | score | first | second | first - second [95% over subjects] | draws above 0 |"]
    lines += ["| --- " * 6 + "|"]
    ours, theirs = first.figures(), second.figures()
    for part, row in compare(first, second).items():
        for name, gap in row.items():
            lines.append(
                f"| {part} | {name} | {ours[part][name].mean:.3f} | {theirs[part][name].mean:.3f} "
                f"| {gap.value:+.3f} [{gap.low:+.3f}, {gap.high:+.3f}] | {gap.above_zero:.1%} |"
            )
    return lines


def _truth(result: Result) -> dict[str, tuple[str, str]]:
    run = result.run
    return {
        clip: (run.people[subject], run.classes[label])
        for clip, subject, label in zip(run.clips, run.subjects, run.labels, strict=True)
    }


def _by_person(result: Result, dataset: str | None) -> np.ndarray:
    """Confusions with people and classes in alphabetical order, so that two runs have the same order."""
    run = result.run
    classes = np.argsort(run.classes)
    there = np.unique(np.array(run.subjects)[slice(None) if dataset is None else result.datasets == dataset])
    people = np.argsort([run.people[subject] for subject in there])
    return result.confusions_SPKK(dataset=dataset)[:, people][..., classes, :][..., classes]


def _tested_together(result: Result) -> set[frozenset[str]]:
    return {frozenset(result.run.people[subject] for subject in fold) for fold in result.run.folds}
