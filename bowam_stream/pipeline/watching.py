"""A recording, or a part of it, through the stages in this very process: one piece of a large job.

surveyed = survey("interview.mp4", config)
watched = [watch(Part(path="interview.mp4", camera="c", begin=b, end=e), config) for b, e in surveyed.cuts(900)]
whole = functools.reduce(join, watched)
events = recognise(whole, load())
"""

import hashlib
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import cv2
import msgspec
import numpy as np

from bowam_model.face import FaceAligner
from bowam_stream.capture import FaceStage, Source, open_source
from bowam_stream.capture.recording import Recording
from bowam_stream.clock import LEG_NS, NS_PER_SECOND
from bowam_stream.config import Config
from bowam_stream.errors import SourceError
from bowam_stream.messages import AlignedFrame, EndOfStream, Event, Hello
from bowam_stream.pipeline.capturing import session_of
from bowam_stream.pipeline.parts import LEAD_LEGS, Leg, Part, Told, Watched
from bowam_stream.spotting import Spotter, TraceRow
from bowam_stream.worker.recogniser import Predictor, Recogniser


class Surveyed(msgspec.Struct, frozen=True, kw_only=True):
    """What a recording is, before anybody looks at a face."""

    name: str
    digest: str  # sha256 of its content
    session: str
    rate_hz: float | None
    frames: int | None
    duration_ns: int | None  # media time of its last frame; None where only decoding can tell
    quality: tuple[str, ...]
    legs: tuple[int, ...]  # first frame of every leg; only the first one where it can't be cut

    def cuts(self, every_s: float) -> list[tuple[int, int | None]]:
        """Parts (begin, end) of so many seconds, rounded to legs; 0 seconds, or a recording that can't be cut: one."""
        step = max(round(every_s * NS_PER_SECOND / LEG_NS), LEAD_LEGS)
        begins = list(self.legs[::step] if every_s > 0 else self.legs[:1])
        if len(begins) > 1 and len(self.legs) - self.legs.index(begins[-1]) < LEAD_LEGS:
            begins.pop()  # so short an end is not worth its lead-in
        return list(zip(begins, [*begins[1:], None], strict=True))


def survey(path: str, config: Config) -> Surveyed:
    """Read a recording once, without decoding it. Raises SourceError."""
    source = _opened(path, config)
    times_ns = source.times_ns if isinstance(source, Recording) else None
    return Surveyed(
        name=source.name,
        digest=source.digest or "",
        session=session_of(source, config),
        rate_hz=source.rate_hz,
        frames=source.frames,
        duration_ns=None if times_ns is None else int(times_ns[-1]),
        quality=source.quality,
        legs=_legs(source),
    )


def watch(part: Part, config: Config) -> Watched:
    """Find and follow the faces of a part, and what moves in them. Raises SourceError."""
    cv2.setNumThreads(1)
    source = _opened(part.path, config)
    legs = _legs(source)
    if part.begin not in legs or part.end not in (*legs, None):
        raise SourceError(f"{source.name}: no leg begins at frame {part.begin} or {part.end}: it is another recording")
    hello = Hello(
        camera=part.camera,
        session=session_of(source, config),
        source=source.name,
        rate_hz=source.rate_hz,
        frames=source.frames,
        lossless=True,
        quality=source.quality,
        consent=config.source.consent,
    )
    lead = legs[max(legs.index(part.begin) - LEAD_LEGS, 0)]
    compared = {*_leg_before(part.begin, legs), *_leg_before(part.end, legs)}
    rows: list[_Row] = []
    spotter = Spotter(config.spotting, hello)
    with FaceAligner(config.face) as aligner:
        stage = FaceStage(aligner, camera=hello.camera, session=hello.session, first_seq=lead)
        for frame in source.since(lead) if lead and isinstance(source, Recording) else source:
            number = frame.moment.frame
            if number == part.end:
                break
            aligned = stage.push(frame)
            told = tuple(Told(frame=number, candidate=candidate) for candidate in spotter.push(aligned))
            rows.append(_Row.of(aligned, told, _print(aligned, spotter.trace) if number in compared else b""))
    ended: tuple[Told, ...] = ()
    if part.end is None:
        end = EndOfStream(
            camera=hello.camera,
            session=hello.session,
            seq=stage.next_seq,
            frames=stage.next_seq,
            quality=tuple(source.late_quality),
        )
        ended = tuple(Told(frame=None, candidate=candidate) for candidate in spotter.finish(end))
    return _watched(part, hello, legs, rows, ended, source.late_quality)


def recognise(watched: Watched, predictor: Predictor, *, batch: int = 1) -> list[Event]:
    """The events, in the order in which they were told, with seq from 1.

    The network always sees `batch` micro-expressions at a time, the last one filled up, so that what it computes does
    not depend on how many there are. Raises ModelError.
    """
    recogniser = Recogniser(predictor)
    candidates = [one.candidate for one in watched.told]
    asked = [candidate for candidate in candidates if recogniser.asks(candidate)]
    named: list[Event] = []
    for start in range(0, len(asked), batch):
        some = asked[start : start + batch]
        named += recogniser.push_all([*some, *some[-1:] * (batch - len(some))])[: len(some)]
    answers = iter(named)
    events = (next(answers) if recogniser.asks(one) else recogniser.push(one) for one in candidates)
    return [msgspec.structs.replace(event, seq=seq) for seq, event in enumerate(events, start=1)]


class _Row(NamedTuple):
    """What is kept of a frame."""

    number: int
    t_ns: int
    tracks: tuple[int, ...]
    told: tuple[Told, ...]
    print: bytes

    @classmethod
    def of(cls, frame: AlignedFrame, told: tuple[Told, ...], print: bytes) -> "_Row":
        tracks = tuple(face.track for face in frame.faces)
        return cls(frame.moment.frame, frame.moment.t_ns, tracks, told, print)


def _watched(
    part: Part, hello: Hello, legs: Sequence[int], rows: list[_Row], ended: tuple[Told, ...], flaws: tuple[str, ...]
) -> Watched:
    own = [row for row in rows if row.number >= part.begin]
    if not own:
        raise SourceError(f"{hello.source}: not one frame can be decoded from frame {part.begin} on")
    return Watched(
        part=part,
        hello=hello,
        told=(*(one for row in own for one in row.told), *ended),
        frames=len(own),
        frames_with_face=sum(bool(row.tracks) for row in own),
        tracks=tuple(sorted({track for row in own for track in row.tracks})),
        duration_ns=own[-1].t_ns,
        quality=tuple(dict.fromkeys(flaws)),
        before=_leg(rows, _leg_before(part.begin, legs)),
        last=_leg(rows, _leg_before(part.end, legs)),
    )


def _leg(rows: Sequence[_Row], numbers: range) -> Leg:
    inside = [row for row in rows if row.number in numbers]
    tracks = (track for row in rows if row.number < numbers.stop for track in row.tracks)
    return Leg(
        prints=tuple(row.print for row in inside),
        tracks=tuple(row.tracks for row in inside),
        told=tuple(one for row in inside for one in row.told),
        next_track=max(tracks, default=-1) + 1,
    )


def _leg_before(frame: int | None, legs: Sequence[int]) -> range:
    """The frames of the leg that ends before this one; none before the first and after the last."""
    return range(legs[legs.index(frame) - 1], frame) if frame else range(0)


def _legs(source: Source) -> tuple[int, ...]:
    """First frame of every leg; only the first one where a leg is missing, or only decoding tells when frames are."""
    times_ns = source.times_ns if isinstance(source, Recording) else None
    if times_ns is None:
        return (0,)
    steps = np.diff(times_ns // LEG_NS)
    return (0, *(np.flatnonzero(steps) + 1).tolist()) if steps.max(initial=0) <= 1 else (0,)


def _print(frame: AlignedFrame, trace: Iterable[TraceRow]) -> bytes:
    """A digest of all that was seen in a frame, but for how its faces are numbered."""
    digest = hashlib.blake2b(msgspec.msgpack.encode((frame.moment, frame.quality)), digest_size=16)
    for face in frame.faces:
        for array in (face.crop, face.landmarks, face.transform):
            digest.update(np.ascontiguousarray(array).data)
        digest.update(msgspec.msgpack.encode(face.quality))
    for row in trace:
        digest.update(msgspec.msgpack.encode(msgspec.structs.replace(row, face=0)))
    return digest.digest()


def _opened(path: str, config: Config) -> Source:
    source = open_source(path, config.source)
    if source.live:
        raise SourceError(f"{path} is a camera and has no end; watch it with: bowam live --source")
    return source
