"""How figures are taken: sides in turn, warm-up thrown away, median and spread, machine and versions beside them."""

import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import msgspec

RESULTS = Path(__file__).with_name("results")
PACKAGES = ("torch", "numpy", "opencv-contrib-python", "mediapipe", "openvino", "pyzmq", "av", "ray")


class Spread(msgspec.Struct, frozen=True, kw_only=True):
    """Median, minimum and maximum of the repetitions."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: list[float]) -> "Spread":
        return cls(median=statistics.median(values), low=min(values), high=max(values))

    def __str__(self) -> str:
        return f"{self.median:.3g} ({self.low:.3g} - {self.high:.3g})"


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a table: what was measured, in which unit, and the target if there is one."""

    what: str
    value: Spread
    unit: str  # "x": a ratio
    target: str = ""


def seconds(work: Callable[[], object]) -> float:
    """How long `work` takes; if it returns a float, that many: it left its own preparations out."""
    started = time.perf_counter()
    own = work()
    return own if isinstance(own, float) else time.perf_counter() - started


def in_turn(*sides: Callable[[], object], repetitions: int = 7, warm_up: int = 1) -> list[list[float]]:
    """Seconds of each side, run in turn (A B A B ...), so that a slow minute hits all of them."""
    times: list[list[float]] = [[] for _ in sides]
    for repetition in range(warm_up + repetitions):
        for side, work in zip(times, sides, strict=True):
            taken = seconds(work)
            if repetition >= warm_up:
                side.append(taken)
    return times


def ratio(numerator: list[float], denominator: list[float]) -> Spread:
    """Pair by pair."""
    return Spread.of([a / b for a, b in zip(numerator, denominator, strict=True)])


def machine() -> dict[str, Any]:
    """What the figures depend on."""
    cpu = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.processor(),
    )
    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
        "python": platform.python_version(),
        "packages": {package: _version(package) for package in PACKAGES},
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:  # a GPU machine needs no MediaPipe
        return None


def report(suite: str, rows: list[Row], notes: str = "") -> None:
    """Print the table and write benchmarks/results/SUITE.json."""
    print(f"\n{suite}" + (f": {notes}" if notes else ""))
    for row in rows:
        print(f"  {row.what:<62} {row.value!s:>28} {row.unit:<4} {row.target}")
    RESULTS.mkdir(exist_ok=True)
    content = {"suite": suite, "notes": notes, "machine": machine(), "rows": msgspec.to_builtins(rows)}
    (RESULTS / f"{suite}.json").write_text(json.dumps(content, indent=1) + "\n")
