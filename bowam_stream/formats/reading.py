"""Reads a journal (also while a worker writes to it) or a file of events, one JSON object a line."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from bowam_stream.errors import EventFileError, TransportError
from bowam_stream.events import Journal, from_json
from bowam_stream.events.judgements import Judgement, judgements
from bowam_stream.formats.rows import Recording
from bowam_stream.messages import Event

SQLITE = b"SQLite format 3\0"  # how such a file begins


class Source(msgspec.Struct, kw_only=True):
    """What a journal or a file holds."""

    events: list[Event]  # every record
    judgements: dict[str, Judgement] = {}  # event_id -> the last one
    sources: dict[tuple[str, str], str] = {}  # (camera, session) -> what was watched
    recordings: dict[tuple[str, str], Recording] = {}  # as told by a file of ours
    cut_off: bool = False  # the last line is half written: somebody appends to the file


class _Beside(msgspec.Struct):
    """What stands beside an event in a file that `lines` wrote."""

    judgement: Judgement | None = None
    recording: Recording | None = None
    times: Any = None  # made anew


def read(path: Path) -> Source:
    """Read a journal or a file of events.

    Raises EventFileError where it is neither, JournalError where the journal can't be read.
    """
    try:
        with path.open("rb") as file:
            if file.read(len(SQLITE)) == SQLITE:
                return _journal(path)
            file.seek(0)
            return _lines(path, file)
    except OSError as error:
        raise EventFileError(
            f"can't read {path}: {error.strerror or error}; name a journal or a file of events"
        ) from None


def _journal(path: Path) -> Source:
    with Journal.open_readonly(path) as journal:
        return Source(
            events=list(journal.since()),
            judgements={one.event_id: one for one in judgements(journal)},
            sources={(one.camera, one.session): one.source for one in journal.accounts()},
        )


def _lines(path: Path, file: Iterator[bytes]) -> Source:
    found = Source(events=[], judgements={}, sources={}, recordings={})
    for number, line in enumerate(file, start=1):
        if not line.strip():
            continue
        try:
            fields = msgspec.json.decode(line, type=dict[str, msgspec.Raw])
            beside = msgspec.convert(
                {key: msgspec.json.decode(fields.pop(key)) for key in _Beside.__struct_fields__ if key in fields},
                _Beside,
            )
            event = from_json(msgspec.json.encode(fields))
        except (TransportError, msgspec.DecodeError, UnicodeError, RecursionError) as error:
            if not line.endswith(b"\n") and found.events:
                found.cut_off = True
                break
            raise EventFileError(
                f"{path}, line {number}: {error}; name a journal, or a file of `replay --events`, `subscribe --append`"
            ) from None
        found.events.append(event)
        if beside.judgement is not None:
            found.judgements[event.event_id] = beside.judgement
        if beside.recording is not None:
            found.recordings[event.camera, event.session] = beside.recording
    return found
