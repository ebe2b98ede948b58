"""`bowam keygen`: a pair of CURVE keys."""

import re
from pathlib import Path
from typing import Annotated

import typer

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}")


def _name(name: str) -> str:
    if not NAME.fullmatch(name):
        raise typer.BadParameter("up to 64 letters, digits, `.`, `_` and `-`, the first no sign")
    return name


def keygen(
    name: Annotated[
        str, typer.Argument(callback=_name, help="Of the files; a process uses those called `own`.")
    ] = "own",
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder of the files.")] = Path("keys"),
) -> None:
    """Make a pair of keys, NAME.key and NAME.key_secret, and say what goes where. Overwrites nothing."""
    from bowam_stream.cli.terminal import out as console
    from bowam_stream.keys import write_pair

    public, secret = write_pair(name, out)
    console().print(
        f"{public}: public. Copy it to whoever shall connect with you: into `allowed` of a capture or worker that you "
        "connect to, under any name ending in .key; as `server.key` of whoever connects to you, or as "
        "`servers/HOST.key` if that connects to several.\n"
        f"{secret}: secret. It stays here, and only this user may read it. As `own.key_secret` it is the key of every "
        f"process that is started with --keys {out}.",
        markup=False,
    )
