"""A camera belongs to one worker: claims on the cameras of a journal, as small lock files beside it."""

import contextlib
import fcntl
import hashlib
import os
from pathlib import Path
from typing import IO

from bowam_stream.errors import JournalError


class Claims:
    """The cameras that one worker holds. The locks are the kernel's (flock): a killed worker leaves none behind."""

    def __init__(self, journal: Path) -> None:
        self._journal = journal
        self._locks: dict[str, IO[str]] = {}

    def take(self, camera: str) -> None:
        """Hold `camera`, until it is released or the process dies. Raises JournalError where another worker does."""
        if camera in self._locks:
            return
        digest = hashlib.blake2b(camera.encode(), digest_size=6).hexdigest()
        path = self._journal.with_name(f"{self._journal.name}-claim-{digest}")
        try:
            lock = path.open("a+")
        except OSError as error:
            raise JournalError(
                f"journal {self._journal}: can't write {path.name} beside it: {error.strerror}"
            ) from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.seek(0)
            holder = lock.read(100).strip() or "unknown"
            lock.close()
            raise JournalError(
                f"camera {camera} belongs to another worker of journal {self._journal} (process {holder}); "
                "end that worker, or give the camera another name"
            ) from None
        self._locks[camera] = lock
        with contextlib.suppress(OSError):  # who holds it is a courtesy, which a full disk may refuse
            lock.truncate(0)
            lock.write(str(os.getpid()))
            lock.flush()

    def release(self, camera: str) -> None:
        """Let go of one."""
        if lock := self._locks.pop(camera, None):
            lock.close()

    def close(self) -> None:
        """Let go of all."""
        for camera in list(self._locks):
            self.release(camera)
