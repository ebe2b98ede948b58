"""Which estimator sees small motion best: what each recovers, what it makes up, what it costs.

All estimators answer one question: how far has each region of the face (`bowam_stream.spotting.regions`) moved against
the head? Regions, their windows and the model of the head are the same for all; only the way from two crops to motion
differs. The truth is synthetic: one action unit at a time on photos of several people.

    gain    share of the true motion that is reported in the region that moves most
    leak    what is reported in the regions that do not move, as a share of the largest motion on the face
    noise   standard deviation of a region that does not move, against the median of its past, as the spotter sees it
    merit   the largest motion on the face that stands out of the noise at 5 sigma: 5 noise / (response to 1 px)
    cost    against one Farneback call on the whole crop
"""

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from benchmarks.measure import Row, Spread, in_turn, ratio, report
from benchmarks.motion.estimators import ESTIMATORS, Start
from benchmarks.motion.scenes import (
    AMPLITUDES_PX,
    RATE_HZ,
    SIGMAS,
    UNITS,
    Case,
    Clip,
    Subject,
    filmed,
    moving,
    still_clips,
    subjects,
)
from bowam_model.face import FaceAligner, FaceSettings
from bowam_model.face.geometry import crop_face, map_points
from bowam_model.flow import farneback
from bowam_stream.spotting import SpottingSettings
from bowam_stream.spotting.regions import EYES

PEOPLE = 4
MERIT_PX, LEAK_PX = 1.0, 2.0  # amplitudes at which merit and leak are read
CLEAR_SIGMA = SpottingSettings().threshold
LEAST_RESPONSE = 0.01  # per px: who answers less sees nothing
COST_CALLS = 8
JITTER_RATES_HZ, JITTER_S, JITTER_MS = (30.0, 100.0), 2.0, 200.0
JITTER_POINTS = (105, 334, 61, 291)  # Face Mesh: middle of the brows, corners of the mouth


def noise_of(start: Start, clip: Clip) -> np.ndarray:
    """Standard deviation of each region (R,) per axis, crop px, against the median of its past."""
    crops, landmarks = clip
    follow = start(crops[0], landmarks)
    positions = np.stack([follow(crop) for crop in crops[1:]])
    first, last = (round(ms * RATE_HZ / 1000.0) for ms in SpottingSettings().reference_ms)
    past = [np.median(positions[n - first : n - last + 1], axis=0) for n in range(first, len(positions))]
    return np.asarray(np.sqrt(((positions[first:] - past) ** 2).mean(axis=(0, 2))))


def jitter(person: Subject, rate_hz: float, noise: float, settings: FaceSettings) -> tuple[float, float]:
    """How far the aligned crop moves from frame to frame and over JITTER_MS on a still face: rms length, crop px."""
    points = map_points(person.identity.landmarks[list(JITTER_POINTS)], person.stage.to_picture)
    with FaceAligner(settings) as aligner:
        path = np.stack(
            [
                map_points(points, face.transform)
                for frame, picture in enumerate(filmed(person, noise, frames=round(JITTER_S * rate_hz)))
                for face in aligner.align(picture, round(frame * 1e9 / rate_hz))
            ]
        )
    path = path[round(0.5 * rate_hz) :]  # what the low-pass starts from is not what it settles to

    def step(frames: int) -> float:
        return float(np.sqrt(((path[frames:] - path[:-frames]) ** 2).sum(axis=2).mean()))

    return step(1), step(round(JITTER_MS * rate_hz / 1000.0))


def table(people: Sequence[Subject]) -> Iterator[Row]:
    """Every estimator in every respect, good or bad."""
    cases = list(moving(people))
    reported = {
        name: [start(case.before, people[case.subject].identity.landmarks)(case.after) for case in cases]
        for name, start in ESTIMATORS.items()
    }
    for amplitude in AMPLITUDES_PX:
        for name, answers in reported.items():
            shares = [_gain(c, a) for c, a in zip(cases, answers, strict=True) if c.amplitude_px == amplitude]
            yield Row(what=f"gain at {amplitude:g} px: {name}", value=Spread.of(shares), unit="")
    for name, answers in reported.items():
        leaks = [
            float(np.sqrt((a[c.unmoved] ** 2).sum(axis=1).mean())) / LEAK_PX
            for c, a in zip(cases, answers, strict=True)
            if c.amplitude_px == LEAK_PX
        ]
        yield Row(what=f"leak at {LEAK_PX:g} px: {name}", value=Spread.of(leaks), unit="")
    clips = [still_clips(person) for person in people]
    noises: dict[str, dict[str, list[np.ndarray]]] = {
        kind: {name: [noise_of(start, own[kind]) for own in clips] for name, start in ESTIMATORS.items()}
        for kind in clips[0]
    }
    for kind, by_name in noises.items():
        for name, per_person in by_name.items():
            together = [float(np.sqrt((sigma[~EYES] ** 2).mean())) for sigma in per_person]
            yield Row(what=f"{kind}: {name}", value=Spread.of(together), unit="px")
    for kind, by_name in noises.items():
        for name, per_person in by_name.items():
            merits = [
                CLEAR_SIGMA * per_person[c.subject][c.moved] / max(_response(c, a), LEAST_RESPONSE)
                for c, a in zip(cases, reported[name], strict=True)
                if c.amplitude_px == MERIT_PX
            ]
            yield Row(what=f"merit, {kind}: {name}", value=Spread.of([float(m) for m in merits]), unit="px")


def _response(case: Case, answer: np.ndarray) -> float:
    """What the region that moves most reports along its true motion, for 1 px of the largest motion on the face."""
    true = case.truth[case.moved]
    return float(answer[case.moved] @ true) / float(np.linalg.norm(true)) / case.amplitude_px


def _gain(case: Case, answer: np.ndarray) -> float:
    return _response(case, answer) * case.amplitude_px / float(np.linalg.norm(case.truth[case.moved]))


def costs(person: Subject) -> Iterator[Row]:
    """Time of one frame, what happens once for each reference left out."""
    pictures = filmed(person, SIGMAS[0], frames=COST_CALLS + 1)
    crops, landmarks = [crop_face(picture, person.to_crop) for picture in pictures], person.identity.landmarks
    sides: list[Callable[[], object]] = [lambda: [farneback(crops[0], crop) for crop in crops[1:]]]
    for start in ESTIMATORS.values():
        follow = start(crops[0], landmarks)
        sides.append(lambda follow=follow: [follow(crop) for crop in crops[1:]])  # type: ignore[misc]
    calls, *times = in_turn(*sides)
    for name, taken in zip(ESTIMATORS, times, strict=True):
        yield Row(what=f"cost over one Farneback call: {name}", value=ratio(taken, calls), unit="x")
    for name, taken in zip(ESTIMATORS, times, strict=True):
        yield Row(what=f"cost: {name}", value=Spread.of([t * 1e3 / COST_CALLS for t in taken]), unit="ms")


def jitters(people: Sequence[Subject]) -> Iterator[Row]:
    """The aligned crop of a still face, with and without the low-pass."""
    for what, settings in (("aligned crop", FaceSettings()), ("without low-pass", FaceSettings(cutoff_hz=1e6))):
        for rate_hz in JITTER_RATES_HZ:
            for noise in SIGMAS:
                steps = [jitter(person, rate_hz, noise, settings) for person in people]
                where = f"jitter, {what}, {rate_hz:.0f} fps, noise {noise:g}"
                for over, values in zip(("a frame", f"{JITTER_MS:.0f} ms"), zip(*steps, strict=True), strict=True):
                    yield Row(what=f"{where}: over {over}", value=Spread.of(list(values)), unit="px")


def run() -> None:
    cv2.setNumThreads(1)
    media = os.environ.get("BOWAM_TEST_MEDIA")
    photos: list[Path | None] = [None]
    if media:
        known = sorted((Path(media) / "identities" / "neutral").glob("*.jpg"))
        photos = list(known[:: max(1, len(known) // PEOPLE)][:PEOPLE]) or photos
    people = subjects(photos)
    notes = f"{len(people)} people, action units {', '.join(map(str, UNITS))}, face 200 px wide, px of the 240 px crop"
    report("motion", [*table(people), *costs(people[0]), *jitters(people)], notes)
