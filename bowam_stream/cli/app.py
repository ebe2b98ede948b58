"""The list of verbs. Each is loaded when it runs, and does its heavy imports then."""

import contextlib
import os
from collections.abc import Iterator
from typing import Annotated, Any, Literal

import typer

import bowam_stream
from bowam_model.cli import VERBS
from bowam_model.cli.lazy import Verb, group_of
from bowam_stream.pipeline.arguments import without_credentials

WATCH = (
    Verb(
        "demo",
        "bowam_stream.cli.demo:demo",
        "Make a clip, find its micro-expressions, and compare. Writes clip, truth, events, report and overlay.",
    ),
    Verb(
        "replay",
        "bowam_stream.cli.replay:replay",
        "Find the micro-expressions of a recording. The same recording gives the same events, byte for byte.",
    ),
    Verb(
        "live",
        "bowam_stream.cli.live:live",
        "Watch a camera until Ctrl-C. Others may subscribe to the events and scrape the metrics meanwhile.",
    ),
    Verb(
        "fleet",
        "bowam_stream.cli.fleet:fleet",
        "Run the captures and workers of many cameras until Ctrl-C, and start again elsewhere what a node took along.",
    ),
    Verb(
        "page",
        "bowam_stream.cli.page:page",
        "Show it in a browser: live, or from an old journal or a kept replay. Ctrl-C ends.",
    ),
    Verb("subscribe", "bowam_stream.cli.subscribe:subscribe", "Print events as JSON lines; Ctrl-C ends."),
    Verb(
        "events",
        "bowam_stream.cli.events:app",
        "Show events, or write them for spreadsheets, ELAN, Praat, BORIS, BIDS.",
    ),
)
PIECES = (
    Verb("capture", "bowam_stream.cli.capture:capture", "Decode one source, align its faces and publish them."),
    Verb(
        "worker",
        "bowam_stream.cli.worker:worker",
        "Spot, recognise, journal and publish, for one or many cameras.",
    ),
    Verb("journal", "bowam_stream.cli.journal:app", "The event journal: what is kept, and for how long."),
    Verb(
        "audit",
        "bowam_stream.cli.audit:audit",
        "Prove that no event is lost or doubled and that every frame is accounted for. Exit status 1 if not.",
    ),
    Verb(
        "keygen",
        "bowam_stream.cli.keygen:keygen",
        "Make a pair of keys, NAME.key and NAME.key_secret, and say what goes where. Overwrites nothing.",
    ),
    Verb(
        "doctor",
        "bowam_stream.cli.doctor:doctor",
        "Say what this machine has and what is missing. Exit status 1 if something must be mended.",
    ),
    Verb(
        "bench",
        "bowam_stream.cli.bench:bench",
        "Measure on this machine, and print every figure beside what bounds it. Takes a while.",
    ),
)
MODEL = tuple(
    verb._replace(home="bowam_stream.cli.evaluate:app") if verb.name == "evaluate" else verb for verb in VERBS
)


@contextlib.contextmanager
def _discreet() -> Iterator[None]:
    """What the parser complains about, it repeats: not so the password of a camera."""
    try:
        yield
    except Exception as error:
        if isinstance(message := getattr(error, "message", None), str):
            error.message = without_credentials(message)  # type: ignore[attr-defined]
        raise


_Verbs: Any = group_of({"Watch": WATCH, "The two processes": PIECES, "Model and data": MODEL})


class Verbs(_Verbs):
    """All verbs."""

    def make_context(self, *arguments: Any, **named: Any) -> Any:
        with _discreet():
            return super().make_context(*arguments, **named)

    def invoke(self, ctx: Any) -> Any:
        with _discreet():
            return super().invoke(ctx)


app = typer.Typer(
    cls=Verbs,
    name="bowam",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="See facial micro-expressions in live video, the moment they happen.",
)


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
