"""`bowam synth`: clips of animated faces whose micro-expressions are known."""

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from bowam_model.cli.progress import progress
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


def parse_size(text: str) -> tuple[int, int]:
    """`640x480` as (width, height). Raises OptionError."""
    width, _, height = text.lower().partition("x")
    if not (text.isascii() and width.isdigit() and height.isdigit() and int(width) * int(height) <= 2**26):
        raise OptionError(f"{text!r} is no size: write WIDTHxHEIGHT, such as 640x480, up to 8192x8192")
    return int(width), int(height)


def _words(choices: Sequence[StrEnum] | None) -> tuple[str, ...]:
    return tuple(choice.value for choice in choices or ())
