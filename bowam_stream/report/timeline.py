"""The motion signal over the whole run as a plotly figure: signal and threshold above, lanes of events below.

A figure is plain data that plotly.js reads as JSON. Times are milliseconds on a date axis, so that ticks read as
minutes and seconds. Colours are names of the page's style, such as "negative"; its script puts in those of a light or a
dark page.
"""

import base64
from collections.abc import Iterable, Sequence

import msgspec
import numpy as np

from bowam_stream.messages import Event
from bowam_stream.report.matching import Truth
from bowam_stream.report.trace import StateSpan, Trace, thinned
from bowam_stream.report.words import KINDS, REASONS, STATES, plain

BINS = 8_000  # of the whole run: an hour stays small, and every bin keeps its peak
MAX_STATE_SPANS = 3_000  # the longest are shown
STYLES = ("positive", "negative", "surprise", "other", "macro", "blink")  # of events, in the order of the legend
ORIGIN_MS = 86_400_000.0  # time 0 of the run on the date axis: plotly.js takes numbers below 10,000 for years
LANES = ("state", "refused", "found", "truth")  # from below

Json = dict[str, object]


class Bar(msgspec.Struct, frozen=True, kw_only=True):
    """A span in a lane."""

    start_s: float
    end_s: float
    text: str
    anchor: str = ""  # of the event's place on the page


def style_of(kind: str | None, label: str | None) -> str:
    """The name of an event's colour: its label's, or its kind's where it has none."""
    if kind == "micro":
        return label if label in STYLES else "other"
    return kind or "other"


def axis_ms(t_s: np.ndarray) -> np.ndarray:
    """Times of the run as the figure's axis has them."""
    return ORIGIN_MS + t_s * 1000.0


def timeline(trace: Trace, events: Sequence[Event], truth: Truth | None) -> Json:
    """The figure of a run."""
    final: dict[str, list[Bar]] = {}
    refused: list[Bar] = []
    for event in events:
        if event.phase == "final":
            final.setdefault(style_of(event.kind, event.label), []).append(_bar(event))
        elif event.phase == "retracted":
            refused.append(_bar(event))
    real: dict[str, list[Bar]] = {}
    for true in truth.events if truth else ():
        text = f"truth: {true.label or plain(true.kind, KINDS)}, frames {true.onset} to {true.offset}"
        bar = Bar(start_s=true.onset / truth.fps, end_s=(true.offset + 1) / truth.fps, text=text) if truth else None
        real.setdefault(style_of(true.kind, true.label), []).extend([bar] if bar else [])
    styles = [style for style in STYLES if style in final]
    shades = [_shade(style, final[style]) for style in styles]
    lanes = [_lane("found", style, final[style]) for style in styles]
    lanes += [_lane("truth", style, real[style]) for style in STYLES if style in real]
    lanes += [_lane("refused", "refused", refused)] if refused else []
    lanes += _state_lanes(trace.states)
    return {"data": [*shades, *_signal(trace), *lanes], "layout": _layout(lanes, trace.end_s, _top(trace, events))}


def _bar(event: Event) -> Bar:
    last = event.offset or event.apex
    if event.phase == "retracted":
        text = f"refused: {plain(event.reason or '', REASONS)}"
    elif event.label is not None and event.confidence is not None:
        text = f"{event.label}, {event.confidence:.0%}"
    else:
        text = plain(event.kind or "", KINDS)
    milliseconds = (last.t_ns - event.onset.t_ns) / 1e6
    return Bar(
        start_s=event.onset.t_ns / 1e9,
        end_s=last.t_ns / 1e9,
        text=f"{text}<br>{milliseconds:.0f} ms, frames {event.onset.frame} to {last.frame}",
        anchor=f"event-{event.event_id}",
    )


def _signal(trace: Trace) -> list[Json]:
    """Signal and threshold of all faces, one after the other, with breaks between them."""
    faces = list(trace.series.values())
    bins = max(BINS // max(len(faces), 1), 50)
    lines: list[Json] = []
    for name, style, pick in (("motion", "signal", 0), ("threshold", "threshold", 1)):
        pieces = []
        for rows in faces:
            t_s, values = thinned(rows.t_s, (rows.signal, rows.threshold)[pick], bins=bins, gap_s=trace.gap_s)
            pieces.append(np.vstack([np.append(t_s, t_s[-1:]), np.append(values, [np.nan] * min(len(values), 1))]))
        t_s, values = np.hstack(pieces) if pieces else np.empty((2, 0))
        line: Json = {"color": style, "width": 1.6 if pick == 0 else 1.2, "dash": "solid" if pick == 0 else "dash"}
        lines.append(
            {
                "type": "scatter",
                "mode": "lines",
                "name": name,
                "line": line,
                "x": _packed(axis_ms(t_s), "f8"),
                "y": _packed(values, "f4"),
                "hovertemplate": "%{y:.1f}",
            }
        )
    return lines


def _shade(style: str, bars: Sequence[Bar]) -> Json:
    """Fields behind the signal, over its whole height."""
    x = axis_ms(np.array([[b.start_s, b.start_s, b.end_s, b.end_s, np.nan] for b in bars]).ravel())
    return {
        "type": "scatter",
        "mode": "none",
        "fill": "toself",
        "fillcolor": f"{style}/0.22",
        "name": style,
        "legendgroup": style,
        "x": _packed(x, "f8"),
        "y": _packed(np.tile([0.0, 1.0, 1.0, 0.0, np.nan], len(bars)), "f4"),
        "yaxis": "y3",
        "hoverinfo": "skip",
    }


def _lane(lane: str, style: str, bars: Sequence[Bar]) -> Json:
    return {
        "type": "bar",
        "orientation": "h",
        "name": style,
        "legendgroup": style,
        "showlegend": False,
        "base": _packed(axis_ms(np.array([b.start_s for b in bars])), "f8"),
        "x": _packed(np.array([b.end_s - b.start_s for b in bars]) * 1000.0, "f8"),
        "y": [lane] * len(bars),
        "yaxis": "y2",
        "width": 0.62 if lane != "state" else 0.3,
        # The outline keeps a movement of 200 ms visible in an hour.
        "marker": {"color": style, "line": {"color": style, "width": 0 if lane == "state" else 1.5}},
        "text": [b.text for b in bars],
        "textposition": "none",
        "customdata": [b.anchor for b in bars],
        "hovertemplate": "%{text}<extra></extra>",
    }


def _state_lanes(spans: Iterable[StateSpan]) -> list[Json]:
    longest = sorted(spans, key=lambda span: span.start_s - span.end_s)[:MAX_STATE_SPANS]
    by_state: dict[str, list[Bar]] = {}
    for span in sorted(longest, key=lambda span: span.start_s):
        text = f"face {span.face}: {plain(span.state, STATES)}"
        by_state.setdefault(span.state, []).append(Bar(start_s=span.start_s, end_s=span.end_s, text=text))
    return [_lane("state", f"state-{state}", by_state[state]) for state in sorted(by_state)]


def _top(trace: Trace, events: Sequence[Event]) -> float:
    """Where the signal's axis ends: above every micro-expression; what moves more than that leaves the picture."""
    values = np.concatenate(
        [np.column_stack([s.signal, s.threshold]) for s in trace.series.values()] or [np.zeros((1, 2))]
    )
    values = values[np.isfinite(values).all(axis=1)]
    if not len(values):
        return 1.0
    peaks = [4.0 * float(values[:, 1].max()), float(np.quantile(values[:, 0], 0.99))]
    for event in events:
        if event.kind == "micro" and event.phase == "final" and event.offset and event.face in trace.series:
            rows = trace.series[event.face].between(event.onset.t_ns / 1e9, event.offset.t_ns / 1e9)
            peaks.append(float(np.max(rows.signal, where=np.isfinite(rows.signal), initial=0.0)))
    return 1.08 * min(max(peaks), max(float(values.max()), 1e-6))


def _layout(lanes: Sequence[Json], end_s: float, top: float) -> Json:
    shown = [lane for lane in LANES if any(lane in bar["y"] for bar in lanes)]  # type: ignore[operator]
    height = 26 * len(shown)
    total = 250 + height + (60 if end_s > 120 else 0)
    share = height / (250 + height)
    axis: Json = {"zeroline": False, "fixedrange": True, "showgrid": False, "automargin": True}
    return {
        "height": total + 80,
        "margin": {"l": 8, "r": 8, "t": 8, "b": 8},
        "hovermode": "closest",
        "dragmode": "zoom",
        "barmode": "overlay",
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "itemwidth": 30},
        "xaxis": {
            "type": "date",
            "range": axis_ms(np.array([0.0, max(end_s, 0.001)])).tolist(),
            "tickformatstops": [
                {"dtickrange": [None, 1000], "value": "%M:%S.%L"},
                {"dtickrange": [1000, None], "value": "%M:%S" if end_s < 3600 else "%H:%M:%S"},
            ],
            "hoverformat": "%H:%M:%S.%L",
            "anchor": "y2" if shown else "y",
            "zeroline": False,
            "automargin": True,
            "rangeslider": {"visible": end_s > 120, "thickness": 0.08},
        },
        "yaxis": axis
        | {
            "domain": [share + 0.03 if shown else 0.0, 1.0],
            "range": [0.0, top],
            "title": {"text": "motion / noise at rest", "standoff": 4},
            "showgrid": True,
        },
        "yaxis2": axis | {"domain": [0.0, share], "categoryorder": "array", "categoryarray": shown},
        "yaxis3": axis | {"overlaying": "y", "range": [0, 1], "visible": False},
    }


def _packed(values: np.ndarray, dtype: str) -> Json:
    """A typed array as plotly.js takes it: a third of the size of decimal numbers."""
    code = values.astype(f"<{dtype}").tobytes()
    return {"dtype": dtype, "bdata": base64.b64encode(code).decode()}
