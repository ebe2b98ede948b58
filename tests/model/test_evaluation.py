"""Scores against scikit-learn."""

import numpy as np
import pytest

from bowam_model.evaluation import (
    DRAWS,
    by_class,
    confusion_matrix,
    confusions_by_person,
    difference,
    estimate,
    interval,
    uar,
    uf1,
)

metrics = pytest.importorskip("sklearn.metrics")


@pytest.mark.parametrize("seed", range(5))
def test_scores_equal_those_of_scikit_learn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth = rng.choice(4, 200, p=[0.5, 0.3, 0.15, 0.05])
    predicted = np.where(rng.random(200) < 0.6, truth, rng.integers(0, 4, 200))
    confusion = confusion_matrix(truth, predicted, 4)
    np.testing.assert_array_equal(confusion, metrics.confusion_matrix(truth, predicted, labels=range(4)))
    assert uf1(confusion) == pytest.approx(metrics.f1_score(truth, predicted, average="macro", labels=range(4)))
    assert uar(confusion) == pytest.approx(metrics.balanced_accuracy_score(truth, predicted))


def test_a_class_never_seen_counts_for_uf1_and_not_for_uar() -> None:
    confusion = confusion_matrix(np.array([0, 0, 1]), np.array([0, 0, 1]), 3)
    assert uf1(confusion) == pytest.approx(2 / 3)
    assert uar(confusion) == 1.0


def test_the_interval_over_people_holds_the_pooled_score_and_shrinks_when_people_agree() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, (20, 30))
    predicted = np.where(rng.random((20, 30)) < np.linspace(0.2, 1.0, 20)[:, None], truth, rng.integers(0, 3, (20, 30)))
    different = np.stack([confusion_matrix(t, p, 3) for t, p in zip(truth, predicted, strict=True)])
    low, high = interval(different, uf1)
    assert low < uf1(different.sum(axis=0)) < high
    same = np.broadcast_to(different.sum(axis=0), different.shape)
    assert np.ptp(interval(same, uf1)) < 1e-9


def test_a_stack_is_scored_like_its_matrices_one_by_one() -> None:
    stack = np.random.default_rng(0).integers(0, 5, (4, 6, 3, 3))
    stack[0, 0, 1] = 0  # a class that does not occur
    stack[0, 1] = 0  # nothing at all
    for score in (uf1, uar):
        one_by_one = [[score(matrix) for matrix in row] for row in stack]
        np.testing.assert_array_equal(score(stack), one_by_one)


def test_figures_of_each_class_equal_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(1)
    truth, predicted = rng.integers(0, 3, 100), rng.integers(0, 4, 100)  # class 3 is said and never true
    precision, recall, f1, count = metrics.precision_recall_fscore_support(
        truth, predicted, labels=range(5), zero_division=0
    )
    ours = by_class(confusion_matrix(truth, predicted, 5))
    np.testing.assert_allclose([ours.precision, ours.recall, ours.f1, ours.count], [precision, recall, f1, count])


def test_confusions_by_person_are_those_of_each_persons_examples() -> None:
    rng = np.random.default_rng(2)
    truth, predicted, people = rng.integers(0, 3, 50), rng.integers(0, 3, 50), rng.choice([2, 5, 9], 50)
    each = [confusion_matrix(truth[people == one], predicted[people == one], 3) for one in (2, 5, 9)]
    np.testing.assert_array_equal(confusions_by_person(truth, predicted, people, 3), each)


def drawn_by_hand(people: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, people, (DRAWS, people))


def by_hand(confusions_SPKK: np.ndarray, some: np.ndarray) -> float:
    """Mean over seeds of scikit-learn's macro F1 over the clips of these people, each as often as drawn."""
    scores = []
    for confusions in confusions_SPKK:
        pooled = sum(confusions[person] for person in some)
        truth, said = np.nonzero(pooled)
        weights = pooled[truth, said]
        scores.append(
            metrics.f1_score(truth, said, sample_weight=weights, average="macro", labels=range(3), zero_division=0)
        )
    return float(np.mean(scores))


def test_the_comparison_of_two_runs_equals_a_bootstrap_by_hand() -> None:
    rng = np.random.default_rng(3)
    first, second = rng.integers(0, 4, (2, 8, 3, 3)), rng.integers(0, 4, (3, 8, 3, 3))
    first[:, :, range(3), range(3)] += 1
    ours = difference(first, second, uf1, seed=7)
    everybody = np.arange(8)
    assert ours.value == pytest.approx(by_hand(first, everybody) - by_hand(second, everybody))
    some = drawn_by_hand(8, 7)[::20]  # a twentieth of them, scikit-learn is slow
    drawn = np.array([by_hand(first, one) - by_hand(second, one) for one in some])
    assert (ours.low, ours.high) == pytest.approx(np.percentile(drawn, (2.5, 97.5)), abs=0.03)
    assert ours.above_zero == pytest.approx((drawn > 0).mean(), abs=0.1)
    assert 0.5 < ours.above_zero < 1.0


def test_a_run_compared_with_itself_differs_by_nothing() -> None:
    confusions = np.random.default_rng(4).integers(0, 4, (2, 8, 3, 3))
    same = difference(confusions, confusions, uar)
    assert (same.value, same.low, same.high, same.above_zero) == (0, 0, 0, 0)


def test_pairing_takes_out_what_people_have_in_common() -> None:
    """Two runs that are as good on each person: their own intervals are wide, that of their difference is narrow."""
    rng = np.random.default_rng(5)
    easy = rng.random(40)[:, None, None]
    first, second = (rng.poisson(6 * np.where(np.eye(3, dtype=bool), easy, 1 - easy))[None] for _ in range(2))
    own = estimate(first, uf1)
    paired = difference(first, second, uf1)
    assert paired.high - paired.low < 0.6 * (own.high - own.low)


def test_an_estimate_over_seeds_has_their_mean_deviation_range_and_a_joint_interval() -> None:
    confusions = np.random.default_rng(6).integers(0, 4, (3, 8, 3, 3))
    ours = estimate(confusions, uf1)
    each = [uf1(one.sum(axis=0)) for one in confusions]
    assert (ours.mean, ours.std) == pytest.approx((np.mean(each), np.std(each, ddof=1)))
    assert (ours.lowest, ours.highest) == pytest.approx((min(each), max(each)))
    drawn = [np.mean([uf1(one[some].sum(axis=0)) for one in confusions]) for some in drawn_by_hand(8, 0)]
    assert (ours.low, ours.high) == pytest.approx(tuple(np.percentile(drawn, (2.5, 97.5))))
    one = estimate(confusions[:1], uf1)
    assert (one.low, one.high) == pytest.approx(interval(confusions[0], uf1))
    assert one.std == 0.0
