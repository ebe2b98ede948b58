"""The promises that every transport keeps, in memory and over real sockets."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import numpy as np
import pytest
from msgspec.structs import replace

from bowam_stream.clock import clock_id
from bowam_stream.errors import AddressInUse, ConfigError, TransportError
from bowam_stream.messages import AlignedFrame, EndOfStream, Face, FaceQuality, Hello, Moment
from bowam_stream.transport import (
    FrameReceiver,
    FrameSender,
    Message,
    Observer,
    Rewind,
    TransportSettings,
    memory_link,
    open_receiver,
    open_sender,
)

QUALITY = FaceQuality(sharpness=1, yaw_deg=0, pitch_deg=0, roll_deg=0, size_px=100, confidence=1)
PATIENT_S = 20.0  # longer than any wait that ends well


def hello(session: str = "s", *, lossless: bool = True) -> Hello:
    return Hello(camera="cam0", session=session, source="test", lossless=lossless)


def frame(number: int, session: str = "s") -> AlignedFrame:
    """A frame at 200 fps whose pixels carry its number."""
    face = Face(
        track=0,
        crop=np.full((240, 240), number % 256, np.uint8),
        landmarks=np.full((468, 2), number, np.float32),
        transform=np.array([[1.0, 0.0, number], [0.0, 1.0, number]]),
        quality=QUALITY,
    )
    moment = Moment(frame=number, t_ns=number * 5_000_000)
    return AlignedFrame(camera="cam0", session=session, seq=number, moment=moment, faces=(face,))


def end(frames: int, session: str = "s") -> EndOfStream:
    return EndOfStream(camera="cam0", session=session, seq=frames, frames=frames)


class Wire:
    """One way from a sender to receivers: sockets, or memory."""

    def __init__(self, kind: str, settings: TransportSettings, *, lossless: bool) -> None:
        self._stack = ExitStack()
        self._lossless = lossless
        if kind == "memory":
            link = memory_link(settings, lossless=lossless)
            self._sender, self._receiver = link.sender, link.receiver
        else:
            self._sender = lambda: open_sender(settings, lossless=lossless)
            self._receiver = lambda observer=None: open_receiver(self._connected, lossless=lossless, observer=observer)
        self.sender: FrameSender = self._stack.enter_context(self._sender())
        self._connected = replace(settings, endpoint=self.sender.endpoint)

    def receiver(self, observer: Observer | None = None) -> FrameReceiver:
        """A receiver that is closed with the wire, unless the test closes it."""
        return self._stack.enter_context(self._receiver(observer))

    def close(self) -> None:
        self._stack.close()


@pytest.fixture(params=["memory", "tcp", "ipc"])
def wire(request: pytest.FixtureRequest, tmp_path) -> Iterator[Callable[..., Wire]]:
    """Makes wires of each kind; nothing of them is left when the test ends."""
    threads = set(threading.enumerate())
    wires: list[Wire] = []

    def make(*, lossless: bool, **changes: object) -> Wire:
        endpoint = {"memory": "", "tcp": "tcp://127.0.0.1:*", "ipc": f"ipc://{tmp_path}/frames"}[request.param]
        settings = TransportSettings(**{"endpoint": endpoint, "max_age_ms": 60_000, "ring_frames": 10_000, **changes})
        wires.append(Wire(request.param, settings, lossless=lossless))
        return wires[-1]

    yield make
    for made in wires:
        made.close()
    assert {thread for thread in threading.enumerate() if "pyzmq-gc" not in str(thread)} <= threads


@contextmanager
def feeding(feed: Callable[[], None]) -> Iterator[None]:
    """Run `feed` in a thread; an error in it fails the test."""
    errors: list[BaseException] = []

    def run() -> None:
        try:
            feed()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    yield
    thread.join(PATIENT_S)
    assert not thread.is_alive()
    if errors:
        raise errors[0]


def take(receiver: FrameReceiver) -> Message:
    """The next message, which must come."""
    message = receiver.receive(PATIENT_S)
    assert message is not None
    return message


def take_all(receiver: FrameReceiver) -> list[Message]:
    """Everything up to the end of the stream, which is acknowledged."""
    messages = [take(receiver)]
    while not isinstance(messages[-1], EndOfStream):
        messages.append(take(receiver))
    receiver.acknowledge(messages[-1])
    return messages


def numbers(messages: list[Message]) -> list[int]:
    return [message.moment.frame for message in messages if isinstance(message, AlignedFrame)]


def knock(way: Wire, meanwhile: Callable[[], None]) -> None:
    """Try to be a worker: the sender looks for newcomers whenever it sends."""
    newcomer = way.receiver()
    for _ in range(1000):
        if newcomer.receive(0.02) is None:
            meanwhile()


def replay(sender: FrameSender, frames: int) -> int:
    """Feed a recording as a capture does; returns how often it had to begin."""
    for attempt in range(1, 10):
        try:
            sender.open(hello())
            for number in range(frames):
                sender.send(frame(number))
            sender.close(end(frames))
        except Rewind:
            continue
        return attempt
    raise AssertionError("rewound without end")


def test_a_recording_arrives_whole_once_and_in_order(wire):
    """A 200 fps clip at full speed: hello, every frame number with its pixels, end."""
    way = wire(lossless=True)
    receiver = way.receiver()
    with feeding(lambda: replay(way.sender, 600)):
        messages = take_all(receiver)
    assert isinstance(messages[0], Hello)
    assert numbers(messages) == list(range(600))
    assert isinstance(messages[-1], EndOfStream)
    for message in messages[1:-1]:
        face = message.faces[0]
        assert face.crop[0, 0] == face.crop[-1, -1] == message.seq % 256
        assert face.landmarks[467, 1] == face.transform[1, 2] == message.seq


def test_a_frame_is_stamped_with_clock_and_time_of_publication(wire):
    """So that an age can be computed, and only where the clock is the same."""
    way = wire(lossless=True)
    receiver = way.receiver()
    with feeding(lambda: replay(way.sender, 1)):
        message = take_all(receiver)[1]
    assert message.clock == clock_id()
    assert message.published_ns > 0


def test_a_slow_worker_holds_the_capture_back(wire):
    """At most `credits` messages are under way: memory is bounded, and nothing is dropped."""
    way = wire(lossless=True, credits=4)
    receiver = way.receiver()
    sent: list[int] = []

    def feed() -> None:
        way.sender.open(hello())
        for number in range(40):
            way.sender.send(frame(number))
            sent.append(number)
        way.sender.close(end(40))

    with feeding(feed):
        take(receiver)
        for number in range(40):
            assert take(receiver).seq == number
            assert len(sent) <= number + 1 + 4 + 1  # taken, under way, and one that is just being counted
        receiver.acknowledge(take(receiver))


def test_a_worker_that_comes_back_gets_the_recording_from_the_beginning(wire):
    """The first worker leaves in the middle; the second misses nothing."""
    way = wire(lossless=True)
    attempts: list[int] = []
    first = way.receiver()
    with feeding(lambda: attempts.append(replay(way.sender, 100))):
        for _ in range(50):
            take(first)
        first.close()
        messages = take_all(way.receiver())
    assert isinstance(messages[0], Hello)
    assert numbers(messages) == list(range(100))
    assert attempts == [2]


def test_a_worker_that_leaves_before_it_acknowledged_the_end_is_not_finished(wire):
    """What follows from the last frames was perhaps not safe yet: the next worker gets them all again."""
    way = wire(lossless=True)
    attempts: list[int] = []
    first = way.receiver()
    with feeding(lambda: attempts.append(replay(way.sender, 5))):
        while not isinstance(take(first), EndOfStream):
            pass
        first.close()
        assert numbers(take_all(way.receiver())) == list(range(5))
    assert attempts == [2]


def test_a_second_worker_is_refused_while_the_first_is_fed(wire):
    """A recording has one worker; the second is told so, the first does not notice."""
    way = wire(lossless=True, credits=2)
    first = way.receiver()
    with feeding(lambda: replay(way.sender, 30)):
        messages = [take(first), take(first)]
        with pytest.raises(TransportError, match="already feeds a worker"):
            knock(way, lambda: messages.append(take(first)) if len(messages) < 20 else None)
        messages += take_all(first)
    assert numbers(messages) == list(range(30))


def test_without_a_worker_the_capture_gives_up_after_its_patience(wire):
    """One line that says where and for how long."""
    way = wire(lossless=True, patience_ms=50, heartbeat_ms=10)
    with pytest.raises(TransportError, match=r"for 0 s|silent"):
        way.sender.open(hello())


def test_a_worker_that_stops_asking_ends_the_patience_of_the_capture(wire):
    """It is connected but takes nothing."""
    way = wire(lossless=True, credits=2, patience_ms=1000, heartbeat_ms=10)
    receiver = way.receiver()

    def feed() -> None:
        with pytest.raises(TransportError, match="for 1 s"):
            replay(way.sender, 10)

    with feeding(feed):
        take(receiver)


def test_a_second_recording_follows_the_first_on_one_sender(wire):
    """A capture that plays a list opens one stream after the other."""
    way = wire(lossless=True)
    receiver = way.receiver()

    def feed() -> None:
        for session in ("a", "b"):
            way.sender.open(hello(session))
            for number in range(3):
                way.sender.send(frame(number, session))
        way.sender.close(end(3, "b"))

    with feeding(feed):
        messages = take_all(receiver)
    assert [message.session for message in messages] == ["a"] * 4 + ["b"] * 5


def test_live_frames_arrive_with_the_hello_first(wire):
    """A worker that keeps up gets what is sent after it joined."""
    way = wire(lossless=False)
    receiver = way.receiver()
    way.sender.open(hello(lossless=False))
    messages: list[Message] = []
    for number in range(100_000):
        way.sender.send(frame(number))
        message = receiver.receive(0.01)
        if message is not None:
            messages.append(message)
        if len(messages) > 20:
            break
    assert isinstance(messages[0], Hello)
    received = numbers(messages)
    assert received == list(range(received[0], received[0] + len(received)))
    last = received[-1]
    way.sender.close(end(number + 1))
    while not isinstance(messages[-1], EndOfStream):
        messages.append(take(receiver))
    assert numbers(messages)[-1] == number >= last


def test_nobody_listens_and_the_capture_does_not_mind(wire):
    """A live sender never waits."""
    way = wire(lossless=False)
    way.sender.open(hello(lossless=False))
    for number in range(500):
        way.sender.send(frame(number))
    way.sender.close(end(500))


def test_a_camera_that_reconnects_ends_the_old_session(wire):
    """The worker hears that the first session was interrupted, then the second one's hello."""
    way = wire(lossless=False)
    receiver = way.receiver()
    way.sender.open(hello("a", lossless=False))
    number = 0
    while receiver.receive(0.01) is None:  # until the worker has joined
        way.sender.send(frame(number, "a"))
        number += 1
    way.sender.open(hello("b", lossless=False))
    messages = [take(receiver)]
    while messages[-1].session == "a":
        messages.append(take(receiver))
    assert isinstance(messages[-1], Hello)
    if len(messages) > 1:
        assert messages[-2] == EndOfStream(
            camera="cam0", session="a", seq=number, frames=number, quality=("interrupted",)
        )


@pytest.mark.parametrize("lossless", [True, False])
def test_a_frame_before_the_hello_is_the_caller_s_mistake(wire, lossless):
    """Said at once, not on another machine."""
    with pytest.raises(TransportError, match="open"):
        wire(lossless=lossless).sender.send(frame(0))


@pytest.mark.parametrize("lossless", [True, False])
def test_closing_twice_does_nothing(wire, lossless):
    """With-blocks and error paths may both close."""
    way = wire(lossless=lossless)
    receiver = way.receiver()
    for _ in range(2):
        receiver.close()
        way.sender.close()


@pytest.mark.parametrize("lossless", [True, False])
@pytest.mark.parametrize(
    ("endpoint", "insecure", "reason"),
    [
        ("tcp://*:0", False, "--insecure"),
        ("tcp://0.0.0.0:0", False, "--insecure"),
        ("tcp://192.0.2.1:5555", True, "192.0.2.1"),
        ("tcp://127.0.0.1:99999", False, "not an address"),
        ("ipc:///nowhere/at/all", False, "/nowhere/at/all"),
    ],
)
def test_an_address_that_cannot_be_used_is_said_in_one_line(lossless, endpoint, insecure, reason):
    """And leaves no socket behind."""
    with pytest.raises(TransportError, match=reason):
        open_sender(TransportSettings(endpoint=endpoint, insecure=insecure), lossless=lossless)


@pytest.mark.parametrize("lossless", [True, False])
@pytest.mark.parametrize("kind", ["tcp", "ipc"])
def test_an_address_that_is_taken_is_said(lossless, kind, tmp_path):
    """Also for ipc, where ZeroMQ would silently steal the path."""
    endpoint = "tcp://127.0.0.1:*" if kind == "tcp" else f"ipc://{tmp_path}/frames"
    with open_sender(TransportSettings(endpoint=endpoint), lossless=lossless) as sender:
        taken = TransportSettings(endpoint=sender.endpoint)
        with pytest.raises(AddressInUse, match="in use"):
            open_sender(taken, lossless=lossless)
    with open_sender(taken, lossless=lossless):
        pass  # free again


@pytest.mark.parametrize("lossless", [True, False])
def test_a_receiver_of_no_address_is_refused(lossless):
    """What can't be connected to is said when the worker starts."""
    with pytest.raises(TransportError, match="not an address"):
        open_receiver(TransportSettings(connect=("cam0",)), lossless=lossless)


def test_a_worker_takes_one_recording_at_a_time():
    """Several recordings would come interleaved, and one of them would be lost with its worker."""
    with pytest.raises(ConfigError, match="start a worker for each"):
        open_receiver(TransportSettings(connect=("tcp://127.0.0.1:1", "tcp://127.0.0.1:2")), lossless=True)
