"""The files that a run leaves. Each appears whole or not at all; a place that can't be written is said beforehand."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from bowam_stream.errors import ConfigError

if TYPE_CHECKING:
    from bowam_stream.messages import Event


class Outputs:
    """Where events, report and overlay go; None: not wanted. Raises ConfigError for a place that can't be written."""

    def __init__(self, *, events: Path | None, report: Path | None, overlay: Path | None) -> None:
        self.events, self.report, self.overlay = events, report, overlay
        for path in filter(None, (events, report, overlay)):
            if path.is_dir():
                raise ConfigError(f"{path} is a folder; name a file")
            if not path.absolute().parent.is_dir():
                raise ConfigError(f"can't write {path}: there is no folder {path.absolute().parent}; make it first")
            if not os.access(path.absolute().parent, os.W_OK):
                raise ConfigError(f"can't write {path}: no permission for {path.absolute().parent}")

    @property
    def need_record(self) -> bool:
        return self.report is not None or self.overlay is not None


def write_events(path: Path, events: Iterable["Event"]) -> None:
    """All records as JSON lines, in order of seq, without the part that differs between runs."""
    from bowam_stream.events import to_json
    from bowam_stream.report.files import written_whole

    with written_whole(path) as part, part.open("wb") as file:
        file.writelines(to_json(event, delivery=False) + b"\n" for event in events)
