"""Live frames over real sockets: who joins late, who is slow, who sends nonsense."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import zmq
from msgspec.structs import replace

from bowam_stream.errors import TransportError
from bowam_stream.messages import AlignedFrame, EndOfStream, Hello, Moment
from bowam_stream.transport import Drops, FrameReceiver, Message, TransportSettings, decode, encode
from bowam_stream.transport.live import LiveReceiver, LiveSender

SETTINGS = TransportSettings(endpoint="tcp://127.0.0.1:*", max_age_ms=60_000, ring_frames=10_000, reconnect_ms=10)


def hello(camera: str = "cam0", session: str = "s") -> Hello:
    return Hello(camera=camera, session=session, source="test")


def frame(seq: int, camera: str = "cam0", session: str = "s") -> AlignedFrame:
    return AlignedFrame(camera=camera, session=session, seq=seq, moment=Moment(frame=seq, t_ns=seq), faces=())


def end(seq: int, camera: str = "cam0", session: str = "s") -> EndOfStream:
    return EndOfStream(camera=camera, session=session, seq=seq, frames=seq)


@contextmanager
def stranger(kind: int = zmq.PUB) -> Iterator[tuple[zmq.Socket[bytes], str]]:
    """A socket that keeps to no rules."""
    with zmq.Context() as context, context.socket(kind) as socket:
        socket.setsockopt(zmq.LINGER, 0)
        socket.bind("tcp://127.0.0.1:*")
        yield socket, socket.get_string(zmq.LAST_ENDPOINT)


def until(receiver: FrameReceiver, act: Callable[[], object], enough: Callable[[Message], bool]) -> list[Message]:
    """Act and receive until a message is enough; all that came."""
    messages: list[Message] = []
    for _ in range(5000):
        act()
        message = receiver.receive(0.005)
        if message is not None:
            messages.append(message)
            if enough(message):
                return messages
    raise AssertionError(f"not among {len(messages)} messages")


class Numbered:
    """Sends frame after frame."""

    def __init__(self, sender: LiveSender, camera: str = "cam0", session: str = "s") -> None:
        self.count = 0
        self._sender, self._camera, self._session = sender, camera, session

    def __call__(self) -> None:
        self._sender.send(frame(self.count, self._camera, self._session))
        self.count += 1


def is_frame(message: Message) -> bool:
    return isinstance(message, AlignedFrame)


def test_who_joins_late_gets_the_hello_with_the_next_frame():
    """The clock stands still, so only the subscription can have brought the hello again."""
    with LiveSender(SETTINGS, now_ns=lambda: 1) as sender:
        sender.open(hello())
        send = Numbered(sender)
        for _ in range(3):
            with LiveReceiver([sender.endpoint], SETTINGS, Drops(), now_ns=lambda: 1) as receiver:
                messages = until(receiver, send, is_frame)
                assert messages[0] == hello()


def test_the_hello_is_repeated_for_those_whose_queue_was_full():
    """Every second, by the sender's clock."""
    now = [0]
    sender = LiveSender(SETTINGS, now_ns=lambda: now[0])
    with sender, zmq.Context() as context, context.socket(zmq.SUB) as socket:
        socket.subscribe(b"frame/v1/cam0/")
        socket.connect(sender.endpoint)
        sender.open(hello())
        while not socket.poll(5):
            sender.send(frame(0))
        hellos = 0
        for seq in range(1, 36):  # 3.5 seconds
            now[0] += 100_000_000
            sender.send(frame(seq))
            message = None
            while getattr(message, "seq", 0) != seq:
                message = decode([part.buffer for part in socket.recv_multipart(copy=False)])
                hellos += seq > 5 and isinstance(message, Hello)
    assert hellos == 3


def test_one_worker_hears_many_captures():
    """Each camera has its own hello, and none is preferred."""
    with LiveSender(SETTINGS) as first, LiveSender(SETTINGS) as second:
        first.open(hello("left"))
        second.open(hello("right"))
        sends = [Numbered(first, "left"), Numbered(second, "right")]
        with LiveReceiver([first.endpoint, second.endpoint], SETTINGS, Drops()) as receiver:
            seen: set[str] = set()

            def both(message: Message) -> bool:
                if is_frame(message):
                    seen.add(message.camera)
                return len(seen) == 2

            messages = until(receiver, lambda: [send() for send in sends], both)
    for camera in ("left", "right"):
        assert isinstance(next(message for message in messages if message.camera == camera), Hello)


@pytest.mark.parametrize("settings", [replace(SETTINGS, ring_frames=4), replace(SETTINGS, max_age_ms=1)])
def test_every_frame_that_a_slow_worker_does_not_see_is_counted_once(settings):
    """sent = before joining + taken + lost + too old + too many, whatever the timing."""
    drops = Drops()
    with LiveSender(settings) as sender:
        sender.open(hello())
        send = Numbered(sender)
        with LiveReceiver([sender.endpoint], settings, drops) as receiver:

            def burst() -> None:
                for _ in range(7):
                    send()

            messages = until(receiver, burst, lambda message: send.count > 2000)
            sender.close(end(send.count))
            while not isinstance(messages[-1], EndOfStream):
                message = receiver.receive(20)
                assert message is not None
                messages.append(message)
    taken = [message.seq for message in messages if isinstance(message, AlignedFrame)]
    assert taken == sorted(set(taken))
    dropped = sum(count for (_, _, reason), count in drops.frames.items() if reason != "no_hello")
    assert dropped > 0
    first_seen = send.count - len(taken) - dropped  # frames before the worker had joined, which it can't know
    assert 0 <= first_seen <= taken[0]


def test_the_links_are_told_and_come_back():
    """The capture goes and another comes at the same address: down, up, and frames again."""
    drops = Drops()
    with LiveSender(SETTINGS) as sender:
        endpoint = sender.endpoint
        receiver = LiveReceiver([endpoint], SETTINGS, drops)
        sender.open(hello(session="a"))
        until(receiver, Numbered(sender, session="a"), is_frame)
        assert drops.links == {endpoint: True}
    with receiver:
        while drops.links[endpoint]:
            receiver.receive(0.005)
        with LiveSender(replace(SETTINGS, endpoint=endpoint)) as sender:
            sender.open(hello(session="b"))
            settings = replace(SETTINGS, takeover_ms=1)
            with LiveReceiver([endpoint], settings, Drops()) as other:
                until(other, Numbered(sender, session="b"), is_frame)
            while not drops.links[endpoint]:
                receiver.receive(0.005)


def test_nonsense_is_counted_and_does_not_stop_the_stream():
    """Random bytes under the right topic, half messages, foreign versions: then a good stream comes through."""
    random = np.random.default_rng(0)
    drops = Drops()
    good = [bytes(part) for part in encode(frame(0))]
    with stranger() as (socket, endpoint), LiveReceiver([endpoint], SETTINGS, drops) as receiver:

        def nonsense() -> None:
            noise = random.bytes(int(random.integers(0, 300)))
            cut = good[1][: int(random.integers(0, len(good[1])))]
            for parts in (
                [good[0], noise],
                [good[0], cut],
                [good[0]],
                [good[0], good[1], noise],
                [b"frame/v1/", noise],
            ):
                socket.send_multipart(parts)
            for message in (hello(), frame(0)):
                socket.send_multipart(encode(message))

        until(receiver, nonsense, is_frame)
        for _ in range(300):
            nonsense()
        last = until(receiver, lambda: socket.send_multipart(encode(end(1))), lambda m: isinstance(m, EndOfStream))
    assert isinstance(last[-1], EndOfStream)
    assert drops.frames["", "receive", "malformed"] > 100


def test_a_part_that_is_too_long_ends_the_connection_but_not_the_worker():
    """ZeroMQ hangs up, connects again, and the stream goes on."""
    settings = replace(SETTINGS, max_message_bytes=100_000)
    with stranger() as (socket, endpoint), LiveReceiver([endpoint], settings, Drops()) as receiver:

        def flood() -> None:
            socket.send_multipart([b"frame/v1/cam0/", bytes(200_000)])

        def good() -> None:
            for message in (hello(), frame(0)):
                socket.send_multipart(encode(message))

        until(receiver, good, is_frame)
        for _ in range(20):
            flood()
        until(receiver, good, is_frame)


def test_a_fault_of_the_receiving_thread_reaches_the_worker():
    """It must not wait for frames that nobody fetches any more."""

    class Broken(Drops):
        def dropped(self, camera: str, stage: str, reason: str, count: int = 1) -> None:
            raise ZeroDivisionError("a bug")

    with stranger() as (socket, endpoint), LiveReceiver([endpoint], SETTINGS, Broken()) as receiver:
        noise = [b"frame/v1/cam0/", b"noise"]
        with pytest.raises(TransportError, match="a bug"):
            until(receiver, lambda: socket.send_multipart(noise), is_frame)
