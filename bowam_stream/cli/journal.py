"""`bowam journal`: what stands in the event journal, and for how long."""

import datetime
import re
from pathlib import Path
from typing import Annotated

import typer

from bowam_stream.cli.options import ConfigFile

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)

UNIT_S = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}


@app.callback()
def journal() -> None:
    """The event journal: what is kept, and for how long."""


def cutoff_utc_ns(text: str, now_utc_ns: int, option: str = "--older-than") -> int:
    """The moment that `text` names, for `option`: an age such as 30d, 12h, 90m, 5s, or a date such as 2026-01-31 (UTC).

    Raises typer.BadParameter for anything else.
    """
    from bowam_stream.clock import NS_PER_SECOND

    if age := re.fullmatch(r"(\d{1,9})([dhms])", text, re.ASCII):
        return now_utc_ns - int(age[1]) * UNIT_S[age[2]] * NS_PER_SECOND
    try:
        when = datetime.datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is no age such as 30d, 12h, 90m or 5s, and no date such as 2026-01-31", param_hint=option
        ) from None
    when = when if when.tzinfo else when.replace(tzinfo=datetime.UTC)
    since_epoch = when - datetime.datetime.fromtimestamp(0, datetime.UTC)
    return since_epoch // datetime.timedelta(microseconds=1) * 1_000


@app.command()
def purge(
    older_than: Annotated[
        str, typer.Option(metavar="AGE|DATE", help="30d, 12h, 90m, 5s, or a date such as 2026-01-31 (UTC).")
    ],
    journal: Annotated[
        Path | None, typer.Argument(metavar="[JOURNAL]", help="The journal; without it, that of the settings.")
    ] = None,
    camera: Annotated[list[str] | None, typer.Option(help="Only this camera; may be repeated.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be removed.")] = False,
    config: ConfigFile = None,
) -> None:
    """Remove old events from the journal, for good. A worker may go on writing to it meanwhile."""
    from bowam_stream import clock
    from bowam_stream.cli.terminal import out
    from bowam_stream.config import load_config
    from bowam_stream.errors import JournalError
    from bowam_stream.events import Journal
    from bowam_stream.events.purge import purge as remove

    before_utc_ns = cutoff_utc_ns(older_than, clock.utc_ns())
    path = journal or Path(load_config(config).events.journal)
    if not path.exists():
        raise JournalError(f"journal {path}: there is no such file; name the one that the worker writes")
    with Journal(path) as opened:
        unknown = sorted(set(camera or ()) - set(opened.heads()))
        if unknown:
            raise JournalError(f"journal {path}: it has no events of {', '.join(unknown)}; check the name")
        for one in remove(opened, before_utc_ns, cameras=camera, dry_run=dry_run):
            kept = f"; older ones stay: {one.kept_by}" if one.kept_by else ""
            out().print(
                f"{one.camera}: {one.records} events {'would be removed' if dry_run else 'removed'}, "
                f"{one.head - one.upto} kept{kept}",
                markup=False,
            )
