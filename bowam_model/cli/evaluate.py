"""`bowam evaluate recognition`: weights beside a data set."""

from pathlib import Path
from typing import Annotated

import typer

from bowam_model.cli.data import Cache, Classes, Images, Sheet, Workers, open_examples

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)


@app.callback()
def evaluate() -> None:
    """How good results are, beside a truth."""


@app.command()
def recognition(
    data: Annotated[str, typer.Option(help="Data set, such as casme2, megc2019, manifest.")],
    root: Annotated[Path, typer.Option(help="Folder of the data set; for manifest: the csv.")],
    weights: Annotated[Path | None, typer.Option(help="Weights file (.safetensors). Default: those that ship.")] = None,
    classes: Classes = None,
    images: Images = None,
    sheet: Sheet = None,
    cache: Cache = None,
    workers: Workers = 1,
    json: Annotated[Path | None, typer.Option(metavar="F.json", help="Write all figures here.")] = None,
    markdown: Annotated[Path | None, typer.Option(metavar="F.md", help="Write the tables here.")] = None,
) -> None:
    """Recognition: confusion, UF1 and UAR of weights on a data set, with intervals over people.

    Says so if the weights have seen these people: a recipe is judged by `bowam loso`.
    """
    from dataclasses import asdict
    from json import dumps

    from bowam_model.predictor import load
    from bowam_model.recipes import recognition as recipe

    predictor = load(weights)
    settings = recipe.preparation(predictor)
    examples = open_examples(
        data, root, settings, cache=cache, workers=workers, classes=classes, images=images, sheet=sheet
    )
    result = recipe.recognise(predictor, examples)
    page = "\n".join(recipe.markdown(result)) + "\n"
    if json:
        json.write_text(dumps(asdict(result), indent=1) + "\n")
    if markdown:
        markdown.write_text(page)
    typer.echo(page, nl=False)
    for warning in recipe.warnings(result):
        typer.echo(f"warning: {warning}", err=True)
