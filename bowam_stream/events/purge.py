"""Retention: the oldest records of a journal are removed, for good, while a worker may go on writing to it.

Of each camera a prefix by seq goes, and `cameras.purged` says how far: what is kept begins right behind it, so a
journal still proves that nothing else is missing. Three things are never touched, nor anything behind them: a
provisional record that nothing has closed, a record that waits to be published, and a part of a recording. A
recording's session goes as a whole or stays, for (event_id, phase) is what keeps it from being told twice when it is
fed again: once it is gone, the same recording is a new one, and its events get new numbers. While a worker holds the
camera its recordings stay.

What is deleted is overwritten in the file (secure_delete), and the write-ahead log, which holds it too, is emptied.
Backups, subscribers' files and what a disk keeps below its file system are out of reach.
"""

import time
from collections.abc import Collection, Iterator

import msgspec

from bowam_stream.errors import JournalError
from bowam_stream.events.journal import Journal, explained

BATCH_RECORDS = 256  # in one transaction: a worker that wants to write waits for one of these at most
BATCH_PAGES = 256  # given back to the file system in one transaction
TRUNCATIONS = 5  # tries to empty the write-ahead log, each as long as SQLite waits: a worker may write just then
PAUSE_S = 0.02  # between two of them: SQLite's lock knows no queue, and a worker tries again after at most 0.1 s

_UTC = "json_extract(CAST(content AS TEXT), '$.onset.utc_ns')"
_SESSION = "json_extract(CAST(content AS TEXT), '$.session')"


class Purged(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one camera."""

    camera: str
    records: int  # removed now, or that would be
    upto: int  # everything up to this seq is gone, now or since an earlier purge
    head: int  # last seq of the camera
    kept_by: str | None  # why older records than the cutoff stay; None where none do


def purge(
    journal: Journal, before_utc_ns: int, *, cameras: Collection[str] | None = None, dry_run: bool = False
) -> list[Purged]:
    """Remove what was published before `before_utc_ns`, of all cameras or of `cameras`; says what of each.

    The age of a recording's record is that of its analysis. Interrupted, it leaves a sound journal, and goes on when it
    is called again. Raises JournalError, also where a reader kept the write-ahead log from being emptied.
    """
    done = []
    for camera, head in journal.heads().items():
        if cameras is None or camera in cameras:
            done.append(_purge_camera(journal, camera, head, before_utc_ns, dry_run))
    if not dry_run:
        _forget_sessions(journal, before_utc_ns, cameras)
        _give_back(journal)
    return done


def _purge_camera(journal: Journal, camera: str, head: int, before_utc_ns: int, dry_run: bool) -> Purged:
    start = journal.purged().get(camera, 0)
    bound, kept_by = _bound(journal, camera, head, before_utc_ns)
    upto = start
    while upto < bound and not dry_run:
        upto = min(upto + BATCH_RECORDS, bound)
        with journal._transaction():
            journal._db.execute(
                "DELETE FROM judgements WHERE event_id IN"
                " (SELECT event_id FROM events WHERE camera = ?1 AND seq <= ?2 AND event_id NOT IN"
                " (SELECT event_id FROM events WHERE camera = ?1 AND seq > ?2))",
                (camera, upto),
            )
            journal._db.execute("DELETE FROM events WHERE camera = ? AND seq <= ?", (camera, upto))
            journal._db.execute("UPDATE cameras SET purged = ? WHERE camera = ?", (upto, camera))
        time.sleep(PAUSE_S)
    last = max(bound, start)
    return Purged(camera=camera, records=last - start, upto=last, head=head, kept_by=kept_by)


def _bound(journal: Journal, camera: str, head: int, before_utc_ns: int) -> tuple[int, str | None]:
    """The last seq that may go, and what keeps the records behind it that are old enough."""
    with journal._transaction("DEFERRED"):
        bound, kept_by = head, None
        # Waits for its publication, or is not old enough: the first such record, by the index, not all of them.
        stop = _one(
            journal,
            "SELECT seq FROM events WHERE camera = ? AND (published_utc_ns IS NULL OR published_utc_ns >= ?)"
            " ORDER BY seq LIMIT 1",
            *(camera, before_utc_ns),
        )
        if stop is not None:
            bound = stop - 1
            waits = "SELECT seq FROM events WHERE camera = ? AND seq = ? AND published_utc_ns IS NULL"
            if _one(journal, waits, camera, stop) is not None:
                kept_by = f"event {stop} waits to be published"
        still_open = _one(journal, "SELECT min(seq) FROM open WHERE camera = ?", camera)
        if still_open is not None and still_open <= bound:
            bound, kept_by = still_open - 1, f"event {still_open} is open"
        while (
            cut := _one(
                journal,
                f"SELECT min(seq) FROM events WHERE camera = ?1 AND seq <= ?2 AND {_UTC} IS NULL AND {_SESSION} IN"
                f" (SELECT {_SESSION} FROM events WHERE camera = ?1 AND seq > ?2 AND {_UTC} IS NULL)",
                *(camera, bound),
            )
        ) is not None:
            bound, kept_by = cut - 1, f"the recording of event {cut} goes as a whole, and its last record stays"
        recorded = _one(
            journal, f"SELECT min(seq) FROM events WHERE camera = ? AND seq <= ? AND {_UTC} IS NULL", camera, bound
        )
    if recorded is not None:
        try:
            journal.claim(camera)  # or the recording might be fed again while it goes
        except JournalError:
            return recorded - 1, f"event {recorded} is of a recording, and a worker holds the camera"
    return bound, kept_by


def _forget_sessions(journal: Journal, before_utc_ns: int, cameras: Collection[str] | None) -> None:
    """Remove the accounts of sessions that ended before the cutoff and of which no event is left."""
    if not _one(journal, "SELECT count(*) FROM sqlite_schema WHERE name = 'sessions'"):
        return
    with journal._transaction("DEFERRED"):  # looked up beforehand: it takes a while, and a worker may write meanwhile
        gone = journal._db.execute(
            "SELECT camera, session FROM sessions WHERE seen_utc_ns < ? AND ended IS NOT NULL"
            f" AND (camera, session) NOT IN (SELECT camera, {_SESSION} FROM events)",
            (before_utc_ns,),
        ).fetchall()
    with journal._transaction():
        journal._db.executemany(
            "DELETE FROM sessions WHERE camera = ? AND session = ?",
            [(camera, session) for camera, session in gone if cameras is None or camera in cameras],
        )


def _give_back(journal: Journal) -> None:
    """Hand free pages to the file system and empty the write-ahead log: small steps, so that a worker can write."""
    for _ in _while_falling(journal):
        with explained(journal.path):
            # A script is run to its end; `execute` would take one step, and free one page.
            journal._db.executescript(f"PRAGMA incremental_vacuum({BATCH_PAGES})")
        time.sleep(PAUSE_S)
    for _ in range(TRUNCATIONS):
        with explained(journal.path):
            journal._db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()  # most of the work, in nobody's way
            (busy, _, _) = journal._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if not busy:
            return
        time.sleep(PAUSE_S)
    raise JournalError(
        f"journal {journal.path}: purged, but a reader keeps what is gone in {journal.path.name}-wal; "
        "end it, then run this again"
    )


def _while_falling(journal: Journal) -> Iterator[int]:
    """The number of free pages, for as long as there are fewer than before."""
    last: int | None = None
    while (free := _one(journal, "PRAGMA freelist_count")) and (last is None or free < last):
        last = free
        yield free


def _one(journal: Journal, query: str, *values: object) -> int | None:
    with explained(journal.path):
        row = journal._db.execute(query, values).fetchone()
    return None if row is None else row[0]
