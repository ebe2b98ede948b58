"""Frames from one real process to another: every number once, in order."""

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest

from bowam_stream.messages import AlignedFrame, EndOfStream, Hello
from bowam_stream.transport import TransportSettings, open_receiver

pytestmark = pytest.mark.system


@pytest.mark.parametrize("source", ["test://pattern?frames=2000&rate=200&size=320x240", "robust/fps_200.mp4"])
def test_a_clip_of_200_frames_per_second_arrives_whole_at_full_speed(
    start: Callable, tmp_path: Path, request: pytest.FixtureRequest, source: str
) -> None:
    """Hello, then every frame number once and in order, then the end; nothing dropped, times strictly increasing."""
    if not source.startswith("test:"):
        source = str(request.getfixturevalue("media") / source)
    settings = TransportSettings(endpoint=f"ipc://{tmp_path}/frames")
    capture = start("capture", source, "--frames", settings.endpoint, "--metrics-port", 0)
    frames: list[AlignedFrame] = []
    with open_receiver(settings, lossless=True) as receiver:
        while not isinstance(message := receiver.receive(30.0), EndOfStream):
            assert message is not None, "the capture process is silent"
            if isinstance(message, Hello):
                assert message.lossless
                assert not frames
            else:
                frames.append(message)
        receiver.acknowledge(message)
    assert capture.wait(timeout=30) == 0, capture.communicate()[1]
    assert [frame.moment.frame for frame in frames] == list(range(message.frames))
    assert [frame.seq for frame in frames] == list(range(message.frames))
    times = [frame.moment.t_ns for frame in frames]
    assert times[0] == 0
    assert all(a < b for a, b in itertools.pairwise(times))
    assert len(frames) > 50
