"""A small disk for the journal, which can run full, stall and turn read-only. Only root can make one."""

import functools
import os
import subprocess
import tempfile
from pathlib import Path

SIZE_MB = 48


def _run(*command: object) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)


@functools.cache
def why_no_disk() -> str | None:
    """Why there can be none here."""
    if os.geteuid() != 0:
        return "only root can mount a disk"
    with tempfile.TemporaryDirectory() as name:
        try:
            disk = Disk(Path(name))
        except (OSError, RuntimeError) as error:
            return f"no disk can be mounted here ({error})"
        disk.close()
    return None


class Disk:
    """An ext4 file system in a file."""

    def __init__(self, folder: Path) -> None:
        self._image, self.folder = folder / "disk.img", folder / "disk"
        self._ballast = self.folder / "ballast"
        self.folder.mkdir()
        with self._image.open("wb") as file:
            file.truncate(SIZE_MB << 20)
        for command in (("mkfs.ext4", "-q", self._image), ("mount", "-o", "loop", self._image, self.folder)):
            if (done := _run(*command)).returncode:
                raise RuntimeError(done.stderr.strip())

    def fill(self) -> None:
        """Take all space."""
        with self._ballast.open("wb", buffering=0) as file:
            for size in (1 << 20, 1 << 12, 1):
                try:
                    while True:
                        file.write(b"\1" * size)
                except OSError:
                    continue

    def empty(self) -> None:
        """Give it back."""
        self._ballast.unlink(missing_ok=True)

    def stall(self, yes: bool) -> None:
        """Let every write hang, or go on."""
        assert _run("fsfreeze", "-f" if yes else "-u", self.folder).returncode == 0

    def read_only(self, yes: bool) -> bool:
        """Whether it worked: nobody may have a file open to write."""
        return _run("mount", "-o", f"remount,{'ro' if yes else 'rw'}", self.folder).returncode == 0

    def close(self) -> None:
        """Unmount it."""
        _run("fsfreeze", "-u", self.folder)
        if _run("umount", self.folder).returncode:
            _run("umount", "-l", self.folder)
