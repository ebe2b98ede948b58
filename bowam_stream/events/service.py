"""Everything about events that a worker needs, opened and closed as one."""

from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from bowam_stream.events.journal import Journal
from bowam_stream.events.ledger import EventLedger
from bowam_stream.events.publisher import EventPublisher
from bowam_stream.events.replay_socket import ReplaySocket
from bowam_stream.messages import Event


class EventService:
    """Journal, event topic and journal socket of one worker; used by one thread. As a context manager it closes itself.

    Opening publishes what an earlier worker of these cameras could not. Raises JournalError, AddressInUse or
    TransportError where the file or an address can't be had; nothing stays open then.
    """

    def __init__(
        self,
        journal: Path,
        *,
        endpoint: str,
        journal_endpoint: str,
        cameras: Iterable[str] = (),
        insecure: bool = False,
    ) -> None:
        with ExitStack() as stack:
            self.journal = stack.enter_context(Journal(journal, cameras=cameras))
            self._replay_socket = stack.enter_context(ReplaySocket(journal, journal_endpoint, insecure=insecure))
            self._publisher = stack.enter_context(
                EventPublisher(endpoint, journal=self.journal.name, heads=self.journal.heads(), insecure=insecure)
            )
            self._ledger = EventLedger(self.journal, self._publisher)
            self.resumed = self._ledger.resume()
            self._stack = stack.pop_all()
        self.endpoint = self._publisher.endpoint
        self.journal_endpoint = self._replay_socket.endpoint

    @property
    def refused_requests(self) -> int:
        """Malformed requests to the journal socket so far."""
        return self._replay_socket.refused

    def record(self, content: Event, *, captured_ns: int | None = None) -> Event | None:
        """Store and publish an event; None if the journal has it already. See `EventLedger.record`."""
        return self._ledger.record(content, captured_ns=captured_ns)

    def retract_open(self, camera: str, reason: str = "interrupted") -> list[Event]:
        """Close the provisional events of a live camera that nobody will finish. See `EventLedger.retract_open`."""
        return self._ledger.retract_open(camera, reason)

    def status(self, camera: str, fields: Mapping[str, Any]) -> None:
        """Publish what a terminal or a page shows of a camera."""
        self._publisher.status(camera, fields)

    def poll(self) -> None:
        """Greet new subscribers with the last statuses. Call it between frames, and when idle; it never waits."""
        self._publisher.poll()

    def close(self) -> None:
        """Send out what is on its way (for a bounded time), then free the addresses and the file."""
        self._stack.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
