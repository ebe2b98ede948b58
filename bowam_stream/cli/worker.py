"""`bowam worker`: from aligned faces to events."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from bowam_stream.cli.options import ConfigFile, Events, FalseAlarms, Insecure, Keys, Weights


def worker(
    frames: Annotated[
        list[str] | None,
        typer.Option("--frames", metavar="ENDPOINT", help="Where to fetch aligned faces; once per camera."),
    ] = None,
    endpoint: Events = None,
    journal_endpoint: Annotated[
        str | None, typer.Option(metavar="ENDPOINT", help="Where missed events can be asked for.")
    ] = None,
    journal: Annotated[Path | None, typer.Option(metavar="FILE", help="The event journal (SQLite).")] = None,
    weights: Weights = None,
    false_alarms_per_hour: FalseAlarms = None,
    config: ConfigFile = None,
    replay: Annotated[bool, typer.Option("--replay", help="Fetch one recording, lossless, then end.")] = False,
    run_folder: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write the run's summary here, for `replay` and `demo`.")
    ] = None,
    record: Annotated[
        bool, typer.Option("--record", help="Also keep signals and event frames in the run folder.")
    ] = False,
    metrics_port: Annotated[int | None, typer.Option(help="0 takes a free port.")] = None,
    keys: Keys = None,
    insecure: Insecure = False,
) -> None:
    """Spot, recognise, journal and publish, for one or many cameras."""
    from bowam_stream.cli.terminal import err
    from bowam_stream.config import at_false_alarms, load_config, replaced
    from bowam_stream.pipeline.stop import StopFlag, supervised
    from bowam_stream.pipeline.working import run_worker

    if record and run_folder is None:
        raise typer.BadParameter("needs --run-folder", param_hint="--record")
    settings = load_config(config)
    settings = replaced(settings, "transport", connect=tuple(frames) if frames else None, insecure=insecure or None)
    settings = replaced(
        settings,
        "events",
        endpoint=endpoint,
        journal_endpoint=journal_endpoint,
        journal=journal,
        insecure=insecure or None,
    )
    settings = at_false_alarms(replaced(settings, "model", weights=weights), false_alarms_per_hour)
    settings = replaced(settings, "metrics", worker_port=metrics_port, insecure=insecure or None)
    settings = replaced(settings, "keys", folder=keys)
    if sys.stderr.isatty() and not supervised():
        err().print(
            f"faces from {', '.join(settings.transport.connect or (settings.transport.endpoint,))}; events at "
            f"{settings.events.endpoint}, journal in {settings.events.journal}, metrics on port "
            f"{settings.metrics.worker_port}; `bowam subscribe` shows the events; Ctrl-C ends",
            markup=False,
        )
    run_worker(
        settings,
        lossless=replay,
        run_folder=run_folder,
        record=record,
        stop=StopFlag().install(),
    )
