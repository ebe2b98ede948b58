"""One browser: where it looks, what it was sent and has acknowledged, and what it is to be sent next.

A browser that falls behind is not sent more: it has CREDIT packets at most on their way, and the next one holds what is
new by then. So nothing grows for a browser that is slow, hidden or stopped.
"""

import asyncio
import base64
import logging
from collections.abc import Callable
from typing import Any

import numpy as np

from bowam_stream import clock
from bowam_stream.clock import NS_PER_MS, NS_PER_SECOND
from bowam_stream.errors import StreamError
from bowam_stream.page.cameras import CameraNow
from bowam_stream.page.cards import card, utc_words
from bowam_stream.page.entries import marks
from bowam_stream.page.health import Health, health, state_words
from bowam_stream.page.ring import STATES, Ring, Rows, around, to_browser
from bowam_stream.page.room import Room
from bowam_stream.report.filters import since_start
from bowam_stream.report.record import FaceRecord

log = logging.getLogger(__name__)

CREDIT = 2  # packets that are not acknowledged
CARDS = 12  # shown at once
FIRST_ROWS = 4_000  # of the signal, when a browser comes
WINDOW_NS = 5 * NS_PER_SECOND  # before and after the moment that is looked at
WINDOW_ROWS = 1_200
BINS, MARKS = 700, 2_000  # of the time line
NEW_SAID = 999

Packet = dict[str, Any]


class Desk:
    """What one browser sees. `send` takes a packet, a dict that becomes JSON."""

    def __init__(self, room: Room, send: Callable[[Packet], None], on_health: Callable[[Health], None]) -> None:
        self._room, self._send, self._on_health = room, send, on_health
        self.camera = ""
        self.session: str | None = None  # None: what is going on now, and all sessions before it
        self.paused = False
        self._sent = self._acknowledged = 0
        self._task: asyncio.Task[None] | None = None
        self._ring: Ring | None = None
        self._place = 0
        self._base_ns: int | None = None
        self._crop = -1
        self._top = 0  # how many events are newer than the first card
        self._shown: list[str] = []
        self._frozen: list[str] | None = None  # all event ids as they were when the view was paused
        self._dirty: set[str] = set()
        self._extra: Packet = {}
        self._stale = True  # list and time line
        self._said: tuple[object, ...] = ()
        self._health_ns = 0
        self._moment_ns: int | None = None

    # What the browser asks for

    def look(self, camera: str, session: str | None) -> None:
        """Another camera, or another of its sessions."""
        self.camera, self.session = camera, session
        self.paused, self._frozen, self._top, self._moment_ns = False, None, 0, None
        self._ring, self._base_ns = None, None
        self._stale, self._crop, self._health_ns = True, -1, 0
        self._extra = {"reset": True}

    def pause(self, paused: bool) -> None:
        """Freeze the view, or follow again. The camera goes on."""
        if self.following == (not paused):
            return
        self.paused = paused
        self._frozen = list(self._ids()) if paused else None
        self._top, self._stale, self._moment_ns = 0, True, None
        self._extra["paused"] = paused
        if paused:
            self._extra["timeline"] = self._timeline()
        else:
            self._ring = None
            self._extra["reset"] = True

    def turn(self, pages: int) -> None:
        """Show older cards (above 0) or newer ones."""
        self._go_to(self._top + pages * CARDS)

    def seek(self, t_ms: float) -> None:
        """Look at a moment, in ms since the beginning of the time line."""
        if self.following or self._base_ns is None:
            return
        self._moment_ns = self._base_ns + round(t_ms * NS_PER_MS)
        ids = self._ids()
        near = self._room.entries.nearest(ids, self._moment_ns)
        if near is not None:
            self._go_to((len(ids) - 1 - ids.index(near)) // CARDS * CARDS)
            self._extra["current"] = near
        self._extra["moment"] = self._moment(self._moment_ns)

    def step(self, frames: int) -> None:
        """A frame on, or back."""
        rows = self._rows()
        if self.following:
            return
        if rows is None or not len(rows):
            self._step_events(1 if frames > 0 else -1)
            return
        t_ns = self._moment_ns if self._moment_ns is not None else int(rows.t_ns[0])
        here = int(np.searchsorted(rows.t_ns, t_ns, side="right")) - 1
        t_ns = int(rows.t_ns[min(max(here + frames, 0), len(rows) - 1)])
        self.seek((t_ns - (self._base_ns or 0)) / NS_PER_MS)

    def _step_events(self, by: int) -> None:
        """The next event, or the one before, where no frames are known."""
        ids = self._ids()
        near = None if self._moment_ns is None else self._room.entries.nearest(ids, self._moment_ns)
        here = ids.index(near) + by if near is not None else 0 if by > 0 else len(ids) - 1
        if 0 <= here < len(ids):
            self.go_to_event(ids[here])

    def go_to_event(self, event_id: str) -> None:
        """Look at the moment of an event."""
        known = self._room.entries.get(event_id)
        if known is not None and not self.following and self._base_ns is not None:
            self.seek((known.apex.t_ns - self._base_ns) / NS_PER_MS)
            self._extra["current"] = event_id

    def acknowledge(self, number: int) -> None:
        """The browser has drawn a packet."""
        self._acknowledged = min(max(self._acknowledged, number), self._sent)
        if self._dirty or self._extra:
            self.tick()

    def refuse(self, event_id: str, words: str) -> None:
        """Tell why something can't be kept; the browser keeps what was typed."""
        self._extra.setdefault("failed", []).append([event_id, words])
        del self._extra["failed"][:-20]

    # What the room says

    @property
    def following(self) -> bool:
        """Whether this is the live view, and it moves."""
        return self._room.live and self.session is None and not self.paused

    @property
    def behind(self) -> int:
        """Packets on their way."""
        return self._sent - self._acknowledged

    def changed(self, event_ids: set[str]) -> None:
        """Events that are new or different."""
        self._dirty |= event_ids & set(self._shown)
        self._stale = True

    def tick(self) -> None:
        """Send what is new, if the browser keeps up."""
        if self.behind >= CREDIT or (self._task is not None and not self._task.done()):
            return
        self._choose()
        self._tell_health()
        order = self._order() if self._stale else None
        self._stale = False
        wanted = set() if order is None else set(order) - set(self._shown)
        if order is not None:
            self._shown = order
        cards = (self._dirty | wanted) & set(self._shown)
        self._dirty = set()
        if cards or order is not None:
            self._task = asyncio.get_running_loop().create_task(self._lay(order, cards))
        else:
            self._finish({})

    async def _lay(self, order: list[str] | None, ids: set[str]) -> None:
        packet: Packet = {}
        try:
            events = await self._room.events(ids)
            room = self._room
            packet["cards"] = [
                card(
                    event,
                    judgement=room.judgements.get(event_id),
                    pictures=room.known_pictures(event_id),
                    pictured=room.has_pictures(event_id),
                    faces=room.config.page.preview,
                    announced=event_id in room.announced,
                    base_ns=self._base_ns or 0,
                )
                for event_id, event in events.items()
            ]
        except StreamError as error:
            packet["trouble"] = str(error)
        if order is not None:
            packet["order"] = order
            packet["count"] = self._counted()
        self._finish(packet)

    def _finish(self, packet: Packet) -> None:
        packet |= self._extra
        self._extra = {}
        if self.following:
            packet |= self._live()
        if packet:
            self._sent += 1
            self._send({"n": self._sent, **packet})

    # Parts of a packet

    def _choose(self) -> None:
        """The first camera that there is, until somebody chooses; and the times that its view counts from."""
        room = self._room
        if not self.camera:
            names = sorted({*room.cameras.now, *room.entries.cameras()})
            if not names:
                return
            own = sorted(room.cameras.now)
            camera = (own or names)[0]
            self.look(camera, None if room.live else self.newest_session(camera))
        if not room.live and self.session is None:
            self.session = self.newest_session(self.camera)
        if self._base_ns is None and not self.following:
            found = room.entries.sessions.get((self.camera, self.session or ""))
            if room.source.kept is not None:
                self._base_ns = room.source.kept.span_ns[0]
            elif found is not None:
                self._base_ns = found.first_ns - NS_PER_SECOND
            if self._base_ns is not None:
                self._extra["timeline"] = self._timeline()
        if not room.live and not room.reading and self._moment_ns is None and (ids := self._ids()):
            self.go_to_event(ids[-1])  # so that there is something to see at once

    def newest_session(self, camera: str) -> str | None:
        """The last one of a camera that has events."""
        return next((session for name, session in reversed(self._room.entries.sessions) if name == camera), None)

    def _ids(self) -> "list[str] | tuple[str, ...]":
        if self._frozen is not None:
            return self._frozen
        return self._room.entries.of(self.camera, self.session)  # type: ignore[return-value]

    def _order(self) -> list[str]:
        """Ids of the cards that are shown, newest first."""
        ids = self._ids()
        last = len(ids) - self._top
        return list(ids[max(0, last - CARDS) : last][::-1])

    def _counted(self) -> dict[str, int]:
        ids = self._ids()
        waiting = 0
        if self._frozen is not None:
            waiting = len(self._room.entries.of(self.camera, self.session)) - len(self._frozen)
        return {
            "all": len(ids),
            "top": self._top,
            "shown": len(self._shown),
            "new": min(max(waiting, 0), NEW_SAID),
            "reading": int(self._room.reading),
            "left_out": self._room.entries.left_out,
        }

    def _go_to(self, top: int) -> None:
        self._top = min(max(top, 0), max(0, len(self._ids()) - 1) // CARDS * CARDS if top > 0 else 0)
        self._stale = True

    def _live(self) -> Packet:
        """Signal and face, as far as they are new."""
        now = self._room.cameras.now.get(self.camera)
        if now is None:
            return {}
        packet: Packet = {}
        if now.ring is not self._ring:
            self._ring, self._place, self._base_ns = now.ring, 0, None
        rows = now.ring.since(self._place, most=FIRST_ROWS)
        if len(rows):
            if self._base_ns is None:
                self._base_ns = int(rows.t_ns[0])
                packet["reset"] = True
                self._dirty |= set(self._shown)
            self._place = now.ring.count
            packet["signal"] = to_browser(rows, self._base_ns)
            packet["state"] = STATES[int(rows.state[-1])]
            packet["words"] = state_words(packet["state"])
            packet["utc"] = _utc0_ms(now, self._base_ns)
            packet["face"] = face_for_browser(now.face, places=self._room.config.page.preview)
            if now.crop_number != self._crop:
                self._crop = now.crop_number
                packet["crop"] = "" if now.crop is None else _jpeg(now.crop)
        return packet

    def _rows(self) -> Rows | None:
        """The frames that can be looked at one by one."""
        kept = self._room.source.kept
        if kept is not None:
            return kept.rows
        now = self._room.cameras.now.get(self.camera)
        return now.ring.all() if self._room.live and self.session is None and now is not None else None

    def _timeline(self) -> Packet:
        """The whole length in short."""
        rows, entries = self._rows(), self._room.entries
        utc = None
        if rows is not None and len(rows):
            if self._room.live:
                self._base_ns = int(rows.t_ns[0])
            first_ns, last_ns = int(rows.t_ns[0]), int(rows.t_ns[-1])
            thin = rows.thinned(BINS)
            peaks = to_browser(thin, first_ns)
            overview = {"t": peaks["t"], "s": peaks["s"]}
            now = self._room.cameras.now.get(self.camera)
            utc = None if now is None else _utc0_ms(now, first_ns)
        else:
            found = entries.sessions.get((self.camera, self.session or ""))
            if found is None:
                return {"to": 0, "marks": [], "overview": None, "utc": None}
            first_ns, last_ns = found.first_ns - NS_PER_SECOND, found.last_ns + NS_PER_SECOND
            overview = None
            if found.utc_ns is not None:
                utc = (found.utc_ns - NS_PER_SECOND) / NS_PER_MS
        within = (one for one in entries.briefs(self._ids()) if first_ns <= one.apex.t_ns <= last_ns)
        return {
            "to": round((last_ns - first_ns) / NS_PER_MS, 1),
            "marks": marks(within, first_ns, MARKS),
            "overview": overview,
            "utc": utc,
            "frames": rows is not None and len(rows) > 0,
        }

    def _moment(self, t_ns: int) -> Packet:
        """What there is to see at a moment that has passed."""
        base_ns, rows, kept = self._base_ns or 0, self._rows(), self._room.source.kept
        packet: Packet = {"t": round((t_ns - base_ns) / NS_PER_MS, 1), "signal": None, "face": None}
        packet["label"] = since_start(t_ns - base_ns)
        now = self._room.cameras.now.get(self.camera)
        if now is not None and now.utc_offset_ns is not None and self._room.live:
            packet["label"] = utc_words(t_ns + now.utc_offset_ns)[11:] + " UTC"
        if rows is not None and len(rows):
            packet["signal"] = to_browser(around(rows, t_ns, WINDOW_NS).thinned(WINDOW_ROWS), base_ns)
            row = int(np.argmin(np.abs(rows.t_ns - t_ns)))
            packet["state"] = STATES[int(rows.state[row])]
            packet["words"] = state_words(packet["state"])
            packet["label"] += f" · frame {int(rows.frame[row])}"
            if kept is not None:
                packet["face"] = face_for_browser(kept.face_at(row), places=self._room.config.page.preview)
        return packet

    def _tell_health(self) -> None:
        now_ns = clock.monotonic_ns()
        if now_ns - self._health_ns < NS_PER_SECOND // 2 or not self._room.live:
            return
        self._health_ns = now_ns
        camera = self._room.cameras.now.get(self.camera)
        said = health(
            None if camera is None else camera.status,
            self._room.config.spotting,
            silent_ns=None if camera is None else camera.silent_ns(now_ns),
            dropping=camera is not None and camera.drops.lately(now_ns),
        )
        self._on_health(said)


def face_for_browser(face: FaceRecord | None, *, places: bool) -> Packet:
    """Strength of every region, and with `places` where they and the outlines of the face are, in px of the crop."""
    if face is None:
        return {"regions": [], "outlines": [], "places": []}
    outlines = face.outlines() if places else {}
    middles = face.region_middles() if places else {}
    return {
        "regions": [[name, round(strength, 2)] for name, strength in face.regions.items()],
        "outlines": [line.round(1).tolist() for line in outlines.values()],
        "places": [[name, *middle.round(1).tolist()] for name, middle in middles.items()],
    }


def _utc0_ms(now: CameraNow, base_ns: int) -> float | None:
    """Wall clock at `base_ns`, ms since 1970."""
    return None if now.utc_offset_ns is None else round((base_ns + now.utc_offset_ns) / NS_PER_MS, 1)


def _jpeg(code: bytes) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(code).decode()
