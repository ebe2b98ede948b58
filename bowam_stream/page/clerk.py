"""The thread that reads events and writes judgements and wishes, when somebody on the page asks for it."""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from bowam_stream.errors import JournalError
from bowam_stream.events import Journal, from_json
from bowam_stream.events.judgements import Judgement, judge
from bowam_stream.events.sensitivity import Sensitivity, ask
from bowam_stream.messages import Event


class Clerk:
    """Opens the journal to read as it is asked, and to write only then: an old journal stays as it is until judged."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="bowam-clerk")
        self._reading: Journal | None = None

    def events(self, places: Sequence[tuple[str, int]]) -> "Future[list[Event]]":
        """The records at these (camera, seq); what is gone is left out."""
        return self._pool.submit(self._events, tuple(places))

    def judge(self, judgement: Judgement) -> "Future[Judgement]":
        """Keep a judgement. Raises JournalError through the future."""
        return self._pool.submit(self._judge, judgement)

    def ask(self, wish: Sensitivity) -> "Future[Sensitivity]":
        """Keep a wish. Raises JournalError through the future."""
        return self._pool.submit(self._ask, wish)

    def close(self) -> None:
        """What was asked for is done first."""
        self._pool.submit(self._close)
        self._pool.shutdown()

    def _events(self, places: tuple[tuple[str, int], ...]) -> list[Event]:
        try:
            if self._reading is None:
                self._reading = Journal.open_readonly(self._path)
            found = []
            for camera, seq in places:
                page = self._reading.page({camera: seq - 1}, cameras=[camera], limit=1)
                found += [event for event in map(from_json, page.records) if event.seq == seq]
            return found
        except JournalError:
            self._close()
            raise

    def _judge(self, judgement: Judgement) -> Judgement:
        with self._writable() as journal:
            return judge(journal, judgement)

    def _ask(self, wish: Sensitivity) -> Sensitivity:
        with self._writable() as journal:
            return ask(journal, wish)

    def _writable(self) -> Journal:
        if not self._path.exists():
            raise JournalError(f"journal {self._path}: it is not there (any more); start the worker again")
        return Journal(self._path)

    def _close(self) -> None:
        if self._reading is not None:
            self._reading.close()
            self._reading = None
