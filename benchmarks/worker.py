"""A worker under load: one process, ever more cameras, until it can't keep up, and one step beyond.

One other process publishes ready frames, live, each camera on a socket of its own.
"""

import multiprocessing
import os
import statistics
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from itertools import chain, pairwise
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.measure import Row, Spread, report
from benchmarks.processes import Numbers, Ports, running, until
from benchmarks.publisher import CLIPS, publisher
from bowam_stream import clock
from bowam_stream.events import subscribe
from bowam_stream.transport import TransportSettings

CURVES = {30.0: (1, 2, 4, 8, 16, 24, 32, 40, 48, 64), 200.0: (1, 2, 3, 4, 5, 6, 8, 10, 12)}  # cameras by frame rate
GOALS = {30.0: 16, 200.0: 3}  # cameras without a dropped frame on two cores
SETTLE_S = 4.0  # of playing before the window: noise of every face is known, memory is warm
SLICES, SLICE_S = 6, 2.5  # of the window; two slices are a third of it
TICKS_HZ = os.sysconf("SC_CLK_TCK")


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """What the worker's metrics say at one moment, over all cameras, and what both processes have used by then."""

    cpu_s: float
    publisher_cpu_s: float
    busy_s: float  # of all processes of the machine
    received: float
    dropped: dict[str, float]  # reason -> frames
    age_s: float  # summed over the frames received
    ages: dict[float, float]  # upper edge in s -> frames up to that age
    stages_s: dict[str, float]  # stage -> seconds spent in it
    at_s: float


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """What one number of cameras gave, slice by slice of the window."""

    cameras: int
    rate_hz: float
    readings: list[Reading]
    latencies: list[list[float]]  # ms, per slice: capture of the deciding frame to its arrival at the subscriber
    bare_s: float  # the spotter alone, per frame, just before
    sent: int  # in the whole run, settling included
    unaccounted: int  # of them, neither received nor counted as dropped
    lateness_ms: float  # how late the publisher was at worst

    def growth(self, what: str) -> dict[Any, float]:
        """Growth of numbers by their keys over the window."""
        first, last = (getattr(self.readings[k], what) for k in (0, -1))
        return {key: value - first.get(key, 0) for key, value in last.items()}

    def per_slice(self, what: str) -> list[float]:
        """Growth of one number from slice to slice."""
        return [getattr(b, what) - getattr(a, what) for a, b in pairwise(self.readings)]

    def cores(self, what: str) -> list[float]:
        """CPU seconds per second: `cpu_s` of the worker, `publisher_cpu_s`, or `busy_s` of the machine."""
        return [used / took for used, took in zip(self.per_slice(what), self.per_slice("at_s"), strict=True)]

    @property
    def frame_cost(self) -> list[float]:
        """CPU seconds of the worker per frame that it took, over those of the spotter alone."""
        pairs = zip(self.per_slice("cpu_s"), self.per_slice("received"), strict=True)
        return [used / max(frames, 1) / self.bare_s for used, frames in pairs]

    @property
    def dropped(self) -> dict[str, float]:
        """Frames lost in the window, by reason; none that is 0."""
        return {reason: frames for reason, frames in self.growth("dropped").items() if frames}

    @property
    def ages_ms(self) -> list[float]:
        """Mean age of the frames of each slice when the spotter took them."""
        pairs = zip(self.per_slice("age_s"), self.per_slice("received"), strict=True)
        return [age / max(frames, 1) * 1e3 for age, frames in pairs]

    @property
    def stale(self) -> float:
        """Frames that were older than a receiver lets them become: it looked just before."""
        seen = self.growth("ages")
        return seen[float("inf")] - seen[TransportSettings().max_age_ms / 1e3]

    def thirds(self, values: list[list[float]]) -> list[float]:
        """Median of each third of the window; nan where nothing fell into it."""
        size = SLICES // 3
        pools = [list(chain(*values[k : k + size])) for k in range(0, SLICES, size)]
        return [statistics.median(pool) if pool else float("nan") for pool in pools]


def cpu_s(pid: int) -> float:
    """CPU time that a process has used, all its threads."""
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / TICKS_HZ


def busy_s() -> float:
    """CPU time that all processes of the machine have used."""
    words = Path("/proc/stat").read_text().splitlines()[0].split()
    user, nice, system = (int(words[k]) for k in (1, 2, 3))
    return (user + nice + system) / TICKS_HZ


def read(port: int, worker: int, other: int) -> Reading:
    """The numbers now."""
    at_s, used, used_by_other, busy = time.perf_counter(), cpu_s(worker), cpu_s(other), busy_s()
    numbers = Numbers(port)
    ages = numbers.by("bowam_frame_age_seconds_bucket", "le")
    return Reading(
        cpu_s=used,
        publisher_cpu_s=used_by_other,
        busy_s=busy,
        received=numbers.total("bowam_frames_spotted_total"),
        dropped=numbers.by("bowam_frames_dropped_total", "reason"),
        age_s=numbers.total("bowam_frame_age_seconds_sum"),
        ages={float(edge): frames for edge, frames in ages.items()},
        stages_s=numbers.by("bowam_stage_duration_seconds_sum", "stage"),
        at_s=at_s,
    )


def step(pipe: Connection, other: int, rate_hz: float, cameras: int) -> Step:
    """Play `cameras` cameras to a new worker."""
    pipe.send(("bare", rate_hz))
    bare_s = pipe.recv()
    arrivals: list[tuple[float, float]] = []  # when, and latency in ms
    over = threading.Event()
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        ports = Ports.free(cameras)
        pipe.send(("open", rate_hz, [f"tcp://127.0.0.1:{port}" for port in ports.frames]))
        pipe.recv()
        worker = stack.enter_context(running("worker", "--config", ports.write(Path(name)))).pid

        def listen() -> None:
            topic, journal = f"tcp://127.0.0.1:{ports.events}", f"tcp://127.0.0.1:{ports.journal}"
            with subscribe(topic, journal=journal) as subscription:
                while not over.is_set():
                    if (event := subscription.receive(0.2)) is not None and event.delivery is not None:
                        travelled = (clock.utc_ns() - event.delivery.published_utc_ns) / clock.NS_PER_MS
                        if event.delivery.latency_ms is not None:
                            arrivals.append((time.perf_counter(), event.delivery.latency_ms + travelled))

        listener = threading.Thread(target=listen)
        listener.start()
        stack.callback(listener.join)
        stack.callback(over.set)
        until(lambda: Numbers(ports.worker).total("bowam_link_up") == cameras, "a worker's start")
        pipe.send(("play", rate_hz, SETTLE_S + SLICES * SLICE_S + 1))
        time.sleep(SETTLE_S)
        readings = [read(ports.worker, worker, other)]
        for _ in range(SLICES):
            time.sleep(max(0.0, readings[0].at_s + len(readings) * SLICE_S - time.perf_counter()))
            readings.append(read(ports.worker, worker, other))
        sent, lateness_ms = pipe.recv()
        pipe.send("close")
        pipe.recv()

        def taken() -> int:
            now = read(ports.worker, worker, other)
            return round(now.received + sum(now.dropped.values()))

        deadline = time.monotonic() + 3
        while taken() != sent and time.monotonic() < deadline:
            time.sleep(0.2)
        unaccounted = sent - taken()
    edges = [reading.at_s for reading in readings]
    return Step(
        cameras=cameras,
        rate_hz=rate_hz,
        readings=readings,
        latencies=[[ms for at, ms in arrivals if a <= at < b] for a, b in pairwise(edges)],
        bare_s=bare_s,
        sent=sent,
        unaccounted=unaccounted,
        lateness_ms=lateness_ms,
    )


def rows_of(result: Step, *, beyond: bool) -> list[Row]:
    """What is told about one step; more of those that the targets speak of and of what lies beyond."""
    head = f"{result.cameras} x {result.rate_hz:.0f} fps"
    goal = result.cameras == GOALS[result.rate_hz]
    lost = ", ".join(f"{reason} {frames:.0f}" for reason, frames in sorted(result.dropped.items())) or "none"
    window = round(sum(result.dropped.values()) + sum(result.per_slice("received")))
    one, cores = Spread.of, result.cores("cpu_s")
    rows = [
        Row(what=f"{head}: cores of the worker", value=one(cores), unit=""),
        Row(what=f"{head}: cores per camera", value=one([used / result.cameras for used in cores]), unit=""),
        Row(what=f"{head}: CPU per frame over the spotter alone", value=one(result.frame_cost), unit="x"),
        Row(
            what=f"{head}: dropped of {window} ({lost})",
            value=one([float(sum(result.dropped.values()))]),
            unit="",
            target="none" if goal else "",
        ),
        Row(what=f"{head}: mean age of a frame at the spotter", value=one(result.ages_ms), unit="ms"),
    ]
    if arrived := list(chain(*result.latencies)):
        rows.append(
            Row(what=f"{head}: deciding frame to subscriber, {len(arrived)} events", value=one(arrived), unit="ms")
        )
    if goal or beyond:
        used, busy = result.cores("publisher_cpu_s"), result.cores("busy_s")
        others = [all_of_it - a - b for all_of_it, a, b in zip(busy, cores, used, strict=True)]
        rows.append(Row(what=f"{head}: cores of the publisher", value=one(used), unit=""))
        rows.append(Row(what=f"{head}: cores of everything else on the machine", value=one(others), unit=""))
        rows.append(Row(what=f"{head}: latest frame of the publisher", value=one([result.lateness_ms]), unit="ms"))
        ages = result.thirds([[age] for age in result.ages_ms])
        thirds = zip(("first", "second", "last"), ages, result.thirds(result.latencies), strict=True)
        for name, age, latency in thirds:
            rows.append(Row(what=f"{head}: {name} third, age of a frame", value=one([age]), unit="ms"))
            rows.append(
                Row(what=f"{head}: {name} third, deciding frame to subscriber", value=one([latency]), unit="ms")
            )
        what = f"{head}: frames taken at more than {TransportSettings().max_age_ms} ms"
        rows.append(Row(what=what, value=one([result.stale]), unit="", target="none, or on the point of it"))
    if goal:
        frames = result.readings[-1].received - result.readings[0].received
        for stage, seconds in sorted(result.growth("stages_s").items()):
            rows.append(Row(what=f"{head}: {stage}, per frame", value=one([seconds / frames * 1e3]), unit="ms"))
    rows.append(
        Row(
            what=f"{head}: of {result.sent} sent, neither taken nor counted as dropped",
            value=one([float(result.unaccounted)]),
            unit="",
            target="0",
        )
    )
    return rows


def run() -> None:
    near, far = multiprocessing.Pipe()
    other = multiprocessing.get_context("spawn").Process(target=publisher, args=(far,))
    other.start()
    assert other.pid is not None
    rows, notes = [], []
    try:
        for rate_hz, counts in CURVES.items():
            near.send(("bare", rate_hz))
            bare_s = near.recv()  # also makes the frames
            saturated = 0
            for cameras in counts:
                result = step(near, other.pid, rate_hz, cameras)
                beyond = bool(result.dropped)
                print(f"  {cameras} x {rate_hz:.0f} fps: {Spread.of(result.cores('cpu_s'))} cores", file=sys.stderr)
                rows += rows_of(result, beyond=beyond)
                if saturated:
                    break
                saturated = cameras if beyond else 0
            seconds, clips = CLIPS[rate_hz]
            notes.append(
                f"{rate_hz:.0f} fps: {clips} clips of {seconds:.0f} s, spotter alone {bare_s * 1e3:.2f} ms per frame"
            )
        near.send("end")
    finally:
        near.close()
        other.join()
    report("worker", rows, f"{'; '.join(notes)}; windows of {SLICES * SLICE_S:.0f} s; publisher on the same machine")
