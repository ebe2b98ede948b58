"""Parts of a long recording, and how what was seen in them becomes one story.

A recording is cut where a leg begins (see `bowam_model.face.legs`). Who watches a part begins a few legs before it, and
has forgotten by then where it began: in the last of these legs every face, every signal and every candidate is the
same, bit for bit, as for who watched the part before. `join` checks just that, so that joined parts tell what one
watcher of the whole tells; where they do not agree, whoever watched the first has to go on over the second's part.
"""

from collections.abc import Hashable, Iterable
from typing import Any, TypeVar

import msgspec
import numpy as np

from bowam_stream.messages import Candidate, Hello, Moment, event_id

T = TypeVar("T", bound=Hashable)

LEAD_LEGS = 3  # alignments come to agree in the first, the spotter in the second, the third is compared

_NAMED_FRAMES = 4_096  # around an onset: an event is named after its first estimate


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """A stretch of a recording: the frames from `begin` on and before `end` (None: to the last one)."""

    path: str
    camera: str
    begin: int = 0
    end: int | None = None


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """A candidate, and the frame that decided it; None: the end of the recording did."""

    frame: int | None
    candidate: Candidate


class Leg(msgspec.Struct, frozen=True, kw_only=True):
    """One leg as a watcher saw it, to be compared with another's."""

    prints: tuple[bytes, ...]  # of every frame: its faces and the spotter's figures, but not how faces are numbered
    tracks: tuple[tuple[int, ...], ...]  # of every frame, in the order of its faces
    told: tuple[Told, ...]
    next_track: int  # what the next new face is numbered


class Watched(msgspec.Struct, frozen=True, kw_only=True):
    """What was seen in a part."""

    part: Part
    hello: Hello
    told: tuple[Told, ...]
    frames: int
    frames_with_face: int
    tracks: tuple[int, ...]  # faces that were followed
    duration_ns: int  # media time of the last frame
    quality: tuple[str, ...]  # what decoding found wrong
    before: Leg  # the leg before the part; without frames where there is none
    last: Leg  # its last leg

    def to_bytes(self) -> bytes:
        """For a file, or for the way between two processes."""
        return msgspec.msgpack.encode(self, enc_hook=_from_array)

    @classmethod
    def from_bytes(cls, data: bytes) -> "Watched":
        """The same again. Raises ValueError (msgspec's are such) where it is damaged."""
        return msgspec.msgpack.decode(data, type=cls, dec_hook=_to_array)


def join(first: Watched, second: Watched) -> Watched | None:
    """Both parts as one watcher would have seen them; None where they do not agree about the leg before the second.

    Whoever watched the second may number faces otherwise: the first's numbers hold. Raises ValueError if the second
    does not follow the first in the same recording.
    """
    if first.part.end is None or first.part.end != second.part.begin or first.hello != second.hello:
        raise ValueError("the second part does not follow the first")
    names = _Names.of(first, second)
    if names is None or [_said(one) for one in first.last.told] != [_said(names.told(t)) for t in second.before.told]:
        return None
    quality = _union(first.quality, second.quality)
    last = second.last
    return Watched(
        part=msgspec.structs.replace(first.part, end=second.part.end),
        hello=first.hello,
        told=(*first.told, *(_flawed(names.told(one), quality) for one in second.told)),
        frames=first.frames + second.frames,
        frames_with_face=first.frames_with_face + second.frames_with_face,
        tracks=_union(first.tracks, (names.track(one) for one in second.tracks)),
        duration_ns=second.duration_ns,
        quality=quality,
        before=first.before,
        last=Leg(
            prints=last.prints,
            tracks=tuple(tuple(names.track(one) for one in frame) for frame in last.tracks),
            told=tuple(names.told(one) for one in last.told),
            next_track=names.track(last.next_track),
        ),
    )


class _Names:
    """From the second watcher's numbers of faces, and names of events, to the first's."""

    def __init__(self, known: dict[int, int], later: int) -> None:
        self._known, self._later = known, later
        self._events: dict[str, str] = {}

    @classmethod
    def of(cls, first: Watched, second: Watched) -> "_Names | None":
        """None where the two saw something else in the leg that both have seen."""
        ours, theirs = first.last, second.before
        if not theirs.prints or ours.prints != theirs.prints:
            return None
        pairs = {pair for a, b in zip(theirs.tracks, ours.tracks, strict=True) for pair in zip(a, b, strict=True)}
        known = dict(sorted(pairs))
        if len(known) < len(pairs) or list(known.values()) != sorted(set(known.values())):
            return None  # not one to one, or not in the same order, in which faces that end together are told
        return cls(known, ours.next_track - theirs.next_track)

    def track(self, number: int) -> int:
        return self._known.get(number, number + self._later)

    def told(self, one: Told) -> Told:
        """Renamed."""
        face = self.track(one.candidate.face)
        if face == one.candidate.face:
            return one
        candidate = msgspec.structs.replace(one.candidate, face=face, event_id=self._event(one.candidate, face))
        return msgspec.structs.replace(one, candidate=candidate)

    def _event(self, candidate: Candidate, face: int) -> str:
        """Its name follows from the face and from the frame of the onset, as it was estimated first."""
        old = candidate.event_id
        if old not in self._events:
            named = (candidate.camera, candidate.session)
            nearest = sorted(range(-_NAMED_FRAMES, _NAMED_FRAMES), key=abs)
            moments = (Moment(frame=candidate.onset.frame + step, t_ns=0) for step in nearest)
            onset = next((m for m in moments if event_id(*named, candidate.face, m) == old), None)
            self._events[old] = old if onset is None else event_id(*named, face, onset)
        return self._events[old]


def _said(one: Told) -> Told:
    """What two watchers must agree about: all but the pictures, which follow from the crops."""
    return msgspec.structs.replace(one, candidate=msgspec.structs.replace(one.candidate, triple=None))


def _flawed(one: Told, quality: tuple[str, ...]) -> Told:
    """What the end of the recording decided bears everything that was wrong with it."""
    if one.frame is not None:
        return one
    words = tuple(sorted({*one.candidate.quality, *quality}))
    return msgspec.structs.replace(one, candidate=msgspec.structs.replace(one.candidate, quality=words))


def _union(*parts: Iterable[T]) -> tuple[T, ...]:
    """Each once, in the order of its first place."""
    return tuple(dict.fromkeys(one for part in parts for one in part))


def _from_array(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return (value.dtype.str, value.shape, np.ascontiguousarray(value).data)
    raise NotImplementedError(f"{type(value)} can't be written")


def _to_array(kind: type, value: Any) -> Any:
    if kind is not np.ndarray:
        raise NotImplementedError(f"{kind} can't be read")
    dtype, shape, data = value
    if np.dtype(dtype).hasobject:
        raise ValueError("an array of objects is not data")
    return np.frombuffer(data, np.dtype(dtype)).reshape(shape)
