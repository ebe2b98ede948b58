"""One case, judged: what our spotter, its recogniser and the field's methods say of it, beside the truth."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import cv2
import msgspec
import numpy as np

from benchmarks.spotting import baselines
from benchmarks.spotting.aligned import Clip, aligned
from benchmarks.spotting.baselines import Crops, Span
from benchmarks.spotting.suite import Case
from bowam_model.predictor import load
from bowam_stream.errors import SourceError
from bowam_stream.messages import AlignedFrame, Candidate, EndOfStream, Event, Moment
from bowam_stream.report.matching import Match, TrueEvent, Truth, score
from bowam_stream.spotting import Spotter, SpottingSettings
from bowam_stream.worker.recogniser import Recogniser, to_event

OURS, ALONE = "ours", "ours, spotter alone"
METHODS = (OURS, ALONE, "frame difference (offline)", "OF-FD (offline)")


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """A true micro-expression and what became of it."""

    stratum: str
    found: bool
    label_right: bool | None = None
    errors_ms: dict[str, float] = {}  # onset, apex, offset: estimate minus truth
    waits_ms: dict[str, float] = {}  # provisional after the true apex, final after the true offset, in capture time
    refused: str | None = None  # a retraction overlaps it: its reason


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """One method on one case."""

    case: str
    group: str
    rate_hz: float | None
    method: str
    seconds: float
    truths: tuple[Found, ...]
    false: tuple[float, ...]  # apex times (s) of the false alarms
    refused: dict[str, int]  # retractions by reason


class Told(msgspec.Struct, frozen=True):
    """An event and the moment of the frame at which it came."""

    when: Moment
    event: Event


def judge(case: Case, cache: Path, with_baselines: bool) -> list[Verdict]:
    """All methods on one case; none if it is no video."""
    try:
        clip, frames = aligned(case, cache)
    except SourceError:
        return []
    truth = _truth(clip)
    told, alone, crops = _watch(clip, frames)
    verdicts = [
        _verdict(case, clip, OURS, truth, told),
        _verdict(case, clip, ALONE, truth, alone),
    ]
    if with_baselines:
        spans = (baselines.frame_difference(crops), baselines.of_fd(crops))
        for method, found in zip(METHODS[2:], spans, strict=True):
            verdicts.append(_verdict(case, clip, method, truth, list(_as_events(found, clip))))
    return verdicts


def _watch(clip: Clip, frames: Iterator[AlignedFrame]) -> tuple[list[Told], list[Told], Crops]:
    spotter = Spotter(SpottingSettings(), clip.hello)
    recogniser = Recogniser(load())
    told: list[Told] = []
    alone: list[Told] = []
    kept: list[tuple[Moment, np.ndarray, np.ndarray]] = []
    due_ms = -np.inf
    last, count = Moment(frame=0, t_ns=0), 0

    def take(candidates: Iterable[Candidate]) -> None:
        for candidate in candidates:
            told.append(Told(last, recogniser.push(candidate)))
            alone.append(Told(last, to_event(candidate, None, None)))

    for frame in frames:
        last, count = frame.moment, count + 1
        take(spotter.push(frame))
        if frame.faces and last.t_ns / 1e6 >= due_ms:
            due_ms = last.t_ns / 1e6 + 1000.0 / baselines.RATE_HZ - 1.0
            kept.append((last, frame.faces[0].crop, frame.faces[0].landmarks))
    take(spotter.finish(EndOfStream(camera="cam0", session="bench", seq=count, frames=count)))
    crops = Crops(
        frames=np.array([moment.frame for moment, *_ in kept], int),
        crops=np.array([crop for _, crop, _ in kept], np.uint8).reshape(-1, 240, 240),
        landmarks=np.array([points for *_, points in kept], np.float32).reshape(-1, 468, 2),
        times_ms=np.array([moment.t_ns / 1e6 for moment, *_ in kept]),
    )
    return told, alone, crops


def _truth(clip: Clip) -> Truth:
    if clip.truth is None:
        return Truth(fps=clip.hello.rate_hz or 25.0, frames=0, events=())
    events = tuple(
        TrueEvent(kind=e.kind, onset=e.onset, apex=e.apex, offset=e.offset, label=e.label) for e in clip.truth.events
    )
    return Truth(fps=clip.truth.fps, frames=clip.truth.frames, events=events)


def _verdict(case: Case, clip: Clip, method: str, truth: Truth, told: list[Told]) -> Verdict:
    result = score(truth, [t.event for t in told])
    matches = {m.truth.onset: m for m in result.found}
    strata = {e.onset: e.stratum or "" for e in clip.truth.events if e.kind == "micro"} if clip.truth else {}
    refusals = [t.event for t in told if t.event.phase == "retracted"]
    truths = []
    for true in truth.micro():
        match = matches.get(true.onset)
        over = next((e.reason for e in refusals if true.onset <= e.apex.frame <= true.offset), None)
        truths.append(
            Found(
                stratum=strata[true.onset],
                found=match is not None,
                label_right=match.label_right if match and method == OURS else None,
                errors_ms={k: getattr(match, f"{k}_error_ms") for k in ("onset", "apex", "offset")} if match else {},
                waits_ms=_waits(match, told, truth.fps) if match else {},
                refused=over if match is None else None,
            )
        )
    reasons: dict[str, int] = {}
    for event in refusals:
        reasons[event.reason or ""] = reasons.get(event.reason or "", 0) + 1
    return Verdict(
        case=case.name,
        group=case.group,
        rate_hz=case.rate_hz,
        method=method,
        seconds=clip.seconds,
        truths=tuple(truths),
        false=tuple(round(e.apex.t_ns / 1e9, 3) for e in result.false),
        refused=reasons,
    )


def _waits(match: Match, told: list[Told], rate_hz: float) -> dict[str, float]:
    waits: dict[str, float] = {}
    for t in told:
        if t.event.event_id == match.event.event_id:
            since = match.truth.apex if t.event.phase == "provisional" else match.truth.offset
            waits[t.event.phase] = (t.when.frame - since) * 1000.0 / rate_hz
    return waits


def _as_events(spans: list[Span], clip: Clip) -> Iterator[Told]:
    rate_hz = clip.hello.rate_hz or 25.0
    for number, span in enumerate(spans):
        onset, apex, offset = (
            Moment(frame=frame, t_ns=round(frame * 1e9 / rate_hz)) for frame in (span.onset, span.apex, span.offset)
        )
        event = Event(
            event_id=str(number), seq=number, camera="cam0", session="bench", face=0, kind="micro", phase="final",
            onset=onset, apex=apex, offset=offset, label=None, probabilities=None, confidence=None,
            spotting_score=0.0, quality=(), model=None,
        )  # fmt: skip
        yield Told(offset, event)


def quiet_threads() -> None:
    """Two processes share two cores."""
    cv2.setNumThreads(1)
