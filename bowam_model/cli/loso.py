"""`bowam loso`: an honest figure of a recipe on a data set; `bowam loso compare`: of two."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bowam_model.cli.data import Cache, Classes, Images, Sheet, Workers, open_examples
from bowam_model.cli.engine import Address, EngineName, Gpus, open_engine
from bowam_model.cli.progress import stages
from bowam_model.errors import OptionError

if TYPE_CHECKING:  # these load torch
    from bowam_model.learning import Examples, Learner
    from bowam_model.training import TrainingSettings

app = typer.Typer(invoke_without_command=True, pretty_exceptions_enable=False)

NETWORK_SIDE = 240 / 224  # the flow that an input is cut from, as 240 px is to 224
RIVALS = ("svm", "biwoof", "mdmo", "ststnet")


class Recipe(StrEnum):
    paper = "paper"
    nano = "nano"


class Selection(StrEnum):
    fixed = "fixed"
    inner = "inner"


class Fusion(StrEnum):
    add = "add"
    multiply = "multiply"
    concat = "concat"
    traditional = "traditional"


class Colours(StrEnum):
    uv = "uv"
    uv_strain = "uv_strain"
    uv_derivatives = "uv_derivatives"
    hsv = "hsv"
    picture = "picture"


@app.callback()
def loso(
    context: typer.Context,
    data: Annotated[
        str, typer.Option(help="casme2, samm, smic, casme3, dfme, ... as in `bowam dataset check`; megc2019; manifest.")
    ] = "",
    root: Annotated[Path | None, typer.Option(help="Folder of the data set; for manifest, the csv.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the run; one that was cut goes on in it.")] = None,
    architecture: Annotated[
        list[str] | None,
        typer.Option(
            help="bowam, bowam-nano, bowam-3stage, bowam-5stage, convnext-tiny; svm, biwoof, mdmo, ststnet. Repeatable "
            "with --selection inner, which then chooses among them. Default: bowam-nano."
        ),
    ] = None,
    recipe: Annotated[
        Recipe | None, typer.Option(help="How a network is trained. Default: nano for bowam-nano.")
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="Default: the recipe's (paper 100, nano 15).", min=1)] = None,
    input_px: Annotated[int, typer.Option(help="Side of a network's input.", min=16, max=224)] = 64,
    fusion: Annotated[Fusion, typer.Option(help="Of the flows of a clip.")] = Fusion.add,
    colours: Annotated[Colours, typer.Option(help="What a network sees of a flow.")] = Colours.uv_strain,
    centre: Annotated[bool, typer.Option("--centre", help="Subtract the median of u and of v first.")] = False,
    readings: Annotated[int, typer.Option(help="Apex frames of a clip to learn from: 1, 3 or 5.")] = 5,
    members: Annotated[int, typer.Option(help="Networks whose answers are averaged.", min=1)] = 1,
    pretrained: Annotated[Path | None, typer.Option(help="A ConvNeXt-T's .safetensors to begin with.")] = None,
    folds: Annotated[str, typer.Option(help="loso: one subject left out at a time; or a number of groups.")] = "loso",
    seeds: Annotated[int, typer.Option(help="How many seeds, 0 and up; each is a whole run.", min=1, max=1000)] = 3,
    selection: Annotated[
        Selection, typer.Option(help="fixed: the recipe's last epoch. inner: chosen on training subjects alone.")
    ] = Selection.fixed,
    inner_folds: Annotated[int, typer.Option(help="Groups of training subjects, for --selection inner.", min=2)] = 5,
    inner_rounds: Annotated[int, typer.Option(help="How many of those groups validate in turn.", min=1)] = 1,
    oracle_epoch: Annotated[
        bool, typer.Option("--oracle-epoch", help="Also show the leaked figure: the best epoch on each test subject.")
    ] = False,
    title: Annotated[str, typer.Option(help="What the report is called.")] = "",
    classes: Classes = None,
    images: Images = None,
    sheet: Sheet = None,
    cache: Cache = None,
    workers: Workers = 1,
    engine: EngineName = "local",
    address: Address = None,
    gpus: Gpus = 0.0,
) -> None:
    """Judge a recipe by leaving one subject out at a time; the result does not depend on --workers or --engine.

    Writes result.json, result.md, pictures and one file for each fold and seed into --out. A run that was cut goes on
    when the same command is given again; more --seeds may be added to it.
    """
    if context.invoked_subcommand:
        return
    if not data or root is None or out is None:
        raise OptionError("name the data and a folder: bowam loso --data NAME --root FOLDER --out FOLDER")
    if folds != "loso" and not (folds.isascii() and folds.isdigit()):
        raise OptionError(f"--folds is {folds!r}: write loso, or a number such as 10")

    from bowam_model.preparation import PreparationSettings
    from bowam_model.protocol import ProtocolSettings, figure_table, run_protocol

    settings = ProtocolSettings(
        kind="loso" if folds == "loso" else "kfold",
        folds=10 if folds == "loso" else int(folds),
        seeds=tuple(range(seeds)),
        selection=selection.value,
        inner_folds=inner_folds,
        inner_rounds=inner_rounds,
        oracle=oracle_epoch,
    )
    preparation = PreparationSettings(fusion=fusion.value, side_px=round(input_px * NETWORK_SIDE), readings=readings)
    examples = open_examples(
        data, root, preparation, cache=cache, workers=workers, classes=classes, images=images, sheet=sheet
    )
    candidates: list[Learner] = []
    for name in architecture or ["bowam-nano"]:
        training = _training(recipe or (Recipe.nano if name == "bowam-nano" else Recipe.paper), epochs)
        if name in RIVALS:
            candidates += _rivals(name, examples, epochs, tuned=selection is Selection.inner)
        else:
            candidates.append(_network(name, examples, training, input_px, colours.value, centre, members, pretrained))
    named = title or f"{' or '.join(dict.fromkeys(one.name for one in candidates))} on {data}"
    with open_engine(engine, workers=workers, address=address, gpus=gpus) as hands, stages() as on_progress:
        result = run_protocol(candidates, examples, settings, out, engine=hands, title=named, on_progress=on_progress)
    typer.echo("\n".join([*result.head(), "", *figure_table(result), "", f"wrote {out / 'result.md'}"]))


@app.command()
def compare(
    first: Annotated[Path, typer.Argument(help="Folder of a finished run.")],
    second: Annotated[Path, typer.Argument(help="Folder of another on the same clips.")],
    out: Annotated[Path | None, typer.Option(help="Also write the comparison here, as JSON.")] = None,
) -> None:
    """Say by how much the first run is better, with an interval over subjects (paired bootstrap)."""
    from bowam_model.protocol import Result, comparison, comparison_lines
    from bowam_model.protocol.store import write

    results = Result.load(first), Result.load(second)
    typer.echo("\n".join(comparison_lines(*results)))
    if out:
        write(out, comparison(*results))


def _training(recipe: Recipe, epochs: int | None) -> "TrainingSettings":
    from dataclasses import replace

    from bowam_model.training import NANO, PAPER

    training = NANO if recipe is Recipe.nano else PAPER
    return replace(training, epochs=epochs) if epochs else training


def _network(
    name: str,
    examples: "Examples",
    training: "TrainingSettings",
    input_px: int,
    colours: str,
    centre: bool,
    members: int,
    pretrained: Path | None,
) -> "Learner":
    from bowam_model.flow import Encoding
    from bowam_model.network import MODELS
    from bowam_model.training import NetworkLearner

    if name not in MODELS:
        raise OptionError(f"unknown architecture {name!r}: use one of {', '.join((*MODELS, *RIVALS))}")
    side = examples.flows_NVHWC.shape[2]
    encoding = Encoding(
        fusion=examples.fusion,  # type: ignore[arg-type]  # the preparation's word
        colours=colours,  # type: ignore[arg-type]  # of the command line's choices
        centre=centre,
        side_px=side,
        input_px=min(side, input_px),  # ready flow pictures have the size that they have
    )
    return NetworkLearner(
        architecture=name, encoding=encoding, training=training, members=members, pretrained=pretrained
    )


def _rivals(name: str, examples: "Examples", epochs: int | None, tuned: bool) -> list["Learner"]:
    """One, or with an inner validation a machine with several costs and widths to choose from."""
    from dataclasses import replace

    if name == "ststnet":
        from bowam_model.flow import Encoding
        from bowam_model.rivals.ststnet import INPUT_PX, TRAINING, ststnet

        training = replace(TRAINING, epochs=epochs) if epochs else TRAINING
        if examples.fusion == "picture":
            return [ststnet(training=training)]
        if examples.flows_NVHWC.shape[2] < INPUT_PX:
            raise OptionError(f"ststnet needs flows of {INPUT_PX} px: raise --input-px")
        side = examples.flows_NVHWC.shape[2]
        return [ststnet(Encoding(fusion=examples.fusion, side_px=side, input_px=side), training)]  # type: ignore[arg-type]
    from bowam_model.rivals.biwoof import biwoof
    from bowam_model.rivals.mdmo import mdmo
    from bowam_model.rivals.svm import SvmLearner, svm_grid

    machine = SvmLearner() if name == "svm" else biwoof() if name == "biwoof" else mdmo()
    if not tuned:
        return [machine]
    widths = tuple(machine.gamma * factor for factor in (0.3, 1, 3))
    return list(svm_grid(machine, C=[machine.C * factor for factor in (0.3, 1, 3)], gamma=widths))
