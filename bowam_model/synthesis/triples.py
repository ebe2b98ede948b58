"""Onset, apex and offset as a spotter would hand them over, for training and testing a recogniser on known truth.

Each example is a short plan with three instants in it. It goes the way of a real recording: rendered, exposed, coded,
aligned from (noisy) landmarks of the rigid points and cropped.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import cv2
import msgspec
import numpy as np

from bowam_model.face.geometry import CROP_PX, RIGID, TEMPLATE, crop_face, map_points, similarity
from bowam_model.labels import MEGC2019, NONE
from bowam_model.synthesis.fields import GRID_ORIGIN_PX, FaceFields
from bowam_model.synthesis.identity import Identity
from bowam_model.synthesis.plan import STRATA, ClipPlan, Nod, Scene, Speech, blink, macro, micro
from bowam_model.synthesis.render import Camera, Head, Performer, Stage

# What a spotter may take for a micro-expression, and how often among the examples of "none".
NO_EXPRESSION = {"still": 0.15, "nod": 0.25, "blink": 0.2, "speech": 0.2, "macro": 0.1, "flicker": 0.1}
NONE_SHARE = 0.4  # of all examples
START_MS = 300.0  # every movement of an example begins here
JITTER_MS = 12.0  # standard deviation of a spotter's error
RATES_HZ = (30.0, 60.0, 100.0, 200.0)


@dataclass(frozen=True, eq=False)
class Example:
    """Three aligned faces and what they show."""

    triple: np.ndarray  # uint8 (3, 240, 240): onset, apex, offset
    label: str  # one of labels.SHIPPED
    detail: str  # the stratum of a micro-expression, the kind of what is none


def examples(identity: Identity, count: int, seed: int) -> Iterator[Example]:
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
        yield _example(rng, stage, fields, identity.landmarks)


def scenario(rng: np.random.Generator, label: str, detail: str) -> tuple[ClipPlan, tuple[float, float, float]]:
    """A plan in which `detail` happens, and the instants (ms) of onset, apex and offset as a spotter might see them."""
    plan = ClipPlan(
        seed=int(rng.integers(2**31)),
        rate_hz=float(rng.choice(RATES_HZ)),
        scene=Scene(
            drift_px=float(rng.uniform(0.0, 2.5)),
            tremor_px=float(rng.uniform(0.0, 0.15)),
            flicker=float(rng.uniform(0.05, 0.2) if detail == "flicker" else rng.uniform(0.0, 0.02)),
            noise=float(np.exp(rng.uniform(np.log(0.4), np.log(4.0)))),
            light=float(rng.uniform(0.35, 1.1)),
        ),
    )
    change = msgspec.structs.replace
    if label != NONE or detail in ("blink", "macro"):
        movement = (
            micro(rng, label, detail, START_MS)
            if label != NONE
            else blink(rng, START_MS)
            if detail == "blink"
            # Larger than any micro-expression; a smaller one differs from it in its length alone, which no flow shows.
            else change(macro(rng, START_MS), amplitude_px=float(rng.uniform(5.5, 9.0)))
        )
        rise, fall = movement.rise_ms, movement.fall_ms
        instants = (START_MS + 0.2 * rise, START_MS + rise, movement.end_ms - 0.2 * fall)
        if detail == "macro":  # a macro-expression is not over when a spotter loses patience
            instants = (*instants[:2], movement.end_ms - float(rng.uniform(0.2, 0.5)) * fall)
        plan = change(plan, movements=(movement,))
    elif detail == "nod":
        size_px, angle = np.exp(rng.uniform(np.log(1.0), np.log(9.0))), rng.normal(np.pi / 2, 0.6) * rng.choice((-1, 1))
        pitch_px, yaw_px = float(size_px * np.sin(angle)), float(size_px * np.cos(angle))
        nod = Nod(start_ms=START_MS, duration_ms=float(rng.uniform(250, 900)), pitch_px=pitch_px, yaw_px=yaw_px)
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
            jaw_px, word = float(rng.uniform(1.0, 5.0)), int(rng.integers(2**31))
            plan = change(plan, speech=(Speech(start_ms=100.0, duration_ms=1000.0, jaw_px=jaw_px, seed=word),))
    period_ms = 1000.0 / plan.rate_hz
    seen = [period_ms * round((t + rng.normal(0.0, JITTER_MS)) / period_ms) for t in instants]
    onset, apex, offset = sorted(seen)
    return plan, (min(onset, apex - period_ms), apex, max(offset, apex + period_ms))


def _example(rng: np.random.Generator, stage: Stage, fields: FaceFields, landmarks: np.ndarray) -> Example:
    if rng.random() < NONE_SHARE:
        label, detail = NONE, str(rng.choice(list(NO_EXPRESSION), p=list(NO_EXPRESSION.values())))
    else:
        label, detail = str(rng.choice(MEGC2019)), str(rng.choice(list(STRATA)))
    plan, instants_ms = scenario(rng, label, detail)
    performer, head = Performer(plan, fields), Head(plan)
    quality = int(rng.uniform(50, 98))  # a still codec per frame stands in for a video codec
    landmark_px = np.exp(rng.uniform(np.log(0.02), np.log(0.4)))  # what is left of the landmarks' noise
    rigid = landmarks[RIGID]
    rows, columns = np.rint(rigid - GRID_ORIGIN_PX).astype(int).T[::-1]
    camera: Camera | None = None
    crops = []
    for frame, t_ms in enumerate(instants_ms):
        field = head.field(t_ms)
        picture = stage.show(performer.expression(t_ms), performer.closure(t_ms), field)
        camera = camera or Camera(plan.scene, plan.seed, picture.shape)
        picture = camera.expose(picture, frame, t_ms)
        coded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        picture = cv2.imdecode(coded, cv2.IMREAD_GRAYSCALE)
        seen = map_points(rigid + field[rows, columns], stage.to_picture)
        transform = _shaken(rng, similarity(seen, TEMPLATE[:, :2]), landmark_px)
        crops.append(crop_face(picture, transform))
    return Example(triple=np.stack(crops), label=label, detail=detail)


def _shaken(rng: np.random.Generator, transform: np.ndarray, noise_px: float) -> np.ndarray:
    """A similarity that misses by about `noise_px` at 80 px from the middle of the crop, in shift, turn and scale."""
    shift, (turn, growth) = rng.normal(0, noise_px, 2), rng.normal(0, noise_px / 80.0, 2)
    small = np.array([[1 + growth, -turn], [turn, 1 + growth]])
    middle = np.full(2, CROP_PX / 2)
    shaken = small @ transform
    shaken[:, 2] += middle - small @ middle + shift
    return shaken
