"""What a spotter took for micro-expressions where there were none: the hardest examples of the class none.

A .npz file of
    triples   uint8 (N, 3, 240, 240): the aligned crops at onset, apex and offset, as the spotter handed them over
    people    str (N,): name of the photo (without suffix) of who was seen; of anyone else, whatever names them
    rates_hz  float64 (N,): of the recording
"""

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bowam_model.errors import DatasetError
from bowam_model.flow import ALIGNED_PX

_FIELDS = ("triples", "people", "rates_hz")


@dataclass(frozen=True, eq=False)
class FalseAlarms:
    """As in the file."""

    triples: np.ndarray
    people: np.ndarray
    rates_hz: np.ndarray

    def of(self, chosen: np.ndarray) -> "FalseAlarms":
        """Some of them, by a mask (N,)."""
        return FalseAlarms(self.triples[chosen], self.people[chosen], self.rates_hz[chosen])


def read_false_alarms(file: Path) -> FalseAlarms:
    """Raises DatasetError for a file that is none or holds something else."""
    try:
        with np.load(file, allow_pickle=False) as loaded:
            found = FalseAlarms(**{name: loaded[name] for name in _FIELDS})
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise DatasetError(f"{file} holds no false alarms ({', '.join(_FIELDS)} in an .npz): {error}") from None
    count = len(found.triples)
    if found.triples.shape != (count, 3, ALIGNED_PX, ALIGNED_PX) or found.triples.dtype != np.uint8:
        raise DatasetError(
            f"{file}: triples are {found.triples.dtype} {found.triples.shape}, not uint8 (N, 3, 240, 240)"
        )
    if found.people.shape != (count,) or found.rates_hz.shape != (count,) or found.people.dtype.kind != "U":
        raise DatasetError(f"{file}: {count} triples need as many names and rates")
    return found


def write_false_alarms(file: Path, alarms: FalseAlarms) -> None:
    """Write them as `read_false_alarms` takes them."""
    partial = file.with_suffix(".part.npz")
    np.savez_compressed(partial, triples=alarms.triples, people=alarms.people, rates_hz=alarms.rates_hz)
    partial.replace(file)
