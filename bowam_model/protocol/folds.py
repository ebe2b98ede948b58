"""Who is tested when. A person is in one part only: in the test or in the training of a fold."""

from dataclasses import dataclass

import numpy as np

from bowam_model.errors import OptionError
from bowam_model.learning import Examples
from bowam_model.protocol.settings import ProtocolSettings


@dataclass(frozen=True)
class Fold:
    """The subjects (indices of `Examples.people`, ascending) that are held out."""

    number: int
    subjects: tuple[int, ...]

    def split(self, examples: Examples) -> tuple[np.ndarray, np.ndarray]:
        """Indices of the training and of the test examples."""
        held_out = np.isin(examples.subjects, self.subjects)
        return np.flatnonzero(~held_out), np.flatnonzero(held_out)


def make_folds(examples: Examples, settings: ProtocolSettings) -> tuple[Fold, ...]:
    """All folds, always in one order; each subject that has examples is tested once. Raises OptionError."""
    there = np.unique(examples.subjects)
    if settings.kind == "loso":
        if len(there) < 2:
            raise OptionError("leaving one subject out needs at least 2 subjects")
        return tuple(Fold(number, (int(subject),)) for number, subject in enumerate(there))
    return grouped(examples, settings.folds, settings.fold_seed)


def grouped(examples: Examples, folds: int, seed: int) -> tuple[Fold, ...]:
    """Groups of subjects with about the same number of examples of each class. Raises OptionError.

    Greedy: the subjects with most examples first (equals in an order drawn with `seed`), each into the group where
    the counts of its classes, as shares of the class, then have the smallest sum of squares; of equals the smallest
    group. So no group stays empty.
    """
    there, subject = np.unique(examples.subjects, return_inverse=True)
    if len(there) < folds:
        raise OptionError(f"{folds} folds need as many subjects; there are {len(there)}")
    counts = np.zeros((len(there), len(examples.classes)))
    np.add.at(counts, (subject, examples.labels), 1)
    shares = counts / np.maximum(counts.sum(axis=0), 1)
    shuffled = np.random.default_rng(seed).permutation(len(there))
    biggest_first = shuffled[np.argsort(-counts[shuffled].sum(axis=1), kind="stable")]
    sums, sizes, group = np.zeros((folds, shares.shape[1])), np.zeros(folds), np.zeros(len(there), np.int64)
    for one in biggest_first:
        # (s + c)^2 - s^2 without c^2, which is the same for every group. Rounded, so that equals are equal.
        cost = np.round((sums * shares[one]).sum(axis=1), 12)
        chosen = np.lexsort((sizes, cost))[0]
        group[one] = chosen
        sums[chosen] += shares[one]
        sizes[chosen] += counts[one].sum()
    return tuple(Fold(number, tuple(int(s) for s in there[group == number])) for number in range(folds))
