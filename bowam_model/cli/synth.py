"""`bowam synth`: clips of animated faces whose micro-expressions are known, and `bowam synth corpus` of them."""

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from typer.core import TyperGroup

from bowam_model.cli.progress import progress, stages
from bowam_model.errors import OptionError
from bowam_model.labels import MEGC2019


class ClipsByDefault(TyperGroup):
    """`bowam synth OUT` means `bowam synth clips OUT`."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        if args and args[0] not in (*self.commands, *ctx.help_option_names):
            args = ["clips", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(cls=ClipsByDefault, no_args_is_help=True, pretty_exceptions_enable=False)


@app.callback()
def synth() -> None:
    """Animate neutral faces: `bowam synth OUT` writes clips, `bowam synth corpus OUT` a whole synthetic data set."""


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


@app.command()
def clips(
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
    """Clips whose micro-expressions are known: clip.mp4, truth.json. The word `clips` may be left out."""
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


@app.command()
def corpus(
    out: Annotated[Path, typer.Argument(help="A new folder, or one of an earlier call that was cut off.")],
    identities: Annotated[
        Path | None, typer.Option(help="A folder of neutral photos, one subject each. Default: a built-in portrait.")
    ] = None,
    subjects: Annotated[int, typer.Option(help="How many people, shared out like the real ones.", min=3)] = 68,
    clips: Annotated[int, typer.Option(help="How many clips, shared out like the real ones.", min=9)] = 442,
    seed: Annotated[int, typer.Option(help="The same seed gives the same corpus.", min=0)] = 0,
    workers: Annotated[int, typer.Option(help="Processes that work side by side.", min=1, max=1024)] = 1,
) -> None:
    """A SYNTHETIC data set that lies on disk like MEGC2019: `bowam dataset check megc2019 OUT` reads it."""
    from bowam_model.synthesis.corpus import make_corpus
    from bowam_model.synthesis.population import CorpusSettings

    settings = CorpusSettings(clips=clips, subjects=subjects, seed=seed)
    with stages() as on_progress:
        made = make_corpus(
            out,
            settings,
            identities,
            workers=workers,
            on_progress=lambda done, total: on_progress("rendering, clips", done, total),
        )
    typer.echo(f"{out}: SYNTHETIC, {made} clips of {subjects} subjects, laid out like MEGC2019")


def parse_size(text: str) -> tuple[int, int]:
    """`640x480` as (width, height). Raises OptionError."""
    width, _, height = text.lower().partition("x")
    if not (text.isascii() and width.isdigit() and height.isdigit() and int(width) * int(height) <= 2**26):
        raise OptionError(f"{text!r} is no size: write WIDTHxHEIGHT, such as 640x480, up to 8192x8192")
    return int(width), int(height)


def _words(choices: Sequence[StrEnum] | None) -> tuple[str, ...]:
    return tuple(choice.value for choice in choices or ())
