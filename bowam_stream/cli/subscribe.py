"""`bowam subscribe`: events as JSON lines, as they happen."""

import contextlib
import sys
from typing import Annotated

import typer

from bowam_stream.cli.options import Events, Keys


def subscribe(
    endpoint: Events = None,
    journal_endpoint: Annotated[
        str | None, typer.Option(metavar="ENDPOINT", help="Where missed events can be asked for.")
    ] = None,
    camera: Annotated[list[str] | None, typer.Option(help="Only this camera; may be repeated.")] = None,
    since: Annotated[
        int | None, typer.Option(min=0, metavar="SEQ", help="First everything after this sequence number.")
    ] = None,
    keys: Keys = None,
    count: Annotated[int | None, typer.Option(min=1, help="Leave after so many events.")] = None,
    timeout: Annotated[
        float | None, typer.Option(min=0.1, metavar="SECONDS", help="Leave after so long without an event.")
    ] = None,
) -> None:
    """Print events as JSON lines; Ctrl-C ends."""
    from bowam_stream.config import EventSettings
    from bowam_stream.events import subscribe as events_of
    from bowam_stream.events import to_json

    defaults = EventSettings()
    printed = 0
    with (
        contextlib.suppress(KeyboardInterrupt),
        events_of(
            endpoint or defaults.endpoint,
            journal=journal_endpoint,
            cameras=camera,
            since=since,
            timeout_s=timeout,
            keys=keys,
        ) as events,
    ):
        while printed != count and (event := events.receive(timeout)) is not None:
            sys.stdout.write(to_json(event).decode() + "\n")
            sys.stdout.flush()
            printed += 1
