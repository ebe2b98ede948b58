"""The reliability diagram: how often a network is right beside how sure it is, for a terminal and as a picture."""

from collections.abc import Mapping, Sequence
from html import escape

from bowam_model.evaluation import Bin

COLUMNS = 50  # of the picture in letters
SIDE, MARGIN = 360, 56  # of the plot, and of what stands around it, pixels
COLOURS = ("#b0652c", "#2b6a99")


def diagram(bins: Sequence[Bin]) -> list[str]:
    """A line for each bin: `#` up to the share that is right, `|` at the mean confidence."""
    lines = []
    for b in bins:
        bar = list(("#" * round(b.accuracy * COLUMNS)).ljust(COLUMNS + 1))
        bar[round(b.confidence * COLUMNS)] = "|"
        lines.append(f"sure {b.confidence:.3f}  right {b.accuracy:.3f}  of {b.count:4d}  {''.join(bar).rstrip()}")
    return lines


def svg(curves: Mapping[str, Sequence[Bin]], title: str) -> str:
    """The same as a picture: a curve for each name, the diagonal is honesty. No script, no face."""

    def at(x: float, y: float) -> str:
        return f"{MARGIN + SIDE * x:.1f},{MARGIN + SIDE * (1 - y):.1f}"

    whole, ticks = SIDE + 2 * MARGIN, [i / 5 for i in range(6)]
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {whole} {whole}" font-family="sans-serif" '
        f'font-size="12" fill="#333">',
        f'<rect width="{whole}" height="{whole}" fill="#fff"/>',
        f'<text x="{whole / 2}" y="24" text-anchor="middle" font-size="14">{escape(title)}</text>',
        f'<path d="M{at(0, 1)} L{at(0, 0)} L{at(1, 0)}" fill="none" stroke="#333"/>',
        f'<path d="M{at(0, 0)} L{at(1, 1)}" stroke="#999" stroke-dasharray="4 4"/>',
        f'<text x="{whole / 2}" y="{whole - 12}" text-anchor="middle">confidence</text>',
        f'<text transform="translate(16 {whole / 2}) rotate(-90)" text-anchor="middle">share that is right</text>',
    ]
    for tick in ticks:
        x, y = MARGIN + SIDE * tick, MARGIN + SIDE * (1 - tick)
        parts.append(f'<text x="{x:.1f}" y="{whole - MARGIN + 18}" text-anchor="middle">{tick:g}</text>')
        parts.append(f'<text x="{MARGIN - 8}" y="{y + 4:.1f}" text-anchor="end">{tick:g}</text>')
    for index, (name, bins) in enumerate(curves.items()):
        colour = COLOURS[index % len(COLOURS)]
        line = " L".join(at(b.confidence, b.accuracy) for b in bins)
        parts.append(f'<path d="M{line}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
        for b in bins:
            left, top = at(b.confidence, b.accuracy).split(",")
            dot = f'<circle cx="{left}" cy="{top}" r="4" fill="{colour}">'
            parts.append(f"{dot}<title>{b.count} examples</title></circle>")
        parts.append(f'<text x="{MARGIN + 12}" y="{MARGIN + 16 + 18 * index}" fill="{colour}">{escape(name)}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"
