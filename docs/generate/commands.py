"""The command line, from the help texts of the real commands."""

import inspect
import re
from collections.abc import Iterator
from typing import Any

import typer

from bowam_stream.cli.app import MODEL, PIECES, WATCH, app
from docs.generate.sources import definitions, inline

PANELS = {"Watch": WATCH, "The two processes": PIECES, "Model and data": MODEL}  # as `bowam --help` shows them


def commands() -> str:
    """A section for each group of verbs, a smaller one for each verb."""
    root: Any = typer.main.get_command(app)
    context = root.make_context("bowam", [], resilient_parsing=True)
    parts = ["## `bowam`\n", *_told(root, context)]
    shown = set()
    for title, verbs in PANELS.items():
        parts.append(f"## {title}\n")
        for verb in verbs:
            parts += _verb(root.get_command(context, verb.name), verb.name, context)
            shown.add(verb.name)
    assert shown == set(root.list_commands(context))
    return "\n".join(parts)


def _verb(command: Any, name: str, parent: Any) -> Iterator[str]:
    context = type(parent)(command, info_name=name, parent=parent)
    yield f"### `{context.command_path}`\n"
    yield from _told(command, context)
    for part in command.list_commands(context) if hasattr(command, "list_commands") else ():
        yield from _verb(command.get_command(context, part), part, context)


def _told(command: Any, context: Any) -> Iterator[str]:
    """What `--help` tells: usage, purpose, arguments and options."""
    yield f"    {context.command_path} {' '.join(command.collect_usage_pieces(context))}\n"
    yield inline(inspect.cleandoc(command.help or "")) + "\n"
    rows = [record for one in command.get_params(context) if (record := one.get_help_record(context))]
    rows = [(_name(name), _meaning(text)) for name, text in rows if not name.endswith("--help")]
    if rows:
        yield definitions(rows)


def _name(record: str) -> str:
    """`--camera <str>` as code, each spelling by itself, with line breaks where they help."""
    return re.sub(r" / |, ", lambda mark: f"`{mark[0]}`", f"`{record}`")


def _meaning(text: str) -> str:
    return inline(" ".join(text.split()).replace("[", r"\["))
