"""Which event file belongs to which truth file, in two folders that may be one.

A file is known by its path below its folder, without suffix; `truth.json` and `events.jsonl` are known by the folder
that they lie in. So these belong together:

    clips/a/truth.json      clips/a/events.jsonl
    truths/a/truth.json     events/a.jsonl
    truths/day1/a.json      events/day1/a.jsonl
    truths/day1/a.json      events/a.jsonl          by the last part alone, where nothing else could be meant

Where a folder has any `truth.json` (`events.jsonl`), its other .json (.jsonl) files are something else.
"""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path, PurePath

from bowam_stream.errors import ConfigError, TransportError
from bowam_stream.events import from_json
from bowam_stream.messages import Event
from bowam_stream.report.matching import Truth, read_truth

NAMED = 5  # of many names in one line


def read_clips(truths: Path, events: Path, *, missing_is_empty: bool = False) -> list[tuple[Truth, list[Event]]]:
    """Read two folders, or two files, in pairs, in alphabetical order of the truths.

    Args:
        missing_is_empty: a truth without an event file is a clip in which nothing was found.
    Raises:
        ConfigError: a folder holds nothing, a file has no partner or is not what it should be, or an event lies
            behind the end of its clip.
    """
    if truths.is_file() and events.is_file():
        return [_read(truths, events)]
    wanted, found = files(truths, "truth.json"), files(events, "events.jsonl")
    partners = pair(wanted, found)
    missing = [name for name in wanted if name not in partners]
    if missing and not missing_is_empty:
        raise ConfigError(
            f"{len(missing)} of {len(wanted)} truths have no event file ({_named(missing)}): run `bowam replay` on "
            f"their clips, or pass --missing-is-empty to count them as clips in which nothing was found"
        )
    if strangers := sorted(found.keys() - set(partners.values())):
        raise ConfigError(
            f"{len(strangers)} of {len(found)} event files have no truth ({_named(strangers)}): name truths and events "
            f'alike; a clip in which nothing happens has a truth with "events": []'
        )
    return [_read(path, found[partners[name]] if name in partners else None) for name, path in wanted.items()]


def files(folder: Path, usual: str) -> dict[str, Path]:
    """The files of a folder by name, in alphabetical order; the `usual` name says nothing. Raises ConfigError."""
    if not folder.is_dir():
        what = "is a file, and the other is none: give two files or two folders" if folder.exists() else "is not there"
        raise ConfigError(f"{folder} {what}")
    suffix = PurePath(usual).suffix
    paths = sorted(folder.rglob(usual)) or sorted(folder.rglob(f"*{suffix}"))
    if not paths:
        raise ConfigError(f"{folder} holds no {usual} and no other {suffix} file, at any depth")
    below = {path: path.relative_to(folder) for path in paths}
    return {
        (name.parent if path.name == usual else name.with_suffix("")).as_posix(): path for path, name in below.items()
    }


def pair(truths: Mapping[str, Path], events: Mapping[str, Path]) -> dict[str, str]:
    """Name of a truth -> name of its events; those without a partner are left out."""
    partners = {name: name for name in truths if name in events}
    left = [name for name in truths if name not in partners]
    free = [name for name in events if name not in partners]
    there, spare = Counter(map(_last, left)), Counter(map(_last, free))
    by_last = {_last(name): name for name in free if spare[_last(name)] == 1}
    certain = [name for name in left if there[_last(name)] == 1 and _last(name) in by_last]
    return partners | {name: by_last[_last(name)] for name in certain}


def read_events(path: Path) -> list[Event]:
    """Read a file of JSON lines; a record that came twice counts once. Raises ConfigError."""
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise ConfigError(f"cannot read the event file {path}: {error.strerror}") from error
    events: dict[tuple[str, str], Event] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            event = from_json(line)
        except TransportError as error:
            raise ConfigError(f"{path}, line {number}: {error}") from error
        events.setdefault((event.event_id, event.phase), event)
    return list(events.values())


def _read(truth_path: Path, events_path: Path | None) -> tuple[Truth, list[Event]]:
    truth = read_truth(truth_path)
    events = [] if events_path is None else read_events(events_path)
    last = max((event.onset.frame for event in events), default=0)
    if last >= truth.frames:
        raise ConfigError(
            f"{events_path} has an event at frame {last}, but {truth_path} tells of {truth.frames} frames: "
            f"do they belong to the same clip?"
        )
    return truth, events


def _last(name: str) -> str:
    return PurePath(name).name


def _named(names: list[str]) -> str:
    return ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")
