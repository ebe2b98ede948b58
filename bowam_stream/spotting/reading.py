"""An open movement as it looks now: what moved, when and how far, and what else could explain it."""

from dataclasses import dataclass, replace

import numpy as np

from bowam_stream.spotting import pulse
from bowam_stream.spotting.medians import median
from bowam_stream.spotting.pulse import Pulse
from bowam_stream.spotting.regions import EYES, MOUTH, NAMES
from bowam_stream.spotting.settings import SpottingSettings
from bowam_stream.spotting.trail import BRIGHTNESS, LIDS, PLACE, POSITIONS, Trail

_SMOOTH_MS = 12.0
_LOOK_BACK_MS = 650.0  # the longest rise that is looked for before the trigger
_BEFORE_TRIGGER_MS = 100.0  # how long before its trigger a movement may have peaked
_REBOUND = 0.35  # of the height
_CALM = 0.25  # of the regions: a poor picture makes all of them restless, talking only some
_PASSES = 3  # level, direction and times depend on each other


@dataclass(frozen=True, eq=False)
class Reading:
    """Times in ms of the stream, motion in crop px or in baseline noise; R regions, N frames."""

    pulse: Pulse
    t_ms: np.ndarray  # (N,)
    signal: np.ndarray  # (N,) motion along the movement's direction over all live regions, noise units
    lengths_px: np.ndarray  # (R,) motion of the live regions at the apex
    score: float  # root mean square of the two strongest regions at the apex, noise units
    before_px: np.ndarray  # (R,) how far the live regions went in the time of rest before the onset
    after_px: np.ndarray  # (R,) and since the offset
    lids: float  # how much of their usual opening the eyes lost
    head_px: float  # how far the head went out and came back, in the source picture at the crop's scale
    brightness: float  # change of the picture's mean, as a share
    widest_px: float  # how far any region went, also one that does not count because a slow movement has it
    level: np.ndarray  # (R, 2) positions before the onset
    direction: np.ndarray  # (R, 2) weights that make the signal of positions

    @property
    def largest_px(self) -> float:
        return float(self.lengths_px.max())

    @property
    def mouth(self) -> bool:
        """The mouth moved more than anything else."""
        return bool(MOUTH[np.argmax(self.lengths_px)])


def strength(lengths: np.ndarray) -> float:
    """Root mean square of the two largest of several lengths (R,)."""
    first, second = np.sort(lengths)[-2:]
    return float(np.hypot(first, second) / np.sqrt(2))


def read_movement(
    trail: Trail, trigger_ms: float, sigma: np.ndarray, live: np.ndarray, settings: SpottingSettings
) -> Reading | None:
    """The movement that triggered at `trigger_ms`, from the trail as it is now; None without a past to measure from.

    `sigma` (R,) is the noise of the regions in px; `live` (R,) bool says which of them count.
    """
    first = trail.since(trigger_ms - _LOOK_BACK_MS)
    t = trail.t_ms[first:]
    if len(t) < 3:
        return None
    rows = trail.rows[first:]
    positions = pulse.smooth(t, rows[:, POSITIONS], _SMOOTH_MS).reshape(len(t), len(NAMES), 2)
    weights = np.where(live, 1.0 / sigma, 0.0)[:, None]
    level = _mean(t, positions, trigger_ms - settings.reference_ms[0], trigger_ms - settings.reference_ms[1])
    earliest = trigger_ms - _BEFORE_TRIGGER_MS
    for _ in range(_PASSES):
        away = (positions - level) * weights
        may_peak = t >= earliest
        energy = np.where(may_peak, (away**2).sum(axis=(1, 2)), -1.0)
        direction = away[np.argmax(energy)] / max(float(np.sqrt(energy.max())), 1e-9)
        signal = np.tensordot(away, direction, axes=2)
        peak = int(np.argmax(np.where(may_peak, signal, -np.inf)))
        found = pulse.read(t, signal, peak, edge=settings.edge, release=settings.release)
        earliest = found.onset
        level = _mean(t, positions, found.onset - settings.rest_ms, found.onset - 5.0)
    lengths = np.where(live, np.linalg.norm(positions[peak] - level, axis=1), 0.0)
    end = t[-1] if found.offset is None else found.offset
    during = (t >= found.onset) & (t <= end)
    before = positions[(t >= found.onset - settings.rest_ms) & (t < found.onset - _SMOOTH_MS)]
    return Reading(
        pulse=found,
        t_ms=t,
        signal=signal,
        lengths_px=lengths,
        score=strength(lengths / sigma),
        before_px=np.where(live, reach(before), 0.0),
        after_px=np.where(live, reach(positions[t > end + _SMOOTH_MS]), 0.0),
        lids=_closing(rows[:, LIDS], during),
        head_px=_bow(t, rows[:, PLACE], during),
        brightness=float(np.ptp(rows[during, BRIGHTNESS])) if during.any() else 0.0,
        widest_px=float(reach(positions[during])[~EYES].max()),
        level=level,
        direction=direction * weights,
    )


def follow(reading: Reading, trail: Trail, settings: SpottingSettings) -> Reading:
    """The same movement later on: onset, level and direction stay, the signal goes on and may still rise."""
    first = max(trail.since(reading.pulse.onset) - 1, 0)
    t = trail.t_ms[first:]
    positions = trail.rows[first:, POSITIONS].reshape(len(t), len(NAMES), 2)
    signal = np.tensordot(positions - reading.level, reading.direction, axes=2)
    found = pulse.read(t, signal, int(np.argmax(signal)), edge=settings.edge, release=settings.release)
    return replace(reading, pulse=replace(found, onset=reading.pulse.onset), t_ms=t, signal=signal)


def settled(reading: Reading, t_ms: float, settings: SpottingSettings) -> float | None:
    """End of a movement that has come to rest away from where it began; None while it still moves or is up."""
    if not reading.pulse.released:
        return None
    still = reading.signal[reading.t_ms > t_ms - settings.confirm_ms]
    if np.ptp(still) > settings.edge * reading.pulse.peak:
        return None
    after = reading.t_ms >= reading.pulse.apex
    level = float(still.mean())
    return pulse.crossing(
        reading.t_ms[after], reading.signal[after], level + settings.edge * (reading.pulse.peak - level)
    )


def doubt(reading: Reading, sigma: np.ndarray, settings: SpottingSettings, *, slow: bool) -> str | None:
    """Why this is no expression (`slow`: a macro-expression), or None. These are the words of the events' `reason`."""
    s = settings
    leaks = {
        "blink": s.blink_leak_px * (reading.lids > s.blink_closing),
        "nod": s.head_leak * reading.head_px,
        "flicker": s.flicker_leak_px * reading.brightness,
        "speech": s.speech_leak * reading.widest_px,
    }
    cause = max(leaks, key=lambda name: leaks[name])
    if reading.largest_px < s.min_motion_px + sum(leaks.values()):
        return cause if reading.largest_px > s.min_motion_px else "too_weak"
    if reading.score < s.threshold:
        return "too_weak"
    if reading.largest_px > s.micro_max_px and not slow:
        return "speech" if reading.mouth else "too_strong"
    if slow and _rebounds(reading.signal[reading.t_ms > reading.pulse.onset], reading.pulse.peak):
        return "speech" if reading.mouth else "restless"
    around = reading.before_px if slow else np.maximum(reading.before_px, reading.after_px)
    restless = around - unrest(sigma, s)
    if restless.max() > s.rest_share * reading.largest_px:
        return "speech" if MOUTH[np.argmax(restless)] else "restless"
    return None


def unrest(sigma: np.ndarray, settings: SpottingSettings) -> np.ndarray:
    """How far each region (R,) may seem to go though it is at rest, in px.

    By its noise; but a mouth that talks all the time is not noisy, so never by more than the calmer part of the face.
    """
    calm = settings.rest_noise * float(np.quantile(sigma, _CALM))
    return np.minimum(settings.rest_noise * sigma, max(settings.rest_px, calm))


def _mean(t: np.ndarray, positions: np.ndarray, start: float, stop: float) -> np.ndarray:
    """Mean position between two times, or the one before them."""
    inside = (t >= start) & (t <= stop)
    return positions[inside].mean(axis=0) if inside.any() else positions[max(0, int(np.searchsorted(t, start)) - 1)]


def reach(positions: np.ndarray) -> np.ndarray:
    """How far each region went (R,): the diagonal of the box around its positions (N, R, 2)."""
    return np.hypot(*np.ptp(positions, axis=0).T) if len(positions) else np.zeros(positions.shape[1])


def _rebounds(signal: np.ndarray, height: float) -> bool:
    """Whether the signal falls and rises again by a good part of its height: an expression goes up and down once."""
    highest = np.maximum.accumulate(signal)
    fallen = np.flatnonzero(highest - signal > _REBOUND * height)
    if not len(fallen):
        return False
    rest = signal[fallen[0] :]
    return bool((rest - np.minimum.accumulate(rest) > _REBOUND * height).any())


def _closing(opening: np.ndarray, during: np.ndarray) -> float:
    """Share of the usual opening (median of all) that the eyes lost at their narrowest."""
    return float(1.0 - opening[during].min() / max(float(median(opening)), 1e-3)) if during.any() else 0.0


def _bow(t: np.ndarray, places: np.ndarray, during: np.ndarray) -> float:
    """Largest distance of a path (N, 2) from the straight, even way between its ends: a drift has none, a nod all."""
    if during.sum() < 3:
        return 0.0
    t, places = t[during], places[during]
    share = ((t - t[0]) / (t[-1] - t[0]))[:, None]
    return float(np.linalg.norm(places - (places[0] + share * (places[-1] - places[0])), axis=1).max())
