"""Onset, apex and offset as a spotter would hand them over, for training and testing a recogniser on known truth.

Each example is a short plan with three instants in it. It goes the way of a real recording: rendered, exposed, coded,
aligned from (noisy) landmarks of the rigid points and cropped.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import cv2
import msgspec
import numpy as np

from bowam_model.face.geometry import CROP_PX, RIGID, TEMPLATE, crop_face, map_points, similarity
from bowam_model.labels import MEGC2019, NONE
from bowam_model.synthesis.fields import GRID_ORIGIN_PX, FaceFields
from bowam_model.synthesis.identity import Identity
from bowam_model.synthesis.plan import STRATA, ClipPlan, Movement, Nod, Scene, Speech, blink, course, micro
from bowam_model.synthesis.render import Camera, Head, Performer, Stage

# What a spotter may take for a micro-expression, and how often among the examples of "none". No macro-expression: it
# differs from a micro-expression in its length alone, which no flow shows. A network that was to tell them apart by
# size called a smile of 3 px none; lengths are the spotter's business.
NO_EXPRESSION = {"still": 0.15, "nod": 0.3, "blink": 0.2, "speech": 0.25, "flicker": 0.1}
NONE_SHARE = 0.4  # of all examples
START_MS = 300.0  # every movement of an example begins here

Span = tuple[float, float]
Spans = tuple[Span, ...]  # where there are several, one of them is drawn first


@dataclass(frozen=True, kw_only=True)
class Generator:
    """The ranges from which an example is drawn; the defaults are those of training."""

    strata: Mapping[str, Span] = field(default_factory=lambda: dict(STRATA))  # amplitude of a micro-expression, px
    visible_ms: Spans | None = None  # how long it lasts, evenly drawn; None as `plan.micro` draws it, 80-470 ms
    nod_px: Spans = ((1.0, 9.0),)  # evenly on a logarithmic scale
    nod_ms: Spans = ((250.0, 900.0),)
    jaw_px: Spans = ((1.0, 5.0),)
    rates_hz: tuple[float, ...] = (30.0, 60.0, 100.0, 200.0)
    noise: Spans = ((0.4, 4.0),)  # grey levels, logarithmic
    light: Spans = ((0.35, 1.1),)
    jpeg_quality: Spans = ((50.0, 98.0),)  # a still codec per frame stands in for a video codec
    landmark_px: Spans = ((0.02, 0.4),)  # what is left of the landmarks' noise, logarithmic
    jitter_ms: float = 12.0  # standard deviation of a spotter's error


TRAINED = Generator()
AMPLITUDES: dict[str, Span] = {"below": (0.5, 0.8), "above": (3.0, 5.0)}  # the strata outside
_OUTSIDE: dict[str, dict[str, Any]] = {
    "amplitudes": {
        "strata": AMPLITUDES, "nod_px": ((0.6, 1.0), (9.0, 14.0)), "jaw_px": ((5.0, 8.0),),
    },
    "durations": {"visible_ms": ((60.0, 80.0), (470.0, 800.0)), "nod_ms": ((150.0, 250.0), (900.0, 1500.0))},
    "rates": {"rates_hz": (25.0, 45.0, 150.0, 240.0)},
    "noise": {"noise": ((4.0, 8.0),)},
    "light": {"light": ((0.2, 0.35), (1.1, 1.4))},
    "compression": {"jpeg_quality": ((20.0, 50.0),)},
    "landmarks": {"landmark_px": ((0.4, 0.8),)},
    "instants": {"jitter_ms": 25.0},
}  # fmt: skip
OUTSIDE: dict[str, Generator] = {
    **{name: Generator(**changes) for name, changes in _OUTSIDE.items()},
    "everything": Generator(**{key: value for changes in _OUTSIDE.values() for key, value in changes.items()}),
}
"""Settings that no example of training has: one thing outside its range and the rest as in training, or everything."""


@dataclass(frozen=True, eq=False)
class Example:
    """Three aligned faces and what they show."""

    triple: np.ndarray  # uint8 (3, 240, 240): onset, apex, offset
    label: str  # one of labels.SHIPPED
    detail: str  # the stratum of a micro-expression, the kind of what is none
    rate_hz: float  # of the recording that it comes from


def examples(identity: Identity, count: int, seed: int, generator: Generator = TRAINED) -> Iterator[Example]:
    """`count` examples of one person. The same arguments give the same pixels."""
    rng = np.random.default_rng((seed, 4))
    grey = replace(identity, photo=cv2.cvtColor(identity.photo, cv2.COLOR_RGB2GRAY))
    stage = None
    for index in range(count):
        if index % 8 == 0:
            fields = FaceFields(identity.landmarks, variation=rng)
        if stage is None or index % 16 == 0:  # now and then another distance from the camera: 75 to 270 px of face
            zoom = float(np.exp(rng.uniform(np.log(0.5), np.log(1.7))))
            side = 2 * round(160 * zoom)
            stage = Stage(grey, (side, side), zoom)
        yield _example(rng, stage, fields, identity.landmarks, generator)


def scenario(
    rng: np.random.Generator, label: str, detail: str, generator: Generator = TRAINED
) -> tuple[ClipPlan, tuple[float, float, float]]:
    """A plan in which `detail` happens, and the instants (ms) of onset, apex and offset as a spotter might see them."""
    plan = ClipPlan(
        seed=int(rng.integers(2**31)),
        rate_hz=float(rng.choice(generator.rates_hz)),
        scene=Scene(
            drift_px=float(rng.uniform(0.0, 2.5)),
            tremor_px=float(rng.uniform(0.0, 0.15)),
            flicker=float(rng.uniform(0.05, 0.2) if detail == "flicker" else rng.uniform(0.0, 0.02)),
            noise=_logarithmic(rng, generator.noise),
            light=_even(rng, generator.light),
        ),
    )
    change = msgspec.structs.replace
    if label != NONE or detail == "blink":
        movement = blink(rng, START_MS) if label == NONE else _micro(rng, label, detail, generator)
        rise, fall = movement.rise_ms, movement.fall_ms
        instants = (START_MS + 0.2 * rise, START_MS + rise, movement.end_ms - 0.2 * fall)
        plan = change(plan, movements=(movement,))
    elif detail == "nod":
        size_px, angle = _logarithmic(rng, generator.nod_px), rng.normal(np.pi / 2, 0.6) * rng.choice((-1, 1))
        pitch_px, yaw_px = float(size_px * np.sin(angle)), float(size_px * np.cos(angle))
        nod = Nod(start_ms=START_MS, duration_ms=_even(rng, generator.nod_ms), pitch_px=pitch_px, yaw_px=yaw_px)
        share = (rng.uniform(0.0, 0.25), rng.uniform(0.4, 0.6), rng.uniform(0.7, 1.0))
        instants = (
            START_MS + nod.duration_ms * float(share[0]),
            START_MS + nod.duration_ms * float(share[1]),
            START_MS + nod.duration_ms * float(share[2]),
        )
        plan = change(plan, nods=(nod,))
    else:
        apex_ms = START_MS + float(rng.uniform(200, 500))
        instants = (apex_ms - float(rng.uniform(60, 250)), apex_ms, apex_ms + float(rng.uniform(60, 250)))
        if detail == "speech":
            jaw_px, word = _even(rng, generator.jaw_px), int(rng.integers(2**31))
            plan = change(plan, speech=(Speech(start_ms=100.0, duration_ms=1000.0, jaw_px=jaw_px, seed=word),))
    period_ms = 1000.0 / plan.rate_hz
    seen = [period_ms * round((t + rng.normal(0.0, generator.jitter_ms)) / period_ms) for t in instants]
    onset, apex, offset = sorted(seen)
    return plan, (min(onset, apex - period_ms), apex, max(offset, apex + period_ms))


def _micro(rng: np.random.Generator, label: str, stratum: str, generator: Generator) -> Movement:
    """As `plan.micro` draws it, or with an amplitude and a length that it never draws."""
    if stratum in STRATA:
        movement = micro(rng, label, stratum, START_MS)
    else:
        movement = msgspec.structs.replace(
            micro(rng, label, "easy", START_MS), amplitude_px=_even(rng, (generator.strata[stratum],)), stratum=None
        )
    if generator.visible_ms:
        times = course(_even(rng, generator.visible_ms), apex_share=float(rng.uniform(0.30, 0.48)))
        movement = msgspec.structs.replace(movement, **times)
    return movement


def _even(rng: np.random.Generator, spans: Spans) -> float:
    low, high = spans[0] if len(spans) == 1 else spans[rng.integers(len(spans))]
    return float(rng.uniform(low, high))


def _logarithmic(rng: np.random.Generator, spans: Spans) -> float:
    return float(np.exp(_even(rng, tuple((np.log(low), np.log(high)) for low, high in spans))))


def _example(
    rng: np.random.Generator, stage: Stage, fields: FaceFields, landmarks: np.ndarray, generator: Generator
) -> Example:
    if rng.random() < NONE_SHARE:
        label, detail = NONE, str(rng.choice(list(NO_EXPRESSION), p=list(NO_EXPRESSION.values())))
    else:
        label, detail = str(rng.choice(MEGC2019)), str(rng.choice(list(generator.strata)))
    plan, instants_ms = scenario(rng, label, detail, generator)
    performer, head = Performer(plan, fields), Head(plan)
    quality = int(_even(rng, generator.jpeg_quality))
    landmark_px = _logarithmic(rng, generator.landmark_px)
    rigid = landmarks[RIGID]
    rows, columns = np.rint(rigid - GRID_ORIGIN_PX).astype(int).T[::-1]
    camera: Camera | None = None
    crops = []
    for frame, t_ms in enumerate(instants_ms):
        moved = head.field(t_ms)
        picture = stage.show(performer.expression(t_ms), performer.closure(t_ms), moved)
        camera = camera or Camera(plan.scene, plan.seed, picture.shape)
        picture = camera.expose(picture, frame, t_ms)
        coded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        picture = cv2.imdecode(coded, cv2.IMREAD_GRAYSCALE)
        seen = map_points(rigid + moved[rows, columns], stage.to_picture)
        transform = _shaken(rng, similarity(seen, TEMPLATE[:, :2]), landmark_px)
        crops.append(crop_face(picture, transform))
    return Example(triple=np.stack(crops), label=label, detail=detail, rate_hz=plan.rate_hz)


def _shaken(rng: np.random.Generator, transform: np.ndarray, noise_px: float) -> np.ndarray:
    """A similarity that misses by about `noise_px` at 80 px from the middle of the crop, in shift, turn and scale."""
    shift, (turn, growth) = rng.normal(0, noise_px, 2), rng.normal(0, noise_px / 80.0, 2)
    small = np.array([[1 + growth, -turn], [turn, 1 + growth]])
    middle = np.full(2, CROP_PX / 2)
    shaken = small @ transform
    shaken[:, 2] += middle - small @ middle + shift
    return shaken
