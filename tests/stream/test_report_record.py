"""The record of a run comes back as it was written, also after a crash."""

from pathlib import Path

import msgspec
import numpy as np
import pytest

from bowam_stream.errors import ReportError
from bowam_stream.messages import (
    AlignedFrame,
    Candidate,
    EndOfStream,
    Face,
    FaceQuality,
    Hello,
    Moment,
    Triple,
)
from bowam_stream.report import Record, Recorder
from bowam_stream.report.record import OUTLINES
from bowam_stream.spotting.regions import REGIONS

HELLO = Hello(camera="clip", session="s", source="clip.mp4", rate_hz=30.0)
END = EndOfStream(camera="clip", session="s", seq=3, frames=3, quality=("truncated",))


class Row(msgspec.Struct):
    """What a spotter's row of the trace has."""

    face: int
    signal: float | None = 1.25
    threshold: float | None = 4.0
    state: str = "watching"
    motion_px: float = 0.25
    doubt: str | None = None
    refused: str | None = None
    quality: tuple[str, ...] = ()
    regions: dict = {}


def face(track: int = 0) -> Face:
    rng = np.random.default_rng(track)
    return Face(
        track=track,
        crop=np.zeros((240, 240), np.uint8),
        landmarks=rng.uniform(-20, 260, (468, 2)).astype(np.float32),
        transform=np.array([[0.5, 0.1, -40.0], [-0.1, 0.5, -12.5]]),
        quality=FaceQuality(sharpness=1, yaw_deg=0, pitch_deg=0, roll_deg=0, size_px=100, confidence=1),
    )


def aligned(frame: int, *faces: Face) -> AlignedFrame:
    moment = Moment(frame=frame, t_ns=frame * 33_333_333)
    return AlignedFrame(camera="clip", session="s", seq=frame, moment=moment, faces=faces)


def candidate(event_id: str, triple: Triple | None) -> Candidate:
    at = Moment(frame=1, t_ns=0)
    return Candidate(
        **dict.fromkeys(("onset", "apex", "offset"), at),
        event_id=event_id,
        camera="clip",
        session="s",
        face=0,
        phase="final",
        kind="micro",
        score=5.0,
        triple=triple,
    )


def test_frames_come_back_in_order_with_their_trace(tmp_path: Path) -> None:
    with Recorder(tmp_path / "run", HELLO) as recorder:
        recorder.frame(
            aligned(0, face()),
            [Row(face=0, regions={"chin": np.float32(0.5)}, doubt="too_weak", refused="nod", quality=("gap",))],
        )
        recorder.frame(aligned(1), [])
        recorder.frame(aligned(2, face(1)), [])
        recorder.close(END)
    record = Record(tmp_path / "run")
    first, second, third = record.frames()
    assert (record.hello, record.end) == (HELLO, END)
    assert [first.frame, second.frame, third.frame] == [0, 1, 2]
    assert first.t_ns == 0 < second.t_ns
    (seen,) = first.faces
    assert (seen.signal, seen.threshold, seen.state, seen.regions) == (1.25, 4.0, "watching", {"chin": 0.5})
    assert (seen.motion_px, seen.doubt, seen.refused, seen.quality) == (0.25, "too_weak", "nod", ("gap",))
    assert second.faces == ()
    assert (third.faces[0].track, third.faces[0].signal) == (1, None)


def test_landmarks_are_kept_to_a_hundredth_of_a_pixel(tmp_path: Path) -> None:
    with Recorder(tmp_path / "run", HELLO) as recorder:
        recorder.frame(aligned(0, face()), [Row(face=0)])
    (frame,) = Record(tmp_path / "run").frames()
    landmarks = face().landmarks
    for name, points in frame.faces[0].outlines().items():
        np.testing.assert_allclose(points, landmarks[list(OUTLINES[name])], atol=0.01)
    for name, point in frame.faces[0].region_middles().items():
        np.testing.assert_allclose(point, landmarks[list(REGIONS[name])].mean(axis=0), atol=0.01)


def test_the_way_back_to_the_source_undoes_the_alignment(tmp_path: Path) -> None:
    with Recorder(tmp_path / "run", HELLO) as recorder:
        recorder.frame(aligned(0, face()), [])
    (frame,) = Record(tmp_path / "run").frames()
    back = frame.faces[0].crop_to_source()
    assert back is not None
    there = np.vstack([face().transform, [0, 0, 1]])
    np.testing.assert_allclose(np.vstack([back, [0, 0, 1]]) @ there, np.eye(3), atol=1e-9)


def test_a_row_whose_face_is_gone_has_no_place_in_the_picture(tmp_path: Path) -> None:
    with Recorder(tmp_path / "run", HELLO) as recorder:
        recorder.frame(aligned(0), [Row(face=3)])
    (seen,) = next(Record(tmp_path / "run").frames()).faces
    assert (seen.track, seen.transform, seen.crop_to_source(), seen.outlines(), seen.region_middles()) == (
        3,
        None,
        None,
        {},
        {},
    )


def test_the_three_crops_are_kept_without_loss(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    crops = [rng.integers(0, 256, (240, 240), np.uint8) for _ in range(3)]
    with Recorder(tmp_path / "run", HELLO) as recorder:
        recorder.candidate(candidate("a", Triple(onset=crops[0], apex=crops[1], offset=crops[2])))
        recorder.candidate(candidate("b", None))
    record = Record(tmp_path / "run")
    kept = record.triple("a")
    assert kept is not None
    for crop, back in zip(crops, (kept.onset, kept.apex, kept.offset), strict=True):
        np.testing.assert_array_equal(crop, back)
    assert record.triple("b") is None


def test_a_candidate_is_noted_at_the_frame_that_brought_it(tmp_path: Path) -> None:
    """What the end of the stream brings stands at the last frame."""
    with Recorder(tmp_path / "run", HELLO) as recorder:
        for frame in range(3):
            recorder.frame(aligned(frame, face()), [Row(face=0)])
            if frame == 1:
                recorder.candidate(candidate("a", None))
        recorder.candidate(candidate("b", None))
    told = Record(tmp_path / "run").told()
    assert [(one.event_id, one.frame, one.track) for one in told] == [
        ("a", 1, 0),
        ("b", 2, 0),
    ]


def test_a_record_of_a_killed_worker_is_read_up_to_its_last_whole_frame(tmp_path: Path) -> None:
    with Recorder(tmp_path / "run", HELLO) as recorder:
        for frame in range(5):
            recorder.frame(aligned(frame, face()), [Row(face=0)])
    path = tmp_path / "run" / "frames.bin"
    path.write_bytes(path.read_bytes()[:-7])
    record = Record(tmp_path / "run")
    assert [frame.frame for frame in record.frames()] == [0, 1, 2, 3]
    assert record.end is None


def test_a_worker_that_starts_over_leaves_nothing_of_the_first_run(tmp_path: Path) -> None:
    blank = np.zeros((240, 240), np.uint8)
    with Recorder(tmp_path / "run", HELLO) as recorder:
        recorder.frame(aligned(0), [])
        recorder.candidate(candidate("a", Triple(onset=blank, apex=blank, offset=blank)))
        recorder.close(END)
    Recorder(tmp_path / "run", HELLO).close()
    record = Record(tmp_path / "run")
    assert (list(record.frames()), record.triple("a"), record.end) == ([], None, None)


def test_the_folder_is_private(tmp_path: Path) -> None:
    Recorder(tmp_path / "run", HELLO).close()
    assert (tmp_path / "run").stat().st_mode & 0o077 == 0


def test_no_record_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(ReportError, match="no record of a run"):
        Record(tmp_path / "nowhere")
