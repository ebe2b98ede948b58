"""False alarms at several thresholds, on the tuning negatives; writes the table that `--false-alarms-per-hour` reads.

    BOWAM_TEST_MEDIA=... python -m benchmarks.spotting.operating [short]

`short` takes one clip of each cause, at 30 frames per second, where there are three. The table says so.
"""

import os
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # as in every `bowam` process

from benchmarks.spotting.aligned import aligned
from benchmarks.spotting.judge import quiet_threads
from benchmarks.spotting.suite import CAUSES, Case, cases
from bowam_model.predictor import load
from bowam_stream.config import Config
from bowam_stream.errors import SourceError
from bowam_stream.messages import Candidate, EndOfStream
from bowam_stream.spotting import Spotter, SpottingSettings
from bowam_stream.spotting.operating import TABLE, OperatingPoints, Point, settings_at, settings_digest, write_points
from bowam_stream.worker.recogniser import Recogniser

THRESHOLDS = (3.5, 4.0, 5.0, 6.0, 7.0, 8.5, 10.0, 12.0)
PROCESSES = 2


class Claims(NamedTuple):
    """What the spotter claims of one clip, before the network has its word."""

    case: Case
    seconds: float
    micro: list[list[Candidate]]  # final micro-expressions at each of THRESHOLDS


def claims(case: Case, cache: Path) -> Claims | None:
    """Spot a clip at all thresholds; None if it is no video."""
    try:
        clip, frames = aligned(case, cache)
    except SourceError:
        return None
    spotters = [Spotter(settings_at(SpottingSettings(), threshold), clip.hello) for threshold in THRESHOLDS]
    found: list[list[Candidate]] = [[] for _ in THRESHOLDS]
    count = 0
    for frame in frames:
        count += 1
        for said, spotter in zip(found, spotters, strict=True):
            said += spotter.push(frame)
    end = EndOfStream(camera="cam0", session="bench", seq=count, frames=count)
    for said, spotter in zip(found, spotters, strict=True):
        said += spotter.finish(end)
    micro = [[c for c in said if c.phase == "final" and c.kind == "micro"] for said in found]
    return Claims(case, clip.seconds, micro)


def counted(told: Iterable[Claims], measured_by: str) -> OperatingPoints:
    """The table: those claims that the network lets pass."""
    recogniser = Recogniser(load())
    minutes: dict[str, float] = defaultdict(float)
    false = [Counter[str]() for _ in THRESHOLDS]
    rates_hz = set()
    for case, seconds, micro in told:
        counts = [sum(recogniser.push(claim).phase == "final" for claim in some) for some in micro]
        minutes[case.group] += seconds / 60
        rates_hz |= {case.rate_hz} - {None}
        for total, more in zip(false, counts, strict=True):
            total[case.group] += more
        print(f"  {case.name:<60} {seconds:5.1f} s  {[len(some) for some in micro]} -> {counts}", flush=True)
    return OperatingPoints(
        measured_by=measured_by,
        rates_hz=tuple(sorted(rate for rate in rates_hz if rate is not None)),
        weights=Config().weights_digest(),
        settings=settings_digest(SpottingSettings()),
        minutes={group: round(minutes[group], 3) for group in sorted(minutes)},
        points=tuple(
            Point(threshold=threshold, false_alarms={group: total[group] for group in sorted(minutes)})
            for threshold, total in zip(THRESHOLDS, false, strict=True)
        ),
    )


def negatives(media: Path, *, short: bool) -> Iterator[Case]:
    """The tuning part's clips without a micro-expression; `short`: of each cause the first."""
    had: set[str] = set()
    for case in cases(media, "tuning"):
        if case.group == "real" or (case.group in CAUSES and not (short and case.group in had)):
            had.add(case.group)
            yield case


def main() -> int:
    media = os.environ.get("BOWAM_TEST_MEDIA")
    if not media:
        print("BOWAM_TEST_MEDIA does not name the test media", file=sys.stderr)
        return 1
    if sys.argv[1:] not in ([], ["short"]):
        print(f"unknown: {' '.join(sys.argv[1:])}; there is only short", file=sys.stderr)
        return 2
    chosen = list(negatives(Path(media), short=bool(sys.argv[1:])))
    with tempfile.TemporaryDirectory(prefix="bowam-") as scratch:
        cache = Path(os.environ.get("BOWAM_BENCH_CACHE") or scratch)
        with ProcessPoolExecutor(PROCESSES, get_context("spawn"), quiet_threads) as pool:
            told = [one for one in pool.map(claims, chosen, repeat(cache)) if one is not None]
    points = counted(told, f"python -m benchmarks.spotting.operating {' '.join(sys.argv[1:])}".strip())
    write_points(points, TABLE)
    for threshold, rate in points.rates():
        print(f"threshold {threshold:5.1f}: {rate:6.1f} false alarms per hour")
    return 0


if __name__ == "__main__":
    sys.exit(main())
