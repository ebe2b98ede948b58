"""What the commands that need a data set share: its options, its corpus, its examples."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bowam_model.cli.progress import progress

if TYPE_CHECKING:  # all of these load much, and are of no use to a help text
    from bowam_model.datasets.sample import Corpus, Finding
    from bowam_model.learning import Examples
    from bowam_model.preparation import PreparationSettings, Prepared

Name = Annotated[
    str,
    typer.Argument(
        help="casme2, samm, smic, smic-e, casme3, casme3-long, dfme, casme-square, samm-lv, mmew, 4dme; "
        "megc2019 for the composite; manifest for your own csv."
    ),
]
Root = Annotated[
    Path,
    typer.Argument(help="Folder of the data set. For megc2019: one with casme2/, samm/, smic/. For manifest: the csv."),
]
Classes = Annotated[str | None, typer.Option(help="Which classes, such as 3, 4, 5, 7 or all.")]
Images = Annotated[str | None, typer.Option(help="Which images, such as raw or cropped.")]
Sheet = Annotated[
    Path | None, typer.Option(help="The annotation sheet (megc2019: the official list), if it lies elsewhere.")
]
Cache = Annotated[
    Path | None, typer.Option(help="Where prepared flows are kept. Default: $XDG_CACHE_HOME/bowam or ~/.cache/bowam.")
]
Workers = Annotated[int, typer.Option(help="Processes that work side by side.", min=1, max=1024)]


def default_cache() -> Path:
    """Where prepared flows are kept unless the user says otherwise."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "bowam"


def open_corpus(
    name: str, root: Path, *, classes: str | None = None, images: str | None = None, sheet: Path | None = None
) -> "Corpus":
    """The data set of that name as it lies on disk. Raises DatasetError, OptionError, MissingDependency."""
    from bowam_model.datasets.composite import load_composite
    from bowam_model.datasets.descriptions import describe
    from bowam_model.datasets.loader import load
    from bowam_model.datasets.manifest import load_manifest
    from bowam_model.errors import OptionError

    if name not in ("megc2019", "manifest"):
        return load(describe(name), root, classes=classes, layout=images, sheet=sheet)
    if classes or images or (sheet and name == "manifest"):
        raise OptionError(f"{name} takes no --classes, --images" + " or --sheet" * (name == "manifest"))
    return load_composite(root, listed=sheet) if name == "megc2019" else load_manifest(root)


def prepare_corpus(corpus: "Corpus", settings: "PreparationSettings", cache: Path | None, workers: int) -> "Prepared":
    """Its flows, made or from the cache, with a progress bar."""
    from bowam_model.preparation import prepare

    done = 0
    with progress("preparing", len(corpus.samples), "clips") as advance:

        def on_progress(now: int, _total: int) -> None:
            nonlocal done
            advance(now - done)
            done = now

        return prepare(corpus, settings, cache or default_cache(), workers=workers, on_progress=on_progress)


def open_examples(
    name: str,
    root: Path,
    settings: "PreparationSettings",
    *,
    cache: Path | None = None,
    workers: int = 1,
    classes: str | None = None,
    images: str | None = None,
    sheet: Path | None = None,
) -> "Examples":
    """The examples of that data set; says on stderr how many rows could not be used. Raises as its parts do."""
    corpus = open_corpus(name, root, classes=classes, images=images, sheet=sheet)
    prepared = prepare_corpus(corpus, settings, cache, workers)
    lost = [one for one in (*corpus.findings, *prepared.findings) if one.action in ("skipped", "missing")]
    if lost:
        typer.echo(
            f"{len(prepared.examples)} examples; rows that could not be used: {len(lost)} "
            f"(bowam dataset prepare {name} lists them)",
            err=True,
        )
    return prepared.examples


def told(findings: "tuple[Finding, ...]") -> list[str]:
    """The lines that list findings, by what was done."""
    lines = []
    for action in ("kept", "repaired", "skipped", "missing"):
        found = [finding for finding in findings if finding.action == action]
        lines += ["", f"{action}: {len(found)}"]
        lines += [f"  {finding.where}: {finding.what}: {finding.reason}" for finding in found]
    return lines
