"""Keys: who is let in, who is not, what a person is told, and how keys are changed while everything runs."""

import asyncio
import logging
import os
import stat
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import zmq

from bowam_stream import keys as keyring
from bowam_stream.addresses import reachable
from bowam_stream.errors import AddressInUse, ConfigError, TransportError
from bowam_stream.events import EventLedger, EventPublisher, Journal, ReplaySocket, subscribe
from bowam_stream.events.asynchronous import subscribe_async
from bowam_stream.keys import Keys, KeySettings, bind, connect, open_keys, write_pair
from bowam_stream.keys.files import read_certificate, read_pair
from bowam_stream.keys.links import _means
from bowam_stream.messages import AlignedFrame, EndOfStream, Hello, Moment
from bowam_stream.metrics import CaptureMetrics, MetricsServer, WorkerMetrics
from bowam_stream.pipeline.tap import Tap
from bowam_stream.transport import TransportSettings, open_receiver, open_sender
from tests.stream.small_events import small_event

PATIENCE_S = 20.0  # nothing waits so long unless it fails
ANY_PORT = "tcp://127.0.0.1:*"
HELLO = Hello(camera="cam0", session="s", source="test")


def person(folder: Path) -> Path:
    """A folder with a key of its own."""
    write_pair("own", folder)
    (folder / "allowed").mkdir()
    return folder


def allow(server: Path, client: Path) -> None:
    """The server lets the client in; the client knows the server."""
    (server / "allowed" / f"{client.name}.key").write_bytes((client / "own.key").read_bytes())
    know(client, server)


def know(client: Path, server: Path) -> None:
    (client / "server.key").write_bytes((server / "own.key").read_bytes())


@pytest.fixture
def server(tmp_path: Path) -> Path:
    return person(tmp_path / "server")


@pytest.fixture
def friend(tmp_path: Path, server: Path) -> Path:
    """A client that is allowed."""
    folder = person(tmp_path / "friend")
    allow(server, folder)
    return folder


@pytest.fixture
def stranger(tmp_path: Path, server: Path) -> Path:
    """A client that knows the server's key and is not allowed."""
    folder = person(tmp_path / "stranger")
    know(folder, server)
    return folder


def until(what: Callable[[], Any]) -> Any:
    """The first true answer."""
    end = time.monotonic() + PATIENCE_S
    while not (answer := what()):
        assert time.monotonic() < end, "it never came true"
    return answer


class Topic:
    """A guarded PUB socket, and what it refused."""

    def __init__(self, folder: Path, endpoint: str = ANY_PORT) -> None:
        self.refused: Counter[str] = Counter()
        self.keys = Keys(folder, refused=lambda reason: self.refused.update([reason]))
        self.context = zmq.Context()
        self.socket = self.context.socket(zmq.PUB)
        self.socket.set(zmq.LINGER, 0)
        self.endpoint = bind(self.socket, endpoint, keys=self.keys)

    def __enter__(self) -> "Topic":
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()
        self.context.term()


@pytest.fixture
def topic(server: Path) -> Iterator[Topic]:
    with Topic(server) as topic:
        yield topic


class Listener:
    """A SUB socket with healing links."""

    def __init__(self, endpoint: str, keys: Keys | None) -> None:
        self.context = zmq.Context()
        self.socket = self.context.socket(zmq.SUB)
        self.socket.set(zmq.RECONNECT_IVL, 20)
        self.socket.subscribe(b"")
        self.links = keyring.Links(self.socket, [endpoint], keys)

    def hears(self, topic: Topic) -> bool:
        topic.socket.send(b"hello")
        self.links.hear()
        return self.socket.poll(5) > 0

    def __enter__(self) -> "Listener":
        return self

    def __exit__(self, *_: object) -> None:
        self.links.close()
        self.context.destroy(linger=0)


@pytest.mark.parametrize("lossless", [False, True])
@pytest.mark.parametrize("scheme", ["tcp", "ipc"])
def test_frames_travel_between_those_who_know_each_other(
    server: Path, friend: Path, tmp_path: Path, lossless: bool, scheme: str
) -> None:
    """Live and replay, on a network and in a folder."""
    endpoint = ANY_PORT if scheme == "tcp" else f"ipc://{tmp_path}/frames"
    settings = TransportSettings(endpoint=endpoint, max_age_ms=60_000)
    sent = AlignedFrame(camera="cam0", session="s", seq=0, moment=Moment(frame=0, t_ns=0), faces=())
    with ExitStack() as stack:
        sender = stack.enter_context(open_sender(settings, lossless=lossless, keys=Keys(server)))
        connected = TransportSettings(connect=(sender.endpoint,))
        receiver = stack.enter_context(open_receiver(connected, lossless=lossless, keys=Keys(friend)))

        def feed() -> None:
            sender.open(HELLO)
            while not done.is_set():
                sender.send(sent)
                done.wait(0.01)
            sender.close(EndOfStream(camera="cam0", session="s", seq=1, frames=1))

        done = threading.Event()
        feeder = threading.Thread(target=feed)
        feeder.start()
        try:
            assert receiver.receive(PATIENCE_S) == HELLO
            assert isinstance(receiver.receive(PATIENCE_S), AlignedFrame)
        finally:
            done.set()
            until(
                lambda: isinstance(message := receiver.receive(0.1), EndOfStream) and not receiver.acknowledge(message)
            )
            feeder.join()


class Worker:
    """The event side of a worker process."""

    def __init__(self, folder: Path, keys: Keys, ports: tuple[str, str] = (ANY_PORT, ANY_PORT)) -> None:
        self.journal = Journal(folder / "journal.sqlite")
        self.publisher = EventPublisher(ports[0], journal=self.journal.name, heads=self.journal.heads(), keys=keys)
        self.server = ReplaySocket(self.journal.path, ports[1], keys=keys)
        self.ledger = EventLedger(self.journal, self.publisher)
        self.ports = (self.publisher.endpoint, self.server.endpoint)

    def say(self, name: str) -> None:
        self.ledger.record(small_event(name))

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *_: object) -> None:
        self.server.close()
        self.publisher.close()
        self.journal.close()


def test_events_travel_on_topic_and_journal_for_blocking_and_asyncio_programs(
    server: Path, friend: Path, tmp_path: Path
) -> None:
    """The Python interface takes the folder."""
    with Worker(tmp_path, Keys(server)) as worker:
        worker.say("a")
        options: dict[str, Any] = {"journal": worker.ports[1], "since": 0, "keys": friend, "timeout_s": PATIENCE_S}
        with subscribe(worker.ports[0], **options) as subscription:
            assert next(subscription).event_id == "a"
            until(lambda: worker.publisher.poll() or subscription.receive(0.01) or subscription.statuses)
            worker.say("b")
            assert next(subscription).event_id == "b"

        async def follow() -> list[str]:
            async with await subscribe_async(worker.ports[0], **options) as events:
                return [(await anext(events)).event_id for _ in range(2)]

        assert asyncio.run(follow()) == ["a", "b"]
        with Tap(worker.ports[0], Keys(server)) as tap:
            heard: list[object] = []
            until(lambda: worker.publisher.poll() or tap.poll(0.01, heard.append, heard.append) or heard)


def test_a_subscriber_without_the_right_keys_is_told_where_to_look(
    server: Path, stranger: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It gets nothing, knocks about once a second at either door, and its error names the keys."""
    refused: Counter[str] = Counter()
    with Worker(tmp_path, Keys(server, refused=lambda reason: refused.update([reason]))) as worker:
        worker.say("a")
        with pytest.raises(TransportError, match="do the keys fit"):
            subscribe(worker.ports[0], journal=worker.ports[1], since=0, keys=stranger, timeout_s=1.5)
        with pytest.raises(TransportError, match="nothing answered"):
            subscribe(worker.ports[0], journal=worker.ports[1], since=0, timeout_s=1.5)
    assert 2 <= refused["unknown_key"] <= 8  # at both sockets
    assert sum("does not allow our key" in record.getMessage() for record in caplog.records) == 2
    assert refused["no_key"] + refused["broken_off"] >= 1


@pytest.mark.parametrize("who", ["no key", "not allowed", "another server's key"])
def test_a_stranger_is_refused_and_counted(topic: Topic, server: Path, stranger: Path, friend: Path, who: str) -> None:
    """Nothing arrives, while a friend hears everything."""
    keys = {"no key": None, "not allowed": Keys(stranger), "another server's key": Keys(friend, server="own.key")}[who]
    reasons = {
        "no key": {"no_key", "broken_off"},
        "not allowed": {"unknown_key"},
        "another server's key": {"wrong_key"},
    }
    with Listener(topic.endpoint, keys) as outsider, Listener(topic.endpoint, Keys(friend)) as insider:
        until(lambda: insider.hears(topic))
        until(lambda: not outsider.hears(topic) and topic.refused)
        assert not any(outsider.hears(topic) for _ in range(20))
    assert set(topic.refused) <= reasons[who]


def test_who_has_our_own_key_is_ourselves(topic: Topic, server: Path) -> None:
    """The processes of one machine share a folder, with neither a list nor a server's key."""
    with Listener(topic.endpoint, Keys(server)) as listener:
        until(lambda: listener.hears(topic))


def test_a_key_that_is_added_counts_from_the_next_handshake_on(topic: Topic, server: Path, stranger: Path) -> None:
    """Neither side is started again; who was refused tries again by itself."""
    with Listener(topic.endpoint, Keys(stranger)) as listener:
        until(lambda: not listener.hears(topic) and topic.refused["unknown_key"])
        allow(server, stranger)
        until(lambda: listener.hears(topic))


def test_a_key_that_is_taken_away_counts_from_the_next_handshake_on(topic: Topic, server: Path, friend: Path) -> None:
    """Who is connected stays; who comes anew is refused."""
    with Listener(topic.endpoint, Keys(friend)) as first:
        until(lambda: first.hears(topic))
        (server / "allowed" / "friend.key").unlink()
        with Listener(topic.endpoint, Keys(friend)) as second:
            until(lambda: not second.hears(topic) and topic.refused["unknown_key"])
        until(lambda: first.hears(topic))


def test_a_key_that_is_replaced_in_its_file_counts(topic: Topic, server: Path, friend: Path, stranger: Path) -> None:
    """The folder itself does not change then."""
    with Listener(topic.endpoint, Keys(friend)) as listener:
        until(lambda: listener.hears(topic))
    (server / "allowed" / "friend.key").write_bytes((stranger / "own.key").read_bytes())
    with Listener(topic.endpoint, Keys(stranger)) as listener:
        until(lambda: listener.hears(topic))
    with Listener(topic.endpoint, Keys(friend)) as listener:
        until(lambda: not listener.hears(topic) and topic.refused["unknown_key"])


def test_a_damaged_file_among_the_allowed_ones_refuses_its_owner_alone(
    topic: Topic, server: Path, friend: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It is said once, not at every handshake."""
    (server / "allowed" / "broken.key").write_text('curve\n    public-key = "short"\n')
    (server / "allowed" / "nowhere.key").symlink_to("nowhere")
    for _ in range(3):
        with Listener(topic.endpoint, Keys(friend)) as listener:
            until(lambda: listener.hears(topic))
    assert sum("broken.key" in record.getMessage() for record in caplog.records) == 1


@pytest.mark.parametrize("first", ["client", "server"])
def test_the_servers_own_key_is_replaced_without_losing_an_event(
    server: Path, friend: Path, tmp_path: Path, first: str
) -> None:
    """A new key for the server and a restart of it; the subscription follows once it knows, in either order."""

    def tell_client() -> None:
        know(friend, tmp_path / "new")

    person(tmp_path / "new")
    with Worker(tmp_path, Keys(server)) as worker:
        worker.say("a")
        ports = worker.ports
        subscription = subscribe(ports[0], journal=ports[1], since=0, keys=friend, timeout_s=PATIENCE_S)
        assert next(subscription).event_id == "a"
        if first == "client":
            until(lambda: worker.publisher.poll() or subscription.receive(0.01) or subscription.statuses)
            tell_client()
            worker.say("b")
            assert next(subscription).event_id == "b"  # what is connected stays connected
    for half in ("own.key", "own.key_secret"):
        os.replace(tmp_path / "new" / half, server / half)
    with Worker(tmp_path, Keys(server), ports) as worker, subscription:
        worker.say("c")
        if first == "server":
            assert subscription.receive(1.5) is None
            (friend / "server.key").write_bytes((server / "own.key").read_bytes())
        rest = [] if first == "client" else ["c"]
        heard = []
        while "c" not in heard:
            worker.publisher.poll()
            if event := subscription.receive(0.05):
                heard.append(event.event_id)
        assert heard == (rest or ["c"])
        worker.say("d")
        assert next(subscription).event_id == "d"


def test_without_its_guard_a_socket_lets_nobody_in(server: Path, friend: Path) -> None:
    """libzmq would let in everybody who knows the server's key."""
    with zmq.Context() as context, context.socket(zmq.PUB) as socket:
        guard = Keys(server).guard(socket)
        guard.end()
        socket.set(zmq.LINGER, 0)
        endpoint = socket.bind(ANY_PORT) or socket.get_string(zmq.LAST_ENDPOINT)
        with Listener(socket.get_string(zmq.LAST_ENDPOINT), Keys(friend)) as listener:
            for _ in range(50):
                socket.send(b"hello")
                assert not listener.socket.poll(5), endpoint


def test_keys_open_every_network_and_nothing_else_does(server: Path, tmp_path: Path) -> None:
    """A bind beyond loopback without keys is refused, for frames, events and journal alike."""
    settings = TransportSettings(endpoint="tcp://0.0.0.0:0")
    everywhere: list[Callable[[Keys | None], Any]] = [
        lambda keys: open_sender(settings, lossless=False, keys=keys),
        lambda keys: open_sender(settings, lossless=True, keys=keys),
        lambda keys: EventPublisher("tcp://0.0.0.0:0", journal="j", heads={}, keys=keys),
        lambda keys: ReplaySocket(tmp_path / "j", "tcp://0.0.0.0:0", keys=keys),
    ]
    for opened in everywhere:
        with pytest.raises(TransportError, match=r"bowam keygen.*--keys.*--insecure"):
            opened(None)
        opened(Keys(server)).close()


def test_a_busy_port_with_keys_is_one_error_and_leaves_no_thread(server: Path, topic: Topic, tmp_path: Path) -> None:
    """The guard ends with its socket."""
    threads = threading.active_count()
    for opened in (
        lambda: EventPublisher(topic.endpoint, journal="j", heads={}, keys=Keys(server)),
        lambda: ReplaySocket(tmp_path / "j", topic.endpoint, keys=Keys(server)),
        lambda: open_sender(TransportSettings(endpoint=topic.endpoint), lossless=True, keys=Keys(server)),
        lambda: open_sender(TransportSettings(endpoint=topic.endpoint), lossless=False, keys=Keys(server)),
    ):
        with pytest.raises(AddressInUse):
            opened()
    until(lambda: threading.active_count() == threads)


def test_metrics_beyond_this_machine_need_a_word_of_their_own() -> None:
    """HTTP has no keys."""
    for host in ("0.0.0.0", "", "::"):
        with pytest.raises(TransportError, match=r"insecure = true"):
            MetricsServer(CaptureMetrics(), port=0, host=host)
    MetricsServer(CaptureMetrics(), port=0, host="0.0.0.0", insecure=True).close()


def test_refusals_stand_in_the_metrics_from_the_beginning() -> None:
    """A rate over a series that appears with its first refusal would miss that one."""
    for metrics in (CaptureMetrics(), WorkerMetrics()):
        metrics.handshake_refused("wrong_key")
        for reason in keyring.REFUSALS:
            value = metrics.registry.get_sample_value("bowam_handshakes_refused_total", {"reason": reason})
            assert value == (reason == "wrong_key")


def test_a_flood_of_refusals_is_one_line_and_no_key_is_in_it(server: Path, caplog: pytest.LogCaptureFixture) -> None:
    """And no key shows in the representation of what holds them."""
    caplog.set_level(logging.DEBUG)
    keys = Keys(server)
    for _ in range(1000):
        keys.refuse("tcp://127.0.0.1:5555", "unknown_key")
    assert len(caplog.records) == 1
    public, secret = read_pair(server / "own.key_secret")
    shown = caplog.text + repr(keys) + str(vars(keys).get("folder"))
    assert secret is not None
    assert secret.decode() not in shown
    assert public.decode() not in shown


def damage(kind: str, folder: Path) -> None:
    own = folder / "own.key_secret"
    text = own.read_text()
    match kind:
        case "missing":
            own.unlink()
        case "the public half":
            own.write_text((folder / "own.key").read_text())
        case "readable by others":
            own.chmod(0o604)
        case "readable by the group":
            own.chmod(0o640)
        case "no key at all":
            own.write_text("hello")
        case "not text":
            own.write_bytes(b"\xff\x00" * 500)
        case "cut off":
            own.write_text(text[: text.index("secret-key") + 30])
        case "characters that are none":
            own.write_text(text.replace('secret-key = "', 'secret-key = "\N{SNOWMAN}'))
        case "too many bits":
            own.write_text('curve\n public-key = "' + "#" * 40 + '"\n secret-key = "' + "#" * 40 + '"\n')
        case "two halves of two pairs":
            write_pair("other", folder)
            other = (folder / "other.key_secret").read_text().splitlines()
            mine = text.splitlines()
            own.write_text("\n".join([*mine[:-1], other[-1]]))
        case "a folder":
            own.unlink()
            own.mkdir()
        case "a pipe":
            own.unlink()
            os.mkfifo(own, 0o600)
        case "huge":
            own.write_text("#" * 1_000_000)


@pytest.mark.parametrize(
    ("kind", "named"),
    [
        ("missing", r"bowam keygen own --out"),
        ("the public half", "only the public half"),
        ("readable by others", "chmod 600"),
        ("readable by the group", "chmod 600"),
        ("no key at all", "is no key"),
        ("not text", "is no key"),
        ("cut off", "damaged"),
        ("characters that are none", "damaged"),
        ("too many bits", "damaged"),
        ("two halves of two pairs", "don't belong together"),
        ("a folder", "is no key"),
        ("a pipe", "is no key"),
        ("huge", "is no key"),
    ],
)
def test_a_key_that_cannot_be_used_is_one_line_without_the_key(tmp_path: Path, kind: str, named: str) -> None:
    """It names the file and says what to do."""
    folder = person(tmp_path / "keys")
    public, secret = read_pair(folder / "own.key_secret")
    damage(kind, folder)
    with pytest.raises(ConfigError, match=named) as caught:
        open_keys(KeySettings(folder=str(folder)))
    message = str(caught.value)
    assert str(folder / "own.key_secret") in message
    assert "\n" not in message
    for key in (public.decode(), secret.decode()):
        assert not any(key[i : i + 8] in message for i in range(32))


def test_an_allowed_key_that_is_none_is_said_at_the_start(server: Path) -> None:
    """Better than a camera that never comes."""
    (server / "allowed" / "broken.key").write_text("hello")
    with pytest.raises(ConfigError, match=r"broken\.key is no key"):
        Keys(server)


def test_each_server_may_have_a_key_of_its_own(tmp_path: Path, server: Path, friend: Path, stranger: Path) -> None:
    """servers/HOST.key for one, server.key for all others, our own for this machine, else a clear error."""

    def asked(endpoint: str, **options: Any) -> str:
        set_: dict[int, bytes] = {}
        Keys(friend, **options).introduce(SimpleNamespace(set=set_.__setitem__), endpoint)
        return set_[zmq.CURVE_SERVERKEY].decode()

    def key(folder: Path) -> str:
        return read_certificate(folder / "own.key")[0].decode()

    (friend / "servers").mkdir()
    (friend / "servers" / "cam1.lan.key").write_bytes((stranger / "own.key").read_bytes())
    assert asked("tcp://cam1.lan:5555") == key(stranger)
    assert asked("tcp://cam2.lan:5555") == key(server)
    assert asked("ipc:///run/bowam/frames") == key(server)
    assert asked("tcp://cam1.lan:5555", server="own.key_secret") == key(friend)
    (friend / "server.key").unlink()
    assert asked("tcp://127.0.0.1:5555") == key(friend)
    with pytest.raises(ConfigError, match=r"whose key does tcp://cam2.lan:5555 have.*cam2\.lan\.key.*server\.key"):
        asked("tcp://cam2.lan:5555")


def test_keygen_writes_a_secret_that_nobody_else_may_read_and_overwrites_nothing(tmp_path: Path) -> None:
    """Whatever the umask."""
    before = os.umask(0)
    try:
        public, secret = write_pair("own", tmp_path / "keys")
    finally:
        os.umask(before)
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert read_pair(secret)[0] == read_certificate(public)[0]
    assert read_certificate(public)[1] is None
    assert sorted(file.name for file in (tmp_path / "keys").iterdir()) == ["own.key", "own.key_secret"]
    held = secret.read_bytes()
    public.unlink()
    with pytest.raises(ConfigError, match=r"own\.key_secret is there already"):
        write_pair("own", tmp_path / "keys")
    assert secret.read_bytes() == held
    assert not public.exists()


def test_where_a_socket_on_every_network_is_reached_from_here() -> None:
    """`bowam live` listens to itself."""
    assert reachable("tcp://*:5556") == "tcp://127.0.0.1:5556"
    assert reachable("tcp://[::]:5556") == "tcp://[::1]:5556"
    assert reachable("tcp://cam1.lan:5556") == "tcp://cam1.lan:5556"
    assert reachable("ipc:///run/x") == "ipc:///run/x"


def test_inproc_and_sockets_without_keys_go_on_as_before() -> None:
    """Keys None changes nothing."""
    with zmq.Context() as context, context.socket(zmq.PAIR) as one, context.socket(zmq.PAIR) as two:
        bind(one, "inproc://x")
        connect(two, "inproc://x")
        two.send(b"hello")
        assert one.poll(1000)


@pytest.mark.parametrize(
    ("endpoint", "address", "same"),
    [
        ("tcp://127.0.0.1:5555", "tcp://127.0.0.1:5555", True),
        ("tcp://localhost:5555", "tcp://127.0.0.1:5555", True),
        ("tcp://localhost:5555", "tcp://127.0.0.1:5556", False),
        ("tcp://no-such-host.invalid:5555", "tcp://127.0.0.1:5555", False),
        ("ipc:///tmp/a", "ipc:///tmp/a", True),
        (f"ipc:///tmp/{'long/' * 14}frames1", f"ipc:///tmp/{'long/' * 14}frames2", False),
        ("ipc:///tmp/a", "tcp://127.0.0.1:5555", False),
    ],
)
def test_a_monitor_says_an_address_where_we_said_a_name(endpoint, address, same):
    """Paths are no host names, and too long for one."""
    assert _means(endpoint, address) is same
