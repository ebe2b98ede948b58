"""A table of the paper as a picture: the paper's figures and ours, in one self-contained SVG."""

from html import escape

from bowam_model.recipes.table_result import PROTOCOLS, SCORES, TableResult, beside

LINE_PX, LABEL_PX, PANEL_PX, GAP_PX, NOTE_PX = 26, 250, 330, 34, 16
WIDTH_PX = LABEL_PX + 2 * (PANEL_PX + GAP_PX)
NOTE_COLUMNS = (WIDTH_PX - 2 * GAP_PX) // 6  # a letter of a note is about 6 px wide
PAPER_COLOUR, OUR_COLOUR, ORACLE_COLOUR = "#b4530a", "#1d5fa8", "#888888"
GRID_COLOUR, TEXT_COLOUR, WARNING_COLOUR = "#dddddd", "#222222", "#a11212"
TICKS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)


def picture(result: TableResult) -> str:
    """A self-contained SVG: a line for each row and column, UF1 on the left and UAR on the right."""
    lines = [(one, column) for one in result.rows for column in result.columns_of(one)]
    warnings = [line for text in result.differences for line in _wrap(f"Differs from the paper: {text}")]
    notes = _wrap(PROTOCOLS)
    legend_y = 52 + NOTE_PX * len(warnings)
    top = legend_y + 54
    bottom = top + LINE_PX * len(lines)
    height = bottom + 44 + NOTE_PX * len(notes)
    title_colour = WARNING_COLOUR if result.synthetic else TEXT_COLOUR
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH_PX} {height}" width="{WIDTH_PX}" '
        f'height="{height}" font-family="sans-serif" font-size="13">',
        f'<rect width="{WIDTH_PX}" height="{height}" fill="white"/>',
        _text(16, 26, result.title, size=17, weight="bold", colour=title_colour),
        *(_text(16, 46 + NOTE_PX * i, line, size=11, colour=WARNING_COLOUR) for i, line in enumerate(warnings)),
        *_legend(legend_y, any(one.measured.oracle for one, _ in lines)),
        *(_text(16, bottom + 46 + NOTE_PX * i, line, size=11) for i, line in enumerate(notes)),
    ]
    for panel, score in enumerate(SCORES):
        left = LABEL_PX + panel * (PANEL_PX + GAP_PX)
        parts.append(_text(left + PANEL_PX / 2, top - 14, score.upper(), anchor="middle", weight="bold"))
        for tick in TICKS:
            x = left + tick * PANEL_PX
            parts.append(f'<path d="M{x:.1f} {top}V{bottom}" stroke="{GRID_COLOUR}"/>')
            parts.append(_text(x, bottom + 18, f"{tick:.1f}", size=11, anchor="middle"))
        for index, (one, column) in enumerate(lines):
            y = top + LINE_PX * (index + 0.5)
            paper, ours = beside(one, column, score)
            low, middle, high = (left + PANEL_PX * value for value in (ours.low, ours.mean, ours.high))
            parts.append(f'<path d="M{low:.1f} {y}H{high:.1f}" stroke="{OUR_COLOUR}" stroke-width="2"/>')
            parts += [f'<path d="M{x:.1f} {y - 4}v8" stroke="{OUR_COLOUR}" stroke-width="2"/>' for x in (low, high)]
            parts.append(f'<circle cx="{middle:.1f}" cy="{y}" r="5" fill="{OUR_COLOUR}"/>')
            if paper is not None:
                parts.append(_diamond(left + PANEL_PX * paper, y))
            if one.measured.oracle and column == result.table.columns[0]:
                parts.append(_cross(left + PANEL_PX * getattr(one.measured.oracle, score), y))
    for index, (one, column) in enumerate(lines):
        label = one.row.title if len(result.table.columns) == 1 else f"{one.row.title}, {column}"
        parts.append(_text(LABEL_PX - 14, top + LINE_PX * (index + 0.5) + 4, label, anchor="end"))
    return "\n".join([*parts, "</svg>"]) + "\n"


def _legend(y: float, oracle: bool) -> list[str]:
    parts = [
        f'<circle cx="22" cy="{y}" r="5" fill="{OUR_COLOUR}"/>',
        _text(34, y + 4, "ours, 95% over subjects"),
        _diamond(212, y),
        _text(224, y + 4, "paper"),
    ]
    return parts + [_cross(292, y), _text(304, y + 4, "oracle: best epoch on the test (a leak)")] * oracle


def _text(
    x: float,
    y: float,
    text: str,
    *,
    size: int = 13,
    anchor: str = "start",
    weight: str = "normal",
    colour: str = TEXT_COLOUR,
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" font-weight="{weight}" '
        f'fill="{colour}">{escape(text)}</text>'
    )


def _diamond(x: float, y: float) -> str:
    return (
        f'<path d="M{x:.1f} {y - 6}l6 6l-6 6l-6 -6z" fill="white" fill-opacity="0.6" '
        f'stroke="{PAPER_COLOUR}" stroke-width="2"/>'
    )


def _cross(x: float, y: float) -> str:
    return f'<path d="M{x - 4:.1f} {y - 4}l8 8m0 -8l-8 8" stroke="{ORACLE_COLOUR}" stroke-width="2" fill="none"/>'


def _wrap(text: str) -> list[str]:
    lines = [""]
    for word in text.split():
        if len(lines[-1]) + len(word) >= NOTE_COLUMNS:
            lines.append("")
        lines[-1] += f" {word}" if lines[-1] else word
    return lines
