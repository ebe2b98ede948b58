"""The folder of a run: each finished piece of work is a file, and the same command goes on with what is there.

A piece's name is a digest of all that decides what comes of it, so pieces of another corpus or other settings may lie
beside it and are never mistaken for it. Each appears whole or not at all, and carries a digest of its content: what was
damaged is noticed, and done again.
"""

import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec

from bowam_stream.errors import ConfigError

PIECES = "pieces"
LOCK = ".lock"
FORMAT = 1
"""Of the pieces; others are of another program, and are done again."""

_BEGINNING = b"BOWAM piece %d\n" % FORMAT
_DIGEST_BYTES = 32


class Shelf:
    """The pieces in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / PIECES

    def put(self, name: str, content: bytes) -> None:
        """Keep a piece; it survives a power cut once this returns. Raises ConfigError where it can't be written."""
        place = self._folder / name
        part = place.with_name(f".{name}.part")
        try:
            with part.open("wb") as file:
                file.write(_BEGINNING + _digest(name, content))
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            part.replace(place)
        except OSError as error:
            with suppress(OSError):
                part.unlink()
            raise ConfigError(f"can't write {place}: {error.strerror}; the same command goes on") from None

    def get(self, name: str) -> bytes | None:
        """A piece; None where it is not there, or not what was kept."""
        try:
            data = (self._folder / name).read_bytes()
        except OSError:
            return None
        content = memoryview(data)[len(_BEGINNING) + _DIGEST_BYTES :]
        return bytes(content) if data.startswith(_BEGINNING + _digest(name, content)) else None

    def drop(self, name: str) -> None:
        """Remove a piece that nobody needs any more."""
        with suppress(OSError):
            (self._folder / name).unlink()


class Kept:
    """A piece on the shelf as an argument of another: who does that one gets its bytes.

    It is read as it is sent, and not before, so that memory does not grow with the pieces that wait.
    """

    def __init__(self, shelf: Shelf, name: str) -> None:
        self._shelf, self._name = shelf, name

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[bytes]]:
        content = self._shelf.get(self._name)
        if content is None:
            raise ConfigError(f"piece {self._name} was taken away or damaged; give the same command again")
        return bytes, (content,)


def piece_name(kind: str, *decides: object) -> str:
    """The name of a piece, from all that decides what comes of it."""
    digest = hashlib.blake2b(msgspec.json.encode((FORMAT, kind, decides)), digest_size=16).hexdigest()
    return f"{kind}-{digest}.msgpack"


@contextmanager
def held(folder: Path) -> Iterator[Shelf]:
    """The shelf of a folder, which is made; nobody else may use it meanwhile.

    Raises ConfigError where somebody does, where it can't be written, or where it holds other things.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        strange = sorted(path.name for path in folder.iterdir()) if not (folder / PIECES).is_dir() else []
        if strange and strange != [LOCK]:
            raise ConfigError(f"{folder} holds other things ({strange[0]}); name a new folder for --out")
        lock = (folder / LOCK).open("a")
    except OSError as error:
        raise ConfigError(f"can't write {folder}: {error.strerror}; name another folder for --out") from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise ConfigError(f"another run writes to {folder}: wait for it, or give another --out") from None
        (folder / PIECES).mkdir(exist_ok=True)
        for part in (folder / PIECES).glob(".*.part"):  # of a run that was killed
            part.unlink(missing_ok=True)
        yield Shelf(folder)


def _digest(name: str, content: bytes | memoryview) -> bytes:
    digest = hashlib.sha256(name.encode())
    digest.update(content)
    return digest.digest()
