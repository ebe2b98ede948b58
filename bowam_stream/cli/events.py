"""`bowam events`: what stands in a journal or a file of events, and the same for other programs."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from bowam_stream.cli.options import ConfigFile

if TYPE_CHECKING:
    from bowam_stream.formats.export import Wanted
    from bowam_stream.formats.rows import Left, Row

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)

KINDS = ("micro", "macro", "blink")

SourceFile = Annotated[
    Path | None,
    typer.Argument(
        metavar="[SOURCE]",
        help="A journal, or a file of `replay --events` or `subscribe --append`; without it, that of the settings.",
    ),
]
Cameras = Annotated[list[str] | None, typer.Option("--camera", help="Only this camera; may be repeated.")]
Sessions = Annotated[list[str] | None, typer.Option("--session", help="Only this session; may be repeated.")]
Kinds = Annotated[str | None, typer.Option("--kind", metavar="micro,macro,blink", help="Only events of these kinds.")]
Since = Annotated[
    str | None,
    typer.Option(metavar="AGE|DATE", help="Only events of a camera since then: 12h, 30d, or 2026-01-31 (UTC)."),
]
Retracted = Annotated[bool, typer.Option("--include-retracted", help="Also what was withdrawn, with the reason.")]
Zero = Annotated[
    str | None,
    typer.Option(
        metavar="DATE",
        help="Count the times of a camera from this moment, 2026-01-31T10:00:00.250 (UTC); without it, from the first "
        "onset of its session.",
    ),
]


@app.callback()
def events() -> None:
    """Show events, or write them for spreadsheets, ELAN, Praat, BORIS, BIDS."""


@app.command()
def export(
    source: SourceFile = None,
    format: Annotated[
        Literal["csv", "jsonl", "elan", "textgrid", "boris", "bids"], typer.Option(help="For which program.")
    ] = "csv",
    out: Annotated[
        str,
        typer.Option(
            metavar="FILE|FOLDER|-", help="Where to; a folder where there are several files; -: standard output."
        ),
    ] = "-",
    camera: Cameras = None,
    session: Sessions = None,
    kind: Kinds = None,
    since: Since = None,
    include_retracted: Retracted = False,
    zero: Zero = None,
    video: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The video that ELAN and BORIS open with the annotations.")
    ] = None,
    bids_prefix: Annotated[
        str | None,
        typer.Option(metavar="sub-01_task-talk", help="How BIDS files begin; without it, the camera is the subject."),
    ] = None,
    config: ConfigFile = None,
) -> None:
    """Write events for a spreadsheet, ELAN, Praat, BORIS or BIDS. Times are milliseconds from the start."""
    from bowam_stream.formats.export import files

    path = _source(source, config)
    rows = _rows(path, _wanted(camera, session, kind, since, include_retracted, zero))
    folder = None if out == "-" else _folder(out, format)
    made = files(rows, format, folder=folder, video=video, bids_prefix=bids_prefix)
    _write(made, out, taken=[path, *([video] if video else []), *([config] if config else [])], format=format)


@app.command("list")
def list_(
    source: SourceFile = None,
    camera: Cameras = None,
    session: Sessions = None,
    kind: Kinds = None,
    since: Since = None,
    include_retracted: Retracted = False,
    zero: Zero = None,
    config: ConfigFile = None,
) -> None:
    """Show events, a line each, by session."""
    from bowam_stream.formats.cells import one_line, remarks, seconds, utc, what
    from bowam_stream.formats.rows import by_session

    rows = _rows(_source(source, config), _wanted(camera, session, kind, since, include_retracted, zero))
    for (name, key), part in by_session(rows).items():
        about = part[0].recording
        start = f", counted from {utc(about.zero_utc_ns)}" if about.zero_utc_ns is not None else ""
        typer.echo(one_line(f"{name}  session {key}  {about.source}{start}: {len(part)} events"))
        for row in part:
            times = "  ".join(f"{seconds(ms) or '-':>9}" for ms in (row.onset_ms, row.apex_ms, row.offset_ms))
            sure = "" if row.event.confidence is None else f" {row.event.confidence:.2f}"
            said = f"  judged {row.judgement.verdict} ({remarks(row)})".replace(" ()", "") if row.judgement else ""
            named = f"{what(row) if what(row) != row.kind else ''}{sure}"
            typer.echo(
                f"{times}  "
                + one_line(f"face {row.event.face}  {row.kind:<9}  {named:<13}  {row.event.event_id}{said}")
            )


@app.command()
def report(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="What `bowam replay --keep FOLDER` left.")],
    out: Annotated[Path, typer.Option(metavar="F.html", help="Write the report here.")],
) -> None:
    """Write the report of a kept replay again, with what people have said about its events since."""
    from bowam_stream.cli.outputs import writable
    from bowam_stream.cli.pictures import typed
    from bowam_stream.clock import utc_ns
    from bowam_stream.errors import ReportError
    from bowam_stream.events import Journal
    from bowam_stream.events.judgements import judgements
    from bowam_stream.report import Record, write_report
    from bowam_stream.report.origin import origin
    from bowam_stream.report.record import JOURNAL_FILE, RECORD_FOLDER

    writable(out)
    if not (folder / JOURNAL_FILE).is_file():
        raise ReportError(f"no journal in {folder}; name a folder that `bowam replay --keep` wrote")
    record = Record(folder / RECORD_FOLDER)
    with Journal.open_readonly(folder / JOURNAL_FILE) as book:
        said = tuple(book.session(record.hello.camera, record.hello.session))
        judged = {one.event_id: one for one in judgements(book)}
    write_report(out, record, said, judgements=judged, made=origin(typed(), utc_ns()))


def _source(source: Path | None, config: Path | None) -> Path:
    from bowam_stream.config import load_config

    return source or Path(load_config(config).events.journal)


def _wanted(
    camera: list[str] | None,
    session: list[str] | None,
    kind: str | None,
    since: str | None,
    retracted: bool,
    zero: str | None,
) -> "Wanted":
    from bowam_stream import clock
    from bowam_stream.cli.journal import cutoff_utc_ns
    from bowam_stream.formats.export import Wanted

    kinds = None if kind is None else [one.strip() for one in kind.split(",")]
    for one in kinds or ():
        if one not in KINDS:
            raise typer.BadParameter(f"{one!r} is none of {', '.join(KINDS)}", param_hint="--kind")
    now = clock.utc_ns()
    return Wanted(
        cameras=camera,
        sessions=session,
        kinds=kinds,
        since_utc_ns=None if since is None else cutoff_utc_ns(since, now, "--since"),
        retracted=retracted,
        zero_utc_ns=None if zero is None else cutoff_utc_ns(zero, now, "--zero"),
    )


def _rows(path: Path, wanted: "Wanted") -> "list[Row]":
    """The rows; what is left out is said on standard error."""
    from bowam_stream.cli.terminal import err
    from bowam_stream.formats.export import select
    from bowam_stream.formats.reading import read

    found = read(path)
    rows, left = select(found, wanted)
    if found.cut_off:
        err().print(f"{path}: the last line is half written; it is left out", markup=False)
    if not found.events:
        err().print(f"{path} holds no events", markup=False)
    for count, why in _reasons(left):
        if count:
            err().print(f"left out: {count} {why}", markup=False)
    return rows


def _reasons(left: "Left") -> list[tuple[int, str]]:
    return [
        (left.open, "provisional, not closed yet"),
        (left.retracted, "withdrawn (--include-retracted)"),
        (left.early, "that begin before the start"),
    ]


def _folder(out: str, format: str) -> Path:
    """Where the files of `--out` go."""
    path = Path(out)
    return path if format == "bids" or path.is_dir() or out.endswith("/") else path.parent


def _write(made: dict[str, bytes], out: str, *, taken: list[Path], format: str) -> None:
    """Each file whole or not at all; a single one may go to standard output or have a name of its own."""
    from bowam_stream.cli.outputs import writable
    from bowam_stream.errors import ConfigError
    from bowam_stream.report.files import written_whole

    folder = None if out == "-" else _folder(out, format)
    named = folder is not None and folder != Path(out)
    if len(made) > 1 and (folder is None or named):
        raise ConfigError(
            f"there are {len(made)} files to write ({', '.join(sorted(made)[:3])} ...): name a folder, --out DIR/"
        )
    if folder is None:
        (content,) = made.values()
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
        return
    if not named:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"can't make the folder {folder}: {error.strerror}; name another") from None
    places = {(Path(out) if named else folder / name): content for name, content in made.items()}
    others = {path.resolve() for path in taken}
    for place in places:
        if writable(place) in others:
            raise ConfigError(f"can't write {place}: this command reads that file; name another")
    for place, content in places.items():
        with written_whole(place) as part:
            part.write_bytes(content)
