"""The commands of the model package. `bowam` mounts them; each is a plain function that typer turns into a command."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from bowam_model.errors import OptionError
from bowam_model.labels import MEGC2019


class Label(StrEnum):
    negative = "negative"
    positive = "positive"
    surprise = "surprise"


class Stratum(StrEnum):
    hard = "hard"
    medium = "medium"
    easy = "easy"


class Nuisance(StrEnum):
    blink = "blink"
    nod = "nod"
    speech = "speech"
    macro = "macro"
    drift = "drift"
    tremor = "tremor"
    flicker = "flicker"
    noise = "noise"
    low_light = "low_light"


def synth(
    out: Annotated[Path, typer.Argument(help="Folder for clip.mp4 and truth.json; with --count, their parent.")],
    identities: Annotated[
        Path | None, typer.Option(help="A photo of a neutral face, or a folder of them. Default: a built-in portrait.")
    ] = None,
    rate: Annotated[float, typer.Option(help="Frames per second.", min=5, max=1000)] = 100.0,
    seconds: Annotated[float, typer.Option(help="Length of a clip.", min=0.1, max=3600)] = 10.0,
    seed: Annotated[int, typer.Option(help="The same seed gives the same clip.", min=0)] = 0,
    events: Annotated[int, typer.Option(help="Micro-expressions in a clip.", min=0, max=10_000)] = 3,
    label: Annotated[list[Label] | None, typer.Option(help="Classes to draw from; repeatable.")] = None,
    stratum: Annotated[
        list[Stratum] | None,
        typer.Option(help="Amplitudes: hard 0.8-1.2, medium 1.2-2, easy 2-3 px of a 240 px face; repeatable."),
    ] = None,
    nuisance: Annotated[
        list[Nuisance] | None,
        typer.Option(help="What else happens; repeatable. Default: blink, drift, tremor, noise."),
    ] = None,
    still: Annotated[bool, typer.Option("--still", help="No nuisance at all.")] = False,
    size: Annotated[str, typer.Option(help="WIDTHxHEIGHT in pixels, both even.")] = "640x480",
    zoom: Annotated[
        float, typer.Option(help="Scale of the face; 1.2 makes it about 200 px wide.", min=0.2, max=20)
    ] = 1.2,
    crf: Annotated[int, typer.Option(help="Compression: 0 lossless, 18 fine, 35 poor.", min=0, max=51)] = 18,
    count: Annotated[int, typer.Option(help="How many clips; their seeds count up.", min=1, max=100_000)] = 1,
) -> None:
    """Animate neutral faces into clips whose micro-expressions are known (clip.mp4, truth.json)."""
    from bowam_model.synthesis import load_identity, make_clip, plan_clip
    from bowam_model.synthesis.identity import photo_paths
    from bowam_model.synthesis.plan import ALWAYS, STRATA

    plans = [
        plan_clip(
            seed + index,
            rate_hz=rate,
            seconds=seconds,
            events=events,
            labels=_words(label) or MEGC2019,
            strata=_words(stratum) or tuple(STRATA),
            nuisances=() if still else _words(nuisance) or ALWAYS,
            size=parse_size(size),
            zoom=zoom,
        )
        for index in range(count)
    ]
    photos: list[Path | None] = [None] if identities is None else list(photo_paths(identities))
    total = sum(plan.frames for plan in plans)
    with progress("rendering", total, "frames") as advance:
        for index, plan in enumerate(plans):
            folder = out if count == 1 else out / f"{index:04d}"
            person = load_identity(photos[index % len(photos)])
            make_clip(plan, person, folder, crf=crf, on_frame=lambda *_: advance(1))


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


def parse_size(text: str) -> tuple[int, int]:
    """`640x480` as (width, height). Raises OptionError."""
    width, _, height = text.lower().partition("x")
    if not (text.isascii() and width.isdigit() and height.isdigit() and int(width) * int(height) <= 2**26):
        raise OptionError(f"{text!r} is no size: write WIDTHxHEIGHT, such as 640x480, up to 8192x8192")
    return int(width), int(height)


@contextmanager
def progress(what: str, total: int, unit: str) -> Iterator[Callable[[int], None]]:
    """A bar with rate and time left, for a terminal and after two seconds; nothing otherwise. Yields `advance(n)`."""
    done = 0
    with stages() as on_progress:

        def advance(count: int) -> None:
            nonlocal done
            done += count
            on_progress(f"{what}, {unit}", done, total)

        yield advance


@contextmanager
def stages() -> Iterator[Callable[[str, int, int], None]]:
    """The same for work in several stages. Yields `on_progress(what, done, total)`."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}/s"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=None, visible=False, rate="-")
        total_now = 0

        def on_progress(what: str, done: int, total: int) -> None:
            nonlocal total_now
            if total != total_now:  # another stage
                total_now = total
                bar.reset(task, total=total, visible=False)
            state = bar.tasks[0]
            late = (state.elapsed or 0.0) > 2.0
            bar.update(task, description=what, completed=done, visible=late, rate=f"{state.speed or 0:.1f}")

        yield on_progress


def _words(choices: Sequence[StrEnum] | None) -> tuple[str, ...]:
    return tuple(choice.value for choice in choices or ())


app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)
app.command()(synth)
app.command()(train)


@app.callback()
def model() -> None:
    """Synthetic clips, training and evaluation."""
