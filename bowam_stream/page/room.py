"""Everything that the page knows, whoever looks: what was heard, and the desks that it is laid out on.

All of it lives in the page's own thread; the listener and the clerk hand their findings over.
"""

import asyncio
import base64
import contextlib
import logging
from collections import OrderedDict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol, TypeVar

import msgspec

from bowam_stream import clock
from bowam_stream.config import Config
from bowam_stream.errors import StreamError
from bowam_stream.events.accounts import SessionAccount
from bowam_stream.events.judgements import Judgement
from bowam_stream.events.sensitivity import Sensitivity
from bowam_stream.keys import Keys
from bowam_stream.messages import Event
from bowam_stream.page.cameras import Cameras
from bowam_stream.page.clerk import Clerk
from bowam_stream.page.entries import Entries
from bowam_stream.page.health import SILENT_NS
from bowam_stream.page.kept import Kept
from bowam_stream.page.listener import Heard, Listener, News, Trouble
from bowam_stream.pipeline.tap import Status
from bowam_stream.pipeline.view import View
from bowam_stream.report.pictures import EventPictures

log = logging.getLogger(__name__)

MOST_BROWSERS = 8
MOST_PICTURES = 200  # of events; some 60 kB each
MOST_EVENTS = 500  # whole records that are kept at hand
TICK_S = 0.1
ARROWS = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 240 240" fill="none" stroke-linecap="round" '
    'stroke-linejoin="round"><path stroke="#000" stroke-opacity=".55" stroke-width="2.4" d="{path}"/>'
    '<path stroke="#fff" stroke-width="1.1" d="{path}"/></svg>'
)
PICTURES = ("onset", "apex", "offset", "flow", "strain", "arrows")


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """What the page shows: a worker's address with its journal, a journal alone, or a kept replay."""

    journal: Path
    worker: str | None = None
    kept: Kept | None = None


Value = TypeVar("Value")


class Desk(Protocol):
    """One browser, as the room sees it."""

    def tick(self) -> None:
        """A tenth of a second has passed, or something happened."""

    def changed(self, event_ids: set[str]) -> None:
        """These events, or what is said of them, are new or different."""


class Room:
    """What is known, and who looks."""

    def __init__(self, source: Source, config: Config, keys: Keys | None) -> None:
        self.source, self.config, self._keys = source, config, keys
        self.cameras = Cameras()
        self.entries = Entries()
        self.judgements: dict[str, Judgement] = {}
        self.asked: dict[str, Sensitivity] = {}
        self.accounts: dict[tuple[str, str], SessionAccount] = {}
        self.announced: OrderedDict[str, None] = OrderedDict()  # events that were seen to be provisional
        self.reading = True  # the journal has not been read to its end yet
        self.trouble = ""
        self.clerk = Clerk(source.journal)
        self.desks: set[Desk] = set()
        self._events: OrderedDict[str, Event] = OrderedDict()
        self._pictures: OrderedDict[str, EventPictures] = OrderedDict()

    @property
    def live(self) -> bool:
        """Whether a worker is listened to."""
        return self.source.worker is not None

    def link(self, camera: str) -> tuple[str, str]:
        """Whether the worker is heard of that camera: words, and one of "live" and "gone"."""
        now = self.cameras.now.get(camera)
        silent_ns = None if now is None else now.silent_ns(clock.monotonic_ns())
        if now is None or now.status is None or silent_ns is None or not now.status.session:
            return "waiting for the camera", "gone"
        if now.status.ended:
            return "the camera has ended", "held"
        return ("worker gone, waiting", "gone") if silent_ns > SILENT_NS else ("live", "live")

    def hear(self, heard: Heard) -> None:
        """Take what the listener posted."""
        changed: set[str] = set()
        match heard:
            case View():
                camera = self.cameras.of(heard.camera)
                if camera is not None:
                    camera.view(heard)
                for event_id, pictures in heard.pictures.items():
                    _keep(self._pictures, event_id, pictures, MOST_PICTURES)
                    changed.add(event_id)
            case Status():
                camera = self.cameras.of(heard.camera)
                if camera is not None:
                    camera.told(heard, clock.monotonic_ns())
            case News():
                changed = self._news(heard)
            case Trouble():
                self.trouble = heard.words
                if heard.words:
                    log.warning("%s", heard.words)
        if changed:
            for desk in tuple(self.desks):
                desk.changed(changed)

    def _news(self, news: News) -> set[str]:
        if news.anew:
            self.entries, self.judgements = Entries(), {}
            self._events.clear()
        changed = set()
        for one in news.briefs:
            if self.entries.add(one) or not self.reading:
                changed.add(one.event_id)
            self._events.pop(one.event_id, None)
            if one.phase == "provisional":
                _keep(self.announced, one.event_id, None, MOST_EVENTS)
        self.reading = not news.complete
        if news.judgements is not None:
            said = {judgement.event_id: judgement for judgement in news.judgements}
            changed |= {event_id for event_id, one in said.items() if self.judgements.get(event_id) != one}
            self.judgements = said
        if news.asked is not None:
            self.asked = news.asked
        if news.accounts is not None:
            self.accounts = {(one.camera, one.session): one for one in news.accounts}
        return changed

    async def events(self, event_ids: Iterable[str]) -> dict[str, Event]:
        """The whole records of these events, in their last phase. Raises JournalError."""
        wanted = list(self.entries.briefs(event_ids))
        missing = [one for one in wanted if one.event_id not in self._events]
        if missing:
            read = await asyncio.wrap_future(self.clerk.events([(one.camera, one.seq) for one in missing]))
            for event in read:
                _keep(self._events, event.event_id, event, MOST_EVENTS)
        return {one.event_id: self._events[one.event_id] for one in wanted if one.event_id in self._events}

    def known_pictures(self, event_id: str) -> EventPictures | None:
        """Those that are at hand."""
        return self._pictures.get(event_id)

    def has_pictures(self, event_id: str) -> bool:
        """Whether there are any, at hand or to be drawn."""
        kept = self.source.kept
        return event_id in self._pictures or (kept is not None and kept.has_pictures(event_id))

    async def pictures(self, event_id: str) -> EventPictures | None:
        """Those of an event, drawn now if need be; None where there are none."""
        kept = self.source.kept
        if event_id not in self._pictures and kept is not None and self.entries.get(event_id) is not None:
            faces = self.config.page.preview
            drawn = await asyncio.to_thread(kept.pictures, event_id, faces=faces)
            if drawn is not None:
                _keep(self._pictures, event_id, drawn, MOST_PICTURES)
                for desk in tuple(self.desks):
                    desk.changed({event_id})
        return self._pictures.get(event_id)

    async def picture(self, event_id: str, name: str) -> bytes | None:
        """One picture, WebP, or the arrows, SVG; None where there is none."""
        pictures = await self.pictures(event_id)
        if pictures is None:
            return None
        if name == "arrows":
            return ARROWS.format(path=pictures.arrows).encode()
        code: str = getattr(pictures, name)
        return base64.b64decode(code.partition(",")[2]) if code else None

    async def judge(self, judgement: Judgement) -> Judgement:
        """Keep a judgement and show it everywhere. Raises JournalError."""
        kept = await asyncio.wrap_future(self.clerk.judge(judgement))
        self.judgements[kept.event_id] = kept
        for desk in tuple(self.desks):
            desk.changed({kept.event_id})
        return kept

    async def ask(self, wish: Sensitivity) -> None:
        """Keep a wish. Raises JournalError."""
        kept = await asyncio.wrap_future(self.clerk.ask(wish))
        self.asked[kept.camera] = kept

    async def run(self, stopped: Callable[[], bool], beat: Callable[[], None]) -> None:
        """Listen, and lay out on every desk what is new, until told to stop. Raises StreamError of the listener."""
        loop = asyncio.get_running_loop()
        fresh = asyncio.Event()

        def hear(heard: Heard) -> None:
            self.hear(heard)
            if isinstance(heard, News):
                fresh.set()

        def post(heard: Heard) -> None:
            loop.call_soon_threadsafe(hear, heard)

        listener = Listener(self.source.journal, post, worker=self.source.worker, keys=self._keys)
        listener.start()
        try:
            while not stopped():
                beat()
                listener.watch(bool(self.desks))
                for desk in tuple(self.desks):
                    desk.tick()
                fresh.clear()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(fresh.wait(), TICK_S)
                if not listener.is_alive():
                    raise listener.error if isinstance(listener.error, StreamError) else RuntimeError("no listener")
        finally:
            await asyncio.to_thread(listener.stop)
            self.clerk.close()


def _keep(book: OrderedDict[str, Value], key: str, value: Value, most: int) -> None:
    """Put it in, and let the oldest go."""
    book[key] = value
    book.move_to_end(key)
    while len(book) > most:
        book.popitem(last=False)
