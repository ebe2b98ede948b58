"""Both sockets of a worker's events, over real ones: who connects gets what it needs, who misbehaves gets a refusal."""

import contextlib
import json
import threading
from concurrent.futures import ThreadPoolExecutor

import msgspec
import pytest
import zmq

from bowam_stream.errors import AddressInUse, TransportError
from bowam_stream.events import EventPublisher, Journal, ReplaySocket, from_json
from bowam_stream.events.journal import PAGE_EVENTS
from bowam_stream.events.wire import MAX_REQUEST_BYTES, Header
from bowam_stream.messages import Event
from tests.stream.small_events import small_event

ANY_PORT = "tcp://127.0.0.1:0"
PATIENCE_MS = 10_000  # nothing waits so long unless it fails


def made(name: str, camera: str = "cam0", seq: int = 0) -> Event:
    """An event with little in it."""
    return small_event(name, camera, seq)


@pytest.fixture
def context():
    """A context whose sockets send nothing on after their end."""
    with zmq.Context() as context:
        context.linger = 0
        yield context


@pytest.fixture
def listen(context):
    """Makes subscribers, and closes them."""
    with contextlib.ExitStack() as stack:

        def listen(endpoint: str, *topics: str) -> zmq.Socket:
            socket = stack.enter_context(context.socket(zmq.SUB))
            socket.set(zmq.RCVHWM, 1)
            for topic in topics:
                socket.subscribe(topic)
            socket.connect(endpoint)
            return socket

        yield listen


@pytest.fixture
def publisher():
    with EventPublisher(ANY_PORT, journal="j", heads={"cam1": 3, "cam10": 7}) as publisher:
        yield publisher


@pytest.fixture
def journal(tmp_path):
    with Journal(tmp_path / "journal.sqlite") as journal:
        journal._db.execute("PRAGMA synchronous=OFF")  # many rows, no power cut
        yield journal


@pytest.fixture
def server(journal):
    with ReplaySocket(journal.path, ANY_PORT) as server:
        yield server


def hear(socket, publisher) -> tuple[str, int, dict]:
    """The next message, while the publisher's loop turns."""
    for _ in range(PATIENCE_MS // 10):
        publisher.poll()
        if socket.poll(10):
            topic, header, body = socket.recv_multipart()
            return topic.decode(), msgspec.msgpack.decode(header, type=Header).seq, json.loads(body)
    raise AssertionError("nothing came")


def ask(context, endpoint: str, data: bytes, kind: int = zmq.DEALER) -> list:
    with context.socket(kind) as socket:
        socket.connect(endpoint)
        socket.send(data)
        assert socket.poll(PATIENCE_MS), "no answer"
        header, *events = socket.recv_multipart()
        return [json.loads(header), *map(from_json, events)]


def test_a_subscriber_hears_first_how_far_each_camera_has_come(listen, publisher):
    """Even before a camera has a status; and cam1 is not cam10."""
    one = listen(publisher.endpoint, "status/v1/cam1/")
    assert hear(one, publisher) == ("status/v1/cam1/", 3, {"camera": "cam1"})
    publisher.status("cam10", {"frames": 9})
    publisher.status("cam1", {"frames": 5})
    assert hear(one, publisher) == ("status/v1/cam1/", 3, {"frames": 5})


def test_every_later_subscriber_gets_the_last_status_too(listen, publisher):
    """Also of a topic that somebody else subscribed to before."""
    publisher.status("cam1", {"frames": 5})
    for _ in range(2):
        assert hear(listen(publisher.endpoint, "status/v1/cam1/"), publisher)[2] == {"frames": 5}


def test_a_status_tells_of_the_last_event(listen, publisher):
    """So that whoever missed it notices; an event is followed by the number that it set."""
    both = listen(publisher.endpoint, "event/v1/cam1/", "status/v1/cam1/")
    hear(both, publisher)
    publisher.publish(made("a", "cam1", seq=4))
    topic, seq, body = hear(both, publisher)
    assert (topic, seq, body["event_id"]) == ("event/v1/cam1/", 4, "a")
    publisher.status("cam1", {})
    assert hear(both, publisher) == ("status/v1/cam1/", 4, {})


def test_a_camera_that_is_new_has_a_status_as_soon_as_it_has_an_event(listen, publisher):
    """Otherwise its first event would be missed by who comes late."""
    publisher.publish(made("a", "new", seq=1))
    late = listen(publisher.endpoint, "status/v1/new/")
    assert hear(late, publisher) == ("status/v1/new/", 1, {"camera": "new"})


def test_what_was_published_arrives_although_the_publisher_closes(listen):
    """Closing waits for what is on its way: more than a slow reader and the kernel have taken by then."""
    publisher = EventPublisher(ANY_PORT, journal="j", heads={"cam0": 0})
    socket = listen(publisher.endpoint, "event/v1/", "status/v1/")
    hear(socket, publisher)

    def read_all() -> list[int]:
        seen = []
        while len(seen) < 500 and socket.poll(PATIENCE_MS // 5):
            seen.append(msgspec.msgpack.decode(socket.recv_multipart()[1], type=Header).seq)
        return seen

    long = msgspec.structs.replace(made("a"), quality=("x" * 40_000,))
    for seq in range(1, 501):
        publisher.publish(msgspec.structs.replace(long, seq=seq))
    with ThreadPoolExecutor(1) as reader:
        seen = reader.submit(read_all)
        publisher.close()
        assert seen.result() == list(range(1, 501))


def test_a_publisher_waits_for_nobody(listen, publisher):
    """A subscriber that never reads costs neither time nor unbounded memory; the loop ends, so nothing blocked."""
    hear(listen(publisher.endpoint, "event/v1/", "status/v1/"), publisher)
    for seq in range(5000):
        publisher.publish(made("a", seq=seq))


def test_junk_from_subscribers_is_swallowed(context, publisher):
    """XPUB hands out whatever comes; what is no subscription is nothing."""
    with context.socket(zmq.XSUB) as socket:
        socket.connect(publisher.endpoint)
        for junk in (b"", b"\x07junk", b"\x00never/subscribed", b"\xff" * 1000, b"\x01status/v1/cam1/"):
            socket.send(junk)
        assert hear(socket, publisher)[0] == "status/v1/cam1/"


def test_the_journal_socket_sends_what_follows_the_cursor(context, journal, server):
    """With the heads of all cameras and the journal's name."""
    stored = [journal.append(made(f"e{index}", f"cam{index % 2}")) for index in range(6)]
    header, *events = ask(context, server.endpoint, b'{"since": {"cam0": 2}}')
    assert header == {
        "type": "page",
        "journal": journal.name,
        "heads": {"cam0": 3, "cam1": 3},
        "complete": True,
        "purged": {},
    }
    assert events == [stored[4], stored[1], stored[3], stored[5]]
    assert ask(context, server.endpoint, b'{"since": {}, "cameras": ["cam1"], "credit": 1}')[1:] == [stored[1]]


def test_a_long_story_comes_page_by_page(context, journal, server):
    """One request never costs more than a page, whatever it asks for; zero credit asks for the heads alone."""
    count = PAGE_EVENTS + 1
    for index in range(count):
        journal.append(made(f"e{index}"))
    header, *events = ask(context, server.endpoint, b'{"since": {}}')
    assert (header["complete"], len(events)) == (False, PAGE_EVENTS)
    header, *events = ask(context, server.endpoint, b'{"since": {"cam0": %d}}' % PAGE_EVENTS)
    assert (header["complete"], len(events)) == (True, 1)
    assert ask(context, server.endpoint, b'{"since": {}, "credit": 0}') == [
        {"type": "page", "journal": journal.name, "heads": {"cam0": count}, "complete": False, "purged": {}}
    ]


def test_a_plain_request_socket_is_answered_too(context, journal, server):
    """The simplest client of another language."""
    journal.append(made("a"))
    assert ask(context, server.endpoint, b'{"since": {}}', zmq.REQ)[1].event_id == "a"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x80\x04K\x01.",
        b"null",
        b"{}",
        b'{"since": 5}',
        b'{"since": {"cam0": -1}}',
        b'{"since": {"cam0": 9223372036854775808}}',
        b'{"since": {"cam0": 1e300}}',
        b'{"since": {"cam0": "1"}}',
        b'{"since": {}, "credit": 100000}',
        b'{"since": {}, "cameras": "cam0"}',
        b'{"since": {}, "drop": "table"}',
        b'{"since": ' + b"[" * 60_000,
    ],
)
def test_malformed_requests_are_refused_and_counted(context, journal, server, data):
    """With an answer that says why; the next request is served."""
    (header,) = ask(context, server.endpoint, data)
    assert header["type"] == "refused"
    assert "malformed request" in header["error"]
    assert server.refused == 1
    assert ask(context, server.endpoint, b'{"since": {}}')[0]["type"] == "page"


def test_odd_camera_names_are_only_names(context, journal, server):
    """Quotes, zero bytes and unpaired surrogates reach neither SQL nor the thread's end."""
    for name in (b"' OR 1=1 --", b"\\u0000", b"\\ud800", b"\xff"):
        assert ask(context, server.endpoint, b'{"since": {"%s": 1}, "cameras": ["%s"]}' % (name, name))
    assert ask(context, server.endpoint, b'{"since": {}}')[0]["type"] == "page"


def test_an_oversized_request_ends_that_connection_only(context, journal, server):
    """Nothing so long is ever held in memory."""
    with context.socket(zmq.DEALER) as hostile:
        hostile.connect(server.endpoint)
        hostile.send(b" " * (MAX_REQUEST_BYTES + 1))
        assert ask(context, server.endpoint, b'{"since": {}}')[0]["type"] == "page"
        while not hostile.poll(50):  # what it says next may get lost with the connection
            hostile.send(b'{"since": {}}')
        assert json.loads(hostile.recv())["type"] == "page"
        assert server.refused == 0


def test_a_peer_that_asks_and_never_reads_holds_up_nobody(context, journal, server):
    """Its answers are dropped once its queue is full."""
    for index in range(PAGE_EVENTS):
        journal.append(made(f"e{index}"))
    with context.socket(zmq.DEALER) as greedy:
        greedy.set(zmq.RCVHWM, 1)
        greedy.connect(server.endpoint)
        for _ in range(300):
            greedy.send(b'{"since": {}}')
        assert len(ask(context, server.endpoint, b'{"since": {}}')) == PAGE_EVENTS + 1


def test_an_unreadable_journal_is_said_and_looked_for_again(context, tmp_path):
    """The file may come back; the thread must not die of it."""
    path = tmp_path / "journal.sqlite"
    with ReplaySocket(path, ANY_PORT) as server:
        assert "can't be opened" in ask(context, server.endpoint, b'{"since": {}}')[0]["error"]
        Journal(path).close()
        assert ask(context, server.endpoint, b'{"since": {}}')[0]["type"] == "page"


@pytest.mark.parametrize("make", ["publisher", "server"])
def test_a_busy_port_and_an_open_bind_are_refused(make, publisher, server, tmp_path):
    """One clear error each, and no thread or socket is left behind."""

    def open_at(endpoint, **options):
        if make == "publisher":
            return EventPublisher(endpoint, journal="j", heads={}, **options)
        return ReplaySocket(tmp_path / "j", endpoint, **options)

    threads = threading.active_count()
    with pytest.raises(AddressInUse, match="in use by another process"):
        open_at(publisher.endpoint if make == "publisher" else server.endpoint)
    with pytest.raises(TransportError, match="--insecure"):
        open_at("tcp://0.0.0.0:0")
    open_at("tcp://0.0.0.0:0", insecure=True).close()
    assert threading.active_count() == threads
