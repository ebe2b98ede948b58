"""`bowam bench`: the benchmarks of a checkout, each a suite that prints its table and writes it down."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

import bowam_stream
from bowam_stream.errors import ConfigError


def bench(
    suites: Annotated[
        list[str] | None, typer.Argument(metavar="[SUITE]...", help="spotting, capture, latency, ...; all if none.")
    ] = None,
) -> None:
    """Measure on this machine, and print every figure beside what bounds it. Takes a while."""
    status = run(checkout(Path(bowam_stream.__path__[0]).parent), suites or [])
    if status:
        raise typer.Exit(status)


def checkout(folder: Path) -> Path:
    """`folder`, if the benchmarks lie in it; ConfigError where the program was installed without them."""
    if not (folder / "benchmarks" / "__main__.py").is_file():
        raise ConfigError(
            "the benchmarks are no part of an installed package: they lie in the folder benchmarks/ of the source; "
            "run `make bench` or `.venv/bin/bowam bench` in a checkout"
        )
    return folder


def run(folder: Path, suites: list[str]) -> int:
    """Run the suites with this Python and give their exit status: 2 for a suite that there is not.

    Ctrl-C reaches them through us, once, so that they can end the processes that they started.
    """
    command = [sys.executable, "-m", "benchmarks", *suites]
    process = subprocess.Popen(command, cwd=folder, env=_with_whole_paths(), start_new_session=True)
    try:
        return process.wait()
    except KeyboardInterrupt:
        process.send_signal(signal.SIGINT)
        process.wait()
        raise


def _with_whole_paths() -> dict[str, str]:
    """The environment, its folders named so that they mean the same in another folder."""
    named = {name: os.environ[name] for name in ("BOWAM_TEST_MEDIA", "BOWAM_BENCH_CACHE") if os.environ.get(name)}
    return {**os.environ, **{name: os.path.abspath(path) for name, path in named.items()}}
