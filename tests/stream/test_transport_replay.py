"""Recordings over real sockets: strangers, killed and stopped processes, captures that come back."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import zmq
from msgspec.structs import replace

from bowam_stream.errors import TransportError
from bowam_stream.messages import AlignedFrame, EndOfStream, Hello, Moment
from bowam_stream.transport import Drops, Message, Rewind, TransportSettings, encode
from bowam_stream.transport.replay import ReplayReceiver, ReplaySender

SETTINGS = TransportSettings(endpoint="tcp://127.0.0.1:*", heartbeat_ms=50, heartbeat_timeout_ms=500, reconnect_ms=10)
HELLO = Hello(camera="cam0", session="s", source="test", lossless=True)
FRAMES = 300
END = EndOfStream(camera="cam0", session="s", seq=FRAMES, frames=FRAMES)


def frame(seq: int) -> AlignedFrame:
    return AlignedFrame(camera="cam0", session="s", seq=seq, moment=Moment(frame=seq, t_ns=seq), faces=())


def feed(sender: ReplaySender, attempts: list[int]) -> None:
    """Feed the recording as a capture does; `attempts` gets the number of frames sent in each."""
    while True:
        attempts.append(0)
        try:
            sender.open(HELLO)
            for seq in range(FRAMES):
                sender.send(frame(seq))
                attempts[-1] += 1
            sender.close(END)
        except Rewind:
            continue
        return


@contextmanager
def capture(settings: TransportSettings = SETTINGS) -> Iterator[tuple[str, list[int]]]:
    """A capture in a thread: its address, and how many frames it sent in each attempt."""
    attempts: list[int] = []
    with ReplaySender(settings) as sender:
        thread = threading.Thread(target=feed, args=(sender, attempts))
        thread.start()
        yield sender.endpoint, attempts
        thread.join(20)
        assert not thread.is_alive()


def take(receiver: ReplayReceiver) -> Message:
    message = receiver.receive(20)
    assert message is not None
    return message


def take_all(receiver: ReplayReceiver) -> list[Message]:
    """All to the end, acknowledged."""
    messages = [take(receiver)]
    while not isinstance(messages[-1], EndOfStream):
        messages.append(take(receiver))
    receiver.acknowledge(messages[-1])
    return messages


def seqs(messages: list[Message]) -> list[int]:
    return [message.seq for message in messages if isinstance(message, AlignedFrame)]


def test_strangers_at_the_door_of_the_capture_change_nothing():
    """Noise, credits without a welcome, wrong runs, half messages: the worker still gets everything once."""
    random = np.random.default_rng(0)
    ready, credit = (b"\x82\xa6schema\xae" + b"bowam.ready/1\x00", b"\x81\xa6schema\xaebowam.credit/1")
    with capture() as (endpoint, attempts), zmq.Context() as context, context.socket(zmq.DEALER) as socket:
        socket.setsockopt(zmq.LINGER, 0)
        socket.connect(endpoint)
        with ReplayReceiver(endpoint, SETTINGS, Drops()) as receiver:
            messages = [take(receiver)]
            while not isinstance(messages[-1], EndOfStream):
                for parts in ([b""], [bytes(8), credit], [bytes(8), random.bytes(50)], [bytes(7), ready], [b""] * 9):
                    socket.send_multipart(parts)
                messages.append(take(receiver))
            receiver.acknowledge(END)
    assert seqs(messages) == list(range(FRAMES))
    assert attempts == [FRAMES]


def test_a_greedy_worker_gets_no_more_credits_than_the_capture_allows():
    """The memory of the capture is not the worker's to spend."""
    greedy = replace(SETTINGS, credits=10**6)
    with (
        capture(replace(SETTINGS, credits=3)) as (endpoint, attempts),
        ReplayReceiver(endpoint, greedy, Drops()) as receiver,
    ):
        assert take(receiver) == HELLO
        for seq in range(FRAMES):
            assert take(receiver).seq == seq
            assert attempts[-1] <= seq + 1 + 3 + 1
        receiver.acknowledge(take(receiver))


def test_a_capture_that_talks_nonsense_is_an_error_of_the_worker():
    """In a lossless stream nothing may be skipped."""
    with zmq.Context() as context, context.socket(zmq.ROUTER) as socket:
        socket.setsockopt(zmq.LINGER, 0)
        socket.bind("tcp://127.0.0.1:*")
        with ReplayReceiver(socket.get_string(zmq.LAST_ENDPOINT), SETTINGS, Drops()) as receiver:
            assert receiver.receive(0.01) is None
            while not socket.poll(5):
                receiver.receive(0.005)
            identity, run, _ = socket.recv_multipart()
            socket.send_multipart([identity, b"another!", b"frame/v1/cam0/", b"noise"])  # of an earlier run: ignored
            socket.send_multipart([identity, run, *encode(HELLO)])
            assert take(receiver) == HELLO
            socket.send_multipart([identity, run, b"frame/v1/cam0/", b"noise"])
            with pytest.raises(TransportError, match="malformed"):
                take(receiver)


def test_a_worker_without_a_capture_gives_up_after_its_patience():
    """One line that names the address."""
    settings = replace(SETTINGS, patience_ms=50)
    receiver = ReplayReceiver("ipc:///nobody/here", settings, Drops())
    with receiver, pytest.raises(TransportError, match="no capture answered at ipc:///nobody/here"):
        receiver.receive(20)


def test_a_worker_that_acknowledged_waits_for_the_next_recording_without_haste():
    """Nothing is owed to it: the capture may leave, and another one may come."""
    settings = replace(SETTINGS, patience_ms=100)
    with capture() as (endpoint, _):
        receiver = ReplayReceiver(endpoint, settings, Drops())
        take_all(receiver)
    with receiver:
        assert receiver.receive(0.5) is None
        with capture(replace(SETTINGS, endpoint=endpoint)):
            assert seqs(take_all(receiver)) == list(range(FRAMES))


def test_links_are_told():
    """For the gauge of the worker."""
    drops = Drops()
    with capture() as (endpoint, _), ReplayReceiver(endpoint, SETTINGS, drops) as receiver:
        take(receiver)
        assert drops.links == {endpoint: True}
        take_all(receiver)
        while drops.links[endpoint]:
            receiver.receive(0.01)


PRELUDE = """
    import sys
    from bowam_stream.transport import *
    from bowam_stream.messages import *
    settings = TransportSettings(endpoint=sys.argv[1], heartbeat_ms=50, heartbeat_timeout_ms=500, reconnect_ms=10)
"""
WORKER = """
    with open_receiver(settings, lossless=True) as receiver:
        while True:
            message = receiver.receive(20)
            print(type(message).__name__, getattr(message, "seq", -1), flush=True)
            if isinstance(message, EndOfStream):
                receiver.acknowledge(message)
                break
"""
CAPTURE = """
    from bowam_stream.messages import Moment
    with open_sender(settings, lossless=True) as sender:
        sender.open(Hello(camera="cam0", session="s", source="test", lossless=True))
        for seq in range(300):
            sender.send(AlignedFrame(camera="cam0", session="s", seq=seq, moment=Moment(frame=seq, t_ns=0), faces=()))
        sender.close(EndOfStream(camera="cam0", session="s", seq=300, frames=300))
"""


@contextmanager
def process(code: str, endpoint: str) -> Iterator[subprocess.Popen[str]]:
    """A real process at the other end; it is gone when the block ends."""
    script = textwrap.dedent(PRELUDE) + textwrap.dedent(code)
    with subprocess.Popen([sys.executable, "-c", script, endpoint], stdout=subprocess.PIPE, text=True) as running:
        try:
            yield running
        finally:
            running.kill()


def lines(worker: subprocess.Popen[str], count: int | None = None) -> list[str]:
    """The next `count` lines of a worker, or all to its end."""
    assert worker.stdout is not None
    if count is None:
        return worker.stdout.read().splitlines()
    return [worker.stdout.readline().strip() for _ in range(count)]


WHOLE = ["Hello -1", *(f"AlignedFrame {seq}" for seq in range(FRAMES)), f"EndOfStream {FRAMES}"]


@pytest.mark.system
def test_a_worker_that_is_killed_and_started_again_gets_everything():
    """kill -9 in the middle; the capture notices and begins anew."""
    with capture() as (endpoint, attempts):
        with process(WORKER, endpoint) as worker:
            assert lines(worker, 50) == WHOLE[:50]
            worker.kill()
        with process(WORKER, endpoint) as worker:
            assert lines(worker) == WHOLE
    assert len(attempts) == 2


@pytest.mark.system
def test_a_worker_that_is_stopped_loses_its_place_and_is_told_so():
    """It answers no heartbeat; another takes over, and the first one ends with an error when it continues."""
    settings = replace(SETTINGS, credits=2)
    with capture(settings) as (endpoint, attempts), process(WORKER, endpoint) as stopped:
        assert lines(stopped, 10) == WHOLE[:10]
        os.kill(stopped.pid, signal.SIGSTOP)
        while True:  # refused until the heartbeats of the first one are missed
            with ReplayReceiver(endpoint, settings, Drops()) as receiver:
                try:
                    messages = [take(receiver)]
                except TransportError:
                    continue
                messages += take_all(receiver)
                break
        os.kill(stopped.pid, signal.SIGCONT)
    assert seqs(messages) == list(range(FRAMES))
    assert len(attempts) == 2


@pytest.mark.system
def test_a_capture_that_is_killed_and_started_again_feeds_from_the_beginning(tmp_path: Path):
    """The worker connects again by itself; the hello tells it to start afresh."""
    endpoint = f"ipc://{tmp_path}/frames"
    with ReplayReceiver(endpoint, SETTINGS, Drops()) as receiver:
        with process(CAPTURE, endpoint) as first:
            messages = [take(receiver) for _ in range(100)]
            first.kill()
            first.wait()
        with process(CAPTURE, endpoint) as second:
            messages += take_all(receiver)
            assert second.wait(20) == 0
    restart = max(i for i, message in enumerate(messages) if isinstance(message, Hello))
    assert restart >= 100
    assert seqs(messages[restart:]) == list(range(FRAMES))
