"""Capture, alignment and publishing to a real socket, against a bare Face Mesh loop over the same raw frames."""

import multiprocessing
import tempfile
import time
from functools import partial
from pathlib import Path

import cv2
from mediapipe.python.solutions import face_mesh

from benchmarks.clips import clip, grey_frames, numbered
from benchmarks.measure import Row, Spread, in_turn, ratio, report
from bowam_model.face import FaceAligner, FaceSettings
from bowam_stream.capture import FaceStage, open_source
from bowam_stream.messages import EndOfStream, Hello
from bowam_stream.transport import TransportSettings, open_receiver, open_sender

RATE_HZ, SECONDS = 30.0, 6.0
FAST_HZ, FAST_SECONDS = 200.0, 2.0
EVERY_PICTURE, CARRIED = FaceSettings(mesh_hz=0.0), FaceSettings()


def bare_mesh(rate_hz: float = RATE_HZ, seconds: float = SECONDS) -> None:
    """The bound: nothing but Face Mesh, as its own documentation uses it."""
    with face_mesh.FaceMesh(max_num_faces=1) as mesh:
        for image in grey_frames(rate_hz, seconds):
            mesh.process(cv2.cvtColor(image, cv2.COLOR_GRAY2RGB))


def align() -> None:
    """Face Mesh and our alignment, nothing sent."""
    with FaceAligner() as aligner:
        stage = FaceStage(aligner, camera="cam0", session="bench")
        for frame in numbered(grey_frames(RATE_HZ, SECONDS), RATE_HZ):
            stage.push(frame)


def align_and_publish(rate_hz: float = RATE_HZ, seconds: float = SECONDS, face: FaceSettings = CARRIED) -> float:
    """What a capture process does with decoded frames, to a process that throws them away; the time of the frames."""
    hello = Hello(camera="cam0", session="bench", source="bench", lossless=True)
    with tempfile.TemporaryDirectory() as folder:
        settings = TransportSettings(endpoint=f"ipc://{folder}/frames")
        with open_sender(settings, lossless=True) as sender, FaceAligner(face) as aligner:
            worker = multiprocessing.get_context("spawn").Process(target=_drain, args=(settings,))
            worker.start()
            sender.open(hello)
            started = time.perf_counter()
            stage = FaceStage(aligner, camera="cam0", session="bench")
            for frame in numbered(grey_frames(rate_hz, seconds), rate_hz):
                sender.send(stage.push(frame))
            taken = time.perf_counter() - started
            seq = stage.next_seq
            sender.close(EndOfStream(camera="cam0", session="bench", seq=seq, frames=seq))
            worker.join()
    return taken


def _drain(settings: TransportSettings) -> None:
    with open_receiver(settings, lossless=True) as receiver:
        while True:
            message = receiver.receive(1.0)
            if isinstance(message, EndOfStream):
                receiver.acknowledge(message)
                return


def run() -> None:
    frames = len(grey_frames(RATE_HZ, SECONDS))
    bare, aligned, published = in_turn(bare_mesh, align, align_and_publish)
    fast = (FAST_HZ, FAST_SECONDS)
    fast_frames = len(grey_frames(*fast))
    fast_bare, fast_every, fast_carried = in_turn(
        partial(bare_mesh, *fast),
        partial(align_and_publish, *fast, EVERY_PICTURE),
        partial(align_and_publish, *fast),
    )
    with tempfile.TemporaryDirectory() as folder:
        video = str(clip(Path(folder), RATE_HZ, SECONDS))
        (decode,) = in_turn(lambda: sum(1 for _ in open_source(video)))
    report(
        "capture",
        [
            Row(
                what="speed of capture+align+publish over bare Face Mesh",
                value=ratio(bare, published),
                unit="x",
                target="aim 0.85",
            ),
            Row(what="speed of align over bare Face Mesh", value=ratio(bare, aligned), unit="x"),
            Row(
                what="200 fps: ... Face Mesh in every picture, over bare Face Mesh",
                value=ratio(fast_bare, fast_every),
                unit="x",
                target="aim 0.85",
            ),
            Row(
                what="200 fps: ... alignment carried between, over bare Face Mesh",
                value=ratio(fast_bare, fast_carried),
                unit="x",
                target="aim 2.5",
            ),
            Row(
                what="200 fps: capture+align+publish, alignment carried",
                value=Spread.of([t / fast_frames * 1e3 for t in fast_carried]),
                unit="ms",
                target="<= 5",
            ),
            Row(what="bare Face Mesh", value=Spread.of([t / frames * 1e3 for t in bare]), unit="ms"),
            Row(what="capture+align+publish", value=Spread.of([t / frames * 1e3 for t in published]), unit="ms"),
            Row(what="decode (H.264, reported apart)", value=Spread.of([t / frames * 1e3 for t in decode]), unit="ms"),
        ],
        f"{frames} raw grey frames 640x480, per frame",
    )
