"""What strangers do to each socket: nonsense in good form, good form without sense, floods, and silence.

Each attack takes the field, how many messages it may send, and a seed.
"""

import random as randoms
import socket as socketlib
import struct
import threading
import time
from collections.abc import Callable, Iterator

import msgspec
import zmq

from bowam_stream.errors import TransportError
from bowam_stream.events.schema import to_json
from bowam_stream.events.wire import PageHeader, read_request
from bowam_stream.messages import AlignedFrame, EndOfStream
from bowam_stream.transport import Drops, TransportSettings
from bowam_stream.transport.codec import TOPIC, decode
from bowam_stream.transport.replay import ReplayReceiver
from tests.fuzz import seeds
from tests.fuzz.mutations import Conversation, Message, Mutator
from tests.fuzz.sockets import Field, honest_camera

Random = randoms.Random

GREETING = b"\xff" + b"\0" * 8 + b"\x7f\3\0NULL" + b"\0" * 16 + b"\0" + b"\0" * 31  # ZMTP 3.0
SLOW_CLIENTS = 1000
PARTS = 1_000_000  # of a message without end
CREDIT_S = 30.0  # how long a socket may refuse to take what is sent to it


def ready(kind: bytes) -> bytes:
    """The handshake of a socket without keys."""
    body = b"\x05READY\x0bSocket-Type" + struct.pack(">I", len(kind)) + kind
    return b"\x04" + bytes([len(body)]) + body


def zmtp(*parts: bytes) -> bytes:
    """A message as it travels."""
    framed = b""
    for i, part in enumerate(parts):
        more = int(i < len(parts) - 1)
        framed += bytes([more, len(part)]) if len(part) < 256 else bytes([more | 2]) + struct.pack(">Q", len(part))
        framed += part
    return framed


def damaged(valid: list[Message], messages: int, random: Random) -> Iterator[Message]:
    """So many hostile messages, each of at least one part."""
    talks: list[Conversation] = [[message] for message in valid]
    mutator = Mutator(random, talks)
    left = messages
    while left:
        (message,) = mutator.conversation(random.choice(talks), most=1)
        if message:
            left -= 1
            yield message


def publisher(context: "zmq.Context[zmq.Socket[bytes]]", port: int) -> "zmq.Socket[bytes]":
    """A hostile publisher that loses nothing: it waits while the other side reads."""
    socket = context.socket(zmq.XPUB)
    socket.set(zmq.XPUB_NODROP, 1)
    socket.set(zmq.SNDTIMEO, int(CREDIT_S * 1000))
    socket.set(zmq.LINGER, 0)
    socket.bind(Field.tcp(port))
    return socket


def offered(socket: "zmq.Socket[bytes]", message: Message) -> bool:
    """Whether there was room for it."""
    try:
        socket.send_multipart(message, zmq.NOBLOCK)
    except zmq.Again:
        return False
    return True


def frames(field: Field, messages: int, seed: int) -> None:
    """A capture that sends nonsense in good form; then a thousand cameras."""
    field.capture()
    with zmq.Context() as context, publisher(context, field.hostile) as socket:
        field.worker(field.tcp(field.hostile))
        socket.recv()  # the worker's subscription
        field.watch("worker", field.worker_metrics)
        expected = 0

        def malformed() -> int:
            return int(field.metric(field.worker_metrics, "bowam_frames_dropped_total", reason="malformed"))

        with honest_camera(field):
            for message in damaged(seeds.frames(), messages, Random(seed)):
                if not message[0].startswith(TOPIC):
                    message[0] = TOPIC + message[0]  # nothing else would reach the worker
                try:
                    decode(message)
                except TransportError:
                    expected += 1
                socket.send_multipart(message)
                field.sent()
            for n in range(1000):
                socket.send_multipart(seeds.wire(seeds.hello(f"s{n}", f"evil{n}")))
                field.sent()
            field.until(lambda: malformed() >= expected, "all is counted")
        field.result.counted, field.result.expected = malformed(), expected


def endless(field: Field, messages: int, seed: int) -> None:
    """Messages of a million parts, which ZeroMQ collects before it hands out the first."""
    field.capture()
    with zmq.Context() as context, publisher(context, field.hostile) as socket:
        field.worker(field.tcp(field.hostile))
        socket.recv()
        field.watch("worker", field.worker_metrics)
        parts = min(PARTS, messages * 10)
        with honest_camera(field):
            for _ in range(3):
                socket.send_multipart([TOPIC + b"evil/", *[b"x"] * parts])
                field.sent(parts)
                for _ in range(20):
                    field.look()
                    time.sleep(0.1)

            def malformed() -> int:
                return int(field.metric(field.worker_metrics, "bowam_frames_dropped_total", reason="malformed"))

            field.until(lambda: malformed() >= 3, "all is counted")
        field.result.counted, field.result.expected = malformed(), 3


def raw_frames(field: Field, messages: int, seed: int) -> None:
    """A capture that speaks no ZeroMQ, or half of it, or lies about lengths."""
    field.capture()
    random = Random(seed)
    with socketlib.create_server(("127.0.0.1", field.hostile)) as server:
        server.settimeout(20)
        field.worker(field.tcp(field.hostile))
        field.watch("worker", field.worker_metrics)
        with honest_camera(field):
            for n in range(16):
                client, _ = server.accept()
                with client:
                    client.settimeout(5)
                    for chunk, count in _raw(random, n, messages // 8, b"PUB"):
                        try:
                            client.sendall(chunk)
                        except OSError:
                            break
                        field.sent(count)
                    drain(client)
                field.look()
    field.result.counted = int(field.metric(field.worker_metrics, "bowam_frames_dropped_total", reason="malformed"))


def drain(client: socketlib.socket) -> None:
    """Read what the other side said, so that closing is no reset."""
    client.settimeout(0.2)
    try:
        while client.recv(65536):
            pass
    except OSError:
        pass


def _raw(random: Random, kind: int, messages: int, socket_type: bytes) -> Iterator[tuple[bytes, int]]:
    """What a stranger writes on one connection, and how many messages that is."""
    hands = GREETING + ready(socket_type)
    match kind % 8:
        case 0:
            yield random.randbytes(4096), 1
        case 1:
            yield b"GET / HTTP/1.1\r\n\r\n", 1
        case 2:
            yield GREETING[: random.randrange(1, 64)], 1
        case 3:
            yield GREETING + b"\x04\xff" + random.randbytes(255), 1
        case 4:  # a frame of 2^63 bytes
            yield hands + b"\x02" + struct.pack(">Q", 2**63) + b"x" * 1000, 1
        case 5:  # a long frame that never ends
            yield hands + b"\x02" + struct.pack(">Q", 2**20) + b"x" * 1000, 1
        case 6:  # many short messages in good form
            yield hands, 1
            for _ in range(max(1, messages // 100)):
                yield b"".join(zmtp(TOPIC + random.randbytes(5), random.randbytes(9)) for _ in range(100)), 100
        case _:  # parts without end, then silence
            yield hands, 1
            for _ in range(max(1, messages // 100)):
                yield b"\x01\x01x" * 100, 100


def _raw_clients(field: Field, port: int, messages: int, random: Random, kind: bytes) -> None:
    """Many connections to a socket that listens."""
    while field.result.messages < messages:
        n = random.randrange(8)
        try:
            with socketlib.create_connection(("127.0.0.1", port), timeout=5) as client:
                for chunk, count in _raw(random, n, messages // 20, kind):
                    client.sendall(chunk)
                    field.sent(count)
                # No farewell: thousands of closed connections would use up this machine's ports.
                client.setsockopt(socketlib.SOL_SOCKET, socketlib.SO_LINGER, struct.pack("ii", 1, 0))
        except OSError:
            field.sent()


def journal(field: Field, messages: int, seed: int) -> None:
    """Questions that make no sense, from one who reads the answers and one who does not; then no ZeroMQ at all."""
    field.capture()
    field.worker()
    field.watch("worker", field.worker_metrics)
    random, expected = Random(seed), 0
    with zmq.Context() as context, honest_camera(field):
        reader, deaf = context.socket(zmq.DEALER), context.socket(zmq.DEALER)
        for socket in (reader, deaf):
            socket.set(zmq.LINGER, 0)
            socket.set(zmq.SNDTIMEO, int(CREDIT_S * 1000))
            socket.connect(field.tcp(field.journal))
        answered = 0
        for n, message in enumerate(damaged(seeds.requests(), messages, random)):
            message = [part[:60_000] for part in message]  # a longer one ends the connection
            try:
                if len(message) > 4:
                    raise TransportError("parts")
                read_request(message[-1])
            except TransportError:
                expected += 1
            if n % 20 == 0:
                deaf.send_multipart(message)
            else:
                reader.send_multipart(message)
                answered += 1
            while answered > 100 or (answered and reader.poll(0)):
                if not reader.poll(int(CREDIT_S * 1000)):
                    field.wrong("no answer came")
                    return
                reader.recv_multipart()
                answered -= 1
            field.sent()
        field.until(lambda: field.refused(field.worker_metrics, "journal") >= expected, "all is counted")
        field.result.counted, field.result.expected = field.refused(field.worker_metrics, "journal"), expected
        _raw_clients(field, field.journal, messages + messages // 4, random, b"DEALER")
        reader.close()
        deaf.close()
        with context.socket(zmq.DEALER) as asks:
            asks.connect(field.tcp(field.journal))
            asks.send(b'{"since":{}}')
            if not asks.poll(5000) or b'"page"' not in asks.recv_multipart()[0]:
                field.wrong("an honest question was not answered")


def topics(field: Field, messages: int, seed: int) -> None:
    """Subscriptions without end and of any length, while an honest subscriber listens."""
    field.capture()
    field.worker()
    _subscriptions(field, field.events, messages, Random(seed), b"status/v1/", "worker", field.worker_metrics)
    field.result.counted = field.refused(field.worker_metrics, "events")


def capture_topics(field: Field, messages: int, seed: int) -> None:
    """The same to a capture, whose worker listens."""
    field.capture()
    _subscriptions(field, field.frames, messages, Random(seed), TOPIC, "capture", field.capture_metrics)
    field.result.counted = field.refused(field.capture_metrics, "frames")


def _subscriptions(
    field: Field, port: int, messages: int, random: Random, topic: bytes, name: str, health: int
) -> None:
    with zmq.Context() as context, context.socket(zmq.SUB) as honest:
        honest.connect(field.tcp(port))
        honest.subscribe(topic)
        field.until(lambda: honest.poll(100), "something is published")
        field.watch(name, health)
        with context.socket(zmq.XSUB) as hostile:
            hostile.set(zmq.LINGER, 0)
            hostile.set(zmq.SNDTIMEO, int(CREDIT_S * 1000))
            hostile.connect(field.tcp(port))
            for n in range(messages):
                size = random.choice((1, 10, 100, 400, 400, 60_000 if n % 1000 == 0 else 50))
                hostile.send(random.choice((b"\x01", b"\x01", b"\x00", b"\x07")) + random.randbytes(size))
                field.sent()
        _raw_clients(field, port, messages + messages // 4, random, b"SUB")
        while honest.poll(0):
            honest.recv_multipart()
        heard = sum(bool(honest.poll(2000)) and bool(honest.recv_multipart()) for _ in range(20))
        field.result.honest = f"an honest subscriber heard {heard} of the next 20 messages"
        if heard < 20:
            field.wrong("an honest subscriber hears no more")


def strangers(field: Field, messages: int, seed: int) -> None:
    """Would-be workers at a capture that feeds a recording to its worker: every frame must come, once, in order."""
    count = max(600, messages // 50)  # a hundred messages of strangers are read between two frames
    field.capture(f"test://pattern?frames={count}&rate=100&size=320x240", "--speed", "1")
    settings = TransportSettings(endpoint=field.tcp(field.frames))
    seen: list[int] = []
    stopped = threading.Event()

    def read() -> None:
        with ReplayReceiver(settings.endpoint, settings, Drops()) as receiver:
            while not stopped.is_set():
                message = receiver.receive(0.2)
                if isinstance(message, AlignedFrame):
                    seen.append(message.seq)
                if isinstance(message, EndOfStream):
                    receiver.acknowledge(message)
                    return

    honest = threading.Thread(target=read)
    honest.start()
    try:
        field.until(lambda: len(seen) > 30, "the worker is fed")
        field.watch("capture", field.capture_metrics)
        with zmq.Context() as context:
            many = [context.socket(zmq.DEALER) for _ in range(8)]
            for socket in many:
                socket.set(zmq.LINGER, 0)
                socket.set(zmq.SNDTIMEO, int(CREDIT_S * 1000))
                socket.connect(settings.endpoint)
            random = Random(seed)
            for message in damaged([[b"8 bytes.", *control] for control in seeds.controls()], messages, random):
                if field.processes["capture"].poll() is not None:
                    break
                try:
                    random.choice(many).send_multipart(message)
                except zmq.Again:
                    break
                field.sent()
                if field.result.messages % 1000 == 0:
                    field.result.counted = max(field.result.counted, field.refused(field.capture_metrics, "frames"))
            for socket in many:
                socket.close()
        honest.join(count / 100 + 60)
    finally:
        stopped.set()
        honest.join()
    field.result.honest = f"the worker got {len(seen)} of {count} frames"
    if seen != list(range(count)):
        field.wrong("the recording did not arrive whole, once and in order")


def metrics(field: Field, messages: int, seed: int) -> None:
    """A thousand clients that say a byte now and then, and many that talk nonsense, beside one that scrapes."""
    field.capture()
    field.worker()
    random = Random(seed)
    field.watch("worker", field.worker_metrics)
    head = b"GET /metrics HTTP/1.1\r\nHost: x\r\n"
    said = [
        b"\r\n\r\n",
        b"GET",
        head + b"A: " + b"x" * 70_000,
        head + b"a: b\r\n" * 200 + b"\r\n",
        b"POST / HTTP/1.1\r\n\r\n",
    ]
    said += [
        b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n",
        b"\xff" * 100,
        head + b"Accept: " + b"," * 9000 + b"\r\n\r\n",
    ]
    with honest_camera(field):
        slow: list[socketlib.socket] = []
        try:
            for _ in range(min(SLOW_CLIENTS, messages)):
                slow.append(socketlib.create_connection(("127.0.0.1", field.worker_metrics), timeout=5))
                slow[-1].sendall(b"GET /met")
                field.sent()
            field.look()
            while field.result.messages < messages:
                try:
                    with socketlib.create_connection(("127.0.0.1", field.worker_metrics), timeout=5) as client:
                        client.sendall(random.choice(said) if random.random() < 0.7 else random.randbytes(50))
                        client.setsockopt(socketlib.SOL_SOCKET, socketlib.SO_LINGER, struct.pack("ii", 1, 0))
                except OSError:
                    pass
                field.sent()
                if random.random() < 0.05:
                    try:
                        random.choice(slow).sendall(b"x")
                    except OSError:
                        continue
            threads = int(field.metric(field.worker_metrics, "bowam_process_threads") or 0) or _threads(field)
            if threads > 100:
                field.wrong(f"{threads} threads")
        finally:
            for client in slow:
                client.close()
        field.until(lambda: field.get(field.worker_metrics, "/readyz")[0] == 200, "ready again", 10)
    field.result.counted = field.refused(field.worker_metrics, "metrics")


def _threads(field: Field) -> int:
    from pathlib import Path

    return len(list(Path(f"/proc/{field.processes['worker'].pid}/task").iterdir()))


def subscriber(field: Field, messages: int, seed: int) -> None:
    """A worker that talks nonsense, then sense: the events come. A senseless journal ends a subscriber in one line."""
    random = Random(seed)
    with zmq.Context() as context, publisher(context, field.events) as topic, context.socket(zmq.ROUTER) as router:
        router.set(zmq.LINGER, 0)
        router.bind(field.tcp(field.journal))
        where = ("--endpoint", field.tcp(field.events), "--journal-endpoint", field.tcp(field.journal))
        process = field.start("subscribe", "subscribe", *where, "--since", 0, keep_output=True)
        head = [0]

        def answer(*, timeout_ms: int = 0) -> None:
            while router.poll(timeout_ms):
                timeout_ms = 0
                peer, data = router.recv_multipart()
                asked = read_request(data)
                first = asked.since.get("cam0", 0) + 1
                last = min(head[0], first + asked.credit - 1)
                header = PageHeader(journal=seeds.JOURNAL, heads={"cam0": head[0]}, complete=last >= head[0])
                bodies = [to_json(seeds.event(seq)) for seq in range(first, last + 1)]
                router.send_multipart([peer, msgspec.json.encode(header), *bodies])

        field.until(lambda: answer(timeout_ms=100) or topic.poll(0), "the subscriber comes")
        field.watch("subscribe", 0)
        # None in the name of the honest journal: whoever has no keys and knows it could tell events of its own.
        evil = [seeds.topic_event(3, journal="evil"), seeds.topic_status(3, journal="evil")]
        valid = [*evil, seeds.topic_event(1, camera="cam1", journal="evil")]
        for message in damaged(valid, messages, random):
            if not message[0].startswith((b"event/v1/", b"status/v1/")):
                message[0] = random.choice((b"event/v1/", b"status/v1/")) + message[0]
            answer()
            while not offered(topic, message):  # it waits for the journal, which we are as well
                answer(timeout_ms=10)
            field.sent()
        head[0] = 5
        topic.send_multipart(seeds.topic_status(5))
        field.until(lambda: answer(timeout_ms=100) or len(field.output("subscribe")) >= 5, "the honest events come")
        told = [msgspec.json.decode(line)["seq"] for line in field.output("subscribe")]
        field.result.honest = f"the subscriber told {told}"
        if told != [1, 2, 3, 4, 5]:
            field.wrong(f"the honest events came as {told}")
        field.look()
        field.result.rss_after_mib = field.result.rss_peak_mib
        head[0] = 6
        topic.send_multipart(seeds.topic_status(6))
        if router.poll(5000):
            peer, _ = router.recv_multipart()
            router.send_multipart([peer, b"\xff nonsense\x1b[2J"])
        field.until(lambda: process.poll() is not None, "a senseless journal ends it", 20)
        last = field.log("subscribe").strip().splitlines()[-1]
        if process.returncode != 1 or not last.startswith("bowam: malformed answer"):
            field.wrong(f"it ended with {process.returncode}: {last}")
        field.processes.pop("subscribe")


ATTACKS: dict[str, Callable[[Field, int, int], None]] = {
    function.__name__: function
    for function in (*(frames, endless, raw_frames, journal, topics, capture_topics, strangers, metrics, subscriber),)
}
