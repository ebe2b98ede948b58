"""The thread that hears: views and statuses from the worker's socket, events and judgements from the journal.

Whatever it hears it posts to the page's own thread. It never writes, and nobody waits for it.
"""

import threading
from collections.abc import Callable
from pathlib import Path

import msgspec

from bowam_stream import clock
from bowam_stream.errors import JournalError, StreamError
from bowam_stream.events import Journal
from bowam_stream.events.accounts import SessionAccount
from bowam_stream.events.judgements import Judgement, judgements
from bowam_stream.events.sensitivity import Sensitivity, asked
from bowam_stream.keys import Keys
from bowam_stream.page.entries import MOST, Brief, brief
from bowam_stream.pipeline.tap import Status, Tap
from bowam_stream.pipeline.view import View

LISTEN_S = 0.04  # between two looks at the journal, where nothing was heard
REST_S = 0.3  # the same where no worker writes, or no browser looks
AGAIN_NS = clock.NS_PER_SECOND  # until a journal that can't be read is tried again
CHUNK = 5_000  # records that are posted at once


class News(msgspec.Struct, frozen=True, kw_only=True):
    """What the journal says that it did not say before."""

    anew: bool = False  # another journal took the place: what was known is void
    briefs: tuple[Brief, ...] = ()
    complete: bool = True  # no more follows at once
    judgements: tuple[Judgement, ...] | None = None  # all that hold, where any are new
    asked: dict[str, Sensitivity] | None = None  # likewise
    accounts: tuple[SessionAccount, ...] | None = None  # the books, where there are new events


class Trouble(msgspec.Struct, frozen=True, kw_only=True):
    """Why the journal can't be read; empty once it can."""

    words: str


Heard = View | Status | News | Trouble


class JournalReader:
    """Follows one journal. Used by one thread."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._journal: Journal | None = None
        self._cursor: dict[str, int] = {}
        self._seen: int | None = None
        self._name = ""

    def news(self) -> News | None:
        """What came since the last call, some thousands of records at a time; None: nothing. Raises JournalError."""
        try:
            return self._news()
        except JournalError:
            self.close()
            raise

    def _news(self) -> News | None:
        anew = self._journal is None and self._open()
        assert self._journal is not None
        seen = self._journal.changes()
        if seen == self._seen:
            return None
        self._journal.check_place()
        found: list[Brief] = []
        complete = False
        while not complete and len(found) < CHUNK:
            page = self._journal.page(self._cursor)
            complete = page.complete
            for record in page.records:
                one = brief(record)
                self._cursor[one.camera] = one.seq
                found.append(one)
        first = self._seen is None
        if complete:
            self._seen = seen
        said = tuple(judgements(self._journal)) if complete else None
        return News(
            anew=anew,
            briefs=tuple(found),
            complete=complete,
            judgements=said,
            asked=asked(self._journal) if complete else None,
            accounts=tuple(self._journal.accounts()) if complete and (found or first) else None,
        )

    def _open(self) -> bool:
        """Open the file; tells whether it is another journal than before, or one that went back."""
        self._journal = Journal.open_readonly(self._path)
        self._seen = None
        heads = self._journal.heads()
        known = self._name == self._journal.name and all(heads.get(c, 0) >= seq for c, seq in self._cursor.items())
        if not known:
            room = 2 * MOST // max(1, len(heads))  # an event is two records as a rule
            self._cursor = {camera: head - room for camera, head in heads.items() if head > room}
        anew = not known and self._name != ""
        self._name = self._journal.name
        return anew

    def close(self) -> None:
        """Let go of the file."""
        if self._journal is not None:
            self._journal.close()
            self._journal = None


class Listener(threading.Thread):
    """Hears until told to stop. `worker` is the address of an event socket; None: there is only the journal."""

    def __init__(
        self,
        journal: Path,
        post: Callable[[Heard], None],
        *,
        worker: str | None = None,
        keys: Keys | None = None,
    ) -> None:
        super().__init__(name="bowam-listener", daemon=True)
        self._journal, self._post, self._worker, self._keys = journal, post, worker, keys
        self._stop_asked = threading.Event()
        self._watched = threading.Event()
        self.error: BaseException | None = None

    def watch(self, watched: bool) -> None:
        """Whether anybody looks: without, the worker need not draw, and we listen to its events alone."""
        (self._watched.set if watched else self._watched.clear)()

    def stop(self) -> None:
        """Ask it to end, and wait a moment."""
        self._stop_asked.set()
        self.join(2.0)

    def run(self) -> None:
        """Listen."""
        reader = JournalReader(self._journal)
        tap: Tap | None = None
        watched = False
        retry_ns, trouble = 0, ""
        try:
            while not self._stop_asked.is_set():
                if self._worker is not None and (tap is None or self._watched.is_set() != watched):
                    watched = self._watched.is_set()
                    if tap is not None:
                        tap.__exit__(None, None, None)
                    tap = Tap(self._worker, self._keys, views=watched)
                if tap is not None:
                    tap.poll(LISTEN_S if watched else REST_S, on_status=self._post, on_view=self._post)
                elif self._stop_asked.wait(REST_S):
                    break
                if clock.monotonic_ns() < retry_ns:
                    continue
                try:
                    while not self._stop_asked.is_set() and (news := reader.news()) is not None:
                        self._post(news)
                    words = ""
                except (JournalError, msgspec.DecodeError) as error:
                    retry_ns = clock.monotonic_ns() + AGAIN_NS
                    coming = self._worker is not None and not self._journal.exists()  # the worker makes it
                    words = "" if coming else str(error)
                if words != trouble:
                    trouble = words
                    self._post(Trouble(words=words))
        except (StreamError, RuntimeError) as error:  # RuntimeError: the page's thread has ended meanwhile
            self.error = error
        finally:
            reader.close()
            if tap is not None:
                tap.__exit__(None, None, None)
