"""Who does what next, until every recording is done or has failed.

First all recordings are surveyed. Then their parts are watched; as soon as a recording's parts are all there it is
recognised, before any further part is begun, so that recordings finish one after the other and what waits on disk stays
small. Whatever is on the shelf already is not done again. A failure ends its recording and nothing else.
"""

import os
import re
import time
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import msgspec

from bowam_model.work import Engine, Outcome, Piece
from bowam_stream.clock import NS_PER_SECOND
from bowam_stream.config import Config
from bowam_stream.corpus.listing import Entry
from bowam_stream.corpus.pieces import (
    Apart,
    Finding,
    Shared,
    recognise_piece,
    settings_of,
    survey_piece,
    watch_piece,
)
from bowam_stream.corpus.places import Stamp, stamp
from bowam_stream.corpus.shelf import Kept, Shelf, piece_name
from bowam_stream.errors import SourceError, one_line
from bowam_stream.pipeline.watching import Surveyed
from bowam_stream.report.origin import versions

Span = tuple[int, int | None]
"""Frames of a part: the first, and the one behind the last."""

DECIDE = frozenset({"bowam-stream", "mediapipe", "opencv-contrib-python", "torch", "openvino", "numpy", "av"})
"""Packages whose version is part of a piece's name."""

TELL_EVERY_S = 0.5
GPU_BATCH = 16  # micro-expressions that a GPU sees at a time; a processor sees one, as in a replay

_OURS = re.compile(r"bowam_(?:stream|model)\.errors\.\w+: ")  # a message for people follows


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """Why a recording has no events. It is tried again by the next run."""

    stage: str  # list, survey, watch, recognise
    reason: str  # one line
    span: Span | None = None  # of the part that failed


class Recording(msgspec.Struct, kw_only=True):
    """One recording of a run, and how far it is."""

    entry: Entry
    stamp: Stamp | None = None
    surveyed: Surveyed | None = None
    spans: list[Span] = []  # its parts, in order
    missing: set[Span] = set()  # those that are not watched yet
    watched: set[Span] = set()  # those that were ever parts, also before they came apart
    done: bool = False
    failure: Failure | None = None

    @property
    def length_s(self) -> float:
        """Of the recording, as far as its survey tells."""
        if self.surveyed is None:
            return 0.0
        if self.surveyed.duration_ns is not None:
            return self.surveyed.duration_ns / NS_PER_SECOND
        return (self.surveyed.frames or 0) / self.surveyed.rate_hz if self.surveyed.rate_hz else 0.0

    def length_of(self, span: Span) -> float:
        """Of a part, in seconds: its share of the frames."""
        frames = (self.surveyed.frames if self.surveyed else None) or 1
        return self.length_s * ((span[1] or frames) - span[0]) / frames


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """How far a run is."""

    stage: str  # survey, watch
    recordings: int
    done: int
    failed: int
    parts: int = 0
    parts_done: int = 0
    media_s: float = 0.0  # of all recordings
    media_left_s: float = 0.0  # of that, what is not watched yet


OnStanding = Callable[[Standing], None]


class Run:
    """One run over a corpus."""

    def __init__(
        self,
        entries: Sequence[Entry],
        config: Config,
        shelf: Shelf,
        engine: Engine,
        *,
        segment_s: float,
        gpus: float = 0.0,
        on_standing: OnStanding = lambda standing: None,
    ) -> None:
        """`segment_s`: how long a part is at least, 0: never cut; `gpus`: the share of a GPU of whoever recognises."""
        self.recordings = [Recording(entry=entry) for entry in entries]
        self._config, self._shelf, self._engine = config, shelf, engine
        self._segment_s, self._gpus, self._batch = segment_s, gpus, GPU_BATCH if gpus else 1
        self._on_standing = on_standing
        self._shared = (Shared(config=config, weights=config.weights_digest()),)
        self._versions = tuple(one for one in versions() if one[0] in DECIDE)
        self._digest = cache(lambda rate_hz, consent: self._digest_of(rate_hz, consent))
        self._told_s = -TELL_EVERY_S

    def survey(self) -> None:
        """Find out what each recording is."""
        waiting: dict[str, Recording] = {}
        for recording in self.recordings:
            try:
                recording.stamp = recording.entry.stamp or stamp(recording.entry.path)
            except SourceError as error:
                recording.failure = Failure(stage="list", reason=str(error))
                continue
            if not self._take_survey(recording, self._shelf.get(self._survey_name(recording))):
                waiting[f"survey {recording.entry.camera}"] = recording
        self._tell("survey", now=True)

        def on_done(outcome: Outcome) -> None:
            recording = waiting[outcome.key]
            if outcome.failure is not None:
                recording.failure = Failure(stage="survey", reason=_reason(outcome.failure))
            else:
                self._shelf.put(self._survey_name(recording), outcome.value)
                self._take_survey(recording, outcome.value)
            self._tell("survey")

        pieces = [Piece(key, survey_piece, (one.entry,), gpus=0.0) for key, one in waiting.items()]
        if pieces:
            self._engine.run(pieces, shared=self._shared, on_done=on_done, keep=False)

    def watch(self) -> None:
        """Watch and recognise whatever is not done."""
        left: list[Recording] = []
        for recording in self.recordings:
            if recording.surveyed is None:
                continue
            if self.finding(recording) is not None:
                recording.done = True
                continue
            recording.spans = list(recording.surveyed.cuts(self._segment_s))
            recording.missing = {
                span for span in recording.spans if self._shelf.get(self._watch_name(recording, span)) is None
            }
            recording.watched = set(recording.spans)
            left.append(recording)
        self._tell("watch", now=True)
        by_key = {recording.entry.camera: recording for recording in self.recordings}

        def on_done(outcome: Outcome) -> list[Piece]:
            what, camera, where = outcome.key.split(" ")
            recording = by_key[camera]
            following = (
                self._watched(recording, _span(where), outcome)
                if what == "watch"
                else self._recognised(recording, outcome)
            )
            self._tell("watch")
            return following

        # Long parts first, so that none is begun when all others are done; but a recording's follow each other.
        left.sort(key=lambda one: -max(map(one.length_of, one.missing), default=0.0))
        pieces = [piece for recording in left for piece in self._next(recording)]
        if pieces:
            self._engine.run(pieces, shared=self._shared, on_done=on_done, keep=False)

    def finding(self, recording: Recording) -> Finding | None:
        """What came of a recording, from the shelf."""
        content = self._shelf.get(self._finding_name(recording)) if recording.surveyed else None
        return None if content is None else _decoded(content, Finding)

    def _watched(self, recording: Recording, span: Span, outcome: Outcome) -> list[Piece]:
        if outcome.failure is not None:
            if recording.failure is None:
                recording.failure = Failure(stage="watch", reason=_reason(outcome.failure), span=span)
            self._shelf.drop(self._survey_name(recording))  # it may have been another recording's
            return []
        self._shelf.put(self._watch_name(recording, span), outcome.value)
        recording.missing.discard(span)
        return [] if recording.missing or recording.failure else [self._recognise_piece(recording)]

    def _recognised(self, recording: Recording, outcome: Outcome) -> list[Piece]:
        if outcome.failure is not None:
            recording.failure = Failure(stage="recognise", reason=_reason(outcome.failure))
            return []
        if apart := _decoded(outcome.value, Apart):
            return self._watch_on(recording, apart)
        self._shelf.put(self._finding_name(recording), outcome.value)
        recording.done = True
        for span in recording.watched:
            self._shelf.drop(self._watch_name(recording, span))
        return []

    def _watch_on(self, recording: Recording, apart: Apart) -> list[Piece]:
        """Let who watched the first of two parts go on over the second."""
        for first in reversed(apart.pairs):
            one, other = recording.spans[first : first + 2]
            span = (one[0], other[1])
            recording.spans[first : first + 2] = [span]
            if self._shelf.get(self._watch_name(recording, span)) is None:
                recording.missing.add(span)
        recording.watched.update(recording.spans)
        return self._next(recording)

    def _next(self, recording: Recording) -> list[Piece]:
        """What is to be done for a recording: what is missing, or recognition."""
        if not recording.missing:
            return [self._recognise_piece(recording)]
        return [self._watch_piece(recording, span) for span in recording.spans if span in recording.missing]

    def _take_survey(self, recording: Recording, content: bytes | None) -> bool:
        recording.surveyed = None if content is None else _decoded(content, Surveyed)
        return recording.surveyed is not None

    def _watch_piece(self, recording: Recording, span: Span) -> Piece:
        surveyed = _known(recording)
        arguments = (recording.entry, surveyed.digest, surveyed.session, *span)
        where = f"{span[0]}:{'' if span[1] is None else span[1]}"
        return Piece(f"watch {recording.entry.camera} {where}", watch_piece, arguments, gpus=0.0)

    def _recognise_piece(self, recording: Recording) -> Piece:
        parts = [Kept(self._shelf, self._watch_name(recording, span)) for span in recording.spans]
        arguments = (recording.entry, self._batch, *parts)
        key = f"recognise {recording.entry.camera} {len(parts)}"  # fewer each time that parts were apart
        return Piece(key, recognise_piece, arguments, gpus=self._gpus)

    def _survey_name(self, recording: Recording) -> str:
        entry, path = recording.entry, os.fsencode(recording.entry.path)
        return piece_name("survey", self._versions, path, recording.stamp, self._digest(entry.rate_hz, entry.consent))

    def _watch_name(self, recording: Recording, span: Span) -> str:
        return piece_name("watch", self._versions, *self._identity(recording), span)

    def _finding_name(self, recording: Recording) -> str:
        return piece_name("events", self._versions, *self._identity(recording), self._batch)

    def _identity(self, recording: Recording) -> tuple[str, str, str]:
        """Content, content with settings, and the name in the events."""
        surveyed = _known(recording)
        return surveyed.digest, surveyed.session, recording.entry.camera

    def _digest_of(self, rate_hz: float | None, consent: bool | None) -> str:
        entry = Entry(path="", name="", camera="", rate_hz=rate_hz, consent=consent)
        return settings_of(self._config, entry).digest()

    def _tell(self, stage: str, *, now: bool = False) -> None:
        """Say how far the run is; counting thousands of recordings takes time, so not with each outcome."""
        if not now and time.monotonic() - self._told_s < TELL_EVERY_S:
            return
        going_on = [one for one in self.recordings if one.failure is None]
        standing = Standing(
            stage=stage,
            recordings=len(self.recordings),
            done=sum(one.done if stage == "watch" else one.surveyed is not None for one in self.recordings),
            failed=len(self.recordings) - len(going_on),
            parts=sum(len(one.spans) for one in self.recordings),
            parts_done=sum(len(one.spans) - len(one.missing) for one in self.recordings),
            media_s=sum(one.length_s for one in self.recordings),
            media_left_s=sum(one.length_of(span) for one in going_on for span in one.missing),
        )
        self._on_standing(standing)
        self._told_s = time.monotonic()


def _known(recording: Recording) -> Surveyed:
    assert recording.surveyed is not None, "it was surveyed"
    return recording.surveyed


def _span(text: str) -> Span:
    begin, _, end = text.partition(":")
    return int(begin), int(end) if end else None


def _reason(failure: str) -> str:
    """The last line of a traceback; of our own errors, what they say."""
    lines = [line.strip() for line in failure.splitlines() if line.strip()]
    last = lines[-1] if lines else "no reason was given"
    return one_line(_OURS.sub("", last, count=1))


def _decoded(content: bytes, kind: type) -> Any:
    try:
        return msgspec.msgpack.decode(content, type=kind)
    except msgspec.MsgspecError:
        return None
