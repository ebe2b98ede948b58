"""Events as the page shows them: a row of the table each, and a card with pictures for what the network looked at."""

from collections.abc import Collection, Iterable, Mapping, Sequence

import msgspec
import numpy as np

from bowam_stream.clock import NS_PER_SECOND, to_ms
from bowam_stream.events.judgements import Judgement
from bowam_stream.messages import Event
from bowam_stream.report.matching import Match, Score
from bowam_stream.report.sparkline import Sparkline, sparkline
from bowam_stream.report.timeline import axis_ms, style_of
from bowam_stream.report.trace import Trace
from bowam_stream.report.words import KINDS, REASONS, plain

MAX_LISTED = 4_000  # rows of the table and bars of the timeline: up to 1.2 kB each
ROW_POINTS = 30  # of the signal in a row of the table
ZOOM_S = 1.5  # shown around an event in the timeline
NOT_AN_EXPRESSION = "none"


class Probability(msgspec.Struct, frozen=True, kw_only=True):
    """One bar of a prediction."""

    label: str
    share: float
    style: str


class Card(msgspec.Struct, frozen=True, kw_only=True):
    """One event as the page shows it."""

    event: Event
    anchor: str
    group: str  # by which the table is filtered: micro, macro, blink, refused or open
    style: str
    title: str  # label, kind or "refused"
    onset_s: float
    duration_ms: float | None  # None: it never ended
    probabilities: tuple[Probability, ...]
    quality: tuple[str, ...]  # words that don't hold for the whole run, which stand at the top
    reason: str
    truth: Match | str | None  # a match, or what else there is to say beside the truth
    judgement: Judgement | None
    zoom_ms: tuple[float, float]  # the movement and what surrounds it, on the timeline's axis
    spark: Sparkline | None  # of the table


def settled(events: Iterable[Event]) -> tuple[Event, ...]:
    """One record per movement, by onset: the closing one, or the provisional one where the run ended before."""
    last: dict[str, Event] = {}
    for event in events:
        if event.event_id not in last or event.phase != "provisional":
            last[event.event_id] = event
    return tuple(sorted(last.values(), key=by_time))


def by_time(event: Event) -> tuple[int, int, int]:
    """The order of the page."""
    return event.onset.t_ns, event.face, event.seq


def by_weight(event: Event) -> tuple[bool, int, float, float, int]:
    """What is shown first where not everything has room: final before refused, micro before macro before blink, the
    most confident and the strongest first."""
    kind = ("micro", "macro", "blink").index(event.kind) if event.kind else 3
    return event.phase != "final", kind, -(event.confidence or 0.0), -event.spotting_score, event.seq


def card(
    event: Event,
    trace: Trace,
    *,
    result: Score | None,
    known: Collection[str],
    judgements: Mapping[str, Judgement],
) -> Card:
    """`known` are the words of quality that hold for the whole run."""
    group = "refused" if event.phase == "retracted" else event.kind or "open"
    if event.phase == "retracted":
        title = "refused"
    elif event.phase == "provisional":
        title = "not finished"
    else:
        title = event.label or plain(event.kind or "", KINDS)
    last = event.offset or event.apex
    first_ms, last_ms = axis_ms(np.array([event.onset.t_ns, last.t_ns]) / NS_PER_SECOND + [-ZOOM_S, ZOOM_S]).tolist()
    return Card(
        event=event,
        anchor=f"event-{event.event_id}",
        group=group,
        style="refused" if event.phase == "retracted" else style_of(event.kind, event.label),
        title=title,
        onset_s=event.onset.t_ns / NS_PER_SECOND,
        duration_ms=None if event.offset is None else to_ms(event.offset.t_ns) - to_ms(event.onset.t_ns),
        probabilities=tuple(
            Probability(
                label=label, share=share, style="refused" if label == NOT_AN_EXPRESSION else style_of("micro", label)
            )
            for label, share in sorted((event.probabilities or {}).items())
        ),
        quality=tuple(word for word in event.quality if word not in known),
        reason=plain(event.reason, REASONS) if event.reason else "",
        truth=_beside_truth(event, result),
        judgement=judgements.get(event.event_id),
        zoom_ms=(first_ms, last_ms),
        # The signal leaves the eyes out: of a blink it shows nothing.
        spark=None if event.kind == "blink" else sparkline(trace, event, points=ROW_POINTS),
    )


def listed(events: Sequence[Event], most: int = MAX_LISTED) -> tuple[Event, ...]:
    """At most so many, the weightiest, by time."""
    return tuple(events) if len(events) <= most else tuple(sorted(sorted(events, key=by_weight)[:most], key=by_time))


def pictured(cards: Iterable[Card]) -> list[Card]:
    """Those that the network looked at, so that there are pictures; the weightiest first."""
    return sorted((card for card in cards if card.probabilities), key=lambda card: by_weight(card.event))


def _beside_truth(event: Event, result: Score | None) -> Match | str | None:
    if result is None or event.phase != "final" or event.kind != "micro":
        return None
    match = next((match for match in result.found if match.event is event), None)
    return match or "false alarm: nothing there"
