"""All events of a journal in brief: what lists, counters and the time line need. Details are read when they are shown.

A hundred thousand events take about 40 MB; beyond `MOST` the oldest are left out and only the journal has them.
"""

from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from bowam_stream.messages import Kind, Phase
from bowam_stream.report.timeline import style_of

MOST = 200_000
REFUSED, OPEN = "refused", "open"  # styles of what is no event, and of what is none yet


def style_of_phase(phase: Phase, kind: Kind | None, label: str | None) -> str:
    """The name of the colour of a record."""
    if phase == "retracted":
        return REFUSED
    return OPEN if phase == "provisional" else style_of(kind, label)


class BriefMoment(msgspec.Struct, frozen=True):
    """As messages.Moment, without the frame."""

    t_ns: int
    utc_ns: int | None = None


class Brief(msgspec.Struct, frozen=True):
    """What is kept of one record: it decodes from the JSON of an event, and passes over the rest."""

    event_id: str
    seq: int
    camera: str
    session: str
    phase: Phase
    kind: Kind | None
    label: str | None
    onset: BriefMoment
    apex: BriefMoment
    delivery: msgspec.Raw = msgspec.Raw()

    @property
    def style(self) -> str:
        """The name of its colour."""
        return style_of_phase(self.phase, self.kind, self.label)

    @property
    def delivered(self) -> bool:
        """Whether the journal says that it went out."""
        return bytes(self.delivery) not in (b"null", b"")


def brief(record: bytes) -> Brief:
    """Read a record of the journal. Raises msgspec.DecodeError."""
    return msgspec.json.decode(record, type=Brief)


class Session(msgspec.Struct, kw_only=True):
    """One connection of a camera, or one recording."""

    camera: str
    session: str
    first_ns: int  # onset of the first event and apex of the last
    last_ns: int
    utc_ns: int | None  # of the first onset
    entries: list[str]  # event ids, in the order in which they began


class Entries:
    """Events by id and by session; the record that came last stands for the event."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._by_id: OrderedDict[str, Brief] = OrderedDict()
        self.sessions: dict[tuple[str, str], Session] = {}
        self.left_out = 0

    def __len__(self) -> int:
        return len(self._by_id)

    def get(self, event_id: str) -> Brief | None:
        """One event."""
        return self._by_id.get(event_id)

    def add(self, record: Brief) -> bool:
        """Take a record; tells whether the event is new. A record that is older than what is known changes nothing."""
        known = self._by_id.get(record.event_id)
        if known is not None:
            if known.seq <= record.seq:
                self._by_id[record.event_id] = record
            return False
        self._by_id[record.event_id] = record
        session = self.sessions.get((record.camera, record.session))
        if session is None:
            self.sessions[record.camera, record.session] = session = Session(
                camera=record.camera,
                session=record.session,
                first_ns=record.onset.t_ns,
                last_ns=record.apex.t_ns,
                utc_ns=record.onset.utc_ns,
                entries=[],
            )
        session.entries.append(record.event_id)
        session.first_ns = min(session.first_ns, record.onset.t_ns)
        session.last_ns = max(session.last_ns, record.apex.t_ns)
        if len(self._by_id) > self._most:
            self._forget(self._by_id.popitem(last=False)[1])
        return True

    def _forget(self, record: Brief) -> None:
        session = self.sessions[record.camera, record.session]
        session.entries.remove(record.event_id)  # the first, or near it
        if not session.entries:
            del self.sessions[record.camera, record.session]
        self.left_out += 1

    def cameras(self) -> list[str]:
        """Those that have events."""
        return sorted({camera for camera, _ in self.sessions})

    def of(self, camera: str, session: str | None) -> Sequence[str]:
        """Event ids of a session, oldest first; of all sessions of the camera in turn where none is named."""
        if session is not None:
            found = self.sessions.get((camera, session))
            return found.entries if found else ()
        lists = [one.entries for (name, _), one in self.sessions.items() if name == camera]
        return lists[0] if len(lists) == 1 else [event_id for entries in lists for event_id in entries]

    def briefs(self, ids: Iterable[str]) -> Iterator[Brief]:
        """Those that are still known."""
        return (self._by_id[event_id] for event_id in ids if event_id in self._by_id)

    def nearest(self, ids: Sequence[str], t_ns: int) -> str | None:
        """The event whose apex is closest to a moment; `ids` are oldest first, as `of` gives them."""
        place = bisect_left(ids, t_ns, key=lambda event_id: self._by_id[event_id].apex.t_ns)
        close = ids[max(0, place - 2) : place + 2]
        return min(close, key=lambda event_id: abs(self._by_id[event_id].apex.t_ns - t_ns), default=None)


def marks(briefs: Iterable[Brief], base_ns: int, most: int) -> list[tuple[float, str, str]]:
    """(ms since `base_ns`, style, event id) of events on a time line.

    Where there are more than `most`, every n-th, but expressions before what was refused.
    """
    all_of_them = list(briefs)
    if len(all_of_them) > most:
        claimed = [one for one in all_of_them if one.style not in (REFUSED, OPEN, "blink")]
        all_of_them = claimed if len(claimed) > most // 2 else all_of_them
        all_of_them = all_of_them[:: -(-len(all_of_them) // most)]
    return [(round((one.apex.t_ns - base_ns) / 1e6, 1), one.style, one.event_id) for one in all_of_them]
