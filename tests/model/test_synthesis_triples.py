"""Examples for the recogniser: labels, instants, alignment, and weights made from nothing."""

import hashlib
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import msgspec
import numpy as np
import pytest

from bowam_model.errors import DatasetError, WeightsError
from bowam_model.evaluation import Bin, confusion_matrix, selective
from bowam_model.flow import bidirectional_flow
from bowam_model.labels import MEGC2019, NONE, SHIPPED
from bowam_model.predictor import load
from bowam_model.recipes import ShippedRecipe, train_shipped
from bowam_model.recipes.card import Findings, model_card
from bowam_model.recipes.figures import Calibration, Result, calibrate
from bowam_model.recipes.reliability import MARGIN, SIDE, diagram, svg
from bowam_model.recipes.shipped import EXAMPLES_VERSION, split_people
from bowam_model.synthesis import load_identity
from bowam_model.synthesis.plan import STRATA
from bowam_model.synthesis.triples import (
    NO_EXPRESSION,
    OUTSIDE,
    START_MS,
    TRAINED,
    Generator,
    Spans,
    examples,
    scenario,
)
from bowam_model.training import TrainingSettings
from tests.model.dimmed_photos import dimmed_photos

SCENARIOS = "6e000786a997e674d80887eb3e7a68e1e75a9737869a64c3eca3cd5ec1776e71"


@pytest.mark.parametrize("label", MEGC2019)
def test_a_spotter_sees_little_at_onset_and_offset_and_nearly_all_at_the_apex(label: str) -> None:
    rng = np.random.default_rng(1)
    levels = []
    for _ in range(100):
        plan, instants_ms = scenario(rng, label, "easy")
        assert instants_ms[0] < instants_ms[1] < instants_ms[2]
        levels.append(plan.movements[0].level(np.array(instants_ms)))
    onset, apex, offset = np.median(levels, axis=0)
    assert onset < 0.25
    assert offset < 0.25
    assert apex > 0.95


def test_what_is_none_has_no_micro_expression_in_it() -> None:
    rng = np.random.default_rng(2)
    for detail in NO_EXPRESSION:
        for _ in range(20):
            plan, instants_ms = scenario(rng, NONE, detail)
            assert all(m.kind != "micro" for m in plan.movements)
            assert bool(plan.nods) == (detail == "nod")
            assert bool(plan.speech) == (detail == "speech")
            assert instants_ms[0] > START_MS - 200


def test_examples_are_reproducible_and_an_easy_one_moves_where_its_muscles_are() -> None:
    pytest.importorskip("skimage", reason="the default portrait comes with scikit-image")
    person = load_identity()
    made = list(examples(person, 24, seed=5))
    again = list(examples(person, 24, seed=5))
    for one, other in zip(made, again, strict=True):
        np.testing.assert_array_equal(one.triple, other.triple)
        assert one.triple.shape == (3, 240, 240)
        assert (one.label == NONE) == (one.detail in NO_EXPRESSION)
    still = [e for e in made if e.detail == "still"]
    blinks = [e for e in made if e.detail == "blink"]
    assert still
    assert blinks
    quiet = np.median([np.abs(bidirectional_flow(*e.triple)).mean() for e in still])
    eyes = (slice(72, 100), slice(60, 180))
    for blink in blinks:
        flow = np.abs(bidirectional_flow(*blink.triple))
        assert flow[eyes].mean() > 2 * quiet


def test_nobody_is_in_two_parts_and_the_split_depends_on_the_recipe_alone() -> None:
    paths = [Path(f"{index:03d}.jpg") for index in range(51)]
    parts = split_people(paths, ShippedRecipe())
    assert {part: len(photos) for part, photos in parts.items()} == {"test": 10, "validation": 6, "train": 35}
    everybody = {number: path for photos in parts.values() for number, path in photos.items()}
    assert everybody == dict(enumerate(paths))  # each has a number of their own, so that no two go through one plan
    assert split_people(paths, ShippedRecipe()) == parts
    with pytest.raises(DatasetError, match="at least 5 people"):
        split_people(paths[:4], ShippedRecipe())


def test_the_card_counts_as_one_would_by_hand(tmp_path: Path) -> None:
    photo = tmp_path / "a.jpg"
    photo.write_bytes(b"photo")
    truth = ["negative", "positive", "surprise", "negative", "none", "none"]
    said = ["negative", "none", "surprise", "positive", "none", "negative"]
    result = result_of(
        truth, said, details=["easy", "easy", "easy", "hard", "nod", "nod"], rates_hz=[30, 30, 30, 60, 60, 60]
    )
    np.testing.assert_array_equal(result.by_person().sum(axis=0), confusion_matrix(result.labels, result.predicted, 4))
    card = model_card(
        "bowam-nano",
        ShippedRecipe(),
        "our own",
        {"test": {0: photo}},
        Findings(validation=result, test=result, outside={"noise": result}),
        Calibration(fitted=0.7, temperature=1.0, threshold=0.5, max_error=0.02),
    )
    assert "| easy | 1.00 | 0.00 | 1.00 | 0.33 | 0.667 |" in card
    assert "| nod | 2 | 0.50 |" in card
    assert "| negative | 1 | 0 | 1 | 0 |" in card
    assert "| negative | 2 | 0.500 | 0.500 | 0.500 |" in card
    assert "| 30 fps | 3 | 0.500 | 0.667 |" in card
    assert "0.500 as trained, 0.500 with the fitted temperature" in card.replace("\n", " ")  # bins of one: right or not
    assert "| test | 100.0% | 50.0% |" in card
    assert "- noise: noise 4-8 (training 0.4-4)" in card
    assert "has never seen a real micro-expression" in card.replace("\n", " ")


def result_of(truth: list[str], said: list[str], details: list[str], rates_hz: list[float]) -> Result:
    """Each answer with a confidence of 0.7; two people, one half each."""
    index = {label: i for i, label in enumerate(SHIPPED)}
    return Result(
        labels=np.array([index[word] for word in truth]),
        probabilities=np.stack([np.where(np.arange(4) == index[word], 0.7, 0.1) for word in said]),
        details=np.array(details),
        people=np.arange(len(truth)) // (len(truth) // 2),
        rates_hz=np.array(rates_hz, float),
    )


def test_the_temperature_and_the_threshold_come_from_the_validation_people() -> None:
    """Of 400 answers with a confidence of 0.7 all are right: surer would fit, but it stays, and all may be answered."""
    result = result_of(["positive"] * 400, ["positive"] * 400, ["easy"] * 400, [30.0] * 400)
    calibration = calibrate(result, max_error=0.02)
    assert calibration.fitted == pytest.approx(0.05, rel=1e-3)  # the end of the range: surer is always better
    assert calibration.temperature == 1.0
    assert selective(result.probabilities, result.labels, calibration.threshold) == (1.0, 0.0)
    half = ["positive", "none"] * 200
    boastful = calibrate(result_of(half, ["positive"] * 400, ["easy"] * 400, [30.0] * 400), max_error=0.02)
    assert boastful.temperature == boastful.fitted > 1.0
    assert calibrate(result_of(["positive"] * 4, ["none"] * 4, ["easy"] * 4, [30.0] * 4), 0.02).threshold > 1.0


def test_the_reliability_picture_has_a_point_where_each_bin_lies(tmp_path: Path) -> None:
    bins = [Bin(50, 0.5, 0.25), Bin(50, 1.0, 1.0)]
    first, last = diagram(bins)
    assert first.index("|") - first.index("#") == 25
    assert first.count("#") == 12
    assert last.count("#") == 50
    picture = ElementTree.fromstring(svg({"as trained": bins}, "nano <of> people"))
    assert "nano <of> people" in "".join(picture.itertext())
    dots = [
        (float(dot.get("cx", 0)), float(dot.get("cy", 0))) for dot in picture.iter("{http://www.w3.org/2000/svg}circle")
    ]
    assert dots == [(MARGIN + SIDE / 2, MARGIN + SIDE * 0.75), (MARGIN + SIDE, MARGIN)]


def test_examples_of_training_are_those_of_the_version_that_stands_in_the_cache() -> None:
    """Digest of all that a scenario decides, taken with version 3; where it changes, raise EXAMPLES_VERSION with it."""
    rng = np.random.default_rng(7)
    scenarios = [scenario(rng, label, stratum) for label in MEGC2019 for stratum in STRATA]
    scenarios += [scenario(rng, NONE, detail) for detail in NO_EXPRESSION]
    text = repr([rounded([msgspec.to_builtins(plan), list(instants_ms)]) for plan, instants_ms in scenarios])
    assert hashlib.sha256(text.encode()).hexdigest() == SCENARIOS
    assert EXAMPLES_VERSION == 3


def rounded(value: Any) -> Any:
    """Six decimals are more than any machine's logarithm disagrees about."""
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(item) for item in value]
    return round(float(value), 6) if isinstance(value, float) else value


def test_pixels_of_training_are_those_of_the_version_that_stands_in_the_cache() -> None:
    """Mean grey of onset, apex and offset of the portrait's first examples, taken before other ranges could be set."""
    pytest.importorskip("skimage", reason="the default portrait comes with scikit-image")
    made = list(examples(load_identity(), 4, seed=5))
    assert [example.detail for example in made] == ["blink", "medium", "medium", "easy"]
    means = [example.triple.mean(axis=(1, 2)) for example in made]
    before = [
        [100.216, 100.694, 100.979],
        [87.679, 87.791, 87.292],
        [108.224, 107.665, 107.666],
        [105.281, 106.86, 107.869],
    ]
    np.testing.assert_allclose(means, before, atol=0.05)


def within(value: float, spans: Spans) -> bool:
    return any(low <= value <= high for low, high in spans)


def test_every_span_outside_begins_where_those_of_training_end() -> None:
    for name, setting in OUTSIDE.items():
        changed = [f.name for f in fields(Generator) if getattr(setting, f.name) != getattr(TRAINED, f.name)]
        assert changed, name
        for field in changed:
            trained, other = getattr(TRAINED, field), getattr(setting, field)
            if field == "rates_hz":
                assert not {*trained} & {*other}
            elif field == "jitter_ms":
                assert other > trained
            else:
                trained = ((80.0, 470.0),) if trained is None else trained
                trained, other = (tuple(s.values()) if isinstance(s, Mapping) else s for s in (trained, other))
                least, most = min(low for low, _ in trained), max(high for _, high in trained)
                assert all(high <= least or low >= most for low, high in other), (name, field)
    everything = OUTSIDE["everything"]
    assert all(getattr(everything, f.name) != getattr(TRAINED, f.name) for f in fields(Generator))


def test_what_is_drawn_outside_lies_outside() -> None:
    """The plans themselves, of every kind of example."""
    setting = OUTSIDE["everything"]
    rng = np.random.default_rng(3)
    for _ in range(40):
        for stratum, span in setting.strata.items():
            plan, _ = scenario(rng, "positive", stratum, setting)
            (movement,) = plan.movements
            assert within(movement.amplitude_px, (span,))
            assert not 0.8 < movement.amplitude_px < 3.0
            above = np.arange(0.0, 1500.0, 0.5)
            visible_ms = 0.5 * (movement.level(above) >= 0.1).sum()
            assert not 81.0 < visible_ms < 469.0
            assert plan.rate_hz in (25.0, 45.0, 150.0, 240.0)
            assert plan.scene.noise >= 4.0
            assert not 0.35 < plan.scene.light < 1.1
        plan, _ = scenario(rng, NONE, "nod", setting)
        assert not 250 < plan.nods[0].duration_ms < 900
        assert not 1.0 < np.hypot(plan.nods[0].pitch_px, plan.nods[0].yaw_px) < 9.0


def test_compression_alone_changes_pixels_and_nothing_that_happens() -> None:
    pytest.importorskip("skimage", reason="the default portrait comes with scikit-image")
    person = load_identity()
    (plain,), (poor,) = (list(examples(person, 1, 5, setting)) for setting in (TRAINED, OUTSIDE["compression"]))
    assert (plain.label, plain.detail, plain.rate_hz) == (poor.label, poor.detail, poor.rate_hz)
    assert plain.rate_hz in TRAINED.rates_hz
    difference = np.abs(plain.triple.astype(float) - poor.triple)
    assert 0 < difference.mean() < 10


def test_a_folder_that_takes_no_files_is_named_before_the_work_begins(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(WeightsError, match="can't write"):
        train_shipped(tmp_path, tmp_path / "file" / "nano.safetensors", tmp_path)


@pytest.mark.slow
def test_one_command_makes_weights_that_load(tmp_path: Path) -> None:
    """Five people, who are one portrait in five lights: from photos to a file that the predictor takes."""
    photos = dimmed_photos(tmp_path / "photos")
    recipe = ShippedRecipe(
        train_each=8,
        validation_each=2,
        test_each=3,
        outside_each=1,
        training=TrainingSettings(epochs=1, batch=8, threads=1),
    )
    heard: list[str] = []
    out = tmp_path / "weights" / "nano.safetensors"
    card = train_shipped(
        photos, out, tmp_path, recipe, source="our own", on_progress=lambda what, done, total: heard.append(what)
    )
    assert "our own" in card
    predictor = load(out)
    assert predictor.labels == SHIPPED
    assert predictor.card == card == (out.parent / "MODEL_CARD.md").read_text()
    assert out.stat().st_size < 10_000_000
    assert 1.0 <= predictor.temperature <= 20
    ElementTree.parse(out.parent / "reliability.svg")
    digest = predictor.weights
    train_shipped(photos, out, tmp_path, recipe, source="our own")
    assert load(out).weights == digest  # of everything: weights, temperature, card
    assert any(what.startswith("training") for what in heard)
    assert sum(predictor.predict(*np.full((3, 240, 240), 99, np.uint8)).values()) == pytest.approx(1.0, abs=1e-5)
