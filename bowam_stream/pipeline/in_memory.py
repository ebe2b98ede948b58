"""Pictures that are in memory already, through the stages in this very process: no sockets, no journal, no clock.

    for event in spot(np.load("face.npy"), rate_hz=100):
        print(event.phase, event.kind, event.label, event.onset.frame)

`align` is the first half of it, for who wants a spotter or a network of their own behind it.
"""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from bowam_model.face import FaceAligner, FaceSettings
from bowam_stream.capture.stage import FaceStage
from bowam_stream.clock import NS_PER_SECOND
from bowam_stream.errors import ConfigError
from bowam_stream.messages import AlignedFrame, Candidate, EndOfStream, Event, Frame, Hello, Moment
from bowam_stream.spotting import Spotter, SpottingSettings

if TYPE_CHECKING:  # recognition loads torch; alignment must not
    from bowam_stream.worker import Predictor

NAME = "array"  # of camera and session, unless somebody gives them others


def align(
    frames: Iterable[np.ndarray],
    rate_hz: float,
    *,
    camera: str = NAME,
    session: str = NAME,
    faces: FaceSettings | None = None,
) -> Iterator[AlignedFrame]:
    """Faces of pictures that are in memory, found, followed and aligned as in live use; one message for each picture.

    Args:
        frames: uint8 (H, W) grey or (H, W, 3) RGB, upright, in order; an array (T, H, W) or (T, H, W, 3) will do, and
            so will a generator: nothing is kept.
        rate_hz: pictures per second. A moment is the picture's number over this.
        camera, session: names that the messages carry.
        faces: how faces are followed; None takes the defaults.
    Raises:
        ConfigError: `rate_hz` is not a positive number.
        ImageError: a picture is of another kind (while iterating).
        MissingDependency: the extra `[capture]`, which brings MediaPipe, is not installed (while iterating).
    """
    if not (np.isfinite(rate_hz) and rate_hz > 0):
        raise ConfigError(f"rate_hz is {rate_hz}: pass how many pictures there are in a second")
    return _aligned(frames, rate_hz, camera, session, faces or FaceSettings())


def spot(
    frames: Iterable[np.ndarray],
    rate_hz: float,
    *,
    camera: str = NAME,
    session: str = NAME,
    faces: FaceSettings | None = None,
    spotting: SpottingSettings | None = None,
    predictor: "Predictor | None" = None,
) -> Iterator[Event]:
    """Events of pictures that are in memory, each as soon as the pictures that decide it have been seen.

    The stages are those of `bowam replay`, in this process. As there, a provisional record comes first and a final or
    retracted one closes it; take those whose `phase` is "final" if you want results only. `seq` counts from 1.

    Args:
        frames, rate_hz, camera, session, faces: as for `align`.
        spotting: how movements are found; None takes the defaults.
        predictor: what names them, such as `bowam_model.load("mine.safetensors")`; None takes the shipped weights.
    Raises:
        ConfigError, ImageError, MissingDependency: as `align` does.
        WeightsError: the shipped weights can't be read (while iterating).
    """
    aligned = align(frames, rate_hz, camera=camera, session=session, faces=faces)
    hello = Hello(camera=camera, session=session, source=NAME, rate_hz=rate_hz, lossless=True)
    return _spotted(aligned, hello, spotting or SpottingSettings(), predictor)


def _aligned(
    frames: Iterable[np.ndarray], rate_hz: float, camera: str, session: str, settings: FaceSettings
) -> Iterator[AlignedFrame]:
    with FaceAligner(settings) as aligner:
        stage = FaceStage(aligner, camera=camera, session=session)
        for number, image in enumerate(frames):
            moment = Moment(frame=number, t_ns=round(number * NS_PER_SECOND / rate_hz))
            yield stage.push(Frame(moment=moment, image=image))


def _spotted(
    frames: Iterator[AlignedFrame], hello: Hello, settings: SpottingSettings, predictor: "Predictor | None"
) -> Iterator[Event]:
    from bowam_model.predictor import load
    from bowam_stream.worker import Recogniser

    spotter, recogniser = Spotter(settings, hello), Recogniser(predictor or load())
    for said, candidate in enumerate(_candidates(frames, spotter, hello), start=1):
        yield msgspec.structs.replace(recogniser.push(candidate), seq=said)


def _candidates(frames: Iterator[AlignedFrame], spotter: Spotter, hello: Hello) -> Iterator[Candidate]:
    seen = 0
    for frame in frames:
        seen += 1
        yield from spotter.push(frame)
    yield from spotter.finish(EndOfStream(camera=hello.camera, session=hello.session, seq=seen, frames=seen))
