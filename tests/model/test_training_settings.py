"""Recipes in numbers: rates, decays, and which clips an epoch shows."""

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from bowam_model.errors import OptionError
from bowam_model.training import NANO, PAPER, TrainingSettings
from bowam_model.training.balance import plan_epoch
from bowam_model.training.settings import ema_decay, learning_rate

MEGC = np.repeat([0, 1, 2], [250, 109, 83])


def test_the_papers_recipe_is_the_papers() -> None:
    assert (PAPER.epochs, PAPER.batch, PAPER.learning_rate, PAPER.weight_decay) == (100, 32, 1e-4, 1e-4)
    assert (PAPER.schedule, PAPER.decay, PAPER.balance, PAPER.rotation_deg) == ("exponential", 0.987, 5, 8)
    assert PAPER.mirror
    assert PAPER.shift
    assert NANO.epochs >= 15


def test_the_exponential_schedule_is_pytorchs() -> None:
    settings = replace(PAPER, epochs=5)
    optimiser = torch.optim.SGD([torch.zeros(1, requires_grad=True)], settings.learning_rate)
    reference = torch.optim.lr_scheduler.ExponentialLR(optimiser, 0.987)
    for step in range(15):
        assert learning_rate(settings, step, 3) == pytest.approx(reference.get_last_lr()[0])
        optimiser.step()
        if step % 3 == 2:
            reference.step()


def test_the_cosine_rises_to_the_largest_rate_and_falls_to_nothing() -> None:
    settings = TrainingSettings(epochs=10, learning_rate=0.1, warm_up=0.1)
    rates = [learning_rate(settings, step, 10) for step in range(100)]
    np.testing.assert_allclose(rates[:10], np.linspace(0.01, 0.1, 10))
    np.testing.assert_allclose(rates[10:], 0.05 * (1 + np.cos(np.pi * np.arange(90) / 90)))
    assert learning_rate(replace(settings, schedule="constant"), 77, 10) == 0.1


def test_the_running_mean_forgets_quickly_at_first() -> None:
    assert [ema_decay(0.99, step) for step in (0, 8, 1000)] == pytest.approx([0.1, 0.5, 0.99])


def test_balancing_raises_the_smallest_class_five_times_and_the_others_to_as_many() -> None:
    """MEGC2019's 83 surprises become 415; with five readings each of these is shown once."""
    clips, readings = plan_epoch(MEGC, 5, 5, np.random.default_rng(0))
    assert Counter(MEGC[clips].tolist()) == {0: 415, 1: 415, 2: 415}
    shown = Counter(zip(clips.tolist(), readings.tolist(), strict=True))
    assert max(shown.values()) == 1
    assert all(shown[clip, 0] == 1 for clip in range(len(MEGC)))  # no clip's apex is left out
    assert {pair for pair in shown if MEGC[pair[0]] == 2} == {(c, r) for c in range(359, 442) for r in range(5)}
    assert (np.diff(MEGC[clips]) != 0).mean() > 0.5  # shuffled


def test_balancing_repeats_what_has_no_readings_and_rests_what_is_plenty() -> None:
    clips, readings = plan_epoch(np.repeat([0, 3], [100, 4]), 1, 5, np.random.default_rng(0))
    assert set(readings) == {0}
    shown = Counter(clips.tolist())
    assert [shown[clip] for clip in range(100, 104)] == [5, 5, 5, 5]
    assert sum(clip < 100 for clip in shown) == 20  # 20 of 100, each once
    again, _ = plan_epoch(np.repeat([0, 3], [100, 4]), 1, 5, np.random.default_rng(1))
    assert set(again) != set(clips)


def test_without_balancing_every_clip_is_shown_once_in_any_reading() -> None:
    clips, readings = plan_epoch(MEGC, 3, 0, np.random.default_rng(0))
    assert sorted(clips) == list(range(442))
    assert set(readings) == {0, 1, 2}


@pytest.mark.parametrize(
    "wrong",
    [
        {"epochs": 0},
        {"schedule": "saw"},
        {"precision": "fp8"},
        {"device": "abacus"},
        {"ema": 1.5},
        {"noise": -1.0},
        {"learning_rate": float("nan")},
        {"clip": 0.0},
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(OptionError):
        TrainingSettings(**wrong)
