"""How sensitive a live camera shall be: what a person asks for on the page, and the worker takes from the journal.

The wish stands in the journal, not on a socket: whoever may write the file may ask, who only reads events may not, and
what held when an event was found can be looked up later. A wish holds until the next one, or until a worker is
started anew, which begins with its settings and says so in the same table. Recordings know no wishes.
"""

import math

import msgspec

from bowam_stream.clock import utc_ns
from bowam_stream.errors import JournalError
from bowam_stream.events.journal import Journal, explained


class Sensitivity(msgspec.Struct, frozen=True, kw_only=True):
    """From when on which threshold was asked for."""

    camera: str
    threshold: float | None  # of the spotter, in units of the face's noise; None: as the settings say
    false_alarms_per_hour: float | None = None  # what it was chosen for, if it was
    asked_utc_ns: int = 0  # stamped when it is kept


def ask(journal: Journal, wish: Sensitivity) -> Sensitivity:
    """Keep a wish, and return it with its time; the worker looks once a second. Raises JournalError."""
    if wish.threshold is not None and not (math.isfinite(wish.threshold) and wish.threshold > 0):
        raise JournalError(f"a threshold of {wish.threshold} can't be asked for; it is a number above 0")
    wish = msgspec.structs.replace(wish, asked_utc_ns=utc_ns())
    with journal._transaction():
        journal._db.execute("INSERT INTO sensitivity VALUES (NULL, ?, ?, ?, ?)", msgspec.structs.astuple(wish))
    return wish


def asked(journal: Journal) -> dict[str, Sensitivity]:
    """What holds for each camera that was ever asked about. Raises JournalError."""
    return {wish.camera: wish for wish in history(journal)}


def history(journal: Journal) -> list[Sensitivity]:
    """Every wish, in the order in which they came. Raises JournalError."""
    with explained(journal.path):
        if journal._version() < 3:
            return []
        rows = journal._db.execute(
            "SELECT camera, threshold, false_alarms_per_hour, asked_utc_ns FROM sensitivity ORDER BY position"
        )
        names = [field.name for field in msgspec.structs.fields(Sensitivity)]
        return [Sensitivity(**dict(zip(names, row, strict=True))) for row in rows]


def forget_wishes(journal: Journal) -> None:
    """A worker begins with its settings: whatever was asked for before has come to its end. Raises JournalError."""
    for camera, wish in asked(journal).items():
        if wish.threshold is not None:
            ask(journal, Sensitivity(camera=camera, threshold=None))
