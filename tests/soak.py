"""Faults of all kinds at random moments, for as long as you like: `make soak`, or

    python -m tests.soak --minutes 30 --cameras 8 --seed 1 --kinds kill_worker,journal_full

Prints each fault, then a table by kind, and writes everything to benchmarks/results/soak.json. Exit status 1 if
anything was lost, doubled or otherwise wrong.
"""

import argparse
import os
import platform
import random
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import msgspec

from tests.system.faults.campaign import Campaign, build
from tests.system.faults.kinds import KINDS, Fault, possible
from tests.system.faults.oracle import read_books
from tests.system.faults.place import Place
from tests.system.faults.replays import REPLAY_KINDS

PAUSE_S = 0.7  # on average, between two faults


class Memory:
    """Resident memory of each kind of process, as it goes on."""

    def __init__(self) -> None:
        self._seen: dict[str, list[float]] = defaultdict(list)

    def look(self, place: Place) -> None:
        """Note how it stands now."""
        for name, megabytes in place.memory().items():
            self._seen["capture" if name in place.cameras else name].append(megabytes)

    def summary(self) -> dict[str, dict[str, float]]:
        """Median of the first and of the last fifth, and the worst, in MB."""
        return {
            name: {
                "first": round(statistics.median(seen[: max(1, len(seen) // 5)]), 1),
                "last": round(statistics.median(seen[-max(1, len(seen) // 5) :]), 1),
                "worst": round(max(seen), 1),
            }
            for name, seen in self._seen.items()
            if seen
        }


def choose(place: Place, kinds: list[Fault], rng: random.Random) -> Fault | None:
    """The next one, by weight, of those that can be injected now."""
    now = [fault for fault in kinds if possible(fault, place)]
    return rng.choices(now, [fault.weight for fault in now])[0] if now else None


def say(text: str) -> None:
    """At once, also into a file."""
    print(text, flush=True)


def main() -> int:
    """Parse, run, report."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description="Inject faults and judge what follows.")
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--cameras", type=int, default=8)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kinds", default="", help="names, separated by commas; all if not given")
    parser.add_argument("--folder", type=Path, help="keep everything here")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/soak.json"))
    options = parser.parse_args()
    wanted = set(filter(None, options.kinds.split(",")))
    kinds = [fault for fault in (*KINDS, *REPLAY_KINDS) if not wanted or fault.name in wanted]
    if wanted - {fault.name for fault in kinds}:
        parser.error(f"no such kind; there are {', '.join(fault.name for fault in (*KINDS, *REPLAY_KINDS))}")
    with tempfile.TemporaryDirectory(prefix="soak-") as name:
        return soak(options.folder or Path(name), kinds, options)


def soak(folder: Path, kinds: list[Fault], options: argparse.Namespace) -> int:
    """The campaign."""
    folder.mkdir(parents=True, exist_ok=True)
    rng, memory = random.Random(options.seed), Memory()
    with build(folder, options.cameras, listeners=3) as place:
        for fault in [fault for fault in kinds if fault.needs(place)]:
            say(f"without {fault.name}: {fault.needs(place)}")
            kinds.remove(fault)
        campaign = Campaign(place, options.seed)
        end_s = time.monotonic() + options.minutes * 60
        while time.monotonic() < end_s:
            time.sleep(rng.expovariate(1 / PAUSE_S))
            fault = choose(place, kinds, rng)
            if fault is None:
                continue
            entry = campaign.inject(fault)
            memory.look(place)
            times = ", ".join(
                f"{what} {value:.2f} s"
                for what, value in (("back", entry.back_s), ("ready", entry.ready_s))
                if value is not None
            )
            say(f"{entry.at_s:7.1f} s  {len(campaign.entries):4} {entry.kind} ({entry.victim}) {times}")
            for problem in entry.problems:
                say(f"          WRONG: {problem}")
        place.settle()
        verdict = place.judge()
        books = read_books(place.journal)
        audit = place.audit()
        gave_up = place.logged().count("gave up")
    wrong = [entry for entry in campaign.entries if entry.problems]
    say(campaign.table())
    say(f"{verdict.events} events of {len(books.heads)} cameras; lost {verdict.lost}, doubled {verdict.doubled}")
    say(f"{audit}\nmemory, MB: {memory.summary()}\nthe supervisor gave up {gave_up} times")
    report = {
        "machine": {"cores": os.cpu_count(), "system": platform.platform(), "python": platform.python_version()},
        "minutes": options.minutes,
        "cameras": options.cameras,
        "seed": options.seed,
        "faults": len(campaign.entries),
        "events": verdict.events,
        "lost": verdict.lost,
        "doubled": verdict.doubled,
        "supervisor_gave_up": gave_up,
        "memory_mb": memory.summary(),
        "audit": audit,
        "kinds": campaign.rows(),
        "wrong": wrong,
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=1) + b"\n")
    return 0 if verdict and not wrong else 1


if __name__ == "__main__":
    sys.exit(main())
