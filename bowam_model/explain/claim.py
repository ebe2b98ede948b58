"""The paper's claim, measured: does the flow seen from both ends stand out of the noise better than the usual flow?

A *case* is one person who shows one micro-expression. It is rendered under every *condition*, each time three pictures,
onset, apex and offset, go the way of a real recording, and both flows are computed from them. Because the expression
is a closed form, so is the flow that an ideal eye would see (`true_flow`).

**Signal and noise.** Within the oval of the face, the measured flow F is split along the expected one T:
g = <F, T> / <T, T>, signal = g T, noise = F - g T; SNR = 10 log10(|g T|^2 / |F - g T|^2), decibels. Units cancel: a
flow that is doubled, signal and noise alike, has the same SNR. T is one of two:

- *truth*: the closed form. What a method leaves out or smooths away counts as noise, under stillness too.
- *matched*: the same method's flow of the same case under stillness. Farneback's smoothing, which a network learns to
  live with, is no noise then; only what the condition adds is. Under stillness it is infinite and not given.

`noise_px` is the root mean square length of F - g T (matched), in pixels of the 240 px face, not divided by anything:
what a movement that is no expression looks like to a threshold.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from bowam_model.errors import OptionError
from bowam_model.face.geometry import CROP_PX, RIGID, TEMPLATE, crop_face, map_points, similarity
from bowam_model.flow import bidirectional_flow, centre_crop
from bowam_model.labels import MEGC2019
from bowam_model.synthesis.fields import GRID_ORIGIN_PX, OVAL, Expression, FaceFields
from bowam_model.synthesis.identity import Identity
from bowam_model.synthesis.plan import ONSET_U, STRATA, ClipPlan, Movement, Nod, Scene, micro
from bowam_model.synthesis.render import Camera, Head, Performer, Stage

METHODS = ("traditional", "bidirectional")
FLOOR_DB = -20.0  # where the movement that is seen does not point along the expected one (g <= 0): no signal at all
START_MS = 1000.0
ZOOM = 1.2  # pixels of the picture for one pixel of the crop: a face 190 px wide
SIDE_PX = 400  # of the rendered picture: the whole crop, and as much again as a drifting head needs
NETWORK_PX = 224  # Farneback finds flow between equal pictures in the outer 8 pixels, and the network never sees those
SPOTTER_MS = 40.0  # a spotter's error at the offset: 33 ms in the median at 30 frames a second (benchmarks, spotting)


@dataclass(frozen=True, kw_only=True)
class Condition:
    """What happens besides the expression. Lengths in pixels of the 240 px face."""

    name: str
    words: str
    noise: float = 0.0  # of the sensor, grey levels
    drift_px: float = 0.0  # the head travels this far, steadily, from onset to offset
    nod_px: float = 0.0  # the head tips this far ...
    nod_from: float = 0.0  # ... between these shares of the way from onset (0) over apex (1) to offset (2),
    nod_to: float = 2.0  # being furthest in the middle between them
    aligned: bool = True  # each picture by its own landmarks; otherwise all three where the onset's face was
    flicker: float = 0.0  # relative amplitude of the lamp's brightness
    side_light: float = 0.0  # a lamp on one side becomes brighter by this share from onset to offset
    quality: int | None = None  # of JPEG; None: not compressed
    landmark_px: float = 0.0  # error of each landmark by which the picture is aligned, standard deviation
    offset_ms: float = 0.0  # how much too late the offset is taken


CONDITIONS: tuple[Condition, ...] = (
    Condition(name="still", words="nothing but the expression"),
    Condition(name="noise", words="sensor noise of 2 grey levels", noise=2.0),
    Condition(name="compression", words="JPEG, quality 60", quality=60),
    Condition(name="flicker", words="light flickers by 10%", flicker=0.1),
    Condition(name="side light", words="lamp on one side brightens by 15% from onset to offset", side_light=0.15),
    Condition(name="landmark noise", words="each landmark misses by 0.5 px", landmark_px=0.5),
    Condition(name="drift", words="head travels 2 px from onset to offset", drift_px=2.0),
    Condition(name="drift, fixed crop", words="head travels 2 px; not aligned", drift_px=2.0, aligned=False),
    Condition(name="nod", words="head tips 5 px and back from onset to offset", nod_px=5.0),
    Condition(name="nod, fixed crop", words="head tips 5 px and back; not aligned", nod_px=5.0, aligned=False),
    Condition(
        name="late nod", words="noise; head tips 5 px from apex to offset",
        noise=2.0, nod_px=5.0, nod_from=1, nod_to=3,
    ),
    Condition(
        name="late nod, fixed crop", words="noise; head tips 5 px from apex to offset; not aligned",
        noise=2.0, nod_px=5.0, nod_from=1, nod_to=3, aligned=False,
    ),
    Condition(name="early offset", words="noise; offset taken 40 ms early", noise=2.0, offset_ms=-SPOTTER_MS),
    Condition(name="late offset", words="noise; offset taken 40 ms late", noise=2.0, offset_ms=SPOTTER_MS),
    Condition(
        name="webcam",
        words="noise, JPEG 80, 3% flicker, 1 px of drift, landmarks miss by 0.3 px, offset 40 ms late",
        noise=2.0, quality=80, flicker=0.03, drift_px=1.0, landmark_px=0.3, offset_ms=SPOTTER_MS,
    ),
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Case:
    """One person, one micro-expression."""

    person: str
    movement: Movement
    seed: int  # of everything that is drawn while it is rendered
    mask: np.ndarray  # bool (224, 224): the oval of the face within the network's crop


@dataclass(frozen=True, eq=False)
class View:
    """A case under one condition."""

    triple: np.ndarray  # uint8 (3, 240, 240): onset, apex, offset
    flows: dict[str, np.ndarray]  # method -> float32 (240, 240, 2), pixels
    truths: dict[str, np.ndarray]  # method -> the flow of an ideal eye, at the true onset, apex and offset


@dataclass(frozen=True)
class Reading:
    """How one method did in one case under one condition."""

    person: str
    stratum: str
    condition: str
    method: str
    truth_db: float
    matched_db: float | None  # None: infinite, as under stillness
    recovered: float  # g against the truth: 1 if the movement is seen at its full size
    noise_px: float


def true_flow(field: np.ndarray, source_px: float, target_px: float) -> np.ndarray:
    """Where the skin seen at each pixel of one picture is in another, if an expression has these amplitudes in them.

    A picture with amplitude a shows at p the skin of p - a E(p) (synthesis.fields). So the flow w at p obeys
    p + w - a' E(p + w) = p - a E(p); it is found by fixed-point iteration, which contracts as fields are smooth.

    Args:
        field: E, float32 (rows, columns, 2) on the grid of `synthesis.fields`.
        source_px, target_px: a and a'.
    Returns:
        float32 (240, 240, 2), pixels of the crop.
    """
    left, top = (-origin for origin in GRID_ORIGIN_PX)
    here = field[top : top + CROP_PX, left : left + CROP_PX]
    columns, rows = np.meshgrid(np.arange(CROP_PX, dtype=np.float32), np.arange(CROP_PX, dtype=np.float32))
    flow = np.zeros_like(here)
    for _ in range(12):
        x, y = columns + flow[..., 0] + left, rows + flow[..., 1] + top
        flow = np.float32(target_px) * cv2.remap(field, x, y, cv2.INTER_LINEAR) - np.float32(source_px) * here
    return flow


def split(flow: np.ndarray, expected: np.ndarray, mask: np.ndarray) -> tuple[float, np.ndarray]:
    """A flow along an expected one: (g, what is left over as (N, 2) vectors within the mask).

    Args:
        flow, expected: (H, W, 2); mask: bool (H, W).
    Raises:
        OptionError: nothing is expected within the mask.
    """
    seen, wanted = flow[mask].astype(np.float64), expected[mask].astype(np.float64)
    power = float((wanted**2).sum())
    if not power > 0.0:
        raise OptionError("there is no expected movement within the mask: no signal to compare noise with")
    g = float((seen * wanted).sum()) / power
    return g, seen - g * wanted


def snr_db(flow: np.ndarray, expected: np.ndarray, mask: np.ndarray) -> float:
    """Signal to noise in decibels: FLOOR_DB at least, infinite where nothing is left over. Arguments as for `split`."""
    g, rest = split(flow, expected, mask)
    noise = float((rest**2).sum())
    signal = g**2 * float((expected[mask].astype(np.float64) ** 2).sum())
    if g <= 0.0:
        return FLOOR_DB
    return max(10.0 * float(np.log10(signal / noise)), FLOOR_DB) if noise > 0.0 else float(np.inf)


class Scenes:
    """One person before the camera, able to show any case under any condition."""

    def __init__(self, person: Identity) -> None:
        grey = person.photo if person.photo.ndim == 2 else cv2.cvtColor(person.photo, cv2.COLOR_RGB2GRAY)
        self._person = person
        self._stage = Stage(replace(person, photo=grey), (SIDE_PX, SIDE_PX), ZOOM)
        mask = np.zeros((CROP_PX, CROP_PX), np.uint8)
        cv2.fillPoly(mask, [np.rint(person.landmarks[list(OVAL)]).astype(np.int32)], (1,))
        self.mask = centre_crop(mask.astype(bool), NETWORK_PX)
        self._fields: tuple[int, FaceFields] | None = None

    def case(self, stratum: str, seed: int) -> Case:
        """Draw a micro-expression of that amplitude; the same arguments give the same pixels."""
        rng = np.random.default_rng((seed, list(STRATA).index(stratum), 5))
        label = MEGC2019[int(rng.integers(len(MEGC2019)))]
        movement = micro(rng, label, stratum, START_MS)
        return Case(person=self._person.name, movement=movement, seed=int(rng.integers(2**31)), mask=self.mask)

    def view(self, case: Case, condition: Condition) -> View:
        """Render, compress, align and compute both flows."""
        movement, fields = case.movement, self._fields_of(case.seed)
        instants_ms = instants(movement, condition.offset_ms)
        plan = _plan(case, condition)
        performer, camera = Performer(plan, fields), Camera(plan.scene, plan.seed, (SIDE_PX, SIDE_PX))
        head = Head(plan)
        rng = np.random.default_rng((case.seed, 6))
        direction = rng.normal(size=2)
        direction /= np.linalg.norm(direction)
        crops, transform = [], None
        for frame, t_ms in enumerate(instants_ms):
            share = (t_ms - instants_ms[0]) / (instants(movement)[2] - instants_ms[0])
            moved = head.field(t_ms) + np.float32(condition.drift_px * share * direction)
            picture = self._stage.show(performer.expression(t_ms), 0.0, moved)
            picture = _coded(camera.expose(_side_lit(picture, condition.side_light * share), frame, t_ms), condition)
            if transform is None or condition.aligned:
                transform = self._aligned(moved, condition.landmark_px, rng)
            crops.append(crop_face(picture, transform))
        onset, apex, offset = crops
        flows = {
            "traditional": bidirectional_flow(onset, apex, offset, "traditional"),
            "bidirectional": bidirectional_flow(onset, apex, offset),
        }
        return View(triple=np.stack(crops), flows=flows, truths=truths(fields.expression(movement.actions), movement))

    def decibels(self, case: Case, view: View) -> dict[str, float]:
        """SNR against the truth, by method."""
        return {m: snr_db(_seen(view.flows[m]), _seen(view.truths[m]), case.mask) for m in METHODS}

    def _fields_of(self, seed: int) -> FaceFields:
        """The muscles of this case: everybody's are a little off the book."""
        if self._fields is None or self._fields[0] != seed:
            rng = np.random.default_rng((seed, 7))
            self._fields = seed, FaceFields(self._person.landmarks, variation=rng)
        return self._fields[1]

    def _aligned(self, moved: np.ndarray, landmark_px: float, rng: np.random.Generator) -> np.ndarray:
        """The similarity that landmarks give, which sit where the head carried them and miss a little."""
        rigid = self._person.landmarks[RIGID]
        columns, rows = np.rint(rigid - GRID_ORIGIN_PX).astype(int).T
        seen = rigid + moved[rows, columns] + rng.normal(0.0, 1.0, rigid.shape) * landmark_px
        return similarity(map_points(seen, self._stage.to_picture), TEMPLATE[:, :2])


def instants(movement: Movement, offset_ms: float = 0.0) -> tuple[float, float, float]:
    """Onset, apex and offset (10%, peak, 10%) in ms, the offset moved by `offset_ms`, but never before the apex."""
    apex_ms = movement.start_ms + movement.rise_ms
    end_ms = movement.end_ms - ONSET_U * movement.fall_ms
    offset = max(end_ms + offset_ms, apex_ms + 0.1 * (end_ms - apex_ms))
    return movement.start_ms + ONSET_U * movement.rise_ms, apex_ms, offset


def truths(expression: Expression, movement: Movement) -> dict[str, np.ndarray]:
    """What an ideal eye would see at the true onset, apex and offset, by method."""
    onset, apex, offset = (float(movement.level(t_ms)) * movement.amplitude_px for t_ms in instants(movement))
    out, back = true_flow(expression.field, apex, onset), true_flow(expression.field, apex, offset)
    return {"traditional": true_flow(expression.field, onset, apex), "bidirectional": out + back}


def measure(
    people: Sequence[Callable[[], Identity]],
    cases: int,
    *,
    seed: int = 0,
    conditions: Sequence[Condition] = CONDITIONS,
    on_case: Callable[[], None] = lambda: None,
) -> Iterator[Reading]:
    """`cases` of each amplitude stratum, dealt to the people in turn, each under every condition.

    `people` are calls that load one person each, so that one photo is in memory at a time. The same arguments give
    the same readings; the same case is seen under all conditions, so that differences are paired.
    """
    for index, load in enumerate(people[:cases]):
        scenes = Scenes(load())
        for number in range(index, cases, len(people)):
            for stratum in STRATA:
                yield from read(scenes, scenes.case(stratum, seed + number), conditions)
                on_case()


def read(scenes: Scenes, case: Case, conditions: Sequence[Condition] = CONDITIONS) -> Iterator[Reading]:
    """One case under every condition."""
    still = scenes.view(case, CONDITIONS[0])
    for condition in conditions:
        view = still if condition == CONDITIONS[0] else scenes.view(case, condition)
        for method in METHODS:
            flow, truth, matched = (_seen(x[method]) for x in (view.flows, view.truths, still.flows))
            recovered, _ = split(flow, truth, case.mask)
            rest = split(flow, matched, case.mask)[1]
            yield Reading(
                person=case.person,
                stratum=str(case.movement.stratum),
                condition=condition.name,
                method=method,
                truth_db=snr_db(flow, truth, case.mask),
                matched_db=db if np.isfinite(db := snr_db(flow, matched, case.mask)) else None,
                recovered=recovered,
                noise_px=float(np.sqrt((rest**2).sum(axis=1).mean())),
            )


def _seen(flow: np.ndarray) -> np.ndarray:
    """What the network sees of a flow: (240, 240, 2) -> (224, 224, 2)."""
    return centre_crop(flow.transpose(2, 0, 1), NETWORK_PX).transpose(1, 2, 0)


def _plan(case: Case, condition: Condition) -> ClipPlan:
    nods: tuple[Nod, ...] = ()
    if condition.nod_px:
        onset, apex, offset = instants(case.movement)
        at = np.interp([condition.nod_from, condition.nod_to], [0, 1, 2, 3], [onset, apex, offset, 2 * offset - apex])
        nods = (Nod(start_ms=float(at[0]), duration_ms=float(at[1] - at[0]), pitch_px=condition.nod_px, yaw_px=0.0),)
    scene = Scene(noise=condition.noise, flicker=condition.flicker)
    return ClipPlan(seed=case.seed, movements=(case.movement,), nods=nods, scene=scene)


def _side_lit(picture: np.ndarray, share: float) -> np.ndarray:
    """Brighter by `share` at the left edge, not at all at the right one."""
    if not share:
        return picture
    gain = 1.0 + share * np.linspace(1.0, 0.0, picture.shape[1], dtype=np.float32)
    return np.clip(np.rint(picture * gain), 0, 255).astype(np.uint8)


def _coded(picture: np.ndarray, condition: Condition) -> np.ndarray:
    """After the codec; a still one for each picture stands in for a video codec."""
    if condition.quality is None:
        return picture
    coded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, condition.quality])[1]
    return cv2.imdecode(coded, cv2.IMREAD_GRAYSCALE)
