"""The list of verbs. Each is imported here and does its heavy imports itself, when it runs."""

import os
from typing import Annotated, Literal

import typer

import bowam_stream
from bowam_model.cli import COMMANDS, GROUPS
from bowam_stream.cli.bench import bench
from bowam_stream.cli.capture import capture
from bowam_stream.cli.demo import demo
from bowam_stream.cli.doctor import doctor
from bowam_stream.cli.evaluate import app as evaluate
from bowam_stream.cli.live import live
from bowam_stream.cli.replay import replay
from bowam_stream.cli.subscribe import subscribe
from bowam_stream.cli.worker import worker

app = typer.Typer(
    name="bowam",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="See facial micro-expressions in live video, the moment they happen.",
)

WATCH, PIECES, MODEL = "Watch", "The two processes", "Model and data"
for panel, commands in (
    (WATCH, (demo, replay, live, subscribe)),
    (PIECES, (capture, worker, doctor, bench)),
    (MODEL, COMMANDS),
):
    for command in commands:
        app.command(rich_help_panel=panel)(command)
for name, group in {**GROUPS, "evaluate": evaluate}.items():
    app.add_typer(group, name=name, rich_help_panel=MODEL)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"bowam-stream {bowam_stream.__version__}")
        raise typer.Exit


@app.callback()
def options(
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"],
        typer.Option(help="How much the log tells.", envvar="BOWAM_LOG_LEVEL"),
    ] = "warning",
    log_format: Annotated[
        Literal["human", "json"], typer.Option(help="How the log looks.", envvar="BOWAM_LOG_FORMAT")
    ] = "human",
    _show_version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and leave.")
    ] = False,
) -> None:
    """Options before the verb."""
    from bowam_stream import logs

    logs.configure(log_level, log_format)
    os.environ.update(BOWAM_LOG_LEVEL=log_level, BOWAM_LOG_FORMAT=log_format)  # for the processes that we start
