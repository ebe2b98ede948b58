"""The event journal: what stands here is never lost, and never said twice.

One SQLite file in WAL mode with synchronous=FULL: `append` returns once the event would survive a power cut, and only
then is it published. A crash in between leaves a row that waits (`unpublished`). Readers never block the writer.

    journal     one row: the journal's name, by which subscribers notice that another journal took its place
    cameras     the last seq of each camera, and the last one that was purged: what is kept begins right behind it
    events      content, written once; when it was published stands beside it
    open        provisional events that no record has closed yet
    sessions    where the frames of each session went (see accounts.py)
    judgements  what people say about events (see judgements.py)
    sensitivity what threshold they ask for (see sensitivity.py)
"""

import contextlib
import itertools
import os
import secrets
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from bowam_stream import clock
from bowam_stream.errors import JournalError, TransportError
from bowam_stream.events.accounts import SessionAccount
from bowam_stream.events.claims import Claims
from bowam_stream.events.schema import DECIMALS, from_json, to_json
from bowam_stream.messages import Event

APPLICATION_ID = int.from_bytes(b"BWAM", "big")
BUSY_TIMEOUT_S = 5.0  # how long a writer waits for another worker that writes to the same journal
PAGE_EVENTS = 256  # read in one go
_UNDELIVERED = b'"delivery":null'

# What each version added: a new file takes every step, an older one those that it lacks.
_STEPS: tuple[tuple[str, ...], ...] = (
    (
        "CREATE TABLE journal (name TEXT NOT NULL) STRICT",
        "CREATE TABLE cameras (camera TEXT PRIMARY KEY, seq INTEGER NOT NULL) STRICT, WITHOUT ROWID",
        """
        CREATE TABLE events (
            position INTEGER PRIMARY KEY AUTOINCREMENT,
            camera TEXT NOT NULL,
            seq INTEGER NOT NULL,
            event_id TEXT NOT NULL,
            phase TEXT NOT NULL,
            content BLOB NOT NULL,
            published_utc_ns INTEGER,
            latency_ms REAL,
            UNIQUE (camera, seq),
            UNIQUE (event_id, phase)
        ) STRICT
        """,
        "CREATE INDEX waiting ON events (position) WHERE published_utc_ns IS NULL",
        """
        CREATE TABLE open (
            event_id TEXT PRIMARY KEY, camera TEXT NOT NULL, seq INTEGER NOT NULL
        ) STRICT, WITHOUT ROWID
        """,
    ),
    (
        "ALTER TABLE cameras ADD COLUMN purged INTEGER NOT NULL DEFAULT 0",
        """
        CREATE TABLE sessions (
            camera TEXT NOT NULL,
            session TEXT NOT NULL,
            seen_utc_ns INTEGER NOT NULL,
            source TEXT NOT NULL,
            lossless INTEGER NOT NULL,
            captured INTEGER NOT NULL,
            published INTEGER NOT NULL,
            received INTEGER NOT NULL,
            spotted INTEGER NOT NULL,
            dropped TEXT NOT NULL,
            ended TEXT,
            PRIMARY KEY (camera, session)
        ) STRICT, WITHOUT ROWID
        """,
        "CREATE INDEX going_on ON sessions (camera) WHERE ended IS NULL",
    ),
    (
        """
        CREATE TABLE judgements (
            position INTEGER PRIMARY KEY AUTOINCREMENT,
            event_id TEXT NOT NULL,
            verdict TEXT NOT NULL,
            label TEXT,
            note TEXT NOT NULL,
            author TEXT NOT NULL,
            judged_utc_ns INTEGER NOT NULL
        ) STRICT
        """,
        "CREATE INDEX judged ON judgements (event_id)",
        """
        CREATE TABLE sensitivity (
            position INTEGER PRIMARY KEY AUTOINCREMENT,
            camera TEXT NOT NULL,
            threshold REAL,
            false_alarms_per_hour REAL,
            asked_utc_ns INTEGER NOT NULL
        ) STRICT
        """,
    ),
)
VERSION = len(_STEPS)

_HINTS = {
    "SQLITE_FULL": "the disk is full; free some space and start again",
    "SQLITE_READONLY": "it is read-only; give this user the right to write to the file and its folder",
    "SQLITE_CANTOPEN": "it can't be opened; check that its folder exists and that this user may write there",
    "SQLITE_PERM": "this user may not open it; change the file's permissions",
    "SQLITE_NOTADB": "it is not a journal; choose another file",
    "SQLITE_CORRUPT": "the file is damaged or cut off; restore a backup, or move it away and start a new one",
    "SQLITE_BUSY": "another process holds it; end that process and start again",
    "SQLITE_LOCKED": "another process holds it; end that process and start again",
    "SQLITE_IOERR": "the disk does not read or write; check it (and its free space) and start again",
}
_PASSING = ("SQLITE_FULL", "SQLITE_READONLY", "SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_IOERR")


@contextlib.contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn SQLite's errors into one line that says what to do."""
    try:
        yield
    except sqlite3.Error as error:
        name = getattr(error, "sqlite_errorname", "")
        hint = next((hint for code, hint in _HINTS.items() if name.startswith(code)), f"{error}")
        explained = JournalError(f"journal {path}: {hint}")
        explained.passing = name.startswith(_PASSING)
        raise explained from error
    except TransportError as error:  # a row that is no event
        raise JournalError(f"journal {path}: {_HINTS['SQLITE_CORRUPT']}") from error


def _uri(path: Path, readonly: bool) -> str:
    """SQLite's address of the file."""
    if not readonly:
        return f"{path.absolute().as_uri()}?mode=rwc"
    # Readers of a WAL file put shared memory beside it. An archive does not let them, and has no writer to share with.
    archived = not path.with_name(f"{path.name}-wal").exists() and not os.access(
        path.absolute().parent, os.W_OK, effective_ids=True
    )
    return f"{path.absolute().as_uri()}?mode=ro{'&immutable=1' if archived else ''}"


def _stored(content: bytes, published_utc_ns: int | None, latency_ms: float | None) -> Event:
    """The event of a row, with its delivery once it was published."""
    return from_json(_record(content, published_utc_ns, latency_ms))


def _record(content: bytes, published_utc_ns: int | None, latency_ms: float | None) -> bytes:
    """The same as it was sent. In JSON a quote inside a text has a backslash, so that the key stands there once."""
    if published_utc_ns is None:
        return content
    before, key, after = content.partition(_UNDELIVERED)
    if not key:
        raise TransportError("the row is no event")
    latency = None if latency_ms is None else round(latency_ms, DECIMALS)
    delivery = msgspec.json.encode({"latency_ms": latency, "published_utc_ns": published_utc_ns})
    return before + _UNDELIVERED.replace(b"null", delivery) + after


def _bounded(count: int) -> int:
    """A number that SQLite can hold: a stranger's frames may leap so far that their sums can't be written down."""
    return max(-(2**63), min(count, 2**63 - 1))


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """Some events after a cursor, and where every camera stood at the same moment."""

    records: tuple[bytes, ...]  # each an event, JSON, as it was published
    heads: dict[str, int]  # last seq of each camera
    purged: dict[str, int]  # last seq of each camera that was purged
    complete: bool  # nothing more follows


class Journal:
    """One journal file, open in one thread. As a context manager it closes itself.

    Every method raises JournalError, with one line that says what to do, where the file can't be read or written.
    """

    def __init__(self, path: Path, *, cameras: Iterable[str] = (), readonly: bool = False) -> None:
        """Open `path`, make it if it is new, and claim `cameras`. See `open_readonly` for readers."""
        self.path = path
        self._readonly = readonly
        self._claims = Claims(path)
        if path.is_dir():
            raise JournalError(f"journal {path}: it is a folder; name a file in it")
        with explained(path):
            self._db = sqlite3.connect(_uri(path, readonly), uri=True, timeout=BUSY_TIMEOUT_S, isolation_level=None)
        try:
            with explained(path):
                self._prepare()
            for camera in cameras:
                self.claim(camera)
        except BaseException:
            self.close()
            raise

    @classmethod
    def open_readonly(cls, path: Path) -> Self:
        """Open an existing journal to read, while a worker writes to it or not."""
        return cls(path, readonly=True)

    def _prepare(self) -> None:
        """Check that the file is ours and of our version; lay out a new one."""
        self._is_new()  # before anything is changed: the file may be somebody else's
        if not self._readonly:
            self._db.execute("PRAGMA auto_vacuum=INCREMENTAL")  # of a new file, so that a purge can give space back
            (mode,) = self._db.execute("PRAGMA journal_mode=WAL").fetchone()
            if mode != "wal":
                raise JournalError(f"journal {self.path}: this file system can't hold it safely; choose a local disk")
            self._db.execute("PRAGMA synchronous=FULL")
            self._db.execute("PRAGMA secure_delete=ON")  # what is deleted is overwritten
        # A write lock, so that two workers don't both lay out a new file, and so that a read-only one is noticed now.
        with self._transaction("DEFERRED" if self._readonly else "IMMEDIATE"):
            if self._is_new():
                if self._readonly:
                    raise JournalError(f"journal {self.path}: it is empty; start a worker first")
                self._upgrade(0)
                self._db.execute("INSERT INTO journal VALUES (?)", (secrets.token_hex(8),))
                self._db.execute(f"PRAGMA application_id={APPLICATION_ID}")
            version = self._version()
            older = version < VERSION and not self._readonly
            if older:
                self._upgrade(version)
        if older:
            with contextlib.suppress(sqlite3.OperationalError):  # without it, the file is sound and never shrinks
                self._db.execute("VACUUM")  # only this gives an old file the auto_vacuum asked for above
        (self.name,) = self._db.execute("SELECT name FROM journal").fetchone()
        there = os.stat(self.path)
        self._place = (there.st_dev, there.st_ino)

    def _is_new(self) -> bool:
        """Whether the file is empty. Raises JournalError if it is another program's, or of a version we don't know."""
        (tables,) = self._db.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        if not tables:
            return True
        if self._db.execute("PRAGMA application_id").fetchone() != (APPLICATION_ID,):
            raise JournalError(f"journal {self.path}: it is a database of another program; choose another file")
        version = self._version()
        if not 1 <= version <= VERSION:
            raise JournalError(
                f"journal {self.path}: it is of version {version} and this program writes version {VERSION}; "
                "open it with the program that wrote it, or start a new journal"
            )
        return False

    def _version(self) -> int:
        """Of the file, now: a worker may upgrade it while others read it."""
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        return version

    def _upgrade(self, version: int) -> None:
        """Bring the file from `version` to ours. Readers and rows are not touched."""
        for statement in itertools.chain(*_STEPS[version:]):
            self._db.execute(statement)
        self._db.execute(f"PRAGMA user_version={VERSION}")

    @contextlib.contextmanager
    def _transaction(self, kind: str = "IMMEDIATE") -> Iterator[None]:
        with explained(self.path):
            self._db.execute(f"BEGIN {kind}")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:  # SQLite has rolled back by itself where the disk is full
                    self._db.execute("ROLLBACK")
                raise

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[sqlite3.Connection]:
        """The database as it stands now, for many questions that must fit each other. Only for reading."""
        with self._transaction("DEFERRED"):
            yield self._db

    def claim(self, camera: str) -> None:
        """Make this journal object the only one that may append events of `camera`, until it closes or dies.

        Raises JournalError where another worker holds the camera.
        """
        self._claims.take(camera)

    def release(self, camera: str) -> None:
        """Let go of a claim."""
        self._claims.release(camera)

    def append(self, event: Event, account: SessionAccount | None = None) -> Event | None:
        """Store an event and give it the next seq of its camera; returns it as it will be published.

        The books of its session, if given, are kept with it: what an event names stands in them.
        None if it is there already: the same phase of the same event, or any phase of an event that was closed. So a
        recording can be fed again from its first frame. `event.seq` and `event.delivery` are ignored.
        """
        self.claim(event.camera)
        with self._transaction():
            content = self._append(event)
            if content is not None and account is not None:
                self._write_accounts([account])
        return None if content is None else from_json(content)

    def append_all(self, sessions: Iterable[tuple[Iterable[Event], SessionAccount]]) -> None:
        """Store the events and the books of whole sessions, all or none; their cameras are not held afterwards."""
        cameras: list[str] = []
        try:
            with self._transaction():
                for events, account in sessions:
                    self.claim(account.camera)
                    cameras.append(account.camera)
                    for event in events:
                        self._append(event)
                    self._write_accounts([account])
        finally:
            for camera in cameras:
                self.release(camera)

    def _append(self, event: Event) -> bytes | None:
        """The content as it is stored; None if it is there already."""
        known = self._db.execute(
            "SELECT 1 FROM events WHERE event_id = ? AND phase IN (?, 'final', 'retracted')",
            (event.event_id, event.phase),
        ).fetchone()
        if known:
            return None
        (seq,) = self._db.execute(
            "INSERT INTO cameras (camera, seq) VALUES (?, 1) ON CONFLICT DO UPDATE SET seq = seq + 1 RETURNING seq",
            (event.camera,),
        ).fetchone()
        content = to_json(msgspec.structs.replace(event, seq=seq), delivery=False)
        self._db.execute(
            "INSERT INTO events (camera, seq, event_id, phase, content) VALUES (?, ?, ?, ?, ?)",
            (event.camera, seq, event.event_id, event.phase, content),
        )
        if event.phase == "provisional":
            self._db.execute("INSERT INTO open VALUES (?, ?, ?)", (event.event_id, event.camera, seq))
        else:
            self._db.execute("DELETE FROM open WHERE event_id = ?", (event.event_id,))
        return content

    def mark_published(self, event: Event) -> None:
        """Note that `event` went out, with the delivery that it carried."""
        assert event.delivery is not None, "only a published event has a delivery"
        with self._transaction():
            self._db.execute(
                "UPDATE events SET published_utc_ns = ?, latency_ms = ? WHERE camera = ? AND seq = ?",
                (event.delivery.published_utc_ns, event.delivery.latency_ms, event.camera, event.seq),
            )

    def unpublished(self, camera: str) -> list[Event]:
        """Events of a camera that were stored but, as far as we know, never published; oldest first."""
        return self._select("WHERE published_utc_ns IS NULL AND camera = ? ORDER BY position", camera)

    def open_provisionals(self, camera: str | None = None) -> list[Event]:
        """Provisional events that no final or retracted record has closed yet, oldest first."""
        return self._select(
            "WHERE event_id IN (SELECT event_id FROM open WHERE ?1 IS NULL OR camera = ?1)"
            " AND phase = 'provisional' ORDER BY position",
            camera,
        )

    def write_accounts(self, accounts: Iterable[SessionAccount]) -> None:
        """Keep the books of these sessions as they stand, all or none."""
        with self._transaction():
            self._write_accounts(accounts)

    def _write_accounts(self, accounts: Iterable[SessionAccount]) -> None:
        seen_utc_ns = clock.utc_ns()
        self._db.executemany(
            "INSERT OR REPLACE INTO sessions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (
                    *(a.camera, a.session, seen_utc_ns, a.source, a.lossless),
                    *map(_bounded, (a.captured, a.published, a.received, a.spotted)),
                    msgspec.json.encode({k: _bounded(n) for k, n in a.dropped.items()}, order="sorted").decode(),
                    a.ended,
                )
                for a in accounts
            ],
        )

    def accounts(
        self, *, camera: str | None = None, session: str | None = None, going_on: bool = False
    ) -> list[SessionAccount]:
        """The books of all sessions, or of some (`going_on`: without an end), in the order in which they were kept."""
        with explained(self.path):
            if self._version() < 2:
                return []
            rows = self._db.execute(
                "SELECT camera, session, source, lossless, captured, published, spotted, dropped, ended FROM sessions"
                " WHERE (?1 IS NULL OR camera = ?1) AND (?2 IS NULL OR session = ?2)"
                f"{' AND ended IS NULL' if going_on else ''} ORDER BY seen_utc_ns",
                (camera, session),
            )
            return [
                SessionAccount(
                    camera=row[0],
                    session=row[1],
                    source=row[2],
                    lossless=bool(row[3]),
                    captured=row[4],
                    published=row[5],
                    spotted=row[6],
                    dropped=msgspec.json.decode(row[7], type=dict[str, int]),
                    ended=row[8],
                )
                for row in rows
            ]

    def check_place(self) -> None:
        """Raise JournalError if the file was moved, deleted or replaced: what we write would be lost with us."""
        try:
            there = os.stat(self.path)
        except OSError:
            there = None
        if there is None or (there.st_dev, there.st_ino) != self._place:
            raise JournalError(
                f"journal {self.path}: the file was moved, deleted or replaced while in use; put it back, or start "
                "again with a new one"
            )

    def changes(self) -> int:
        """A number that differs from the last one where somebody else has written meanwhile. Costs next to nothing."""
        with explained(self.path):
            (version,) = self._db.execute("PRAGMA data_version").fetchone()
        return int(version)

    def heads(self) -> dict[str, int]:
        """The last seq of each camera."""
        with explained(self.path):
            return dict(self._db.execute("SELECT camera, seq FROM cameras ORDER BY camera").fetchall())

    def purged(self) -> dict[str, int]:
        """How far cameras were purged: their records begin right behind that seq. The others begin with 1."""
        with explained(self.path):
            if self._version() < 2:
                return {}
            return dict(
                self._db.execute("SELECT camera, purged FROM cameras WHERE purged > 0 ORDER BY camera").fetchall()
            )

    def page(self, since: Mapping[str, int], *, cameras: Iterable[str] | None = None, limit: int = PAGE_EVENTS) -> Page:
        """Up to `limit` events after the cursor `since` (camera -> last seq known), camera by camera, in order of seq.

        A camera that `since` does not name starts from its first event; `cameras` leaves out all others.
        """
        records: list[bytes] = []
        with self._transaction("DEFERRED"):
            heads, purged = self.heads(), self.purged()
            wanted = sorted(heads.keys() & set(cameras)) if cameras is not None else sorted(heads)
            behind = [camera for camera in wanted if heads[camera] > since.get(camera, 0)]
            for camera in behind:
                room = limit - len(records) + 1  # one more than asked for tells whether anything follows
                clause = "WHERE camera = ? AND seq > ? ORDER BY seq LIMIT ?"
                records += [_record(*row) for row in self._rows(clause, camera, since.get(camera, 0), room)]
        return Page(records=tuple(records[:limit]), heads=heads, purged=purged, complete=len(records) <= limit)

    def since(self, since: Mapping[str, int] | None = None, *, cameras: Iterable[str] | None = None) -> Iterator[Event]:
        """All events after the cursor `since`, camera by camera, in order of seq; memory stays bounded.

        No read transaction is held open between pages, so a slow reader never keeps the file from shrinking.
        """
        cursor = dict(since or {})
        wanted = None if cameras is None else list(cameras)
        complete = False
        while not complete:
            page = self.page(cursor, cameras=wanted)
            complete = page.complete
            for record in page.records:
                with explained(self.path):
                    event = from_json(record)
                cursor[event.camera] = event.seq
                yield event

    def session(self, camera: str, session: str) -> Iterator[Event]:
        """All events of one session, in order of seq."""
        return (event for event in self.since({}, cameras=[camera]) if event.session == session)

    def _select(self, clause: str, *values: object) -> list[Event]:
        with explained(self.path):
            return [_stored(*row) for row in self._rows(clause, *values)]

    def _rows(self, clause: str, *values: object) -> sqlite3.Cursor:
        return self._db.execute(f"SELECT content, published_utc_ns, latency_ms FROM events {clause}", values)

    def close(self) -> None:
        """Release the file and the claims.

        What is in the write-ahead log goes into the file itself, also where readers have it open: a copy of the one
        file is whole then.
        """
        if not self._readonly:
            with contextlib.suppress(sqlite3.Error):  # a full disk, or a file that is gone: the log still has it
                self._db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        with explained(self.path):
            self._db.close()
        self._claims.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
