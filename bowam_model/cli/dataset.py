"""`bowam dataset check`: what a folder holds of a data set, beside what was published."""

from pathlib import Path
from typing import Annotated

import typer

from bowam_model.datasets.sample import Corpus

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)


@app.callback()
def dataset() -> None:
    """Public data sets and your own clips."""


@app.command()
def check(
    name: Annotated[
        str,
        typer.Argument(
            help="casme2, samm, smic, smic-e, casme3, casme3-long, dfme, casme-square, samm-lv, mmew, 4dme; "
            "megc2019 for the composite; manifest for your own csv."
        ),
    ],
    root: Annotated[
        Path,
        typer.Argument(
            help="Folder of the data set. For megc2019: one with casme2/, samm/, smic/. For manifest: the csv."
        ),
    ],
    classes: Annotated[str | None, typer.Option(help="Which classes, such as 3, 4, 5, 7 or all.")] = None,
    images: Annotated[str | None, typer.Option(help="Which images, such as raw or cropped.")] = None,
    sheet: Annotated[
        Path | None, typer.Option(help="The annotation sheet (megc2019: the official list), if it lies elsewhere.")
    ] = None,
) -> None:
    """Count a data set by class and subject beside the published counts; list each row that is repaired or unusable."""
    from bowam_model.datasets.composite import load_composite
    from bowam_model.datasets.descriptions import describe
    from bowam_model.datasets.loader import load
    from bowam_model.datasets.manifest import load_manifest
    from bowam_model.errors import OptionError

    if name in ("megc2019", "manifest"):
        if classes or images or (sheet and name == "manifest"):
            raise OptionError(f"{name} takes no --classes, --images" + " or --sheet" * (name == "manifest"))
        corpus = load_composite(root, listed=sheet) if name == "megc2019" else load_manifest(root)
    else:
        corpus = load(describe(name), root, classes=classes, layout=images, sheet=sheet)
    typer.echo("\n".join(report(corpus)))


def report(corpus: Corpus) -> list[str]:
    """The lines that `check` prints."""
    expected, labels = corpus.expected, corpus.labels()
    published = dict(expected.labels)
    lines = [corpus.title, *(f"  read {source}" for source in corpus.sources), ""]
    lines += _table(
        ["", "found", "published"],
        [
            ["samples", str(len(corpus.samples)), _count(expected.samples)],
            ["subjects", str(len(corpus.subjects())), _count(expected.subjects)],
            *([kind, str(corpus.kinds()[kind]), str(count)] for kind, count in expected.kinds),
            *([label, str(labels[label]), _count(published.get(label))] for label in sorted({*labels, *published})),
        ],
    )
    columns = sorted(labels)
    lines += [
        "",
        *_table(
            ["subject", *columns, "all"],
            [
                [f"{dataset} {subject}", *(str(counts[label]) for label in columns), str(counts.total())]
                for (dataset, subject), counts in corpus.subjects().items()
            ],
        ),
    ]
    for action in ("kept", "repaired", "skipped", "missing"):
        found = [finding for finding in corpus.findings if finding.action == action]
        lines += ["", f"{action}: {len(found)}"]
        lines += [f"  {finding.where}: {finding.what}: {finding.reason}" for finding in found]
    return lines


def _count(count: int | None) -> str:
    return "-" if count is None else str(count)


def _table(head: list[str], rows: list[list[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    return [
        "  ".join(
            [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        )
        for row in (head, *rows)
    ]
