"""`bowam dataset`: what a folder holds of a data set (`check`), and its flows for training (`prepare`)."""

from collections import Counter
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from bowam_model.cli.data import (
    Cache,
    Classes,
    Images,
    Name,
    Root,
    Sheet,
    Workers,
    open_corpus,
    prepare_corpus,
    told,
)

if TYPE_CHECKING:
    from bowam_model.datasets.sample import Corpus
    from bowam_model.learning import Examples
app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)


@app.callback()
def dataset() -> None:
    """Public data sets and your own clips."""


@app.command()
def check(name: Name, root: Root, classes: Classes = None, images: Images = None, sheet: Sheet = None) -> None:
    """Count a data set by class and subject beside the published counts; list each row that is repaired or unusable."""
    typer.echo("\n".join(report(open_corpus(name, root, classes=classes, images=images, sheet=sheet))))


@app.command()
def prepare(
    name: Name,
    root: Root,
    classes: Classes = None,
    images: Images = None,
    sheet: Sheet = None,
    cache: Cache = None,
    workers: Workers = 1,
    fusion: Annotated[
        Literal["add", "multiply", "concat", "traditional"],
        typer.Option(help="How both directions of the flow become one."),
    ] = "add",
    side: Annotated[int, typer.Option(help="Side of the flow in pixels, averaged down from 240.")] = 240,
    readings: Annotated[int, typer.Option(help="Flows of a clip: 1, or 3 or 5 with frames beside the apex.")] = 1,
    steady: Annotated[
        bool,
        typer.Option("--steady/--quick", help="Follow the head through all frames as in live use, or align three."),
    ] = True,
) -> None:
    """Align, crop and compute the flow of every clip, once; what is done already is taken from the cache."""
    from bowam_model.preparation import PreparationSettings

    settings = PreparationSettings(fusion=fusion, side_px=side, readings=readings, steady=steady)
    corpus = open_corpus(name, root, classes=classes, images=images, sheet=sheet)
    prepared = prepare_corpus(corpus, settings, cache, workers)
    typer.echo("\n".join([*contents(corpus.title, prepared.examples), *told(corpus.findings + prepared.findings)]))


def contents(title: str, examples: "Examples") -> list[str]:
    """The lines that `prepare` prints about its examples."""
    _, readings, height, width, channels = examples.flows_NVHWC.shape
    head = f"{title}: {len(examples)} examples of {len(examples.people)} subjects"
    flow = f"flow {width}x{height}x{channels}, {examples.fusion}, {readings} of each clip"
    counts = Counter(zip(examples.datasets.tolist(), examples.labels.tolist(), strict=True))
    rows = [
        [dataset, *(str(counts[dataset, label]) for label in range(len(examples.classes)))]
        for dataset in sorted(set(examples.datasets.tolist()))
    ]
    return [
        head + ", SYNTHETIC" * examples.synthetic,
        flow,
        f"digest {examples.digest}",
        "",
        *_table(["", *examples.classes], rows),
    ]


def report(corpus: "Corpus") -> list[str]:
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
    return lines + told(corpus.findings)


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
