"""Faults of all kinds at random moments, for as long as you like: `make soak`, or

    python -m tests.soak --minutes 30 --cameras 8 --seed 1 --kinds kill_worker,journal_full

Prints each fault, then a table by kind, and adds the run to benchmarks/results/soak.json. Exit status 1 if
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
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import msgspec

from tests.system.faults.campaign import Campaign, build
from tests.system.faults.kinds import KINDS, Fault, possible
from tests.system.faults.oracle import Verdict
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
    """The campaign. What is known is written every few faults, so that a run that is cut short is not in vain."""
    folder.mkdir(parents=True, exist_ok=True)
    rng, memory, earlier = random.Random(options.seed), Memory(), earlier_runs(options.out)
    with build(folder, options.cameras, listeners=3) as place:
        for fault in [fault for fault in kinds if fault.needs(place)]:
            say(f"without {fault.name}: {fault.needs(place)}")
            kinds.remove(fault)
        campaign = Campaign(place, options.seed)
        start_s = time.monotonic()

        def write(audit: str) -> Verdict:
            verdict = place.judge()
            run = {
                "date": time.strftime("%Y-%m-%d %H:%M"),
                "minutes": round((time.monotonic() - start_s) / 60, 1),
                "cameras": options.cameras,
                "seed": options.seed,
                "load": round(os.getloadavg()[1], 1),
                "faults": campaign.faults,
                "events": verdict.events,
                "lost": verdict.lost,
                "doubled": verdict.doubled,
                "supervisor_gave_up": place.logged().count("error gave up"),
                "memory_mb": memory.summary(),
                "audit": audit,
                "kinds": campaign.rows(),
                "wrong": [entry for entry in campaign.entries if entry.problems],
            }
            write_runs(options.out, [*earlier, run])
            return verdict

        while time.monotonic() < start_s + options.minutes * 60:
            time.sleep(rng.expovariate(1 / PAUSE_S))
            if (fault := choose(place, kinds, rng)) is None:
                continue
            entry = campaign.inject(fault)
            memory.look(place)
            times = "".join(f" {what} {s:.2f} s" for what, s in (("back", entry.back_s), ("ready", entry.ready_s)) if s)
            say(f"{entry.at_s:7.1f} s  {campaign.faults:4} {entry.kind} ({entry.victim}){times}")
            for problem in entry.problems:
                say(f"          WRONG: {problem}")
            if len(campaign.entries) % 10 == 0:
                write("not yet")
        place.settle()
        audited, audit = place.audit()
        verdict = write("all holds" if audited else audit)
    say(campaign.table())
    say(f"{verdict.events} events; lost {verdict.lost}, doubled {verdict.doubled}\n{audit}\nmemory, MB:")
    for name, megabytes in memory.summary().items():
        say(f"  {name}: {megabytes}")
    return 0 if verdict and audited and not any(entry.problems for entry in campaign.entries) else 1


def earlier_runs(out: Path) -> list[dict[str, Any]]:
    """Those that the file holds already: runs add up. Remove it to begin anew."""
    return list(msgspec.json.decode(out.read_bytes())["runs"]) if out.exists() else []


def write_runs(out: Path, runs: list[dict[str, Any]]) -> None:
    """All of them, and their sums."""
    kinds: Counter[str] = Counter()
    for run in runs:
        kinds.update({row["kind"]: row["count"] for row in run["kinds"]})
    report = {
        "machine": {"cores": os.cpu_count(), "system": platform.platform(), "python": platform.python_version()},
        **{what: sum(run[what] for run in runs) for what in ("faults", "events", "lost", "doubled")},
        "kinds": dict(sorted(kinds.items())),
        "runs": runs,
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=1) + b"\n")


if __name__ == "__main__":
    sys.exit(main())
