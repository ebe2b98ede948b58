"""Why movements were refused: those that were announced and taken back, and those that were never announced."""

from collections.abc import Iterable, Sequence

import msgspec

from bowam_stream.clock import NS_PER_SECOND
from bowam_stream.messages import Event
from bowam_stream.report.trace import Unannounced
from bowam_stream.report.words import REASONS, plain

MAX_LISTED = 1_000  # the strongest


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """One movement that is no event."""

    start_s: float
    end_s: float
    reason: str
    face: int
    peak: float  # of the motion, in units of this face's noise at rest
    event_id: str = ""  # of one that was announced

    @property
    def words(self) -> str:
        return plain(self.reason, REASONS)

    @property
    def duration_ms(self) -> float:
        return 1000.0 * (self.end_s - self.start_s)


class Reason(msgspec.Struct, frozen=True, kw_only=True):
    """How often one reason was given."""

    reason: str
    words: str
    taken_back: int
    unannounced: int


def refusals(events: Iterable[Event], unannounced: Iterable[Unannounced]) -> tuple[Refusal, ...]:
    """All movements that were refused, by time."""
    taken_back = [
        Refusal(
            start_s=event.onset.t_ns / NS_PER_SECOND,
            end_s=(event.offset or event.apex).t_ns / NS_PER_SECOND,
            reason=event.reason or "unknown",
            face=event.face,
            peak=event.spotting_score,
            event_id=event.event_id,
        )
        for event in events
        if event.phase == "retracted"
    ]
    never = [
        Refusal(start_s=one.start_s, end_s=one.end_s, reason=one.reason, face=one.face, peak=one.peak)
        for one in unannounced
    ]
    return tuple(sorted([*taken_back, *never], key=lambda one: (one.start_s, one.face, one.event_id)))


def by_reason(refused: Sequence[Refusal]) -> tuple[Reason, ...]:
    """The most frequent reason first."""
    words = {one.reason for one in refused}
    counted = [
        Reason(
            reason=word,
            words=plain(word, REASONS),
            taken_back=sum(one.reason == word and bool(one.event_id) for one in refused),
            unannounced=sum(one.reason == word and not one.event_id for one in refused),
        )
        for word in words
    ]
    return tuple(sorted(counted, key=lambda one: (-one.taken_back - one.unannounced, one.reason)))


def strongest(refused: Sequence[Refusal], most: int = MAX_LISTED) -> tuple[Refusal, ...]:
    """At most so many, the strongest, by time."""
    if len(refused) <= most:
        return tuple(refused)
    return tuple(
        sorted(sorted(refused, key=lambda one: -one.peak)[:most], key=lambda one: (one.start_s, one.face, one.event_id))
    )
