"""A whole folder of truths and event files, scored together (FIELD.md section 4).

Counts are pooled over all files before anything is divided, and overall is micro- and macro-expressions together, each
matched with its own kind. A clip in which nothing happens counts with its minutes.

    STRS = F1 of spotting x F1 of analysis

for micro-expressions; analysis is the unweighted F1 of the labels over those that were spotted, over every class that
occurs among them.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence

import msgspec
import numpy as np

from bowam_stream.messages import Event, Kind
from bowam_stream.report.matching import Match, Score, TrueEvent, Truth, score

KINDS: tuple[Kind, ...] = ("micro", "macro")


class FalseAlarms(msgspec.Struct, frozen=True, kw_only=True):
    """How often something was reported that was not there, with the 95% interval of a Poisson count."""

    count: int
    per_minute: float
    low: float
    high: float


class Tally(msgspec.Struct, frozen=True, kw_only=True):
    """Pooled counts and what follows from them."""

    found: int
    missed: int
    false: int
    precision: float
    recall: float
    f1: float
    false_alarms: FalseAlarms


class Errors(msgspec.Struct, frozen=True, kw_only=True):
    """Of one moment, over the micro-expressions that were found: estimate minus truth."""

    mean_ms: float  # above 0: late
    median_absolute_ms: float
    p95_absolute_ms: float


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """Micro-expressions that have something in common. False alarms belong to no group."""

    there: int
    found: int
    recall: float
    labels_right: int  # among those found


class Spotting(msgspec.Struct, frozen=True, kw_only=True):
    """The whole evaluation."""

    clips: int
    synthetic_clips: int
    minutes: float
    tallies: dict[str, Tally]  # micro, macro, overall
    errors: dict[str, Errors]  # onset, apex, offset; empty where nothing was found
    labelled: int  # micro-expressions that were found and whose true label is known
    labels_right: int
    f1_analysis: float | None  # None where no label is known
    strs: float | None
    strata: dict[str, Group]
    labels: dict[str, Group]
    rates: dict[str, Tally]  # micro-expressions by frame rate, such as "100 fps"


def evaluate(clips: Iterable[tuple[Truth, Sequence[Event]]]) -> Spotting:
    """Score many clips together."""
    pairs = list(clips)
    truths = [truth for truth, _ in pairs]
    scores = {kind: [score(truth, events, kind) for truth, events in pairs] for kind in KINDS}
    minutes = math.fsum(truth.minutes for truth in truths)
    matches = [match for one in scores["micro"] for match in one.found]
    known = [match for match in matches if match.truth.label is not None]
    both = [one for kind in KINDS for one in scores[kind]]
    tallies = {**{str(kind): tally(scores[kind], minutes) for kind in KINDS}, "overall": tally(both, minutes)}
    analysis = label_f1([(match.truth.label or "", match.event.label) for match in known]) if known else None
    return Spotting(
        clips=len(pairs),
        synthetic_clips=sum(truth.synthetic for truth in truths),
        minutes=minutes,
        tallies=tallies,
        errors={moment: _errors(matches, moment) for moment in ("onset", "apex", "offset") if matches},
        labelled=len(known),
        labels_right=sum(match.label_right for match in known),
        f1_analysis=analysis,
        strs=None if analysis is None else tallies["micro"].f1 * analysis,
        strata=_groups(scores["micro"], "stratum"),
        labels=_groups(scores["micro"], "label"),
        rates=_by_rate(truths, scores["micro"]),
    )


def tally(scores: Iterable[Score], minutes: float) -> Tally:
    """Pool the counts of many clips, which last `minutes` together."""
    scores = list(scores)
    pooled = Score(
        found=tuple(match for one in scores for match in one.found),
        missed=tuple(true for one in scores for true in one.missed),
        false=tuple(event for one in scores for event in one.false),
    )
    count = len(pooled.false)
    low, high = poisson_interval(count)
    return Tally(
        found=len(pooled.found),
        missed=len(pooled.missed),
        false=count,
        precision=pooled.precision,
        recall=pooled.recall,
        f1=pooled.f1,
        false_alarms=FalseAlarms(count=count, per_minute=count / minutes, low=low / minutes, high=high / minutes),
    )


def label_f1(pairs: Sequence[tuple[str, str | None]]) -> float:
    """Mean over classes of 2 TP / (2 TP + FP + FN), of (truth, said) pairs.

    Classes are those that are there or are said. None says nothing: it is no class, and misses its truth.
    """
    there = Counter(truth for truth, _ in pairs)
    said = Counter(label for _, label in pairs if label is not None)
    right = Counter(truth for truth, label in pairs if truth == label)
    return float(np.mean([2 * right[name] / (there[name] + said[name]) for name in sorted({*there, *said})]))


def poisson_interval(count: int, confidence: float = 0.95) -> tuple[float, float]:
    """Exact interval of a Poisson mean after `count` events (Garwood, Biometrika 28, 1936).

    Bounds are the means under which so many or more, or so few or fewer, have a chance of (1 - confidence) / 2.
    """
    tail = (1.0 - confidence) / 2.0
    low = 0.0 if count == 0 else _mean_where(count - 1, 1.0 - tail)
    return low, _mean_where(count, tail)


def _mean_where(count: int, chance: float) -> float:
    """The mean under which P(X <= count) is `chance`, by bisection: the sum falls as the mean grows."""
    steps = np.arange(count + 1)
    log_factorials = np.array([math.lgamma(step + 1.0) for step in steps])
    low, high = 0.0, count + 10.0 * math.sqrt(count + 1.0) + 10.0
    while low < (middle := (low + high) / 2.0) < high:
        below = float(np.exp(steps * math.log(middle) - middle - log_factorials).sum())
        low, high = (middle, high) if below > chance else (low, middle)
    return low


def _errors(matches: Sequence[Match], moment: str) -> Errors:
    errors_ms = np.array([getattr(match, f"{moment}_error_ms") for match in matches])
    return Errors(
        mean_ms=float(errors_ms.mean()),
        median_absolute_ms=float(np.median(np.abs(errors_ms))),
        p95_absolute_ms=float(np.percentile(np.abs(errors_ms), 95)),
    )


def _groups(scores: Sequence[Score], what: str) -> dict[str, Group]:
    """By stratum or label, in alphabetical order; movements of which it is unknown are in no group."""

    def name(true: TrueEvent) -> str | None:
        return true.stratum if what == "stratum" else true.label

    found = Counter(name(match.truth) for one in scores for match in one.found)
    right = Counter(name(match.truth) for one in scores for match in one.found if match.label_right)
    there = found + Counter(name(true) for one in scores for true in one.missed)
    return {
        group: Group(
            there=there[group], found=found[group], recall=found[group] / there[group], labels_right=right[group]
        )
        for group in sorted(filter(None, there))
    }


def _by_rate(truths: Sequence[Truth], scores: Sequence[Score]) -> dict[str, Tally]:
    rates = sorted({truth.fps for truth in truths})
    chosen = {rate: [index for index, truth in enumerate(truths) if truth.fps == rate] for rate in rates}
    return {
        f"{rate:g} fps": tally([scores[index] for index in some], math.fsum(truths[index].minutes for index in some))
        for rate, some in chosen.items()
    }


def markdown(result: Spotting) -> list[str]:
    """The lines of a page."""
    of_them = f", {result.synthetic_clips} of them synthetic" if result.synthetic_clips else ""
    lines = [
        f"# Spotting: {result.clips} clip{'s' * (result.clips != 1)}, {result.minutes:.2f} minutes{of_them}",
        "",
        "Found: final event and movement of one kind with IoU >= 0.5 over inclusive frames, one to one, pooled.",
        "",
        *_tally_table("kind", result.tallies),
    ]
    if result.f1_analysis is not None and result.strs is not None:
        lines += [
            "",
            f"STRS {result.strs:.3f} = F1 of spotting {result.tallies['micro'].f1:.3f} x F1 of analysis "
            f"{result.f1_analysis:.3f} ({result.labels_right} of {result.labelled} labels right)",
        ]
    if result.errors:
        lines += ["", *_table(["moment, ms", "mean", "median absolute", "P95 absolute"])]
        for moment, e in result.errors.items():
            lines.append(_row(moment, f"{e.mean_ms:+.1f}", f"{e.median_absolute_ms:.1f}", f"{e.p95_absolute_ms:.1f}"))
    for what, groups in (("stratum", result.strata), ("label", result.labels)):
        if groups:
            lines += ["", *_table([what, "there", "found", "recall", "label right"])]
            lines += [_row(k, g.there, g.found, f"{g.recall:.3f}", g.labels_right) for k, g in groups.items()]
    if len(result.rates) > 1:
        lines += ["", *_tally_table("micro at", result.rates)]
    return lines


def _tally_table(what: str, tallies: dict[str, Tally]) -> list[str]:
    lines = _table([what, "found", "missed", "false", "precision", "recall", "F1", "false per minute (95%)"])
    for name, t in tallies.items():
        alarms = f"{t.false_alarms.per_minute:.3f} ({t.false_alarms.low:.3f}-{t.false_alarms.high:.3f})"
        shares = (f"{share:.3f}" for share in (t.precision, t.recall, t.f1))
        lines.append(_row(name, t.found, t.missed, t.false, *shares, alarms))
    return lines


def _table(head: Sequence[str]) -> list[str]:
    return [_row(*head), _row(*("---" for _ in head))]


def _row(*cells: object) -> str:
    return "| " + " | ".join(map(str, cells)) + " |"
