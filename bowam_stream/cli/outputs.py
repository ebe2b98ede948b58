"""The files that a run leaves. Each appears whole or not at all; a place that can't be written is said beforehand."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from bowam_stream.capture.images import SUFFIXES as IMAGES
from bowam_stream.errors import ConfigError
from bowam_stream.report.explain import check_format
from bowam_stream.report.record import JOURNAL_FILE, RECORD_FOLDER

if TYPE_CHECKING:
    from bowam_stream.messages import Event


class Outputs:
    """Where events, report, overlay and explanation go; None: not wanted.

    `others` are the files that the run reads or keeps besides (recording, weights, settings, journal): no output may
    take the place of one. Raises ConfigError for a place that can't be written or is taken, ReportError for an
    explanation in a format that can't be written.
    """

    def __init__(
        self,
        *,
        events: Path | None,
        report: Path | None,
        overlay: Path | None,
        explain: Path | None = None,
        keep: Path | None = None,
        others: Iterable[Path | None] = (),
    ) -> None:
        self.events, self.report, self.overlay, self.explain, self.keep = events, report, overlay, explain, keep
        taken = {Path(os.path.realpath(path)) for path in others if path}
        for path in filter(None, (events, report, overlay, explain)):
            place = writable(path)
            if place in taken:
                raise ConfigError(f"can't write {path}: this run uses that file for something else; name another")
            if place.parent in taken and place.suffix.lower() in IMAGES:
                raise ConfigError(f"can't write {path}: it would be an image of the recording; name another file")
            taken.add(place)
        if explain is not None:
            check_format(explain)
        if keep is not None:
            _check_new_folder(keep)

    @property
    def need_record(self) -> bool:
        return any(output is not None for output in (self.report, self.overlay, self.explain, self.keep))


def writable(path: Path) -> Path:
    """Where `path` leads to, behind all links, if a file can be put there."""
    place = Path(os.path.realpath(path))
    if path.is_dir():
        raise ConfigError(f"{path} is a folder; name a file")
    if place.is_symlink() or (path.exists() and not path.is_file()):
        raise ConfigError(f"can't write {path}: it is a device, a pipe or a circle of links; name an ordinary file")
    if not place.parent.is_dir():
        raise ConfigError(f"can't write {path}: there is no folder {place.parent}; make it first")
    if not os.access(place.parent, os.W_OK):
        raise ConfigError(f"can't write {path}: no permission for {place.parent}")
    return place


def _check_new_folder(folder: Path) -> None:
    """Nothing that lies there already is touched, but for what an earlier run kept."""
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{folder} is a file; name a folder for --keep")
    known = {JOURNAL_FILE, RECORD_FOLDER, *(f"{JOURNAL_FILE}{end}" for end in ("-wal", "-shm"))}
    strange = sorted(path.name for path in folder.iterdir() if path.name not in known) if folder.is_dir() else []
    if strange:
        raise ConfigError(f"{folder} holds other things ({strange[0]}); name a new folder for --keep")
    if judged := _judged(folder / JOURNAL_FILE):
        raise ConfigError(
            f"{folder} holds {judged} judgements, which a new run would take away; name a new folder for --keep, or "
            "move that one"
        )
    parent = Path(os.path.realpath(folder)) if folder.is_dir() else Path(os.path.realpath(folder)).parent
    if not parent.is_dir():
        raise ConfigError(f"can't write {folder}: there is no folder {parent}; make it first")
    if not os.access(parent, os.W_OK):
        raise ConfigError(f"can't write {folder}: no permission for {parent}")


def _judged(journal: Path) -> int:
    """How many judgements a person has left there."""
    from bowam_stream.events import Journal
    from bowam_stream.events.judgements import judgements

    if not journal.is_file():
        return 0
    with Journal.open_readonly(journal) as book:
        return len(judgements(book))


def keep_run(folder: Path, record: Path, journal: Path) -> None:
    """Move record and journal of a run to where `bowam page FOLDER` finds them."""
    import shutil
    import sqlite3

    folder.mkdir(mode=0o700, exist_ok=True)
    shutil.rmtree(folder / RECORD_FOLDER, ignore_errors=True)
    shutil.move(record, folder / RECORD_FOLDER)
    for end in ("", "-wal", "-shm"):
        (folder / f"{JOURNAL_FILE}{end}").unlink(missing_ok=True)
    source, target = sqlite3.connect(journal), sqlite3.connect(folder / JOURNAL_FILE)
    with source, target:  # also what is in the write-ahead log yet
        source.backup(target)
    source.close()
    target.close()


def write_events(path: Path, events: Iterable["Event"]) -> None:
    """All records as JSON lines, in order of seq, without the part that differs between runs."""
    from bowam_stream.events import to_json
    from bowam_stream.report.files import written_whole

    with written_whole(path) as part, part.open("wb") as file:
        file.writelines(to_json(event, delivery=False) + b"\n" for event in events)
