"""A row as text. Each cell stands on one line, and none is a formula to a spreadsheet."""

import csv
import datetime
import io
import re
from collections.abc import Callable, Iterable, Sequence

from bowam_stream.clock import to_ms
from bowam_stream.formats.rows import Row

FORMULA = tuple("=+-@＝＋－＠")  # what a spreadsheet computes, if a cell begins with it
# Control characters, line and paragraph separators move a cursor or end a line; the last ones no XML can hold.
_UNWRITABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufffe\uffff]+")


def one_line(text: str) -> str:
    """What a person wrote, on one line."""
    return _UNWRITABLE.sub(" ", text).strip()


def word(text: str | None) -> str:
    """A cell that a person wrote. An apostrophe keeps a spreadsheet from computing it."""
    cell = one_line(text or "")
    return f"'{cell}" if cell.startswith(FORMULA) else cell


def number(value: float | int | None) -> str:
    """A cell with a number, empty for None."""
    return "" if value is None else str(value)


def seconds(ms: int | None) -> str:
    """Milliseconds as seconds, to three decimals and exact; empty for None."""
    if ms is None:
        return ""
    return f"{'-' if ms < 0 else ''}{abs(ms) // 1000}.{abs(ms) % 1000:03d}"


def utc(utc_ns: int | None) -> str:
    """A moment for people and programs (ISO 8601, UTC, milliseconds); empty for None, and beyond the year 9999."""
    if utc_ns is None:
        return ""
    try:
        when = datetime.datetime(1970, 1, 1) + datetime.timedelta(milliseconds=to_ms(utc_ns))
    except OverflowError:
        return ""
    return f"{when.isoformat(timespec='milliseconds')}Z"


def consent(row: Row) -> str:
    """Whether the people in view agreed: true, false, or empty where nobody said."""
    return {True: "true", False: "false", None: ""}[row.event.consent]


JUDGEMENT: dict[str, Callable[[Row], str]] = {
    "verdict": lambda row: row.judgement.verdict if row.judgement else "",
    "judged_label": lambda row: word(row.judgement.label if row.judgement else None),
    "note": lambda row: word(row.judgement.note if row.judgement else None),
    "judged_by": lambda row: word(row.judgement.by if row.judgement else None),
    "judged_utc": lambda row: utc(row.judgement.judged_utc_ns if row.judgement else None),
}
"""What a person said about the event: column -> its cell, empty where nobody did."""


def write(header: Sequence[str], lines: Iterable[Sequence[str]], *, delimiter: str) -> bytes:
    """A table in UTF-8."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(lines)
    return text.getvalue().encode()


def what(row: Row) -> str:
    """What it was, in a word: the label of a micro-expression, the reason of what was withdrawn, else the kind."""
    said = (one_line(text or "") for text in (row.event.label, row.event.reason))
    return next(filter(None, said), row.kind)


def remarks(row: Row) -> str:
    """What was said beside the verdict, in one line: `label surprise; she only spoke; by Ada`."""
    said = row.judgement
    parts = (said.label and f"label {said.label}", said.note, said.by and f"by {said.by}") if said else ()
    return "; ".join(filter(None, (one_line(part or "") for part in parts)))
