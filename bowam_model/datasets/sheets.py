"""Annotation sheets as rows of named text cells: xlsx, xls and csv, with the header in any of the first rows."""

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bowam_model.errors import DatasetError, MissingDependency

HEADER_ROWS = 40  # SAMM has 13 rows of prose above its header, SAMM-LV 9
Table = list[list[str]]
Book = dict[str, Table]


@dataclass(frozen=True)
class Row:
    """One row: its number as a spreadsheet program shows it (from 1), and its cells by field."""

    number: int
    cells: Mapping[str, str]  # empty for an empty cell; a field whose column is not there is not here


def read_book(path: Path) -> Book:
    """All tabs of a workbook, in order; a csv is a workbook of one. Raises DatasetError, MissingDependency."""
    if path.suffix.lower() in (".csv", ".txt"):
        try:
            with path.open(newline="", encoding="utf-8-sig") as file:
                return {path.stem: [[cell.strip() for cell in line] for line in csv.reader(file)]}
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise DatasetError(f"cannot read {path}: {error}; save it as comma-separated UTF-8") from error
    try:
        from python_calamine import CalamineError, CalamineWorkbook
    except ImportError as error:
        raise MissingDependency(
            "reading .xlsx and .xls needs python-calamine: install bowam-stream[datasets], or save the sheet as .csv"
        ) from error
    try:
        with CalamineWorkbook.from_path(str(path)) as book:
            return {
                name: [[_text(cell) for cell in line] for line in book.get_sheet_by_name(name).to_python(False)]
                for name in book.sheet_names
            }
    except (CalamineError, OSError) as error:
        raise DatasetError(f"cannot read {path}: {error}; open it and save it again as .xlsx or .csv") from error


def read_rows(table: Table, columns: Mapping[str, tuple[str, ...]]) -> list[Row] | None:
    """Rows below the header, by field; None where no header has all required columns (marked by a field without `?`).

    A header matches when it equals one of the field's names but for case, spaces and punctuation.
    """
    for index, line in enumerate(table[:HEADER_ROWS]):
        heads = [plain(cell) for cell in line]
        places: dict[str, int] = {}
        for field, names in columns.items():
            place = next((heads.index(plain(name)) for name in names if plain(name) in heads), None)
            if place is not None:
                places[field.rstrip("?")] = place
            elif not field.endswith("?"):
                break
        else:
            return _rows(table, index + 1, places)
    return None


def read_plain_rows(table: Table, fields: tuple[str, ...]) -> list[Row]:
    """Rows of a table without a header, whose columns are these fields in order."""
    return _rows(table, 0, {field: place for place, field in enumerate(fields)})


def plain(text: str) -> str:
    """Only letters and digits, in lower case."""
    return re.sub(r"[^0-9a-z]", "", text.casefold())


def whole_number(text: str | None) -> int | None:
    """`46`, `46.0` or ` 46 ` as 46; None for anything else."""
    return int(float(text)) if text and re.fullmatch(r"\s*-?\d+(\.0*)?\s*", text) else None


def _rows(table: Table, first: int, places: Mapping[str, int]) -> list[Row]:
    rows = []
    for index in range(first, len(table)):
        line = table[index]
        cells = {field: line[place] if place < len(line) else "" for field, place in places.items()}
        if any(cells.values()):
            rows.append(Row(index + 1, cells))
    return rows


def _text(cell: object) -> str:
    if isinstance(cell, float) and cell.is_integer():  # spreadsheets keep every number as a float
        return str(int(cell))
    return str(cell).strip()
