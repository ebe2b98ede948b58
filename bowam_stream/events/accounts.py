"""Where the frames of every session went, exactly; the journal keeps it beside the events.

    captured  = published + what the capture dropped        ("grab/queue_full", "align/stopped", ...)
    published = spotted + what was dropped at the worker     ("receive/lost", "receive/age", ...)
    received  = spotted + what was dropped after it arrived  (all of these but "lost" and "absent")

Both sides of each equation are counted apart: the left ones are the numbers that the frames and the end of the stream
carry, the right ones count what happened to them. A difference is written down as "receive/unexplained", and is a bug.
"""

from typing import Literal

import msgspec

from bowam_stream.messages import AlignedFrame, EndOfStream, Hello

RECEIVE = "receive/"
LOST = RECEIVE + "lost"  # on the wire
ABSENT = RECEIVE + "absent"  # published while no worker listened, or taken by one that died before it could tell
UNEXPLAINED = RECEIVE + "unexplained"
PASSED_OVER = (
    "grab/queue_full"  # why numbers are missing between two published frames; the end of the stream knows better
)

Ending = Literal["end", "interrupted"]


class SessionAccount(msgspec.Struct, kw_only=True):
    """The books of one session of one camera. `ended` is None while it goes on."""

    camera: str
    session: str
    source: str = ""
    lossless: bool = False
    captured: int = 0
    published: int = 0
    spotted: int = 0
    dropped: dict[str, int] = {}  # "stage/reason" -> frames
    ended: Ending | None = None

    @classmethod
    def open(cls, hello: Hello) -> "SessionAccount":
        """The books of a session that begins."""
        return cls(camera=hello.camera, session=hello.session, source=hello.source, lossless=hello.lossless)

    @property
    def explained(self) -> int:
        """Published frames of which we know what became of them."""
        return self.spotted + sum(count for reason, count in self.dropped.items() if reason.startswith(RECEIVE))

    @property
    def received(self) -> int:
        """Frames that came off the wire."""
        return self.published - self.dropped.get(LOST, 0) - self.dropped.get(ABSENT, 0)

    def skip(self, reason: str, count: int) -> None:
        """The receiver dropped the next `count` frames; `reason` with its stage."""
        self.dropped[reason] = self.dropped.get(reason, 0) + count
        more = max(0, self.explained - self.published)
        self.published += more
        self.captured += more  # what was passed over before them stays so

    def spot(self, frame: AlignedFrame, *, joined: bool) -> int:
        """The spotter takes `frame`. Returns how many before it nobody knows of; `joined`: it is our first."""
        absent = self._explain(frame.seq, joined=joined)
        self.spotted += 1
        self.published = frame.seq + 1
        self.captured = frame.moment.frame + 1
        self._pass_over(self.captured - self.published)
        return absent

    def close(self, end: EndOfStream, *, joined: bool) -> int:
        """The capture has closed its own books: they count. Returns what `spot` does."""
        absent = self._explain(end.seq, joined=joined)
        self.published, self.captured = end.seq, end.frames
        self._pass_over(0)
        self.dropped.update(end.dropped)
        self.ended = "interrupted" if "interrupted" in end.quality else "end"
        return absent

    def faults(self) -> list[str]:
        """The equations that don't hold, in words; none if all is well."""
        before = sum(count for reason, count in self.dropped.items() if not reason.startswith(RECEIVE))
        found = []
        if self.captured != self.published + before:
            found.append(f"{self.captured} captured, but {self.published} published and {before} dropped")
        if self.published != self.explained:
            found.append(f"{self.published} published, but {self.explained} spotted or dropped")
        if self.dropped.get(UNEXPLAINED):
            found.append(f"{self.dropped[UNEXPLAINED]} frames unexplained")
        return found

    def _explain(self, seq: int, *, joined: bool) -> int:
        missing = seq - self.explained
        if missing:
            reason = ABSENT if joined and missing > 0 else UNEXPLAINED
            self.dropped[reason] = self.dropped.get(reason, 0) + missing
        return missing if joined else 0

    def _pass_over(self, count: int) -> None:
        if count:
            self.dropped[PASSED_OVER] = count
        else:
            self.dropped.pop(PASSED_OVER, None)
