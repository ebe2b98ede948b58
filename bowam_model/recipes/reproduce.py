"""Running a table of the paper: each row becomes a preparation and a learner, and the protocol judges it.

Rows that are the same recipe on the same examples are one run: `runs/` is shared by all tables of a folder, a run that
is there is taken, and one that was cut goes on.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from bowam_model.datasets.descriptions import describe
from bowam_model.flow import ALIGNED_PX, NETWORK_PX, Encoding
from bowam_model.labels import MEGC2019_COUNTS
from bowam_model.learning import Examples, Learner
from bowam_model.network import create_model
from bowam_model.preparation import PreparationSettings
from bowam_model.protocol import ProtocolSettings, Result, run_protocol
from bowam_model.protocol.store import identity
from bowam_model.recipes.cost import network_cost
from bowam_model.recipes.table_result import Measured, Pair, RowResult, TableResult
from bowam_model.recipes.tables import MEGC, OVERALL, Figures, Row, Table, Task
from bowam_model.rivals.biwoof import biwoof
from bowam_model.rivals.maps import Map, painted
from bowam_model.rivals.mdmo import mdmo
from bowam_model.training import PAPER, NetworkLearner
from bowam_model.work import HERE, Engine

PAPER_ARCHITECTURE = "bowam"
COLOUR_JITTER = 0.2  # the released code jitters; by how much is our guess
READINGS = 5  # the apex, and one and two frames to either side: 4 more flows for each clip

MAPS: Mapping[str | None, Map] = {"bi-woof": "biwoof", "mdmo": "mdmo"}
"""Rivals that are painted for the network."""

MACHINES: Mapping[str | None, Callable[[], Learner]] = {"bi-woof-svm": biwoof, "mdmo-svm": mdmo}
"""Rivals that come with a machine of their own."""

OpenExamples = Callable[[Task, PreparationSettings], Examples]
"""The examples of a task, prepared."""

OnProgress = Callable[[str, int, int], None]


@dataclass(frozen=True, kw_only=True)
class ReproduceSettings:
    """How tables are run. The defaults are the paper's recipe; whatever departs from it is said in the result."""

    architecture: str = PAPER_ARCHITECTURE  # rows apply their options onto it
    epochs: int = PAPER.epochs
    input_px: int = NETWORK_PX
    folds: int | None = None  # over subjects; None: as the task has it
    seeds: tuple[int, ...] = (0,)  # each is a whole run
    pretrained: Path | None = None  # a public ConvNeXt-T's weights, taken by name and shape where they fit
    oracle: bool = False  # also the leaked figure
    manifest: str | None = None  # name of a csv that stands in for the data set

    @property
    def side_px(self) -> int:
        """Side of the flow that the input is cut from: as 240 is to 224."""
        return round(self.input_px * ALIGNED_PX / NETWORK_PX)


def preparation_of(row: Row, settings: ReproduceSettings) -> PreparationSettings:
    """How a row's clips become flows."""
    return PreparationSettings(fusion=row.fusion, side_px=settings.side_px, readings=READINGS)


def network_options(row: Row, architecture: str) -> dict[str, Any]:
    """A row's options of `create_model`. Stages are taken off, or added as Table 10 has it: wider, not smaller."""
    if not row.stages:
        return dict(row.options)
    with torch.device("meta"):
        base = create_model(architecture).options
    dims, depths, strides = base["dims"], base["depths"], base["strides"]
    if row.stages < 0:
        dims, depths, strides = dims[: row.stages], depths[: row.stages], strides[: row.stages]
    for _ in range(row.stages):
        dims, depths, strides = (*dims, 2 * dims[-1]), (*depths, depths[-1]), (*strides, 1)
    return {**row.options, "dims": dims, "depths": depths, "strides": strides}


def learner_of(row: Row, settings: ReproduceSettings) -> Learner:
    """A row's recipe."""
    if row.rival in MACHINES:
        return MACHINES[row.rival]()
    painted_before = row.rival in MAPS
    encoding = Encoding(
        fusion="picture" if painted_before else row.fusion,
        colours="picture" if painted_before else "hsv",
        input_px=settings.input_px,
        side_px=None if settings.side_px == ALIGNED_PX else settings.side_px,
    )
    return NetworkLearner(
        architecture=settings.architecture,
        options=network_options(row, settings.architecture),
        encoding=encoding,
        training=replace(PAPER, epochs=settings.epochs, colour_jitter=0.0 if painted_before else COLOUR_JITTER),
        pretrained=settings.pretrained,
    )


def protocol_of(task: Task, settings: ReproduceSettings) -> ProtocolSettings:
    """How a task is judged."""
    folds = settings.folds or task.folds
    if folds is None:
        return ProtocolSettings(kind="loso", seeds=settings.seeds, oracle=settings.oracle)
    return ProtocolSettings(kind="kfold", folds=folds, seeds=settings.seeds, oracle=settings.oracle)


def differences(rows: Sequence[RowResult], settings: ReproduceSettings) -> tuple[str, ...]:
    """In what rows departed from the paper when they were run, one a line."""
    found = []
    for task, run in ((one.row.task, one.measured) for one in rows):
        if run.synthetic:
            found.append(f"data: SYNTHETIC, animated faces instead of {task.title}")
        if settings.manifest:
            found.append(f"data: {settings.manifest} instead of {task.title}")
        clips, subjects = _published(task)
        if (run.clips, run.subjects) != (clips, subjects or run.subjects):
            meant = f"{clips} of {subjects or 'all'}"
            found.append(f"clips: {run.clips} of {run.subjects} subjects instead of {meant} ({task.title})")
        if settings.folds and settings.folds != task.folds:
            usual = f"{task.folds} folds" if task.folds else "leaving one subject out at a time"
            found.append(f"people: {settings.folds} folds instead of {usual}")
        if task.differs:
            found.append(task.differs)
    if settings.architecture != PAPER_ARCHITECTURE:
        instead = f"{settings.architecture} instead of {PAPER_ARCHITECTURE}"
        found.append(f"network: {instead}; the rows' options are applied onto it")
    if settings.epochs != PAPER.epochs:
        found.append(f"epochs: {settings.epochs} instead of {PAPER.epochs}")
    if settings.input_px != NETWORK_PX:
        found.append(f"input: {settings.input_px} px instead of {NETWORK_PX}")
    if settings.pretrained is None:
        found.append("first weights: random; the released code can take a public ConvNeXt-T's where they fit")
    return tuple(dict.fromkeys(found))


def run_table(
    table: Table,
    settings: ReproduceSettings,
    open_examples: OpenExamples,
    out: Path,
    *,
    rows: Sequence[str] = (),
    engine: Engine = HERE,
    on_progress: OnProgress | None = None,
) -> TableResult:
    """Run a table, or some of its rows, into `out`/runs; `table_report.write_report` writes what comes of it.

    Rows of one preparation open their examples once. Raises what the preparation and the protocol raise.
    """
    chosen = [table.row(name) for name in rows] or list(table.rows)
    for row in chosen:
        _check(row, settings)
    together: dict[tuple[Task, PreparationSettings], list[Row]] = {}
    for row in chosen:
        together.setdefault((row.task, preparation_of(row, settings)), []).append(row)
    results: dict[str, RowResult] = {}
    for (task, preparation), group in together.items():
        examples = open_examples(task, preparation)
        for row in group:
            seen = painted(examples, MAPS[row.rival]) if row.rival in MAPS else examples
            results[row.name] = _run_row(row, settings, seen, out, engine, on_progress)
    done = tuple(results[row.name] for row in chosen)
    return TableResult(
        table=table,
        rows=done,
        differences=differences(done, settings),
        synthetic=any(one.measured.synthetic for one in done),
        settings=asdict(settings) | {"pretrained": settings.pretrained and settings.pretrained.name},
    )


def _run_row(
    row: Row,
    settings: ReproduceSettings,
    examples: Examples,
    out: Path,
    engine: Engine,
    on_progress: OnProgress | None,
) -> RowResult:
    learner, protocol = learner_of(row, settings), protocol_of(row.task, settings)
    run = identity((learner.name,), (learner.recipe,), examples.digest, protocol)
    folder = Path("runs") / f"{learner.name}-{examples.fusion}-{run[:12]}"

    def hear(what: str, done: int, total: int) -> None:
        if on_progress:
            on_progress(f"{row.title}, {what}", done, total)

    result = run_protocol(
        [learner], examples, protocol, out / folder, engine=engine, title=_run_title(row, learner), on_progress=hear
    )
    return RowResult(
        row=row,
        measured=measured(result, folder.as_posix()),
        cost=network_cost(settings.architecture, network_options(row, settings.architecture)) if row.cost else None,
    )


def measured(result: Result, folder: str) -> Measured:
    """What a run says, as a table takes it."""
    leaked = result.figures(leaked=True)["all"] if result.run.settings.oracle else None
    return Measured(
        columns={
            OVERALL if part == "all" else part: Pair(uf1=scores["UF1"], uar=scores["UAR"])
            for part, scores in result.figures().items()
        },
        oracle=Figures(uf1=leaked["UF1"].mean, uar=leaked["UAR"].mean) if leaked else None,
        epochs=max(record.choice.epochs for record in result.records),
        samples_seen=sum(record.samples_seen for record in result.records),
        subjects=len(set(result.run.subjects)),
        clips=len(result.run.labels),
        examples=result.run.digest,
        synthetic=result.run.synthetic,
        folder=folder,
    )


def _check(row: Row, settings: ReproduceSettings) -> None:
    """What would fail after hours fails now. Raises OptionError."""
    learner_of(row, settings)
    with torch.device("meta"):
        create_model(settings.architecture, **network_options(row, settings.architecture))


def _run_title(row: Row, learner: Learner) -> str:
    """What a run is, whatever table asks for it."""
    options = [f"{name} {value}" for name, value in sorted(row.options.items())]
    stages = [f"{row.stages:+d} stage"] if row.stages else []
    maps = [f"painted as {MAPS[row.rival]}"] if row.rival in MAPS else []
    return ", ".join([learner.name, f"{row.fusion} flow", *maps, *options, *stages])


def _published(task: Task) -> tuple[int | None, int | None]:
    """Clips and subjects of the data set as it was published, as far as they are known."""
    if task == MEGC:
        return sum(clips for clips, _, _ in MEGC2019_COUNTS.values()), sum(n for _, n, _ in MEGC2019_COUNTS.values())
    expected = describe(task.dataset).views[task.classes or "all"].expected
    return expected.samples, expected.subjects
