"""The other side of a worker under load: a process that publishes ready frames of ever so many live cameras.

Frames are aligned before anything is timed. A camera plays its clip forwards and backwards, so that it has no seam, and
each one starts elsewhere in it.
"""

import time
from multiprocessing.connection import Connection

import cv2
import msgspec

from benchmarks.clips import aligned_frames
from bowam_stream import clock
from bowam_stream.messages import AlignedFrame, EndOfStream, Hello, Moment
from bowam_stream.spotting import Spotter, SpottingSettings
from bowam_stream.transport import TransportSettings
from bowam_stream.transport.live import LiveSender

CLIPS = {30.0: (12.0, 4), 200.0: (5.0, 2)}  # seconds and number of the clips


class Camera:
    """One camera of the publisher."""

    def __init__(self, number: int, cameras: int, endpoint: str, rate_hz: float) -> None:
        clips = ready_frames(rate_hz)
        self._clip = clips[number % len(clips)]
        self._first = number * len(self._clip) // cameras
        self._name, self._rate_hz = f"cam{number:02d}", rate_hz
        self._sender = LiveSender(TransportSettings(endpoint=endpoint))
        self._seq = 0

    def open(self) -> None:
        self._sender.open(Hello(camera=self._name, session="bench", source="bench", rate_hz=self._rate_hz))

    def send(self, t_ns: int) -> None:
        """The next frame, captured at `t_ns`."""
        last = len(self._clip) - 1
        at = (self._first + self._seq) % (2 * last)
        moment = Moment(frame=self._seq, t_ns=t_ns, utc_ns=clock.utc_ns() - clock.monotonic_ns() + t_ns)
        ready = self._clip[at if at <= last else 2 * last - at]
        self._sender.send(msgspec.structs.replace(ready, camera=self._name, seq=self._seq, moment=moment))
        self._seq += 1

    def close(self) -> None:
        self._sender.close(EndOfStream(camera=self._name, session="bench", seq=self._seq, frames=self._seq))


def ready_frames(rate_hz: float) -> list[tuple[AlignedFrame, ...]]:
    """The aligned frames of each clip."""
    seconds, count = CLIPS[rate_hz]
    return [aligned_frames(rate_hz, seconds, seed)[1] for seed in range(7, 7 + count)]


def bare_spotter(rate_hz: float) -> float:
    """The bound: CPU seconds per frame of the spotter alone on one of the clips, nothing received, nothing told."""
    frames = ready_frames(rate_hz)[0]
    spotter = Spotter(SpottingSettings(), Hello(camera="cam00", session="bench", source="bench", rate_hz=rate_hz))
    before = time.thread_time()
    for frame in frames:
        spotter.push(frame)
    return (time.thread_time() - before) / len(frames)


def publisher(pipe: Connection) -> None:
    """The other process: does what it is told until the pipe ends."""
    cv2.setNumThreads(1)
    cameras: list[Camera] = []
    while True:
        match pipe.recv():
            case ("bare", rate_hz):
                pipe.send(bare_spotter(rate_hz))
            case ("open", rate_hz, endpoints):
                cameras = [Camera(k, len(endpoints), endpoint, rate_hz) for k, endpoint in enumerate(endpoints)]
                for camera in cameras:
                    camera.open()
                pipe.send(None)
            case ("play", rate_hz, seconds):
                pipe.send(play(cameras, rate_hz, seconds))
            case "close":
                for camera in cameras:
                    camera.close()
                pipe.send(None)
            case _:
                return


def play(cameras: list[Camera], rate_hz: float, seconds: float) -> tuple[int, float]:
    """Send all cameras' frames, evenly spread over the frame time; how many, and how late the latest was, in ms."""
    start_ns = clock.monotonic_ns() + clock.NS_PER_SECOND // 10
    frames = round(seconds * rate_hz * len(cameras))
    latest_ns = 0
    for k in range(frames):
        due_ns = start_ns + round(k * clock.NS_PER_SECOND / (rate_hz * len(cameras)))
        while (wait_ns := due_ns - clock.monotonic_ns()) > 0:
            time.sleep(wait_ns / clock.NS_PER_SECOND)
        cameras[k % len(cameras)].send(due_ns)
        latest_ns = max(latest_ns, clock.monotonic_ns() - due_ns)
    return frames, latest_ns / clock.NS_PER_MS
