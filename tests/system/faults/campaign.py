"""Faults one after the other, and the table of what became of them."""

import random
import statistics
import time
import traceback
from collections import defaultdict
from pathlib import Path

import msgspec

from tests.system.faults.disk import Disk, why_no_disk
from tests.system.faults.kinds import Fault, check
from tests.system.faults.place import Place
from tests.system.faults.sources import RtspCamera, make_clip, why_no_rtsp


class Entry(msgspec.Struct):
    """One fault that was injected."""

    kind: str
    victim: str
    at_s: float  # since the campaign began
    back_s: float | None
    ready_s: float | None
    faults: int
    lost: int
    doubled: int
    problems: list[str]


class Campaign:
    """The faults of one place, and what became of them."""

    def __init__(self, place: Place | None, seed: int) -> None:
        self._place, self._rng = place, random.Random(seed)
        self._start_s = time.monotonic()
        self._lost = self._doubled = 0
        self._known: set[str] = set()
        self.entries: list[Entry] = []

    def inject(self, fault: Fault) -> Entry:
        """One fault, its recovery, and the check of everything afterwards."""
        place = self._place
        assert place is not None
        log_from = place.log.stat().st_size
        entry = Entry(fault.name, "", time.monotonic() - self._start_s, None, None, 1, 0, 0, [])
        self.entries.append(entry)
        try:
            entry.victim, entry.back_s, entry.ready_s, entry.faults = fault.inject(place, self._rng)
        except Exception as error:  # whatever it is, it belongs into the table, and the campaign goes on
            where = traceback.extract_tb(error.__traceback__)[-1]
            entry.problems.append(f"{type(error).__name__} in {where.name}: {error}")
        problems, verdict = check(fault, place, log_from)
        entry.problems += [problem for problem in problems if problem not in self._known]
        self._known.update(problems)  # what is wrong in the books stays wrong: it is said once
        entry.lost, entry.doubled = verdict.lost - self._lost, verdict.doubled - self._doubled
        self._lost, self._doubled = verdict.lost, verdict.doubled
        return entry

    @property
    def faults(self) -> int:
        """How many were injected."""
        return sum(entry.faults for entry in self.entries)

    def rows(self) -> list[dict[str, object]]:
        """By kind: how many, how they recovered, what was lost."""
        kinds: dict[str, list[Entry]] = defaultdict(list)
        for entry in self.entries:
            kinds[entry.kind].append(entry)
        return [
            {
                "kind": kind,
                "count": sum(entry.faults for entry in entries),
                "back_s": summary([entry.back_s for entry in entries]),
                "ready_s": summary([entry.ready_s for entry in entries]),
                "lost": sum(entry.lost for entry in entries),
                "doubled": sum(entry.doubled for entry in entries),
                "problems": sum(bool(entry.problems) for entry in entries),
            }
            for kind, entries in sorted(kinds.items())
        ]

    def table(self) -> str:
        """The same for people."""
        head = f"{'fault':22} {'count':>5}  {'new process, s':>16}  {'all ready, s':>16}  lost doubled wrong"
        lines = [head, f"{'':22} {'':5}  {'median  worst':>16}  {'median  worst':>16}"]
        for row in self.rows():
            back, ready = (
                "-" if pair is None else f"{pair['median']:6.2f} {pair['worst']:6.2f}"  # type: ignore[index]
                for pair in (row["back_s"], row["ready_s"])
            )
            lines.append(
                f"{row['kind']:22} {row['count']:5}  {back:>16}  {ready:>16}  {row['lost']:4} {row['doubled']:7} "
                f"{row['problems']:5}"
            )
        total = (self.faults, sum(e.lost for e in self.entries), sum(e.doubled for e in self.entries))
        lines.append(f"{'all':22} {total[0]:5}  {'':16}  {'':16}  {total[1]:4} {total[2]:7}")
        return "\n".join(lines)


def summary(values: list[float | None]) -> dict[str, float] | None:
    """Median and worst of those that are known."""
    known = [value for value in values if value is not None]
    if not known:
        return None
    return {"median": round(statistics.median(known), 3), "worst": round(max(known), 3)}


def build(folder: Path, cameras: int, *, listeners: int = 2) -> Place:
    """A place with every part that this machine allows: the last camera behind RTSP, the journal on a disk of its own.

    The first has 30 frames per second, which is enough for micro-expressions, the others 15: so eight cameras and a
    worker take about one core.
    """
    rtsp = None if why_no_rtsp() else RtspCamera(folder)
    fast, slow = make_clip(folder / "clip-30"), make_clip(folder / "clip-15", rate=15)
    files = [str(fast), *[str(slow)] * (cameras - 1 - bool(rtsp))]
    disk = None if why_no_disk() else Disk(folder)
    return Place(folder, files, rtsp=rtsp, disk=disk, listeners=listeners)
