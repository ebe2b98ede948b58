"""Cameras, the thread that keeps up with them, and pacing: no camera is needed, a small RTSP server is built here."""

import contextlib
import re
import socket
import threading
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import av
import numpy as np
import pytest

from bowam_stream.capture import (
    FROZEN,
    Backoff,
    Clocks,
    GrabberSettings,
    LiveGrabber,
    Pacer,
    SourceSettings,
    draw_frame_number,
    open_source,
    read_frame_number,
)
from bowam_stream.capture.camera import Camera
from bowam_stream.errors import SourceError
from bowam_stream.messages import Frame, Moment

SECOND = 1_000_000_000
QUICK = GrabberSettings(first_delay_s=0.001, longest_delay_s=0.002)


def h264_pictures(count: int) -> list[list[bytes]]:
    """Pictures 0 to count - 1 as lists of H.264 units, each picture decodable by itself."""
    encoder: Any = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt = 320, 240, "yuv420p"
    encoder.time_base, encoder.framerate = Fraction(1, 25), Fraction(25)
    encoder.options = {"tune": "zerolatency", "g": "1", "slices": "1"}
    pictures = []
    for number in range(count):
        frame = av.VideoFrame.from_ndarray(draw_frame_number(number, 320, 240), format="gray").reformat(
            format="yuv420p"
        )
        frame.pts = number
        data = b"".join(bytes(packet) for packet in encoder.encode(frame))
        pictures.append([unit.rstrip(b"\0") for unit in re.split(rb"\x00\x00\x00?\x01", data) if unit])
    return pictures


class RtspServer:
    """Plays `count` numbered pictures to every client over TCP, then hangs up."""

    def __init__(self, count: int) -> None:
        self._pictures = h264_pictures(count)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self.transports: list[str] = []
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with client, client.makefile("rb") as requests, contextlib.suppress(OSError):  # the client may hang up
                self._talk(client, requests)

    def _talk(self, client: socket.socket, requests: Any) -> None:
        while True:
            lines = list(iter(lambda: requests.readline().decode().strip(), ""))
            if not lines:
                return
            method = lines[0].split()[0]
            fields = dict(line.split(": ", 1) for line in lines[1:])
            answer, body = [f"CSeq: {fields['CSeq']}", "Session: 1"], ""
            if method == "OPTIONS":
                answer.append("Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN")
            elif method == "DESCRIBE":
                body = "v=0\r\ns=x\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n"
                answer += ["Content-Type: application/sdp", f"Content-Length: {len(body)}"]
            elif method == "SETUP":
                self.transports.append(fields["Transport"])
                answer.append("Transport: RTP/AVP/TCP;unicast;interleaved=0-1")
            client.sendall(("\r\n".join(["RTSP/1.0 200 OK", *answer]) + "\r\n\r\n" + body).encode())
            if method == "PLAY":
                self._play(client)
                return

    def _play(self, client: socket.socket) -> None:
        sequence = 0
        for number, units in enumerate(self._pictures):
            for unit in units:
                last = unit is units[-1]
                header = bytes([0x80, 96 | 0x80 * last]) + sequence.to_bytes(2, "big")
                packet = header + (number * 3600).to_bytes(4, "big") + b"\x00\x00\x00\x01" + unit
                client.sendall(b"$\0" + len(packet).to_bytes(2, "big") + packet)
                sequence += 1


@pytest.fixture
def rtsp() -> Iterator[RtspServer]:
    server = RtspServer(100)  # the first ones are used up to recognise the stream
    yield server
    server.close()


def test_a_network_camera_is_read_over_tcp_and_its_loss_is_said(rtsp: RtspServer) -> None:
    """The end of the stream is an error, without the password, and so is no line of its cause."""
    ticks = iter(range(10 * SECOND, 100 * SECOND, SECOND // 100))
    clocks = Clocks(monotonic_ns=lambda: next(ticks), utc_ns=lambda: 5)
    source = open_source(f"rtsp://anna:secret@{rtsp.address}/cam", clocks=clocks)
    assert source.live
    with pytest.raises(SourceError, match="connection lost") as caught:
        list(source)
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert "secret" not in source.name
    assert all("TCP" in transport for transport in rtsp.transports)


def test_frames_of_a_network_camera_are_stamped_when_they_come(rtsp: RtspServer) -> None:
    """Numbers in the pixels rise with the frame count, times come from the clock that was given."""
    ticks = iter(range(10 * SECOND, 1000 * SECOND, SECOND // 100))
    source = open_source(
        f"rtsp://{rtsp.address}/cam", clocks=Clocks(monotonic_ns=lambda: next(ticks), utc_ns=lambda: 5)
    )
    frames: list[Frame] = []
    with pytest.raises(SourceError, match="lost"):
        frames.extend(source)
    numbers = [read_frame_number(frame.image) for frame in frames]
    assert len(frames) > 20
    assert numbers == list(range(numbers[0] or 0, 100))[: len(numbers)]
    assert [frame.moment.frame for frame in frames] == list(range(len(frames)))
    assert [frame.moment.t_ns for frame in frames] == [10 * SECOND + k * SECOND // 100 for k in range(len(frames))]
    assert all(frame.moment.utc_ns == 5 for frame in frames)


def test_a_network_camera_that_is_not_there_is_one_line() -> None:
    """A closed port, without the password."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with pytest.raises(SourceError, match="can't connect") as caught:
        next(iter(open_source(f"rtsp://anna:secret@127.0.0.1:{port}/cam")))
    assert "secret" not in str(caught.value)


def test_a_missing_webcam_names_the_ones_that_are_there() -> None:
    """Before anything is started."""
    with pytest.raises(SourceError, match="no such camera"):
        open_source("97")
    with pytest.raises(SourceError, match="no such camera"):
        open_source("/dev/video97")


def test_a_camera_that_takes_its_password_in_the_query_shows_none() -> None:
    """Its name goes into the hello, the status topic and the log."""
    camera = open_source("rtsp://127.0.0.1:1/cam?user=anna&password=secret")
    assert camera.name == "rtsp://127.0.0.1:1/cam?user=***&password=***"


class Connections:
    """A live source of which each iteration plays the next script: frames, then an error, or nothing but an error."""

    name, live, rate_hz, frames, digest = "script", True, None, None, None
    quality: tuple[str, ...] = ()
    late_quality: tuple[str, ...] = ()

    def __init__(self, *lengths: int, before_frame: Callable[[int], None] = lambda k: None) -> None:
        self._lengths = iter(lengths)
        self._before_frame = before_frame

    def __iter__(self) -> Iterator[Frame]:
        for k in range(next(self._lengths, 0)):
            self._before_frame(k)
            yield Frame(moment=Moment(frame=k, t_ns=k), image=draw_frame_number(k, 64, 48))
        raise SourceError("script: gone")


class Pictures(Camera):
    """A camera that sends these pictures, 40 ms apart."""

    def __init__(self, pictures: list[np.ndarray]) -> None:
        times_ns = iter(range(0, 40_000_000 * 2 * len(pictures), 40_000_000))
        super().__init__("test", SourceSettings(), Clocks(monotonic_ns=lambda: next(times_ns), utc_ns=lambda: 0))
        self._pictures = pictures

    def _images(self) -> Iterator[tuple[np.ndarray, int | None]]:
        yield from ((picture, None) for picture in self._pictures)


def test_a_camera_that_stands_still_says_so_until_it_moves() -> None:
    """Half a second of one picture is frozen; two pictures in turn are not, however alike."""
    alike = np.full((48, 64, 3), 90, np.uint8)
    other = alike.copy()
    other[1, 1] = 91  # beside the pixels at which it glances
    frames = list(Pictures([other, *[alike.copy() for _ in range(20)], other, alike, other]))
    frozen = [FROZEN in frame.quality for frame in frames]
    assert frozen == [False] + [k * 40 >= 500 for k in range(20)] + [False] * 3
    assert not any(FROZEN in frame.quality for frame in Pictures([alike, other] * 20))


def test_another_size_is_another_connection() -> None:
    """Its pictures are another view, and so another session; what came before was given out."""
    small = np.zeros((24, 32, 3), np.uint8)
    frames = iter(Pictures([*[np.zeros((48, 64, 3), np.uint8)] * 3, small]))
    assert [next(frames).moment.frame for _ in range(3)] == [0, 1, 2]
    with pytest.raises(SourceError, match="changed from 64x48 to 32x24"):
        next(frames)


def test_the_grabber_drops_the_oldest_and_counts_it() -> None:
    """Of ten frames that nobody takes the last two wait; eight drops are told, with stage and reason."""
    drops: list[tuple[int, str, str]] = []
    sent: list[int] = []
    done = threading.Event()
    grabber = LiveGrabber(
        Connections(10, 0),
        QUICK,
        on_frame=lambda grabbed: sent.append(grabbed.frame.moment.frame),
        on_drop=lambda grabbed, stage, reason: drops.append((grabbed.frame.moment.frame, stage, reason)),
        on_connection=lambda up, error: done.set() if not up else None,
    )
    grabber.start()
    assert done.wait(10)
    grabbed = grabber.get(0)
    assert grabbed is not None
    assert grabbed.frame.moment.frame == 8
    assert drops == [(k, "grab", "queue_full") for k in range(8)]
    grabber.stop()
    assert grabber.get(0) is None
    assert drops[8:] == [(9, "grab", "stopped")]
    assert sent == list(range(10))


def test_the_grabber_connects_again_and_numbers_the_connection() -> None:
    """Frames after a loss belong to the next connection; failed attempts in between are told and not numbered."""
    taken, seen = threading.Semaphore(1), []
    events: list[bool] = []
    source = Connections(2, 0, 0, 2, 0, before_frame=lambda k: taken.acquire(timeout=10))
    grabber = LiveGrabber(source, QUICK, on_connection=lambda up, error: events.append(up))
    grabber.start()
    for _ in range(4):
        grabbed = grabber.get(10)
        assert grabbed is not None
        seen.append((grabbed.connection, grabbed.frame.moment.frame))
        taken.release()
    grabber.stop()
    assert seen == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert events[:5] == [True, False, False, False, True]


def test_a_first_connection_that_fails_is_an_error() -> None:
    """A wrong address is said, not retried for ever."""
    grabber = LiveGrabber(Connections(0), QUICK)
    grabber.start()
    with pytest.raises(SourceError, match="gone"):
        grabber.get(10)
    grabber.stop()


def test_a_patient_grabber_waits_for_its_first_connection() -> None:
    """A camera that was there before a crash comes back."""
    grabber = LiveGrabber(Connections(0, 0, 1), QUICK, patient=True)
    grabber.start()
    grabbed = grabber.get(10)
    grabber.stop()
    assert grabbed is not None
    assert grabbed.connection == 0


def test_waits_between_attempts_grow_to_a_maximum_and_differ() -> None:
    """Doubling from half a second to thirty, each within a fifth, and from the start after a success."""
    backoff = Backoff(GrabberSettings(), seed=1)
    waits = [backoff.next_s() for _ in range(40)]
    nominal = [min(0.5 * 2**k, 30.0) for k in range(40)]
    assert all(0.8 * n <= w <= 1.2 * n for w, n in zip(waits, nominal, strict=True))
    assert len({round(w, 6) for w in waits[10:]}) > 20
    backoff.reset()
    assert backoff.next_s() <= 0.6


def test_pacing_says_how_long_to_wait() -> None:
    """At double speed; a late frame is due at once and does not delay the others."""
    pacer = Pacer(speed=2.0)
    assert pacer.wait_ns(1_000, now_ns=50_000) == 0
    assert pacer.wait_ns(41_000, now_ns=55_000) == 15_000
    assert pacer.wait_ns(81_000, now_ns=99_000) == 0
    assert pacer.wait_ns(161_000, now_ns=100_000) == 30_000
    with pytest.raises(ValueError, match="positive"):
        Pacer(0)


def test_settings_refuse_what_they_do_not_know() -> None:
    """A misspelt option is an error, also here."""
    import msgspec

    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"rate": 25}, SourceSettings)
