"""`bowam page`: what a worker sees, or what a journal or a kept replay holds, in a browser."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from bowam_stream.cli.options import ConfigFile, Keys

MISSING = "the page needs NiceGUI, which is not installed: pip install 'bowam-stream[page]'"


def page(
    place: Annotated[
        Path | None,
        typer.Argument(
            metavar="[JOURNAL|FOLDER]",
            help="An old journal, or what `bowam replay --keep FOLDER` left; without it, the worker that runs.",
        ),
    ] = None,
    host: Annotated[str | None, typer.Option(metavar="ADDRESS", help="Where to listen; this machine alone.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, metavar="PORT", help="0 takes a free one.")] = None,
    preview: Annotated[
        bool | None,
        typer.Option(
            "--preview/--no-preview",
            help="Show faces. Live, the worker must have been asked for them as well (bowam live --preview); "
            "the pictures of a kept replay are shown unless you say no.",
        ),
    ] = None,
    config: ConfigFile = None,
    keys: Keys = None,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Allow other machines to look without token and HTTPS.")
    ] = False,
) -> None:
    """Show it in a browser: live, or from an old journal or a kept replay. Ctrl-C ends."""
    from bowam_stream.cli.terminal import out
    from bowam_stream.config import load_config, replaced
    from bowam_stream.errors import ConfigError
    from bowam_stream.pipeline.stop import StopFlag, supervised

    if not installed():
        raise ConfigError(MISSING)
    os.environ["NICEGUI_STORAGE_PATH"] = os.devnull  # read as NiceGUI is imported: it must leave no files
    from bowam_stream.page.serving import serve, source_of

    settings = load_config(config)
    shown = preview if preview is not None or place is None or not place.is_dir() else True
    settings = replaced(settings, "page", host=host, port=port, preview=shown, insecure=insecure or None)
    settings = replaced(settings, "keys", folder=keys)
    stop = StopFlag().install()

    def say(address: str) -> None:
        if supervised() and settings.page.port == 0:
            sys.stderr.write(f"the page: {address}\n")  # `bowam live` can't know it
        elif not supervised():
            out().print(f"the page: {address}  (Ctrl-C ends)", markup=False)

    serve(source_of(place, settings), settings, stop, say)


def installed() -> bool:
    """Whether NiceGUI is there."""
    from importlib.util import find_spec

    return find_spec("nicegui") is not None
