"""Confidence beside accuracy: bins, temperature, and the threshold below which nothing is said."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bowam_model.evaluation import (
    Bin,
    abstention_threshold,
    calibration_error,
    fit_temperature,
    reliability,
    selective,
    tempered,
)


def sure(*confidences: float) -> np.ndarray:
    """Two classes; the first is said with the given confidence."""
    return np.array([(c, 1 - c) for c in confidences])


def test_the_calibration_error_of_a_case_counted_by_hand() -> None:
    """Two bins of two: mean confidence 0.65 with half right, 0.95 with all right: (0.15 + 0.05) / 2."""
    probabilities = sure(0.9, 0.6, 1.0, 0.7)
    truth = np.array([0, 0, 0, 1])
    bins = reliability(probabilities, truth, bins=2)
    assert [b.count for b in bins] == [2, 2]
    assert [b.confidence for b in bins] == pytest.approx([0.65, 0.95])
    assert [b.accuracy for b in bins] == [0.5, 1.0]
    assert calibration_error(bins) == pytest.approx(0.1)


def test_bins_have_equal_mass_and_lose_nobody() -> None:
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet(np.ones(4), 103)
    bins = reliability(probabilities, rng.integers(0, 4, 103))
    assert sum(b.count for b in bins) == 103
    assert {b.count for b in bins} == {10, 11}
    assert sorted(b.confidence for b in bins) == [b.confidence for b in bins]
    assert len(reliability(probabilities[:3], np.zeros(3, int))) == 3
    assert calibration_error([]) == 0.0
    assert calibration_error([Bin(5, 0.7, 0.7)]) == 0.0


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("factor", [0.4, 1.0, 3.0])
def test_the_temperature_undoes_a_known_scaling(factor: float) -> None:
    """Truth is drawn from the probabilities; a network that scales its logits needs that factor as temperature."""
    rng = np.random.default_rng(1)
    logits = rng.normal(0, 2, (20_000, 4))
    honest = softmax(logits)
    truth = (rng.random((len(honest), 1)) > honest.cumsum(axis=1)).sum(axis=1).clip(max=3)
    boastful = softmax(factor * logits)
    np.testing.assert_allclose(tempered(boastful, factor), honest, atol=1e-9)
    found = fit_temperature(boastful, truth)
    assert found == pytest.approx(factor, rel=0.03)
    before, after = (calibration_error(reliability(p, truth)) for p in (boastful, tempered(boastful, found)))
    assert after < 0.015
    assert after <= before + 1e-3


def test_no_other_temperature_is_likelier() -> None:
    """Against a fine grid, on few examples where the best one is far from 1."""
    rng = np.random.default_rng(2)
    probabilities, truth = rng.dirichlet(np.ones(3), 40), rng.integers(0, 3, 40)

    def loss(temperature: float) -> float:
        return -np.log(tempered(probabilities, temperature)[np.arange(40), truth]).mean()

    best = min(loss(t) for t in np.geomspace(0.05, 20, 4000))
    assert loss(fit_temperature(probabilities, truth)) <= best + 1e-9


def test_the_threshold_answers_as_many_as_the_rule_allows() -> None:
    """Right, right, right, wrong, right, from the surest.

    Of a recogniser that errs in half of its answers, three right ones in a row have a chance of 1/8, at most one wrong
    of four 5/16, and at most one wrong of five 6/32.
    """
    probabilities, truth = sure(0.99, 0.9, 0.8, 0.7, 0.6), np.array([0, 0, 0, 1, 0])
    assert abstention_threshold(probabilities, truth, 0.5, doubt=0.19) == pytest.approx(0.6)
    assert abstention_threshold(probabilities, truth, 0.5, doubt=0.18) == pytest.approx(0.8)
    assert abstention_threshold(probabilities, truth, 0.5, doubt=0.1) > 1.0
    assert selective(probabilities, truth, 0.8) == (0.6, 0.0)
    assert selective(probabilities, truth, 0.7) == (0.8, 0.25)


def test_so_many_right_answers_are_needed_as_the_docstring_says() -> None:
    for count, enough in ((148, False), (149, True)):
        probabilities = sure(*np.linspace(0.6, 0.99, count))
        assert (abstention_threshold(probabilities, np.zeros(count, int), 0.02) <= 1.0) == enough


def test_examples_of_one_confidence_are_answered_together() -> None:
    """The first alone would do, but no threshold lies between the two."""
    probabilities, truth = sure(0.9, 0.9), np.array([0, 1])
    threshold = abstention_threshold(probabilities, truth, 0.5, doubt=0.6)
    assert threshold > 1.0
    assert selective(probabilities, truth, threshold) == (0.0, 0.0)
    assert selective(probabilities.astype(np.float32), truth, threshold) == (0.0, 0.0)


@settings(deadline=None)
@given(st.integers(1, 60), st.integers(0, 10_000), st.sampled_from([0.1, 0.2, 0.4]))
def test_what_is_answered_keeps_the_promise_and_no_lower_threshold_does(count: int, seed: int, allowed: float) -> None:
    """Against SciPy's binomial test."""
    stats = pytest.importorskip("scipy.stats", reason="scipy is the independent reference")
    rng = np.random.default_rng(seed)
    probabilities = sure(*rng.integers(50, 100, count) / 100)
    truth = (rng.random(count) < 0.1).astype(int)

    def surely(threshold: float) -> bool:
        answered = probabilities.max(axis=1) >= threshold
        wrong = int(truth[answered].sum())
        return stats.binomtest(wrong, int(answered.sum()), allowed, alternative="less").pvalue <= 0.05

    threshold = abstention_threshold(probabilities, truth, allowed)
    assert threshold > 1.0 or surely(threshold)
    assert not any(surely(c) for c in probabilities.max(axis=1) if c < threshold)
