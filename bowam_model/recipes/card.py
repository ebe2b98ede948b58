"""The model card of the shipped weights: what they saw, how well they do on people they never saw, what they can't."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bowam_model.evaluation import confusion_matrix, interval, uar, uf1
from bowam_model.labels import MEGC2019, NONE, SHIPPED
from bowam_model.synthesis.plan import STRATA

TEXT = """\
BOWAM's network in its smallest form, for CPUs, with the classes negative, none, positive and surprise; `none` is what
is no micro-expression. **It was trained on synthetic movement alone: it has never seen a real micro-expression, and no
accuracy on real data is claimed.**

## Data
- Photos: {source}.
- People: {people}; nobody is in two parts (list below).
- Each photo is animated by `bowam_model.synthesis`: displacement fields of facial action units on the face mesh,
  0.8-3 px on the aligned 240 px face (hard 0.8-1.2, medium 1.2-2, easy 2-3), each muscle varied in place, direction
  and width, at 30-200 frames per second, with sensor noise, JPEG coding, changing light, a wandering head, alignment
  noise and an error of 12 ms in the three instants.
- `none` is stillness, nods, blinks, speech, flicker, and macro-expressions larger than any micro-expression.

## Recipe
One command: `bowam train --identities FOLDER --source TEXT --out bowam-nano.safetensors`. The number of epochs was
fixed beforehand; no epoch was chosen by its score. Held out are people, not the way they are animated: the figures say
how the network does on faces that it never saw, and nothing about real expressions.
"""
LIMITS = """\
## Limits
- Synthetic skin does not wrinkle, shade or slide over bone: real expressions differ from the fields used here.
- A micro- and a macro-expression of one size differ in duration alone, which the network does not see: the spotter
  decides.
- The photos show adults, frontal and evenly lit. Nothing is known about other conditions, and so few people say little
  about fairness between groups.
- Not for decisions about people. Emotion inference at work and in education is banned in the EU (AI Act, Article 5).
"""


@dataclass(frozen=True, eq=False)
class Result:
    """What a network said about the examples of people that it never saw."""

    labels: np.ndarray  # int64 (N,): the truth, indices of SHIPPED
    predicted: np.ndarray  # int64 (N,)
    details: np.ndarray  # str (N,): stratum of a micro-expression, kind of what is none
    people: np.ndarray  # int64 (N,)

    def confusion(self, chosen: np.ndarray | slice = slice(None)) -> np.ndarray:
        """Counts, rows are the truth, over the chosen examples."""
        return confusion_matrix(self.labels[chosen], self.predicted[chosen], len(SHIPPED))

    def by_person(self) -> np.ndarray:
        """One confusion matrix for each person."""
        return np.stack([self.confusion(self.people == person) for person in np.unique(self.people)])


def model_card(
    name: str, recipe: Any, source: str, parts: Mapping[str, Sequence[Path]], results: Mapping[str, Result]
) -> str:
    """The card, Markdown. `recipe` is a dataclass, `parts` the photos of train, validation and test."""
    people = ", ".join(f"{len(photos)} for {part}" for part, photos in parts.items())
    lines = [
        f"# {name}",
        "",
        *TEXT.format(source=source, people=people).splitlines(),
        "    " + "\n    ".join(_plain(recipe)),
        "",
    ]
    for part, result in results.items():
        lines += [f"## Figures on the people of the {part} part (synthetic movement)", *_figures(result), ""]
    lines += [*LIMITS.splitlines(), "", "## Photos, by part (SHA-256 of the file)"]
    for part, photos in parts.items():
        lines += [f"- {part}: " + ", ".join(f"{p.name} `{_digest(p)}`" for p in photos)]
    return "\n".join(lines) + "\n"


def _figures(result: Result) -> list[str]:
    confusion, by_person = result.confusion(), result.by_person()
    lines = []
    for title, score in (("UF1", uf1), ("UAR", uar)):
        low, high = interval(by_person, score)
        lines.append(f"- {title} over the four classes: {score(confusion):.3f} (95% over people {low:.3f}-{high:.3f})")
    lines += ["", "| truth \\ said | " + " | ".join(SHIPPED) + " |", "| --- " * (len(SHIPPED) + 1) + "|"]
    lines += [f"| {label} | " + " | ".join(map(str, row)) + " |" for label, row in zip(SHIPPED, confusion, strict=True)]
    none = SHIPPED.index(NONE)
    lines += ["", "| stratum | " + " | ".join(f"{label} right" for label in MEGC2019) + " | said none | UF1 of 3 |"]
    lines += ["| --- " * (len(MEGC2019) + 3) + "|"]
    for stratum in STRATA:
        some = result.confusion(result.details == stratum)
        seen = some.sum(axis=1)
        micro = [SHIPPED.index(label) for label in MEGC2019]
        right = [f"{some[i, i] / max(seen[i], 1):.2f}" for i in micro]
        # A micro-expression called none counts against its class; `none` itself is no class of this row.
        f1 = [2 * some[i, i] / max(2 * some[i, i] + some[:, i].sum() + seen[i] - 2 * some[i, i], 1) for i in micro]
        missed = some[micro, none].sum() / max(seen[micro].sum(), 1)
        lines.append(f"| {stratum} | " + " | ".join(right) + f" | {missed:.2f} | {np.mean(f1):.3f} |")
    lines += ["", "| what is none | examples | said none |", "| --- | --- | --- |"]
    for kind in sorted(set(result.details[result.labels == none])):
        chosen = (result.labels == none) & (result.details == kind)
        lines.append(f"| {kind} | {chosen.sum()} | {(result.predicted[chosen] == none).mean():.2f} |")
    return lines


def _plain(value: Any, prefix: str = "") -> list[str]:
    flat = []
    for key, item in asdict(value).items() if not isinstance(value, dict) else value.items():
        flat += _plain(item, f"{prefix}{key}.") if isinstance(item, dict) else [f"{prefix}{key} = {item}"]
    return flat


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
