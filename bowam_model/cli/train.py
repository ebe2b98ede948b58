"""`bowam train`: weights, from a folder of photos or from a data set."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bowam_model.cli.data import Cache, Classes, Images, Sheet, Workers, open_examples
from bowam_model.cli.progress import stages

if TYPE_CHECKING:  # loads torch
    from bowam_model.recipes.trained import TrainedRecipe


def train(
    out: Annotated[Path, typer.Option(help="The weights; MODEL_CARD.md is written beside them.")],
    data: Annotated[
        str | None, typer.Option(help="Data set to learn from, such as casme2, megc2019, manifest.")
    ] = None,
    root: Annotated[Path | None, typer.Option(help="Folder of the data set; for manifest: the csv.")] = None,
    recipe: Annotated[str, typer.Option(help="paper (the full network) or nano (for CPUs).")] = "paper",
    architecture: Annotated[str | None, typer.Option(help="Another network than the recipe's.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Rounds, instead of the recipe's.", min=1)] = None,
    batch: Annotated[int | None, typer.Option(help="Examples of one step, instead of the recipe's.", min=1)] = None,
    input_px: Annotated[int | None, typer.Option(help="Side of the network's input.", min=16, max=224)] = None,
    pretrained: Annotated[Path | None, typer.Option(help="ConvNeXt weights (.safetensors) to start from.")] = None,
    checkpoint: Annotated[Path | None, typer.Option(help="Kept after each epoch; a run that finds it goes on.")] = None,
    curves: Annotated[Path | None, typer.Option(help="Loss and rate by epoch, as .json or .csv.")] = None,
    classes: Classes = None,
    images: Images = None,
    sheet: Sheet = None,
    identities: Annotated[
        Path | None, typer.Option(help="Instead of --data: a folder of neutral, frontal photos, one for each person.")
    ] = None,
    source: Annotated[
        str | None, typer.Option(help="Where the photos are from and under which licence, for the card.")
    ] = None,
    false_alarms: Annotated[
        Path | None,
        typer.Option(help="With --identities: a spotter's false alarms (.npz), learned as none.", metavar="FILE.npz"),
    ] = None,
    cache: Cache = None,
    workers: Workers = 2,
    seed: Annotated[int, typer.Option(help="Of the network's first weights and of the order of examples.")] = 0,
) -> None:
    """Train weights, from nothing.

    With --data on every clip of a data set: nobody is held out, `bowam loso` measures the recipe. With --identities the
    small network that ships, on synthetic movement of real faces.
    """
    from bowam_model.errors import OptionError

    of_data = {"root": root, "architecture": architecture, "epochs": epochs, "batch": batch, "input-px": input_px,
               "pretrained": pretrained, "checkpoint": checkpoint, "curves": curves, "classes": classes,
               "images": images, "sheet": sheet}  # fmt: skip
    if (data is None) == (identities is None):
        raise OptionError("say what to learn from: --data NAME --root FOLDER, or --identities FOLDER --source TEXT")
    if data is not None:
        if root is None:
            raise OptionError(f"--data {data} lies where? Name it with --root")
        for name, value in {"--source": source, "--false-alarms": false_alarms}.items():
            if value is not None:
                raise OptionError(f"{name} goes with --identities")
        chosen = _chosen(recipe, architecture, epochs, batch, input_px, pretrained)
        if curves is not None and curves.suffix not in (".json", ".csv"):
            raise OptionError(f"{curves} is neither .json nor .csv: curves are written as one of them")
        sources = {"classes": classes, "images": images, "sheet": sheet}
        _train_on_data(data, root, out, chosen, checkpoint, curves, cache, workers, seed, sources)
        return
    assert identities is not None
    if source is None:
        raise OptionError("say with --source where the photos are from and under which licence: the card tells it")
    if wrong := [f"--{name}" for name, value in of_data.items() if value is not None]:
        raise OptionError(f"{wrong[0]} goes with --data: the recipe of --identities is fixed")
    _train_shipped(identities, out, source, false_alarms, cache, workers, seed)


def _chosen(
    recipe: str,
    architecture: str | None,
    epochs: int | None,
    batch: int | None,
    input_px: int | None,
    pretrained: Path | None,
) -> "TrainedRecipe":
    from dataclasses import replace

    from bowam_model.errors import OptionError
    from bowam_model.network import MODELS
    from bowam_model.recipes.trained import RECIPES

    if recipe not in RECIPES:
        raise OptionError(f"unknown recipe {recipe!r}: use one of {', '.join(RECIPES)}")
    if architecture is not None and architecture not in MODELS:
        raise OptionError(f"unknown model {architecture!r}: use one of {', '.join(MODELS)}")
    named = RECIPES[recipe]
    training: dict[str, Any] = {"epochs": epochs, "batch": batch}
    others: dict[str, Any] = {"architecture": architecture, "input_px": input_px, "pretrained": pretrained}
    changed = replace(named.training, **{key: value for key, value in training.items() if value is not None})
    return replace(named, training=changed, **{key: value for key, value in others.items() if value is not None})


def _train_on_data(
    data: str,
    root: Path,
    out: Path,
    recipe: "TrainedRecipe",
    checkpoint: Path | None,
    curves: Path | None,
    cache: Path | None,
    workers: int,
    seed: int,
    sources: dict[str, Any],
) -> None:
    from bowam_model.recipes.trained import train_on_all
    from bowam_model.training import write_curves

    examples = open_examples(data, root, recipe.preparation, cache=cache, workers=workers, **sources)
    with stages() as on_progress:
        model = train_on_all(examples, recipe, out, seed=seed, checkpoint=checkpoint, on_progress=on_progress)
    if curves is not None:
        write_curves(curves, model.curve)
    if model.pretrained:
        typer.echo(f"{model.pretrained[0]} of {model.pretrained[1]} tensors began as those of {recipe.pretrained}")
    typer.echo(
        f"wrote {out} and {out.with_name('MODEL_CARD.md')}: {len(model.curve)} epochs, {model.samples_seen} examples "
        "seen; nothing was held out"
    )


def _train_shipped(
    identities: Path, out: Path, source: str, false_alarms: Path | None, cache: Path | None, workers: int, seed: int
) -> None:
    from dataclasses import replace
    from tempfile import TemporaryDirectory

    from bowam_model.recipes import ShippedRecipe, train_shipped

    recipe = ShippedRecipe()
    recipe = replace(recipe, training=replace(recipe.training, seed=seed))
    with TemporaryDirectory(prefix="bowam-") as scrap, stages() as on_progress:
        folder = cache or Path(scrap)
        folder.mkdir(parents=True, exist_ok=True)
        train_shipped(
            identities, out, folder, recipe,
            source=source, false_alarms=false_alarms, workers=workers, on_progress=on_progress,
        )  # fmt: skip
    typer.echo(f"wrote {out} and {out.with_name('MODEL_CARD.md')}")
