"""What an example file tells our programs, read by what our programs read it with: the parser and the loader."""

import tempfile
from pathlib import Path

import typer

from bowam_stream.cli.app import app
from bowam_stream.config import Config, load_config

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"


def parse(words: list[str]) -> dict[str, object]:
    """The parameters of `bowam WORDS`; raises click's UsageError for what the command line refuses."""
    command = typer.main.get_command(app)
    context = command.make_context("bowam", list(words))
    while isinstance(context.command, typer.core.TyperGroup):
        rest = [*context._protected_args, *context.args]
        if not rest:  # a group that does something itself
            break
        name, command, rest = context.command.resolve_command(context, rest)
        assert command is not None, words
        context = command.make_context(name, rest, parent=context)
    return context.params


def config(toml: str) -> Config:
    """Settings from the text of a file; raises ConfigError for an unknown key."""
    with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
        file.write(toml)
        file.flush()
        return load_config(Path(file.name))


def switched_on(toml: str) -> str:
    """An example with the settings that it shows as comments."""
    lines = (line.removeprefix("# ") for line in toml.splitlines())
    return "\n".join(line if line.startswith("[") or " = " in line else "" for line in lines)
