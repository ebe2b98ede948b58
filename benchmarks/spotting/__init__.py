"""Spotting on clips with known truth, on real faces with micro-expressions put in, and on real faces without any.

    python -m benchmarks spotting                        the test part: what the README states
    python -m benchmarks.spotting tuning [GROUP ...]     the part that may be looked at while the spotter is changed

Clips are kept aligned in BOWAM_BENCH_CACHE (10 GB for the test part), or made anew with every run.
"""

import os
import statistics
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path

from benchmarks.measure import Row, Spread, report
from benchmarks.spotting.judge import METHODS, OURS, Verdict, judge, quiet_threads
from benchmarks.spotting.suite import CAUSES, GROUPS, RATES_HZ, Part, cases
from bowam_stream.report.scoring import poisson_interval

TARGETS = {  # issue "spotting that can be trusted": F1 by stratum
    30.0: {"easy": 0.85, "medium": 0.70},
    100.0: {"easy": 0.95, "medium": 0.85, "hard": 0.60},
    200.0: {"easy": 0.95, "medium": 0.85, "hard": 0.60},
}


def run(part: Part = "test", groups: Sequence[str] = (), with_baselines: bool = True) -> list[Verdict]:
    """Judge all cases of a part on two processes, print the table; the test part's is written to the results."""
    media = os.environ.get("BOWAM_TEST_MEDIA")
    if not media:
        print("\nspotting: not run, BOWAM_TEST_MEDIA does not name the test media")
        return []
    chosen = [case for case in cases(Path(media), part) if not groups or case.group in groups]
    with tempfile.TemporaryDirectory(prefix="bowam-") as scratch:
        cache = Path(os.environ.get("BOWAM_BENCH_CACHE") or scratch)
        with ProcessPoolExecutor(2, get_context("spawn"), quiet_threads) as pool:
            verdicts = [v for many in pool.map(judge, chosen, repeat(cache), repeat(with_baselines)) for v in many]
    rows = list(table(verdicts))
    if part == "test" and not groups:
        report(
            "spotting", rows, "test people, seeds and videos; found, F1 at IoU >= 0.5; synthetic movement throughout"
        )
    else:
        for row in rows:
            print(f"  {row.what:<72} {row.value!s:>28} {row.unit:<5} {row.target}")
    return verdicts


def table(verdicts: list[Verdict]) -> Iterator[Row]:
    """Every cell, good or bad."""
    methods = [m for m in METHODS if any(v.method == m for v in verdicts)]
    for method in methods:
        own = [v for v in verdicts if v.method == method]
        for rate_hz in RATES_HZ:
            for group in (*GROUPS, ""):
                some = [v for v in own if v.rate_hz == rate_hz and v.group in GROUPS and group in ("", v.group)]
                if some:
                    where = f"{method}: {rate_hz:.0f} fps, {group or 'together'}"
                    yield from _positives(where, some, TARGETS.get(rate_hz, {}) if method == OURS else {})
        injected = [v for v in own if v.group == "injected"]
        if injected:
            yield from _positives(f"{method}: put into real faces", injected, {})
        for group in (*CAUSES, "real", "probe"):
            some = [v for v in own if v.group == group]
            if some:
                yield from _negatives(f"{method}: {group}", some, method == OURS)
    ours = [v for v in verdicts if v.method == OURS]
    yield from _times(ours)


def _positives(where: str, verdicts: list[Verdict], targets: dict[str, float]) -> Iterator[Row]:
    truths = [t for v in verdicts for t in v.truths]
    false, minutes = sum(len(v.false) for v in verdicts), sum(v.seconds for v in verdicts) / 60
    for stratum in ("easy", "medium", "hard"):
        some = [t for t in truths if t.stratum == stratum]
        if some:
            found = sum(t.found for t in some)
            # A false alarm has no stratum: each stratum bears its share of them.
            f1 = 2 * found / (found + len(some) + false * len(some) / len(truths))
            yield _one(f"{where}: {stratum}, found {found} of {len(some)}, F1", f1, "", targets.get(stratum))
    found = sum(t.found for t in truths)
    yield _one(
        f"{where}: F1 of {len(truths)}",
        2 * found / max(2 * found + false + len(truths) - found + 0, 1) if truths else 0.0,
    )
    yield _one(f"{where}: false in {minutes:.1f} min", float(false))


def _negatives(where: str, verdicts: list[Verdict], reasons: bool) -> Iterator[Row]:
    count, minutes = sum(len(v.false) for v in verdicts), sum(v.seconds for v in verdicts) / 60
    low, high = poisson_interval(count)
    value = Spread(median=count / minutes, low=low / minutes, high=high / minutes)
    cause = where.split(": ")[1]
    target = "1" if cause == "real" else "0.2" if cause in ("still", "drift", "nod", "flicker") else ""
    yield Row(what=f"{where}: {count} false in {minutes:.1f} min, with 95%", value=value, unit="/min", target=target)
    if reasons:
        refused = sum((Counter(v.refused) for v in verdicts), Counter[str]())
        for reason, number in sorted(refused.items()):
            yield _one(f"{where}: refused as {reason}", float(number))


def _times(verdicts: list[Verdict]) -> Iterator[Row]:
    for rate_hz in RATES_HZ:
        found = [t for v in verdicts if v.rate_hz == rate_hz for t in v.truths if t.found]
        for moment in ("onset", "apex", "offset"):
            errors = [abs(t.errors_ms[moment]) for t in found]
            if errors:
                target = f"{max(25.0, 1000.0 / rate_hz):.0f}" if moment != "offset" else ""
                what = f"{OURS}: {rate_hz:.0f} fps, {moment} error, median and 90%"
                spread = Spread(
                    median=statistics.median(errors), low=min(errors), high=sorted(errors)[len(errors) * 9 // 10]
                )
                yield Row(what=what, value=spread, unit="ms", target=target)
        for phase, moment in (("provisional", "apex"), ("final", "offset")):
            waits = [t.waits_ms[phase] for t in found if phase in t.waits_ms]
            if waits:
                what = f"{OURS}: {rate_hz:.0f} fps, {phase} after the {moment}, median and 90%"
                spread = Spread(
                    median=statistics.median(waits), low=min(waits), high=sorted(waits)[len(waits) * 9 // 10]
                )
                yield Row(what=what, value=spread, unit="ms", target="150")
    labelled = [t.label_right for v in verdicts for t in v.truths if t.label_right is not None]
    if labelled:
        yield _one(f"{OURS}: label right of {len(labelled)} found", sum(labelled) / len(labelled))


def _one(what: str, value: float, unit: str = "", target: float | None = None) -> Row:
    return Row(what=what, value=Spread.of([value]), unit=unit, target="" if target is None else f"{target}")
