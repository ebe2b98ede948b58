"""The plain manifest: a csv by which anybody's own clips become samples.

Columns dataset, subject, clip, label, and for each row one of
- `onset_path, apex_path, offset_path`: three images (frame numbers 0, 1, 2),
- `video_path, onset_frame, apex_frame, offset_frame`: a video, its decoded frames counted from 0,
- `flow_path`: a ready flow picture of any size.
An apex may be empty. Optional: `kind` (micro), `fps`, `aus`, `cropped` (yes or no). Paths are relative to the csv.
"""

from collections.abc import Mapping
from pathlib import Path

from bowam_model.datasets.loader import action_units
from bowam_model.datasets.sample import Corpus, Expected, Finding, FlowImage, Frames, Kind, Sample, Video
from bowam_model.datasets.sheets import read_book, whole_number
from bowam_model.errors import DatasetError

WHO = ("dataset", "subject", "clip", "label")
WAYS = (
    ("onset_path", "offset_path"),
    ("video_path", "onset_frame", "offset_frame"),
    ("flow_path",),
)
KNOWN = {*WHO, "kind", "fps", "aus", "cropped", "apex_path", "apex_frame", *(name for way in WAYS for name in way)}
KINDS: dict[str, Kind] = {"": "micro", "micro": "micro", "macro": "macro", "blink": "blink"}
CROPPED = {"": False, "no": False, "yes": True}


def load_manifest(path: Path) -> Corpus:
    """Read a manifest. Raises DatasetError for a file that is none; rows that are no good become findings."""
    if not path.is_file():
        raise DatasetError(f"{path} is no file: name the manifest, a csv with the columns {', '.join(WHO)} and paths")
    ((_, table),) = read_book(path).items() if path.suffix.lower() == ".csv" else (("", []),)
    head = table[0] if table else []
    missing = [name for name in WHO if name not in head]
    unknown = [name for name in head if name not in KNOWN]
    if missing or unknown or not any(set(way) <= set(head) for way in WAYS):
        ways = "; or ".join(", ".join(way) for way in WAYS)
        raise DatasetError(
            f"{path} is no manifest: looked for the columns {', '.join(WHO)} and either {ways}; found "
            f"{', '.join(head) or 'no table'}" + (f"; unknown: {', '.join(unknown)}" if unknown else "")
        )
    samples: list[Sample] = []
    findings: list[Finding] = []
    taken: dict[tuple[str, ...], int] = {}
    for number, line in enumerate(table[1:], start=2):
        cells = dict(zip(head, line, strict=False))
        if not any(cells.values()):
            continue
        who = tuple(cells.get(name, "") for name in WHO[:3])
        try:
            sample = _sample(cells, path.parent)
            if who in taken:
                raise ValueError(f"the same clip stands in row {taken[who]} already")
            taken[who] = number
            samples.append(sample)
        except FileNotFoundError as error:
            findings.append(Finding(action="missing", where=f"row {number}", what=" ".join(who), reason=str(error)))
        except ValueError as error:
            findings.append(Finding(action="skipped", where=f"row {number}", what=" ".join(who), reason=str(error)))
    return Corpus(
        title=path.name,
        samples=tuple(samples),
        findings=tuple(findings),
        expected=Expected(),
        sources=(path,),
    )


def _sample(cells: Mapping[str, str], folder: Path) -> Sample:
    empty = [name for name in WHO if not cells.get(name)]
    if empty:
        raise ValueError(f"no {', '.join(empty)}")
    ways = [way for way in WAYS if cells.get(way[0])]
    if len(ways) != 1:
        raise ValueError(f"{len(ways)} of {', '.join(way[0] for way in WAYS)} are given; it takes one")
    kind, cropped = KINDS.get(cells.get("kind", "")), CROPPED.get(cells.get("cropped", "").lower())
    if kind is None or cropped is None:
        raise ValueError("kind is micro, macro or blink; cropped is yes or no")
    media, frames = _media(ways[0], cells, folder)
    return Sample(
        dataset=cells["dataset"],
        subject=cells["subject"],
        clip=cells["clip"],
        recording=cells["clip"],
        kind=kind,
        emotion=cells["label"],
        label=cells["label"],
        onset=frames[0],
        apex=frames[1],
        offset=frames[2],
        fps=_rate(cells.get("fps", "")),
        aus=action_units(cells.get("aus", "")),
        media=media,
        cropped=cropped,
    )


_Bounds = tuple[int | None, int | None, int | None]


def _media(way: tuple[str, ...], cells: Mapping[str, str], folder: Path) -> tuple[Frames | Video | FlowImage, _Bounds]:
    if way == ("flow_path",):
        return FlowImage(path=_file(cells["flow_path"], folder)), (None, None, None)
    if way[0] == "video_path":
        onset, apex, offset = (whole_number(cells.get(f"{name}_frame")) for name in ("onset", "apex", "offset"))
        if onset is None or offset is None or not 0 <= onset < offset:
            raise ValueError("onset_frame and offset_frame are not two ascending frame numbers")
        if cells.get("apex_frame") and (apex is None or not onset < apex <= offset):
            raise ValueError(f"apex_frame {cells['apex_frame']} is not after {onset} and up to {offset}")
        return Video(path=_file(cells["video_path"], folder)), (onset, apex, offset)
    if not cells.get("offset_path"):
        raise ValueError("no offset_path")
    names = {0: cells["onset_path"], 1: cells.get("apex_path", ""), 2: cells["offset_path"]}
    paths = {number: _file(name, folder) for number, name in names.items() if name}
    return Frames(numbers=tuple(paths), paths=tuple(paths.values())), (0, 1 if 1 in paths else None, 2)


def _file(name: str, folder: Path) -> Path:
    path = folder / name
    if not path.is_file():
        raise FileNotFoundError(f"{name} is not on disk")
    return path


def _rate(text: str) -> float | None:
    try:
        rate = float(text) if text else None
    except ValueError:
        rate = 0.0
    if rate is not None and not 0 < rate < 10_000:
        raise ValueError(f"fps {text!r} is no frame rate")
    return rate
