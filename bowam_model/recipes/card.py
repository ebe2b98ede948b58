"""The model card of the shipped weights: what they saw, how well they do on people they never saw, what they can't."""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from bowam_model.evaluation import calibration_error, reliability, selective
from bowam_model.labels import NONE, SHIPPED
from bowam_model.recipes.figures import (
    Calibration,
    Result,
    by_class,
    by_kind_of_none,
    by_rate,
    by_stratum,
    scores,
    table,
)
from bowam_model.recipes.reliability import diagram
from bowam_model.synthesis.triples import OUTSIDE, TRAINED, Generator

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
- `none` is stillness, nods, blinks, speech and flicker{alarms}.
  Macro-expressions are no part of it: the spotter tells them by their length.

## Recipe
One command: `bowam train --identities FOLDER --source TEXT{option} --out bowam-nano.safetensors`.
The number of epochs was fixed beforehand; no epoch was chosen by its score. \
Held out are people, and on the test people also settings of the
animation that no example of training has: the figures say how the network does on faces and recordings that it never
saw, and nothing about real expressions.
"""
LIMITS = """\
## Limits
- Synthetic skin does not wrinkle, shade or slide over bone: real expressions differ from the fields used here.
- A micro- and a macro-expression differ in duration alone, which the network does not see: it names both, and the
  spotter decides.
- The photos show adults, frontal and evenly lit. Nothing is known about other conditions, and so few people say little
  about fairness between groups.
- Not for decisions about people. Emotion inference at work and in education is banned in the EU (AI Act, Article 5).
"""


@dataclass(frozen=True, kw_only=True)
class Findings:
    """What the network said about people that it never saw, as it said it: no temperature is applied yet."""

    validation: Result
    test: Result
    outside: Mapping[str, Result]  # by setting of `triples.OUTSIDE`, the people of `test`
    false_alarms: Result | None = None  # of a spotter, on the people of `test`
    learned_alarms: int = 0  # how many others were learned as none


def model_card(
    name: str,
    recipe: Any,
    source: str,
    parts: Mapping[str, Mapping[int, Path]],
    findings: Findings,
    calibration: Calibration,
) -> str:
    """The card, Markdown. `recipe` is a dataclass, `parts` the photos of train, validation and test."""
    people = ", ".join(f"{len(photos)} for {part}" for part, photos in parts.items())
    test = findings.test
    alarms = "" if findings.false_alarms is None else ", and what a spotter wrongly took for one (below)"
    option = "" if findings.false_alarms is None else " --false-alarms FILE.npz"
    lines = [
        f"# {name}",
        "",
        *TEXT.format(source=source, people=people, alarms=alarms, option=option).splitlines(),
        "    " + "\n    ".join(_plain(recipe)),
        "",
        "## Figures on the people of the validation part (synthetic movement)",
        *scores(findings.validation),
        "",
        "## Figures on the people of the test part (synthetic movement)",
        *scores(test),
        "",
        *by_class(test),
        "",
        *by_stratum(test),
        "",
        *by_rate(test),
        "",
        *by_kind_of_none(test),
        "",
        *_false_alarms(findings),
        "## What its confidence means",
        *_confidence(findings, calibration),
        "",
        "## Outside the ranges of training (the test people, synthetic movement)",
        *_outside(findings, calibration),
        "",
        *LIMITS.splitlines(),
        "",
        "## Photos, by part (SHA-256 of the file)",
    ]
    for part, photos in parts.items():
        lines += [f"- {part}: " + ", ".join(f"{p.name} `{_digest(p)}`" for p in photos.values())]
    return "\n".join(lines) + "\n"


def _false_alarms(findings: Findings) -> list[str]:
    """How often the network's last word refuses what a spotter should not have claimed."""
    if findings.false_alarms is None:
        return []
    said = findings.false_alarms.predicted == SHIPPED.index(NONE)
    return [
        "## The spotter's own false alarms",
        "Claims of a spotter with its doubts turned down, on clips without any micro-expression.",
        f"{findings.learned_alarms} of them were learned as `none`, beside the generated ones.",
        f"Of {len(said)} others, on the test people, {said.sum()} are called none.",
        "",
    ]


def _confidence(findings: Findings, calibration: Calibration) -> list[str]:
    used = findings.test.tempered(calibration.temperature)
    trained, fitted = (_calibration_error(r) for r in (findings.test, findings.test.tempered(calibration.fitted)))
    rows = [
        (part, *_percent(*selective(result.probabilities, result.labels, calibration.threshold)))
        for part, result in (("validation", findings.validation.tempered(calibration.temperature)), ("test", used))
    ]
    return [
        f"A temperature of {calibration.fitted:.3f} fits the validation people best; the file carries "
        f"{calibration.temperature:.3f}, as it",
        "never makes a network surer than training left it. Expected calibration error on the test people (ECE, ten",
        f"bins of equal mass): {trained:.3f} as trained, {fitted:.3f} with the fitted temperature.",
        "reliability.svg shows the same as this picture (`#` how often it is right, `|` how sure it is):",
        "",
        *("    " + line for line in diagram(reliability(used.probabilities, used.labels))),
        "",
        f"To abstain: below a confidence of {calibration.threshold:.3f} an answer is better not given. Above it,",
        f"at most {calibration.max_error:.1%} of the answers are wrong with a certainty of 95%, judged by the people",
        "of the validation part (an exact binomial test; other people can differ by more).",
        "",
        *table(("people", "answered", "wrong among them"), rows),
    ]


def _outside(findings: Findings, calibration: Calibration) -> list[str]:
    lines = ["Each line changes one thing and leaves the rest as in training; the last changes everything at once.", ""]
    rows = []
    for name, raw in {"as in training": findings.test, **findings.outside}.items():
        result = raw.tempered(calibration.temperature)
        errors = [f"{_calibration_error(one):.3f}" for one in (raw, raw.tempered(calibration.fitted))]
        answered = _percent(*selective(result.probabilities, result.labels, calibration.threshold))
        rows.append((name, len(result.labels), f"{result.uf1():.3f}", f"{result.uar():.3f}", *errors, *answered))
    head = ("what", "examples", "UF1", "UAR", "ECE as trained", "ECE if fitted", "answered", "wrong among them")
    lines += table(head, rows)
    lines += ["", *(f"- {name}: {_changes(OUTSIDE[name])}" for name in findings.outside if name != "everything")]
    if everything := findings.outside.get("everything"):
        lines += ["", "Everything at once:", "", *scores(everything), "", *by_class(everything)]
        lines += ["", *by_stratum(everything), "", *by_rate(everything)]
    return lines


def _calibration_error(result: Result) -> float:
    return calibration_error(reliability(result.probabilities, result.labels))


def _changes(generator: Generator) -> str:
    changed = (f.name for f in fields(Generator) if getattr(generator, f.name) != getattr(TRAINED, f.name))
    return "; ".join(
        f"{name} {_words(getattr(generator, name))} (training {_words(getattr(TRAINED, name))})" for name in changed
    )


def _words(value: Any) -> str:
    """Spans as 1-5, several of them as 1-5 or 9-12, strata by name."""
    if value is None:
        return "80-470"  # `plan.micro` clips its lengths to them
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_words((span,))}" for name, span in value.items())
    if isinstance(value, tuple):
        return " or ".join(f"{one[0]:g}-{one[1]:g}" if isinstance(one, tuple) else f"{one:g}" for one in value)
    return f"{value:g}"


def _percent(*shares: float) -> list[str]:
    return [f"{share:.1%}" for share in shares]


def _plain(value: Any, prefix: str = "") -> list[str]:
    flat = []
    for key, item in asdict(value).items() if not isinstance(value, dict) else value.items():
        flat += _plain(item, f"{prefix}{key}.") if isinstance(item, dict) else [f"{prefix}{key} = {item}"]
    return flat


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
