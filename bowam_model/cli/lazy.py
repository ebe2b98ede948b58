"""Groups of verbs that are known by name and loaded when they run: a help text must not wait for what it only lists."""

import importlib
import inspect
import os
import shutil
import sys
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import typer
from typer.core import TyperGroup


class Verb(NamedTuple):
    """A verb that is not loaded yet."""

    name: str
    home: str  # "module:attribute": a function, or a Typer for a group of verbs
    help: str  # what stands there as the first paragraph of its help; a test compares

    def load(self) -> Any:
        """The command that typer makes of it."""
        module, _, attribute = self.home.partition(":")
        found = getattr(importlib.import_module(module), attribute)
        holder = typer.Typer(pretty_exceptions_enable=False)
        holder.callback()(lambda: None)  # or a single command would not be a group
        if isinstance(found, typer.Typer):
            holder.add_typer(found, name=self.name)
        else:
            holder.command(self.name)(found)
        return typer.main.get_group(holder).commands[self.name]


class Commands(Mapping[str, Any]):
    """The commands of a group by name, each loaded when it is asked for."""

    def __init__(self, verbs: Iterable[Verb]) -> None:
        self._verbs = {verb.name: verb for verb in verbs}
        self._loaded: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._loaded:
            self._loaded[name] = self._verbs[name].load()
        return self._loaded[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._verbs)

    def __len__(self) -> int:
        return len(self._verbs)


def group_of(panels: Mapping[str, Iterable[Verb]]) -> type[TyperGroup]:
    """The `cls` of a Typer that has these verbs, shown under these headings."""

    class Verbs(TyperGroup):
        """A group that draws its help itself: typer's way, over rich, takes longer than all the rest together."""

        def __init__(self, **attributes: Any) -> None:
            super().__init__(**attributes | {"commands": {}})
            self.commands = Commands(verb for verbs in panels.values() for verb in verbs)  # type: ignore[assignment]

        def list_commands(self, ctx: Any) -> list[str]:
            return list(self.commands)

        def format_help(self, ctx: Any, formatter: Any) -> None:
            records = [param.get_help_record(ctx) for param in self.get_params(ctx)]
            commands = {title: [(verb.name, verb.help) for verb in verbs] for title, verbs in panels.items()}
            width = max(len(name) for name in self.commands)
            usage = " ".join(self.collect_usage_pieces(ctx))
            purpose = textwrap.fill(inspect.cleandoc(self.help or ""), _width() - 2)
            text = f"\n Usage: {ctx.command_path} {usage}\n\n{textwrap.indent(purpose, ' ')}\n\n"
            text += _panel("Options", [record for record in records if record is not None])
            text += "".join(_panel(title, rows, width) for title, rows in commands.items())
            typer.echo(
                text, nl=False
            )  # at once, as typer does over rich: it hides what is returned if a verb is missing

    return Verbs


def _width() -> int:
    """Of the terminal; one that is narrower than this breaks the lines once more."""
    return max(shutil.get_terminal_size().columns, 60)


def _panel(title: str, rows: list[tuple[str, str]], name_width: int = 0) -> str:
    """Names and what they mean in a box as wide as the terminal."""
    width = _width()
    utf = (sys.stdout.encoding or "").lower().startswith("utf")
    line, side, *corners = tuple("─│╭╮╰╯" if utf else "-|++++")
    left = max(name_width, *(len(name) for name, _ in rows))
    lines = [f"{corners[0]}{line} {title} ".ljust(width - 1, line) + corners[1]]
    for name, text in rows:
        for k, part in enumerate(textwrap.wrap(" ".join(text.split()), max(width - left - 6, 10)) or [""]):
            shown = _painted(name if k == 0 else "", left)
            lines.append(f"{side} {shown}  {part.ljust(width - left - 6)} {side}")
    lines.append(corners[2].ljust(width - 1, line) + corners[3])
    return "\n".join(lines) + "\n"


def _painted(name: str, width: int) -> str:
    """`name` so wide, and in colour unless nobody wants any; where there is no terminal, typer takes it out again."""
    plain = name.ljust(width)
    return plain if os.environ.get("NO_COLOR") else typer.style(plain, fg="cyan", bold=True)
