"""The explanation of a run: a row for every frame and face, with what it brought."""

import csv
import sys
from pathlib import Path

import pytest

from bowam_stream.cli.outputs import Outputs
from bowam_stream.errors import ConfigError, ReportError
from bowam_stream.messages import AlignedFrame, Candidate, Event, Hello, Moment, Phase
from bowam_stream.report import Record, Recorder
from bowam_stream.report import explain as explaining
from bowam_stream.report.explain import COLUMNS, write_explanation
from bowam_stream.spotting import TraceRow
from bowam_stream.spotting.regions import NAMES


def moment(frame: int) -> Moment:
    return Moment(frame=frame, t_ns=frame * 10_000_000)


def seen(frame: int, track: int, state: str = "rest", doubt: str | None = None, *quality: str) -> TraceRow:
    return TraceRow(
        frame=frame,
        t_ns=moment(frame).t_ns,
        face=track,
        signal=1.23456789 + frame,
        threshold=5.0,
        motion_px=0.1,
        state=state,
        doubt=doubt,
        refused=None,
        quality=quality,
        regions={name: float(place) for place, name in enumerate(NAMES)},
    )


def candidate(event_id: str, phase: Phase, track: int = 0, reason: str | None = None) -> Candidate:
    return Candidate(
        event_id=event_id, camera="c", session="s", face=track, phase=phase, kind=None, onset=moment(1),
        apex=moment(2), offset=None, score=6.0, reason=reason,
    )  # fmt: skip


def event(event_id: str, phase: Phase, reason: str | None = None, kind: str | None = None) -> Event:
    return Event(
        event_id=event_id, seq=1, camera="c", session="s", face=0, kind=kind, phase=phase, onset=moment(1),
        apex=moment(2), offset=None, label=None, probabilities=None, confidence=None, spotting_score=6.0, quality=(),
        model=None, reason=reason,
    )  # fmt: skip


@pytest.fixture
def record(tmp_path: Path) -> Record:
    """Two faces, then nobody; face 0 opens a movement that the network refuses, face 1 leaves with its own."""
    trace = [
        [seen(0, 0), seen(0, 1, "told")],
        [seen(1, 0, "open", "nod", "gap", "warming_up"), seen(1, 1, "told")],
        [seen(2, 0, "told")],
        [],
        [],
    ]
    with Recorder(tmp_path / "run", Hello(camera="c", session="s", source="clip.mp4")) as recorder:
        for number, rows in enumerate(trace):
            frame = AlignedFrame(camera="c", session="s", seq=number, moment=moment(number), faces=())
            recorder.frame(frame, rows)
            if number == 2:
                recorder.candidate(candidate("b", "final"))
                recorder.candidate(candidate("a", "provisional"))
                recorder.candidate(candidate("z", "retracted", track=1, reason="face_lost"))
        recorder.candidate(candidate("a", "final"))
    return Record(tmp_path / "run")


EVENTS = (
    event("b", "final", kind="blink"),
    event("a", "provisional"),
    event("z", "retracted", reason="face_lost"),
    event("a", "retracted", reason="none"),
)


def table(file: Path) -> list[dict[str, str]]:
    with file.open(newline="") as opened:
        return list(csv.DictReader(opened))


def test_every_frame_and_face_has_a_row_also_where_nobody_is_or_somebody_left(record: Record, tmp_path: Path) -> None:
    write_explanation(tmp_path / "e.csv", record, EVENTS)
    rows = table(tmp_path / "e.csv")
    assert tuple(rows[0]) == COLUMNS
    assert [(row["frame"], row["t_ns"], row["face"]) for row in rows] == [
        ("0", "0", "0"),
        ("0", "0", "1"),
        ("1", "10000000", "0"),
        ("1", "10000000", "1"),
        ("2", "20000000", "0"),
        ("2", "20000000", "1"),  # no longer in the picture: its event is taken back here
        ("3", "30000000", ""),
        ("4", "40000000", "0"),  # nor here, but its event is closed at the end of the stream
    ]


def test_a_row_tells_signal_state_doubt_and_regions(record: Record, tmp_path: Path) -> None:
    write_explanation(tmp_path / "e.csv", record, EVENTS)
    row = table(tmp_path / "e.csv")[2]
    assert (row["signal"], row["threshold"], row["motion_px"]) == ("2.2346", "5.0", "0.1")
    assert (row["state"], row["doubt"], row["quality"]) == ("open", "nod", "gap;warming_up")
    assert [float(row[name]) for name in NAMES] == list(range(len(NAMES)))
    assert row["event_id"] == row["phase"] == row["reason"] == ""


def test_what_was_published_stands_at_the_frame_that_brought_it(record: Record, tmp_path: Path) -> None:
    """The network's refusal too: the spotter's candidate was final, the published record is a retraction."""
    write_explanation(tmp_path / "e.csv", record, EVENTS)
    told = [
        (row["frame"], row["face"], row["event_id"], row["phase"], row["kind"], row["reason"])
        for row in table(tmp_path / "e.csv")
        if row["event_id"]
    ]
    assert told == [
        ("2", "0", "b;a", "final;provisional", "blink;", ""),
        ("2", "1", "z", "retracted", "", "face_lost"),
        ("4", "0", "a", "retracted", "", "none"),
    ]


def test_two_explanations_are_the_same_bytes(record: Record, tmp_path: Path) -> None:
    files = [tmp_path / "a.csv", tmp_path / "b.csv"]
    for file in files:
        write_explanation(file, record, EVENTS)
    assert files[0].read_bytes() == files[1].read_bytes()


def test_parquet_holds_the_same_table(record: Record, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="no pyarrow that fits", exc_type=ImportError)
    for file in ("a.parquet", "b.parquet"):
        write_explanation(tmp_path / file, record, EVENTS)
    rows = parquet.read_table(tmp_path / "a.parquet").to_pylist()
    assert [tuple(row.values()) for row in rows] == list(explaining.rows(record, EVENTS))
    assert rows[0]["signal"] == 1.2346
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()


def test_an_empty_run_is_an_empty_table(tmp_path: Path) -> None:
    Recorder(tmp_path / "run", Hello(camera="c", session="s", source="clip.mp4")).close()
    write_explanation(tmp_path / "e.csv", Record(tmp_path / "run"), ())
    assert (tmp_path / "e.csv").read_text() == ",".join(COLUMNS) + "\n"


def test_a_format_that_cannot_be_written_is_said_before_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)  # as where it is not installed
    for name, words in (("e.parquet", "Parquet needs pyarrow"), ("e.txt", "ends in .csv or .parquet")):
        with pytest.raises(ReportError, match=words):
            Outputs(events=None, report=None, overlay=None, explain=tmp_path / name)


def test_an_explanation_takes_no_other_files_place(tmp_path: Path) -> None:
    (tmp_path / "clip.csv").write_text("precious")
    with pytest.raises(ConfigError, match="something else"):
        Outputs(events=None, report=None, overlay=None, explain=tmp_path / "clip.csv", others=(tmp_path / "clip.csv",))
    with pytest.raises(ConfigError, match="something else"):
        Outputs(events=tmp_path / "same.csv", report=None, overlay=None, explain=tmp_path / "same.csv")
    assert Outputs(events=None, report=None, overlay=None, explain=tmp_path / "new.csv").need_record
