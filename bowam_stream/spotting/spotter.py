"""Aligned frames in, candidates out: one machine per face, gaps and rates watched, nothing remembered for long."""

from collections import deque

import msgspec
import numpy as np

from bowam_stream.clock import NS_PER_MS, NS_PER_SECOND, leg
from bowam_stream.messages import AlignedFrame, Candidate, EndOfStream, Face, Hello
from bowam_stream.spotting.machine import FaceMachine
from bowam_stream.spotting.medians import median
from bowam_stream.spotting.motion import Follower, common_alignment
from bowam_stream.spotting.regions import NAMES, eye_aspect_ratio
from bowam_stream.spotting.settings import SpottingSettings
from bowam_stream.spotting.trail import BRIGHTNESS, LIDS, PLACE, POSITIONS, WIDTH

_GAP = 1.5  # frame periods
_PERIODS = 31  # how many of the last frame periods tell the rate


class TraceRow(msgspec.Struct, frozen=True, kw_only=True):
    """What the spotter saw in one frame of one face: for the report and for `--explain`."""

    frame: int
    t_ns: int
    face: int
    signal: float  # motion of the strongest regions against their recent past, in baseline noise
    threshold: float
    motion_px: float  # the same motion in px of the crop: that of the region that moved farthest
    state: str  # rest, open (a movement is measured), told (its provisional event is out), slow
    doubt: str | None  # why no event is made of the open movement; a reason as in events, "tail" or "way_back"
    refused: str | None  # the movement ended here and was never announced: the last doubt about it
    quality: tuple[str, ...]  # what is wrong with this frame; "skipped": it came too soon, the row repeats the last
    regions: dict[str, float]  # how far each region is from its recent past, in its own baseline noise


class FaceSpotter:
    """One face: its motion, its machine and the crops of the last moments."""

    def __init__(self, settings: SpottingSettings, hello: Hello, track: int) -> None:
        self._settings = settings
        self._consent = hello.consent
        self._follower = Follower()
        self.machine = FaceMachine(settings, hello.camera, hello.session, track)
        self._crops: deque[tuple[int, int, Face]] = deque()  # t_ns, frame, face
        self.seen_ns: int | None = None
        self.used_ns = -(1 << 62)

    def tune(self, settings: SpottingSettings) -> None:
        """Go on with other settings; what is measured already stays."""
        self._settings = settings
        self.machine.tune(settings)

    def push(self, frame: AlignedFrame, face: Face, flaws: tuple[str, ...], rate_hz: float | None) -> list[Candidate]:
        t_ns = frame.moment.t_ns
        self.seen_ns = t_ns
        if t_ns - self.used_ns < self._settings.min_spacing_ms * NS_PER_MS and leg(t_ns) == leg(self.used_ns):
            return []
        self.used_ns = t_ns
        regions, picture, origin = self._follower.push(t_ns, face.crop, face.landmarks)
        if origin is not None:
            self.machine.count_from(origin)
        row = np.empty(WIDTH)
        row[POSITIONS] = regions.reshape(-1)
        row[PLACE] = _place(face)
        row[LIDS], row[BRIGHTNESS] = eye_aspect_ratio(face.landmarks), np.log(max(picture.brightness, 1.0))
        self._crops.append((t_ns, frame.moment.frame, face))
        while t_ns - self._crops[0][0] > self._settings.crops_ms * NS_PER_MS:
            self._crops.popleft()
        return [self._complete(c) for c in self.machine.push(frame.moment, row, flaws, rate_hz)]

    def stop(self, reason: str) -> list[Candidate]:
        """Close what is open: nothing more will come of this face."""
        return [self._complete(c) for c in self.machine.stop(reason)]

    def _complete(self, candidate: Candidate) -> Candidate:
        """With the stream's consent and, for a final micro, with what the network looks at."""
        candidate = msgspec.structs.replace(candidate, consent=self._consent)
        if candidate.kind != "micro" or candidate.offset is None:
            return candidate
        wanted = (candidate.onset.frame, candidate.apex.frame, candidate.offset.frame)
        faces = {frame: face for _, frame, face in self._crops if frame in wanted}
        onset, apex, offset = (faces[frame] for frame in wanted)
        triple = common_alignment(onset.crop, apex.crop, offset.crop, apex.landmarks)
        return msgspec.structs.replace(candidate, triple=triple)


class Spotter:
    """The spotting stage of one stream."""

    def __init__(self, settings: SpottingSettings, hello: Hello) -> None:
        self._settings = settings
        self._hello = hello
        self._faces: dict[int, FaceSpotter] = {}
        self._periods_ns: deque[int] = deque(maxlen=_PERIODS)
        self._last: AlignedFrame | None = None
        self.trace: tuple[TraceRow, ...] = ()

    @property
    def threshold(self) -> float:
        """Of the signal, in units of the face's noise: what a movement must exceed now."""
        return self._settings.threshold

    def tune(self, threshold: float) -> None:
        """Ask for more or for less of a movement from the next frame on. Live only: a replay must not be tuned."""
        self._settings = msgspec.structs.replace(self._settings, threshold=threshold)
        for face in self._faces.values():
            face.tune(self._settings)

    def push(self, frame: AlignedFrame) -> list[Candidate]:
        """What this frame makes known, oldest first."""
        candidates: list[Candidate] = []
        step_ns, lost, rate_hz = self._watch_time(frame)
        flaws = self._flaws(frame, rate_hz)
        if step_ns > self._settings.lost_ms * NS_PER_MS and (lost or _late(step_ns, rate_hz)):
            candidates += self._drop(set(self._faces), "gap")
        for face in frame.faces:
            spotter = self._faces.get(face.track)
            if spotter is None:
                spotter = self._faces[face.track] = FaceSpotter(self._settings, self._hello, face.track)
            unseen_ns = 0 if spotter.seen_ns is None else frame.moment.t_ns - spotter.seen_ns
            gap = lost or _late(unseen_ns, rate_hz)
            candidates += spotter.push(frame, face, (*flaws, "gap") if gap else flaws, rate_hz)
        oldest_ns = frame.moment.t_ns - self._settings.lost_ms * NS_PER_MS
        candidates += self._drop(
            {k for k, f in self._faces.items() if f.seen_ns is not None and f.seen_ns < oldest_ns}, "face_lost"
        )
        self.trace = tuple(self._row(frame, face.track) for face in frame.faces)
        return candidates

    def finish(self, end: EndOfStream) -> list[Candidate]:
        """Close what is open at the end of the stream."""
        return [
            msgspec.structs.replace(c, quality=tuple(sorted({*c.quality, *end.quality})))
            for c in self._drop(set(self._faces), "interrupted" if "interrupted" in end.quality else "end_of_stream")
        ]

    def _drop(self, tracks: set[int], reason: str) -> list[Candidate]:
        return [c for track in sorted(tracks) for c in self._faces.pop(track).stop(reason)]

    def _watch_time(self, frame: AlignedFrame) -> tuple[int, bool, float | None]:
        """Time since the last frame, whether messages were lost in between, and frames per second before it.

        The rate is as announced while too few frames have come to tell.
        """
        last, self._last = self._last, frame
        rate_hz = self._hello.rate_hz
        if len(self._periods_ns) > _PERIODS // 4:
            rate_hz = NS_PER_SECOND / max(float(median(np.array(self._periods_ns))), 1.0)
        if last is None:
            return 0, frame.seq > 0, rate_hz  # a worker that joins, or comes back, missed what was before
        step_ns = frame.moment.t_ns - last.moment.t_ns
        self._periods_ns.append(step_ns)
        return step_ns, frame.seq != last.seq + 1, rate_hz

    def _flaws(self, frame: AlignedFrame, rate_hz: float | None) -> tuple[str, ...]:
        slow = rate_hz is not None and rate_hz < self._settings.low_rate_hz
        return (
            (*self._hello.quality, *frame.quality, "low_frame_rate") if slow else (*self._hello.quality, *frame.quality)
        )

    def _row(self, frame: AlignedFrame, track: int) -> TraceRow:
        spotter = self._faces[track]
        machine = spotter.machine
        skipped = spotter.used_ns != frame.moment.t_ns
        return TraceRow(
            frame=frame.moment.frame,
            t_ns=frame.moment.t_ns,
            face=track,
            signal=machine.signal,
            threshold=self._settings.threshold,
            motion_px=machine.motion_px,
            state=machine.state,
            doubt=None if skipped else machine.doubt,
            refused=None if skipped else machine.refused,
            quality=("skipped",) if skipped else tuple(sorted(set(machine.quality))),
            regions=dict(zip(NAMES, machine.strengths.tolist(), strict=True)),
        )


def _place(face: Face) -> np.ndarray:
    """Where the head is in the source picture, in crop px of its present size."""
    scale = float(np.hypot(face.transform[0, 0], face.transform[1, 0]))
    middle = np.linalg.solve(face.transform[:, :2], np.array([120.0, 84.0]) - face.transform[:, 2])
    return middle * scale


def _late(step_ns: int, rate_hz: float | None) -> bool:
    """Whether a time between two frames means that one is missing."""
    return rate_hz is not None and step_ns > _GAP * NS_PER_SECOND / rate_hz
