"""The capture process over an in-memory transport: clocks, sessions, and what a probe sees."""

import threading
from collections.abc import Iterator

import numpy as np
import pytest

from bowam_model.errors import ImageError
from bowam_model.face import Found
from bowam_stream import clock
from bowam_stream.capture import Grabbed
from bowam_stream.config import Config
from bowam_stream.errors import SourceError, TransportError
from bowam_stream.messages import AlignedFrame, EndOfStream, Frame, Hello, Moment
from bowam_stream.metrics import CaptureMetrics
from bowam_stream.pipeline import capturing
from bowam_stream.pipeline.notify import Notifier
from bowam_stream.pipeline.stop import StopFlag
from bowam_stream.transport import Rewind

LOADING_NS = 3 * clock.NS_PER_SECOND
IMAGE = np.zeros((32, 32), np.uint8)


class Sent:
    """A sender that remembers."""

    endpoint = "memory"

    def __init__(self) -> None:
        self.messages: list[Hello | AlignedFrame | EndOfStream] = []
        self.times_ns: list[int] = []
        self.sent = threading.Event()

    def open(self, hello: Hello) -> None:
        self.messages.append(hello)

    def send(self, frame: AlignedFrame) -> None:
        self.messages.append(frame)
        self.times_ns.append(clock.monotonic_ns())
        self.sent.set()

    def end(self, end: EndOfStream) -> None:
        self.messages.append(end)

    def close(self, end: EndOfStream | None = None) -> None:
        if end is not None:
            self.end(end)

    def frames(self) -> list[AlignedFrame]:
        return [message for message in self.messages if isinstance(message, AlignedFrame)]


class Source:
    """Frames 0, 2, 4: every second one was dropped on the way."""

    name, rate_hz, frames, digest, live = "script", 100.0, None, "00", False
    quality: tuple[str, ...] = ()
    late_quality: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[Frame]:
        for number in (0, 2, 4):
            yield Frame(moment=Moment(frame=number, t_ns=number * 10_000_000), image=IMAGE)


class Camera(Source):
    """One frame, and then nothing more until the connection is given up."""

    live = True

    def __init__(self) -> None:
        self.give_up = threading.Event()

    def __iter__(self) -> Iterator[Frame]:
        yield Frame(moment=Moment(frame=0, t_ns=clock.monotonic_ns()), image=IMAGE)
        self.give_up.wait(10)
        raise SourceError("script: the camera stopped sending")


@pytest.fixture(autouse=True)
def _slow_models(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time stands still but where the models are loaded, which takes three seconds."""
    now = [clock.NS_PER_SECOND]

    class Aligner:
        def __init__(self, settings: object, *, live: bool) -> None:
            now[0] += LOADING_NS

        def find(self, image: np.ndarray, t_ns: int) -> Found:
            return Found(image, t_ns)

        def cut(self, found: Found) -> tuple[()]:
            return ()

        def close(self) -> None: ...

    monkeypatch.setattr(clock, "monotonic_ns", lambda: now[0])
    monkeypatch.setattr(capturing, "FaceAligner", Aligner)


def capture(source: Source, sent: Sent, stop: StopFlag, *, lossless: bool) -> capturing.Capture:
    return capturing.Capture(
        source,
        Config(),
        camera="cam0",
        lossless=lossless,
        sender=sent,  # type: ignore[arg-type]
        metrics=CaptureMetrics(["cam0"]),
        notifier=Notifier({}),
        stop=stop,
    )


def test_a_recording_played_as_a_camera_is_dated_from_its_first_frame() -> None:
    """Loading the models comes before it: a frame that is sent at once is not three seconds old."""
    sent = Sent()
    capture(Source(), sent, StopFlag(), lossless=False).play(paced=False)
    assert sent.frames()[0].moment.t_ns == sent.times_ns[0]
    assert [frame.moment.t_ns - sent.times_ns[0] for frame in sent.frames()] == [0, 20_000_000, 40_000_000]


def test_the_end_counts_decoded_frames_and_published_messages_apart() -> None:
    """Three messages were published of five frames that were decoded."""
    sent = Sent()
    end = capture(Source(), sent, StopFlag(), lossless=True).play(paced=False)
    assert (end.seq, end.frames, end.dropped) == (3, 5, {"decode/skipped": 2})
    assert sent.messages[-1] == end


def test_a_capture_is_ready_while_a_stream_is_open_and_alive_while_its_loop_turns() -> None:
    """A camera that sends nothing is no reason to restart the process."""
    sent, stop, source = Sent(), StopFlag(), Camera()
    watched = capture(source, sent, stop, lossless=False)
    assert watched.ready() == "no stream is open"
    thread = threading.Thread(target=watched.watch)
    thread.start()
    try:
        assert sent.sent.wait(10)
        assert watched.ready() is None
        assert watched.alive() is None
    finally:
        stop.set()
        source.give_up.set()
        thread.join(10)
    assert watched.ready() == "no stream is open"


def test_only_the_loop_of_a_camera_is_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A recording waits for its worker for as long as that takes."""
    monkeypatch.setattr(capturing, "HEARTBEAT_LIMIT_S", -1.0)
    assert "no heartbeat" in str(capture(Camera(), Sent(), StopFlag(), lossless=False).alive())
    assert capture(Source(), Sent(), StopFlag(), lossless=True).alive() is None


class Numbered(Source):
    """Forty frames, and then perhaps an error."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error

    def __iter__(self) -> Iterator[Frame]:
        for number in range(40):
            yield Frame(moment=Moment(frame=number, t_ns=number * 10_000_000), image=IMAGE)
        if self.error is not None:
            raise self.error


class Fails(Sent):
    """A sender that raises at its fourth frame, once."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error: Exception | None = error

    def send(self, frame: AlignedFrame) -> None:
        if frame.seq == 3 and self.error is not None:
            error, self.error = self.error, None
            raise error
        super().send(frame)


def numbers(sent: Sent) -> list[tuple[int, int]]:
    return [(frame.seq, frame.moment.frame) for frame in sent.frames()]


ALL = [(number, number) for number in range(40)]


def test_all_frames_are_published_in_order() -> None:
    """However many threads they passed."""
    sent = Sent()
    end = capture(Numbered(), sent, StopFlag(), lossless=True).play(paced=False)
    assert numbers(sent) == ALL
    assert (end.seq, end.frames, end.quality) == (40, 40, ())


def test_a_rewind_ends_all_parts_and_the_next_play_begins_anew() -> None:
    """Nothing that was decoded or found for the first worker reaches the second."""
    sent, before = Fails(Rewind()), threading.active_count()
    played = capture(Numbered(), sent, StopFlag(), lossless=True)
    with pytest.raises(Rewind):
        played.play(paced=False)
    assert numbers(sent) == ALL[:3]
    assert threading.active_count() == before
    assert played.ready() == "no stream is open"
    sent.messages.clear()
    played.play(paced=False)
    assert numbers(sent) == ALL


def test_what_breaks_decoding_or_finding_faces_is_raised_after_the_frames_before_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As if one thread did it all."""
    sent = Sent()
    with pytest.raises(SourceError, match="torn"):
        capture(Numbered(SourceError("torn tape")), sent, StopFlag(), lossless=True).play(paced=False)
    assert numbers(sent) == ALL
    assert not any(isinstance(message, EndOfStream) for message in sent.messages)

    find = capturing.FaceStage.find

    def breaks(stage: capturing.FaceStage, frame: Frame) -> Found:
        if frame.moment.frame == 5:
            raise ImageError("no picture")
        return find(stage, frame)

    monkeypatch.setattr(capturing.FaceStage, "find", breaks)
    sent = Sent()
    with pytest.raises(ImageError, match="no picture"):
        capture(Numbered(), sent, StopFlag(), lossless=True).play(paced=False)
    assert numbers(sent) == ALL[:5]


def test_a_recording_that_is_stopped_ends_after_what_was_sent() -> None:
    """The end states just that, and that it came early."""
    stop = StopFlag()

    class Stops(Sent):
        def send(self, frame: AlignedFrame) -> None:
            super().send(frame)
            if frame.seq == 4:
                stop.set()

    sent = Stops()
    end = capture(Numbered(), sent, stop, lossless=True).play(paced=False)
    assert end.quality == ("interrupted",)
    assert 5 <= end.seq == end.frames < 40
    assert numbers(sent) == ALL[: end.seq]
    assert sent.messages[-1] == end


def test_a_camera_that_sends_nothing_does_not_hold_up_an_error() -> None:
    """The part that waits for its next frame gives up when publishing broke."""

    class Silent(Camera):
        def __iter__(self) -> Iterator[Frame]:
            if self.give_up.is_set():
                raise SourceError("script: the camera is off")
            yield Frame(moment=Moment(frame=0, t_ns=0), image=IMAGE)
            self.give_up.wait(10)

    source, raised = Silent(), []

    class Breaks(Sent):
        def send(self, frame: AlignedFrame) -> None:
            source.give_up.set()
            raise TransportError("the address is gone")

    def watch() -> None:
        try:
            capture(source, Breaks(), StopFlag(), lossless=False).watch()
        except TransportError as error:
            raised.append(str(error))

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    thread.join(10)
    assert raised == ["the address is gone"]


def test_a_connection_ends_before_the_first_frame_of_the_next() -> None:
    """Which is not lost: it is the first of the next session."""
    grabbed = [
        Grabbed(connection=connection, frame=Frame(moment=Moment(frame=number, t_ns=0), image=IMAGE))
        for connection, number in ((0, 0), (0, 1), (1, 0), (1, 1))
    ]
    following = iter(grabbed[1:])
    first = capturing.Connection(grabbed[0], lambda: next(following, None))
    assert [frame.moment.frame for frame in first.frames()] == [0, 1]
    assert first.next is grabbed[2]
    second = capturing.Connection(grabbed[2], lambda: next(following, None))
    assert [frame.moment.frame for frame in second.frames()] == [0, 1]
    assert second.next is None


@pytest.mark.parametrize("lossless", [False, True])
def test_a_recording_that_plays_a_camera_says_that_it_lives_also_while_nothing_happens_in_it(
    monkeypatch: pytest.MonkeyPatch, lossless: bool
) -> None:
    """A pause of ten seconds is no hang. One that waits for its worker says nothing, and is not timed."""
    beats: list[float] = []
    played = capture(Source(), Sent(), StopFlag(), lossless=lossless)
    monkeypatch.setattr(Notifier, "beat", lambda self: beats.append(1.0))
    waits: list[float] = []
    monkeypatch.setattr(StopFlag, "wait", lambda self, seconds: waits.append(seconds) or False)
    played._wait(10 * clock.NS_PER_SECOND)
    assert sum(waits) == 10.0
    assert max(waits) <= 1.0
    assert len(beats) == (0 if lossless else len(waits))
