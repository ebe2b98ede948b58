"""What people say about events: the judgement stands in the journal beside the record, which is never edited.

A judgement is added, never changed: the last one about an event counts, the ones before tell how it came about. They go
when the event is purged.
"""

from typing import Annotated, Literal, get_args

import msgspec

from bowam_stream.clock import utc_ns
from bowam_stream.errors import JournalError
from bowam_stream.events.journal import Journal, explained

Verdict = Literal["true", "false", "unsure"]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)

MAX_NOTE = 2000  # characters
EventId = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
Label = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]


class Judgement(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one person said about one event."""

    event_id: EventId
    verdict: Verdict  # was there a movement of this kind? It says nothing about the label
    label: Label | None = None  # what it should be called; None: as the event says
    note: Annotated[str, msgspec.Meta(max_length=MAX_NOTE)] = ""
    by: Annotated[str, msgspec.Meta(max_length=64)] = ""  # who judged, if they said so
    judged_utc_ns: int = 0  # stamped when it is kept


def judge(journal: Journal, judgement: Judgement) -> Judgement:
    """Keep a judgement beside its event, and return it with its time. A worker may go on writing meanwhile.

    Raises JournalError where the journal has no such event, where the judgement is malformed, and as Journal does.
    """
    judgement = msgspec.structs.replace(judgement, judged_utc_ns=utc_ns())
    try:
        msgspec.convert(msgspec.structs.asdict(judgement), Judgement)
    except msgspec.ValidationError as error:
        raise JournalError(f"can't keep the judgement: {error}") from None
    with journal._transaction():
        known = journal._db.execute("SELECT 1 FROM events WHERE event_id = ?", (judgement.event_id,)).fetchone()
        if not known:
            raise JournalError(f"journal {journal.path}: it has no event {judgement.event_id}; it may have been purged")
        journal._db.execute(
            "INSERT INTO judgements (event_id, verdict, label, note, author, judged_utc_ns) VALUES (?, ?, ?, ?, ?, ?)",
            (
                *(judgement.event_id, judgement.verdict, judgement.label, judgement.note, judgement.by),
                judgement.judged_utc_ns,
            ),
        )
    return judgement


def judgements(journal: Journal, *, all_of_them: bool = False) -> list[Judgement]:
    """The last judgement of each event, or every one, in the order in which they were made. Raises JournalError."""
    with explained(journal.path):
        if journal._version() < 3:
            return []
        last = "" if all_of_them else "WHERE position IN (SELECT max(position) FROM judgements GROUP BY event_id)"
        rows = journal._db.execute(
            f"SELECT event_id, verdict, label, note, author, judged_utc_ns FROM judgements {last} ORDER BY position"
        )
        names = ("event_id", "verdict", "label", "note", "by", "judged_utc_ns")
        return [Judgement(**dict(zip(names, row, strict=True))) for row in rows]


def take_over(journal: Journal, older: Journal) -> int:
    """Copy what people said about events that both journals have, as it was said; how many judgements there were.

    Raises JournalError.
    """
    found = judgements(older, all_of_them=True)
    with journal._transaction():
        for one in found:
            journal._db.execute(
                "INSERT INTO judgements (event_id, verdict, label, note, author, judged_utc_ns)"
                " SELECT ?1, ?2, ?3, ?4, ?5, ?6 WHERE EXISTS (SELECT 1 FROM events WHERE event_id = ?1)",
                (one.event_id, one.verdict, one.label, one.note, one.by, one.judged_utc_ns),
            )
    return len(found)
