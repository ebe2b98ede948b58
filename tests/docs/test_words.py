"""What README and documentation tell people to type is understood, and the files that they name are there."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer

from bowam_stream.cli.app import app
from bowam_stream.config import Config
from docs.generate.metrics import served
from tests.deploy.commands import parse

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
SHELL = re.compile(r"[|<>;&]")
OURS = ("bowam_stream/", "bowam_model/", "benchmarks/", "tests/", "deploy/", "docs/")

OTHERS = {"--help", "--older-than"}
METRICS = {name for found in served().values() for name in found}


def commands(page: Path) -> list[list[str]]:
    """Every command of ours in an indented block, up to what the shell makes of the rest."""
    found = []
    for line in page.read_text().splitlines():
        block = re.match(r" {4,}(?:\w+\$\s+)?(?:\.venv/bin/)?bowam\s(.*)", line)
        if block and "..." not in block[1]:
            words = shlex.split(block[1], comments=True)
            found.append(words[: next((k for k, word in enumerate(words) if SHELL.search(word)), None)])
    return found


def mentions(page: Path) -> list[list[str]]:
    """Every command of ours in running text, which may be the beginning of one."""
    return [shlex.split(found) for found in re.findall(r"`(?:\.venv/bin/)?bowam ([^`]+)`", page.read_text())]


def command_of(words: list[str]) -> Any:
    """The command that these words begin with."""
    command: Any = typer.main.get_command(app)
    context = command.make_context("bowam", [], resilient_parsing=True)
    for word in words:
        if not hasattr(command, "list_commands") or word not in command.list_commands(context):
            break
        command = command.get_command(context, word)
    return command


def options_of(command: Any) -> list[Any]:
    """Its own, and those of its commands: one may be meant where none is named."""
    parts = getattr(command, "commands", {}).values() if command.name != "bowam" else ()
    return [*command.params, *(one for part in parts for one in part.params)]


def all_options(command: Any) -> set[str]:
    """Of a command and all below it."""
    own = {name for one in command.params for name in (*one.opts, *one.secondary_opts)}
    return own.union(*map(all_options, getattr(command, "commands", {}).values()))


each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


@each_page
def test_commands_are_understood(page: Path) -> None:
    """By the parser of the real command line: no option that does not exist, none that lacks."""
    for words in commands(page):
        parse(words)


@each_page
def test_what_is_mentioned_exists(page: Path) -> None:
    """The verb, and each option of it."""
    for words in mentions(page):
        command = command_of(words)
        known = {"--help"} | {name for one in options_of(command) for name in (*one.opts, *one.secondary_opts)}
        assert words[0].startswith("-") or command.name != "bowam", words
        assert {re.sub(r"[=|\\].*", "", word) for word in words if word.startswith("--")} <= known, words


@each_page
def test_options_settings_and_metrics_exist(page: Path) -> None:
    """Wherever they stand alone: `--option`, `[table] key`, `bowam_metric`."""
    text = page.read_text()
    options = all_options(typer.main.get_command(app))
    for name in re.findall(r"`(--[\w-]+)", text):
        assert name in options | OTHERS, name
    for stage, key in re.findall(r"`\[(\w+)\] (\w+)", text):
        assert hasattr(getattr(Config(), stage), key), (stage, key)
    for name in re.findall(r"`(bowam_[a-z_]+)(?:\{[\w,]+\})?`", text):
        assert name in METRICS | {"bowam_stream", "bowam_model"}, name


def test_there_is_something_to_look_at() -> None:
    """Or the tests above would say nothing."""
    assert sum(len(commands(page)) for page in PAGES) > 20
    assert sum(len(mentions(page)) for page in PAGES) > 60


@each_page
def test_files_that_are_named_are_there(page: Path) -> None:
    """As paths from the top, in code or behind a link."""
    text = page.read_text()
    for name in re.findall(r"`([\w./-]+)`", text):
        if name.startswith(OURS):
            assert (ROOT / name).exists(), name
    for name in re.findall(r"\]\(([\w./-]+)(?:#[\w-]+)?\)", text):
        assert (page.parent / name).exists(), name
