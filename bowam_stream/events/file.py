"""Events in a file, one JSON object a line, that is its own cursor: a subscriber that was killed goes on where it ends.

    with EventFile(Path("events.jsonl")) as file, subscribe(since=file.last) as events:
        for event in events:
            file.append(event)

Each line is one write, and `sync` sees to it that it survives a power cut: called whenever nothing more waits, and by
itself after `SYNC_EVENTS` at the latest. What a power cut takes is fetched again, since the file then ends before it;
half a line at the end is cut off.
"""

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from bowam_stream.errors import EventFileError, TransportError
from bowam_stream.events.schema import from_json, to_json
from bowam_stream.messages import Event

SYNC_EVENTS = 256  # an fsync may take milliseconds: not after each event of a long history
BEGINNING = b'{"apex":'  # of every line that we write; half a line of something else is not ours to cut off


class _Key(msgspec.Struct):
    """What of a line must be known of all; the rest only of each camera's last."""

    camera: str
    seq: int


class EventFile:
    """A file that events are appended to, by one process at a time. As a context manager it closes itself.

    Raises EventFileError where the file can't be opened, holds something else, or is in use.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._unsynced = 0
        try:
            self._file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise EventFileError(f"can't append to {path}: {error.strerror}") from None
        try:
            self._lock()
            self.last = self._read()
        except BaseException:
            os.close(self._file)
            raise

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise EventFileError(f"{self.path} is in use by another subscriber; end it, or name another file") from None

    def _read(self) -> dict[str, Event]:
        """camera -> its last event. Cuts off half a line at the end."""
        lines: dict[str, tuple[int, bytes]] = {}
        end = 0
        decoder = msgspec.json.Decoder(_Key)
        with open(self._file, "rb", closefd=False) as file:
            for number, line in enumerate(file, start=1):
                if not line.endswith(b"\n"):
                    self._cut(end, line, number)
                    break
                try:
                    key = decoder.decode(line)
                except (msgspec.DecodeError, UnicodeError) as error:
                    raise self._strange(number, str(error)) from None
                if key.seq <= lines.get(key.camera, (0, b""))[0]:
                    raise self._strange(number, f"event {key.seq} of {key.camera} comes after a later one")
                lines[key.camera] = (key.seq, line)
                end += len(line)
        try:
            return {camera: from_json(line) for camera, (_, line) in lines.items()}
        except TransportError as error:
            raise EventFileError(f"{self.path}: {error}; name another file") from None

    def _cut(self, end: int, half: bytes, number: int) -> None:
        written = half.rstrip(b"\0")  # a power cut may leave the length of a line without its bytes
        if not (written.startswith(BEGINNING) or BEGINNING.startswith(written)):
            raise self._strange(number, "it is no event")
        os.ftruncate(self._file, end)
        os.fsync(self._file)

    def _strange(self, number: int, why: str) -> EventFileError:
        return EventFileError(f"{self.path}, line {number}: {why}; this file was not written by us, name another")

    def append(self, event: Event) -> None:
        """Write one event at the end. Raises EventFileError, after which the file is as it was before."""
        line = to_json(event) + b"\n"
        end = os.fstat(self._file).st_size
        try:
            written = os.write(self._file, line)
        except OSError as error:
            raise EventFileError(f"can't append to {self.path}: {error.strerror}") from None
        if written < len(line):  # the disk is full
            os.ftruncate(self._file, end)
            raise EventFileError(f"can't append to {self.path}: no space left on device")
        self.last[event.camera] = event
        self._unsynced += 1
        if self._unsynced >= SYNC_EVENTS:
            self.sync()

    def sync(self) -> None:
        """Return once what was appended would survive a power cut. Raises EventFileError."""
        if not self._unsynced:
            return
        try:
            os.fsync(self._file)
        except OSError as error:
            raise EventFileError(f"can't write {self.path}: {error.strerror}") from None
        self._unsynced = 0

    def close(self) -> None:
        """Make it safe, and let others have the file."""
        try:
            self.sync()
        finally:
            os.close(self._file)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
