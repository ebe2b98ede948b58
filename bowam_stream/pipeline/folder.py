"""The private folder of a run: sockets, settings, what is kept until the run is over."""

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

PREFIX = "bowam-"
LOCK = "in-use"  # held by the run (flock); the kernel lets go of it however the run ends


@contextlib.contextmanager
def private_folder() -> Iterator[Path]:
    """A new folder that only this user can enter, gone when the block ends; those of killed runs are swept away."""
    sweep(Path(tempfile.gettempdir()))
    with tempfile.TemporaryDirectory(prefix=PREFIX) as name:
        folder = Path(name)
        with (folder / LOCK).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield folder


def sweep(parent: Path) -> None:
    """Remove the folders of runs that were killed before they could tidy up."""
    for folder in parent.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):  # not ours, still in use, or swept by another run
            if folder.is_symlink() or folder.stat().st_uid != os.getuid():
                continue
            with (folder / LOCK).open("r+") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder)
