"""The doorway of the command line, before any verb is ready."""

import inspect
import os
import signal
import subprocess
import sys

import pytest
import typer
from typer.testing import CliRunner

from bowam_stream.cli.app import app

DOORWAY = """
import os, signal, sys, types
from bowam_stream import cli

def verb(**_):
    os.write(1, b"in the verb")
    os.kill(os.getpid(), signal.SIGTERM)  # as if it came while PyTorch loads
    os.write(1, b", still there")

sys.modules["bowam_stream.cli.app"] = types.SimpleNamespace(app=verb)
cli.main()
"""


@pytest.mark.parametrize("supervised", [True, False])
def test_an_early_end_is_silent_if_a_supervisor_asks_and_an_interruption_otherwise(supervised: bool) -> None:
    """A supervised process ends at once: an exception in the middle of loading PyTorch makes its C++ talk and abort."""
    environment = {**os.environ, "BOWAM_SUPERVISOR": str(os.getpid())} if supervised else dict(os.environ)
    ended = subprocess.run([sys.executable, "-c", DOORWAY], env=environment, capture_output=True, timeout=60)
    assert ended.stdout == b"in the verb"
    assert ended.returncode == -signal.SIGTERM if supervised else ended.returncode != 0
    assert (b"KeyboardInterrupt" in ended.stderr) != supervised


HELP = """
import sys
from bowam_stream.cli.app import app
try:
    app(["--help"])
except SystemExit as ending:
    loaded = {"rich", "msgspec", "numpy", "torch", "mediapipe", "cv2", "zmq"} & set(sys.modules)
    sys.exit(ending.code or ", ".join(sorted(loaded)) or 0)
"""


def test_help_loads_nothing_that_it_only_lists() -> None:
    """It is what a person sees first, and costs little more than typer itself."""
    done = subprocess.run([sys.executable, "-c", HELP], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("columns", [60, 80, 200])
def test_help_says_of_each_verb_what_the_verb_says_of_itself(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Line breaks aside: the list of verbs repeats their first paragraphs, so that it need not load them."""
    monkeypatch.setenv("COLUMNS", str(columns))
    group = typer.main.get_group(app)
    shown = CliRunner().invoke(app, ["--help"]).output
    assert max(map(len, shown.splitlines())) == columns
    said = "".join(shown.replace("│", " ").split())
    for name, command in group.commands.items():
        paragraph = inspect.cleandoc(command.help or "").split("\n\n")[0]
        assert name + "".join(paragraph.split()) in said
    for option in group.params:
        assert "".join(option.get_help_record(typer.Context(group))[1].split()) in said


def test_a_verb_is_loaded_once_and_under_its_own_name() -> None:
    """Typer makes a new command at every call, and a group must not have two."""
    group = typer.main.get_group(app)
    assert group.commands["live"] is group.commands["live"]
    assert [command.name for command in group.commands.values()] == list(group.commands)


def test_no_verb_at_all_shows_the_help_and_is_wrong_usage() -> None:
    """As typer has it for a group."""
    shown = CliRunner().invoke(app, [])
    assert shown.exit_code == 2
    assert "See facial micro-expressions" in shown.output
