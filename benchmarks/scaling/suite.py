"""Measure, simulate, tell."""

import json
import math
import os
import time
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.measure import RESULTS, Row, Spread, machine
from benchmarks.scaling.calibration import Costs, measure
from benchmarks.scaling.cases import HOURS, MEGABITS_S, USUAL, Simulated, simulations, stops
from benchmarks.scaling.corpora import SHAPES

KEPT = os.environ.get("BOWAM_SCALING_COSTS")  # a file that keeps what was measured, while the simulation is changed


def rows(costs: Costs) -> list[Row]:
    """What was measured."""
    one = Spread.of
    return [
        *(
            Row(what=f"a frame at {rate} fps, processor time", value=_times(value, 1e3), unit="ms")
            for rate, value in costs.frame.items()
        ),
        *(
            Row(what=f"a frame of {name}, processor time", value=_times(value, 1e3), unit="ms")
            for name, value in costs.real.items()
        ),
        Row(what="spread over these, of the logarithm", value=one([costs.spread]), unit=""),
        Row(what="a piece beside its frames: file and models opened, processor time", value=costs.piece, unit="s"),
        Row(what="a process before its first piece, processor time", value=costs.start, unit="s"),
        Row(what="driver: to hand out a piece, processor time", value=_times(costs.submit, 1e3), unit="ms"),
        Row(what="driver: to take a result, processor time", value=_times(costs.collect, 1e3), unit="ms"),
        *(
            Row(what=f"driver: one ray.wait, {count} pieces out, processor time", value=_times(value, 1e3), unit="ms")
            for count, value in costs.look.items()
        ),
        *(
            Row(what=f"driver: the same for all that are done, {count} out", value=_times(value, 1e3), unit="ms")
            for count, value in costs.look_at_all.items()
        ),
        Row(what="driver: a look, for each piece that is out", value=_times(one([costs.look_each]), 1e6), unit="us"),
        Row(
            what="a piece that costs nothing, handed out to result, wall time",
            value=_times(costs.answer, 1e3),
            unit="ms",
        ),
        Row(
            what="a result kept for good: written, synced, renamed, wall time",
            value=_times(costs.write, 1e3),
            unit="ms",
        ),
        Row(
            what="a result, for each minute of video",
            value=_times(costs.result_bytes_per_minute, 1e-3),
            unit="kB",
        ),
        Row(what="memory of a process that watches, at most", value=costs.peak_mb, unit="MB"),
    ]


def _times(value: Spread, factor: float) -> Spread:
    return Spread(median=value.median * factor, low=value.low * factor, high=value.high * factor)


def costs() -> Costs:
    """Measured now, or as kept in BOWAM_SCALING_COSTS."""
    if KEPT and Path(KEPT).exists():
        return msgspec.json.decode(Path(KEPT).read_bytes(), type=Costs)
    measured = measure()
    if KEPT:
        Path(KEPT).write_bytes(msgspec.json.encode(measured))
    return measured


def run() -> None:
    """Measure, simulate, print, and write benchmarks/results/scaling.json."""
    measured = costs()
    print("\nscaling: what was measured")
    for row in rows(measured):
        print(f"  {row.what:<70} {row.value!s:>28} {row.unit}")
    started = time.perf_counter()
    print(f"\nscaling: {HOURS:,.0f} hours, simulated", flush=True)
    table = []
    for one in simulations(measured):
        table.append(one)
        print(line(one), flush=True)
    print(f"  {len(table)} runs in {time.perf_counter() - started:.0f} s")
    limits: dict[str, Any] = {}
    for shape in SHAPES:
        stop = stops(table, shape)
        limits[shape] = stop and {"nodes": stop.nodes, "efficiency": stop.efficiency, "because": stop.loss}
        print(f"  {shape}: " + (f"stops at {stop.nodes} nodes: {stop.loss}" if stop else "holds"))
    content = {
        "suite": "scaling",
        "notes": f"{HOURS:,.0f} hours of recordings; processor times, others worked on this machine",
        "machine": machine(),
        "rows": msgspec.to_builtins(rows(measured)),
        "assumed": {**_plain(USUAL), "megabits_s": MEGABITS_S},
        "stops": limits,
        "simulated": msgspec.to_builtins(table),
    }
    (RESULTS / "scaling.json").write_text(json.dumps(content, indent=1) + "\n")


def _plain(assumed: msgspec.Struct) -> dict[str, Any]:
    """JSON knows no infinity."""
    return {name: (None if value == math.inf else value) for name, value in msgspec.to_builtins(assumed).items()}


def line(one: Simulated) -> str:
    """A line of the table."""
    lost = ", ".join(f"{name} {share:.1%}" for name, share in one.spent.items() if name != "frames" and share >= 0.005)
    return (
        f"  {one.shape:<11}{one.rate_hz:>4.0f} fps {one.nodes:>5} nodes {one.total_h:>8.2f} h"
        f" {one.hours_per_hour:>9.0f} h/h tail {one.tail_s:>6.0f} s  {one.efficiency:>4.0%}  {one.changed or lost}"
    )
