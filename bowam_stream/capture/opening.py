"""How a word on the command line becomes a source.

interview.mp4               a recording
sub01/EP02_01f              a folder of numbered images (their rate must be given)
0, /dev/video0              a webcam
rtsp://user:pw@host/stream  a network camera
test://pattern?frames=90    a test pattern whose pixels carry the frame number
"""

import os
import re
from pathlib import Path

from bowam_stream.addresses import redact
from bowam_stream.capture.camera import NetworkCamera, Webcam
from bowam_stream.capture.images import ImageFolder
from bowam_stream.capture.pattern import Pattern
from bowam_stream.capture.recording import Recording
from bowam_stream.capture.source import Clocks, Source, SourceSettings, printable
from bowam_stream.errors import SourceError

_SETTINGS, _CLOCKS = SourceSettings(), Clocks()
_NETWORK = ("rtsp://", "rtsps://")
_WEBCAM = re.compile(r"\d+|/dev/video\d+")


def is_camera(spec: str) -> bool:
    """Whether `spec` names a camera, which has no end and can't be played again."""
    return spec.startswith(_NETWORK) or _WEBCAM.fullmatch(spec) is not None


def open_source(spec: str, settings: SourceSettings = _SETTINGS, clocks: Clocks = _CLOCKS) -> Source:
    """The source that `spec` names. Raise SourceError, in one line, if it can't be opened.

    A camera is connected when it is iterated, not here.
    """
    if settings.loops < 1:
        raise SourceError(f"a recording can't be played {settings.loops} times; --loops is 1 or more")
    if spec.startswith("test:"):
        return Pattern(spec, settings)
    if spec.startswith(_NETWORK) and len(spec.split()) > 1:  # `redact` would not see where a password ends
        raise SourceError("there is a space in the address of the camera; write it as %20")
    if is_camera(spec):
        return (NetworkCamera if spec.startswith(_NETWORK) else Webcam)(spec, settings, clocks)
    if "://" in spec:
        raise SourceError(f"{redact(spec)}: unknown kind of source; use a file, a folder, a camera number or rtsp://")
    if not spec:
        raise SourceError("the name of the source is empty; name a video, a folder of numbered images or a camera")
    path = Path(os.path.expanduser(spec))  # pathlib's fails where ~x is a file and no user
    try:
        if path.is_dir():
            return ImageFolder(path, settings)
        if path.is_file():
            return Recording(path, settings)
        there = path.exists()
    except OSError as error:  # no permission, a name that is too long, a disk that fails
        raise SourceError(f"{printable(spec)}: can't be read ({error.strerror})") from error
    raise SourceError(f"{printable(spec)}: {'neither a file nor a folder' if there else 'no such file or folder'}")
