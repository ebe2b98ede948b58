"""Real faces without a micro-expression: the smile is none, and neither are flickering light nor a shaking camera."""

from pathlib import Path

import pytest

from bowam_model.face import FaceAligner
from bowam_stream.capture import FaceStage, open_source
from bowam_stream.messages import Candidate, EndOfStream, Hello
from bowam_stream.spotting import Spotter, SpottingSettings

pytestmark = pytest.mark.media


def candidates(path: Path) -> list[Candidate]:
    source = open_source(str(path))
    spotter = Spotter(
        SpottingSettings(), Hello(camera="cam", session="s", source=path.name, rate_hz=source.rate_hz, lossless=True)
    )
    found, count = [], 0
    with FaceAligner() as aligner:
        stage = FaceStage(aligner, camera="cam", session="s")
        for frame in source:
            found += spotter.push(stage.push(frame))
            count += 1
    return found + spotter.finish(EndOfStream(camera="cam", session="s", seq=count, frames=count))


@pytest.mark.parametrize(
    "name",
    [
        "videos/single_face.mp4",
        "robust/flicker_neutral.mp4",
        "robust/shake_neutral.mp4",
        "robust/cut_identity_change.mp4",
        "videos/grid/lbax4n.mpg",
    ],
)
def test_no_micro_expression_is_claimed_where_there_is_none(media: Path, name: str) -> None:
    assert not [c for c in candidates(media / name) if c.phase == "final" and c.kind == "micro"]


def test_the_blink_before_the_smile_is_seen(media: Path) -> None:
    """Closed in frames 26 to 28."""
    blinks = [c for c in candidates(media / "videos/single_face.mp4") if c.phase == "final" and c.kind == "blink"]
    assert any(c.offset is not None and c.onset.frame <= 26 and c.offset.frame >= 28 for c in blinks)
