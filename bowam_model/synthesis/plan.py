"""What happens in a clip, when, and how strongly: a declaration in milliseconds, independent of the frame rate.

Durations and their asymmetry follow FIELD.md section 4 (CASME II, SAMM, CAS(ME)^2): 65-500 ms from onset to offset, and
the apex before the middle. A movement rises and falls like a raised cosine, 0.5 (1 - cos pi u), which passes a tenth of
its peak at u = arccos(0.8) / pi.
"""

import math
from collections.abc import Sequence
from typing import Literal, TypedDict, get_args

import msgspec
import numpy as np

from bowam_model.errors import OptionError
from bowam_model.labels import MEGC2019
from bowam_model.synthesis.fields import Action

Label = Literal["negative", "positive", "surprise"]
Stratum = Literal["hard", "medium", "easy"]
Side = Literal["right", "left"]
Nuisance = Literal["blink", "nod", "speech", "macro", "drift", "tremor", "flicker", "noise", "low_light"]

NUISANCES: tuple[str, ...] = get_args(Nuisance)
ALWAYS: tuple[str, ...] = ("blink", "drift", "tremor", "noise")  # every real recording has these
STRATA: dict[str, tuple[float, float]] = {"hard": (0.8, 1.2), "medium": (1.2, 2.0), "easy": (2.0, 3.0)}  # amplitude, px
ONSET_LEVEL = 0.1  # onset and offset: a tenth of the peak (DESIGN.md "Truth")
ONSET_U = math.acos(1 - 2 * ONSET_LEVEL) / math.pi  # 0.205: share of a rise that lies below that level

EXPRESSIONS: dict[str, tuple[tuple[int, ...], ...]] = {  # action units; EMFACS and the CASME II sheet's combinations
    "negative": ((4,), (4, 7), (4, 7, 9), (1, 4), (1, 4, 15), (15,), (4, 15), (9,), (9, 10), (10,), (14,)),
    "positive": ((12,), (6, 12), (6, 12), (12,)),
    "surprise": ((1, 2), (1, 2, 5), (1, 2, 26), (1, 2, 5, 26), (5, 26), (2,)),
}
OFTEN_UNILATERAL = (2, 10, 12, 14)  # units that are seen on one side alone


class Movement(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One expression or blink."""

    kind: Literal["micro", "macro", "blink"]
    start_ms: float  # first instant of any displacement; the onset (10%) comes ONSET_U * rise_ms later
    rise_ms: float
    hold_ms: float
    fall_ms: float
    amplitude_px: float = 0.0  # largest displacement at the apex; a blink's follows from the eye
    actions: tuple[Action, ...] = ()  # empty for a blink
    label: Label | None = None
    stratum: Stratum | None = None
    unilateral: Side | None = None

    @property
    def end_ms(self) -> float:
        return self.start_ms + self.rise_ms + self.hold_ms + self.fall_ms

    def level(self, t_ms: float | np.ndarray) -> np.ndarray:
        """Displacement at `t_ms` as a share of the peak, 0..1."""
        up = (np.asarray(t_ms, float) - self.start_ms) / self.rise_ms
        down = (self.end_ms - np.asarray(t_ms, float)) / self.fall_ms
        return 0.5 - 0.5 * np.cos(np.pi * np.clip(np.minimum(up, down), 0.0, 1.0))


class Nod(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The head tips and comes back."""

    start_ms: float
    duration_ms: float
    pitch_px: float  # how far the tip of the nose travels down (+)
    yaw_px: float  # ... and to the right of the picture (+)

    @property
    def end_ms(self) -> float:
        return self.start_ms + self.duration_ms

    def level(self, t_ms: float) -> float:
        u = min(max((t_ms - self.start_ms) / self.duration_ms, 0.0), 1.0)
        return math.sin(math.pi * u) ** 2


class Speech(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The jaw opens and the lips stretch at the pace of syllables."""

    start_ms: float
    duration_ms: float
    jaw_px: float  # typical opening of a syllable
    seed: int

    @property
    def end_ms(self) -> float:
        return self.start_ms + self.duration_ms

    def jaw_and_width(self, t_ms: float) -> tuple[float, float]:
        """Opening of the jaw (>= 0) and stretch of the lips (+ or -), in pixels."""
        u = (t_ms - self.start_ms) / self.duration_ms
        if not 0.0 < u < 1.0:
            return 0.0, 0.0
        envelope = min(1.0, u * self.duration_ms / 120.0, (1.0 - u) * self.duration_ms / 120.0)
        rng = np.random.default_rng(self.seed)
        rates_hz, phases = rng.uniform(2.0, 6.0, (2, 3)), rng.uniform(0, 2 * np.pi, (2, 3))
        waves = np.sin(2e-3 * np.pi * rates_hz * (t_ms - self.start_ms) + phases).sum(axis=1)
        return envelope * self.jaw_px * max(float(waves[0]) + 0.4, 0.0) * 0.7, envelope * self.jaw_px * waves[1] * 0.2


Item = Movement | Nod | Speech


class Scene(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What lasts for the whole clip."""

    drift_px: float = 0.0  # slow wandering of the head, standard deviation
    tremor_px: float = 0.0  # 5-11 Hz, standard deviation
    flicker: float = 0.0  # relative amplitude of the brightness
    noise: float = 0.0  # standard deviation of the sensor's noise at mid-grey, grey levels
    light: float = 1.0  # 1: as in the photo; 0.25: two stops darker


class ClipPlan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A whole clip."""

    seed: int  # of the noise and of the wandering head
    rate_hz: float = 100.0
    duration_ms: float = 10_000.0
    size: tuple[int, int] = (640, 480)  # width, height; even
    zoom: float = 1.2  # pixels of the picture for one pixel of the crop: the face is then about 200 pixels wide
    movements: tuple[Movement, ...] = ()
    nods: tuple[Nod, ...] = ()
    speech: tuple[Speech, ...] = ()
    scene: Scene = Scene()

    @property
    def frames(self) -> int:
        return max(1, round(self.duration_ms * self.rate_hz / 1000.0))

    def time_ms(self, frame: int) -> float:
        return frame * 1000.0 / self.rate_hz


def expression(rng: np.random.Generator, label: str) -> tuple[tuple[Action, ...], Side | None]:
    """Draw the action units of a label: their strengths vary, faces are never quite symmetric, some are one-sided."""
    units = EXPRESSIONS[label][rng.integers(len(EXPRESSIONS[label]))]
    side: Side | None = None
    if units[0] in OFTEN_UNILATERAL and len(units) == 1 and rng.random() < 0.5:
        side = "right" if rng.random() < 0.5 else "left"
    right, left = (1.0, 1.0) if side is None else (float(side == "right"), float(side == "left"))
    lean = rng.uniform(0.75, 1.0, 2)
    strengths = rng.uniform(0.55, 1.0, len(units))
    strengths[0] = 1.0
    actions = tuple(
        Action(u, float(s * right * lean[0]), float(s * left * lean[1])) for u, s in zip(units, strengths, strict=True)
    )
    return actions, side


class Course(TypedDict):
    """The three times of a movement."""

    rise_ms: float
    hold_ms: float
    fall_ms: float


def course(visible_ms: float, apex_share: float, hold_share: float = 0.0) -> Course:
    """Times of a movement that stays above 10% for `visible_ms`, with its apex at `apex_share` of that span."""
    rise_ms = visible_ms * apex_share / (1.0 - ONSET_U)
    hold_ms = visible_ms * hold_share
    fall_ms = visible_ms * (1.0 - apex_share - hold_share) / (1.0 - ONSET_U)
    return {"rise_ms": rise_ms, "hold_ms": hold_ms, "fall_ms": fall_ms}


def micro(rng: np.random.Generator, label: str, stratum: str, start_ms: float = 0.0) -> Movement:
    """Draw a micro-expression: a log-normal span around 280 ms, the apex at 30-48% of it."""
    actions, side = expression(rng, label)
    times = course(
        visible_ms=float(np.clip(280.0 * math.exp(0.4 * rng.standard_normal()), 80.0, 470.0)),
        apex_share=float(rng.uniform(0.30, 0.48)),
    )
    return Movement(
        kind="micro", start_ms=start_ms, **times, amplitude_px=float(rng.uniform(*STRATA[stratum])), actions=actions,
        label=label, stratum=stratum, unilateral=side,  # type: ignore[arg-type]
    )  # fmt: skip


def macro(rng: np.random.Generator, start_ms: float = 0.0) -> Movement:
    """Draw an ordinary expression: 0.7-2 s and 4-7 px."""
    actions, side = expression(rng, MEGC2019[rng.integers(3)])
    times = course(
        visible_ms=float(rng.uniform(700, 2000)),
        apex_share=float(rng.uniform(0.2, 0.35)),
        hold_share=float(rng.uniform(0.1, 0.4)),
    )
    amplitude_px = float(rng.uniform(4.0, 7.0))
    return Movement(
        kind="macro", start_ms=start_ms, **times, amplitude_px=amplitude_px, actions=actions, unilateral=side
    )


def blink(rng: np.random.Generator, start_ms: float = 0.0) -> Movement:
    """Draw a blink: closed within 80-130 ms, open again after another 140-260."""
    close_ms, hold_ms, open_ms = rng.uniform((80, 10, 140), (130, 50, 260)).tolist()
    return Movement(kind="blink", start_ms=start_ms, rise_ms=close_ms, hold_ms=hold_ms, fall_ms=open_ms)


def plan_clip(
    seed: int,
    *,
    rate_hz: float = 100.0,
    seconds: float = 10.0,
    events: int = 3,
    labels: Sequence[str] = MEGC2019,
    strata: Sequence[str] = tuple(STRATA),
    nuisances: Sequence[str] = ALWAYS,
    size: tuple[int, int] = (640, 480),
    zoom: float = 1.2,
) -> ClipPlan:
    """Draw a clip with `events` micro-expressions, evenly mixed over labels and strata, and the nuisances asked for.

    Nothing moves in the first second but the head, and movements stay 400 ms apart. The same arguments give the same
    plan. Raises OptionError where a word is unknown or the movements do not fit.
    """
    for words, known in ((labels, MEGC2019), (strata, tuple(STRATA)), (nuisances, NUISANCES)):
        for word in words:
            if word not in known:
                raise OptionError(f"{word!r} is none of {', '.join(known)}")
    if not (rate_hz > 0 and seconds > 0 and events >= 0 and min(size) >= 64 and size[0] % 2 == size[1] % 2 == 0):
        raise OptionError("a clip needs a positive rate and length, and an even size of at least 64x64")
    rng = np.random.default_rng(seed)
    has = set(nuisances).__contains__
    items: list[Item] = []
    for i in range(events):
        items.append(micro(rng, labels[(i + seed) % len(labels)], strata[rng.integers(len(strata))]))
    minutes = seconds / 60.0
    items += [blink(rng) for _ in range(has("blink") * max(1, round(12 * minutes)))]
    items += [macro(rng) for _ in range(has("macro") * max(1, round(4 * minutes)))]
    for _ in range(has("nod") * max(1, round(6 * minutes))):
        pitch_px, yaw_px = float(rng.uniform(3, 9) * rng.choice((-1, 1))), float(rng.normal(0, 1.5))
        items.append(Nod(start_ms=0, duration_ms=float(rng.uniform(500, 1100)), pitch_px=pitch_px, yaw_px=yaw_px))
    for _ in range(has("speech") * max(1, round(6 * minutes))):
        duration_ms, jaw_px = rng.uniform((800, 2.0), (2000, 5.0)).tolist()
        items.append(Speech(start_ms=0, duration_ms=duration_ms, jaw_px=jaw_px, seed=int(rng.integers(2**31))))
    placed = _place(rng, items, first_ms=1000.0, last_ms=1000.0 * seconds - 300.0, gap_ms=400.0)
    scene = Scene(
        drift_px=float(rng.uniform(1.0, 3.0)) if has("drift") else 0.0,
        tremor_px=float(rng.uniform(0.05, 0.15)) if has("tremor") else 0.0,
        flicker=float(rng.uniform(0.01, 0.04)) if has("flicker") else 0.0,
        noise=float(rng.uniform(1.0, 2.5)) * (2.0 if has("low_light") else 1.0) if has("noise") else 0.0,
        light=float(rng.uniform(0.25, 0.45)) if has("low_light") else 1.0,
    )
    return ClipPlan(
        seed=seed, rate_hz=rate_hz, duration_ms=1000.0 * seconds, size=size, zoom=zoom, scene=scene,
        movements=tuple(m for m in placed if isinstance(m, Movement)),
        nods=tuple(m for m in placed if isinstance(m, Nod)),
        speech=tuple(m for m in placed if isinstance(m, Speech)),
    )  # fmt: skip


def demo_plan() -> ClipPlan:
    """The clip of `bowam demo`: 13 s at 100 fps, five micro-expressions, two blinks, one macro, a slow drift."""
    rng = np.random.default_rng(2026)
    movements: list[Movement] = []
    timeline = (
        (1500, "negative", "easy"), (2900, "blink", ""), (3900, "positive", "medium"), (5300, "surprise", "easy"),
        (6600, "macro", ""), (9300, "negative", "hard"), (10400, "blink", ""), (11500, "positive", "easy"),
    )  # fmt: skip
    for start_ms, what, stratum in timeline:
        if what == "blink":
            movements.append(blink(rng, start_ms))
        elif what == "macro":
            movements.append(macro(rng, start_ms))
        else:
            movements.append(micro(rng, what, stratum, start_ms))
    scene = Scene(drift_px=2.0, tremor_px=0.08, noise=1.5)
    return ClipPlan(seed=2026, duration_ms=13_000.0, zoom=1.1, movements=tuple(movements), scene=scene)


def _place(
    rng: np.random.Generator,
    items: Sequence[Item],
    *,
    first_ms: float,
    last_ms: float,
    gap_ms: float,
) -> list[Item]:
    """Put the items one after the other in random order, and share out the spare time at random."""
    lengths = [item.end_ms - item.start_ms for item in items]
    spare_ms = last_ms - first_ms - sum(lengths) - gap_ms * max(len(items) - 1, 0)
    if spare_ms < 0:
        raise OptionError(f"{len(items)} movements do not fit into the clip: ask for more seconds or fewer events")
    pauses_ms = rng.dirichlet(np.ones(len(items) + 1)) * spare_ms
    placed, at_ms = [], first_ms
    for index, pause_ms in zip(rng.permutation(len(items)), pauses_ms[:-1], strict=True):
        at_ms += float(pause_ms)
        placed.append(msgspec.structs.replace(items[index], start_ms=at_ms))
        at_ms += lengths[index] + gap_ms
    return placed
