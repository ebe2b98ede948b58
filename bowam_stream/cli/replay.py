"""`bowam replay`: a recording through the real processes, to events, report and overlay."""

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bowam_model.cli.engine import Address, EngineName
from bowam_stream.cli.options import Camera, ConfigFile, Consent, FalseAlarms, MaxFaces, Rate, Weights

if TYPE_CHECKING:
    from bowam_stream.cli.outputs import Outputs
    from bowam_stream.config import Config
    from bowam_stream.messages import Event
    from bowam_stream.pipeline.replaying import Replay

CAMERA = "cam0"
SEGMENT_MINUTES = 15.0


def replay(
    video: Annotated[
        str,
        typer.Argument(
            help="Video file, folder of numbered images, or test://pattern. With --out also a corpus: a folder of "
            "videos, a manifest (.csv, .jsonl), or an fsspec address such as s3://bucket/talks/."
        ),
    ],
    speed: Annotated[str, typer.Option(help="1: as it was filmed; max: as fast as it goes.")] = "max",
    events: Annotated[Path | None, typer.Option(metavar="F.jsonl", help="Write all event records here.")] = None,
    report: Annotated[Path | None, typer.Option(metavar="F.html", help="Write a self-contained report here.")] = None,
    overlay: Annotated[
        Path | None, typer.Option(metavar="F.mp4", help="Write the video with what was seen drawn on it.")
    ] = None,
    explain: Annotated[
        Path | None,
        typer.Option(metavar="F.csv|F.parquet", help="Write signal, threshold, state and doubts of every frame here."),
    ] = None,
    journal: Annotated[Path | None, typer.Option(metavar="FILE", help="Keep the run's journal here.")] = None,
    keep: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Keep journal, signals and event frames here, for: bowam page FOLDER."),
    ] = None,
    weights: Weights = None,
    false_alarms_per_hour: FalseAlarms = None,
    camera: Camera = CAMERA,
    max_faces: MaxFaces = None,
    rate: Rate = None,
    loops: Annotated[int | None, typer.Option(min=1, help="Play it so many times, as one stream.")] = None,
    consent: Consent = None,
    config: ConfigFile = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="A corpus: leave everything here; one that was interrupted goes on."),
    ] = None,
    segment_minutes: Annotated[
        float | None,
        typer.Option(min=0.0, metavar="M", help="A corpus: cut longer recordings; 15 if not given, 0 never cuts."),
    ] = None,
    engine: EngineName = "local",
    address: Address = None,
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="A corpus: processes of this machine; as many as it has cores if not given."),
    ] = None,
    gpus: Annotated[
        float, typer.Option(min=0.0, help="A corpus on Ray: share of a GPU for each process that recognises.")
    ] = 0.0,
) -> None:
    """Find the micro-expressions of a recording. The same recording gives the same events, byte for byte.

    Given a corpus and --out, those of many, on this machine or on a Ray cluster.
    """
    from bowam_stream.cli import terminal
    from bowam_stream.cli.outputs import Outputs
    from bowam_stream.config import at_false_alarms, load_config, replaced
    from bowam_stream.corpus.listing import is_corpus
    from bowam_stream.corpus.places import shown
    from bowam_stream.errors import ConfigError

    if speed not in ("1", "max"):
        raise typer.BadParameter("must be 1 or max", param_hint="--speed")
    settings = load_config(config)
    settings = replaced(settings, "source", rate_hz=rate, loops=loops, consent=consent)
    settings = replaced(settings, "face", max_faces=max_faces)
    settings = at_false_alarms(replaced(settings, "model", weights=weights), false_alarms_per_hour)
    if is_corpus(video):
        from bowam_stream.cli.corpus import Machines, run_corpus

        alone = {
            "--speed 1": speed == "1",
            "--events": events,
            "--report": report,
            "--overlay": overlay,
            "--explain": explain,
            "--journal": journal,
            "--keep": keep,
            "--loops": loops,
            "--camera": camera != CAMERA,
        }
        if given := [name for name, value in alone.items() if value]:
            raise ConfigError(f"{given[0]} is for one recording, and {shown(video)} is a corpus; name one of its files")
        if out is None:
            raise ConfigError(
                f"{shown(video)} is a corpus of recordings; name a folder for what is found: --out FOLDER"
            )
        machines = Machines(engine=engine, address=address, workers=workers, gpus=gpus)
        run_corpus(video, settings, out, machines, SEGMENT_MINUTES if segment_minutes is None else segment_minutes)
        return
    many = {
        "--out": out,
        "--segment-minutes": segment_minutes is not None,
        "--engine": engine != "local",
        "--address": address,
        "--workers": workers,
        "--gpus": gpus,
    }
    if given := [name for name, value in many.items() if value]:
        raise ConfigError(f"{given[0]} is for a corpus, and {shown(video)} is one recording; see --keep and --events")
    with run(
        video,
        settings,
        camera=camera,
        paced=speed == "1",
        journal=journal,
        outputs=Outputs(
            events=events,
            report=report,
            overlay=overlay,
            explain=explain,
            keep=keep,
            others=(Path(video), journal, weights, config),
        ),
    ) as result:
        if os.path.isdir(video):
            terminal.err().print(f"{shown(video)}: one recording, a folder of numbered images", markup=False)
        summarise(result)
        if keep is not None:
            terminal.out().print(f"look at it: bowam page {keep}", markup=False)


@contextlib.contextmanager
def run(
    video: str,
    settings: "Config",
    *,
    camera: str,
    paced: bool,
    journal: Path | None,
    outputs: "Outputs",
    truth: Path | None = None,
    quiet: bool = False,
) -> Any:
    """Replay `video` with progress, write the outputs, and give the result."""
    from bowam_stream.cli.outputs import write_events
    from bowam_stream.cli.terminal import RunProgress, line
    from bowam_stream.pipeline.replaying import replay as start
    from bowam_stream.pipeline.stop import StopFlag

    stop = StopFlag().install()
    with RunProgress(Path(video).name) as progress:

        def tell(event: "Event") -> None:
            if event.phase == "final" and not quiet:
                progress.say(line(event))

        with start(
            video,
            settings,
            camera=camera,
            paced=paced,
            record=outputs.need_record,
            journal=journal,
            stop=stop,
            on_event=tell,
            on_status=progress.status,
        ) as result:
            if outputs.events:
                write_events(outputs.events, result.events)
            if outputs.explain:
                from bowam_stream.report import Record
                from bowam_stream.report.explain import write_explanation

                assert result.record is not None, "the run was not recorded"
                write_explanation(outputs.explain, Record(result.record), result.events)
            if outputs.report or outputs.overlay:
                from bowam_stream.cli.pictures import draw

                draw(result, video, settings, outputs, truth)
            if outputs.keep:
                from bowam_stream.cli.outputs import keep_run

                assert result.record is not None, "the run was not recorded"
                keep_run(outputs.keep, result.record, result.journal)
            yield result


def summarise(result: "Replay") -> None:
    """The end of a replay: how much was found, and what was wrong with the recording."""
    from bowam_stream.cli.terminal import WARNINGS, err, out
    from bowam_stream.errors import StreamError
    from bowam_stream.report.words import QUALITY

    summary = result.summary
    final = [event for event in result.events if event.phase == "final"]
    counts = {kind: sum(event.kind == kind for event in final) for kind in ("micro", "macro", "blink")}
    retracted = sum(event.phase == "retracted" for event in result.events)
    length_s = summary.duration_ns / 1e9
    out().print(
        f"{summary.source}: {summary.frames} frames, {length_s:.1f} s; {counts['micro']} micro-expressions, "
        f"{counts['macro']} macro-expressions, {counts['blink']} blinks, {retracted} candidates withdrawn",
        markup=False,
    )
    if summary.frames_with_face == 0:
        err().print("warning: no face was found in any frame", markup=False)
    flags = {*summary.quality, *(flag for event in result.events for flag in event.quality)}
    for flag in sorted(flags.intersection(WARNINGS)):
        err().print(f"warning: {QUALITY[flag]}", markup=False)
    if result.interrupted:
        raise StreamError(f"interrupted after {length_s:.1f} s of the recording; what was found until then is kept")
