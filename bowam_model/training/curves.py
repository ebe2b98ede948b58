"""Curves of a training as a file for people and programs."""

import csv
import json
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path

from bowam_model.errors import OptionError
from bowam_model.training.loop import Curve


def write_curves(path: Path, curve: Sequence[Curve]) -> None:
    """Rows of a curve as .json (a list of objects) or .csv (with a header), by the file's suffix.

    Raises:
        OptionError: the suffix is another, or the file can't be written.
    """
    rows = [asdict(row) for row in curve]
    try:
        if path.suffix == ".json":
            path.write_text(json.dumps(rows, indent=1) + "\n")
        elif path.suffix == ".csv":
            with path.open("w", newline="") as file:
                writer = csv.DictWriter(file, [f.name for f in fields(Curve)])
                writer.writeheader()
                writer.writerows(rows)
        else:
            raise OptionError(f"{path} is neither .json nor .csv: curves are written as one of them")
    except OSError as error:
        raise OptionError(f"can't write {path}: {error.strerror}") from error
