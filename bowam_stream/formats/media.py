"""The video that annotations are linked to."""

import mimetypes
import os
from pathlib import Path

import msgspec

from bowam_stream.errors import ConfigError


class Media(msgspec.Struct, frozen=True, kw_only=True):
    """A video, as annotation formats name it."""

    path: str  # absolute
    relative: str | None  # to the folder of the annotations, if they go into one
    mime: str

    @property
    def url(self) -> str:
        return Path(self.path).as_uri()


def media(video: Path, folder: Path | None) -> Media:
    """`video`, to be linked from a file in `folder`. Raises ConfigError if it is not there."""
    if not video.is_file():
        raise ConfigError(f"there is no video {video} to link to")
    path = video.absolute()
    relative = None if folder is None else Path(os.path.relpath(path, folder.absolute())).as_posix()
    if relative is not None and not relative.startswith("."):
        relative = f"./{relative}"
    return Media(path=str(path), relative=relative, mime=mimetypes.guess_type(path.name)[0] or "unknown")
