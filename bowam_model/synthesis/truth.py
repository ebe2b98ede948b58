"""What really happened in a clip, frame by frame (DESIGN.md "Truth")."""

from pathlib import Path
from typing import Literal

import msgspec
import numpy as np

from bowam_model.errors import DatasetError
from bowam_model.synthesis.plan import ONSET_LEVEL, ClipPlan, Label, Movement, Side, Stratum


class TruthEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One movement. Frames count from 0 and are inclusive."""

    kind: Literal["micro", "macro", "blink"]
    onset: int  # first frame whose displacement is at least 10% of the peak
    apex: int  # frame of the peak
    offset: int  # last frame whose displacement is at least 10% of the peak
    label: Label | None  # of a micro-expression
    aus: tuple[int, ...]  # action units of FACS
    amplitude_px: float  # largest displacement at the apex, in pixels of the 240x240 crop
    stratum: Stratum | None
    unilateral: Side | None  # the person's own side, if only one moves


class TruthNuisance(msgspec.Struct, frozen=True, kw_only=True):
    """What moves and is no expression."""

    kind: Literal["nod", "speech"]
    onset: int
    offset: int
    amplitude_px: float


class Truth(msgspec.Struct, frozen=True, kw_only=True):
    """Contents of truth.json."""

    fps: float
    frames: int
    events: tuple[TruthEvent, ...]  # in order of their onsets
    nuisances: tuple[TruthNuisance, ...] = ()
    identity: str = ""  # name of the photo
    plan: ClipPlan | None = None  # how to make the clip again


def truth_of(plan: ClipPlan, *, lid_travel_px: float = 0.0, identity: str = "") -> Truth:
    """Truth of a plan at its frame rate. `lid_travel_px` is the amplitude of its blinks.

    A movement too short to be sampled by any frame is left out.
    """
    times_ms = np.arange(plan.frames) * 1000.0 / plan.rate_hz
    events = [event for m in plan.movements if (event := _event(m, times_ms, lid_travel_px))]
    nuisances = [
        _nuisance("nod", n.start_ms, n.end_ms, float(np.hypot(n.pitch_px, n.yaw_px)), times_ms) for n in plan.nods
    ] + [_nuisance("speech", s.start_ms, s.end_ms, s.jaw_px, times_ms) for s in plan.speech]
    return Truth(
        fps=plan.rate_hz,
        frames=plan.frames,
        events=tuple(sorted(events, key=lambda event: event.onset)),
        nuisances=tuple(sorted(nuisances, key=lambda nuisance: nuisance.onset)),
        identity=identity,
        plan=plan,
    )


def load_truth(path: str | Path) -> Truth:
    """Read a truth.json. Raises DatasetError."""
    try:
        return msgspec.json.decode(Path(path).read_bytes(), type=Truth)
    except OSError as error:
        raise DatasetError(f"can't read {path}: {error.strerror}") from error
    except msgspec.DecodeError as error:
        raise DatasetError(f"{path} is no truth.json of bowam synth: {error}") from error


def _event(movement: Movement, times_ms: np.ndarray, lid_travel_px: float) -> TruthEvent | None:
    level = movement.level(times_ms)
    peak = float(level.max())
    if peak <= 0.0:
        return None
    above = np.flatnonzero(level >= ONSET_LEVEL * peak)
    full_px = lid_travel_px if movement.kind == "blink" else movement.amplitude_px
    return TruthEvent(
        kind=movement.kind,
        onset=int(above[0]),
        apex=int(level.argmax()),
        offset=int(above[-1]),
        label=movement.label,
        aus=tuple(action.unit for action in movement.actions),
        amplitude_px=round(full_px * peak, 4),
        stratum=movement.stratum,
        unilateral=movement.unilateral,
    )


def _nuisance(kind: str, start_ms: float, end_ms: float, amplitude_px: float, times_ms: np.ndarray) -> TruthNuisance:
    inside = np.flatnonzero((times_ms >= start_ms) & (times_ms <= end_ms))
    onset, offset = (int(inside[0]), int(inside[-1])) if len(inside) else (0, 0)
    return TruthNuisance(kind=kind, onset=onset, offset=offset, amplitude_px=round(amplitude_px, 4))  # type: ignore[arg-type]
