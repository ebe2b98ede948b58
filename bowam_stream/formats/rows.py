"""The table behind all formats: one row for each event, from the record that closed it.

Times are whole milliseconds from the start of the recording. They are rounded here and nowhere else, so that every
format tells the same; durations are differences of rounded times.

What the start is: a recording counts from its beginning already. A camera's clock counts from the start of its machine,
so its sessions are counted from their first onset, or from a moment that the caller knows better (the start of another
recorder).
"""

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from bowam_stream.clock import to_ms
from bowam_stream.events.judgements import Judgement
from bowam_stream.messages import Event, Moment

KINDS = ("micro", "macro", "blink", "retracted")
SHORTEST_MS = 1  # an annotation of no length can't be drawn in ELAN and Praat


class Recording(msgspec.Struct, frozen=True, kw_only=True):
    """What the events of one session have in common."""

    source: str  # for people: a file name or an address; empty where nobody wrote it down
    zero_ns: int  # the start, on the clock of the moments
    zero_utc_ns: int | None  # the same in UTC; None for recordings


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One event."""

    event: Event  # final or retracted
    recording: Recording
    judgement: Judgement | None
    onset_ms: int
    apex_ms: int
    offset_ms: int | None  # None: retracted before an offset was seen

    @property
    def kind(self) -> str:
        """One of KINDS."""
        return self.event.kind if self.event.kind and self.event.phase == "final" else "retracted"

    @property
    def end_ms(self) -> int:
        """The offset, or as far as it was seen."""
        return self.apex_ms if self.offset_ms is None else self.offset_ms

    @property
    def duration_ms(self) -> int | None:
        """Onset to offset, if there is one."""
        return None if self.offset_ms is None else self.offset_ms - self.onset_ms

    @property
    def begin_ms(self) -> int:
        """Where its room in a lane begins."""
        return min(self.onset_ms, self.apex_ms)

    @property
    def until_ms(self) -> int:
        """Where its room in a lane ends: neither it nor its apex is shorter than can be drawn."""
        return max(self.end_ms, self.onset_ms + SHORTEST_MS, self.apex_ms + SHORTEST_MS)


class Left(msgspec.Struct, kw_only=True):
    """Events without a row, counted."""

    open: int = 0  # provisional: no record has closed them yet
    retracted: int = 0  # closed as withdrawn, and not asked for
    early: int = 0  # they begin before the start


def recordings(
    events: Iterable[Event],
    sources: Mapping[tuple[str, str], str],
    known: Mapping[tuple[str, str], Recording],
    zero_utc_ns: int | None = None,
) -> dict[tuple[str, str], Recording]:
    """(camera, session) -> what its events have in common, in the order of their first seq.

    `known` is told by a file that we wrote ourselves. `zero_utc_ns` is the start of all sessions of cameras.
    """
    first: dict[tuple[str, str], Moment] = {}
    seqs: dict[tuple[str, str], int] = {}
    for event in events:
        key = (event.camera, event.session)
        seqs[key] = min(event.seq, seqs.get(key, event.seq))
        if key not in first or event.onset.t_ns < first[key].t_ns:
            first[key] = event.onset
    found = {}
    for key in sorted(first, key=lambda key: (key[0], seqs[key], key[1])):
        moment = first[key]
        zero = known.get(key) or Recording(
            source=sources.get(key, ""),
            zero_ns=0 if moment.utc_ns is None else moment.t_ns,
            zero_utc_ns=moment.utc_ns,
        )
        if zero_utc_ns is not None and zero.zero_utc_ns is not None:
            moved_ns = zero.zero_ns + zero_utc_ns - zero.zero_utc_ns
            zero = msgspec.structs.replace(zero, zero_ns=moved_ns, zero_utc_ns=zero_utc_ns)
        found[key] = zero
    return found


def make_rows(
    events: Iterable[Event],
    found: Mapping[tuple[str, str], Recording],
    judgements: Mapping[str, Judgement],
    *,
    retracted: bool = False,
) -> tuple[list[Row], Left]:
    """The rows of `events`, by session and onset, and what was left out.

    `retracted` also gives those that were withdrawn. Every event's session must be `found`.
    """
    closing: dict[str, Event] = {}
    provisional: set[str] = set()
    for event in events:
        if event.phase == "provisional":
            provisional.add(event.event_id)
        else:
            closing.setdefault(event.event_id, event)
    left = Left(open=len(provisional - closing.keys()))
    rows = []
    for event in closing.values():
        row = _row(event, found[event.camera, event.session], judgements.get(event.event_id))
        if event.phase == "retracted" and not retracted:
            left.retracted += 1
        elif row.begin_ms < 0:
            left.early += 1
        else:
            rows.append(row)
    place = {key: number for number, key in enumerate(found)}
    rows.sort(key=lambda row: (place[row.event.camera, row.event.session], row.event.onset.t_ns, row.event.seq))
    return rows, left


def _row(event: Event, recording: Recording, judgement: Judgement | None) -> Row:
    return Row(
        event=event,
        recording=recording,
        judgement=judgement,
        onset_ms=to_ms(event.onset.t_ns - recording.zero_ns),
        apex_ms=to_ms(event.apex.t_ns - recording.zero_ns),
        offset_ms=None if event.offset is None else to_ms(event.offset.t_ns - recording.zero_ns),
    )


def by_session(rows: Sequence[Row]) -> dict[tuple[str, str], list[Row]]:
    """(camera, session) -> its rows."""
    parts: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        parts.setdefault((row.event.camera, row.event.session), []).append(row)
    return parts


def lanes(rows: Iterable[Row]) -> dict[tuple[int, str], list[list[Row]]]:
    """(face, kind) -> lanes of rows; those that overlap lie in different lanes. Faces and kinds in order."""
    found: dict[tuple[int, str], list[list[Row]]] = {}
    for row in sorted(rows, key=lambda row: row.begin_ms):
        side_by_side = found.setdefault((row.event.face, row.kind), [])
        for lane in side_by_side:
            if lane[-1].until_ms <= row.begin_ms:
                lane.append(row)
                break
        else:
            side_by_side.append([row])
    return {key: found[key] for key in sorted(found, key=lambda key: (key[0], KINDS.index(key[1])))}


def numbered(name: str, lane: int) -> str:
    """`name` of the first lane; `name 2` beside it."""
    return f"{name} {lane + 1}" if lane else name


def classes(rows: Iterable[Row]) -> list[str]:
    """All classes that any row gives a probability for."""
    return sorted({label for row in rows for label in row.event.probabilities or ()})
