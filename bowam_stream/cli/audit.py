"""`bowam audit`: whether a journal, and the system that writes it, keep their promises."""

from pathlib import Path
from typing import Annotated

import typer

from bowam_stream.cli.options import ConfigFile


def audit(
    journal: Annotated[
        Path | None, typer.Argument(metavar="[JOURNAL]", help="A journal file; without it, the one of the settings.")
    ] = None,
    config: ConfigFile = None,
    seconds: Annotated[float, typer.Option(min=0.0, help="How long to listen to a running worker.")] = 2.0,
) -> None:
    """Prove that no event is lost or doubled and that every frame is accounted for. Exit status 1 if not.

    Given a file, only that is looked at; otherwise also the capture and the worker of the settings, if they run here.
    """
    from rich.markup import escape

    from bowam_stream.cli.terminal import out
    from bowam_stream.config import load_config
    from bowam_stream.errors import AuditFailed, JournalError
    from bowam_stream.events import Journal
    from bowam_stream.events.audit import audit_journal
    from bowam_stream.pipeline.auditing import audit_running

    settings = load_config(config)
    path = journal or Path(settings.events.journal)
    if not path.exists():
        raise JournalError(f"journal {path}: there is no such file; name the one that the worker writes")
    with Journal.open_readonly(path) as book:
        checks = list(audit_journal(book))
    running = [] if journal else list(audit_running(settings, seconds))
    for check in checks + running:
        mark = "[green]holds [/]" if check.holds else "[red]broken[/]"
        out().print(f"{mark}  {escape(check.what)}" + (f": {escape(check.says)}" if check.says else ""))
        for fault in check.faults:
            out().print(f"        [red]{escape(fault)}[/]")
    if not journal and not running:
        out().print("nothing runs at the addresses of these settings: only the journal was looked at", markup=False)
    broken = [check.what for check in checks + running if not check.holds]
    if broken:
        raise AuditFailed(f"{path}: broken: {'; '.join(broken)}")
