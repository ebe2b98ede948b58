"""How a data set is described: its sheets, its folders, its classes and its published counts, as plain values."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from bowam_model.datasets.sample import Expected, Kind
from bowam_model.datasets.sheets import Book, Row


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """An annotation table.

    Fields that the loader knows: subject, filename, onset, apex, offset, emotion, category, aus, kind, fps. A field
    whose name ends in `?` may lack its column.
    """

    files: tuple[str, ...]  # file name patterns, the best first
    columns: Mapping[str, tuple[str, ...]] | tuple[str, ...]  # field -> accepted headers; a tuple: no header, in order
    tab: str | None = None  # None: the first tab that has the columns
    kind: Kind | None = "micro"  # None: the column `kind` tells
    optional: bool = False  # the release may come without it


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Where images lie under the root. In braces stand a row's fields; other parts are patterns (`*`)."""

    folder: str  # such as Cropped*/{subject}/{filename}
    name: str = "images"
    cropped: bool = False  # the pictures show the face alone
    bounded: bool = False  # the folder holds this one expression, so that its first and last image may stand in


@dataclass(frozen=True, kw_only=True)
class View:
    """A choice of classes: which word of the sheet becomes which label. Rows with other words are skipped."""

    labels: Mapping[str, str] | None = None  # None: every word is its own label
    source: str = "emotion"  # or category
    expected: Expected = field(default_factory=Expected)


@dataclass(frozen=True, kw_only=True)
class Description:
    """One data set."""

    name: str
    title: str
    fps: float | None
    sheets: tuple[Sheet, ...]  # none: the folders themselves tell subject, emotion and clip
    layouts: tuple[Layout, ...]  # the first that exists is taken
    views: Mapping[str, View]  # the first is the default
    subject: str | None = None  # format of the number in the subject's cell; None: the cell as it is
    clip: str = "{filename}"  # must be unique for a subject
    spellings: Mapping[str, str] = field(default_factory=dict)  # a wrong word of the sheet -> the right one
    ids: tuple[str, ...] = ()  # the emotions by number, for releases that carry numbers instead of words
    by_kind: bool = False  # an expression without a word is labelled by its kind
    longest_s: float = 10.0  # a micro-expression with a longer interval is a slip of the pen
    rows: Callable[[list[Row], Book], list[Row]] = lambda rows, _book: rows  # what no declaration can tell
