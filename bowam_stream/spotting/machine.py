"""One face from frame to frame: rest -> a movement opens -> provisional after its apex -> final or retracted.

    rest   every region's departure from its own recent past, in units of its noise, is held against the threshold
    open   the movement is read anew with every frame: its direction over all regions is fixed at its peak, the signal
           is the motion along it, and onset, apex and offset are read off that signal
    slow   it outlasted a micro-expression: it is followed to its end on the side, and the regions that it does not move
           are watched for the next one
Blinks run beside all this, on the opening of the eyes alone.
"""

from collections import deque
from dataclasses import dataclass, field, replace

import numpy as np

from bowam_stream.messages import Candidate, Kind, Moment, Phase, event_id
from bowam_stream.spotting.baseline import Baseline
from bowam_stream.spotting.blinks import BlinkWatch
from bowam_stream.spotting.medians import median
from bowam_stream.spotting.pulse import Pulse
from bowam_stream.spotting.reading import Reading, doubt, follow, reach, read_movement, settled, strength, unrest
from bowam_stream.spotting.regions import EYES, MOUTH, NAMES, UPPER
from bowam_stream.spotting.settings import SpottingSettings
from bowam_stream.spotting.trail import POSITIONS, Trail

_APEX_SURE = 0.85  # of the peak: once the signal has fallen below, the apex is behind us
_APEX_WAIT_MS = 90.0  # or once nothing higher has come for so long
_NOW_MS = 50.0  # what is seen now is the mean of so long: noise goes, a micro-expression stays
_HOT_FRAMES = 2  # over the threshold in a row: one frame alone is a damaged picture
_BUSY_SHARE = 0.25  # of the largest region's motion: a region that a slow movement moves by more is not watched
_HELD_MS = 350.0  # a movement that has stood still for so long is not a brief one
_SLOW_STEP_MS = 100.0  # how often a slow movement is read
_NAMES_KEPT = 64  # onsets of the last events; more can't fall within the longest movement


@dataclass(kw_only=True)
class Movement:
    """A movement that has begun."""

    trigger_ms: float
    live: np.ndarray  # (R,) regions that it is read from
    event_id: str | None = None  # once its provisional candidate is out
    reading: Reading | None = None
    read_ms: float = 0.0
    busy: np.ndarray = field(default_factory=lambda: np.zeros(len(NAMES), bool))  # (R,) regions it moves, once slow


class FaceMachine:
    """Everything the spotter knows about one face. Pure: rows in, candidates out."""

    def __init__(self, settings: SpottingSettings, camera: str, session: str, face: int) -> None:
        self._settings = settings
        self._identity = (camera, session, face)
        self._baseline = Baseline(settings)
        self._blinks = BlinkWatch(settings)
        self._blink_id: str | None = None
        self._open: Movement | None = None
        self._slow: list[Movement] = []
        self._free_ms = -np.inf  # no new movement begins before the last one ended
        self._hot = 0
        self._named: deque[int] = deque(maxlen=_NAMES_KEPT)
        self._flaws: deque[tuple[float, tuple[str, ...]]] = deque()
        self._rate_hz: float | None = None
        self.trail = Trail(int((settings.macro_max_ms + 1_000.0) / settings.min_spacing_ms) + 1)
        self.strengths = np.zeros(len(NAMES))  # each region's departure from its recent past, noise units
        self.signal = 0.0  # of the watched regions together
        self.motion_px = 0.0  # largest departure of a watched region
        self.doubt: str | None = None  # why the movement that is open has not been told in this frame
        self.refused: str | None = None  # why a movement that ended in this frame was never told
        self.quality: tuple[str, ...] = ()  # what is wrong with this frame

    @property
    def state(self) -> str:
        """For people: rest, open, told (the provisional candidate is out) or slow."""
        if self._open is not None:
            return "told" if self._open.event_id else "open"
        return "slow" if self._slow else "rest"

    @property
    def _own_doubt(self) -> str | None:
        """What spoke against a movement itself; a piece of another one was not refused."""
        return None if self.doubt == "way_back" else self.doubt

    def count_from(self, origin: np.ndarray) -> None:
        """Positions, those that are kept as well, count from `origin` (R, 2) from now on."""
        self.trail.count_from(origin)
        for movement in [*self._slow, *([self._open] if self._open else [])]:
            if movement.reading is not None:
                movement.reading = replace(movement.reading, level=movement.reading.level - origin)

    def tune(self, settings: SpottingSettings) -> None:
        """Go on with other thresholds; spans of time must stay as they are."""
        self._settings = settings

    def push(self, moment: Moment, row: np.ndarray, flaws: tuple[str, ...], rate_hz: float | None) -> list[Candidate]:
        """Take in one frame: `row` as laid out in `trail`, `flaws` what is wrong with it, `rate_hz` of the stream."""
        s = self._settings
        self.trail.append(moment, row)
        self._rate_hz = rate_hz
        t = float(self.trail.t_ms[-1])
        self.doubt = self.refused = None
        self._remember(t, flaws)
        out = self._watch_slow(t) + self._watch_blinks(t)
        live = ~EYES
        for movement in self._slow:
            live = live & ~movement.busy
        lengths = self._departures(t)
        self._baseline.push(t, lengths)
        if self._baseline.lately(s.talk_ms)[MOUTH].max() > s.talk_px:
            live = live & UPPER  # who talks may still raise a brow
        self.strengths = lengths / self._baseline.sigma
        watched = np.where(live, self.strengths, 0.0)
        self.signal, self.motion_px = strength(watched), float(lengths[live].max(initial=0.0))
        if self._open is None:
            hot = self.signal > s.threshold and self.motion_px > s.min_motion_px / 2
            self._hot = self._hot + 1 if hot else 0
            if self._hot < _HOT_FRAMES:
                return out
            self._open = Movement(trigger_ms=t, live=live)
        return out + self._read_open(t, self._open)

    def stop(self, reason: str) -> list[Candidate]:
        """Close what is open because nothing more will come of this face."""
        out: list[Candidate] = []
        if self._blink_id is not None and (blink := self._blinks.read(self.trail)) is not None:
            out.append(self._candidate(self._blink_id, blink, 0.0, "retracted", reason=reason))
        for movement in [*self._slow, *([self._open] if self._open else [])]:
            reading = movement.reading
            if movement.event_id is not None and reading is not None:
                if reading.pulse.offset is not None:
                    out += self._conclude(movement, reading, reading.pulse.offset)
                else:
                    out.append(self._retract(movement, reading, reason))
        self._open, self._slow, self._blink_id = None, [], None
        return out

    def _read_open(self, t: float, movement: Movement) -> list[Candidate]:
        s = self._settings
        reading = read_movement(self.trail, movement.trigger_ms, self._baseline.sigma, movement.live, s)
        if reading is None or (reading.pulse.onset < self._free_ms and movement.event_id is None):
            self._open = None
            if movement.event_id is None:
                self.doubt = "tail"  # of the last movement
            return []
        movement.reading, movement.read_ms = reading, t
        p = reading.pulse
        out: list[Candidate] = []
        fallen = bool((reading.signal[reading.t_ms > p.apex] < _APEX_SURE * p.peak).any())
        if movement.event_id is None and (fallen or t - p.apex > _APEX_WAIT_MS):
            out += self._tell(movement, reading, slow=False)
        offset = p.offset if p.offset is not None else settled(reading, t, s)
        if offset is not None and t - offset >= (s.mouth_confirm_ms if reading.mouth else s.confirm_ms):
            self._open, self._hot, self._free_ms = None, 0, offset
            out += self._conclude(movement, reading, offset)
            self.refused = self._own_doubt
            return out
        movement.busy = self._busy(reading, t)
        held = t - p.onset > _HELD_MS and not movement.busy.any()
        if offset is None and (held or t - p.onset > s.micro_max_ms + s.confirm_ms):
            self._open, self._hot, self._free_ms = None, 0, t
            self._slow.append(movement)
            out += self._tell(movement, reading, slow=True)
            self.refused = self._own_doubt if movement.event_id is None else None
        return out

    def _watch_slow(self, t: float) -> list[Candidate]:
        s = self._settings
        out: list[Candidate] = []
        for movement in list(self._slow):
            if t - movement.read_ms < _SLOW_STEP_MS:
                continue
            assert movement.reading is not None
            reading = follow(movement.reading, self.trail, s)
            movement.reading, movement.read_ms = reading, t
            movement.busy = self._busy(reading, t)
            offset = reading.pulse.offset if reading.pulse.offset is not None else settled(reading, t, s)
            reason = doubt(reading, self._baseline.sigma, s, slow=True)
            if offset is None and t - reading.pulse.onset > s.macro_max_ms:
                offset = t
            if reason is not None or offset is not None:
                self._slow.remove(movement)
                out += self._conclude(movement, reading, t if offset is None else offset)
                if self._open is not None and self._open.event_id is None:
                    self._open, self._hot, self._free_ms = None, 0, t
                    self.doubt = "way_back"
        return out

    def _watch_blinks(self, t: float) -> list[Candidate]:
        s = self._settings
        blink = self._blinks.read(self.trail)
        if blink is None:
            return []
        out: list[Candidate] = []
        if self._blink_id is None and blink.released:
            self._blink_id = self._name(blink.onset)
            out.append(self._candidate(self._blink_id, blink, 0.0, "provisional"))
        offset = blink.offset
        if offset is None and t - blink.apex > s.blink_max_ms:
            offset = t
        if offset is not None:
            self._blinks.done(offset)
            if self._blink_id is not None:
                out.append(self._candidate(self._blink_id, blink, 0.0, "final", kind="blink", offset=offset))
            self._blink_id = None
        return out

    def _busy(self, reading: Reading, t: float) -> np.ndarray:
        """Regions (R,) bool that this movement has moved and that have not come to rest since, up or down."""
        s = self._settings
        recent = self.trail.rows[self.trail.since(t - _HELD_MS) :, POSITIONS].reshape(-1, len(NAMES), 2)
        noise = unrest(self._baseline.sigma, s)
        moving = reach(recent) > np.maximum(noise, s.rest_share * reading.lengths_px)
        return moving & (reading.lengths_px >= _BUSY_SHARE * reading.largest_px)

    def _tell(self, movement: Movement, reading: Reading, *, slow: bool) -> list[Candidate]:
        """The provisional candidate, unless there is a doubt."""
        if movement.event_id is not None:
            return []
        self.doubt = doubt(reading, self._baseline.sigma, self._settings, slow=slow)
        if self.doubt is None and any(self._returns(other, reading) for other in self._slow if other is not movement):
            self.doubt = "way_back"
        if self.doubt is not None:
            return []
        movement.event_id = self._name(reading.pulse.onset)
        return [self._candidate(movement.event_id, reading.pulse, reading.score, "provisional")]

    def _returns(self, slow: Movement, reading: Reading) -> bool:
        """Whether a new movement is but the way back of a slow one."""
        assert slow.reading is not None
        now = self.trail.rows[-1, POSITIONS].reshape(len(NAMES), 2)
        height = float(((now - slow.reading.level) * slow.reading.direction).sum())
        shared = slow.reading.lengths_px[np.argmax(reading.lengths_px)] >= _BUSY_SHARE * slow.reading.largest_px
        return bool(shared) and height < _APEX_SURE * slow.reading.pulse.peak

    def _conclude(self, movement: Movement, reading: Reading, offset: float) -> list[Candidate]:
        s = self._settings
        if movement.event_id is None:
            return []
        p = reading.pulse
        onset, end = self.trail.first_from(p.onset), self.trail.last_until(offset)
        duration_ms = (end.t_ns - onset.t_ns) / 1e6
        slow = duration_ms > s.micro_max_ms
        reason = "too_short" if duration_ms < s.micro_min_ms else doubt(reading, self._baseline.sigma, s, slow=slow)
        if reason is None and not slow and self._rate_hz is not None and self._rate_hz < s.min_rate_hz:
            reason = "frame_rate"
        if reason is None and not slow and self.trail.t_ms[-1] - p.onset > s.crops_ms:
            reason = "restless"  # it came to rest too late to tell what it was: its pictures are gone
        if reason is not None:
            return [self._retract(movement, reading, reason)]
        kind: Kind = "macro" if slow else "micro"
        return [self._candidate(movement.event_id, p, reading.score, "final", kind=kind, offset=offset)]

    def _retract(self, movement: Movement, reading: Reading, reason: str) -> Candidate:
        assert movement.event_id is not None
        return self._candidate(movement.event_id, reading.pulse, reading.score, "retracted", reason=reason)

    def _departures(self, t: float) -> np.ndarray:
        """How far each region (R,) is from where it was a moment ago, in px."""
        s = self._settings
        first, last = self.trail.since(t - s.reference_ms[0]), self.trail.since(t - s.reference_ms[1])
        past = self.trail.rows[first : max(last, first + 1), POSITIONS]
        now = self.trail.rows[self.trail.since(t - _NOW_MS) :, POSITIONS].mean(axis=0)
        return np.linalg.norm((now - median(past)).reshape(-1, 2), axis=1)

    def _remember(self, t: float, flaws: tuple[str, ...]) -> None:
        self.quality = words = (*flaws, "warming_up") if self._baseline.warming_up else flaws
        if words:
            self._flaws.append((t, words))
        while self._flaws and t - self._flaws[0][0] > self._settings.macro_max_ms:
            self._flaws.popleft()

    def _name(self, onset_ms: float) -> str:
        """The event's name; where two movements begin in one frame the later one is named after the next frame."""
        onset = self.trail.first_from(onset_ms)
        while onset.frame in self._named:
            onset = Moment(frame=onset.frame + 1, t_ns=onset.t_ns)
        self._named.append(onset.frame)
        return event_id(*self._identity, onset)

    def _candidate(
        self,
        name: str,
        pulse: Pulse,
        score: float,
        phase: Phase,
        *,
        kind: Kind | None = None,
        offset: float | None = None,
        reason: str | None = None,
    ) -> Candidate:
        camera, session, face = self._identity
        onset = self.trail.first_from(pulse.onset)
        return Candidate(
            event_id=name,
            camera=camera,
            session=session,
            face=face,
            phase=phase,
            kind=kind,
            onset=onset,
            apex=self.trail.nearest(pulse.apex),
            offset=None if offset is None else self.trail.last_until(offset),
            score=score,
            quality=tuple(sorted({word for t, words in self._flaws if t >= onset.t_ns / 1e6 for word in words})),
            reason=reason,
        )
