"""Live: from the capture of the frame that closed an event to the event in another process that subscribes.

An event is certain only some time after its offset: that is the spotter's own waiting, and reported apart. What counts
here is the rest: from the capture of the frame that decided to the clock of the subscriber when it has the event.
"""

import tempfile
from contextlib import ExitStack
from pathlib import Path

import msgspec
import numpy as np

from benchmarks.clips import clip
from benchmarks.measure import Row, Spread, report
from benchmarks.processes import Numbers, Ports, running, until
from bowam_stream import clock
from bowam_stream.events import subscribe
from bowam_stream.messages import Event

RATES_HZ = (30.0, 100.0)
SECONDS, EVERY_S, LOOPS = 30.0, 1.5, 8  # of the clip, between micro-expressions, and how often it is played
SILENCE_S = 8.0  # without an event: it is over


class Arrival(msgspec.Struct, frozen=True, kw_only=True):
    """One event, as it came; times in ms."""

    event: Event
    beyond: float  # capture of the deciding frame to the event's arrival
    waited: float | None  # offset to the deciding frame: the spotter's own confirmation; None without an offset

    @classmethod
    def of(cls, event: Event) -> "Arrival | None":
        """What just came; None for one whose times are not known."""
        now_ns, now_utc_ns = clock.monotonic_ns(), clock.utc_ns()
        if event.delivery is None or event.delivery.latency_ms is None:
            return None
        travelled_ms = (now_utc_ns - event.delivery.published_utc_ns) / clock.NS_PER_MS
        beyond = event.delivery.latency_ms + travelled_ms
        waited = None if event.offset is None else (now_ns - event.offset.t_ns) / clock.NS_PER_MS - beyond
        return cls(event=event, beyond=beyond, waited=waited)

    @property
    def recognised(self) -> bool:
        """The network was asked: a micro-expression, also one that it refused."""
        return self.event.probabilities is not None


def measured(rate_hz: float) -> tuple[list[Arrival], dict[str, float]]:
    """The events of one camera's live run, and the mean time of each stage in ms."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder, ports = Path(name), Ports.free()
        video, settings = clip(folder, rate_hz, SECONDS, EVERY_S), ports.write(folder)
        stack.enter_context(running("worker", "--config", settings))
        until(lambda: Numbers(ports.worker).total("bowam_link_up") >= 0, "a worker's start")
        topic, journal = f"tcp://127.0.0.1:{ports.events}", f"tcp://127.0.0.1:{ports.journal}"
        subscription = stack.enter_context(subscribe(topic, journal=journal))
        stack.enter_context(running("capture", "--as-live", "--loops", str(LOOPS), "--config", settings, video))
        arrivals: list[Arrival] = []
        stages: dict[str, float] = {}
        while (event := subscription.receive(SILENCE_S if arrivals else 60.0)) is not None:
            if (arrival := Arrival.of(event)) is not None:
                arrivals.append(arrival)
            if len(arrivals) % 50 == 1:
                stages = stages_of(ports)
        return arrivals, stages


def stages_of(ports: Ports) -> dict[str, float]:
    """Mean time of each stage so far, in ms."""
    stage, age = "bowam_stage_duration_seconds", "bowam_frame_age_seconds"
    capture, worker = Numbers(ports.capture), Numbers(ports.worker)
    means = {f"capture, {name}": mean for name, mean in capture.means_ms(stage, "stage").items()}
    means |= {f"{name}, published to spotted": mean for name, mean in worker.means_ms(age, "camera").items()}
    return means | {f"worker, {name}": mean for name, mean in worker.means_ms(stage, "stage").items()}


def rows_of(rate_hz: float) -> list[Row]:
    """One rate's part of the table."""
    arrivals, stages = measured(rate_hz)
    finals = [a for a in arrivals if a.event.phase == "final"]
    rows = []
    for name, group, targets in (
        ("micro-expressions, the network asked", [a for a in arrivals if a.recognised], ("<= 60", "<= 150", "")),
        ("other finals", [a for a in finals if not a.recognised], ("", "", "")),
        ("provisional", [a for a in arrivals if a.event.phase == "provisional"], ("", "", "")),
    ):
        if not group:
            continue
        head = f"{rate_hz:.0f} fps, {len(group)} {name}"
        beyond = [a.beyond for a in group]
        for figure, share, target in zip(("P50", "P99", "worst"), (50, 99, 100), targets, strict=True):
            value = float(np.percentile(beyond, share))
            rows.append(Row(what=f"{head}: {figure}", value=Spread.of([value]), unit="ms", target=target))
        if waited := [a.waited for a in group if a.waited is not None]:
            rows.append(Row(what=f"{head}: the spotter's own waiting", value=Spread.of(waited), unit="ms"))
    head = f"{rate_hz:.0f} fps, mean of all runs of a stage"
    return rows + [Row(what=f"{head}: {name}", value=Spread.of([mean]), unit="ms") for name, mean in stages.items()]


def run() -> None:
    rows = [row for rate_hz in RATES_HZ for row in rows_of(rate_hz)]
    report(
        "latency",
        rows,
        "one camera, capture of the deciding frame to arrival at a subscriber in another process; "
        f"a clip of {SECONDS:.0f} s, {LOOPS} times",
    )
