"""How a subscriber makes one gapless story out of a lossy topic and a journal.

Every event stands in the journal before it is published. So the topic is only the fast path: the next number is taken
from it at once, a number seen before is a double, and a jump means that something was missed. Then, and whenever a
status tells of a later number than the last one taken, the journal is asked for everything after the cursor. Nothing is
put in order by waiting for it, and nothing is kept in memory but the last event of each camera.

That one is asked for again after every new connection. A worker may have come back with an older copy of its journal (a
restored backup) and have given the same numbers to other events since: where the journal tells another event under that
number, or ends before it, no number can be trusted any more, and the story ends with an error.
"""

import contextlib
from collections.abc import Callable, Collection, Mapping

import msgspec

from bowam_stream.errors import TransportError
from bowam_stream.events.journal import PAGE_EVENTS
from bowam_stream.events.schema import from_json
from bowam_stream.events.wire import Request, read_message, read_page
from bowam_stream.messages import Event

Since = int | Mapping[str, int | Event] | None
"""Where to begin: the last seq known, for all cameras or by camera. An event stands for its seq, and is checked."""


class Merge:
    """The state of one subscription, without its sockets: messages in, events out.

    While `behind` is true, the journal wants to be asked (`request`) and its answer goes to `on_page`.
    """

    def __init__(self, *, cameras: Collection[str] | None = None, since: Since = None) -> None:
        """`since`: None for what happens from now on."""
        self.cursor: dict[str, int] = {}  # camera -> seq of the last event given out; where to resume
        self.journal: str | None = None  # name of the journal that the cursor belongs to
        self.behind = True
        self.status: dict[str, bytes] = {}  # camera -> its last status, JSON
        self._cameras = None if cameras is None else frozenset(cameras)
        self._since = since
        self._last: dict[str, Event] = {}  # camera -> the event at the cursor, where it is known
        self._unsure: set[str] = set()  # cameras whose last event is yet to be compared with the journal's
        self._asked: frozenset[str] = frozenset()  # those of them that the last question asked for
        self._places: dict[str, tuple[dict[str, int], dict[str, Event]]] = {}  # by journal: an older one may come back

    def connected(self) -> None:
        """A new connection: whoever answers now may be another process, with another journal under the same name."""
        self._unsure = set(self._last)
        self.behind = True

    def request(self, credit: int = PAGE_EVENTS) -> bytes:
        """What to ask the journal, for at most `credit` events. The first question is where it stands."""
        cameras = None if self._cameras is None else tuple(sorted(self._cameras))
        credit = credit if self.journal else 0
        self._asked = frozenset(self._unsure)
        since = {camera: seq - (camera in self._asked) for camera, seq in self.cursor.items()}
        return msgspec.json.encode(Request(since=since, cameras=cameras, credit=credit))

    def on_page(self, parts: list[bytes]) -> list[Event]:
        """Events of an answer that were not given out yet.

        Raises TransportError where it makes no sense, or where the journal tells another story than before; nothing of
        that page is given out then.
        """
        header, bodies = read_page(parts)
        heads = {camera: seq for camera, seq in header.heads.items() if self._wanted(camera)}
        if header.journal != self.journal:  # the first one, or one that took its place and counts from 1 again
            first = self.journal is None
            place = _start(self._since, heads, self._wanted) if first else ({}, {})
            self.journal = header.journal
            self.cursor, self._last = self._places.setdefault(header.journal, place)
            self._unsure = set(self._last)
            self.behind = bool(self._unsure) or any(seq > self.cursor.get(camera, 0) for camera, seq in heads.items())
            return []
        told = [from_json(body) for body in bodies]
        checked = self._check(told, heads)
        events = [event for event in told if self._take(event)]
        self._unsure -= checked
        if header.complete:
            self._unsure -= self._asked  # what was not told is purged
            for camera, seq in header.purged.items():
                if self._wanted(camera) and seq > self.cursor.get(camera, 0):
                    self.cursor[camera] = seq
                    self._last.pop(camera, None)
        elif not events and not checked:
            raise TransportError("the journal socket promises more events and sends none; is it of another version?")
        self.behind = bool(self._unsure) or not header.complete
        return events

    def on_message(self, parts: list[bytes]) -> list[Event]:
        """The event of a message of the topic if it is the next one. Raises TransportError where it is malformed."""
        message = read_message(parts)
        header = message.header
        if not self._wanted(header.camera):
            return []
        if message.kind == "status":
            self.status[header.camera] = message.body
        if header.journal != self.journal or header.camera in self._unsure:
            self.behind = True  # of a new journal, or late news of an old one: the journal socket knows
            return []
        ahead = header.seq - self.cursor.get(header.camera, 0)
        if message.kind == "event" and ahead == 1:
            with contextlib.suppress(TransportError):  # a damaged event: the journal has it sound
                event = from_json(message.body)
                if (event.camera, event.seq) == (header.camera, header.seq) and self._take(event):
                    return [event]
        self.behind = self.behind or ahead > 0
        return []

    def _check(self, told: list[Event], heads: Mapping[str, int]) -> set[str]:
        """The cameras whose last event was told again, and is the same. Raises TransportError where it is another."""
        for camera, seq in self.cursor.items():
            if heads.get(camera, 0) < seq:
                raise TransportError(_gone_back(camera, seq, f"ends at {heads.get(camera, 0)}"))
        again = {
            event.camera: event
            for event in told
            if event.camera in self._asked and event.seq == self.cursor.get(event.camera)
        }
        for camera, event in again.items():
            if camera in self._last and _content(event) != self._last[camera]:
                raise TransportError(_gone_back(camera, event.seq, "tells another event under that number"))
        return set(again)

    def _wanted(self, camera: str) -> bool:
        return self._cameras is None or camera in self._cameras

    def _take(self, event: Event) -> bool:
        """Move the cursor to `event`; False for a double."""
        if not self._wanted(event.camera) or event.seq <= self.cursor.get(event.camera, 0):
            return False
        self.cursor[event.camera] = event.seq
        self._last[event.camera] = _content(event)
        return True


def _content(event: Event) -> Event:
    """What of an event never changes."""
    return msgspec.structs.replace(event, delivery=None)


def _gone_back(camera: str, seq: int, what: str) -> str:
    return (
        f"cannot go on behind event {seq} of {camera}: the journal {what}, so it is another one, or an older copy was "
        "restored; keep what you have apart, and start anew with since=0"
    )


def _start(
    since: Since, heads: Mapping[str, int], wanted: Callable[[str], bool]
) -> tuple[dict[str, int], dict[str, Event]]:
    """The cursor from which a subscription starts at a journal with these heads, and the events known there."""
    if since is None:
        return dict(heads), {}
    if isinstance(since, int):
        return {camera: min(since, seq) for camera, seq in heads.items()}, {}
    known = {camera: _content(last) for camera, last in since.items() if isinstance(last, Event) and wanted(camera)}
    cursor = {c: last.seq if isinstance(last, Event) else last for c, last in since.items() if wanted(c)}
    for camera, seq in cursor.items():
        if seq > heads.get(camera, 0):
            raise TransportError(
                f"cannot resume {camera} after event {seq}: this journal ends at {heads.get(camera, 0)}, so the cursor "
                "is of another journal; start with since=0"
            )
    return cursor, known
