"""Results appear whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bowam_stream.errors import ReportError


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Give a temporary name beside `path`; rename it to `path` at the end, or remove it if anything goes wrong.

    A link stays: the file that it leads to is replaced.

    Raises ReportError where the folder can't be written to. If nothing was written under the name, nothing appears.
    """
    place = Path(os.path.realpath(path))
    part = place.with_name(f".{place.name[:40]}.{os.getpid()}.part")  # a name has up to 255 bytes
    try:
        yield part
        if part.exists():
            part.replace(place)
    except OSError as error:
        raise ReportError(f"can't write {path}: {error.strerror or error}") from error
    finally:
        part.unlink(missing_ok=True)
