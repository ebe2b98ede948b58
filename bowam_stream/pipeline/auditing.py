"""Proof that a running system keeps its promises: what its processes count, what they publish, what the journal has."""

import urllib.request
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from bowam_stream import clock
from bowam_stream.config import Config
from bowam_stream.errors import TransportError
from bowam_stream.events import Journal, Subscription, subscribe, to_json
from bowam_stream.events.audit import Check
from bowam_stream.transport.interface import AGE, CAPACITY, NO_HELLO, REFUSED, STAGE

ASK_S = 2.0
ON_THE_WAY = 16  # frames that may be between the stages of a capture, or be counted while they are read

Sums = dict[str, float]


class Scrape:
    """The numbers of one process at one moment, summed by camera."""

    def __init__(self, text: str) -> None:
        self._samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]

    def by_camera(self, name: str, **labels: tuple[str, ...]) -> Sums:
        """camera -> the sum of its series of `name` whose labels are among `labels`."""
        sums: defaultdict[str, float] = defaultdict(float)
        for sample in self._samples:
            if sample.name == name and all(sample.labels.get(key) in among for key, among in labels.items()):
                sums[sample.labels.get("camera", "")] += sample.value
        return sums


def scrape(host: str, port: int) -> Scrape | None:
    """What the process there counts; None where nobody answers."""
    try:
        with urllib.request.urlopen(f"http://{host}:{port}/metrics", timeout=ASK_S) as answer:
            return Scrape(answer.read().decode())
    except OSError:
        return None


def audit_capture(seen: Scrape) -> Check:
    """captured = published + dropped, but for what is on its way between two stages."""
    return _balance(
        "capture: captured = published + dropped + on the way",
        seen.by_camera("bowam_frames_captured_total"),
        seen.by_camera("bowam_frames_published_total"),
        seen.by_camera("bowam_frames_dropped_total"),
        most=ON_THE_WAY,
    )


def audit_worker(seen: Scrape, ring_frames: int) -> Check:
    """received = spotted + dropped, but for what waits."""
    return _balance(
        "worker: received = spotted + dropped + waiting",
        seen.by_camera("bowam_frames_received_total"),
        seen.by_camera("bowam_frames_spotted_total"),
        seen.by_camera("bowam_frames_dropped_total", stage=(STAGE,), reason=(AGE, CAPACITY, REFUSED, NO_HELLO)),
        most=ring_frames + ON_THE_WAY,
    )


def _balance(what: str, came: Sums, went_on: Sums, dropped: Sums, *, most: int) -> Check:
    """What came and neither went on nor was dropped is still there: between 0 and `most` frames."""
    left = {camera: came[camera] - went_on[camera] - dropped[camera] for camera in sorted(came)}
    return Check(
        what=what,
        faults=tuple(f"{camera}: {n:.0f} frames unexplained" for camera, n in left.items() if not 0 <= n <= most),
        says="; ".join(
            f"{camera} {came[camera]:.0f} = {went_on[camera]:.0f} + {dropped[camera]:.0f} + {count:.0f}"
            for camera, count in left.items()
        ),
    )


def audit_topic(subscription: Subscription, journal: Journal, seconds: float) -> Check:
    """Every event that is published within `seconds` stands in the journal, the same to the byte."""
    until_ns = clock.monotonic_ns() + int(seconds * clock.NS_PER_SECOND)
    heard, faults = 0, []
    while (left_ns := until_ns - clock.monotonic_ns()) > 0:
        event = subscription.receive(left_ns / clock.NS_PER_SECOND)
        if event is None:
            break
        heard += 1
        stored = next(iter(journal.since({event.camera: event.seq - 1}, cameras=[event.camera])), None)
        if stored is None or to_json(stored, delivery=False) != to_json(event, delivery=False):
            faults.append(f"{event.camera} {event.seq}: published, and the journal has something else")
    return Check(
        what="what is published stands in the journal", faults=tuple(faults), says=f"{heard} events in {seconds:g} s"
    )


def audit_running(config: Config, seconds: float) -> Iterator[Check]:
    """The promises of the processes that `config` describes, as far as they run here. Listens for `seconds`."""
    host = config.metrics.host
    capture, worker = (scrape(host, port) for port in (config.metrics.capture_port, config.metrics.worker_port))
    if capture is not None:
        yield audit_capture(capture)
    if worker is not None:
        yield audit_worker(worker, config.transport.ring_frames)
        with ExitStack() as stack:
            journal = stack.enter_context(Journal.open_readonly(Path(config.events.journal)))
            try:
                events = subscribe(config.events.endpoint, journal=config.events.journal_endpoint, timeout_s=ASK_S)
            except TransportError as error:
                yield Check(what="the worker answers subscribers", faults=(str(error),))
                return
            yield audit_topic(stack.enter_context(events), journal, seconds)
