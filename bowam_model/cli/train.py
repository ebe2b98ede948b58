"""`bowam train`: weights, from nothing."""

from pathlib import Path
from typing import Annotated

import typer

from bowam_model.cli.progress import stages


def train(
    identities: Annotated[Path, typer.Option(help="A folder of neutral, frontal photos, one for each person.")],
    out: Annotated[Path, typer.Option(help="The weights; MODEL_CARD.md is written beside them.")],
    source: Annotated[str, typer.Option(help="Where the photos are from and under which licence, for the card.")],
    cache: Annotated[
        Path | None, typer.Option(help="Folder that keeps the examples for another run (2.5 GB for 51 people).")
    ] = None,
    workers: Annotated[int, typer.Option(help="Processes that make examples.", min=1)] = 2,
    seed: Annotated[int, typer.Option(help="Of the network's first weights and of the order of examples.")] = 0,
) -> None:
    """Train the small network that ships, on synthetic movement of real faces, from nothing to weights."""
    from dataclasses import replace
    from tempfile import TemporaryDirectory

    from bowam_model.recipes import ShippedRecipe, train_shipped

    recipe = ShippedRecipe()
    recipe = replace(recipe, training=replace(recipe.training, seed=seed))
    with TemporaryDirectory(prefix="bowam-") as scrap, stages() as on_progress:
        folder = cache or Path(scrap)
        folder.mkdir(parents=True, exist_ok=True)
        train_shipped(identities, out, folder, recipe, source=source, workers=workers, on_progress=on_progress)
    typer.echo(f"wrote {out} and {out.with_name('MODEL_CARD.md')}")
