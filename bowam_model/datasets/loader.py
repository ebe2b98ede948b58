"""The one loader: a description and a root folder become a corpus."""

import re
from collections.abc import Mapping
from pathlib import Path

from bowam_model.datasets.description import Description, Layout, Sheet, View
from bowam_model.datasets.folders import Tree, glance
from bowam_model.datasets.intervals import Notes, Unusable, find_interval
from bowam_model.datasets.sample import Corpus, Frames, Key, Kind, Sample, key
from bowam_model.datasets.sheets import Book, Row, read_book, read_plain_rows, read_rows, whole_number
from bowam_model.errors import DatasetError, OptionError

EMOTIONS = {"other": "others", "happy": "happiness", "sad": "sadness", "angry": "anger"}  # names, not slips


def load(
    description: Description,
    root: Path,
    *,
    classes: str | None = None,
    layout: str | None = None,
    sheet: Path | None = None,
) -> Corpus:
    """Read a data set. `classes` names a view, `layout` a kind of images, `sheet` a table that lies elsewhere.

    Raises DatasetError when the folder is not that data set, OptionError for an unknown view or layout.
    """
    view = _choose(description.views, classes, f"classes of {description.title}")
    layouts = [one for one in description.layouts if layout in (None, one.name)]
    if not layouts:
        names = ", ".join(dict.fromkeys(one.name for one in description.layouts))
        raise OptionError(f"{description.title} has no images called {layout!r}; there are: {names}")
    if not root.is_dir():
        raise DatasetError(f"{root} is no folder: name the folder that holds {description.title}")
    tree, notes = Tree(root), Notes()
    if description.sheets:
        rows, sources = _annotated(description, tree, sheet, notes)
    else:
        rows, sources = _from_folders(description, layouts, tree), ()
    people: dict[Key, str] = {}
    rows = [(kind, where, _named(description, row, people)) for kind, where, row in rows]
    begin = tree.begin(layouts, [row.cells for _, _, row in rows])
    if begin is None:
        looked = " or ".join(one.folder for one in layouts)
        example = f", such as {layouts[0].folder.format_map(_Open(rows[0][2].cells))}" if rows else ""
        raise DatasetError(
            f"no images of {description.title} under {root}: looked for {looked}{example}; found {glance(root)}"
        )
    chosen, base = begin
    taken: dict[tuple[Key, Key], str] = {}
    samples = []
    for kind, where, row in rows:
        subject, filename = row.cells.get("subject", ""), row.cells.get("filename", "")
        notes.where, notes.what = where, f"{subject} {filename}".strip()
        try:
            sample = _sample(description, view, chosen, tree, base, row, kind, notes)
            same = key(sample.subject), key(sample.clip)
            if same in taken:
                raise Unusable("skipped", f"{sample.clip} stands in {taken[same]} already")
        except Unusable as trouble:
            notes.add(trouble.action, str(trouble))
        else:
            taken[same] = where
            samples.append(sample)
    return Corpus(
        title=description.title,
        samples=tuple(samples),
        findings=tuple(notes.findings),
        expected=view.expected,
        sources=(*sources, base / chosen.folder.split("{")[0]),
    )


def _choose(views: Mapping[str, View], name: str | None, what: str) -> View:
    if name is None:
        return next(iter(views.values()))
    if name not in views:
        raise OptionError(f"{name!r} names no {what}; choose from {', '.join(views)}")
    return views[name]


_Rows = list[tuple[Kind | None, str, Row]]


def _annotated(
    description: Description, tree: Tree, given: Path | None, notes: Notes
) -> tuple[_Rows, tuple[Path, ...]]:
    found: _Rows = []
    sources: dict[Path, Book] = {}
    taken, rejected = set(), []
    for sheet in description.sheets:
        for path in [given] if given else tree.sheets(sheet.files):
            if (path, sheet.tab) in taken:
                break
            book = sources.get(path) or read_book(path)
            table = _table(sheet, book)
            if table is not None:
                sources[path] = book
                taken.add((path, sheet.tab))
                found += [(sheet.kind, f"{path.name} row {row.number}", row) for row in description.rows(table, book)]
                break
            rejected.append(path.name)
        else:
            if not sheet.optional:
                notes.where, notes.what = str(tree.root), " or ".join(sheet.files)
                notes.add("missing", "no such sheet" + (f" with a tab {sheet.tab!r}" if sheet.tab else ""))
    if not sources:
        wanted = " or ".join(dict.fromkeys(pattern for sheet in description.sheets for pattern in sheet.files))
        columns = ", ".join(column.rstrip("?") for column in description.sheets[0].columns)
        why = f"; {', '.join(dict.fromkeys(rejected))} lacks the columns {columns}" if rejected else ""
        raise DatasetError(
            f"no sheet of {description.title} in {tree.root}: looked for {wanted}{why}; found {glance(tree.root)}"
        )
    return found, tuple(sources)


def _table(sheet: Sheet, book: Book) -> list[Row] | None:
    tables = [table for tab, table in book.items() if sheet.tab is None or key(tab) == key(sheet.tab)]
    if not tables and len(book) == 1 and sheet.tab is not None:  # a tab that was saved as csv
        tables = list(book.values())
    if isinstance(sheet.columns, tuple):
        return read_plain_rows(tables[0], sheet.columns) if tables else None
    return next((rows for table in tables if (rows := read_rows(table, sheet.columns)) is not None), None)


def _from_folders(description: Description, layouts: list[Layout], tree: Tree) -> _Rows:
    for layout in layouts:
        for base in tree.starts(layout.folder):
            walked = tree.walk(base, layout.folder)
            if walked:
                return [
                    ("micro", "/".join(values.values()), Row(number + 1, values))
                    for number, values in enumerate(walked)
                ]
    return []


def _named(description: Description, row: Row, people: dict[Key, str]) -> Row:
    """The row with its subject in one spelling: the description's, or the first that came."""
    subject = row.cells.get("subject", "")
    digits = re.findall(r"\d+", subject)
    if description.subject is not None:
        subject = description.subject.format(int(digits[-1])) if digits else ""
    return Row(row.number, {**row.cells, "subject": people.setdefault(key(subject), subject)})


def _sample(
    description: Description,
    view: View,
    layout: Layout,
    tree: Tree,
    base: Path,
    row: Row,
    kind: Kind | None,
    notes: Notes,
) -> Sample:
    cells = row.cells
    if not cells["subject"] or not cells.get("filename"):
        raise Unusable("skipped", "no subject or no file name")
    kind = kind or _kind(cells.get("kind", ""))
    emotion = _emotion(description, cells.get("emotion") or (kind if description.by_kind else ""), notes)
    word = emotion if view.source == "emotion" else cells.get(view.source, "").casefold()
    label = word if view.labels is None else view.labels.get(word)
    if not label:
        raise Unusable("skipped", f"{_quoted(word)} is not among these classes")
    folder = tree.find(base, layout.folder, cells)
    if folder is None:
        raise Unusable("missing", f"no folder {layout.folder.format_map(_Open(cells))}")
    images = tree.images(folder)
    fps = float(cells["fps"]) if whole_number(cells.get("fps")) else description.fps
    onset, apex, offset = find_interval(cells, images, layout, folder, fps, kind, description.longest_s, notes)
    numbers = tuple(number for number in images if onset <= number <= offset)
    if len(numbers) < 3:
        raise Unusable("missing", f"{len(numbers)} images from {onset} to {offset} in {folder.name}; it takes three")
    if len(numbers) <= offset - onset:
        notes.add("kept", f"{offset - onset + 1 - len(numbers)} frames from {onset} to {offset} are not on disk")
    return Sample(
        dataset=description.name,
        subject=cells["subject"],
        clip=description.clip.format_map(_Open(cells)),
        recording=cells.get("recording", cells["filename"]),
        kind=kind,
        emotion=emotion,
        label=label,
        onset=onset,
        apex=apex,
        offset=offset,
        fps=fps,
        aus=action_units(cells.get("aus", "")),
        media=Frames(numbers=numbers, paths=tuple(images[number] for number in numbers)),
        cropped=layout.cropped,
    )


def _kind(text: str) -> Kind:
    for kind in ("micro", "macro", "blink"):
        if kind in text.casefold():
            return kind
    raise Unusable("skipped", f"{_quoted(text)} is no kind of expression")


def _quoted(text: str) -> str:
    return repr(text) if text else "an empty cell"


def _emotion(description: Description, text: str, notes: Notes) -> str:
    word = " ".join(text.casefold().split())
    if word in description.spellings:
        notes.add("repaired", f"{text!r} read as {description.spellings[word]}")
        word = description.spellings[word]
    number = whole_number(word)
    if number is not None and description.ids:
        if not 0 <= number < len(description.ids):
            raise Unusable("skipped", f"emotion {number} has no name")
        word = description.ids[number]
        notes.add("repaired", f"emotion {number} read as {word}: the numbers are taken to be alphabetical")
    return EMOTIONS.get(word, word)


def action_units(text: str) -> tuple[str, ...]:
    """Action units of a cell such as `4+L10`, `AU12A or AU14`, `4(k)`. The side stays, the strength goes."""
    return tuple(side.upper() + number for side, number in re.findall(r"([LRlr]?)(?:AU|au)?\s*(\d{1,2})", text))


class _Open(dict[str, str]):
    """Values for a template, in which an unknown field stays as it is written."""

    def __missing__(self, field_name: str) -> str:
        return "{" + field_name + "}"
