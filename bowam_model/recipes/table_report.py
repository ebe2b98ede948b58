"""What `bowam reproduce` writes: the paper's figures beside ours, as JSON, Markdown and a picture.

Whatever parts a run from the paper stands at the top of each of them, so that a small run, or one on synthetic faces,
can never be taken for a reproduction.
"""

import json
from collections.abc import Sequence
from pathlib import Path

from bowam_model.recipes.table_picture import picture
from bowam_model.recipes.table_result import PROTOCOLS, SCORES, SYNTHETIC, UNPUBLISHED, TableResult, as_plain, beside


def write_report(result: TableResult, out: Path) -> tuple[Path, ...]:
    """Write tableN.json, .md and .svg into a folder; returns their paths."""
    out.mkdir(parents=True, exist_ok=True)
    texts = {
        ".json": json.dumps(as_plain(result), indent=2, sort_keys=True, ensure_ascii=False) + "\n",
        ".svg": picture(result),
        ".md": markdown(result),
    }
    paths = []
    for suffix, text in texts.items():
        path = out / f"{result.table.name}{suffix}"
        partial = path.with_suffix(f"{suffix}.part")
        partial.write_text(text)
        partial.replace(path)
        paths.append(path)
    return tuple(paths)


def markdown(result: TableResult) -> str:
    """The table for a reader."""
    lines = [f"# {result.title}", ""]
    if result.synthetic:
        lines += [f"**{SYNTHETIC}: animated faces, not people. It tells nothing of how a method does on people.**", ""]
    if result.differences:
        lines += ["**Differs from the paper, so this is no reproduction of it:**", ""]
        lines += [f"- {difference}" for difference in result.differences] + [""]
    lines += [PROTOCOLS, "", UNPUBLISHED, "", *_scores(result), ""]
    for part in (_oracles(result), _costs(result)):
        lines += [*part, ""] if part else []
    lines += [f"![the same as a picture]({result.table.name}.svg)", "", *_runs(result)]
    return "\n".join(lines) + "\n"


def _scores(result: TableResult) -> list[str]:
    rows = []
    for one in result.rows:
        for column in result.columns_of(one):
            for score in SCORES:
                paper, ours = beside(one, column, score)
                rows.append(
                    [
                        one.row.title,
                        column,
                        score.upper(),
                        "-" if paper is None else f"{paper:.4f}",
                        f"{ours.mean:.4f}",
                        f"{ours.low:.3f} to {ours.high:.3f}",
                        "-" if paper is None else f"{ours.mean - paper:+.4f}",
                    ]
                )
    return _grid(["row", "data", "score", "paper", "ours", "95% over subjects", "difference"], rows)


def _oracles(result: TableResult) -> list[str]:
    found = [(one.row.title, one.measured.oracle) for one in result.rows if one.measured.oracle]
    warning = "**Oracle: the epoch that each test subject likes best. It leaks the test and is no result.**"
    rows = [[title, f"{oracle.uf1:.4f}", f"{oracle.uar:.4f}"] for title, oracle in found]
    return [warning, "", *_grid(["row", "oracle UF1", "oracle UAR"], rows)] if rows else []


def _costs(result: TableResult) -> list[str]:
    rows = [
        [
            one.row.title,
            f"{one.row.cost.parameters_m:.2f}",
            f"{one.cost.parameters_as_printed / 1e6:.2f}",
            f"{one.cost.parameters / 1e6:.3f}",
            f"{one.row.cost.multiply_adds_g:.2f}",
            f"{one.cost.multiply_adds / 1e9:.2f}",
        ]
        for one in result.rows
        if one.row.cost and one.cost
    ]
    head = ["row", "paper, M", "ours as its profiler counts, M", "all parameters, M", "paper, G", "ours, G"]
    told = [
        "M: million parameters; the paper's profiler overlooks layer norm and layer scale. G: 1e9 multiply-adds, which "
        "the paper calls FLOPs. It prints five stages without the step from 768 to 1536 channels (4.72 M, 0.23 G).",
    ]
    return [*_grid(head, rows), "", *told] if rows else []


def _runs(result: TableResult) -> list[str]:
    rows = []
    for one in result.rows:
        run = one.measured
        counts = [str(run.clips), str(run.subjects), str(run.epochs), f"{run.samples_seen:,}"]
        rows.append([one.row.title, *counts, f"`{run.folder}`"])
    return _grid(["row", "clips", "subjects", "epochs", "samples seen", "run"], rows)


def _grid(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return ["| " + " | ".join(cells) + " |" for cells in (head, ["---"] * len(head), *rows)]
