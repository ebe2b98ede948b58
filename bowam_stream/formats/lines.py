"""JSON lines: the event as it was published, and beside it the judgement, what it is counted from, and its times.

`reading` reads it again: what is exported from such a file is what is exported from the journal, to the byte.
"""

from collections.abc import Sequence

import msgspec

from bowam_stream.events import to_json
from bowam_stream.formats.rows import Row

SUFFIX = ".jsonl"


def render(rows: Sequence[Row]) -> dict[str, bytes]:
    """The file. Delivery is left out, since it differs between two runs."""
    return {SUFFIX: b"".join(_line(row) + b"\n" for row in rows)}


def _line(row: Row) -> bytes:
    fields = msgspec.json.decode(to_json(row.event, delivery=False))
    fields["judgement"] = row.judgement
    fields["recording"] = row.recording
    fields["times"] = {"onset_ms": row.onset_ms, "apex_ms": row.apex_ms, "offset_ms": row.offset_ms}
    return msgspec.json.encode(fields, order="sorted")
