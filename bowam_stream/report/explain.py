"""Why an event was raised or not: one row per frame and face, as a table for a researcher's own tools.

    frame, t_ns        as in the events
    face               the track; empty where no face was found
    signal, threshold  motion of the two strongest regions together, in units of this face's noise at rest
    motion_px          motion of the region that moved farthest, px of the 240 px face
    state              rest; open: a movement is measured; told: its event is out; slow: it outlasted a micro-expression
    doubt              why the open movement is not told now: one of the events' reasons, "tail" (of the movement
                       before) or "way_back" (of a slow one)
    refused            the movement ended here and was never told: why
    quality            what is wrong with this frame: as in the events, or "skipped": it came too soon after the last
    event_id, phase, kind, reason, label      the event records that this frame brought
    brow_outer_left... how far each region is from its recent past, in units of its own noise at rest

Several records or words in one field are joined by ";".
What came after the last frame stands there. Files are the same, byte for byte, in every replay.
"""

import csv
from collections.abc import Iterable, Iterator, Sequence
from importlib import import_module
from itertools import groupby, islice
from pathlib import Path

from bowam_stream.errors import ReportError
from bowam_stream.messages import Event
from bowam_stream.report.files import written_whole
from bowam_stream.report.record import FaceRecord, FrameRecord, Record
from bowam_stream.spotting.regions import NAMES

CSV, PARQUET = ".csv", ".parquet"
NUMBERS = ("signal", "threshold", "motion_px")
EVENT_FIELDS = ("event_id", "phase", "kind", "reason", "label")
COLUMNS = ("frame", "t_ns", "face", *NUMBERS, "state", "doubt", "refused", "quality", *EVENT_FIELDS, *NAMES)
GROUP_ROWS = 50_000  # of a Parquet row group: what is held in memory
DIGITS = 4

Row = tuple[int | float | str | None, ...]
"""One value for each of COLUMNS; None: there is none."""


def check_format(path: Path) -> None:
    """Raise ReportError for a file that can't be written as a table."""
    if path.suffix.lower() not in (CSV, PARQUET):
        raise ReportError(f"can't write {path}: name a file that ends in {CSV} or {PARQUET}")
    if path.suffix.lower() == PARQUET:
        try:
            import_module("pyarrow.parquet")
        except ImportError as error:
            raise ReportError(
                f"can't write {path}: Parquet needs pyarrow ({error}); pip install 'pyarrow<25', or name a {CSV}"
            ) from None


def rows(record: Record, events: Iterable[Event]) -> Iterator[Row]:
    """The table of a run: frame after frame, faces in order of their track. `events` are the run's."""
    records = {(event.event_id, event.phase == "provisional"): event for event in events}
    told = {frame: tuple(some) for frame, some in groupby(record.told(), key=lambda one: one.frame)}
    for frame in record.frames():
        here = told.get(frame.frame, ())
        seen = {face.track: face for face in frame.faces}
        for track in sorted({*seen, *(one.track for one in here)}) or (None,):
            said = [records.get((one.event_id, one.phase == "provisional")) for one in here if one.track == track]
            yield _row(frame, track, seen.get(track) if track is not None else None, [e for e in said if e])


def write_explanation(path: Path, record: Record, events: Iterable[Event]) -> None:
    """Write the table of a run as CSV or, where pyarrow is installed, Parquet. Raises ReportError."""
    check_format(path)
    with written_whole(path) as part:
        if path.suffix.lower() == CSV:
            with part.open("w", newline="", encoding="utf-8") as file:
                writer = csv.writer(file, lineterminator="\n")
                writer.writerow(COLUMNS)
                writer.writerows(rows(record, events))
        else:
            _write_parquet(part, rows(record, events))


def _row(frame: FrameRecord, track: int | None, face: FaceRecord | None, events: Sequence[Event]) -> Row:
    fields = [";".join(str(getattr(event, name) or "") for event in events) for name in EVENT_FIELDS]
    if face is None:
        nothing = [None] * len(NUMBERS)
        return (
            frame.frame,
            frame.t_ns,
            track,
            *nothing,
            None,
            None,
            None,
            None,
            *map(_text, fields),
            *[None] * len(NAMES),
        )
    numbers = [getattr(face, name) for name in NUMBERS]
    return (
        frame.frame,
        frame.t_ns,
        track,
        *map(_rounded, numbers),
        _text(face.state),
        face.doubt,
        face.refused,
        _text(";".join(face.quality)),
        *map(_text, fields),
        *(_rounded(face.regions.get(name)) for name in NAMES),
    )


def _text(word: str) -> str | None:
    return word if word.strip(";") else None


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, DIGITS)


def _write_parquet(file: Path, table: Iterator[Row]) -> None:
    pyarrow, parquet = import_module("pyarrow"), import_module("pyarrow.parquet")  # no dependency of ours
    whole = ("frame", "t_ns", "face")
    text = ("state", "doubt", "refused", "quality", *EVENT_FIELDS)
    types = [
        (name, pyarrow.int64() if name in whole else pyarrow.string() if name in text else pyarrow.float64())
        for name in COLUMNS
    ]
    schema = pyarrow.schema(types)
    with parquet.ParquetWriter(file, schema) as writer:
        while group := list(islice(table, GROUP_ROWS)):
            columns = zip(*group, strict=True)
            arrays = [pyarrow.array(values, kind) for values, (_, kind) in zip(columns, types, strict=True)]
            writer.write_table(pyarrow.Table.from_arrays(arrays, schema=schema))
