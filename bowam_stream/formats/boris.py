"""The table that BORIS writes as "tabular events" (version 8, tab separated), for what reads those.

A state begins (START) and ends (STOP) on lines of their own, the apex is a POINT. Columns and words are those of
`export_tabular_events` in BORIS's `export_observation.py`.
"""

from collections.abc import Sequence

from bowam_stream.formats.cells import number, one_line, remarks, seconds, utc, what, word, write
from bowam_stream.formats.media import Media
from bowam_stream.formats.rows import Row, lanes, numbered

SUFFIX = ".tsv"
NA = "NA"
HEADER = (
    *("Observation id", "Observation date", "Description", "Observation duration", "Observation type", "Source"),
    *("Time offset (s)", "Media duration (s)", "FPS", "Subject", "Behavior", "Behavioral category"),
    *("Modifier #1", "Modifier #2", "Behavior type", "Time", "Media file name", "Image index", "Image file path"),
    "Comment",
)
BEHAVIOURS = {
    "micro": "micro-expression",
    "macro": "macro-expression",
    "blink": "blink",
    "retracted": "withdrawn",
}


def render(rows: Sequence[Row], media: Media | None = None) -> dict[str, bytes]:
    """The file of one session.

    Modifiers are the label (or why it was withdrawn) and the verdict. What overlaps is another subject, `face 0 2`:
    BORIS pairs START and STOP by subject and behaviour.
    """
    timed: list[tuple[int, int, list[str]]] = []
    begin_ms, end_ms = min(row.begin_ms for row in rows), max(row.end_ms for row in rows)
    common = _observation(rows[0], media, end_ms - begin_ms)
    name = media.path if media else one_line(rows[0].recording.source) or NA
    for (face, _), side_by_side in lanes(rows).items():
        for lane_number, lane in enumerate(side_by_side):
            subject = numbered(f"face {face}", lane_number)
            for row in lane:
                for kind, ms, frame, rank in _lines(row):
                    behaviour = BEHAVIOURS[row.kind] + (" apex" if kind == "POINT" else "")
                    words = [
                        subject,
                        behaviour,
                        "face",
                        word(what(row)),
                        row.judgement.verdict if row.judgement else "",
                    ]
                    note = word(" ".join(filter(None, (row.event.event_id, remarks(row)))))
                    image = number(frame) if rows[0].recording.zero_utc_ns is None else NA
                    timed.append((ms, rank, [*common, *words, kind, seconds(ms), name, image, NA, note]))
    timed.sort(key=lambda line: line[:2])
    return {SUFFIX: write(HEADER, [cells for _, _, cells in timed], delimiter="\t")}


def _observation(row: Row, media: Media | None, length_ms: int) -> list[str]:
    """The columns that are the same on all lines."""
    live = row.recording.zero_utc_ns is not None
    source = f"player #1:{media.path}" if media else one_line(row.recording.source)
    return [
        word(f"{row.event.camera} {row.event.session}"),
        utc(row.recording.zero_utc_ns).replace("T", " ").removesuffix("Z"),
        "BOWAM stream",
        seconds(length_ms),
        "Live observation" if live and not media else "Media file(s)",
        word(source) or NA,
        "0.0",
        *(NA, NA),
    ]


def _lines(row: Row) -> list[tuple[str, int, int, int]]:
    """Type, time, frame, and rank among lines of the same time: what ends there comes before what begins."""
    event = row.event
    last = event.offset or event.apex
    return [
        ("START", row.onset_ms, event.onset.frame, 2),
        ("POINT", row.apex_ms, event.apex.frame, 0 if row.apex_ms > row.onset_ms else 3),
        ("STOP", row.end_ms, last.frame, 1 if row.end_ms > row.onset_ms else 4),
    ]
