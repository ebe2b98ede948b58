"""What else could explain a movement, on readings written by hand."""

from dataclasses import replace

import numpy as np
import pytest

from bowam_stream.spotting.baseline import Baseline
from bowam_stream.spotting.pulse import Pulse
from bowam_stream.spotting.reading import Reading, doubt, unrest
from bowam_stream.spotting.regions import MOUTH, NAMES
from bowam_stream.spotting.settings import SpottingSettings

SETTINGS = SpottingSettings()
SIGMA = np.full(len(NAMES), 0.05)


def moved(**px: float) -> np.ndarray:
    return np.array([px.get(name, 0.0) for name in NAMES])


def reading(largest_px: float = 0.6, **changes: object) -> Reading:
    """Both inner brows by the same distance, in 200 ms, and nothing else."""
    nothing = np.zeros(len(NAMES))
    plain = Reading(
        pulse=Pulse(onset=0.0, apex=80.0, offset=200.0, peak=10.0, released=True),
        t_ms=np.array([0.0, 80.0, 200.0]),
        signal=np.array([0.0, 10.0, 0.0]),
        lengths_px=moved(brow_inner_left=largest_px, brow_inner_right=largest_px),
        score=largest_px / 0.05,
        before_px=nothing,
        after_px=nothing,
        lids=0.0,
        head_px=0.0,
        brightness=0.0,
        widest_px=largest_px,
        level=np.zeros((len(NAMES), 2)),
        direction=np.zeros((len(NAMES), 2)),
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("cause", "changes"),
    [
        ("blink", {"lids": 0.8}),
        ("nod", {"head_px": 6.0}),
        ("flicker", {"brightness": 0.3}),
        ("speech", {"widest_px": 5.0}),
    ],
)
def test_a_small_movement_beside_a_large_cause_is_refused_by_its_name_and_a_strong_one_is_not(
    cause: str, changes: dict[str, object]
) -> None:
    assert doubt(reading(), SIGMA, SETTINGS, slow=False) is None
    assert doubt(reading(**changes), SIGMA, SETTINGS, slow=False) == cause
    assert doubt(reading(2.5, **changes), SIGMA, SETTINGS, slow=False) is None


def test_what_is_weak_strong_or_comes_out_of_unrest_is_named() -> None:
    assert doubt(reading(0.2), SIGMA, SETTINGS, slow=False) == "too_weak"
    assert doubt(reading(score=3.0), SIGMA, SETTINGS, slow=False) == "too_weak"
    assert doubt(reading(5.0), SIGMA, SETTINGS, slow=False) == "too_strong"
    assert doubt(reading(5.0), SIGMA, SETTINGS, slow=True) is None
    assert doubt(reading(before_px=moved(cheek_left=1.0)), SIGMA, SETTINGS, slow=False) == "restless"
    assert doubt(reading(after_px=moved(chin=1.0)), SIGMA, SETTINGS, slow=False) == "speech"


def test_a_noisy_picture_is_forgiven_its_unrest_and_a_talking_mouth_is_not() -> None:
    talking = np.where(MOUTH, 0.6, 0.05)
    before = moved(chin=1.2)
    assert doubt(reading(1.5, before_px=before), np.full(len(NAMES), 0.2), SETTINGS, slow=False) is None
    assert doubt(reading(1.5, before_px=before), talking, SETTINGS, slow=False) == "speech"
    assert unrest(talking, SETTINGS).max() == SETTINGS.rest_px


def test_the_last_second_is_told_apart_from_what_was_before() -> None:
    """Medians: what lasts for less than half of the time does not count."""
    baseline = Baseline(SETTINGS)
    for step in range(80):
        moving = step >= 66  # 0.7 s
        baseline.push(50.0 * step, moved(chin=2.0 if moving else 0.1, cheek_left=2.0 if 40 < step < 50 else 0.1))
    assert baseline.lately(1_000.0)[NAMES.index("chin")] == 2.0
    assert baseline.lately(2_000.0)[NAMES.index("chin")] == 0.1
    assert baseline.lately(1_000.0)[NAMES.index("cheek_left")] == 0.1
    assert Baseline(SETTINGS).lately(1_000.0).max() == 0.0
