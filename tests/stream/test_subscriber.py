"""Subscriptions over real sockets: kill, lose, repeat, replace; each event still comes once and in order."""

import asyncio
import os
import signal
import subprocess
import sys
import time

import msgspec
import pytest
import zmq

from bowam_stream.errors import TransportError
from bowam_stream.events import EventLedger, EventPublisher, Journal, ReplaySocket, subscribe, subscriber
from bowam_stream.events.asynchronous import subscribe_async
from bowam_stream.events.subscriber import Subscription, journal_of
from bowam_stream.events.wire import Header
from bowam_stream.messages import Event
from tests.stream.small_events import small_event

PATIENCE_S = 20.0  # nothing waits so long unless it fails


def made(name: str, camera: str = "cam0") -> Event:
    """An event with little in it."""
    return small_event(f"{camera}-{name}", camera, 0)


class Worker:
    """The event side of a worker process."""

    def __init__(self, folder, journal: str = "journal.sqlite") -> None:
        self.journal = Journal(folder / journal)
        self.endpoint, self.journal_endpoint = f"ipc://{folder}/events", f"ipc://{folder}/missed"
        self.publisher = EventPublisher(self.endpoint, journal=self.journal.name, heads=self.journal.heads())
        self.server = ReplaySocket(self.journal.path, self.journal_endpoint)
        self.ledger = EventLedger(self.journal, self.publisher)

    def say(self, *names: str, camera: str = "cam0") -> None:
        for name in names:
            self.ledger.record(made(name, camera))

    def __enter__(self):
        return self

    def __exit__(self, *_) -> None:
        self.server.close()
        self.publisher.close()
        self.journal.close()


@pytest.fixture
def worker(tmp_path):
    with Worker(tmp_path) as worker:
        yield worker


def follow(worker_or_folder, **options) -> Subscription:
    folder = worker_or_folder.journal.path.parent if isinstance(worker_or_folder, Worker) else worker_or_folder
    options = {"timeout_s": PATIENCE_S, **options}
    return subscribe(f"ipc://{folder}/events", journal=f"ipc://{folder}/missed", **options)


def take(subscription: Subscription, worker: Worker, count: int) -> list[tuple[str, int]]:
    """The next `count` events while the worker's loop turns, and proof that no more are there yet."""
    events, end = [], time.monotonic() + PATIENCE_S
    while len(events) < count and time.monotonic() < end:
        worker.publisher.poll()
        if (event := subscription.receive(0.01)) is not None:
            events.append((event.event_id.partition("-")[2], event.seq))
    assert subscription.receive(0) is None
    return events


def test_history_comes_first_and_then_what_happens(worker):
    """since=0 is everything, in order, with the same content as the journal's."""
    worker.say("a", "b")
    with follow(worker, since=0) as subscription:
        assert take(subscription, worker, 2) == [("a", 1), ("b", 2)]
        worker.say("c")
        assert take(subscription, worker, 1) == [("c", 3)]
        assert subscription.cursor == {"cam0": 3}


def test_without_since_only_what_happens_from_now_on(worker):
    """Also when it happens before the topic is connected: the journal fills the gap of the slow joiner."""
    worker.say("a", "b")
    with follow(worker) as subscription:
        worker.say("c", "d")
        assert take(subscription, worker, 2) == [("c", 3), ("d", 4)]


def test_a_cursor_resumes_behind_the_last_event(worker):
    """The cursor counts what was given out, not what waits inside."""
    worker.say("a", "b", "c")
    worker.say("x", "y", camera="cam1")
    with follow(worker, since={}) as subscription:
        assert [next(subscription).seq for _ in range(4)] == [1, 2, 3, 1]
        cursor = subscription.cursor
    assert cursor == {"cam0": 3, "cam1": 1}
    with follow(worker, since=cursor) as subscription:
        assert take(subscription, worker, 1) == [("y", 2)]


def test_doubles_on_the_topic_are_swallowed_and_gaps_are_filled(worker):
    """At-least-once on the wire, exactly once in the loop."""
    with follow(worker, since=0) as subscription:
        worker.say("a")
        assert take(subscription, worker, 1) == [("a", 1)]
        (first,) = worker.journal.since()
        worker.publisher.publish(first)
        worker.journal.append(made("lost"))
        worker.say("c")
        worker.publisher.publish(first)
        assert take(subscription, worker, 2) == [("lost", 2), ("c", 3)]


def test_a_worker_that_dies_and_comes_back_is_followed(tmp_path):
    """Events that were stored while nobody could hear them are not missed, also when nothing happens afterwards."""
    with Worker(tmp_path) as worker:
        worker.say("a")
        subscription = follow(worker, since=0)
        assert take(subscription, worker, 1) == [("a", 1)]
    with Journal(tmp_path / "journal.sqlite") as journal:
        journal.append(made("b"))
    for name in ("c", "d"):
        with Worker(tmp_path) as worker:
            expected = [("b", 2)] if name == "c" else []
            assert take(subscription, worker, len(expected)) == expected
            worker.say(name)
            assert len(take(subscription, worker, 1)) == 1
    assert subscription.cursor == {"cam0": 4}
    subscription.close()


def test_a_worker_with_a_new_journal_is_followed_from_its_beginning(tmp_path):
    """As when one replay follows another on the same ports."""
    with Worker(tmp_path, "first.sqlite") as worker:
        worker.say("a", "b")
        subscription = follow(worker, since=0)
        assert take(subscription, worker, 2) == [("a", 1), ("b", 2)]
    with Worker(tmp_path, "second.sqlite") as worker:
        worker.say("x")
        assert take(subscription, worker, 1) == [("x", 1)]
        worker.say("y")
        assert take(subscription, worker, 1) == [("y", 2)]
    subscription.close()


def test_a_subscriber_may_be_there_first(tmp_path):
    """It waits for its worker."""
    subscription = Subscription(f"ipc://{tmp_path}/events", journal=f"ipc://{tmp_path}/missed", since=0)
    assert subscription.receive(0.05) is None
    with subscription, Worker(tmp_path) as worker:
        worker.say("a")
        assert take(subscription, worker, 1) == [("a", 1)]


def test_only_the_cameras_that_were_asked_for(worker):
    """cam1 is not cam10."""
    with follow(worker, cameras=["cam1"], since=0) as subscription:
        worker.say("a", camera="cam10")
        worker.say("b", camera="cam1")
        assert take(subscription, worker, 1) == [("b", 1)]
        assert subscription.cursor == {"cam1": 1}


def test_the_last_status_of_each_camera_is_at_hand(worker):
    """For a progress bar beside the events."""
    worker.publisher.status("cam0", {"frames": 7})
    with follow(worker) as subscription:
        while "cam0" not in subscription.statuses:
            worker.publisher.poll()
            subscription.receive(0.01)
        assert subscription.statuses == {"cam0": {"frames": 7}}


def test_more_than_a_page_arrives_whole(worker):
    """A long absence is fetched page by page."""
    worker.journal._db.execute("PRAGMA synchronous=OFF")  # many rows, no power cut
    count = 700
    for index in range(count):
        worker.journal.append(made(f"{index}"))
    with follow(worker, since=0) as subscription:
        assert take(subscription, worker, count) == [(f"{index}", index + 1) for index in range(count)]


def test_nobody_there_is_an_error_after_the_timeout():
    """It names the address that was asked."""
    with pytest.raises(TransportError, match=r"nothing answered at tcp://127\.0\.0\.1:2 within 0\.05 s"):
        subscribe("tcp://127.0.0.1:1", timeout_s=0.05)


def test_a_cursor_ahead_of_the_journal_is_an_error(worker):
    """It is of another journal; waiting would be silence."""
    worker.say("a")
    with pytest.raises(TransportError, match="of another journal"):
        follow(worker, since={"cam0": 5})


def test_the_journal_socket_is_the_next_port_unless_named():
    """An ipc address has no next port."""
    assert journal_of("tcp://127.0.0.1:5556") == "tcp://127.0.0.1:5557"
    assert journal_of("tcp://[::1]:5556") == "tcp://[::1]:5557"
    with pytest.raises(TransportError, match="journal="):
        subscribe("ipc:///tmp/events")
    with pytest.raises(TransportError, match="not an address"):
        subscribe("localhost:5556")


def test_an_unanswered_question_is_asked_again_by_a_new_connection(tmp_path, monkeypatch):
    """The first one went to a process that is gone; its late answer must not be taken for the second one's."""
    monkeypatch.setattr(subscriber, "ANSWER_MS", 20)
    with zmq.Context() as context, context.socket(zmq.ROUTER) as silent:
        silent.bind(f"ipc://{tmp_path}/missed")
        with Subscription(f"ipc://{tmp_path}/events", journal=f"ipc://{tmp_path}/missed", since=0) as subscription:
            askers = set()
            while len(askers) < 2:
                assert subscription.receive(0.05) is None
                while silent.poll(0):
                    asker, question = silent.recv_multipart()
                    askers.add(asker)
                    assert question == b'{"since":{},"cameras":null,"credit":0}'


def test_junk_on_the_topic_is_counted_and_survived(tmp_path):
    """Whatever speaks on that port: a subscriber lives on."""
    with zmq.Context() as context, context.socket(zmq.XPUB) as junk:
        junk.bind(f"ipc://{tmp_path}/events")
        subscription = Subscription(f"ipc://{tmp_path}/events", journal=f"ipc://{tmp_path}/missed", since=0)
        with Journal(tmp_path / "journal.sqlite") as journal:
            journal.append(made("a"))
            with ReplaySocket(journal.path, f"ipc://{tmp_path}/missed"), subscription:
                assert next(subscription).seq == 1
                assert junk.poll(PATIENCE_S * 1000)
                junk.recv_multipart(), junk.recv_multipart()
                header = msgspec.msgpack.encode(Header(journal=journal.name, camera="cam0", seq=2))
                junk.send_multipart([b"event/v1/"])
                junk.send_multipart([b"event/v1/cam0/", b"\xc1", b"\x80\x04."])
                journal.append(made("b"))
                junk.send_multipart([b"event/v1/cam0/", header, b"{}"])
                assert next(subscription).event_id == "cam0-b"
                assert subscription.malformed == 2


def test_asyncio_programs_get_the_same_story(worker):
    """History, live events, a timeout, a cancelled wait and a gap."""

    async def story() -> list[int]:
        worker.say("a", "b")
        options = {"journal": worker.journal_endpoint, "timeout_s": PATIENCE_S}
        async with await subscribe_async(worker.endpoint, since=0, **options) as events:
            seen = [(await anext(events)).seq, (await anext(events)).seq]
            assert await events.receive(0.01) is None
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(anext(events), 0.01)
            worker.journal.append(made("lost"))
            worker.say("d")
            while len(seen) < 4:
                worker.publisher.poll()
                if (event := await events.receive(0.01)) is not None:
                    seen.append(event.seq)
            return seen

    assert asyncio.run(story()) == [1, 2, 3, 4]


def test_asyncio_programs_hear_of_nobody_too():
    """The same error as in blocking use."""
    with pytest.raises(TransportError, match="nothing answered"):
        asyncio.run(subscribe_async("tcp://127.0.0.1:1", timeout_s=0.05))


_WORKER = """
import sys
from pathlib import Path
import msgspec
from bowam_stream.events import EventLedger, EventPublisher, Journal, ReplaySocket, from_json
folder, event = Path(sys.argv[1]), from_json(sys.argv[2])
with Journal(folder / "journal.sqlite", cameras=["cam0"]) as journal:
    with EventPublisher(f"ipc://{folder}/events", journal=journal.name, heads=journal.heads()) as publisher:
        with ReplaySocket(journal.path, f"ipc://{folder}/missed"):
            ledger = EventLedger(journal, publisher)
            ledger.open("cam0", resume=None)
            for index in range(journal.heads().get("cam0", 0), 10**9):
                publisher.poll()
                ledger.record(msgspec.structs.replace(event, event_id=f"cam0-{index}"))
"""


@pytest.mark.system
def test_each_event_comes_once_although_the_worker_is_killed_again_and_again(tmp_path):
    """kill -9 between any two instructions of the worker, while a subscriber listens throughout."""
    from bowam_stream.events import to_json

    command = [sys.executable, "-c", _WORKER, str(tmp_path), to_json(made("x")).decode()]
    seen = []
    subscription = Subscription(f"ipc://{tmp_path}/events", journal=f"ipc://{tmp_path}/missed", since=0)
    for wanted in (5, 100, 1, 37, 64):
        worker = subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"})
        try:
            for _ in range(wanted):
                event = subscription.receive(PATIENCE_S)
                assert event is not None, f"nothing after {len(seen)} events"
                seen.append((event.event_id, event.seq))
        finally:
            worker.send_signal(signal.SIGKILL)
            worker.wait()
    with subscription, Worker(tmp_path) as last:
        total = last.journal.heads()["cam0"]
        while len(seen) < total:
            last.publisher.poll()
            if (event := subscription.receive(0.05)) is not None:
                seen.append((event.event_id, event.seq))
    assert seen == [(f"cam0-{index}", index + 1) for index in range(total)]
