"""What a run leaves: all events, one journal, a report, what failed, and what every recording is. Each file appears
whole or not at all, and only once the run is over.
"""

import csv
import shutil
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import msgspec

from bowam_stream.clock import NS_PER_SECOND
from bowam_stream.config import Config
from bowam_stream.corpus.listing import Listing
from bowam_stream.corpus.pieces import Finding
from bowam_stream.corpus.places import shown
from bowam_stream.corpus.run import Failure, Recording, Run
from bowam_stream.events import Journal, SessionAccount, from_json
from bowam_stream.events.judgements import take_over
from bowam_stream.messages import Event
from bowam_stream.report.corpus import Row, write_corpus_report
from bowam_stream.report.files import written_whole
from bowam_stream.report.origin import Origin

MANIFEST, EVENTS, JOURNAL, REPORT, FAILURES = (
    "manifest.jsonl",
    "events.jsonl",
    "journal.db",
    "report.html",
    "failures.csv",
)
TOGETHER = 100  # recordings that are written to the journal at once

_WRITING = ".writing"
_FAILURE_COLUMNS = ("path", "camera", "stage", "from_frame", "to_frame", "reason")


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One recording in manifest.jsonl."""

    path: str
    camera: str
    sha256: str | None
    size: int | None  # bytes
    frames: int | None
    rate_hz: float | None
    duration_s: float | None
    session: str | None
    state: str  # waiting, done, failed
    failure: str | None


def write_manifest(folder: Path, recordings: Iterable[Recording]) -> None:
    """What each recording is, and how far."""
    with written_whole(folder / MANIFEST) as part, part.open("wb") as file:
        file.writelines(msgspec.json.encode(_line(one)) + b"\n" for one in recordings)


def write_results(folder: Path, run: Run, listing: Listing, config: Config, made: Origin | None = None) -> list[Row]:
    """Write everything that stands at the end; the recordings as the report shows them. Raises StreamError."""
    _write_events(folder, run)
    _write_journal(folder, run)
    rows = [_row(recording, finding) for recording, finding in _findings(run)]
    write_corpus_report(
        folder / REPORT, rows, title=listing.title, left_out=listing.left_out, settings=config, made=made
    )
    _write_failures(folder, run.recordings)
    write_manifest(folder, run.recordings)
    return rows


def _findings(run: Run) -> Iterator[tuple[Recording, Finding | None]]:
    """Recordings in order, one at a time: all events together may be larger than memory."""
    for recording in run.recordings:
        finding = run.finding(recording) if recording.done else None
        if recording.done and finding is None:
            recording.done = False
            recording.failure = Failure(stage="recognise", reason="its piece was damaged; give the same command again")
        yield recording, finding


def _write_events(folder: Path, run: Run) -> None:
    with written_whole(folder / EVENTS) as part, part.open("wb") as file:
        file.writelines(finding.lines for _, finding in _findings(run) if finding is not None)


def _write_journal(folder: Path, run: Run) -> None:
    """A new journal, with what people said about events in the one that it replaces."""
    place, writing = folder / JOURNAL, folder / _WRITING
    shutil.rmtree(writing, ignore_errors=True)
    writing.mkdir()
    try:
        with Journal(writing / JOURNAL) as journal:
            found = (_session(recording, finding) for recording, finding in _findings(run) if finding is not None)
            while some := list(islice(found, TOGETHER)):
                journal.append_all(some)
            if place.exists():
                with Journal.open_readonly(place) as older:
                    take_over(journal, older)
        for end in ("-wal", "-shm"):  # of the old one: they do not fit the new
            place.with_name(place.name + end).unlink(missing_ok=True)
        (writing / JOURNAL).replace(place)
    finally:
        shutil.rmtree(writing, ignore_errors=True)


def _session(recording: Recording, finding: Finding) -> tuple[list[Event], SessionAccount]:
    account = SessionAccount(
        camera=recording.entry.camera,
        session=finding.session,
        source=recording.entry.name,
        lossless=True,
        captured=finding.frames,
        published=finding.frames,
        spotted=finding.frames,
        ended="end",
    )
    return [from_json(line) for line in finding.lines.splitlines()], account


def _write_failures(folder: Path, recordings: Sequence[Recording]) -> None:
    with written_whole(folder / FAILURES) as part, part.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(_FAILURE_COLUMNS)
        for recording in recordings:
            if failure := recording.failure:
                begin, end = failure.span or ("", "")
                where = (begin, "" if end is None else end)
                table.writerow(
                    (shown(recording.entry.path), recording.entry.camera, failure.stage, *where, failure.reason)
                )


def _line(recording: Recording) -> Line:
    surveyed = recording.surveyed
    return Line(
        path=shown(recording.entry.path),
        camera=recording.entry.camera,
        sha256=surveyed.digest if surveyed else None,
        size=recording.stamp.size if recording.stamp else None,
        frames=surveyed.frames if surveyed else None,
        rate_hz=surveyed.rate_hz if surveyed else None,
        duration_s=round(recording.length_s, 3) if surveyed else None,
        session=surveyed.session if surveyed else None,
        state="failed" if recording.failure else "done" if recording.done else "waiting",
        failure=recording.failure.reason if recording.failure else None,
    )


def _row(recording: Recording, finding: Finding | None) -> Row:
    entry, failure = recording.entry, recording.failure
    if finding is None:
        return Row(
            name=entry.name,
            camera=entry.camera,
            failure=f"{failure.stage}: {failure.reason}" if failure else "interrupted",
        )
    return Row(
        name=entry.name,
        camera=entry.camera,
        duration_s=finding.duration_ns / NS_PER_SECOND,
        frames=finding.frames,
        frames_with_face=finding.frames_with_face,
        faces=finding.faces,
        rate_hz=finding.rate_hz,
        counts=finding.counts,
        labels=finding.labels,
        quality=tuple(sorted({*finding.quality, *finding.event_quality})),
        consent=finding.consent,
        model=finding.model,
    )
