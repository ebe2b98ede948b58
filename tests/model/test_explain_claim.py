"""Signal to noise of both flows: the definition against hand-made flows, the truth against warped pictures."""

import xml.etree.ElementTree as ET
from dataclasses import replace

import cv2
import numpy as np
import pytest

from bowam_model.errors import OptionError
from bowam_model.explain.claim import (
    CONDITIONS,
    FLOOR_DB,
    METHODS,
    Case,
    Reading,
    Scenes,
    instants,
    measure,
    snr_db,
    split,
    true_flow,
)
from bowam_model.explain.claim_report import ALL, FIGURE_ROWS, figure, markdown, plot, summarise
from bowam_model.synthesis.fields import CROP_PX, GRID_ORIGIN_PX, GRID_SHAPE, grid
from bowam_model.synthesis.identity import load_identity
from bowam_model.synthesis.plan import STRATA, micro

EVERYWHERE = np.ones((64, 64), bool)
BY_NAME = {condition.name: condition for condition in CONDITIONS}


def bump(shape: tuple[int, int] = (64, 64)) -> np.ndarray:
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    length = np.exp(-((x - shape[1] / 2) ** 2 + (y - shape[0] / 2) ** 2) / 200)
    return np.dstack([0.6 * length, -0.8 * length]).astype(np.float32)


def noise(seed: int, size: float = 0.1) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, size, (64, 64, 2))


@pytest.fixture(scope="module")
def scenes() -> Scenes:
    pytest.importorskip("skimage", reason="the default portrait comes with scikit-image")
    return Scenes(load_identity())


@pytest.fixture(scope="module")
def case(scenes: Scenes) -> Case:
    return scenes.case("easy", seed=3)


def test_without_noise_the_ratio_is_infinite_and_against_the_movement_it_is_the_floor() -> None:
    assert snr_db(2.5 * bump(), bump(), EVERYWHERE) > 100  # rounding is all that is left over
    assert snr_db(bump(), bump(), EVERYWHERE) == np.inf
    assert snr_db(-bump(), bump(), EVERYWHERE) == FLOOR_DB


def test_the_ratio_is_that_of_the_powers_and_knows_no_unit() -> None:
    flow = bump() + noise(1)
    _, rest = split(noise(1), bump(), EVERYWHERE)
    g, _ = split(flow, bump(), EVERYWHERE)
    by_hand = 10 * np.log10(g**2 * (bump() ** 2).sum() / (rest**2).sum())
    assert snr_db(flow, bump(), EVERYWHERE) == pytest.approx(by_hand, abs=1e-4)
    assert snr_db(7 * flow, bump(), EVERYWHERE) == pytest.approx(by_hand, abs=1e-4)
    assert snr_db(flow, -0.1 * bump(), EVERYWHERE) == FLOOR_DB


def test_the_ratio_falls_by_six_decibels_when_noise_doubles() -> None:
    orthogonal = split(noise(2), bump(), EVERYWHERE)[1].reshape(64, 64, 2)
    once, twice = (snr_db(bump() + k * orthogonal, bump(), EVERYWHERE) for k in (1, 2))
    assert once - twice == pytest.approx(20 * np.log10(2), abs=1e-3)


def test_two_directions_gain_three_decibels_on_independent_noise_but_one_and_a_quarter_if_they_share_the_apex() -> None:
    single, independent, shared = [], [], []
    for seed in range(40):
        onset, apex, offset, apex_again = (noise(10 * seed + k, 0.3) for k in range(4))
        out, back = bump() + apex - onset, bump() + apex - offset
        single.append(snr_db(out, bump(), EVERYWHERE))
        shared.append(snr_db(out + back, bump(), EVERYWHERE))
        independent.append(snr_db(out + bump() + apex_again - offset, bump(), EVERYWHERE))
    assert np.mean(independent) - np.mean(single) == pytest.approx(10 * np.log10(2), abs=0.15)
    assert np.mean(shared) - np.mean(single) == pytest.approx(10 * np.log10(4 / 3), abs=0.15)


def test_what_lies_outside_the_mask_does_not_count() -> None:
    mask = np.zeros((64, 64), bool)
    mask[20:44, 20:44] = True
    flow = bump() + noise(5)
    spoilt = flow.copy()
    spoilt[~mask] = 99
    assert snr_db(spoilt, bump(), mask) == snr_db(flow, bump(), mask)
    with pytest.raises(OptionError, match="no expected movement"):
        snr_db(flow, 0 * bump(), mask)


def test_the_true_flow_leads_from_each_pixel_to_the_same_skin_in_the_other_picture() -> None:
    x, y = grid()
    length = np.exp(-(((x - 120) / 30) ** 2 + ((y - 130) / 22) ** 2) / 2)
    field = np.dstack([0.8 * length, -0.6 * length]).astype(np.float32)
    rng = np.random.default_rng(4)
    neutral = cv2.GaussianBlur(rng.uniform(0, 255, GRID_SHAPE).astype(np.float32), (0, 0), 4)

    def picture(amplitude: float) -> np.ndarray:
        columns, rows = x - GRID_ORIGIN_PX[0], y - GRID_ORIGIN_PX[1]
        maps = (columns - amplitude * field[..., 0], rows - amplitude * field[..., 1])
        return cv2.remap(neutral, *maps, cv2.INTER_CUBIC)

    source, target = picture(3.0), picture(0.4)
    flow = true_flow(field, 3.0, 0.4)
    left, top = -GRID_ORIGIN_PX[0], -GRID_ORIGIN_PX[1]
    inside = (slice(top, top + CROP_PX), slice(left, left + CROP_PX))
    columns, rows = np.meshgrid(np.arange(CROP_PX) + left, np.arange(CROP_PX) + top)
    found = cv2.remap(
        target, (columns + flow[..., 0]).astype(np.float32), (rows + flow[..., 1]).astype(np.float32), cv2.INTER_CUBIC
    )
    assert np.abs(found - source[inside]).max() < 0.1 * np.abs(target[inside] - source[inside]).max()
    np.testing.assert_array_equal(true_flow(np.full_like(field, 0.5), 3.0, 1.0), np.full((240, 240, 2), -1.0))


def test_instants_are_the_tenth_the_peak_and_the_tenth_and_a_jittered_offset_stays_behind_the_apex() -> None:
    movement = micro(np.random.default_rng(1), "positive", "easy", 1000.0)
    assert movement.level(np.array(instants(movement))).round(6).tolist() == [0.1, 1.0, 0.1]
    onset, apex, offset = instants(movement, -30.0)
    assert (onset, apex) == instants(movement)[:2]
    assert offset == pytest.approx(instants(movement)[2] - 30.0)
    assert instants(movement, -9999.0)[2] > apex


def test_a_still_face_shows_its_expression_at_about_its_true_size_and_in_its_true_place(
    scenes: Scenes, case: Case
) -> None:
    view = scenes.view(case, BY_NAME["still"])
    again = scenes.view(case, BY_NAME["still"])
    np.testing.assert_array_equal(view.triple, again.triple)
    for decibels in scenes.decibels(case, view).values():
        assert decibels > 6
    np.testing.assert_allclose(view.truths["bidirectional"], -2 * view.truths["traditional"], atol=0.6)
    longest = np.linalg.norm(view.truths["traditional"], axis=2).max()
    assert longest == pytest.approx(0.9 * case.movement.amplitude_px, rel=0.02)


def test_bidirectional_flow_gains_on_noise_and_drift_doubles_a_nod_and_loses_to_one_that_comes_late() -> None:
    pytest.importorskip("skimage", reason="the default portrait comes with scikit-image")
    names = ("still", "noise", "drift, fixed crop", "nod", "late nod, fixed crop")
    louder = replace(BY_NAME["noise"], name="flicker", noise=4.0)  # under a known name, for its place in the table
    conditions = [*(BY_NAME[name] for name in names), louder]
    readings = list(measure([load_identity], 1, seed=1, conditions=conditions))
    some = [reading for reading in readings if reading.condition in names[:2]]
    assert some == list(measure([load_identity], 1, seed=1, conditions=conditions[:2]))
    rows = {row.condition: row for row in summarise(readings) if row.stratum == ALL}
    assert rows["still"].matched_db is None
    assert rows["noise"].matched_db is not None
    assert rows["flicker"].matched_db is not None
    assert rows["noise"].gain_db.median > 0.5
    assert rows["drift, fixed crop"].gain_db.median > 3.0
    assert abs(rows["nod"].gain_db.median) < 1.0
    assert rows["late nod, fixed crop"].gain_db.median < -3.0
    for method in METHODS:
        assert rows["flicker"].matched_db[method].median < rows["noise"].matched_db[method].median - 3.0
    doubled = rows["nod"].noise_px["bidirectional"].median / rows["nod"].noise_px["traditional"].median
    assert doubled == pytest.approx(2.0, abs=0.2)


def made_up(gains: list[float]) -> list[Reading]:
    base = Reading("ada", "hard", "noise", "traditional", 5.0, 10.0, 0.9, 0.1)
    return [
        replace(base, person=f"p{i % 3}", method=method, matched_db=10.0 + (gain if method == METHODS[1] else 0.0))
        for i, gain in enumerate(gains)
        for method in METHODS
    ]


def test_a_summary_gives_paired_medians_quartiles_wins_and_an_interval_over_people() -> None:
    gains = [1.0, 2.0, -1.0, 4.0, 3.0, 0.5]
    overall, hard = summarise(made_up(gains))
    assert (overall.stratum, hard.stratum) == (ALL, "hard")
    assert hard.gain_db == overall.gain_db
    assert [overall.gain_db.low, overall.gain_db.median, overall.gain_db.high] == pytest.approx(
        np.quantile(gains, [0.25, 0.5, 0.75]), abs=1e-4
    )
    assert overall.wins == pytest.approx(5 / 6)
    low, high = overall.gain_interval_db
    assert min(gains) <= low <= overall.gain_db.median <= high <= max(gains)
    same = summarise(made_up([2.0] * 6))[0]
    assert same.gain_interval_db == (2.0, 2.0)


def test_table_and_plot_name_every_condition_and_the_plot_is_valid_svg() -> None:
    readings = [
        replace(reading, condition=condition.name, stratum=stratum, matched_db=None if i == 0 else reading.matched_db)
        for i, condition in enumerate(CONDITIONS)
        for stratum in STRATA
        for reading in made_up([1.0, 2.0])
    ]
    rows = summarise(readings)
    table = markdown(rows)
    assert all(table.count(f"| {condition.name} |") == 2 for condition in CONDITIONS)
    svg = ET.fromstring(plot(rows, "a < b"))
    dots = svg.findall("{http://www.w3.org/2000/svg}circle")
    assert len(dots) == 3 * (len(CONDITIONS) - 1) + 2  # both flows and the gain, and two in the legend
    assert "a < b" in [text.text for text in svg.findall("{http://www.w3.org/2000/svg}text")]


def test_the_figure_has_a_row_for_each_condition_and_known_names(scenes: Scenes, case: Case) -> None:
    assert set(FIGURE_ROWS) <= BY_NAME.keys()
    one, two = (figure(scenes, case, names) for names in (("still",), ("still", "noise")))
    assert two.shape[0] - one.shape[0] > 200
