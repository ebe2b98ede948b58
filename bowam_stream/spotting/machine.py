"""One face from frame to frame: rest -> a movement opens -> provisional after its apex -> final or retracted.

rest      every region's departure from its own recent past, in units of its noise, against the threshold
open      the movement is read anew with every frame from the trail: its direction over all regions is fixed at its
          peak, the signal is the motion along it, and onset, apex and offset are read off that signal
told      the provisional candidate is out: the event can no longer vanish in silence
"""

from dataclasses import dataclass

import numpy as np

from bowam_stream.messages import Candidate, Kind, Moment, Phase, event_id
from bowam_stream.spotting import pulse
from bowam_stream.spotting.baseline import Baseline
from bowam_stream.spotting.pulse import Pulse
from bowam_stream.spotting.regions import EYES, NAMES
from bowam_stream.spotting.settings import SpottingSettings
from bowam_stream.spotting.trail import POSITIONS, Trail

_SMOOTH_MS = 12.0
_LOOK_BACK_MS = 650.0  # the longest rise that is looked for before the trigger
_APEX_SURE = 0.85  # of the peak: once the signal has fallen below, the apex is behind us
_APEX_WAIT_MS = 90.0  # or once nothing higher has come for so long


@dataclass(frozen=True, kw_only=True)
class Told:
    """What has been published about the open movement."""

    event_id: str
    onset: Moment


@dataclass(frozen=True, eq=False)
class Reading:
    """An open movement as it looks at this frame."""

    pulse: Pulse
    t_ms: np.ndarray
    signal: np.ndarray  # motion along the movement's direction, in noise units
    score: float  # root mean square of the two strongest regions at the apex, noise units
    largest_px: float  # the strongest region at the apex
    shares: np.ndarray  # (R,) of the squared motion at the apex


class Movement:
    """An open movement."""

    def __init__(self, trigger_ms: float) -> None:
        self.trigger_ms = trigger_ms
        self.told: Told | None = None
        self.quality: set[str] = set()
        self.reading: Reading | None = None


def strength(lengths: np.ndarray) -> float:
    """Root mean square of the two largest of several lengths (R,)."""
    first, second = np.sort(lengths)[-2:]
    return float(np.hypot(first, second) / np.sqrt(2))


def read_movement(
    trail: Trail, trigger_ms: float, sigma: np.ndarray, live: np.ndarray, s: SpottingSettings
) -> Reading | None:
    """Onset, apex and offset of the movement that triggered at `trigger_ms`, from the trail as it is now.

    `live` (R,) bool says which regions count. None if there is not enough of a past.
    """
    first = trail.since(trigger_ms - _LOOK_BACK_MS)
    t = trail.t_ms[first:]
    if len(t) < 3:
        return None
    rows = pulse.smooth(t, trail.rows[first:, POSITIONS], _SMOOTH_MS).reshape(len(t), len(NAMES), 2)
    noise = np.where(live, 1.0 / sigma, 0.0)[:, None]
    level = _level(t, rows, trigger_ms - s.reference_ms[0], trigger_ms - s.reference_ms[1])
    found = None
    for _ in range(3):
        away = (rows - level) * noise
        candidates = t >= (found.onset if found else trigger_ms - 100.0)
        energy = np.where(candidates, (away**2).sum(axis=(1, 2)), -1.0)
        peak = int(np.argmax(energy))
        direction = away[peak] / max(float(np.sqrt(energy[peak])), 1e-9)
        signal = np.tensordot(away, direction, axes=2)
        peak = int(np.argmax(np.where(candidates, signal, -np.inf)))
        found = pulse.read(t, signal, peak, edge=s.edge, release=s.release)
        level = _level(t, rows, found.onset - s.rest_ms, found.onset - 5.0)
    assert found is not None
    lengths = np.linalg.norm(rows[peak] - level, axis=1)
    counted = np.where(live, lengths / sigma, 0.0)
    return Reading(
        found,
        t,
        signal,
        strength(counted),
        float(lengths[live].max()),
        counted**2 / max(float((counted**2).sum()), 1e-9),
    )


def _level(t: np.ndarray, rows: np.ndarray, start: float, stop: float) -> np.ndarray:
    """Mean position between two times, or the earliest there is."""
    inside = (t >= start) & (t <= stop)
    return rows[inside].mean(axis=0) if inside.any() else rows[max(0, int(np.searchsorted(t, start)) - 1)]


class FaceMachine:
    """Everything the spotter knows about one face. Pure: rows in, candidates out."""

    def __init__(self, settings: SpottingSettings, camera: str, session: str, face: int) -> None:
        self._settings = settings
        self._identity = (camera, session, face)
        self._baseline = Baseline(settings)
        self.trail = Trail(int((settings.macro_max_ms + 1_000.0) / settings.min_spacing_ms) + 1)
        self._movement: Movement | None = None
        self._free_ms = -np.inf  # no new movement may begin before the last one ended
        self._hot = 0
        self.strengths = np.zeros(len(NAMES))
        self.signal = 0.0

    @property
    def state(self) -> str:
        if self._movement is None:
            return "rest"
        return "told" if self._movement.told else "open"

    @property
    def sigma(self) -> np.ndarray:
        return self._baseline.sigma

    def push(self, moment: Moment, row: np.ndarray, quality: tuple[str, ...]) -> list[Candidate]:
        """Take in one frame: `row` as laid out in `trail`, `quality` what is wrong with it."""
        self.trail.append(moment, row)
        t = float(self.trail.t_ms[-1])
        lengths = self._departures(t)
        self._baseline.push(t, lengths)
        self.strengths = lengths / self._baseline.sigma
        self.signal = strength(self.strengths[~EYES])
        if self._movement is None:
            hot = self.signal > self._settings.threshold and lengths[~EYES].max() > self._settings.min_motion_px / 2
            self._hot = self._hot + 1 if hot else 0
            if self._hot < 2:
                return []
            self._movement = Movement(t)
        movement = self._movement
        movement.quality.update(quality)
        if self._baseline.warming_up:
            movement.quality.add("warming_up")
        reading = read_movement(self.trail, movement.trigger_ms, self._baseline.sigma, ~EYES, self._settings)
        if reading is None or (reading.pulse.onset < self._free_ms - 1e-6 and not movement.told):
            self._movement = None
            return []
        movement.reading = reading
        return self._decide(t, movement, reading)

    def stop(self, reason: str) -> list[Candidate]:
        """Close what is open because nothing more will come."""
        movement, self._movement = self._movement, None
        if movement is None or movement.told is None or movement.reading is None:
            return []
        return [self._candidate(movement, movement.reading, "retracted", None, reason)]

    def _decide(self, t: float, movement: Movement, reading: Reading) -> list[Candidate]:
        s, p = self._settings, reading.pulse
        out: list[Candidate] = []
        fallen = bool((reading.signal[reading.t_ms > p.apex] < _APEX_SURE * p.peak).any())
        if movement.told is None and (fallen or t - p.apex > _APEX_WAIT_MS):
            doubt = self._doubt(reading)
            if doubt is None:
                onset = self.trail.nearest(p.onset)
                movement.told = Told(event_id=event_id(*self._identity, onset), onset=onset)
                out.append(self._candidate(movement, reading, "provisional", None, None))
        offset = p.offset
        if offset is None and p.released:
            offset = _settled(reading, t, s)
        if offset is not None and t - offset >= s.confirm_ms:
            out += self._close(movement, reading, offset)
        elif t - p.onset > s.macro_max_ms:
            out += self._close(movement, reading, t)
        return out

    def _close(self, movement: Movement, reading: Reading, offset: float) -> list[Candidate]:
        s = self._settings
        self._movement, self._hot, self._free_ms = None, 0, offset
        if movement.told is None:
            return []
        duration = offset - reading.pulse.onset
        kind: Kind = "macro" if duration > s.micro_max_ms else "micro"
        reason = "too_short" if duration < s.micro_min_ms else self._doubt(reading)
        if reason is not None:
            return [self._candidate(movement, reading, "retracted", None, reason, offset)]
        return [self._candidate(movement, reading, "final", kind, None, offset)]

    def _doubt(self, reading: Reading) -> str | None:
        """Why this is no expression, or None."""
        s = self._settings
        if reading.score < s.threshold or reading.largest_px < s.min_motion_px:
            return "too_weak"
        return None

    def _departures(self, t: float) -> np.ndarray:
        """How far each region (R,) is from where it was a moment ago, in px."""
        s = self._settings
        first, last = self.trail.since(t - s.reference_ms[0]), self.trail.since(t - s.reference_ms[1])
        past = self.trail.rows[first : max(last, first + 1), POSITIONS]
        now = self.trail.rows[-1, POSITIONS]
        return np.linalg.norm((now - np.median(past, axis=0)).reshape(-1, 2), axis=1)

    def _candidate(
        self,
        movement: Movement,
        reading: Reading,
        phase: Phase,
        kind: Kind | None,
        reason: str | None,
        offset: float | None = None,
    ) -> Candidate:
        assert movement.told is not None
        camera, session, face = self._identity
        return Candidate(
            event_id=movement.told.event_id,
            camera=camera,
            session=session,
            face=face,
            phase=phase,
            kind=kind,
            onset=self.trail.nearest(reading.pulse.onset),
            apex=self.trail.nearest(reading.pulse.apex),
            offset=None if offset is None else self.trail.nearest(offset),
            score=reading.score,
            quality=tuple(sorted(movement.quality)),
            reason=reason,
        )


def _settled(reading: Reading, t: float, s: SpottingSettings) -> float | None:
    """End of a movement that came to rest away from where it began; None while it still moves."""
    still = reading.signal[reading.t_ms > t - s.confirm_ms]
    if np.ptp(still) > s.edge * reading.pulse.peak:
        return None
    level = float(still.mean())
    after = reading.t_ms > reading.pulse.apex
    low = after & (reading.signal < level + s.edge * (reading.pulse.peak - level))
    return float(reading.t_ms[np.argmax(low)]) if low.any() else None
