"""`bowam demo`: a synthetic clip with known truth through the real processes, and its events beside the truth."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bowam_stream.clock import NS_PER_SECOND

if TYPE_CHECKING:
    from bowam_stream.messages import Event, Moment
    from bowam_stream.report import Score
    from bowam_stream.report.matching import TrueEvent


def demo(
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where to write.")] = Path("bowam-demo"),
) -> None:
    """Make a clip, find its micro-expressions, and compare. Writes clip, truth, events, report and overlay."""
    from bowam_model.synthesis import demo_plan, make_clip
    from bowam_stream.cli.outputs import Outputs
    from bowam_stream.cli.replay import run, summarise
    from bowam_stream.cli.terminal import RunProgress
    from bowam_stream.cli.terminal import out as console
    from bowam_stream.config import Config
    from bowam_stream.report import read_truth, score

    with RunProgress("making the clip") as progress:
        make_clip(demo_plan(), None, out, on_frame=progress.at)
    clip, truth = out / "clip.mp4", out / "truth.json"
    outputs = Outputs(
        events=out / "events.jsonl", report=out / "report.html", overlay=out / "overlay.mp4", keep=out / "kept"
    )
    with run(
        str(clip),
        Config(),
        camera="demo",
        paced=False,
        journal=None,
        outputs=outputs,
        truth=truth,
        quiet=True,
    ) as result:
        known = read_truth(truth)
        compare(score(known, result.events), result.events, known.fps)
        summarise(result)
    console().print(
        f"\n{out}/report.html   the signal, every event, its three frames and its flow\n"
        f"{out}/overlay.mp4   the clip with what was seen drawn on it\n"
        f"{out}/events.jsonl  the events; truth.json and clip.mp4 lie beside them\n"
        f"look at it:          bowam page {out}/kept",
        markup=False,
    )


def compare(score: "Score", events: "tuple[Event, ...]", fps: float) -> None:
    """Print every true micro-expression beside what was found, then what was never there."""
    from rich.table import Table

    from bowam_stream.cli.terminal import out

    def true_span(truth: "TrueEvent") -> str:
        return f"{truth.onset / fps:5.2f} - {truth.offset / fps:5.2f}"

    def found_span(event: "Event") -> str:
        return f"{seconds(event.onset):5.2f} - {seconds(event.offset or event.apex):5.2f}"

    def seconds(moment: "Moment") -> float:
        return moment.t_ns / NS_PER_SECOND

    rows: list[tuple[float, tuple[str, ...]]] = []
    for match in score.found:
        truth, event = match.truth, match.event
        label = f"{event.label} {event.confidence or 0:.2f}"
        verdict = "[green]right[/]" if match.label_right else f"[yellow]wrong[/], is {truth.label}"
        row: tuple[str, ...] = (
            "[green]found[/]",
            true_span(truth),
            found_span(event),
            f"{match.iou:.2f}",
            label,
            verdict,
        )
        rows.append((truth.onset / fps, row))
    for truth in score.missed:
        rows.append((truth.onset / fps, ("[red]missed[/]", true_span(truth), "", "", "", f"is {truth.label}")))
    for event in score.false:
        label = f"{event.label} {event.confidence or 0:.2f}"
        rows.append((seconds(event.onset), ("[red]false[/]", "", found_span(event), "", label, "")))
    table = Table(box=None, padding=(0, 2, 0, 0))
    for column in ("", "truth (s)", "found (s)", "IoU", "label", ""):
        table.add_column(column, no_wrap=True)
    for _, cells in sorted(rows):
        table.add_row(*cells)
    out().print(table)
    others = [event for event in events if event.phase == "final" and event.kind != "micro"]
    found, total = len(score.found), len(score.found) + len(score.missed)
    out().print(
        f"\n{found} of {total} micro-expressions found, {score.labels_right} with the right label, "
        f"{len(score.false)} false; beside them {sum(e.kind == 'blink' for e in others)} blinks and "
        f"{sum(e.kind == 'macro' for e in others)} macro-expressions",
        markup=False,
    )
