"""`bowam subscribe`: events as JSON lines, as they happen."""

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bowam_stream.cli.options import CAMERA, Events, Keys, Lsl

if TYPE_CHECKING:
    from bowam_stream.events.merge import Since


def parsed_since(given: list[str] | None) -> "int | dict[str, int] | None":
    """One number for all cameras, or CAMERA=SEQ for each. Raises typer.BadParameter for anything else."""
    if not given:
        return None
    if len(given) == 1 and given[0].isascii() and given[0].isdigit():
        return int(given[0])
    since = {}
    for one in given:
        camera, _, seq = one.rpartition("=")
        if not (CAMERA.fullmatch(camera) and seq.isascii() and seq.isdigit()) or camera in since:
            raise typer.BadParameter(
                f"{one!r}: give one number for all cameras, or CAMERA=SEQ once for each", param_hint="--since"
            )
        since[camera] = int(seq)
    return since


def subscribe(
    endpoint: Events = None,
    journal_endpoint: Annotated[
        str | None, typer.Option(metavar="ENDPOINT", help="Where missed events can be asked for.")
    ] = None,
    camera: Annotated[list[str] | None, typer.Option(help="Only this camera; may be repeated.")] = None,
    since: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SEQ|CAMERA=SEQ",
            help="First everything after this sequence number; as CAMERA=SEQ it may be repeated, and cameras that are "
            "not named start from their first event.",
        ),
    ] = None,
    append: Annotated[
        Path | None,
        typer.Option(
            metavar="F.jsonl",
            help="Append to this file instead, each event once: started again, go on behind its last ones.",
        ),
    ] = None,
    lsl: Lsl = False,
    keys: Keys = None,
    count: Annotated[int | None, typer.Option(min=1, help="Leave after so many events.")] = None,
    timeout: Annotated[
        float | None, typer.Option(min=0.1, metavar="SECONDS", help="Leave after so long without an event.")
    ] = None,
) -> None:
    """Print events as JSON lines; Ctrl-C ends."""
    from bowam_stream.config import EventSettings
    from bowam_stream.errors import TransportError
    from bowam_stream.events import subscribe as events_of
    from bowam_stream.events import to_json
    from bowam_stream.events.file import EventFile
    from bowam_stream.formats.lsl import Markers

    start: Since = parsed_since(since)
    if append and isinstance(start, int):
        raise typer.BadParameter("the file of --append says where to go on; CAMERA=SEQ may name cameras that it lacks")
    defaults = EventSettings()
    taken = 0
    with contextlib.ExitStack() as stack:
        stack.enter_context(contextlib.suppress(KeyboardInterrupt))
        file = stack.enter_context(EventFile(append)) if append else None
        if file is not None:
            assert not isinstance(start, int)
            start = {**(start or {}), **file.last}
        # Before anybody answers, so that recorders find it.
        markers = stack.enter_context(Markers(endpoint or defaults.endpoint)) if lsl else None
        events = stack.enter_context(
            events_of(
                endpoint or defaults.endpoint,
                journal=journal_endpoint,
                cameras=camera,
                since=start,
                timeout_s=timeout,
                keys=keys,
            )
        )
        journal = events.journal
        while taken != count:
            event = events.receive(0)
            if event is None:
                if file is not None:
                    file.sync()  # nothing more waits
                event = events.receive(timeout)
            if event is None:
                return
            if markers is not None:
                for name, told in events.statuses.items():
                    markers.status(name, str(told.get("session")), str(told.get("clock")))
                markers.push(event)
            if file is None:
                sys.stdout.write(to_json(event).decode() + "\n")
                sys.stdout.flush()
            elif events.journal != journal:
                raise TransportError(
                    f"another journal took the place of the one that {append} holds; append its events to another file"
                )
            else:
                file.append(event)
            taken += 1
