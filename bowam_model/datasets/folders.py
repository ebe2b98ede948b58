"""Finds sheets and image folders below a root, whatever the letter case and the padding of numbers."""

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path

from bowam_model.datasets.description import Layout
from bowam_model.datasets.sample import Key, key

SHEETS = frozenset((".xlsx", ".xls", ".xlsm", ".ods", ".csv"))
IMAGES = frozenset((".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff"))
BASES = 300  # folders that are looked into for the place where a layout begins
DEPTH = 3  # below the root
PROBES = 100  # rows whose folders are tried, to find that place


@dataclass(frozen=True)
class Listing:
    """One folder's folders and files by name, in order of their names."""

    folders: Mapping[str, Path]
    files: Mapping[str, Path]
    by_key: Mapping[Key, Path]  # of the folders; the first of several with one key


@dataclass
class Tree:
    """The file system below a root, each folder listed once."""

    root: Path
    _listings: dict[Path, Listing] = field(default_factory=dict)
    _images: dict[Path, dict[int, Path]] = field(default_factory=dict)

    def listing(self, folder: Path) -> Listing:
        """What it holds but for hidden entries and Office's lock files (`~$...`); nothing where there is no folder."""
        if folder not in self._listings:
            try:
                with os.scandir(folder) as entries:  # no stat for each of a video's images
                    named = sorted((entry.name, entry.is_dir()) for entry in entries)
            except OSError:
                named = []
            seen = [(name, is_dir) for name, is_dir in named if not name.startswith((".", "~$"))]
            folders = {name: folder / name for name, is_dir in seen if is_dir}
            by_key = {key(name): path for name, path in reversed(folders.items())}
            files = {name: folder / name for name, is_dir in seen if not is_dir}
            self._listings[folder] = Listing(folders, files, by_key)
        return self._listings[folder]

    def bases(self) -> Iterator[Path]:
        """The root and what lies below, level by level, up to a limit."""
        level, seen = [self.root], 0
        for _ in range(DEPTH + 1):
            yield from level
            seen += len(level)
            level = [path for base in level for path in self.listing(base).folders.values()][: max(BASES - seen, 0)]

    def starts(self, folder: str) -> Iterator[Path]:
        """Where a layout may begin: the bases, and the root's parent when the root is the layout's first folder."""
        first, name = folder.split("/")[0], self.root.absolute().name
        yield from self.bases()
        if first.strip("*") and "{" not in first and fnmatch(name.casefold(), first.casefold()):
            yield self.root.absolute().parent

    def sheets(self, patterns: Iterable[str]) -> list[Path]:
        """Sheets at or below the root that match, those of an earlier pattern first."""
        found = {
            path: None
            for pattern in patterns
            for base in self.bases()
            for name, path in self.listing(base).files.items()
            if path.suffix.lower() in SHEETS and fnmatch(name.casefold(), pattern.casefold())
        }
        return list(found)

    def begin(self, layouts: Sequence[Layout], rows: Sequence[Mapping[str, str]]) -> tuple[Layout, Path] | None:
        """The first layout, and the folder below which it begins, that leads to any of the rows."""
        for layout in layouts:
            for base in self.starts(layout.folder):
                if any(self.find(base, layout.folder, row) for row in rows[:PROBES]):
                    return layout, base
        return None

    def find(self, base: Path, folder: str, values: Mapping[str, str]) -> Path | None:
        """The folder of one row, or None."""
        found = [base]
        for part in folder.split("/"):
            try:
                wanted = part.format_map(values)
            except KeyError:
                return None
            found = [
                path for place in found for path in self._inside(place, wanted, pattern="*" in part or "{" not in part)
            ]
        return found[0] if found else None

    def walk(self, base: Path, folder: str) -> list[dict[str, str]]:
        """Every row's values that the folders below `base` tell, for sets without a sheet."""
        found: list[tuple[Path, dict[str, str]]] = [(base, {})]
        for part in folder.split("/"):
            field_name = part.strip("{}") if part.startswith("{") else ""
            found = [
                (path, {**values, field_name: path.name} if field_name else values)
                for place, values in found
                for path in self._inside(place, "*" if field_name else part, pattern=True)
            ]
        return [values for _, values in found]

    def images(self, folder: Path) -> dict[int, Path]:
        """Images by frame number: the last integer of the name (`006_05562.jpg` is 5562), ascending."""
        if folder not in self._images:
            numbered: dict[int, Path] = {}
            for path in self.listing(folder).files.values():
                digits = re.findall(r"\d+", path.stem)
                if digits and path.suffix.lower() in IMAGES:
                    numbered.setdefault(int(digits[-1]), path)
            self._images[folder] = dict(sorted(numbered.items()))
        return self._images[folder]

    def _inside(self, place: Path, wanted: str, *, pattern: bool) -> list[Path]:
        listing = self.listing(place)
        if pattern:
            return [path for name, path in listing.folders.items() if fnmatch(name.casefold(), wanted.casefold())]
        path = listing.folders.get(wanted) or listing.by_key.get(key(wanted))
        return [path] if path else []


def glance(folder: Path, count: int = 6) -> str:
    """The first entries of a folder, for a message."""
    try:
        names = sorted(path.name + "/" * path.is_dir() for path in folder.iterdir())
    except OSError as error:
        return f"nothing ({error.strerror or error})"
    more = f" and {len(names) - count} more" if len(names) > count else ""
    return ", ".join(names[:count]) + more if names else "an empty folder"
