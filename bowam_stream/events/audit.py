"""Proof that a journal keeps its promises, from the file alone: no number missing, no event doubled, books exact.

Everything is read in one transaction, so that a worker may go on writing meanwhile, and memory stays bounded.
"""

import sqlite3
from collections.abc import Iterator

import msgspec

from bowam_stream.errors import TransportError
from bowam_stream.events.accounts import SessionAccount
from bowam_stream.events.journal import Journal
from bowam_stream.events.schema import from_json

MOST_EXAMPLES = 5


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One promise: whether it is kept, and the figures that show it."""

    what: str
    faults: tuple[str, ...] = ()  # what breaks it, in words; a few examples
    says: str = ""

    @property
    def holds(self) -> bool:
        return not self.faults


def _check(what: str, faults: list[str], says: str) -> Check:
    more = len(faults) - MOST_EXAMPLES
    shown = (*faults[:MOST_EXAMPLES], *((f"and {more} more",) if more > 0 else ()))
    return Check(what=what, faults=shown, says=says)


def audit_journal(journal: Journal) -> Iterator[Check]:
    """The promises of a journal, one after the other. Raises JournalError where the file can't be read."""
    with journal.snapshot() as db:
        yield _file(db)
        yield _numbers(db)
        accounts = journal.accounts()
        yield from _contents(db, accounts)
        yield _closings(db)
        yield _publications(db)
        yield from _books(accounts)


def _file(db: sqlite3.Connection) -> Check:
    said = [row[0] for row in db.execute("PRAGMA integrity_check(10)")]
    return _check("the file is sound", [] if said == ["ok"] else said, "")


def _numbers(db: sqlite3.Connection) -> Check:
    faults, told = [], []
    columns = {row[1] for row in db.execute("PRAGMA table_info(cameras)")}
    purged_sql = "cameras.purged" if "purged" in columns else "0"
    for camera, head, purged, count, first, last in db.execute(
        f"SELECT cameras.camera, cameras.seq, {purged_sql}, count(events.seq), min(events.seq), max(events.seq)"
        " FROM cameras LEFT JOIN events USING (camera) GROUP BY cameras.camera ORDER BY cameras.camera"
    ):
        told.append(f"{camera} {purged + 1} to {head}" if count else f"{camera} none of {head}")
        if count != head - purged or (count and (first, last) != (purged + 1, head)):
            faults.append(f"{camera}: {count} records where seq says {purged + 1} to {head}")
    for (camera,) in db.execute("SELECT DISTINCT camera FROM events WHERE camera NOT IN (SELECT camera FROM cameras)"):
        faults.append(f"{camera}: has events and no sequence")
    return _check("seq has no gap and no double", faults, ", ".join(told))


def _contents(db: sqlite3.Connection, accounts: list[SessionAccount]) -> Iterator[Check]:
    captured = {(account.camera, account.session): account.captured for account in accounts}
    strange, early, count = [], [], 0
    for camera, seq, event_id, phase, content in db.execute("SELECT camera, seq, event_id, phase, content FROM events"):
        count += 1
        try:
            event = from_json(content)
        except TransportError as error:
            strange.append(f"{camera} {seq}: {error}")
            continue
        if (event.camera, event.seq, event.event_id, event.phase) != (camera, seq, event_id, phase):
            strange.append(f"{camera} {seq}: its row names another event")
        last, frames = (event.offset or event.apex).frame, captured.get((event.camera, event.session))
        if frames is not None and last >= frames:
            early.append(f"{camera} {seq}: frame {last} of {frames} that were captured")
    yield _check("every record can be read and is what its row says", strange, f"{count} records")
    yield _check("no event names a frame that was not captured", early, "")


def _closings(db: sqlite3.Connection) -> Check:
    columns = {row[1] for row in db.execute("PRAGMA table_info(cameras)")}
    whole = "" if "purged" not in columns else "AND camera IN (SELECT camera FROM cameras WHERE purged = 0)"
    faults = [
        f"{event_id}: closed {count} times"
        for event_id, count in db.execute(
            "SELECT event_id, count(*) FROM events WHERE phase <> 'provisional' GROUP BY event_id HAVING count(*) > 1"
        )
    ]
    faults += [
        f"{event_id}: closed before it was announced"
        for (event_id,) in db.execute(
            "SELECT a.event_id FROM events a JOIN events b USING (event_id)"
            " WHERE a.phase = 'provisional' AND b.phase <> 'provisional' AND b.seq < a.seq"
        )
    ]
    faults += [
        f"{event_id}: closed and never announced"
        for (event_id,) in db.execute(
            f"SELECT event_id FROM events a WHERE phase <> 'provisional' {whole}"
            " AND NOT EXISTS (SELECT 1 FROM events b WHERE b.event_id = a.event_id AND b.phase = 'provisional')"
        )
    ]
    unclosed = (
        "SELECT event_id FROM events a WHERE phase = 'provisional'"
        " AND NOT EXISTS (SELECT 1 FROM events b WHERE b.event_id = a.event_id AND b.phase <> 'provisional')"
    )
    faults += [
        f"{event_id}: open or not, the journal contradicts itself"
        for (event_id,) in db.execute(
            f"SELECT event_id FROM ({unclosed}) WHERE event_id NOT IN (SELECT event_id FROM open)"
            f" UNION SELECT event_id FROM open WHERE event_id NOT IN ({unclosed})"
        )
    ]
    (opened, closed), (still,) = (
        db.execute("SELECT sum(phase = 'provisional'), sum(phase <> 'provisional') FROM events").fetchone(),
        db.execute("SELECT count(*) FROM open").fetchone(),
    )
    return _check(
        "every event is announced once and closed once",
        faults,
        f"{opened or 0} announced, {closed or 0} closed, {still} open",
    )


def _publications(db: sqlite3.Connection) -> Check:
    faults = [
        f"{camera}: event {seq} waits though a later one was published"
        for camera, seq in db.execute(
            "SELECT camera, min(seq) FROM events a WHERE published_utc_ns IS NULL GROUP BY camera HAVING min(seq) <"
            " (SELECT max(seq) FROM events b WHERE b.camera = a.camera AND b.published_utc_ns IS NOT NULL)"
        )
    ]
    published, waiting = db.execute(
        "SELECT count(published_utc_ns), sum(published_utc_ns IS NULL) FROM events"
    ).fetchone()
    return _check("every record was published or waits", faults, f"{published} published, {waiting or 0} wait")


def _books(accounts: list[SessionAccount]) -> Iterator[Check]:
    faults = [f"{a.camera} {a.session}: {fault}" for a in accounts for fault in a.faults()]
    captured, published, received, spotted = (
        sum(getattr(a, name) for a in accounts) for name in ("captured", "published", "received", "spotted")
    )
    dropped: dict[str, int] = {}
    for account in accounts:
        for reason, count in account.dropped.items():
            dropped[reason] = dropped.get(reason, 0) + count
    lost = ", ".join(f"{reason} {count}" for reason, count in sorted(dropped.items())) or "none"
    yield _check(
        "captured = published + dropped, received = spotted + dropped, for every session",
        faults,
        f"{len(accounts)} sessions: {captured} captured, {published} published, {received} received, {spotted} "
        f"spotted; dropped: {lost}",
    )
    open_now: dict[str, int] = {}
    for account in accounts:
        open_now[account.camera] = open_now.get(account.camera, 0) + (account.ended is None)
    yield _check(
        "a camera has one session at a time",
        [f"{camera}: {count} sessions are open" for camera, count in open_now.items() if count > 1],
        f"{sum(open_now.values())} open",
    )
