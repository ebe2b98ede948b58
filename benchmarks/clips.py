"""The input of the suites: the built-in portrait, animated and aligned once per process."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np

from bowam_model.face import FaceAligner
from bowam_model.synthesis import load_identity, make_clip, plan_clip, render
from bowam_stream.capture import FaceStage
from bowam_stream.messages import AlignedFrame, Frame, Hello, Moment


@cache
def grey_frames(rate_hz: float, seconds: float, seed: int = 7) -> tuple[np.ndarray, ...]:
    """Raw grey 640x480 frames of a face that blinks, drifts and shows micro-expressions."""
    plan = plan_clip(seed, rate_hz=rate_hz, seconds=seconds, events=max(1, int(seconds / 3)))
    return tuple(np.ascontiguousarray(frame[..., 1]) for frame in render(plan, load_identity()))


@cache
def aligned_frames(rate_hz: float, seconds: float, seed: int = 7) -> tuple[Hello, tuple[AlignedFrame, ...]]:
    """The same, aligned."""
    hello = Hello(camera="cam0", session="bench", source="bench", rate_hz=rate_hz, lossless=True)
    with FaceAligner() as aligner:
        stage = FaceStage(aligner, camera="cam0", session="bench")
        return hello, tuple(stage.push(frame) for frame in numbered(grey_frames(rate_hz, seconds, seed), rate_hz))


def numbered(images: tuple[np.ndarray, ...], rate_hz: float) -> Iterator[Frame]:
    """Images with their times."""
    for index, image in enumerate(images):
        yield Frame(moment=Moment(frame=index, t_ns=round(index * 1e9 / rate_hz)), image=image)


def clip(folder: Path, rate_hz: float, seconds: float, every_s: float = 3.0) -> Path:
    """The same as a file, a micro-expression every so often."""
    make_clip(plan_clip(7, rate_hz=rate_hz, seconds=seconds, events=max(1, int(seconds / every_s))), None, folder)
    return folder / "clip.mp4"
