"""From content to a published event: commit, publish, mark, in this order, whatever interrupts it."""

from typing import Protocol

import msgspec

from bowam_stream import clock
from bowam_stream.events.journal import Journal
from bowam_stream.messages import Delivery, Event


class Publisher(Protocol):
    """Whatever sends an event out."""

    def publish(self, event: Event) -> None: ...


class EventLedger:
    """Keeps the promise that no event is lost: the journal first, then the topic.

    A crash before the commit loses nothing that anybody heard of; the recording is fed again, or the camera's open
    events are retracted. A crash after it leaves a row that `resume` publishes. A crash after publication publishes it
    twice, and (camera, seq) tells.
    """

    def __init__(self, journal: Journal, publisher: Publisher) -> None:
        self._journal = journal
        self._publisher = publisher

    def resume(self) -> list[Event]:
        """Publish what an earlier process of these cameras stored and, as far as we know, did not publish."""
        return [self._publish(event, None) for event in self._journal.unpublished()]

    def record(self, content: Event, *, captured_ns: int | None = None) -> Event | None:
        """Store and publish `content` (its seq is ignored); None if the journal has it already.

        `captured_ns`: when the frame that brought it was captured, on this machine's monotonic clock; None for
        recordings. Raises JournalError.
        """
        event = self._journal.append(content)
        return None if event is None else self._publish(event, captured_ns)

    def retract_open(self, camera: str, reason: str = "interrupted") -> list[Event]:
        """Close the provisional events of a live camera that nobody will finish: a new worker or session begins."""
        closed = [
            self.record(msgspec.structs.replace(event, phase="retracted", reason=reason, delivery=None))
            for event in self._journal.open_provisionals(camera)
        ]
        return [event for event in closed if event is not None]

    def _publish(self, event: Event, captured_ns: int | None) -> Event:
        latency_ms = None if captured_ns is None else round((clock.monotonic_ns() - captured_ns) / clock.NS_PER_MS, 3)
        delivery = Delivery(published_utc_ns=clock.utc_ns(), latency_ms=latency_ms)
        event = msgspec.structs.replace(event, delivery=delivery)
        self._publisher.publish(event)
        self._journal.mark_published(event)
        return event
