"""The stage of the capture process: one message for every frame."""

from collections.abc import Generator
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from bowam_model.face import FaceAligner, Found
from bowam_model.synthesis import load_identity, plan_clip, render
from bowam_stream.capture import Ahead, FaceStage, open_source
from bowam_stream.messages import AlignedFrame, Frame, Moment
from bowam_stream.transport.codec import encode


def test_a_frame_without_a_face_is_a_message_too() -> None:
    """Ten pictures of a test pattern give ten numbered messages without faces."""
    source = open_source("test://pattern?frames=10&rate=100&size=320x240")
    with FaceAligner() as aligner:
        stage = FaceStage(aligner, camera="cam0", session="s", first_seq=5)
        messages = [stage.push(frame) for frame in source]
    assert [m.seq for m in messages] == list(range(5, 15))
    assert [m.moment.t_ns for m in messages] == [10_000_000 * k for k in range(10)]
    assert all(m.faces == () and (m.camera, m.session, m.published_ns) == ("cam0", "s", 0) for m in messages)
    assert stage.next_seq == 15


@pytest.mark.media
def test_two_runs_over_a_recording_are_equal_to_the_last_bit(media: Path) -> None:
    """From the file to the message: what replay's reproducibility stands on."""

    def run() -> list[AlignedFrame]:
        with FaceAligner() as aligner:
            stage = FaceStage(aligner, camera="cam0", session="s")
            return [stage.push(frame) for frame in open_source(str(media / "robust" / "bitflips_light.mp4"))]

    first, second = run(), run()
    assert len(first) == 72
    for a, b in zip(first, second, strict=True):
        assert (a.seq, a.moment, a.quality) == (b.seq, b.moment, b.quality)
        for x, y in zip(a.faces, b.faces, strict=True):
            assert (x.track, x.quality) == (y.track, y.quality)
            assert x.crop.dtype == np.uint8
            assert x.landmarks.dtype == np.float32
            assert x.transform.dtype == np.float64
            for name in ("crop", "landmarks", "transform"):
                np.testing.assert_array_equal(getattr(x, name), getattr(y, name))
    assert sum("damaged" in m.quality for m in first) == 11
    assert all(len(m.faces) == 1 for m in first)


@pytest.mark.parametrize("rate_hz", [30.0, 200.0])
def test_two_threads_give_what_one_gives(rate_hz: float) -> None:
    """Finding faces a picture ahead of cutting them out changes no byte of any message."""
    images = [picture[..., 1] for picture in islice(render(plan_clip(3, rate_hz=rate_hz), load_identity()), 60)]
    frames = [
        Frame(moment=Moment(frame=k, t_ns=round(k * 1e9 / rate_hz)), image=np.ascontiguousarray(image))
        for k, image in enumerate(images)
    ]

    def one() -> list[AlignedFrame]:
        with FaceAligner() as aligner:
            stage = FaceStage(aligner, camera="cam0", session="s")
            return [stage.push(frame) for frame in frames]

    def two() -> list[AlignedFrame]:
        with FaceAligner() as aligner:
            stage = FaceStage(aligner, camera="cam0", session="s")

            def find() -> Generator[tuple[Frame, Found], None, None]:
                for frame in frames:
                    yield frame, stage.find(frame)

            with Ahead(find()) as found:
                return [stage.cut(frame, faces) for frame, faces in found]

    def as_bytes(messages: list[AlignedFrame]) -> list[list[bytes]]:
        return [[bytes(part) for part in encode(message)] for message in messages]

    together = two()
    assert all(len(message.faces) == 1 for message in together)
    assert as_bytes(one()) == as_bytes(together)
