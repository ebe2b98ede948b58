"""Subscriptions over lines that fail, before workers that come back: each event once, in order per camera, or error."""

import asyncio
import random
import shutil
import subprocess
import sys
import threading
import time

import msgspec
import pytest
import zmq

from bowam_stream.errors import TransportError
from bowam_stream.events import EventLedger, EventPublisher, Journal, ReplaySocket, subscriber
from bowam_stream.events.asynchronous import AsyncSubscription
from bowam_stream.events.purge import purge
from bowam_stream.events.subscriber import Subscription
from bowam_stream.messages import Event, Moment
from tests.stream.cutting_proxy import CuttingProxy
from tests.stream.small_events import small_event
from tests.system.processes import free_port

PATIENCE_S = 20.0  # nothing waits so long unless it fails
CAMERAS = ("cam0", "cam1", "cam10")
LIVE = Moment(frame=1, t_ns=1, utc_ns=1)


def made(name: str, camera: str = "cam0") -> Event:
    return msgspec.structs.replace(small_event(f"{camera}-{name}", camera), onset=LIVE)


class Worker:
    """The event side of a worker process, on ports that stay the same when it comes back."""

    def __init__(self, path, ports: tuple[int, int]) -> None:
        self.journal = Journal(path)
        self.journal._db.execute("PRAGMA synchronous=OFF")  # many rows, no power cut
        heads = self.journal.heads()
        self.publisher = EventPublisher(f"tcp://127.0.0.1:{ports[0]}", journal=self.journal.name, heads=heads)
        self._socket = ReplaySocket(path, f"tcp://127.0.0.1:{ports[1]}")
        self.ledger = EventLedger(self.journal, self.publisher)
        for camera in CAMERAS:
            self.ledger.open(camera, resume=None)

    def __enter__(self):
        return self

    def __exit__(self, *_) -> None:
        self._socket.close()
        self.publisher.close()
        self.journal.close()


class Busy:
    """A worker in a thread that says `total` events, comes back in between, and then keeps its sockets open."""

    def __init__(self, folder, seed: int, total: int) -> None:
        self.ports = (free_port(), free_port())
        self.finished, self.ended = threading.Event(), threading.Event()
        self._path, self._dice, self._left = folder / "journal.sqlite", random.Random(seed), total
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self) -> None:
        while not self.ended.is_set():
            with Worker(self._path, self.ports) as worker:
                for _ in range(self._dice.randint(1, self._left) if self._left else 0):
                    worker.publisher.poll()
                    event = made(f"{self._left}", self._dice.choice(CAMERAS))
                    self._left -= 1
                    if self._dice.random() < 0.05:
                        worker.journal.append(event)  # killed between commit and publication
                        break
                    worker.ledger.record(event)
                    self.ended.wait(0.0005 * self._dice.randint(0, 8))
                if not self._left:
                    self.heads = worker.journal.heads()
                    self.finished.set()
                while self.finished.is_set() and not self.ended.wait(0.01):
                    worker.publisher.poll()
                    for camera in CAMERAS:
                        worker.publisher.status(camera, {"camera": camera})


@pytest.fixture
def line(tmp_path, request, monkeypatch):
    """A busy worker behind two failing lines."""
    monkeypatch.setattr(subscriber, "ANSWER_MS", 150)
    seed = request.param
    busy = Busy(tmp_path, seed, total=300)
    proxies = [CuttingProxy(port, seed * 2 + index) for index, port in enumerate(busy.ports)]
    yield busy, proxies
    busy.ended.set()
    busy.thread.join()
    for proxy in proxies:
        proxy.close()


def whole(story: list[tuple[str, int]], heads: dict[str, int]) -> bool:
    """Whether it is all; fails where anything came twice, or not in order."""
    for camera in CAMERAS:
        seqs = [seq for name, seq in story if name == camera]
        assert seqs == list(range(1, len(seqs) + 1)), camera
    return len(story) == sum(heads.values())


def endpoints(proxies: list[CuttingProxy]) -> tuple[str, str]:
    return f"tcp://127.0.0.1:{proxies[0].port}", f"tcp://127.0.0.1:{proxies[1].port}"


SEEDS = [0, *(pytest.param(seed, marks=pytest.mark.system) for seed in range(1, 6))]


@pytest.mark.parametrize("line", SEEDS, indirect=True)
def test_each_event_comes_once_over_a_line_that_fails(line):
    """Cut, half a message, held, called twice, and a worker that comes back: the story is whole and in order."""
    busy, proxies = line
    topic, journal = endpoints(proxies)
    story: list[tuple[str, int]] = []
    with Subscription(topic, journal=journal, since=0) as subscription:
        while not (busy.finished.is_set() and whole(story, busy.heads)):
            event = subscription.receive(PATIENCE_S)
            assert event is not None, f"nothing after {len(story)} events"
            story.append((event.camera, event.seq))
        assert subscription.receive(0.05) is None
        assert subscription.cursor == busy.heads
    assert sum((proxy.done for proxy in proxies), start=proxies[0].done.copy()).total() > 0


@pytest.mark.parametrize("line", SEEDS, indirect=True)
def test_the_same_in_asyncio_where_waits_are_cancelled(line):
    """A wait that is given up, at any moment, costs no event."""
    busy, proxies = line
    topic, journal = endpoints(proxies)
    dice = random.Random(7)
    story: list[tuple[str, int]] = []

    async def follow() -> None:
        async with AsyncSubscription(topic, journal=journal, since=0) as subscription:
            quiet = 0
            while not (busy.finished.is_set() and whole(story, busy.heads)):
                try:
                    event = await asyncio.wait_for(anext(subscription), dice.choice([0.0005, 0.01, 1.0]))
                except TimeoutError:
                    quiet += 1
                    assert quiet < 20_000, f"nothing after {len(story)} events"
                    continue
                quiet = 0
                story.append((event.camera, event.seq))
            assert subscription.cursor == busy.heads

    asyncio.run(asyncio.wait_for(follow(), 60))


def drain(subscription: Subscription, worker: Worker, count: int) -> list[int]:
    """The seqs of the next `count` events."""
    seqs: list[int] = []
    while len(seqs) < count:
        worker.publisher.poll()
        if (event := subscription.receive(0.02)) is not None:
            seqs.append(event.seq)
    return seqs


@pytest.mark.parametrize("said_since", [0, 1, 3, 10])
def test_a_restored_backup_ends_the_subscription_with_an_error(tmp_path, said_since):
    """Whether the journal has come as far as before or not: never other events under numbers that were told."""
    path, backup, ports = tmp_path / "j.sqlite", tmp_path / "backup", (free_port(), free_port())
    with Worker(path, ports) as worker:
        for name in "abc":
            worker.ledger.record(made(name))
    shutil.copy(path, backup)
    with Subscription(f"tcp://127.0.0.1:{ports[0]}", since=0, journal=f"tcp://127.0.0.1:{ports[1]}") as subscription:
        with Worker(path, ports) as worker:
            for name in "def":
                worker.ledger.record(made(name))
            assert drain(subscription, worker, 6) == [1, 2, 3, 4, 5, 6]
        shutil.copy(backup, path)
        with Worker(path, ports) as worker:
            for index in range(said_since):
                worker.ledger.record(made(f"other-{index}"))
            with pytest.raises(TransportError, match="restored"):
                drain(subscription, worker, 1)
            with pytest.raises(TransportError, match="restored"):
                drain(subscription, worker, 1)


def test_what_was_purged_is_passed_over_by_who_was_away_and_by_who_is_new(tmp_path):
    """A subscriber that follows, one with an older cursor, and one from the beginning: topic and journal agree."""
    path, ports = tmp_path / "j.sqlite", (free_port(), free_port())
    topic, journal = (f"tcp://127.0.0.1:{port}" for port in ports)
    with Worker(path, ports) as worker, Subscription(topic, journal=journal, since=0) as there:
        for name in "abcdef":
            worker.ledger.record(made(name))
        assert drain(there, worker, 6) == [1, 2, 3, 4, 5, 6]
        with Journal(path) as other:
            (one,) = purge(other, 2**62)
        assert (one.records, one.upto) == (6, 6)
        with (
            Subscription(topic, journal=journal, since={"cam0": 2}) as away,
            Subscription(topic, journal=journal, since=0) as new,
        ):
            for subscription in (there, away, new):
                assert subscription.receive(0.1) is None
                worker.publisher.poll()
            worker.ledger.record(made("g"))
            worker.journal.append(made("lost"))
            worker.ledger.record(made("i"))
            for subscription in (there, away, new):
                assert drain(subscription, worker, 3) == [7, 8, 9]
                assert subscription.cursor == {"cam0": 9}


def test_a_slow_line_gets_more_time_and_smaller_pages(monkeypatch):
    """Or a page that takes longer than the first patience would never arrive."""
    monkeypatch.setattr(subscriber, "ANSWER_MS", 10)
    monkeypatch.setattr(subscriber, "ANSWER_MAX_MS", 40)
    asked = []
    with Subscription("tcp://127.0.0.1:1", journal="tcp://127.0.0.1:2", since=0) as subscription:
        for _ in range(5):
            subscription._merge.journal = "known"
            _, question, wait_ms = subscription._listen(float("inf"))
            asked.append((wait_ms, msgspec.json.decode(question)["credit"]))
            subscription._asked_ns -= 10**9
    assert asked == [(10, 256), (20, 128), (40, 64), (40, 32), (40, 16)]


READS_NOTHING = """
import sys, time
from bowam_stream.events import Subscription
with Subscription(sys.argv[1], journal="tcp://127.0.0.1:1") as events:
    sys.stdin.readline()
    time.sleep(3.5)
"""


def test_a_subscriber_that_reads_nothing_outlives_its_worker():
    """Its queue is full when the connection breaks: there ZeroMQ's heartbeats would abort the process."""
    with zmq.Context() as context, context.socket(zmq.XPUB) as topic:
        topic.set(zmq.LINGER, 0)
        topic.set(zmq.SNDHWM, 0)
        port = topic.bind_to_random_port("tcp://127.0.0.1")
        command = [sys.executable, "-c", READS_NOTHING, f"tcp://127.0.0.1:{port}"]
        with subprocess.Popen(command, stdin=subprocess.PIPE, text=True) as subscriber:
            assert topic.recv()
            for _ in range(20_000):
                topic.send_multipart([b"status/v1/cam0/", b"", bytes(1000)])
            time.sleep(1)
            topic.close()
            subscriber.communicate("\n", timeout=30)
    assert subscriber.returncode == 0
