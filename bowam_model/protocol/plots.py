"""The pictures of a result, as small SVG files that need nothing else. They look alike on a light and a dark page."""

from collections.abc import Sequence
from html import escape

import numpy as np

from bowam_model.protocol.result import LEAKED, SCORES, Result

INK, FAINT, PAPER = "#1f2933", "#c3cad2", "#ffffff"
COLOURS = {"UF1": "#2f6db5", "UAR": "#c2622d"}
BLUE = (47, 109, 181)


def confusion(result: Result) -> str:
    """Rows are the truth: share of the row as colour and in percent, and the count of all seeds together."""
    classes, cell, left, top = result.run.classes, 96, 120, 76
    counts = result.confusions_SPKK().sum(axis=(0, 1))
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    body = []
    for row, label in enumerate(classes):
        y = top + cell * row
        body.append(_text(left - 10, y + cell / 2 + 4, label, anchor="end"))
        body.append(_text(left + cell * (row + 0.5), top - 10, label, anchor="middle"))
        for column in range(len(classes)):
            x, share = left + cell * column, shares[row, column]
            mixed = ",".join(str(round(255 + (channel - 255) * share)) for channel in BLUE)
            colour = PAPER if share > 0.5 else INK
            body.append(f'<rect x="{x}" y="{y}" width="{cell - 2}" height="{cell - 2}" fill="rgb({mixed})"/>')
            body.append(_text(x + cell / 2 - 1, y + cell / 2, f"{share:.0%}", anchor="middle", size=20, colour=colour))
            body.append(
                _text(x + cell / 2 - 1, y + cell / 2 + 20, str(counts[row, column]), anchor="middle", colour=colour)
            )
    side = cell * len(classes)
    body.append(_text(left + side / 2, top - 34, "said", anchor="middle", colour="#66717d"))
    body.append(_text(16, top - 10, "truth", colour="#66717d"))
    return _svg(left + side + 16, top + side + 16, _title(result, "confusion"), body)


def seeds(result: Result) -> str:
    """Each seed a dot, the mean a bar in its 95% interval over subjects, for all and for each data set."""
    rows: list[tuple[str, bool]] = [(part, False) for part in result.figures()]
    if result.run.settings.oracle:
        rows = [(part, leaked) for part, _ in rows for leaked in (False, True)]
    honest, leaked_figures = result.figures(), result.figures(leaked=True) if result.run.settings.oracle else {}
    left, top, width, line = 290, 64, 440, 52
    x = _axis(0.0, 1.0, left, left + width)
    bottom = top + line * len(rows)
    body = [
        f'<line x1="{x(tick):.1f}" x2="{x(tick):.1f}" y1="{top - 6}" y2="{bottom}" stroke="{FAINT}"/>'
        + _text(x(tick), bottom + 18, f"{tick:.1f}", anchor="middle")
        for tick in np.linspace(0, 1, 6)
    ]
    for row, (part, leaked) in enumerate(rows):
        body.append(_text(left - 16, top + line * row + 28, LEAKED if leaked else part, anchor="end"))
        confusions = result.confusions_SPKK(leaked, None if part == "all" else part).sum(axis=1)
        for place, (name, score) in enumerate(SCORES.items()):
            y, colour = top + line * row + 16 + 17 * place, COLOURS[name]
            figure = (leaked_figures if leaked else honest)[part][name]
            dash = ' stroke-dasharray="5 4"' if leaked else ""
            body.append(
                f'<line x1="{x(figure.low):.1f}" x2="{x(figure.high):.1f}" y1="{y}" y2="{y}" stroke="{colour}" '
                f'stroke-width="2"{dash}/><rect x="{x(figure.mean) - 1.5:.1f}" y="{y - 7}" width="3" height="14" '
                f'fill="{colour}"/>'
            )
            fill = PAPER if leaked else colour
            body += [
                f'<circle cx="{x(float(value)):.1f}" cy="{y}" r="3.5" fill="{fill}" stroke="{colour}"/>'
                for value in score(confusions)
            ]
            body.append(_text(left + width + 12, y + 4, f"{name} {figure.mean:.3f}", colour=colour))
    return _svg(left + width + 110, bottom + 34, _title(result, "each seed, mean, 95% over subjects"), body)


def curves(result: Result) -> str | None:
    """Loss by epoch: the mean over folds and seeds, and their middle 90%; None if the recipe tells of no epochs."""
    losses = [[np.nan if loss is None else loss for loss in record.losses] for record in result.records]
    longest = max(map(len, losses))
    if longest < 2:
        return None
    padded = np.array([row + [np.nan] * (longest - len(row)) for row in losses])
    there = np.isfinite(padded).any(axis=0)
    if there.sum() < 2:
        return None
    epochs = np.flatnonzero(there) + 1
    mean = np.nanmean(padded[:, there], axis=0)
    low, high = np.nanpercentile(padded[:, there], (5, 95), axis=0)
    left, top, width, height = 64, 64, 560, 260
    x = _axis(1, longest, left, left + width)
    y = _axis(0.0, float(high.max()) * 1.05 or 1.0, top + height, top)
    body = []
    for tick in np.unique(np.linspace(1, longest, min(longest, 6)).round().astype(int)):
        body.append(_text(x(tick), top + height + 20, str(tick), anchor="middle"))
    for value in np.linspace(0, float(high.max()), 5):
        body.append(f'<line x1="{left}" x2="{left + width}" y1="{y(value):.1f}" y2="{y(value):.1f}" stroke="{FAINT}"/>')
        body.append(_text(left - 8, y(value) + 4, f"{value:.2g}", anchor="end"))
    band = [(x(e), y(v)) for e, v in zip(epochs, high, strict=True)]
    band += [(x(e), y(v)) for e, v in zip(epochs[::-1], low[::-1], strict=True)]
    line = [(x(e), y(v)) for e, v in zip(epochs, mean, strict=True)]
    body.append(f'<polygon points="{_points(band)}" fill="{COLOURS["UF1"]}" fill-opacity=".2"/>')
    body.append(f'<polyline points="{_points(line)}" fill="none" stroke="{COLOURS["UF1"]}" stroke-width="2"/>')
    body.append(_text(left + width / 2, top + height + 40, "epoch", anchor="middle", colour="#66717d"))
    title = _title(result, "training loss, mean and middle 90% of folds and seeds")
    return _svg(left + width + 24, top + height + 52, title, body)


def _title(result: Result, what: str) -> list[str]:
    return [("SYNTHETIC · " if result.run.synthetic else "") + result.run.title, what]


class _axis:
    """Value to place."""

    def __init__(self, low: float, high: float, start: float, end: float) -> None:
        self.low, self.start, self.scale = low, start, (end - start) / (high - low)

    def __call__(self, value: float) -> float:
        return self.start + (value - self.low) * self.scale


def _points(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def _text(x: float, y: float, text: str, *, anchor: str = "start", size: int = 13, colour: str = INK) -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}"'
    return f'<text {place} fill="{colour}">{escape(text)}</text>'


def _svg(width: float, height: float, title: Sequence[str], body: Sequence[str]) -> str:
    width = max(width, 32 + 9 * len(title[0]), 32 + 7 * len(title[1]))  # room for the words
    head = [_text(16, 22, title[0], size=15), _text(16, 40, title[1], colour="#66717d", size=12)]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" '
            f'height="{height:.0f}" font-family="system-ui, sans-serif">',
            f'<rect width="100%" height="100%" fill="{PAPER}"/>',
            *head,
            *body,
            "</svg>\n",
        ]
    )
