"""Capture, alignment and publishing to a real socket, against a bare Face Mesh loop over the same raw frames."""

import multiprocessing
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from mediapipe.python.solutions import face_mesh

from benchmarks.clips import clip, grey_frames, numbered
from benchmarks.measure import Row, Spread, in_turn, ratio, report
from bowam_model.face import FaceAligner, FaceSettings
from bowam_stream.capture import FaceStage, open_source
from bowam_stream.config import Config
from bowam_stream.messages import EndOfStream, Frame, Hello
from bowam_stream.metrics import CaptureMetrics
from bowam_stream.pipeline.capturing import Session
from bowam_stream.pipeline.tally import Tally
from bowam_stream.transport import FrameSender, TransportSettings, open_receiver, open_sender

RATE_HZ, SECONDS = 30.0, 6.0
FAST_HZ, FAST_SECONDS = 200.0, 4.0
MEMORY_LOOPS, SAMPLE_S = 5, 0.2
EVERY_PICTURE, CARRIED = FaceSettings(mesh_hz=0.0), FaceSettings()
HELLO = Hello(camera="cam0", session="bench", source="bench", lossless=True)

Frames = tuple[np.ndarray, ...]


def bare_mesh(frames: Frames) -> float:
    """The bound: nothing but Face Mesh, as its own documentation uses it."""
    with face_mesh.FaceMesh(max_num_faces=1) as mesh:
        mesh.process(np.zeros((64, 64, 3), np.uint8))  # its start is no part of it
        started = time.perf_counter()
        for image in frames:
            mesh.process(cv2.cvtColor(image, cv2.COLOR_GRAY2RGB))
        return time.perf_counter() - started


def align(frames: Frames, rate_hz: float) -> float:
    """Face Mesh and our alignment in one thread, nothing sent."""
    with FaceAligner(EVERY_PICTURE) as aligner:
        stage = FaceStage(aligner, camera="cam0", session="bench")
        started = time.perf_counter()
        for frame in numbered(frames, rate_hz):
            stage.push(frame)
        return time.perf_counter() - started


def one_thread(frames: Frames, rate_hz: float, face: FaceSettings, sender: FrameSender) -> float:
    """What a capture process does with decoded frames, one part after the other."""
    sender.open(HELLO)
    with FaceAligner(face) as aligner:
        stage = FaceStage(aligner, camera="cam0", session="bench")
        started = time.perf_counter()
        for frame in numbered(frames, rate_hz):
            sender.send(stage.push(frame))
        return time.perf_counter() - started


def capture(
    frames: Frames, rate_hz: float, face: FaceSettings, sender: FrameSender, spent_s: Callable[[float], None]
) -> float:
    """What a capture process does with decoded frames; tells `spent_s` the processor time of all its threads."""
    metrics = CaptureMetrics(["cam0"])
    tally = Tally("cam0", metrics)

    def counted() -> Iterator[Frame]:
        for frame in numbered(frames, rate_hz):
            tally.captured(frame.moment)
            yield frame

    with Session(HELLO, Config(face=face), sender, metrics, tally) as session:
        started, started_cpu = time.perf_counter(), time.process_time()
        session.publish(counted())
        taken = time.perf_counter() - started
        spent_s(time.process_time() - started_cpu)
    return taken


def resident_mb(video: Path) -> float:
    """The most memory that a capture process holds while it plays `video` MEMORY_LOOPS times."""
    most_kb = 0
    with tempfile.TemporaryDirectory() as folder, _worker(folder) as settings:
        words = ("capture", str(video), "--frames", settings.endpoint, "--metrics-port", "0")
        command = [sys.executable, "-m", "bowam_stream.cli", *words, "--loops", str(MEMORY_LOOPS)]
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
            while process.poll() is None:
                for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
                    if line.startswith("VmHWM"):
                        most_kb = max(most_kb, int(line.split()[1]))
                time.sleep(SAMPLE_S)
    return most_kb / 1024


@contextmanager
def _worker(folder: str) -> Iterator[TransportSettings]:
    """A process that takes the frames of one stream and throws them away."""
    settings = TransportSettings(endpoint=f"ipc://{folder}/frames")
    worker = multiprocessing.get_context("spawn").Process(target=_drain, args=(settings,))
    worker.start()
    try:
        yield settings
        worker.join()
    finally:
        worker.kill()


def _drain(settings: TransportSettings) -> None:
    with open_receiver(settings, lossless=True) as receiver:
        while True:
            message = receiver.receive(1.0)
            if isinstance(message, EndOfStream):
                receiver.acknowledge(message)
                return


def run() -> None:
    cv2.setNumThreads(1)  # as in a capture process
    slow, fast = grey_frames(RATE_HZ, SECONDS), grey_frames(FAST_HZ, FAST_SECONDS)
    slow_cpu: list[float] = []
    fast_cpu: list[float] = []
    with (
        tempfile.TemporaryDirectory() as folder,
        _worker(folder) as settings,
        open_sender(settings, lossless=True) as sender,
    ):
        bare, aligned, single, published = in_turn(
            partial(bare_mesh, slow),
            partial(align, slow, RATE_HZ),
            partial(one_thread, slow, RATE_HZ, EVERY_PICTURE, sender),
            partial(capture, slow, RATE_HZ, EVERY_PICTURE, sender, slow_cpu.append),
        )
        fast_bare, fast_single, fast_carried = in_turn(
            partial(bare_mesh, fast),
            partial(one_thread, fast, FAST_HZ, CARRIED, sender),
            partial(capture, fast, FAST_HZ, CARRIED, sender, fast_cpu.append),
        )
        sender.close(EndOfStream(camera="cam0", session="bench", seq=len(fast), frames=len(fast)))
    with tempfile.TemporaryDirectory() as folder:
        video = clip(Path(folder), RATE_HZ, SECONDS)
        (decode,) = in_turn(lambda: sum(1 for _ in open_source(str(video))))
        memory = resident_mb(video)

    def per_frame_ms(times: list[float], frames: Frames) -> Spread:
        return Spread.of([t / len(frames) * 1e3 for t in times])

    def cores(cpu: list[float], frames: Frames, rate_hz: float) -> Spread:
        return Spread.of([t / (len(frames) / rate_hz) for t in cpu[1:]])  # without the warm-up

    rows = [
        Row(
            what="capture+align+publish over bare Face Mesh", value=ratio(bare, published), unit="x", target="aim 0.85"
        ),
        Row(what="... in one thread", value=ratio(bare, single), unit="x"),
        Row(what="... align alone, in one thread", value=ratio(bare, aligned), unit="x"),
        Row(
            what="200 fps: alignment carried, over bare Face Mesh",
            value=ratio(fast_bare, fast_carried),
            unit="x",
            target="aim 2.5",
        ),
        Row(what="... in one thread", value=ratio(fast_bare, fast_single), unit="x", target="aim 2.5"),
        Row(what="bare Face Mesh", value=per_frame_ms(bare, slow), unit="ms"),
        Row(what="capture+align+publish", value=per_frame_ms(published, slow), unit="ms"),
        Row(what="... in one thread", value=per_frame_ms(single, slow), unit="ms"),
        Row(what="200 fps: alignment carried", value=per_frame_ms(fast_carried, fast), unit="ms", target="<= 5"),
        Row(what="... in one thread", value=per_frame_ms(fast_single, fast), unit="ms", target="<= 5"),
        Row(what="decode (H.264, reported apart)", value=per_frame_ms(decode, slow), unit="ms"),
        Row(what="processor, a camera at 30 fps", value=cores(slow_cpu, slow, RATE_HZ), unit="cores"),
        Row(
            what="processor, a camera at 200 fps",
            value=cores(fast_cpu, fast, FAST_HZ),
            unit="cores",
            target="<= 1",
        ),
        Row(what="most memory of the process", value=Spread.of([memory]), unit="MB", target="<= 300"),
    ]
    report("capture", rows, f"{len(slow)} and {len(fast)} raw grey frames 640x480, per frame")
