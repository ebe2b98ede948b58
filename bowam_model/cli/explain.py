"""`bowam explain`: the paper's claim measured on known truth, and the inside of a network drawn."""

from pathlib import Path
from typing import Annotated

import typer

from bowam_model.cli.progress import progress

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)


@app.callback()
def explain() -> None:
    """What bidirectional flow gains, and what a network looks at."""


@app.command()
def claim(
    out: Annotated[Path, typer.Option(help="Folder for claim.json, claim.md, claim.svg and figure3.png.")],
    identities: Annotated[
        Path | None, typer.Option(help="A photo of a neutral face, or a folder of them. Default: a built-in portrait.")
    ] = None,
    cases: Annotated[int, typer.Option(help="Micro-expressions of each amplitude stratum.", min=1)] = 12,
    seed: Annotated[int, typer.Option(help="The same seed gives the same figures.", min=0)] = 0,
) -> None:
    """Measure on synthetic truth how far bidirectional and traditional flow stand out of the noise."""
    from functools import partial

    from bowam_model.explain.canvas import make_folder
    from bowam_model.explain.claim import measure
    from bowam_model.explain.claim_report import write_claim
    from bowam_model.synthesis.identity import load_identity, photo_paths
    from bowam_model.synthesis.plan import STRATA

    photos: list[Path | None] = [None] if identities is None else list(photo_paths(identities))
    make_folder(out)
    with progress("claim", cases * len(STRATA), "cases") as advance:
        people = [partial(load_identity, photo) for photo in photos]
        readings = list(measure(people, cases, seed=seed, on_case=lambda: advance(1)))
    for path in write_claim(out, readings, people[0](), cases=cases, seed=seed):
        typer.echo(f"wrote {path}")


@app.command()
def network(
    out: Annotated[Path, typer.Option(help="Folder for gradcam.png, bands.png, stages.png and explain.json.")],
    weights: Annotated[Path | None, typer.Option(help="A weights file. Default: the shipped one.")] = None,
    onset: Annotated[
        Path | None, typer.Option(help="Picture of the onset: a photo, or an aligned 240x240 face.")
    ] = None,
    apex: Annotated[Path | None, typer.Option(help="Picture of the apex.")] = None,
    offset: Annotated[Path | None, typer.Option(help="Picture of the offset.")] = None,
    demo: Annotated[bool, typer.Option("--demo", help="A synthetic smile of the built-in portrait.")] = False,
) -> None:
    """Draw where a network looks (Grad-CAM), its wavelet bands with their attention, and its feature maps."""
    from bowam_model.errors import OptionError
    from bowam_model.explain.canvas import make_folder
    from bowam_model.explain.network_report import demo_triple, read_triple, write_network
    from bowam_model.predictor import load

    pictures = [path for path in (onset, apex, offset) if path is not None]
    if demo == bool(pictures) or len(pictures) not in (0, 3):
        raise OptionError("pass --onset, --apex and --offset, or --demo for a synthetic example")
    predictor = load(weights)
    triple, words = demo_triple() if demo else read_triple(pictures, predictor.encoding.aligned_px)
    make_folder(out)
    for path in write_network(out, predictor, triple, words):
        typer.echo(f"wrote {path}")
