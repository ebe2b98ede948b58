"""From content to a published event: commit, publish, mark, in this order, whatever interrupts it."""

from collections.abc import Mapping
from typing import Any, Protocol

import msgspec

from bowam_stream import clock
from bowam_stream.events.journal import Journal
from bowam_stream.messages import Delivery, Event
from bowam_stream.metrics import StageHook, timed


class Publisher(Protocol):
    """Whatever sends events and statuses out."""

    def publish(self, event: Event) -> None: ...

    def status(self, camera: str, fields: Mapping[str, Any]) -> None: ...


class EventLedger:
    """Keeps the promise that no event is lost: the journal first, then the topic.

    A crash before the commit loses nothing that anybody heard of: a recording is fed again, a camera's open events are
    retracted. A crash after it leaves a row that `open` publishes. A crash after publication publishes it twice, and
    (camera, seq) tells.
    """

    def __init__(self, journal: Journal, publisher: Publisher, hook: StageHook = lambda timing: None) -> None:
        """`hook` hears how long the stages "journal" (until a record is safe) and "publish" take."""
        self._journal = journal
        self._publisher = publisher
        self._hook = hook

    def open(self, camera: str, *, resume: str | None) -> list[Event]:
        """Take charge of `camera` as its stream begins; returns what had to be published before anything new.

        Whatever an earlier process stored and, as far as we know, did not publish goes out now. Provisional events that
        nobody closed are retracted as "interrupted", but those of the session `resume`: a recording that comes again
        and closes them itself. Raises JournalError where another worker holds the camera.
        """
        self._journal.claim(camera)
        published = [self._publish(event, None) for event in self._journal.unpublished(camera)]
        left_open = [event for event in self._journal.open_provisionals(camera) if event.session != resume]
        for event in left_open:
            closed = self.record(msgspec.structs.replace(event, phase="retracted", reason="interrupted"))
            published += [closed] if closed else []
        return published

    def record(self, content: Event, *, trigger_ns: int | None = None) -> Event | None:
        """Store and publish `content`; returns it with its seq and delivery, None if the journal has it already.

        `trigger_ns`: when the frame that brought it was captured, on this machine's monotonic clock; None for
        recordings. Raises JournalError.
        """
        with timed(self._hook, "journal"):
            event = self._journal.append(content)
        return None if event is None else self._publish(event, trigger_ns)

    def status(self, camera: str, fields: Mapping[str, Any]) -> None:
        """Publish how a camera is doing. Not kept."""
        self._publisher.status(camera, fields)

    def _publish(self, event: Event, trigger_ns: int | None) -> Event:
        latency_ms = None if trigger_ns is None else round((clock.monotonic_ns() - trigger_ns) / clock.NS_PER_MS, 3)
        delivery = Delivery(published_utc_ns=clock.utc_ns(), latency_ms=latency_ms)
        event = msgspec.structs.replace(event, delivery=delivery)
        with timed(self._hook, "publish"):
            self._publisher.publish(event)
        self._journal.mark_published(event)
        return event
