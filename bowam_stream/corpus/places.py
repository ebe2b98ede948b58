"""Where recordings lie: files and folders of images here, and whatever an fsspec address names (s3://bucket/x.mp4).

What lies elsewhere is copied to a temporary file of the process that needs it: one at a time, and it is kept until
another one is wanted, since parts of one recording often follow each other.
"""

import atexit
import contextlib
import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from bowam_stream.addresses import redact
from bowam_stream.capture.images import SUFFIXES as IMAGES
from bowam_stream.capture.source import printable
from bowam_stream.errors import SourceError
from bowam_stream.pipeline.folder import private_folder

VIDEOS = frozenset(
    {
        *(".264", ".265", ".3gp", ".asf", ".avi", ".dv", ".flv", ".h264", ".h265", ".hevc", ".m2ts", ".m4v", ".mjpeg"),
        *(".mjpg", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".mxf", ".ogv", ".ts", ".vob", ".webm", ".wmv"),
        ".y4m",
    }
)
"""By their names: opening thousands of files on a network to look into each takes longer than a person waits."""

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_NOT_FILES = ("test", "rtsp", "rtsps")
_CHUNK_BYTES = 1 << 20
_CHANGES = ("ETag", "etag", "mtime", "LastModified", "last_modified", "updated", "modified", "created")


class Stamp(msgspec.Struct, frozen=True, kw_only=True):
    """By what a change of a recording is noticed without reading it."""

    size: int  # bytes
    changed: str  # when, or which version, as its place tells


def is_address(spec: str) -> bool:
    """Whether it is for fsspec."""
    return _ADDRESS.match(spec) is not None and spec.partition("://")[0] not in _NOT_FILES


def shown(path: str) -> str:
    """The path for people and files: without credentials."""
    return redact(printable(path)) if is_address(path) else printable(path)


def file_system(address: str) -> tuple[Any, str]:
    """The file system of an fsspec address, and the path within. Raises SourceError where its driver is missing."""
    import fsspec

    try:
        return fsspec.core.url_to_fs(address)
    except ImportError as error:
        raise SourceError(
            f"{shown(address)}: {address.partition('://')[0]} needs another package: {' '.join(str(error).split())}"
        ) from None
    except Exception as error:  # each driver has errors of its own
        raise SourceError(f"{shown(address)}: {_reason(error)}") from None


@contextlib.contextmanager
def explained(address: str) -> Iterator[None]:
    """Turn whatever a file system says into one line."""
    try:
        yield
    except SourceError:
        raise
    except FileNotFoundError:
        raise SourceError(f"{shown(address)}: there is no such file") from None
    except Exception as error:  # each driver has errors of its own
        raise SourceError(f"{shown(address)}: can't be read ({_reason(error)})") from None


def stamp(path: str) -> Stamp:
    """Raises SourceError where it is not there."""
    with explained(path):
        if is_address(path):
            files, inner = file_system(path)
            return stamp_of(files.info(inner))
        if not os.path.isdir(path):
            found = os.stat(path)
            return Stamp(size=found.st_size, changed=str(found.st_mtime_ns))
        images = [entry.stat() for entry in os.scandir(path) if Path(entry.name).suffix.lower() in IMAGES]
        latest = max((image.st_mtime_ns for image in images), default=0)
        return Stamp(size=sum(image.st_size for image in images), changed=f"{len(images)} {latest}")


def stamp_of(info: Mapping[str, Any]) -> Stamp:
    """The stamp in what a file system tells of a file."""
    changed = next((str(info[key]) for key in _CHANGES if info.get(key)), "")
    return Stamp(size=int(info.get("size") or 0), changed=changed)


@contextlib.contextmanager
def at_hand(path: str, sha256: str | None = None) -> Iterator[Path]:
    """The recording as a path of this machine.

    Raises SourceError where it can't be fetched, or is not what it was (`sha256`, of what comes from elsewhere; what
    lies here is checked by whoever reads it).
    """
    if not is_address(path):
        yield Path(path)
        return
    with explained(path):
        copy = _copy.of(path, sha256)
    if sha256 not in (None, _copy.sha256):
        _copy.drop()
        raise changed(path)
    yield copy


def changed(path: str) -> SourceError:
    """The error for a recording that is another one than it was."""
    return SourceError(f"{shown(path)}: it has changed since it was surveyed; give the same command again")


class _Copy:
    """The one file that this process has fetched, in a private folder that goes with the process."""

    def __init__(self) -> None:
        self.sha256 = ""
        self._of = ""
        self._file = Path()
        self._folder = contextlib.ExitStack()

    def of(self, address: str, sha256: str | None) -> Path:
        """Where the copy lies; fetched unless it is there and what was asked for."""
        if (self._of, self.sha256) != (address, sha256):
            self.drop()
            files, inner = file_system(address)
            folder = self._folder.enter_context(private_folder())
            self._file = folder / (Path(inner).name or "recording")
            digest = hashlib.sha256()
            with files.open(inner, "rb") as source, self._file.open("wb") as target:
                while chunk := source.read(_CHUNK_BYTES):
                    digest.update(chunk)
                    target.write(chunk)
            self._of, self.sha256 = address, digest.hexdigest()
        return self._file

    def drop(self) -> None:
        """Remove it."""
        self._of = ""
        self._folder.close()


_copy = _Copy()
atexit.register(_copy.drop)


def _reason(error: Exception) -> str:
    text = getattr(error, "strerror", None) or " ".join(str(error).split())
    return str(text) or type(error).__name__
