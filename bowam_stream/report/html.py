"""The report of a run: one HTML file that shows itself, without network, server or other files.

Everything that comes from outside (file names, labels, settings) goes through the template's escaping or into JSON
whose "<" is escaped; the page's content security policy forbids it to load anything. However long the run, the file
stays below MAX_BYTES: lists end at a stated number, and pictures take what room is left, the most confident first.
"""

import base64
import gzip
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path

import jinja2
import msgspec
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from bowam_stream.events.judgements import Judgement
from bowam_stream.messages import Event, Model
from bowam_stream.report import citation, filters, origin, overview, rates, refusals
from bowam_stream.report.cards import Card, card, listed, pictured, settled
from bowam_stream.report.files import written_whole
from bowam_stream.report.matching import Truth, score
from bowam_stream.report.origin import Origin
from bowam_stream.report.pictures import FINENESSES, Fineness, colour_wheel, event_pictures
from bowam_stream.report.record import Record
from bowam_stream.report.sparkline import sparkline
from bowam_stream.report.timeline import timeline
from bowam_stream.report.trace import Trace, read_trace

MAX_BYTES = 9_900_000
SLACK_BYTES = 10_000  # the heading of the pictures, and what is said where some are missing
SAMPLES = 3  # events that tell how much room pictures take
PAGE = Path(__file__).parent / "page"

TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(PAGE),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
TEMPLATES.filters |= filters.FILTERS


def write_report(
    path: Path,
    record: Record,
    events: Iterable[Event],
    *,
    truth: Truth | None = None,
    model: Model | None = None,
    settings: object = None,
    judgements: Mapping[str, Judgement] | None = None,
    made: Origin | None = None,
) -> None:
    """Write the report of one run.

    `events` are those of the run's camera; `settings` anything that msgspec can turn into plain values, shown as a
    list; `model` which network stood by, if no event tells; `judgements` what people said, by event; `made` the
    command, the date and the machine. The same arguments give the same file, byte for byte. Raises ReportError where
    the file can't be written.
    """
    trace = read_trace(record.frames())
    told = settled(events)
    shown = listed(told)
    result = None if truth is None else score(truth, told)
    known = overview.quality_of_run(record, trace)
    judged = judgements or {}
    refused = refusals.refusals(told, trace.unannounced)
    run = rates.minutes(trace, told)
    rows = [card(event, trace, result=result, known=known, judgements=judged) for event in shown]
    values = {
        "hello": record.hello,
        "trace": trace,
        "tiles": overview.tiles(told, refused, result, judged),
        "warnings": overview.warnings(record, trace, told, known),
        "books": overview.books(record),
        "run": run,
        "whole": rates.whole_run(run),
        "lanes": rates.chart(run),
        "rows": rows,
        "anchors": {row.anchor for row in rows},
        "unlisted": len(told) - len(shown),
        "reasons": refusals.by_reason(refused),
        "refused": refusals.strongest(refused),
        "refusals": len(refused),
        "truth": truth,
        "score": result,
        "model": model or next((event.model for event in told if event.model is not None), None),
        "settings": origin.flat(settings),
        "versions": origin.versions(),
        "made": made,
        "citation": citation.read_citation(),
        "bibtex": citation.bibtex(citation.read_citation()),
        "wheel": colour_wheel(),
        "figure": embedded(timeline(trace, shown, truth)),
        "plotly": _plotly() if trace.series else "",
        "style": Markup((PAGE / "style.css").read_text(encoding="utf-8")),
        "script": Markup((PAGE / "script.js").read_text(encoding="utf-8")),
    }
    wanted = [row for row in pictured(rows) if record.has_triple(row.event.event_id)]
    page = TEMPLATES.get_template("report.html.jinja")
    bare = page.render(values, cards=[], with_pictures={row.anchor for row in wanted}, wanted=len(wanted))
    cards = _cards(wanted, record, trace, MAX_BYTES - SLACK_BYTES - len(bare.encode()))
    in_order = [cards[row.anchor] for row in rows if row.anchor in cards]
    with written_whole(path) as part:
        text = page.render(values, cards=in_order, with_pictures=set(cards), wanted=len(wanted))
        part.write_text(text, encoding="utf-8")


def _cards(wanted: Sequence[Card], record: Record, trace: Trace, room: int) -> dict[str, Markup]:
    """The cards of as many events as there is room for, in bytes; anchor -> HTML."""
    samples = wanted[:: -(-len(wanted) // SAMPLES) or 1]
    for fineness in FINENESSES:
        sampled = sum(len(_card(row, record, trace, fineness).encode()) for row in samples)
        if not samples or sampled / len(samples) * len(wanted) <= room:
            break
    finished: dict[str, Markup] = {}
    for row in wanted:
        html = _card(row, record, trace, fineness)
        room -= len(html.encode())
        if room < 0:
            break
        if html:
            finished[row.anchor] = html
    return finished


def _card(row: Card, record: Record, trace: Trace, fineness: Fineness) -> Markup:
    triple = record.triple(row.event.event_id)
    if triple is None:  # the file is damaged
        return Markup("")
    html = TEMPLATES.get_template("card.html.jinja").render(
        card=row,
        pictures=event_pictures(triple, fineness),
        spark=sparkline(trace, row.event),
        side=fineness.side_px,
        faces=len(trace.series),
    )
    return Markup(html)


@cache
def _plotly() -> str:
    """The plotting library, compressed, or it would take half of the file. The page's script unpacks it."""
    return base64.b64encode(gzip.compress(get_plotlyjs().encode(), 9, mtime=0)).decode()


def embedded(value: object) -> Markup:
    """JSON that can stand within a script element."""
    text = msgspec.json.encode(value).decode()
    return Markup(text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029"))
