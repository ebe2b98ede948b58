"""What `claim` measured, for readers: medians and spreads, a Markdown table, a plot and a picture like Figure 3."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from bowam_model.explain.canvas import Panel, compose, flow_colours, letters, wheel, write_bytes, write_png
from bowam_model.explain.claim import CONDITIONS, METHODS, Case, Condition, Reading, Scenes
from bowam_model.synthesis.identity import Identity
from bowam_model.synthesis.plan import STRATA

ALL = "all"
RESAMPLED = 1000
FIGURE_ROWS = ("still", "noise", "landmark noise", "side light", "drift, fixed crop", "nod", "late nod", "webcam")
TEAL, ORANGE, DARK, PALE = "#0b7a75", "#c8553d", "#26262c", "#dcdce0"


@dataclass(frozen=True)
class Spread:
    """Median and quartiles over cases."""

    low: float
    median: float
    high: float


@dataclass(frozen=True)
class Row:
    """One condition, in one amplitude stratum or in all."""

    condition: str
    stratum: str
    cases: int
    truth_db: dict[str, Spread]  # by method
    matched_db: dict[str, Spread] | None  # None under stillness: infinite
    recovered: dict[str, Spread]
    noise_px: dict[str, Spread]
    gain_db: Spread  # bidirectional minus traditional, paired; matched, under stillness against the truth
    gain_interval_db: tuple[float, float]  # of its median: 95%, people drawn anew 1000 times
    wins: float  # share of cases in which the bidirectional flow is ahead


def summarise(readings: Iterable[Reading]) -> list[Row]:
    """A row for each condition and stratum, and one over all strata."""
    found: dict[tuple[str, str], list[tuple[Reading, Reading]]] = {}
    waiting: dict[str, Reading] = {}
    for reading in readings:  # methods of one view come one after the other
        waiting[reading.method] = reading
        if len(waiting) == len(METHODS):
            pair = (waiting[METHODS[0]], waiting[METHODS[1]])
            for stratum in (ALL, reading.stratum):
                found.setdefault((reading.condition, stratum), []).append(pair)
            waiting = {}
    order = {name: place for place, name in enumerate([c.name for c in CONDITIONS] + [ALL, *STRATA])}
    return [_row(*key, found[key]) for key in sorted(found, key=lambda key: (order[key[0]], order[key[1]]))]


def _row(condition: str, stratum: str, pairs: Sequence[tuple[Reading, Reading]]) -> Row:
    finite = all(reading.matched_db is not None for pair in pairs for reading in pair)
    what = "matched_db" if finite else "truth_db"

    def spreads(name: str) -> dict[str, Spread]:
        return {method: _spread([getattr(pair[i], name) for pair in pairs]) for i, method in enumerate(METHODS)}

    gain = np.array([getattr(pair[1], what) - getattr(pair[0], what) for pair in pairs])
    people = [pair[0].person for pair in pairs]
    return Row(
        condition=condition,
        stratum=stratum,
        cases=len(pairs),
        truth_db=spreads("truth_db"),
        matched_db=spreads("matched_db") if finite else None,
        recovered=spreads("recovered"),
        noise_px=spreads("noise_px"),
        gain_db=_spread(gain),
        gain_interval_db=_interval(gain, people),
        wins=float((gain > 0).mean()),
    )


def _spread(values: Any) -> Spread:
    low, median, high = np.quantile(np.asarray(values, float), (0.25, 0.5, 0.75))
    return Spread(round(float(low), 4), round(float(median), 4), round(float(high), 4))


def _interval(gain: np.ndarray, people: Sequence[str]) -> tuple[float, float]:
    """95% of the median's values when people, with all their cases, are drawn anew."""
    names, who = np.unique(people, return_inverse=True)
    groups = [gain[who == i] for i in range(len(names))]
    rng = np.random.default_rng(0)
    drawn = rng.integers(0, len(groups), (RESAMPLED, len(groups)))
    medians = [np.median(np.concatenate([groups[i] for i in some])) for some in drawn]
    low, high = np.quantile(medians, (0.025, 0.975))
    return round(float(low), 4), round(float(high), 4)


def contents(rows: Sequence[Row], readings: Sequence[Reading], **about: Any) -> dict[str, Any]:
    """Everything of claim.json: what was done, the rows, and every single reading."""
    return {
        "schema": "bowam.claim/1",
        **about,
        "conditions": [asdict(condition) for condition in CONDITIONS],
        "rows": [asdict(row) for row in rows],
        "readings": [asdict(reading) for reading in readings],
    }


def markdown(rows: Sequence[Row]) -> str:
    """Two tables: all conditions, and the gain by amplitude."""
    words = {condition.name: condition.words for condition in CONDITIONS}
    lines = [
        "| condition | what happens | traditional, dB | bidirectional, dB | gain, dB (quartiles; 95% of the median) "
        "| ahead in | noise, px: trad. / bidir. | size seen: trad. / bidir. |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in (row for row in rows if row.stratum == ALL):
        seen = row.matched_db or row.truth_db
        star = "" if row.matched_db else " (truth)"
        low, high = row.gain_interval_db
        lines.append(
            f"| {row.condition} | {words[row.condition]} | {seen['traditional'].median:.1f}{star} "
            f"| {seen['bidirectional'].median:.1f}{star} "
            f"| **{row.gain_db.median:+.1f}** ({row.gain_db.low:+.1f} to {row.gain_db.high:+.1f}; "
            f"{low:+.1f} to {high:+.1f}) "
            f"| {row.wins:.0%} | {row.noise_px['traditional'].median:.2f} / {row.noise_px['bidirectional'].median:.2f} "
            f"| {row.recovered['traditional'].median:.2f} / {row.recovered['bidirectional'].median:.2f} |"
        )
    names = [f"{name} ({low:g}-{high:g} px)" for name, (low, high) in STRATA.items()]
    lines += ["", "| bidirectional dB (gain) | " + " | ".join(names) + " |", "| --- " * (len(STRATA) + 1) + "|"]
    by_key = {(row.condition, row.stratum): row for row in rows}
    for condition in dict.fromkeys(row.condition for row in rows):
        cells = []
        for stratum in STRATA:
            row = by_key[condition, stratum]
            cells.append(f"{(row.matched_db or row.truth_db)['bidirectional'].median:.1f} ({row.gain_db.median:+.1f})")
        lines.append(f"| {condition} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def plot(rows: Sequence[Row], title: str) -> str:
    """An SVG: for each condition both SNRs with their quartiles (left), and the paired gain (right)."""
    chosen = [row for row in rows if row.stratum == ALL and row.matched_db]
    ends = [end for row in chosen for spread in (row.matched_db or {}).values() for end in (spread.low, spread.high)]
    gains = [end for row in chosen for end in (row.gain_db.low, row.gain_db.high)]
    left = _Axis(170, 560, *_round_out([*ends, 0.0], 5))
    right = _Axis(610, 890, *_round_out([*gains, 0.0], 2))
    height = 128 + 30 * len(chosen)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 920 {height}" fill="{DARK}" '
        f'font-family="Helvetica, Arial, sans-serif" font-size="13"><rect width="920" height="{height}" fill="white"/>',
        _words(24, 28, title, size=15, weight="bold"),
        _words(365, 56, "signal to noise, dB (matched; median and quartiles)", anchor="middle"),
        _words(750, 56, "gain of the bidirectional flow, dB", anchor="middle"),
    ]
    bottom = 78 + 30 * len(chosen)
    for axis, step in (
        (left, 10 if left.high - left.low > 30 else 5),
        (right, 8 if right.high - right.low > 24 else 4 if right.high - right.low > 12 else 2),
    ):
        for tick in np.arange(np.ceil(axis.low / step) * step, axis.high + 1e-9, step):
            x = axis(tick)
            width = 1.6 if tick == 0 and axis is right else 1
            colour = DARK if tick == 0 and axis is right else PALE
            parts.append(f'<path d="M{x:.1f} 68V{bottom}" stroke="{colour}" stroke-width="{width}"/>')
            parts.append(
                _words(x, bottom + 18, f"{tick + 0.0:g}".replace("-", "\N{MINUS SIGN}"), anchor="middle", size=12)
            )
    for place, row in enumerate(chosen):
        y = 86 + 30 * place
        parts.append(_words(158, y + 4, row.condition, anchor="end"))
        for method, colour, shift in zip(METHODS, (ORANGE, TEAL), (-4.5, 4.5), strict=True):
            parts.append(_dot(left, (row.matched_db or {})[method], y + shift, colour))
        parts.append(_dot(right, row.gain_db, y, TEAL if row.gain_db.median >= 0 else ORANGE))
    for x, colour, word in ((24, ORANGE, METHODS[0]), (150, TEAL, METHODS[1])):
        parts.append(f'<circle cx="{x + 5}" cy="{bottom + 36}" r="4.5" fill="{colour}"/>')
        parts.append(_words(x + 16, bottom + 40, word))
    return "\n".join([*parts, "</svg>"]) + "\n"


@dataclass(frozen=True)
class _Axis:
    """Numbers from `low` to `high` laid out from `first` to `last` px."""

    first: float
    last: float
    low: float
    high: float

    def __call__(self, value: float) -> float:
        return self.first + (value - self.low) / (self.high - self.low) * (self.last - self.first)


def _round_out(values: Sequence[float], step: float) -> tuple[float, float]:
    return float(np.floor(min(values) / step) * step), float(np.ceil(max(values) / step) * step)


def _words(x: float, y: float, words: str, *, anchor: str = "start", size: int = 13, weight: str = "normal") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" font-weight="{weight}">'
        f"{escape(words)}</text>"
    )


def _dot(axis: _Axis, spread: Spread, y: float, colour: str) -> str:
    low, middle, high = (axis(value) for value in (spread.low, spread.median, spread.high))
    return (
        f'<path d="M{low:.1f} {y}H{high:.1f}" stroke="{colour}" stroke-width="2.5" opacity="0.5"/>'
        f'<circle cx="{middle:.1f}" cy="{y}" r="4.5" fill="{colour}"/>'
    )


def write_claim(out: Path, readings: Sequence[Reading], person: Identity, *, cases: int, seed: int) -> list[Path]:
    """claim.json, claim.md, claim.svg and, with `person`, figure3.png into `out`; returns what was written."""
    rows = summarise(readings)
    people = sorted({reading.person for reading in readings})
    count = len({reading.stratum for reading in readings}) * cases
    about = f"{count} synthetic micro-expressions of {len(people)} {'person' if len(people) == 1 else 'people'}"
    texts = {
        "claim.json": json.dumps(contents(rows, readings, cases=cases, seed=seed, people=people), indent=1) + "\n",
        "claim.md": f"# Bidirectional against traditional flow: {about}\n\n{markdown(rows)}",
        "claim.svg": plot(rows, f"Signal to noise of two flows: {about}"),
    }
    for name, text in texts.items():
        write_bytes(out / name, text.encode())
    scenes = Scenes(person)
    write_png(out / "figure3.png", figure(scenes, scenes.case("easy", seed)))
    return [*(out / name for name in texts), out / "figure3.png"]


def figure(scenes: Scenes, case: Case, names: Sequence[str] = FIGURE_ROWS) -> np.ndarray:
    """Like the paper's Figure 3: a row for each condition, uint8 (H, W, 3) RGB.

    The bidirectional flow points home and sees the movement twice: it is shown negated and halved, so that equal
    colours mean equal movement in all three flow columns.
    """
    by_name: dict[str, Condition] = {condition.name: condition for condition in CONDITIONS}
    full_px = case.movement.amplitude_px
    rows: list[list[Panel]] = []
    for name in names:
        condition = by_name[name]
        view = scenes.view(case, condition)
        decibels = scenes.decibels(case, view)
        shown = {
            "traditional flow": (view.flows["traditional"], decibels["traditional"]),
            "-(bidirectional flow) / 2": (-view.flows["bidirectional"] / 2, decibels["bidirectional"]),
            "truth": (view.truths["traditional"], None),
        }
        panels = [Panel(picture, word) for picture, word in zip(view.triple, ("onset", "apex", "offset"), strict=True)]
        for title, (flow, level) in shown.items():
            panels.append(Panel(flow_colours(flow, full_px), title, "" if level is None else f"{level:.1f} dB"))
        rows.append(panels if not rows else [Panel(p.picture, "", p.caption) for p in panels])
    movement = case.movement
    units = " + ".join(f"AU{action.unit}" for action in movement.actions)
    key = [wheel(84, full_px), letters(f"full colour: {full_px:.1f} px or more; white: still", 10)]
    return compose(
        rows,
        heading=f"One {movement.label} micro-expression ({units}, {full_px:.1f} px) under {len(rows)} conditions",
        names=[_broken(name, by_name[name].words) for name in names],
        keys=key,
        notes=(
            "dB: signal to noise against the true movement within the face. Each picture is aligned by its landmarks, "
            "but for a fixed crop, where all three are cut out where the face was at the onset.",
            "Synthetic movement of one photo.",
        ),
        panel_px=200,
    )


def _broken(name: str, words: str, width: int = 24) -> str:
    """A row's name and, below it, its words in short lines."""
    lines = [""]
    for word in words.split():
        lines = [*lines[:-1], f"{lines[-1]} {word}".strip()] if len(lines[-1]) + len(word) < width else [*lines, word]
    return "|".join([name, *lines])
