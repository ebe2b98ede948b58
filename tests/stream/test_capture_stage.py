"""The stage of the capture process: one message for every frame."""

from pathlib import Path

import numpy as np
import pytest

from bowam_model.face import FaceAligner
from bowam_stream.capture import FaceStage, open_source
from bowam_stream.messages import AlignedFrame


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
