"""The same pieces by local processes and by Ray, on the same cores, in turn: what Ray costs."""

import os
import sys
import tempfile
import time
from pathlib import Path

import msgspec

from benchmarks.clips import clip
from benchmarks.measure import Row, Spread, ratio, report
from benchmarks.scaling.pieces import watched
from bowam_model.work import Engine, Local, Piece
from bowam_model.work.on_ray import Ray

CORES = 2
PIECES, REPETITIONS = 4, 3
RATE_HZ, CLIP_S, LOOPS = 30.0, 60.0, 5  # 9,000 frames: about a minute of processor time
TICKS = os.sysconf("SC_CLK_TCK")


class Side(msgspec.Struct, frozen=True, kw_only=True):
    """One run of all pieces."""

    wall_s: float
    processor_s: float  # of everything: our process, the working ones, and what Ray has beside them
    pieces_s: float  # processor time that the pieces themselves took
    load: float  # average of the last minute, afterwards


def descendants_s() -> float:
    """Processor seconds of this process and of all that descend from it, also of those whose end was waited for."""
    parents: dict[int, int] = {}
    seconds: dict[int, float] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        pid = int(stat.parent.name)
        parents[pid], seconds[pid] = int(fields[1]), sum(map(int, fields[11:15])) / TICKS
    ours, found = os.getpid(), 0.0
    for process in parents:
        above = process
        while above not in (ours, 0, 1):
            above = parents.get(above, 0)
        found += seconds[process] if above == ours else 0.0
    return found


def run_once(engine: Engine, video: Path) -> Side:
    pieces = [Piece(str(number), watched, (str(video), LOOPS)) for number in range(PIECES)]
    before_s, started = descendants_s(), time.perf_counter()
    outcomes = engine.run(pieces, threads=1)
    wall_s = time.perf_counter() - started
    failed = [one.failure for one in outcomes if one.failure]
    if failed:
        raise RuntimeError(failed[0])
    return Side(
        wall_s=wall_s,
        processor_s=descendants_s() - before_s,
        pieces_s=sum(one.value.processor_s for one in outcomes),
        load=os.getloadavg()[0],
    )


def run() -> None:
    """Print the table and write benchmarks/results/scaling_overhead.json."""
    local: list[Side] = []
    ray: list[Side] = []
    starts: list[float] = []
    load = os.getloadavg()[0]
    os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112  # else they give way to everybody's (15), and we time those
    with tempfile.TemporaryDirectory() as name:
        folder = Path(os.environ.get("BOWAM_BENCH_CACHE", name)) / "scaling-overhead"
        folder.mkdir(parents=True, exist_ok=True)
        video = folder / "clip.mp4"
        if not (folder / "truth.json").exists():
            clip(folder, RATE_HZ, CLIP_S)
        for number in range(REPETITIONS):
            local.append(run_once(Local(CORES), video))
            started = time.perf_counter()
            with Ray() as engine:
                starts.append(time.perf_counter() - started)
                ray.append(run_once(engine, video))
            print(f"  {number}: local {local[-1]}, Ray {ray[-1]}", file=sys.stderr, flush=True)
    tell(local, ray, starts, load)


def tell(local: list[Side], ray: list[Side], starts: list[float], load: float) -> None:
    """Ratios of runs that followed each other."""
    both = (*local, *ray)
    rows = [
        Row(
            what="Ray over local processes, processor time of everything",
            value=ratio([one.processor_s for one in ray], [one.processor_s for one in local]),
            unit="x",
            target="<= 1.1",
        ),
        Row(
            what="Ray over local processes, wall time",
            value=ratio([one.wall_s for one in ray], [one.wall_s for one in local]),
            unit="x",
            target="<= 1.1",
        ),
        Row(
            what="... the pieces alone, processor time",
            value=ratio([one.pieces_s for one in ray], [one.pieces_s for one in local]),
            unit="x",
        ),
        Row(
            what="everything over its pieces, local, processor time",
            value=ratio([one.processor_s for one in local], [one.pieces_s for one in local]),
            unit="x",
        ),
        Row(
            what="everything over its pieces, Ray, processor time",
            value=ratio([one.processor_s for one in ray], [one.pieces_s for one in ray]),
            unit="x",
        ),
        Row(
            what="a piece, processor time",
            value=Spread.of([one.pieces_s / PIECES for one in both]),
            unit="s",
            target=">= 60",
        ),
        *(
            Row(what="start of a cluster on this machine, not counted above", value=Spread.of(starts), unit="s")
            for _ in starts[:1]
        ),
        Row(what="load average of the machine after each run", value=Spread.of([one.load for one in both]), unit=""),
    ]
    report(
        "scaling_overhead",
        rows,
        f"{PIECES} pieces of {RATE_HZ * CLIP_S * LOOPS:.0f} frames at {RATE_HZ:.0f} fps, {CORES} at a time on "
        f"{os.cpu_count()} cores, {len(ray)} runs each in turn, Ray's processes at nice 0 "
        f"(it gives them 15); load average {load:.1f} "
        "at the beginning: others worked on this machine",
    )
