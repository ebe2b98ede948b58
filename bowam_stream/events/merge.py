"""How a subscriber makes one gapless story out of a lossy topic and a journal.

Every event stands in the journal before it is published. So the topic is only the fast path: the next number is taken
from it at once, a number seen before is a double, and a jump means that something was missed. Then, and whenever a
status tells of a later number than the last one taken, the journal is asked for everything after the cursor. Nothing is
put in order by waiting for it, and nothing is kept in memory.
"""

import contextlib
from collections.abc import Callable, Collection, Mapping

import msgspec

from bowam_stream.errors import TransportError
from bowam_stream.events.journal import PAGE_EVENTS
from bowam_stream.events.schema import from_json
from bowam_stream.events.wire import MAX_CAMERAS, Request, read_message, read_page
from bowam_stream.messages import Event

MAX_JOURNALS = 16  # whose cursors are kept: a stranger may name any number


class Merge:
    """The state of one subscription, without its sockets: messages in, events out.

    While `behind` is true, the journal wants to be asked (`request`) and its answer goes to `on_page`.
    """

    def __init__(self, *, cameras: Collection[str] | None = None, since: int | Mapping[str, int] | None = None) -> None:
        """`since`: the last seq known, for all cameras or by camera; None for what happens from now on."""
        self.cursor: dict[str, int] = {}  # camera -> seq of the last event given out; where to resume
        self.journal: str | None = None  # name of the journal that the cursor belongs to
        self.behind = True
        self.status: dict[str, bytes] = {}  # camera -> its last status, JSON
        self._cameras = None if cameras is None else frozenset(cameras)
        self._since = since
        self._cursors: dict[str, dict[str, int]] = {}  # by journal: an older one may come back

    def request(self) -> bytes:
        """What to ask the journal. The first question is where it stands."""
        cameras = None if self._cameras is None else tuple(sorted(self._cameras))
        credit = PAGE_EVENTS if self.journal else 0
        return msgspec.json.encode(Request(since=self.cursor, cameras=cameras, credit=credit))

    def on_page(self, parts: list[bytes]) -> list[Event]:
        """Events of an answer that were not given out yet. Raises TransportError where it makes no sense."""
        header, bodies = read_page(parts)
        heads = {camera: seq for camera, seq in header.heads.items() if self._wanted(camera)}
        if header.journal != self.journal:  # the first one, or one that took its place and counts from 1 again
            start = _start(self._since, heads, self._wanted) if self.journal is None else {}
            self.journal = header.journal
            self.cursor = self._cursors.pop(header.journal, start)
            self._cursors[header.journal] = self.cursor  # the last one now
            while len(self._cursors) > MAX_JOURNALS:
                del self._cursors[next(iter(self._cursors))]
            self.behind = any(seq > self.cursor.get(camera, 0) for camera, seq in heads.items())
            return []
        said = [event for event in map(from_json, bodies) if event.seq <= heads.get(event.camera, 0)]
        events = [event for event in said if self._take(event)]
        if not events and not header.complete:
            raise TransportError("the journal socket promises more events and sends none; is it of another version?")
        self.behind = not header.complete
        return events

    def on_message(self, parts: list[bytes]) -> list[Event]:
        """The event of a message of the topic if it is the next one. Raises TransportError where it is malformed."""
        message = read_message(parts)
        header = message.header
        if not self._wanted(header.camera):
            return []
        if header.camera not in self.cursor and len(self.cursor) >= MAX_CAMERAS:
            raise TransportError(f"a message of one more camera than the {MAX_CAMERAS} that a worker has")
        if message.kind == "status" and (header.camera in self.status or len(self.status) < MAX_CAMERAS):
            self.status[header.camera] = message.body
        if header.journal != self.journal:  # of a new one, or late news of an old one: the journal socket knows
            self.behind = True
            return []
        ahead = header.seq - self.cursor.get(header.camera, 0)
        if message.kind == "event" and ahead == 1:
            with contextlib.suppress(TransportError):  # a damaged event: the journal has it sound
                event = from_json(message.body)
                if (event.camera, event.seq) == (header.camera, header.seq) and self._take(event):
                    return [event]
        self.behind = self.behind or ahead > 0
        return []

    def _wanted(self, camera: str) -> bool:
        return self._cameras is None or camera in self._cameras

    def _take(self, event: Event) -> bool:
        """Move the cursor to `event`; False for a double."""
        if not self._wanted(event.camera) or event.seq <= self.cursor.get(event.camera, 0):
            return False
        self.cursor[event.camera] = event.seq
        return True


def _start(
    since: int | Mapping[str, int] | None, heads: Mapping[str, int], wanted: Callable[[str], bool]
) -> dict[str, int]:
    """The cursor from which a subscription starts at a journal with these heads."""
    if since is None:
        return dict(heads)
    if isinstance(since, int):
        return {camera: min(since, seq) for camera, seq in heads.items()}
    cursor = {camera: seq for camera, seq in since.items() if wanted(camera)}
    for camera, seq in cursor.items():
        if seq > heads.get(camera, 0):
            raise TransportError(
                f"cannot resume {camera} after event {seq}: this journal ends at {heads.get(camera, 0)}, so the cursor "
                "is of another journal; start with since=0"
            )
    return cursor
