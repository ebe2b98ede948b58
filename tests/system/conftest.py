"""Real processes of the installed command, on a short clip with known truth."""

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.system.processes import BOWAM, Run, children


@pytest.fixture
def bowam() -> Run:
    """Run `bowam ARGUMENTS` to its end."""

    def run(*arguments: object, timeout: float = 120, **options: object) -> "subprocess.CompletedProcess[str]":
        command = [*BOWAM, *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, timeout=timeout, **options)  # type: ignore[call-overload, no-any-return]

    return run


@pytest.fixture
def start() -> Iterator[Callable[..., "subprocess.Popen[str]"]]:
    """Start `bowam ARGUMENTS`; killed at the end of the test, with its children."""
    started: list[subprocess.Popen[str]] = []

    def run(*arguments: object, **options: object) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [*BOWAM, *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **options,  # type: ignore[call-overload]
        )
        started.append(process)
        return process

    yield run
    for process in started:
        if process.poll() is None:
            for child in children(process.pid).values():
                os.kill(child, signal.SIGKILL)
            process.kill()
        process.communicate()


TABLES = pytest.StashKey[list[str]]()


@pytest.fixture(scope="session")
def fault_table(request: pytest.FixtureRequest) -> list[str]:
    """Tables that are printed at the end of the run."""
    return request.config.stash.setdefault(TABLES, [])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """What became of the faults."""
    for table in config.stash.get(TABLES, []):
        terminalreporter.section("faults")
        terminalreporter.write_line(table)


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five seconds at 100 frames per second: micro-expressions of the built-in portrait, and a blink."""
    folder = tmp_path_factory.mktemp("clip")
    made = subprocess.run(
        [*BOWAM, "synth", str(folder), "--seconds", "5", "--events", "2", "--stratum", "easy", "--seed", "3"],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert made.returncode == 0, made.stderr
    return folder / "clip.mp4"


@pytest.fixture(scope="session")
def undisturbed(clip: Path) -> bytes:
    """The events of `clip`, from a run that nobody disturbed."""
    out = clip.with_name("undisturbed.jsonl")
    run = subprocess.run(
        [*BOWAM, "replay", str(clip), "--events", str(out)], capture_output=True, text=True, timeout=120
    )
    assert run.returncode == 0, run.stderr
    assert any(json.loads(line)["phase"] == "provisional" for line in out.read_bytes().splitlines())
    return out.read_bytes()
