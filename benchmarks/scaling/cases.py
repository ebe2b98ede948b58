"""10,000 hours of recordings on 1 to 1,000 nodes: what is assumed, what is changed, and what came of it."""

import math
from collections.abc import Iterator, Sequence
from functools import cache

import msgspec

from benchmarks.scaling.calibration import Costs
from benchmarks.scaling.corpora import SHAPES, Cut, Watching, lengths, parts, work
from benchmarks.scaling.simulation import SECONDS_PER_HOUR, Cluster, Run, simulate

HOURS = 10_000.0
NODES = (1, 10, 100, 1000)
MORE_NODES = (20, 50, 200, 500)  # to see where it stops
STOPS = 0.8  # of what one node does for each of its cores
MEGABITS_S = 5.0  # of a recording
SEEDS = (0, 1, 2)  # of failures and seams; one is enough for so many pieces:
MANY = 500_000


class Assumed(msgspec.Struct, frozen=True, kw_only=True):
    """What was not measured. A simulated line that changes something says what.

    Each recording is two more pieces, its survey and its recognition, which cost the driver what all pieces cost it.
    What the network needs of a GPU, or of a core, for its micro-expressions was not measured here, and is left out.
    """

    cores: int = 16  # of a node, each with one piece
    lifetime_h: float = 1000.0  # mean time of a node until it dies
    away_s: float = 600.0  # until it, or another, is back
    noticed_s: float = 30.0  # until its death is known
    node_spread: float = 0.05  # of the logarithm of a node's speed
    straggling: float = 0.002  # pieces that take three times as long
    straggler: float = 3.0
    disagree: float = 0.01  # seams that are watched again
    storage_gb_s: float = math.inf  # that all nodes together can read
    together: bool = False  # the driver takes all results that are there, not one
    write_s: float | None = None  # to keep a result; None: as measured
    cut: Cut = Cut()
    hours: float = HOURS


USUAL = Assumed()


class Simulated(msgspec.Struct, frozen=True, kw_only=True):
    """One case: the median of its runs, by seed."""

    shape: str
    rate_hz: float
    nodes: int
    changed: str  # against what is assumed
    hours_per_hour: float  # of video
    total_h: float  # of the median run
    low_h: float = 0.0  # of all seeds
    high_h: float = 0.0
    tail_s: float  # from 95% done to done
    efficiency: float  # against the frames alone, spread evenly over all cores
    pieces: int
    failures: int
    driver: float  # share of the time that the driver was busy
    spent: dict[str, float]  # shares of all cores' time; `frames` is what efficiency counts
    node_hours: float

    @property
    def loss(self) -> str:
        """What cost most."""
        return max((share, name) for name, share in self.spent.items() if name != "frames")[1]


@cache
def _lengths(shape: str, hours: float) -> tuple[float, ...]:
    return tuple(lengths(shape, hours))


def simulated(
    costs: Costs, shape: str, rate_hz: float, nodes: int, assumed: Assumed = USUAL, changed: str = ""
) -> Simulated:
    """One corpus on one cluster."""
    watching = Watching(
        rate_hz=rate_hz,
        frame_s=costs.frame[f"{rate_hz:.0f}"].median,
        piece_s=costs.piece.median,
        spread=costs.spread,
        straggling=assumed.straggling,
        straggler=assumed.straggler,
    )
    found = _lengths(shape, assumed.hours)
    own = [[watching.piece_s]] * len(found) if not assumed.cut.together_s else []  # surveyed first, recognised at last
    jobs = [*own, *work(found, assumed.cut, watching), *own]
    alone_s = math.fsum(seconds for job in jobs for seconds in job)
    cluster = Cluster(
        nodes=nodes,
        slots=assumed.cores,
        start_s=costs.start.median,
        begin_s=costs.answer.low,
        submit_s=costs.submit.median,
        collect_s=costs.collect.median + (costs.write.median if assumed.write_s is None else assumed.write_s),
        look_s=costs.look_each,
        together=assumed.together,
        lifetime_h=assumed.lifetime_h,
        away_s=assumed.away_s,
        noticed_s=assumed.noticed_s,
        node_spread=assumed.node_spread,
        streams=assumed.storage_gb_s * alone_s / read_gb(found, assumed.cut),
    )
    seeds = SEEDS[: 1 if len(jobs) > MANY else None]
    runs = sorted((simulate(jobs, cluster, disagree=assumed.disagree, seed=seed) for seed in seeds), key=_makespan)
    told = _told(runs[len(runs) // 2], cluster, found, watching, changed, shape)
    low, high = (one.makespan_s / SECONDS_PER_HOUR for one in (runs[0], runs[-1]))
    return msgspec.structs.replace(told, low_h=low, high_h=high)


def read_gb(found: Sequence[float], cut: Cut) -> float:
    """What all pieces read: the survey and each part the whole of its recording, whose content is hashed first."""
    return math.fsum(length_s * (1 + len(parts(length_s, cut))) for length_s in found) * MEGABITS_S / 8 / 1000


def _makespan(run: Run) -> float:
    return run.makespan_s


def _told(
    run: Run, cluster: Cluster, found: Sequence[float], watching: Watching, changed: str, shape: str
) -> Simulated:
    slots = cluster.nodes * cluster.slots
    frames_s = math.fsum(found) * watching.rate_hz * watching.frame_s
    spent = msgspec.structs.asdict(run.spent)
    extra = spent.pop("watching") - frames_s  # lead-ins, opened files, slow nodes, stragglers
    spent = {"frames": frames_s, "lead_ins": extra, **spent}
    hours = math.fsum(found) / SECONDS_PER_HOUR
    return Simulated(
        shape=shape,
        rate_hz=watching.rate_hz,
        nodes=cluster.nodes,
        changed=changed,
        hours_per_hour=hours / (run.makespan_s / SECONDS_PER_HOUR),
        total_h=run.makespan_s / SECONDS_PER_HOUR,
        tail_s=run.makespan_s - run.at_95_s,
        efficiency=frames_s / (run.makespan_s * slots),
        pieces=run.pieces,
        failures=run.failures,
        driver=run.driver_s / run.makespan_s,
        spent={name: seconds / (run.makespan_s * slots) for name, seconds in spent.items()},
        node_hours=cluster.nodes * run.makespan_s / SECONDS_PER_HOUR,
    )


def variations() -> dict[str, Assumed]:
    """What would move the limit, and what would make it worse: one change each."""
    change = msgspec.structs.replace
    return {
        "the driver takes all results that are there": change(USUAL, together=True),
        "results kept in 2 ms": change(USUAL, write_s=0.002),
        "2 ms, all results at once": change(USUAL, write_s=0.002, together=True),
        "2 ms, all at once, parts of 5 minutes": change(USUAL, write_s=0.002, together=True, cut=Cut(segment_s=300.0)),
        "parts of 5 minutes": change(USUAL, cut=Cut(segment_s=300.0)),
        "parts of an hour": change(USUAL, cut=Cut(segment_s=3600.0)),
        "never cut": change(USUAL, cut=Cut(segment_s=math.inf)),
        "short recordings together, up to 15 minutes": change(USUAL, cut=Cut(together_s=900.0)),
        "no failures": change(USUAL, lifetime_h=math.inf),
        "nodes live 24 hours": change(USUAL, lifetime_h=24.0),
        "nodes live 2 hours": change(USUAL, lifetime_h=2.0),
        "every tenth seam does not agree": change(USUAL, disagree=0.1),
        "no stragglers, nodes alike": change(USUAL, straggling=0.0, node_spread=0.0),
        "a file server of 1.25 GB/s (10 Gbit/s)": change(USUAL, storage_gb_s=1.25),
        "a storage of 20 GB/s": change(USUAL, storage_gb_s=20.0),
        "three times as many hours": change(USUAL, hours=3 * HOURS),
    }


CHANGED = {
    "clips": ("2 ms, all results at once", "short recordings together, up to 15 minutes"),
    "mixed": tuple(variations()),
    "interviews": ("2 ms, all results at once", "2 ms, all at once, parts of 5 minutes", "never cut"),
}
"""What is changed for which shape: all for one of them, for the others what matters there."""


def simulations(costs: Costs) -> Iterator[Simulated]:
    """The table, and the variations on the larger clusters."""
    for shape in SHAPES:
        for rate_hz, numbers in ((30.0, sorted({*NODES, *MORE_NODES})), (200.0, NODES)):
            for nodes in numbers:
                if shape == "mixed" or (rate_hz == 30.0 and (shape != "clips" or nodes in NODES)):  # others take long
                    yield simulated(costs, shape, rate_hz, nodes)
        for what in CHANGED[shape]:
            for nodes in NODES[3:] if shape == "clips" else NODES[2:]:
                yield simulated(costs, shape, 30.0, nodes, variations()[what], what)


def stops(table: Sequence[Simulated], shape: str) -> Simulated | None:
    """The first number of nodes that falls below `STOPS` of perfect scaling; None: all hold."""
    line = sorted((one for one in table if (one.shape, one.rate_hz, one.changed) == (shape, 30.0, "")), key=_nodes)
    return next((one for one in line if one.efficiency < STOPS * line[0].efficiency), None)


def _nodes(one: Simulated) -> int:
    return one.nodes
