"""The commands of the model package. `bowam` mounts them; each is a plain function that typer turns into a command."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from bowam_model.errors import DatasetError
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
    seconds: Annotated[float, typer.Option(help="Length of a clip.", min=0.1)] = 10.0,
    seed: Annotated[int, typer.Option(help="The same seed gives the same clip.", min=0)] = 0,
    events: Annotated[int, typer.Option(help="Micro-expressions in a clip.", min=0)] = 3,
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
    zoom: Annotated[float, typer.Option(help="Scale of the face; 1.2 makes it about 200 px wide.", min=0.2)] = 1.2,
    crf: Annotated[int, typer.Option(help="Compression: 0 lossless, 18 fine, 35 poor.", min=0, max=51)] = 18,
    count: Annotated[int, typer.Option(help="How many clips; their seeds count up.", min=1)] = 1,
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


def parse_size(text: str) -> tuple[int, int]:
    """`640x480` as (width, height). Raises DatasetError."""
    width, _, height = text.lower().partition("x")
    if not (width.isdigit() and height.isdigit()):
        raise DatasetError(f"{text!r} is no size: write WIDTHxHEIGHT, such as 640x480")
    return int(width), int(height)


@contextmanager
def progress(what: str, total: int, unit: str) -> Iterator[Callable[[int], None]]:
    """A bar with rate and time left, for a terminal and after two seconds; nothing otherwise. Yields `advance(n)`."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns: tuple[Any, ...] = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(show_speed=True),
        TextColumn(f"{{task.fields[rate]}} {unit}/s"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=total, rate="-", visible=False)

        def advance(count: int) -> None:
            bar.advance(task, count)
            state = bar.tasks[0]
            if state.elapsed and state.elapsed > 2.0:
                bar.update(task, visible=True, rate=f"{state.speed or 0:.0f}")

        yield advance


def _words(choices: Sequence[StrEnum] | None) -> tuple[str, ...]:
    return tuple(choice.value for choice in choices or ())


app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)
app.command()(synth)


@app.callback()
def model() -> None:
    """Synthetic clips, training and evaluation."""
