"""What a worker leaves in the run's folder when a recording is over: what the stream was, beside its events."""

from pathlib import Path

import msgspec

from bowam_stream.messages import Model

FILE = "summary.json"


class RunSummary(msgspec.Struct, frozen=True, kw_only=True):
    """One recording, seen from the worker."""

    camera: str
    session: str
    source: str
    rate_hz: float | None  # as the source states it
    frames: int
    frames_with_face: int
    faces: int  # face tracks
    duration_ns: int  # media time of the last frame
    quality: tuple[str, ...]  # of the whole stream, such as "truncated"
    model: Model


def write_summary(folder: Path, summary: RunSummary) -> None:
    """Write it whole or not at all."""
    temporary = folder / f".{FILE}"
    temporary.write_bytes(msgspec.json.encode(summary))
    temporary.replace(folder / FILE)


def read_summary(folder: Path) -> RunSummary | None:
    """None if no recording came to its end."""
    try:
        return msgspec.json.decode((folder / FILE).read_bytes(), type=RunSummary)
    except FileNotFoundError:
        return None
