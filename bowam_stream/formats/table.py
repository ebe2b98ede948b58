"""CSV: a line for each event, a column for everything that is known of it."""

from collections.abc import Callable, Sequence

from bowam_stream.formats.cells import JUDGEMENT, consent, number, one_line, utc, word, write
from bowam_stream.formats.rows import Row, classes

SUFFIX = ".csv"

COLUMNS: dict[str, Callable[[Row], str]] = {
    "camera": lambda row: word(row.event.camera),
    "session": lambda row: word(row.event.session),
    "source": lambda row: word(row.recording.source),
    "seq": lambda row: number(row.event.seq),
    "event_id": lambda row: word(row.event.event_id),
    "face": lambda row: number(row.event.face),
    "phase": lambda row: row.event.phase,
    "kind": lambda row: row.event.kind or "",
    "label": lambda row: word(row.event.label),
    "confidence": lambda row: number(row.event.confidence),
    "reason": lambda row: word(row.event.reason),
    "onset_ms": lambda row: number(row.onset_ms),
    "apex_ms": lambda row: number(row.apex_ms),
    "offset_ms": lambda row: number(row.offset_ms),
    "duration_ms": lambda row: number(row.duration_ms),
    "onset_frame": lambda row: number(row.event.onset.frame),
    "apex_frame": lambda row: number(row.event.apex.frame),
    "offset_frame": lambda row: number(row.event.offset.frame if row.event.offset else None),
    "onset_ns": lambda row: number(row.event.onset.t_ns - row.recording.zero_ns),
    "apex_ns": lambda row: number(row.event.apex.t_ns - row.recording.zero_ns),
    "offset_ns": lambda row: number(row.event.offset.t_ns - row.recording.zero_ns if row.event.offset else None),
    "onset_utc": lambda row: utc(row.event.onset.utc_ns),
    "apex_utc": lambda row: utc(row.event.apex.utc_ns),
    "offset_utc": lambda row: utc(row.event.offset.utc_ns if row.event.offset else None),
    "spotting_score": lambda row: number(row.event.spotting_score),
    "quality": lambda row: word(" ".join(row.event.quality)),
    "consent": consent,
    **JUDGEMENT,
    "model": lambda row: word(row.event.model.name if row.event.model else None),
    "weights": lambda row: word(row.event.model.weights if row.event.model else None),
    "backend": lambda row: word(row.event.model.backend if row.event.model else None),
}
"""Column -> its cell."""


def render(rows: Sequence[Row]) -> dict[str, bytes]:
    """The file. The classes of the network follow in columns of their own: `p_negative`, ..."""
    labels = classes(rows)
    header = [*COLUMNS, *(one_line(f"p_{label}") for label in labels)]
    lines = [
        [cell(row) for cell in COLUMNS.values()] + [number((row.event.probabilities or {}).get(one)) for one in labels]
        for row in rows
    ]
    return {SUFFIX: write(header, lines, delimiter=",")}
