"""Nobody is in two parts."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from bowam_model.errors import OptionError
from bowam_model.protocol import ProtocolSettings, make_folds
from bowam_model.protocol.folds import grouped
from bowam_model.protocol.selection import select
from tests.model.pretenders import NearestMean, examples_of


@settings(max_examples=60, deadline=None)
@given(
    counts=arrays(np.int64, st.tuples(st.integers(4, 20), st.integers(2, 3)), elements=st.integers(0, 6)),
    folds=st.integers(2, 4),
    seed=st.integers(0, 5),
    kind=st.sampled_from(["loso", "kfold"]),
)
def test_each_person_is_tested_once_and_never_in_the_training_of_that_fold(
    counts: np.ndarray, folds: int, seed: int, kind: str
) -> None:
    counts[:4, 0] += 1
    examples = examples_of(counts)
    chosen = ProtocolSettings(kind=kind, folds=folds, fold_seed=seed)  # type: ignore[arg-type]
    made = make_folds(examples, chosen)
    assert made == make_folds(examples, chosen)
    tested = [subject for fold in made for subject in fold.subjects]
    assert sorted(tested) == np.unique(examples.subjects).tolist()
    assert len(made) == (len(tested) if kind == "loso" else folds)
    for fold in made:
        training, test = fold.split(examples)
        assert sorted([*training, *test]) == list(range(len(examples)))
        assert len(test) > 0
        assert not set(examples.subjects[training]) & set(examples.subjects[test])


def test_groups_have_about_the_same_number_of_each_class() -> None:
    rng = np.random.default_rng(3)
    examples = examples_of(rng.poisson((3.7, 1.6, 1.2), (68, 3)))
    totals = np.bincount(examples.labels, minlength=3)
    stratified, at_random = [], []
    shuffled = np.array_split(rng.permutation(68), 10)
    for number, fold in enumerate(grouped(examples, 10, seed=0)):
        stratified.append(np.bincount(examples.labels[fold.split(examples)[1]], minlength=3))
        at_random.append(np.bincount(examples.labels[np.isin(examples.subjects, shuffled[number])], minlength=3))
    even = totals / 10
    assert np.abs(np.array(stratified) - even).max() <= 3.0
    assert np.abs(np.array(stratified) - even).mean() < 0.3 * np.abs(np.array(at_random) - even).mean()


def test_another_seed_groups_other_people() -> None:
    examples = examples_of(np.full((12, 3), 2))
    assert grouped(examples, 3, seed=0) != grouped(examples, 3, seed=1)


def test_too_few_people_are_refused() -> None:
    with pytest.raises(OptionError, match="there are 3"):
        grouped(examples_of(np.ones((3, 2), int)), 4, seed=0)
    with pytest.raises(OptionError, match="at least 2 subjects"):
        make_folds(examples_of(np.ones((1, 2), int)), ProtocolSettings())


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "kfold", "folds": 1},
        {"seeds": ()},
        {"seeds": (1, 1)},
        {"inner_folds": 3, "inner_rounds": 4},
        {"smooth_epochs": 2},
        {"threads": 0},
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(OptionError):
        ProtocolSettings(**wrong)  # type: ignore[arg-type]


def test_a_choice_needs_two_training_subjects(tmp_path: Path) -> None:
    inner = ProtocolSettings(selection="inner")
    with pytest.raises(OptionError, match="there are 1"):
        select([NearestMean(epochs=2)], examples_of(np.ones((1, 2), int)), inner, 0, 0, tmp_path)
    choice, _ = select([NearestMean(epochs=2)], examples_of(np.ones((2, 2), int)), inner, 0, 0, tmp_path)
    assert choice.epochs in (1, 2)
