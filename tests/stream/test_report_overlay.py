"""The overlay shows every frame at its time, and only what is true of it."""

from collections.abc import Iterator
from pathlib import Path

import av
import msgspec
import numpy as np
import pytest

from bowam_stream.errors import ReportError
from bowam_stream.messages import AlignedFrame, Event, Face, FaceQuality, Frame, Hello, Moment
from bowam_stream.report import Record, Recorder, write_overlay
from bowam_stream.report.canvas import COLOURS
from bowam_stream.report.matching import TrueEvent, Truth
from bowam_stream.report.painter import Painter, event_spans, true_spans
from bowam_stream.report.trace import read_trace

RATE_HZ = 50


class Row(msgspec.Struct):
    face: int
    signal: float | None
    threshold: float | None = 4.0
    state: str = "watching"
    motion_px: float = 0.5
    doubt: str | None = None
    refused: str | None = None
    quality: tuple[str, ...] = ()
    regions: dict = {}


def moment(frame: int, t_ns: int | None = None) -> Moment:
    return Moment(frame=frame, t_ns=frame * 1_000_000_000 // RATE_HZ if t_ns is None else t_ns)


def picture(height: int = 120, width: int = 160, grey: bool = False) -> np.ndarray:
    shape = (height, width) if grey else (height, width, 3)
    return np.full(shape, 90, np.uint8)


def event(**changes: object) -> Event:
    fields: dict = {
        "event_id": "e",
        "seq": 1,
        "camera": "clip",
        "session": "s",
        "face": 0,
        "kind": "micro",
        "phase": "final",
        "onset": moment(10),
        "apex": moment(12),
        "offset": moment(16),
        "label": "positive",
        "probabilities": {"positive": 0.8, "none": 0.2},
        "confidence": 0.8,
        "spotting_score": 5.0,
        "quality": (),
        "model": None,
    }
    return Event(**(fields | changes))


@pytest.fixture
def record(tmp_path: Path) -> Record:
    """Thirty frames; frame 5 has no face and frame 7 was never recorded."""
    hello = Hello(camera="clip", session="s", source="clip.mp4", rate_hz=RATE_HZ)
    quality = FaceQuality(sharpness=1, yaw_deg=0, pitch_deg=0, roll_deg=0, size_px=100, confidence=1)
    face = Face(
        track=0,
        crop=np.zeros((240, 240), np.uint8),
        landmarks=np.full((468, 2), 120, np.float32),
        transform=np.array([[2.0, 0, -40.0], [0, 2.0, 0]]),
        quality=quality,
    )
    with Recorder(tmp_path / "run", hello) as recorder:
        for number in (n for n in range(30) if n != 7):
            faces = () if number == 5 else (face,)
            frame = AlignedFrame(camera="clip", session="s", seq=number, moment=moment(number), faces=faces)
            recorder.frame(frame, [Row(face=0, signal=None if number < 3 else 1.0)] if faces else [])
    return Record(tmp_path / "run")


def decoded(path: Path) -> list[av.VideoFrame]:
    with av.open(str(path)) as file:
        return list(file.decode(video=0))


@pytest.mark.parametrize(("height", "width", "grey"), [(120, 160, False), (121, 161, True), (480, 640, False)])
def test_every_frame_is_there_in_a_video_that_plays_everywhere(
    tmp_path: Path, record: Record, height: int, width: int, grey: bool
) -> None:
    """H.264 with 4:2:0 colour needs even sides, whatever the source has."""
    frames = (Frame(moment=moment(n), image=picture(height, width, grey)) for n in range(30))
    seen: list[int] = []
    assert write_overlay(tmp_path / "o.mp4", frames, record, [event()], progress=seen.append) == 30
    assert seen == list(range(1, 31))
    with av.open(str(tmp_path / "o.mp4")) as file:
        codec = file.streams.video[0].codec_context
        assert (codec.name, codec.pix_fmt) == ("h264", "yuv420p")
        assert codec.width % 2 == codec.height % 2 == 0
        assert codec.width / (codec.height - codec.height * 0.25) == pytest.approx(width / height, rel=0.15)
    assert len(decoded(tmp_path / "o.mp4")) == 30


def test_a_variable_rate_is_kept(tmp_path: Path, record: Record) -> None:
    times_ns = [0, 20_000_000, 30_000_000, 230_000_000, 231_000_000, 1_000_000_000]
    frames = (Frame(moment=moment(n, t_ns), image=picture()) for n, t_ns in enumerate(times_ns))
    write_overlay(tmp_path / "o.mp4", frames, record, [])
    times_s = [frame.time for frame in decoded(tmp_path / "o.mp4")]
    np.testing.assert_allclose(times_s, np.array(times_ns) / 1e9, atol=1 / 90_000)


def test_times_that_stand_still_still_make_a_video(tmp_path: Path, record: Record) -> None:
    frames = (Frame(moment=moment(n, 0), image=picture()) for n in range(4))
    assert write_overlay(tmp_path / "o.mp4", frames, record, []) == 4
    assert len(decoded(tmp_path / "o.mp4")) == 4


def test_without_frames_there_is_no_file(tmp_path: Path, record: Record) -> None:
    assert write_overlay(tmp_path / "o.mp4", iter(()), record, []) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_what_fails_halfway_leaves_nothing_and_keeps_the_old_file(tmp_path: Path, record: Record) -> None:
    (tmp_path / "o.mp4").write_text("older")

    def frames() -> Iterator[Frame]:
        yield Frame(moment=moment(0), image=picture())
        raise RuntimeError("the disk is gone")

    with pytest.raises(RuntimeError, match="the disk is gone"):
        write_overlay(tmp_path / "o.mp4", frames(), record, [])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["o.mp4", "run"]
    assert (tmp_path / "o.mp4").read_text() == "older"


def test_what_mp4_cannot_hold_is_one_clear_line(tmp_path: Path, record: Record) -> None:
    """Here a picture that stands for a year."""
    times = (0, 40_000_000, 365 * 24 * 3600 * 1_000_000_000)
    frames = [Frame(moment=Moment(frame=k, t_ns=t_ns), image=picture()) for k, t_ns in enumerate(times)]
    with pytest.raises(ReportError, match=r"can't write .*o\.mp4"):
        write_overlay(tmp_path / "o.mp4", frames, record, [])
    assert not (tmp_path / "o.mp4").exists()


def test_a_folder_that_is_not_there_is_one_clear_line(tmp_path: Path, record: Record) -> None:
    with pytest.raises(ReportError, match="can't write"):
        write_overlay(tmp_path / "nowhere" / "o.mp4", [Frame(moment=moment(0), image=picture())], record, [])


def near(canvas: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    """Where the canvas has this colour, roughly."""
    return np.abs(canvas.astype(int) - colour).max(axis=2) < 16


def paint(record: Record, number: int, events: list[Event], truth: Truth | None = None) -> np.ndarray:
    painter = Painter(read_trace(record.frames()), event_spans(events), true_spans(truth))
    seen = next((frame for frame in record.frames() if frame.frame == number), None)
    return painter.paint(Frame(moment=moment(number), image=picture(480, 640)), seen)


def test_the_banner_stands_from_onset_to_offset(record: Record) -> None:
    """At full strength only there; afterwards it fades, and before it there is nothing."""
    strength = [int(near(paint(record, n, [event()])[:60, :200], COLOURS["positive"]).sum()) for n in range(8, 20)]
    assert strength[0] == strength[1] == 0
    assert min(strength[2:9]) > 1000
    assert max(strength[9:]) == 0


@pytest.mark.parametrize(
    "change",
    [
        {"phase": "retracted", "kind": None, "label": None, "reason": "none"},
        {"phase": "provisional", "kind": None, "label": None, "offset": None},
    ],
)
def test_what_was_refused_or_is_not_settled_is_not_shown(record: Record, change: dict) -> None:
    np.testing.assert_array_equal(paint(record, 12, [event(**change)]), paint(record, 12, []))


def test_the_truth_is_shown_below_the_signal(record: Record) -> None:
    truth = Truth(
        fps=RATE_HZ, frames=30, events=(TrueEvent(kind="micro", onset=2, apex=4, offset=8, label="surprise"),)
    )
    with_truth = paint(record, 12, [], truth)
    assert near(with_truth[480:], COLOURS["surprise"]).sum() > 20
    assert not near(paint(record, 12, [])[480:], COLOURS["surprise"]).any()


def test_the_face_is_marked_where_it_is_and_only_while_it_is(record: Record) -> None:
    """Crop pixel (24, 8) lies at source (32, 4); the transform maps source x to 2 x - 40."""
    with_face, without = paint(record, 12, []), paint(record, 5, [])
    assert with_face[4:6, 33:40].mean() > 200
    assert (without[:480] == 90).all()
    assert (paint(record, 7, [])[:480] == 90).all()


def test_what_goes_on_stands_above_what_has_passed(record: Record) -> None:
    """A banner that fades makes room for the next one."""
    passed = event(
        event_id="b", kind="blink", label=None, confidence=None, onset=moment(2), apex=moment(4), offset=moment(8)
    )
    alone, after = (
        near(paint(record, 12, events)[:40, :200], COLOURS["positive"]) for events in ([event()], [passed, event()])
    )
    np.testing.assert_array_equal(alone, after)
    assert alone.any()
