"""ELAN annotations (.eaf), written by pympi.

Tiers by face and kind: `face 0 micro` from onset to offset, `face 0 micro apex` (a millisecond; its text is the event's
id), and where people judged, `... verdict` and `... note` as children of the first, so that they move along with it.
"""

from collections.abc import Sequence
from typing import Any

from bowam_stream.errors import ConfigError
from bowam_stream.events.judgements import VERDICTS
from bowam_stream.formats.cells import one_line, remarks, utc, what
from bowam_stream.formats.media import Media
from bowam_stream.formats.rows import SHORTEST_MS, Row, lanes, numbered

SUFFIX = ".eaf"
CHILD = "Symbolic_Association"  # one for one with an annotation of the parent tier, and without times of its own


def render(rows: Sequence[Row], media: Media | None = None) -> dict[str, bytes]:
    """The file of one session. Raises ConfigError where pympi is missing."""
    try:
        from pympi.Elan import Eaf, to_string
    except ImportError:
        raise ConfigError("ELAN needs pympi: pip install 'bowam-stream[formats]'") from None
    eaf = Eaf(author="BOWAM stream")
    # pympi dates it now; the same events shall give the same file.
    eaf.adocument["DATE"] = utc(rows[0].recording.zero_utc_ns) or "1970-01-01T00:00:00.000Z"
    eaf.header.update(MEDIA_FILE="", TIME_UNITS="milliseconds")
    _lay_out(eaf)
    if media is not None:
        eaf.add_linked_file(media.url, relpath=media.relative, mimetype=media.mime)
    for (face, kind), side_by_side in lanes(rows).items():
        for number, lane in enumerate(side_by_side):
            _add_lane(eaf, numbered(f"face {face} {kind}", number), f"face {face}", lane)
    _sort_times(eaf)
    document: str = to_string(eaf)
    return {SUFFIX: b'<?xml version="1.0" encoding="UTF-8"?>\n' + document.encode() + b"\n"}


def _lay_out(eaf: Any) -> None:
    """Tier types, and the words of a verdict, which ELAN then offers in a menu."""
    eaf.remove_tier("default")
    eaf.add_linguistic_type("note", CHILD, timealignable=False)
    eaf.add_language("und", "http://cdb.iso.org/lg/CDB-00130975-001", "undetermined (und)")
    eaf.add_controlled_vocabulary("verdict")
    for verdict in VERDICTS:
        eaf.add_cv_entry("verdict", f"cve_{verdict}", [(verdict, "und", None)])
    eaf.add_linguistic_type("verdict", CHILD, timealignable=False)
    eaf.linguistic_types["verdict"]["CONTROLLED_VOCABULARY_REF"] = "verdict"


def _add_lane(eaf: Any, name: str, face: str, lane: Sequence[Row]) -> None:
    eaf.add_tier(name, part=face)
    eaf.add_tier(f"{name} apex", part=face)
    for row in lane:
        begin_ms = row.onset_ms
        end_ms = max(row.end_ms, begin_ms + SHORTEST_MS)
        eaf.add_annotation(name, begin_ms, end_ms, what(row))
        eaf.add_annotation(f"{name} apex", row.apex_ms, row.apex_ms + SHORTEST_MS, one_line(row.event.event_id))
        if row.judgement is not None:
            for child, text in (("verdict", row.judgement.verdict), ("note", remarks(row))):
                if text:
                    if f"{name} {child}" not in eaf.tiers:
                        eaf.add_tier(f"{name} {child}", ling=child, parent=name, part=face)
                    eaf.add_ref_annotation(f"{name} {child}", name, (begin_ms + end_ms) / 2, text)


def _sort_times(eaf: Any) -> None:
    """Number the time slots in order of time, as ELAN does; pympi numbers them as they come."""
    slots = sorted(eaf.timeslots.items(), key=lambda slot: (slot[1], int(slot[0].removeprefix("ts"))))
    new = {old: f"ts{number}" for number, (old, _) in enumerate(slots, start=1)}
    eaf.timeslots = {new[old]: ms for old, ms in slots}
    for aligned, *_ in eaf.tiers.values():
        for key, (begin, end, *rest) in aligned.items():
            aligned[key] = (new[begin], new[end], *rest)
