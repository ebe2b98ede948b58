"""`bowam evaluate spotting`: event files beside their truths. The group has `recognition` from the model package."""

from pathlib import Path
from typing import Annotated

import typer

from bowam_model.cli.evaluate import evaluate, recognition

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)
app.callback()(evaluate)
app.command()(recognition)


@app.command()
def spotting(
    truths: Annotated[
        Path, typer.Argument(help="Folder of truth.json files (or one of them); fps, frames and movements of a clip.")
    ],
    events: Annotated[
        Path | None,
        typer.Argument(
            help="Folder of .jsonl files of `bowam replay --events`, named alike. Default: the same folder."
        ),
    ] = None,
    missing_is_empty: Annotated[
        bool, typer.Option("--missing-is-empty", help="A truth without events is a clip in which nothing was found.")
    ] = False,
    json: Annotated[Path | None, typer.Option(metavar="F.json", help="Write all figures here.")] = None,
    markdown: Annotated[Path | None, typer.Option(metavar="F.md", help="Write the tables here.")] = None,
) -> None:
    """Spotting: F1 at IoU >= 0.5 for micro, macro and overall, false alarms per minute, STRS, errors in time.

    a/truth.json goes with a/events.jsonl or a.jsonl, day1/a.json with day1/a.jsonl; what is left goes by its last name.
    """
    import msgspec

    from bowam_stream.cli.terminal import out
    from bowam_stream.errors import ConfigError
    from bowam_stream.report import scoring
    from bowam_stream.report.files import written_whole
    from bowam_stream.report.pairing import read_clips

    if events is None and truths.is_file():
        raise ConfigError(f"{truths} is a file: name the event file too")
    result = scoring.evaluate(read_clips(truths, events or truths, missing_is_empty=missing_is_empty))
    page = "\n".join(scoring.markdown(result)) + "\n"
    figures = msgspec.json.format(msgspec.json.encode(result)) + b"\n"
    for path, content in ((json, figures), (markdown, page.encode())):
        if path:
            with written_whole(path) as part:
                part.write_bytes(content)
    out().print(page, markup=False, end="")
