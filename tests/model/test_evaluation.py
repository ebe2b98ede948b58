"""Scores against scikit-learn."""

import numpy as np
import pytest

from bowam_model.evaluation import confusion_matrix, interval, uar, uf1

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
