"""Spotting: synthetic clips of people that the spotter was not tuned on, and real faces without micro-expressions.

People are taken from the end of the alphabet of the folder of identities; the spotter was tuned on those before.
"""

import os
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec
import numpy as np

from benchmarks.measure import Row, Spread, report
from bowam_model.face import FaceAligner
from bowam_model.synthesis import load_identity, make_clip, plan_clip
from bowam_stream.capture import FaceStage, open_source
from bowam_stream.errors import SourceError
from bowam_stream.messages import Candidate, EndOfStream, Event, Hello, Moment
from bowam_stream.report.matching import Match, Score, TrueEvent, read_truth, score
from bowam_stream.spotting import Spotter, SpottingSettings

RATES_HZ = (30.0, 60.0, 100.0, 200.0)
PEOPLE = 4  # for each rate; two of them in quiet clips, two in clips with every distractor
SECONDS = 20.0
EVENTS = 6
QUIET = ("blink", "drift", "tremor", "noise")
BUSY = (*QUIET, "nod", "speech", "macro", "flicker")
TARGETS = {"easy": 0.95, "medium": 0.85, "hard": 0.60}  # issue: spotting that can be trusted, at 100 and 200 fps
NEGATIVES = (
    "talk/*/*",
    "videos/*.m*",
    "videos/grid/*",
    "videos/misc/*",
    "robust/flicker_neutral.mp4",
    "robust/shake_neutral.mp4",
    "robust/occluded_mouth.mp4",
    "robust/ten_speakers_33s.mp4",
)


class Told(msgspec.Struct, frozen=True):
    """A candidate and the frame at which it came."""

    when: Moment
    candidate: Candidate


def spot(path: Path) -> tuple[list[Told], float]:
    """All candidates of a recording, and its length in seconds."""
    source = open_source(str(path))
    hello = Hello(camera="cam0", session="bench", source=path.name, rate_hz=source.rate_hz, lossless=True)
    spotter = Spotter(SpottingSettings(), hello)
    told: list[Told] = []
    count, last = 0, Moment(frame=0, t_ns=0)
    with FaceAligner() as aligner:
        stage = FaceStage(aligner, camera="cam0", session="bench")
        for frame in source:
            told += [Told(frame.moment, candidate) for candidate in spotter.push(stage.push(frame))]
            count, last = count + 1, frame.moment
    end = EndOfStream(camera="cam0", session="bench", seq=count, frames=count)
    return told + [Told(last, candidate) for candidate in spotter.finish(end)], last.t_ns / 1e9


def run() -> None:
    media = os.environ.get("BOWAM_TEST_MEDIA")
    if not media:
        print("\nspotting: not run, BOWAM_TEST_MEDIA does not name the test media")
        return
    people = sorted((Path(media) / "identities" / "neutral").glob("*.jpg"))[::-1]
    rows = [
        row
        for nuisances, name in ((QUIET, "quiet"), (BUSY, "distractors"))
        for k, rate_hz in enumerate(RATES_HZ)
        for row in clips(name, rate_hz, nuisances, people[2 * k : 2 * k + PEOPLE // 2])
    ]
    rows += negatives(sorted(file for pattern in NEGATIVES for file in Path(media).glob(pattern)))
    report("spotting", rows, f"{PEOPLE // 2} people per line, {SECONDS:.0f} s each; crf 20; found and F1 at IoU >= 0.5")


def clips(name: str, rate_hz: float, nuisances: tuple[str, ...], people: list[Path]) -> Iterator[Row]:
    """Rows of one frame rate: found by stratum, F1, false alarms, errors in time, lateness."""
    scores: list[Score] = []
    strata: dict[tuple[int, int], str] = {}
    late: list[tuple[str, float]] = []
    minutes = 0.0
    for k, person in enumerate(people):
        with tempfile.TemporaryDirectory() as scratch:
            seed = 900_000 + 1000 * int(rate_hz) + 10 * k + len(nuisances)
            plan = plan_clip(seed, rate_hz=rate_hz, seconds=SECONDS, events=EVENTS, nuisances=nuisances)
            planned = make_clip(plan, load_identity(person), Path(scratch), crf=20)
            told, seconds = spot(Path(scratch) / "clip.mp4")
            scored = score(read_truth(Path(scratch) / "truth.json"), events(told))
        strata.update({(k, e.onset): e.stratum or "" for e in planned.events if e.kind == "micro"})
        late += [pair for match in scored.found for pair in lateness(match, told, rate_hz)]
        scores.append(scored)
        minutes += seconds / 60
    yield from _found(f"{name} {rate_hz:.0f} fps", scores, strata)
    false = sum(len(s.false) for s in scores)
    matches = [m for s in scores for m in s.found]
    found, missed = len(matches), sum(len(s.missed) for s in scores)
    where = f"{name} {rate_hz:.0f} fps"
    yield Row(what=f"{where}: F1", value=Spread.of([2 * found / max(2 * found + false + missed, 1)]), unit="")
    yield Row(what=f"{where}: false in {minutes:.1f} min", value=Spread.of([float(false)]), unit="")
    for moment in ("onset", "apex", "offset"):
        errors = [abs(getattr(m, f"{moment}_error_ms")) for m in matches]
        if errors:
            yield Row(what=f"{where}: {moment} error", value=Spread.of(errors), unit="ms", target="25")
    for phase in ("provisional", "final"):
        if waits := [ms for p, ms in late if p == phase]:
            what = f"{where}: {phase} after the {'apex' if phase == 'provisional' else 'offset'}"
            yield Row(what=what, value=Spread.of(waits), unit="ms", target="150")


def _found(where: str, scores: list[Score], strata: dict[tuple[int, int], str]) -> Iterator[Row]:
    found = Counter(strata[k, m.truth.onset] for k, s in enumerate(scores) for m in s.found)
    there = Counter(strata.values())
    for stratum, target in TARGETS.items():
        if there[stratum]:
            value = Spread.of([found[stratum] / there[stratum]])
            yield Row(what=f"{where}: {stratum}, found of {there[stratum]}", value=value, unit="", target=f"{target}")


def negatives(files: list[Path]) -> Iterator[Row]:
    """Final micro-expressions per minute on real faces that show none, with the 95% bounds of a Poisson count."""
    alarms, minutes = 0, 0.0
    reasons: Counter[str] = Counter()
    for file in files:
        try:
            told, seconds = spot(file)
        except SourceError:
            continue
        alarms += len(events(told))
        minutes += seconds / 60
        reasons.update(t.candidate.reason or "" for t in told if t.candidate.phase == "retracted")
    low, high = poisson_bounds(alarms)
    value = Spread(median=alarms / minutes, low=low / minutes, high=high / minutes)
    yield Row(what=f"real faces, {minutes:.1f} min: false per minute, 95%", value=value, unit="/min", target="1")
    yield from (
        Row(what=f"real faces: retracted as {reason}", value=Spread.of([float(n)]), unit="")
        for reason, n in sorted(reasons.items())
    )


def poisson_bounds(count: int) -> tuple[float, float]:
    """95% interval of a Poisson mean (Garwood 1936), by bisection on the distribution."""

    def tail(mean: float, k: int) -> float:  # P(X <= k)
        steps = np.arange(k + 1)
        return float(np.exp(steps * np.log(max(mean, 1e-12)) - mean - np.cumsum(np.log(np.maximum(steps, 1)))).sum())

    def solve(k: int, wanted: float) -> float:
        low, high = 0.0, 10.0 * (k + 5)
        for _ in range(80):
            middle = (low + high) / 2
            low, high = (middle, high) if tail(middle, k) > wanted else (low, middle)
        return low

    return (solve(count - 1, 0.975) if count else 0.0), solve(count, 0.025)


def events(told: Iterable[Told]) -> list[Event]:
    """Final micro-expressions as events without a label."""
    return [
        Event(
            event_id=c.event_id, seq=seq, camera=c.camera, session=c.session, face=c.face, kind=c.kind, phase=c.phase,
            onset=c.onset, apex=c.apex, offset=c.offset, label=None, probabilities=None, confidence=None,
            spotting_score=c.score, quality=c.quality, model=None,
        )
        for seq, c in enumerate(t.candidate for t in told)
        if c.phase == "final" and c.kind == "micro"
    ]  # fmt: skip


def lateness(match: Match, told: list[Told], rate_hz: float) -> Iterator[tuple[str, float]]:
    """Capture time in ms from the true apex to the provisional candidate and from the true offset to the final one."""
    true: TrueEvent = match.truth
    for t in told:
        if t.candidate.event_id == match.event.event_id:
            since = true.apex if t.candidate.phase == "provisional" else true.offset
            yield t.candidate.phase, (t.when.frame - since) * 1000.0 / rate_hz
