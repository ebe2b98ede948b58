"""What must hold after every fault, read from the files: the journal's SQLite and what subscribers wrote down.

It shares no code with the program: neither its journal, nor its schema, nor its audit.
"""

import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import msgspec


class Key(msgspec.Struct):
    """The part of an event by which it is told from others."""

    camera: str
    seq: int
    event_id: str
    phase: str
    session: str


class Row(NamedTuple):
    """One row of the journal."""

    key: Key
    content: bytes
    published_utc_ns: int | None
    latency_ms: float | None


class Books(NamedTuple):
    """The journal as it stands."""

    rows: list[Row]
    heads: dict[str, int]
    open: set[str]
    sessions: list[dict[str, object]]  # what the worker and the captures say of frames; none before version 2

    @property
    def by_place(self) -> dict[tuple[str, int], Row]:
        return {(row.key.camera, row.key.seq): row for row in self.rows}


class Verdict(msgspec.Struct):
    """What is wrong, in words, and how many events were lost or doubled."""

    problems: list[str] = msgspec.field(default_factory=list)
    lost: int = 0
    doubled: int = 0
    events: int = 0
    waiting: int = 0  # rows that were not published yet

    def __bool__(self) -> bool:
        """Whether all is well."""
        return not (self.problems or self.lost or self.doubled)

    def merge(self, other: "Verdict") -> None:
        """Both."""
        self.problems += other.problems
        self.lost += other.lost
        self.doubled += other.doubled


_key = msgspec.json.Decoder(Key).decode


def read_books(journal: Path) -> Books:
    """Everything in one read transaction, so that a worker may write meanwhile."""
    db = sqlite3.connect(f"file:{journal}?mode=ro", uri=True, timeout=10, isolation_level=None)
    try:
        db.execute("BEGIN")
        events = db.execute("SELECT content, published_utc_ns, latency_ms FROM events ORDER BY position").fetchall()
        heads = dict(db.execute("SELECT camera, seq FROM cameras").fetchall())
        opened = {name for (name,) in db.execute("SELECT event_id FROM open")}
        sessions: list[dict[str, object]] = []
        if db.execute("SELECT 1 FROM sqlite_schema WHERE name = 'sessions'").fetchone():
            cursor = db.execute("SELECT * FROM sessions")
            names = [column[0] for column in cursor.description]
            sessions = [dict(zip(names, values, strict=True)) for values in cursor]
    finally:
        db.close()
    return Books([Row(_key(content), content, *rest) for content, *rest in events], heads, opened, sessions)


def judge_journal(books: Books) -> Verdict:
    """Sequence numbers without gap or double; every event opened once, and closed once or still open."""
    verdict = Verdict(events=len(books.rows), waiting=sum(row.published_utc_ns is None for row in books.rows))
    seqs: dict[str, list[int]] = defaultdict(list)
    opened: Counter[str] = Counter()
    closed: Counter[str] = Counter()
    for row in books.rows:
        seqs[row.key.camera].append(row.key.seq)
        if row.key.phase == "provisional":
            opened[row.key.event_id] += 1
        else:
            closed[row.key.event_id] += 1
            if not opened[row.key.event_id]:
                verdict.problems.append(f"{row.key.event_id} of {row.key.camera} was closed before it was opened")
        if row.latency_ms is not None and row.latency_ms < 0:
            verdict.problems.append(f"{row.key.camera} {row.key.seq} has the latency {row.latency_ms} ms")
    for camera, numbers in seqs.items():
        verdict.lost += books.heads.get(camera, 0) - len(set(numbers))
        verdict.doubled += len(numbers) - len(set(numbers))
        if numbers != list(range(1, len(numbers) + 1)):
            verdict.problems.append(f"the journal's numbers of {camera} have a gap, a double or another order")
        if books.heads.get(camera) != len(numbers):
            verdict.problems.append(f"{camera} has {len(numbers)} rows and stands at {books.heads.get(camera)}")
    for counts, what in ((opened, "opened"), (closed, "closed")):
        for name, count in counts.items():
            if count > 1:
                verdict.doubled += count - 1
                verdict.problems.append(f"{name} was {what} {count} times")
    if (still := set(opened) - set(closed)) != books.open:
        verdict.problems.append(f"open in the journal: {len(books.open)} events; never closed: {len(still)}")
    return verdict


def judge_frames(books: Books) -> Verdict:
    """captured = published + dropped before; published = spotted + dropped after, whatever happened to the session.

    What went out and never came in ("lost", "absent") is what lies between published and received.
    """
    verdict = Verdict()
    for session in books.sessions:
        name = f"session {session['session']} of {session['camera']}"
        captured, published, received, spotted = (
            int(str(session[column])) for column in ("captured", "published", "received", "spotted")
        )
        dropped: dict[str, int] = msgspec.json.decode(str(session["dropped"]), type=dict[str, int])
        after = {reason: count for reason, count in dropped.items() if reason.startswith("receive/")}
        before = sum(dropped.values()) - sum(after.values())
        on_the_way = after.get("receive/lost", 0) + after.get("receive/absent", 0)
        if captured != published + before:
            verdict.problems.append(f"{name}: {captured} captured, {published} published, {before} dropped before")
        if published != spotted + sum(after.values()):
            verdict.problems.append(f"{name}: {published} published, {spotted} spotted, {after} dropped after")
        if received != published - on_the_way:
            verdict.problems.append(f"{name}: {received} received, {published} published, {on_the_way} never came")
        if min((captured, published, received, spotted, *dropped.values())) < 0 or "receive/unexplained" in dropped:
            verdict.problems.append(f"{name}: a count that can't be: {session}")
    return verdict


def judge_listener(name: str, lines: Iterable[bytes], books: Books) -> Verdict:
    """What a subscriber wrote down, against the journal: each event once, in order, byte for byte."""
    verdict, heard, places = Verdict(), Counter[str](), books.by_place
    for line in lines:
        key = _key(line)
        if key.seq <= heard[key.camera]:
            verdict.doubled += 1
            verdict.problems.append(f"{name} heard {key.camera} {key.seq} twice")
            continue
        if key.seq != heard[key.camera] + 1:
            verdict.lost += key.seq - heard[key.camera] - 1
            verdict.problems.append(f"{name} heard {key.camera} {key.seq} after {heard[key.camera]}")
        heard[key.camera] = key.seq
        row = places.get((key.camera, key.seq))
        if row is None:
            verdict.problems.append(f"{name} heard {key.camera} {key.seq}, which is not in the journal")
        elif row.content != line:
            verdict.problems.append(f"{name} heard {key.camera} {key.seq} otherwise than it is in the journal")
    return verdict


def heard(lines: Iterable[bytes]) -> dict[str, int]:
    """Up to which number of each camera."""
    last: dict[str, int] = {}
    for line in lines:
        key = _key(line)
        last[key.camera] = max(key.seq, last.get(key.camera, 0))
    return last
