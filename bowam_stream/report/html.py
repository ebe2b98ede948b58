"""The report of a run: one HTML file that shows itself, without network, server or other files.

Everything that comes from outside (file names, labels, settings) goes through the template's escaping or into JSON
whose "<" is escaped; the page's content security policy forbids it to load anything.
"""

import platform
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import jinja2
import msgspec
import numpy as np
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from bowam_stream.clock import NS_PER_MS, NS_PER_SECOND
from bowam_stream.messages import Event, Kind, Model
from bowam_stream.report.files import written_whole
from bowam_stream.report.matching import Match, Score, TrueEvent, Truth, score
from bowam_stream.report.pictures import EventPictures, colour_wheel, event_pictures
from bowam_stream.report.record import Record
from bowam_stream.report.sparkline import Sparkline, sparkline
from bowam_stream.report.timeline import axis_ms, style_of, timeline
from bowam_stream.report.trace import Trace, read_trace
from bowam_stream.report.words import KINDS, QUALITY, REASONS, plain

MAX_PICTURED = 60  # events with pictures, the most confident ones: up to 70 kB each
LOW_RATE_HZ = 59.0  # below, a warning; 59.94 Hz is 60
PACKAGES = ("bowam-stream", "mediapipe", "opencv-contrib-python", "torch", "numpy", "av")
ZOOM_S = 1.5  # shown around an event in the timeline
NOT_AN_EXPRESSION = "none"

_templates = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent / "page"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


class Probability(msgspec.Struct, frozen=True, kw_only=True):
    """One bar of a prediction."""

    label: str
    share: float
    style: str


class Card(msgspec.Struct, frozen=True, kw_only=True):
    """One event as the page shows it."""

    event: Event
    anchor: str
    style: str
    title: str  # label, kind or "refused"
    onset_s: float
    duration_ms: float | None  # None: it never ended
    probabilities: tuple[Probability, ...]
    quality: tuple[str, ...]  # in plain words
    reason: str
    truth: Match | str | None  # a match, or what else there is to say beside the truth
    zoom_ms: tuple[float, float]  # the movement and what surrounds it, on the timeline's axis
    pictures: EventPictures | None = None
    spark: Sparkline | None = None


def write_report(
    path: Path,
    record: Record,
    events: Iterable[Event],
    *,
    truth: Truth | None = None,
    model: Model | None = None,
    settings: object = None,
) -> None:
    """Write the report of one run.

    `events` are those of the run's camera; `settings` anything that msgspec can turn into plain values, shown as a
    list; `model` which network stood by, if no event tells. Raises ReportError where the file can't be written.
    """
    trace = read_trace(record.frames())
    told = _settled(events)
    result = None if truth is None else score(truth, told)
    known = _quality(record, trace)
    cards = _with_pictures([_card(event, result, known) for event in told], record, trace)
    model = model or next((event.model for event in told if event.model is not None), None)
    page = _templates.get_template("report.html.jinja").render(
        hello=record.hello,
        trace=trace,
        tiles=_tiles(trace, told, result),
        warnings=_warnings(record, trace, told, known),
        cards=[card for card in cards if card.pictures is not None],
        rows=cards,
        unpictured=sum(1 for c in cards if c.event.kind == "micro" and c.pictures is None and c.event.phase == "final"),
        refused=_by_reason(told, trace.unannounced),
        truth=truth,
        score=result,
        model=model,
        settings=_flat(settings),
        versions=_versions(),
        wheel=colour_wheel(),
        figure=_json(timeline(trace, told, truth)),
        plotly=Markup(get_plotlyjs().replace("</script", "<\\/script")),
        style=Markup(_text("style.css")),
        script=Markup(_text("script.js")),
    )
    with written_whole(path) as part:
        part.write_text(page, encoding="utf-8")


def _settled(events: Iterable[Event]) -> tuple[Event, ...]:
    """One record per movement, by onset: the closing one, or the provisional one where the run ended before."""
    last: dict[str, Event] = {}
    for event in events:
        if event.event_id not in last or event.phase != "provisional":
            last[event.event_id] = event
    return tuple(sorted(last.values(), key=lambda event: (event.onset.t_ns, event.face, event.seq)))


def _card(event: Event, result: Score | None, known: Collection[str]) -> Card:
    """`known` are the words of quality that hold for the whole run and stand at the top."""
    style = "refused" if event.phase == "retracted" else style_of(event.kind, event.label)
    if event.phase == "retracted":
        title = "refused"
    elif event.phase == "provisional":
        title = "not finished"
    else:
        title = event.label or plain(event.kind or "", KINDS)
    last = event.offset or event.apex
    first_ms, last_ms = axis_ms(np.array([event.onset.t_ns, last.t_ns]) / NS_PER_SECOND + [-ZOOM_S, ZOOM_S]).tolist()
    ranked = sorted((event.probabilities or {}).items())
    return Card(
        event=event,
        anchor=f"event-{event.event_id}",
        style=style,
        title=title,
        onset_s=event.onset.t_ns / NS_PER_SECOND,
        duration_ms=None if event.offset is None else (event.offset.t_ns - event.onset.t_ns) / NS_PER_MS,
        probabilities=tuple(
            Probability(
                label=label, share=share, style="refused" if label == NOT_AN_EXPRESSION else style_of("micro", label)
            )
            for label, share in ranked
        ),
        quality=tuple(plain(word, QUALITY) for word in event.quality if word not in known),
        reason=plain(event.reason, REASONS) if event.reason else "",
        truth=_beside_truth(event, result),
        zoom_ms=(first_ms, last_ms),
    )


def _beside_truth(event: Event, result: Score | None) -> Match | str | None:
    if result is None or event.phase != "final" or event.kind != "micro":
        return None
    match = next((match for match in result.found if match.event is event), None)
    return match or "false alarm: nothing there"


def _with_pictures(cards: Sequence[Card], record: Record, trace: Trace) -> list[Card]:
    """Pictures for what the network looked at: final events before refused ones, confident before unsure ones."""

    def rank(card: Card) -> tuple[bool, float, int]:
        return card.event.phase != "final", -(card.event.confidence or 0.0), card.event.seq

    chosen = {card.anchor for card in sorted((c for c in cards if c.probabilities), key=rank)[:MAX_PICTURED]}
    finished = []
    for card in cards:
        triple = record.triple(card.event.event_id) if card.anchor in chosen else None
        if triple is not None:
            spark = sparkline(trace, card.event)
            card = msgspec.structs.replace(card, pictures=event_pictures(triple), spark=spark)
        finished.append(card)
    return finished


def _tiles(trace: Trace, events: Sequence[Event], result: Score | None) -> list[tuple[str, str, str]]:
    """The figures at the top: number, what it counts, more about it."""
    kinds = Counter(event.kind for event in events if event.phase == "final")
    labels = Counter(event.label for event in events if event.phase == "final" and event.kind == "micro")
    refused = sum(event.phase == "retracted" for event in events)
    said = ", ".join(f"{count} {label}" for label, count in sorted(labels.items(), key=lambda item: str(item[0])))

    def counted(kind: Kind) -> tuple[str, str]:
        return str(kinds[kind]), plain(kind, KINDS) + ("" if kinds[kind] == 1 else "s")

    tiles = [
        (*counted("micro"), said or "none recognised"),
        (*counted("macro"), "longer than half a second"),
        (*counted("blink"), "confined to the eyes"),
        (str(refused), "refused", "looked at and turned down"),
    ]
    if result is not None:
        found, true = len(result.found), len(result.found) + len(result.missed)
        tiles.insert(0, (f"{result.f1:.2f}", "F1 score", f"{found} of {true} found, {len(result.false)} false"))
    return tiles


def _quality(record: Record, trace: Trace) -> frozenset[str]:
    """What holds for the whole run."""
    words = {*record.hello.quality, *(record.end.quality if record.end else ())}
    if trace.rate_hz is not None and trace.rate_hz < LOW_RATE_HZ:
        words.add("low_frame_rate")
    return frozenset(words)


def _warnings(record: Record, trace: Trace, events: Sequence[Event], known: Collection[str]) -> list[str]:
    """What a reader must know before believing anything below."""
    lines = [plain(word, QUALITY) for word in sorted(known)]
    single = Counter(word for event in events for word in event.quality if word not in known)
    lines += [
        f"{plain(word, QUALITY).rstrip('.')} ({count} of {len(events)} events)."
        for word, count in sorted(single.items())
    ]
    if trace.frames_with_face == 0:
        lines.append("No face was found in any frame: nothing could be looked at.")
    elif trace.frames_with_face < 0.9 * trace.frames:
        lines.append(f"A face was found in {trace.frames_with_face / trace.frames:.0%} of the frames only.")
    if record.end is None:
        lines.append("The run did not reach the end of the recording.")
    return lines


def _by_reason(events: Sequence[Event], unannounced: Mapping[str, int]) -> list[tuple[str, str, int, int]]:
    """Reason, plain words, events taken back, movements that never became one; most frequent first."""
    taken_back = Counter(event.reason or "unknown" for event in events if event.phase == "retracted")
    total = taken_back + Counter(unannounced)
    return [
        (reason, plain(reason, REASONS), taken_back[reason], unannounced.get(reason, 0))
        for reason, _ in sorted(total.items(), key=lambda item: (-item[1], item[0]))
    ]


def _flat(settings: object, prefix: str = "") -> list[tuple[str, str]]:
    """Nested settings as dotted names with their values."""
    plain_settings = msgspec.to_builtins(settings, enc_hook=str)
    if not isinstance(plain_settings, Mapping):
        return [] if plain_settings is None else [(prefix.rstrip("."), str(plain_settings))]
    rows: list[tuple[str, str]] = []
    for key, value in plain_settings.items():
        if isinstance(value, Mapping):
            rows += _flat(value, f"{prefix}{key}.")
        else:
            rows.append((f"{prefix}{key}", str(value)))
    return rows


def _versions() -> list[tuple[str, str]]:
    found = [("Python", platform.python_version())]
    for package in PACKAGES:
        try:
            found.append((package, version(package)))
        except PackageNotFoundError:
            continue
    return found


def _json(value: object) -> Markup:
    """JSON that can stand within a script element."""
    text = msgspec.json.encode(value).decode()
    return Markup(text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029"))


def _text(name: str) -> str:
    return (Path(__file__).parent / "page" / name).read_text(encoding="utf-8")


def _time(seconds: float) -> str:
    """Minutes, seconds and milliseconds, with hours where there are any."""
    minutes, rest = divmod(round(float(seconds), 3), 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours}:{minutes:02d}:{rest:06.3f}" if hours else f"{minutes}:{rest:06.3f}"


def _duration(seconds: float) -> str:
    """A length of time in words."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def _signed(milliseconds: float) -> str:
    return f"{milliseconds:+.0f} ms" if np.rint(milliseconds) else "0 ms"


def _true_title(true: TrueEvent) -> str:
    return true.label or plain(true.kind, KINDS)


_templates.filters |= {"time": _time, "duration": _duration, "signed": _signed, "true_title": _true_title}
