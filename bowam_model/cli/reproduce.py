"""`bowam reproduce`: the paper's tables, run on your copy of the data."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bowam_model.cli.data import Cache, Workers, open_examples
from bowam_model.cli.engine import Address, EngineName, Gpus, open_engine
from bowam_model.cli.progress import stages
from bowam_model.errors import OptionError

if TYPE_CHECKING:  # these load torch
    from bowam_model.learning import Examples
    from bowam_model.preparation import PreparationSettings
    from bowam_model.recipes.reproduce import ReproduceSettings
    from bowam_model.recipes.tables import Table, Task
    from bowam_model.work import Engine

ALL = "all"
FLOWS28 = "flows28"


def reproduce(
    table: Annotated[str, typer.Argument(help="table1 to table11, or all; flows28 for ready pictures.")] = "",
    data_root: Annotated[
        Path | None,
        typer.Option(
            help="Folder with megc2019/, casme3/, dfme/, as far as you have them, or of the one data set that the "
            "table needs; or a manifest (.csv) that stands in for it."
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for TABLE.md, .json, .svg and runs/.")] = Path("reproduced"),
    show: Annotated[bool, typer.Option("--list", help="Show all tables and rows, and run nothing.")] = False,
    rows: Annotated[str, typer.Option(help="Only these rows of a table, such as add,concat.")] = "",
    seeds: Annotated[int, typer.Option(help="How many seeds, 0 and up; each is a whole run.", min=1, max=1000)] = 1,
    folds: Annotated[
        int | None, typer.Option(help="Folds over subjects. Default: one subject is left out at a time.", min=2)
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="Default: the paper's 100.", min=1)] = None,
    input_px: Annotated[int | None, typer.Option(help="Side of the input. Default: 224.", min=16, max=224)] = None,
    architecture: Annotated[
        str | None, typer.Option(help="Apply the rows' options onto another network, such as bowam-nano.")
    ] = None,
    pretrained: Annotated[
        Path | None, typer.Option(help="A ConvNeXt-T's .safetensors, taken by name and shape where it fits.")
    ] = None,
    oracle_epoch: Annotated[
        bool, typer.Option("--oracle-epoch", help="Also show the leaked figure: the best epoch on each test subject.")
    ] = False,
    cache: Cache = None,
    workers: Workers = 1,
    engine: EngineName = "local",
    address: Address = None,
    gpus: Gpus = 0.0,
) -> None:
    """Run every row of a table of the paper and write ours beside the paper's figures.

    What differs from the paper's recipe stands at the top of the result. A run that was cut goes on.
    """
    from bowam_model.recipes.tables import TABLES, find_table

    if show:
        typer.echo("\n".join(catalogue(list(TABLES.values()))))
        return
    if not table or data_root is None:
        raise OptionError("name a table and --data-root, as in: bowam reproduce table4 --data-root data")
    chosen = [name.strip() for name in rows.split(",") if name.strip()]
    if table == FLOWS28:
        if folds or epochs or input_px or architecture or pretrained or oracle_epoch:
            raise OptionError("flows28 is a frozen recipe: it takes --rows, --seeds, --cache, --workers and --engine")
        with open_engine(engine, workers=workers, address=address, gpus=gpus) as hands:
            _flows28(chosen, data_root, out, seeds, cache, workers, hands)
        return
    if table == ALL and rows:
        raise OptionError("--rows chooses among the rows of one table: name that table instead of all")
    tables = list(TABLES.values()) if table == ALL else [find_table(table)]
    for name in chosen:
        tables[0].row(name)

    from bowam_model.recipes.reproduce import ReproduceSettings

    default = ReproduceSettings()
    settings = ReproduceSettings(
        architecture=architecture or default.architecture,
        epochs=epochs or default.epochs,
        input_px=input_px or default.input_px,
        folds=folds,
        seeds=tuple(range(seeds)),
        pretrained=pretrained,
        oracle=oracle_epoch,
        manifest=data_root.name if data_root.suffix.lower() == ".csv" else None,
    )
    with open_engine(engine, workers=workers, address=address, gpus=gpus) as hands:
        for one in tables:
            if table == ALL and not all(_has(data_root, row.task) for row in one.rows):
                typer.echo(f"left out: {one.name}, {data_root} has no folder {one.rows[0].task.dataset}", err=True)
                continue
            _reproduce(one, chosen, settings, data_root, out, cache, workers, hands)


def catalogue(tables: "Sequence[Table]") -> list[str]:
    """The lines that `--list` prints."""
    lines = ["row, UF1 and UAR as printed, what it is"]
    for table in tables:
        lines.append("")
        lines.append(f"{table.name}  {table.title} ({'; '.join(dict.fromkeys(row.task.title for row in table.rows))})")
        for row in table.rows:
            figures = row.paper.get(table.columns[0])
            printed = f"{figures.uf1:.4f} {figures.uar:.4f}" if figures else "             "
            lines.append(f"  {row.name:<14}{printed}  {row.title}")
    return lines


def _reproduce(
    table: "Table",
    rows: Sequence[str],
    settings: "ReproduceSettings",
    data_root: Path,
    out: Path,
    cache: Path | None,
    workers: int,
    engine: "Engine",
) -> None:
    from bowam_model.recipes.reproduce import run_table
    from bowam_model.recipes.table_report import write_report

    def opened(task: "Task", preparation: "PreparationSettings") -> "Examples":
        if settings.manifest:
            return open_examples("manifest", data_root, preparation, cache=cache, workers=workers)
        root = data_root / task.dataset if (data_root / task.dataset).is_dir() else data_root
        return open_examples(task.dataset, root, preparation, cache=cache, workers=workers, classes=task.classes)

    with stages() as on_progress:
        result = run_table(table, settings, opened, out, rows=rows, engine=engine, on_progress=on_progress)
    for path in write_report(result, out):
        typer.echo(f"wrote {path}")


def _flows28(
    rows: Sequence[str], manifest: Path, out: Path, seeds: int, cache: Path | None, workers: int, engine: "Engine"
) -> None:
    from bowam_model.preparation import PreparationSettings
    from bowam_model.recipes.flows28 import SIDE_PX, run_flows28

    examples = open_examples("manifest", manifest, PreparationSettings(side_px=SIDE_PX), cache=cache, workers=workers)
    with stages() as on_progress:
        written = run_flows28(examples, out, chosen=rows, seeds=seeds, engine=engine, on_progress=on_progress)
    for path in written:
        typer.echo(f"wrote {path}")


def _has(data_root: Path, task: "Task") -> bool:
    """Whether `all` can run it: the composite's folder may be the root itself, the others' lie in it."""
    if data_root.suffix.lower() == ".csv" or task.dataset == "megc2019":
        return True
    return (data_root / task.dataset).is_dir()
