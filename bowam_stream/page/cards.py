"""One event in words: what a card on the page says. Everything here becomes text in the browser, never HTML."""

import datetime
from typing import Any

from bowam_stream.clock import NS_PER_MS, to_ms
from bowam_stream.events.judgements import Judgement
from bowam_stream.messages import Event, Moment
from bowam_stream.page.entries import style_of_phase
from bowam_stream.report.filters import since_start
from bowam_stream.report.pictures import EventPictures
from bowam_stream.report.timeline import style_of
from bowam_stream.report.words import KINDS, QUALITY, REASONS, plain

CONSENT = {True: "the people in view agreed", False: "the people in view did not agree, or were not asked"}


def card(
    event: Event,
    *,
    judgement: Judgement | None = None,
    pictures: EventPictures | None = None,
    pictured: bool = False,
    faces: bool = False,
    announced: bool = False,
    base_ns: int = 0,
) -> dict[str, Any]:
    """What the browser gets of an event, ready for JSON.

    `announced`: it was provisional before; `pictured`: there are pictures, of which `pictures` may not be drawn yet;
    `faces`: also those of the face; `base_ns`: the moment that times in ms count from.
    """
    end = event.offset
    return {
        "id": event.event_id,
        "camera": event.camera,
        "phase": event.phase,
        "style": style_of_phase(event.phase, event.kind, event.label),
        "title": title(event),
        "confidence": None if event.confidence is None else f"{event.confidence:.0%}",
        "note": phase_words(event, announced=announced),
        "when": when(event.apex),
        "utc": event.apex.utc_ns is not None,
        "date": date(event.apex),
        "duration": None if end is None else f"{to_ms(end.t_ns) - to_ms(event.onset.t_ns)} ms",
        "times": [
            (name, when(moment))
            for name, moment in (("onset", event.onset), ("apex", event.apex), ("offset", end))
            if moment
        ],
        "bars": [
            (label, round(100 * share, 1), "refused" if label == "none" else style_of("micro", label))
            for label, share in sorted((event.probabilities or {}).items(), key=lambda item: -item[1])
        ],
        "facts": facts(event),
        "mind": [plain(word, QUALITY) for word in event.quality],
        "span": [
            round((moment.t_ns - base_ns) / NS_PER_MS, 1) for moment in (event.onset, event.apex, end or event.apex)
        ],
        "pictures": shown(pictures, faces=faces) if pictured else None,
        "judged": None if judgement is None else judged(judgement),
    }


def title(event: Event) -> str:
    """Label, kind, or what became of it."""
    if event.phase == "retracted":
        return "withdrawn"
    if event.phase == "provisional":
        return "movement"
    return event.label or plain(event.kind or "", KINDS)


def phase_words(event: Event, *, announced: bool) -> str:
    """What a person should know of how certain it is."""
    if event.phase == "provisional":
        return "Provisional: the apex has passed, its end is awaited."
    if event.phase == "retracted":
        why = plain(event.reason, REASONS) if event.reason else "No reason was given."
        return f"Withdrawn: {why}"
    kind = plain(event.kind or "", KINDS)
    return f"Final: a {kind}." if announced else f"A {kind}."


def facts(event: Event) -> list[tuple[str, str]]:
    """Names and values, for a list."""
    found = [("score", f"{event.spotting_score:.1f} × noise"), ("frames", _frames(event)), ("face", str(event.face))]
    if event.delivery is not None and event.delivery.latency_ms is not None:
        found.append(("latency", f"{event.delivery.latency_ms:.0f} ms"))
    if event.consent is not None:
        found.append(("consent", CONSENT[event.consent]))
    return found


def _frames(event: Event) -> str:
    return f"{event.onset.frame} – {event.apex.frame} – {'?' if event.offset is None else event.offset.frame}"


def shown(pictures: EventPictures | None, *, faces: bool) -> dict[str, Any]:
    """Which pictures there are, to be fetched one by one, and what stands below them once they are drawn."""
    if pictures is None:
        return {"faces": faces, "flow": "flow", "strain": "strain"}
    return {
        "faces": bool(pictures.apex),
        "flow": f"flow ≤ {pictures.largest_px:.1f} px, arrows ×{pictures.magnification}",
        "strain": f"strain ≤ {100 * pictures.largest_strain:.1f}%",
    }


def judged(judgement: Judgement) -> dict[str, Any]:
    """A judgement on its card."""
    return {
        "verdict": judgement.verdict,
        "label": judgement.label or "",
        "note": judgement.note,
        "by": judgement.by,
        "at": utc_words(judgement.judged_utc_ns),
    }


def when(moment: Moment) -> str:
    """Time of day in UTC to the millisecond where it is known, else time from the start."""
    return since_start(moment.t_ns) if moment.utc_ns is None else utc_words(moment.utc_ns)[11:]


def date(moment: Moment) -> str:
    """The day, where it is known."""
    return "" if moment.utc_ns is None else utc_words(moment.utc_ns)[:10]


def utc_words(utc_ns: int) -> str:
    """`2026-11-23 09:30:00.123`; a time that no calendar knows is a number."""
    whole_s, ms = divmod(to_ms(utc_ns), 1000)
    try:
        whole = datetime.datetime.fromtimestamp(whole_s, datetime.UTC)
    except (OverflowError, ValueError, OSError):
        return f"{utc_ns} ns"
    return f"{whole:%Y-%m-%d %H:%M:%S}.{ms:03d}"
