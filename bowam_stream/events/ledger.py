"""From content to a published event: commit, publish, mark, in this order, whatever interrupts it."""

import logging
from collections import deque
from collections.abc import Callable, Collection, Mapping
from typing import Any, Protocol

import msgspec

from bowam_stream import clock
from bowam_stream.errors import JournalError
from bowam_stream.events.accounts import SessionAccount
from bowam_stream.events.journal import Journal
from bowam_stream.events.schema import to_json
from bowam_stream.messages import Delivery, Event, Hello
from bowam_stream.metrics import StageHook, timed

log = logging.getLogger(__name__)

MOST_WAITING = 10_000  # events, some 15 MB: hours of them


class Publisher(Protocol):
    """Whatever sends events and statuses out."""

    def publish(self, event: Event) -> None: ...

    def status(self, camera: str, fields: Mapping[str, Any]) -> None: ...


class EventLedger:
    """Keeps the promise that no event is lost: the journal first, then the topic.

    A crash before the commit loses nothing that anybody heard of: a recording is fed again, a camera's open events are
    retracted. A crash after it leaves a row that `open` publishes. A crash after publication publishes it twice, and
    (camera, seq) tells.

    A `patient` ledger waits for a journal that can't be written for now (a full disk): events wait in memory, in
    order and unpublished, until `retry` can write them. `trouble` says why.
    """

    def __init__(
        self,
        journal: Journal,
        publisher: Publisher,
        hook: StageHook = lambda timing: None,
        *,
        patient: bool = False,
        on_journal: Callable[[str | None, int], None] = lambda trouble, waiting: None,
    ) -> None:
        """`hook` hears how long the stages "journal" (until a record is safe) and "publish" take.

        `on_journal` hears what is wrong with the journal (None: nothing) and how many events wait, when either changes.
        """
        self._journal = journal
        self._publisher = publisher
        self._hook = hook
        self._patient = patient
        self._on_journal = on_journal
        self._waiting: deque[tuple[Event, int | None, SessionAccount | None]] = deque()  # what `record` was given
        self._unmarked: deque[Event] = deque()  # published, and not yet marked so
        self.trouble: str | None = None

    @property
    def waiting(self) -> int:
        """Events that are not in the journal yet."""
        return len(self._waiting)

    def close_left_open(self) -> list[Event]:
        """See to what an earlier worker left, at once: its cameras may never come back. Returns what was published.

        Recordings are left alone: they are fed again. So are cameras that another worker holds.
        """

        def recorded(event: Event) -> bool:
            books = self._journal.accounts(camera=event.camera, session=event.session)
            return any(account.lossless for account in books)

        published: list[Event] = []
        for camera in self._journal.heads():
            left = [*self._journal.unpublished(camera), *self._journal.open_provisionals(camera)]
            if all(map(recorded, left)):
                continue
            try:
                self._journal.claim(camera)
            except JournalError as error:
                log.info("%s", error)
                continue
            published += self._open(camera, recorded)
            self._journal.release(camera)
        return published

    def open(self, camera: str, *, resume: str | None) -> list[Event]:
        """Take charge of `camera` as its stream begins; returns what had to be published before anything new.

        Whatever an earlier process stored and, as far as we know, did not publish goes out now. Provisional events that
        nobody closed are retracted as "interrupted", but those of the session `resume`: a recording that comes again
        and closes them itself. Raises JournalError where another worker holds the camera.
        """
        self._journal.claim(camera)
        return self._open(camera, lambda event: event.session == resume)

    def _open(self, camera: str, goes_on: Callable[[Event], bool]) -> list[Event]:
        known = {event.seq for event in self._unmarked if event.camera == camera}
        published = [
            self._publish(event, None) for event in self._journal.unpublished(camera) if event.seq not in known
        ]
        closing = {content.event_id for content, *_ in self._waiting if content.phase != "provisional"}
        for event in self._journal.open_provisionals(camera):
            if not goes_on(event) and event.event_id not in closing:
                closed = self.record(msgspec.structs.replace(event, phase="retracted", reason="interrupted"))
                published += [closed] if closed else []
        return published

    def record(
        self, content: Event, *, trigger_ns: int | None = None, account: SessionAccount | None = None
    ) -> Event | None:
        """Store and publish `content`, and keep `account`, its session's; returns it with its seq and delivery.

        None if the journal has it already, or if it waits for the journal. `trigger_ns`: when the frame that brought it
        was captured, on this machine's monotonic clock; None for recordings. Raises JournalError.
        """
        if self._waiting:
            self._wait(content, trigger_ns, account)
            return None
        try:
            return self._record(content, trigger_ns, account)
        except JournalError as error:
            self._suffer(error)
            self._wait(content, trigger_ns, account)
            return None

    def retry(self) -> list[Event]:
        """Write what waits for the journal; returns what was published. Call it now and then while in `trouble`."""
        published: list[Event] = []
        try:
            while self._unmarked:
                self._journal.mark_published(self._unmarked[0])
                self._unmarked.popleft()
            while self._waiting:
                event = self._record(*self._waiting[0])
                self._waiting.popleft()
                published += [event] if event else []
        except JournalError as error:
            self._suffer(error)
        else:
            if self.trouble is not None and not self._unmarked:
                log.warning("the journal can be written again; %d events were kept meanwhile", len(published))
                self.trouble = None
        self._on_journal(self.trouble, self.waiting)
        return published

    def account(self, hello: Hello) -> SessionAccount:
        """The books of the session that `hello` opens: those of an earlier worker go on, a recording begins anew."""
        kept = [] if hello.lossless else self._journal.accounts(camera=hello.camera, session=hello.session)
        return kept[0] if kept else SessionAccount.open(hello)

    def close_accounts(self, camera: str, *, but: str) -> None:
        """Close the books of other sessions of `camera`, whose end nobody heard. Raises JournalError."""
        left = [a for a in self._journal.accounts(camera=camera, going_on=True) if a.session != but]
        for account in left:
            account.ended = "interrupted"
        self.keep(left)

    def keep(self, accounts: Collection[SessionAccount]) -> bool:
        """Write the books of these sessions; whether they are safe. Raises JournalError."""
        try:
            if accounts:
                self._journal.write_accounts(accounts)
            self._journal.check_place()
        except JournalError as error:
            self._suffer(error)
            return False
        return True

    def status(self, camera: str, fields: Mapping[str, Any]) -> None:
        """Publish how a camera is doing. Not kept."""
        self._publisher.status(camera, fields)

    def close(self) -> None:
        """Try a last time to write what waits; what can't be written is told to the log, whole. Raises JournalError."""
        if self.trouble is None:
            return
        self.retry()
        for content, *_ in self._waiting:
            log.error("not in the journal: %s", to_json(content).decode())
        if self._waiting:
            raise JournalError(f"{self.trouble}; {self.waiting} events stand in the log and not in the journal")

    def _record(self, content: Event, trigger_ns: int | None, account: SessionAccount | None) -> Event | None:
        with timed(self._hook, "journal"):
            event = self._journal.append(content, account)
        return None if event is None else self._publish(event, trigger_ns)

    def _publish(self, event: Event, trigger_ns: int | None) -> Event:
        latency_ms = None if trigger_ns is None else round((clock.monotonic_ns() - trigger_ns) / clock.NS_PER_MS, 3)
        delivery = Delivery(published_utc_ns=clock.utc_ns(), latency_ms=latency_ms)
        event = msgspec.structs.replace(event, delivery=delivery)
        with timed(self._hook, "publish"):
            self._publisher.publish(event)
        try:
            if self._unmarked:
                self._unmarked.append(event)
            else:
                self._journal.mark_published(event)
        except JournalError as error:
            self._suffer(error)
            self._unmarked.append(event)
        return event

    def _wait(self, content: Event, trigger_ns: int | None, account: SessionAccount | None) -> None:
        if self.waiting >= MOST_WAITING:
            raise JournalError(f"{self.trouble}; {self.waiting} events wait for it, no more fit into memory")
        self._waiting.append((content, trigger_ns, account))
        self._on_journal(self.trouble, self.waiting)

    def _suffer(self, error: JournalError) -> None:
        """Note that the journal can't be written for now; raise `error` if waiting won't help."""
        if not (self._patient and error.passing):
            raise error
        if self.trouble is None:
            log.error("%s; events wait in memory", error)
        self.trouble = str(error)
        self._on_journal(self.trouble, self.waiting)
