"""Hostile input, as much as asked for: every decoder in a process of its own, and every socket of real processes.

    python -m tests.fuzz --messages 10000000 --seed 1              decoders and state machines (minutes)
    python -m tests.fuzz --messages 0 --sockets 100000             the sockets of real processes

Prints a table and writes benchmarks/results/fuzz.json; fails where something was found, grew or was slow.
"""

import argparse
import importlib.util
import json
import os
import platform
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec

from tests.fuzz.attacks import ATTACKS
from tests.fuzz.own import Result
from tests.fuzz.sockets import SocketResult, attack
from tests.fuzz.targets import TARGETS

RESULTS = Path("benchmarks/results/fuzz.json")
GUIDED = 0.1  # share of the messages that atheris steers, where it is installed: it is slower, and goes deeper
GROWTH_MIB = 8.0  # per million messages: more is a leak


def run_target(name: str, engine: str, messages: int, seed: int, seconds: float) -> Result:
    """One target in a process of its own, with the least priority."""
    module = "tests.fuzz.own" if engine == "structure" else "tests.fuzz.guided"
    command = [sys.executable, "-W", "ignore", "-m", module, name, "--messages", str(messages), "--seed", str(seed)]
    done = subprocess.run(
        [*command, "--seconds", str(seconds)],
        capture_output=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        check=False,
    )
    try:
        return msgspec.json.decode(done.stdout, type=Result)
    except msgspec.DecodeError:
        raise SystemExit(
            f"{name} ({engine}, seed {seed}) crashed with {done.returncode}: {done.stderr[-2000:].decode()}"
        ) from None


def own_processes(messages: int, seed: int, seconds: float, targets: list[str], jobs: int) -> list[Result]:
    """All targets with both engines."""
    engines = {"structure": 1.0}
    if importlib.util.find_spec("atheris"):
        engines = {"structure": 1 - GUIDED, "atheris": GUIDED}
    else:
        print("atheris is not installed: no coverage-guided part (pip install atheris)")
    whole = sum(TARGETS[name].share for name in targets)
    work = [
        (name, engine, max(1, round(messages * share * TARGETS[name].share / whole)), seed, seconds)
        for name in targets
        for engine, share in engines.items()
    ]
    with ThreadPoolExecutor(jobs) as pool:
        return list(pool.map(lambda one: run_target(*one), work))


def table(results: list[Result]) -> str:
    """For people."""
    heads = ("engine", "messages", "per s", "outcomes", "slowest ms", "MiB/million", "found")
    lines = [f"{'target':9}" + "".join(f"{head:>12}" for head in heads)]
    for r in results:
        growth = "-" if r.growth_mib_per_million is None else f"{r.growth_mib_per_million:.2f}"
        cells = (r.engine, f"{r.messages:,}", f"{r.messages / max(r.processor_seconds, 1e-9):,.0f}", f"{r.outcomes:,}")
        cells += (f"{r.slowest_ms:.1f}", growth, str(len(r.findings)))
        lines.append(f"{r.target:9}" + "".join(f"{cell:>12}" for cell in cells))
    return "\n".join([*lines, f"{'all':9}{'':12}{sum(r.messages for r in results):12,}"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=1_000_000, help="to all decoders together")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=3600.0, help="for one target at most")
    parser.add_argument("--target", action="append", choices=TARGETS, help="only this one; may be repeated")
    parser.add_argument("--jobs", type=int, default=1, help="processes at the same time")
    parser.add_argument("--sockets", type=int, default=0, help="hostile messages through each real socket")
    parser.add_argument("--attack", action="append", choices=ATTACKS, help="only this one; may be repeated")
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args()
    os.nice(10)

    results: list[Result] = []
    if given.messages:
        results = own_processes(given.messages, given.seed, given.seconds, given.target or list(TARGETS), given.jobs)
        print(table(results))
    sockets: list[SocketResult] = []
    for name in (given.attack or ATTACKS) if given.sockets else ():
        sockets.append(attack(name, given.sockets, given.seed))
        print(sockets[-1].line(), flush=True)
    before = json.loads(given.out.read_text()) if given.out.exists() else {}
    record = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "when": time.strftime("%Y-%m-%d", time.gmtime()),
        "decoders": msgspec.to_builtins(results) or before.get("decoders", []),
        "sockets": msgspec.to_builtins(sockets) or before.get("sockets", []),
    }
    record["decoder_messages"] = sum(entry["messages"] for entry in record["decoders"])
    given.out.write_text(json.dumps(record, indent=1, sort_keys=True) + "\n")
    grown = [r.target for r in results if (r.growth_mib_per_million or 0) > GROWTH_MIB]
    found = [f"{r.target}: {f.what}" for r in results for f in r.findings]
    wrong = [f"{s.attack}: {w}" for s in sockets for w in s.wrong]
    if grown or found or wrong:
        raise SystemExit("\n".join([*(f"{name} grows" for name in grown), *found, *wrong]))


if __name__ == "__main__":
    main()
