"""The journal socket: who was away asks here for what was missed.

It runs in a thread of its own and reads the journal with a read-only connection, so that a hundred subscribers who
catch up never hold up a frame, nor the writer of the journal.
"""

import logging
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec
import zmq

from bowam_stream.addresses import notice_loss
from bowam_stream.bounds import HANDSHAKE_MS, Refused, nobody_counts, receive_parts
from bowam_stream.errors import JournalError, TransportError
from bowam_stream.events.journal import Journal
from bowam_stream.events.wire import (
    GONE_MS,
    MAX_REQUEST_BYTES,
    PageHeader,
    Refusal,
    Request,
    read_request,
)
from bowam_stream.keys import Keys, bind

log = logging.getLogger(__name__)

MAX_ENVELOPE = 4  # parts before the request: the address that ROUTER puts there, and what a REQ or a proxy adds
QUEUE_PAGES = 4  # answers that may wait for one peer; one that asks and never reads loses the rest


def answer(journal: Journal, request: Request) -> list[bytes]:
    """The parts of one page."""
    page = journal.page(request.since, cameras=request.cameras, limit=request.credit)
    header = PageHeader(journal=journal.name, heads=page.heads, purged=page.purged, complete=page.complete)
    return [msgspec.json.encode(header), *page.records]


class ReplaySocket:
    """Serves the journal at `path` from a thread, from construction until `close`.

    Raises AddressInUse or TransportError when it can't listen on `endpoint`; see `bowam_stream.addresses.bind`.
    """

    def __init__(
        self,
        path: Path,
        endpoint: str,
        *,
        keys: Keys | None = None,
        insecure: bool = False,
        refused: Refused = nobody_counts,
    ) -> None:
        """`refused` hears of every malformed request, and of those that found the journal unreadable."""
        self.refused = 0
        self._count_refused = refused
        self._path = path
        self._context = zmq.Context()
        self._router = self._context.socket(zmq.ROUTER)
        self._router.set(zmq.SNDHWM, QUEUE_PAGES)
        self._router.set(zmq.MAXMSGSIZE, MAX_REQUEST_BYTES)
        self._router.set(zmq.HANDSHAKE_IVL, HANDSHAKE_MS)
        self._router.set(zmq.LINGER, 0)
        notice_loss(self._router, GONE_MS)
        self._bell = self._context.socket(zmq.PAIR)  # rings once: time to end
        try:
            self.endpoint = bind(self._router, endpoint, keys=keys, insecure=insecure)
            bind(self._bell, "inproc://end")
        except BaseException:
            self._router.close()
            self._bell.close()
            self._context.term()
            raise
        self._thread = threading.Thread(target=self._serve, name="journal-socket", daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        """The thread. It owns the router from here on."""
        with self._context.socket(zmq.PAIR) as bell, self._router as router:
            bell.connect("inproc://end")
            poller = zmq.Poller()
            poller.register(bell, zmq.POLLIN)
            poller.register(router, zmq.POLLIN)
            journal: Journal | None = None
            while bell not in (ready := dict(poller.poll())):
                if router not in ready:
                    continue
                *envelope, data = (part.bytes for part in receive_parts(router, MAX_ENVELOPE + 1))
                try:
                    if len(envelope) > MAX_ENVELOPE:
                        raise TransportError("a request has one part; is this the port of something else?")
                    request = read_request(data)
                    journal = journal or Journal.open_readonly(self._path)
                    parts = answer(journal, request)
                except (TransportError, JournalError) as error:
                    self.refused += 1
                    self._count_refused()
                    envelope = envelope[:MAX_ENVELOPE]
                    log.log(logging.ERROR if isinstance(error, JournalError) else logging.DEBUG, "%s", error)
                    parts = [msgspec.json.encode(Refusal(error=str(error)))]
                router.send_multipart([*envelope, *parts])
            if journal is not None:
                journal.close()

    def close(self) -> None:
        """End the thread and free the address."""
        self._bell.send(b"")
        self._thread.join()
        self._bell.close()
        self._context.term()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
