"""The spotter's cost per frame and face, on one thread, against one OpenCV Farneback call."""

from itertools import pairwise

import cv2

from benchmarks.clips import aligned_frames
from benchmarks.measure import Row, Spread, in_turn, ratio, report
from bowam_model.flow import farneback
from bowam_stream.messages import AlignedFrame, Hello
from bowam_stream.spotting import Spotter, SpottingSettings

SECONDS = 4.0


def run() -> None:
    cv2.setNumThreads(1)
    rows = []
    for rate_hz in (30.0, 60.0, 100.0, 200.0):
        hello, frames = aligned_frames(rate_hz, SECONDS)

        def spot(hello: Hello = hello, frames: tuple[AlignedFrame, ...] = frames) -> None:
            spotter = Spotter(SpottingSettings(), hello)
            for frame in frames:
                spotter.push(frame)

        def flow(frames: tuple[AlignedFrame, ...] = frames) -> None:
            for a, b in pairwise(frames[:21]):
                farneback(a.faces[0].crop, b.faces[0].crop)

        spotted, flowed = in_turn(spot, flow, repetitions=5)
        per_frame = [t / len(frames) for t in spotted]
        per_flow = [t / 20 for t in flowed]
        rows += [
            Row(
                what=f"{rate_hz:.0f} fps: spotter per frame and face",
                value=Spread.of([t * 1e3 for t in per_frame]),
                unit="ms",
                target="aim 1.5",
            ),
            Row(what=f"{rate_hz:.0f} fps: over one Farneback call", value=ratio(per_frame, per_flow), unit="x"),
        ]
    report("spotter", rows, f"{SECONDS:.0f} s of the animated portrait")
