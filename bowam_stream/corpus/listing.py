"""What a corpus is: a folder of videos, a manifest (.csv or .jsonl), or an fsspec address of either.

In a folder every video counts, at any depth, in the order of their paths; so does every folder of numbered images, if
their frame rate is given. A manifest names `path` (relative to it), and may give `camera`, `rate_hz` and `consent` of
each. What is in a corpus and is no recording is said, and is no error; a recording that can't be read is a failure.
"""

import csv
import io
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec

from bowam_stream.capture.images import SUFFIXES as IMAGES
from bowam_stream.capture.source import printable
from bowam_stream.corpus.names import LEGAL, MOST, camera_names
from bowam_stream.corpus.places import VIDEOS, Stamp, explained, file_system, is_address, shown, stamp_of
from bowam_stream.errors import SourceError

MANIFESTS = frozenset({".csv", ".jsonl"})
KNOWN = ("path", "camera", "rate_hz", "consent")
_CONSENT: Mapping[Any, bool | None] = {"": None, "yes": True, "no": False, None: None, True: True, False: False}
_KINDS_TOLD = 5


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One recording of a corpus."""

    path: str  # absolute, or an fsspec address
    name: str  # within the corpus, for people
    camera: str
    rate_hz: float | None = None  # where the manifest gives them, they come before those of the settings
    consent: bool | None = None
    stamp: Stamp | None = None  # where listing has told it: asking for thousands, one by one, takes long


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """A corpus, as it is listed."""

    title: str
    entries: tuple[Entry, ...]
    left_out: tuple[str, ...] = ()  # what is there and is no recording, in words


def is_corpus(spec: str) -> bool:
    """Whether `spec` names many recordings: a manifest, an address, or a folder that is not one of numbered images.

    A folder with videos directly in it is a corpus, also if there are images beside them; so is one of folders.
    """
    if is_address(spec) or Path(spec).suffix.lower() in MANIFESTS:
        return True
    if not os.path.isdir(spec):
        return False
    with explained(spec):
        names = [name for name in os.listdir(spec) if not name.startswith(".")]
    if any(map(_is_video, names)):
        return True
    return not any(map(_is_numbered, names)) and any(os.path.isdir(os.path.join(spec, name)) for name in names)


def list_corpus(spec: str, *, images: bool = False, but: Path | None = None) -> Listing:
    """The recordings of a corpus.

    `images`: the frame rate of folders of numbered images is given; `but`: a folder that is not looked into, since what
    is found is written there.

    Raises SourceError where there is none, or where a manifest is malformed.
    """
    suffix = PurePosixPath(spec).suffix.lower()
    if suffix in MANIFESTS:
        listing = _manifest(spec)
    elif is_address(spec):
        listing = _address(spec)
    else:
        listing = _folder(Path(spec), images, but)
    if not listing.entries:
        there = f" ({'; '.join(listing.left_out)})" if listing.left_out else ""
        raise SourceError(f"{shown(spec)}: there is no video in it{there}")
    return listing


def _folder(folder: Path, images: bool, but: Path | None) -> Listing:
    root = Path(os.path.abspath(folder))
    names: list[str] = []
    others: Counter[str] = Counter()
    without_rate = 0
    for here, files in _walk(root, but):
        videos = [name for name in files if _is_video(name)]
        rest = [name for name in files if not _is_video(name)]
        if not videos and here != root and any(map(_is_numbered, rest)):
            rest = [name for name in rest if Path(name).suffix.lower() not in IMAGES]
            if images:
                names.append(str(here.relative_to(root)))
            else:
                without_rate += 1
        names += [str((here / name).relative_to(root)) for name in videos]
        others.update(Path(name).suffix.lower() or "without an ending" for name in rest)
    names.sort(key=lambda name: Path(name).parts)
    left_out = _left_out(others)
    if without_rate:
        left_out.append(f"{without_rate} folders of numbered images, which need their frame rate: --rate")
    return Listing(
        title=printable(root.name), entries=_entries({name: str(root / name) for name in names}), left_out=(*left_out,)
    )


def _walk(root: Path, but: Path | None) -> Iterator[tuple[Path, list[str]]]:
    """Every folder and its files, hidden ones left out; links are followed, once."""
    seen = {_place(but)} - {_place(root)} if but is not None and but.is_dir() else set()

    def fail(error: OSError) -> None:
        raise SourceError(f"{printable(str(error.filename))}: can't be read ({error.strerror})")

    for here, folders, files in os.walk(root, followlinks=True, onerror=fail):
        if (place := _place(here)) in seen:
            folders.clear()
            continue
        seen.add(place)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield Path(here), sorted(name for name in files if not name.startswith("."))


def _place(folder: str | Path) -> tuple[int, int]:
    found = os.stat(folder)
    return found.st_dev, found.st_ino


def _address(address: str) -> Listing:
    files, inner = file_system(address)
    with explained(address):
        found = files.find(inner, detail=True)
    root = inner.rstrip("/")
    paths: dict[str, str] = {}
    stamps: list[Stamp] = []
    others: Counter[str] = Counter()
    for path in sorted(found, key=lambda path: PurePosixPath(path).parts):
        name = path.removeprefix(root).lstrip("/") or PurePosixPath(path).name
        if any(part.startswith(".") for part in PurePosixPath(name).parts):
            continue
        if _is_video(name):
            paths[name] = files.unstrip_protocol(path)
            stamps.append(stamp_of(found[path]))
        else:
            others.update([PurePosixPath(name).suffix.lower() or "without an ending"])
    entries = [
        msgspec.structs.replace(entry, stamp=stamp) for entry, stamp in zip(_entries(paths), stamps, strict=True)
    ]
    return Listing(title=shown(address), entries=tuple(entries), left_out=(*_left_out(others),))


def _manifest(spec: str) -> Listing:
    rows = list(_rows(spec))
    folder = spec.rpartition("/")[0] if is_address(spec) else os.path.dirname(os.path.abspath(spec))
    paths: dict[str, str] = {}
    given: dict[str, tuple[str, float | None, bool | None]] = {}
    for number, row in rows:
        where = f"{shown(spec)}, row {number}"
        name = row.get("path")
        if not isinstance(name, str) or not name:
            raise SourceError(f"{where}: no path")
        if name in paths:
            raise SourceError(f"{where}: {shown(name)} stands there already")
        absolute = is_address(name) or (name.startswith("/") and not is_address(spec))
        paths[name] = name if absolute else f"{folder}/{name}"
        given[name] = (_camera(row.get("camera"), where), _rate(row.get("rate_hz"), where), _consent(row, where))
    named = [camera for camera, _, _ in given.values() if camera]
    if twice := [camera for camera, count in Counter(named).items() if count > 1]:
        raise SourceError(f"{shown(spec)}: camera {twice[0]} stands there twice; each recording is a camera of its own")
    entries = []
    for entry in _entries(paths, taken=named):
        camera, rate_hz, consent = given[entry.name]
        entries.append(
            msgspec.structs.replace(
                entry, name=shown(entry.name), camera=camera or entry.camera, rate_hz=rate_hz, consent=consent
            )
        )
    return Listing(title=shown(spec.rpartition("/")[2]), entries=tuple(entries))


def _entries(paths: Mapping[str, str], taken: Sequence[str] = ()) -> tuple[Entry, ...]:
    """Recordings with their cameras. `taken`: names that a manifest gave to others."""
    plain = [name.partition("://")[2] if is_address(name) else name for name in paths]
    cameras = camera_names(plain, VIDEOS, taken)
    return tuple(
        Entry(path=path, name=printable(name), camera=camera)
        for (name, path), camera in zip(paths.items(), cameras, strict=True)
    )


def _rows(spec: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Row number, as an editor counts, and its fields."""
    with explained(spec):
        if is_address(spec):
            files, inner = file_system(spec)
            data = files.cat_file(inner)
        else:
            data = Path(spec).read_bytes()
        text = data.decode("utf-8-sig")
    jsonl = spec.lower().endswith(".jsonl")
    for number, row in _objects(spec, text) if jsonl else _table(spec, text):
        if unknown := [str(key) for key in row if key not in KNOWN]:
            raise SourceError(
                f"{shown(spec)}, row {number}: looked for {', '.join(KNOWN)}; unknown: {', '.join(unknown)}"
            )
        yield number, row


def _objects(spec: str, text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                yield number, msgspec.json.decode(line, type=dict[str, Any])
            except msgspec.DecodeError as error:
                raise SourceError(f"{shown(spec)}, row {number}: it is no JSON object ({error})") from None


def _table(spec: str, text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    lines = csv.reader(io.StringIO(text, newline=""))
    head = next(lines, [])
    if "path" not in head:
        found = ", ".join(head) or "no table"
        raise SourceError(f"{shown(spec)} is no manifest: looked for the column path, found {found}")
    for cells in lines:
        if any(cells):
            if len(cells) > len(head):
                raise SourceError(f"{shown(spec)}, row {lines.line_num}: it has more cells than the heading")
            yield lines.line_num, dict(zip(head, cells, strict=False))


def _camera(value: object, where: str) -> str:
    if value in (None, ""):
        return ""
    if not isinstance(value, str) or not LEGAL.fullmatch(value):
        raise SourceError(f"{where}: a camera has up to {MOST} letters, digits, `.`, `_`, `-`, the first no sign")
    return value


def _rate(value: Any, where: str) -> float | None:
    if value in (None, ""):
        return None
    try:
        rate = float(value)
    except (TypeError, ValueError):
        rate = 0.0
    if not 0 < rate <= 10_000:
        raise SourceError(f"{where}: rate_hz {value!r} is no frame rate")
    return rate


def _consent(row: Mapping[str, Any], where: str) -> bool | None:
    value = row.get("consent")
    value = value.lower() if isinstance(value, str) else value
    if not isinstance(value, str | bool | None) or value not in _CONSENT:
        raise SourceError(f"{where}: consent is yes, no (true, false), or left empty")
    return _CONSENT[value]


def _left_out(counts: Counter[str]) -> list[str]:
    if not counts:
        return []
    often = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:_KINDS_TOLD]
    kinds = ", ".join(f"{count} {kind}" for kind, count in often)
    more = ", ..." if len(counts) > _KINDS_TOLD else ""
    total = counts.total()
    return [f"{total} {'file that is' if total == 1 else 'files that are'} no video by name: {kinds}{more}"]


def _is_video(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() in VIDEOS


def _is_numbered(name: str) -> bool:
    path = Path(name)
    return path.suffix.lower() in IMAGES and re.search(r"\d", path.stem) is not None
