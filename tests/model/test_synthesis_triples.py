"""Examples for the recogniser: labels, instants, alignment, and weights made from nothing."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from bowam_model.errors import DatasetError, WeightsError
from bowam_model.evaluation import confusion_matrix
from bowam_model.flow import bidirectional_flow
from bowam_model.labels import MEGC2019, NONE, SHIPPED
from bowam_model.predictor import load
from bowam_model.recipes import ShippedRecipe, train_shipped
from bowam_model.recipes.card import Result, model_card
from bowam_model.recipes.shipped import split_people
from bowam_model.synthesis import load_identity
from bowam_model.synthesis.plan import STRATA
from bowam_model.synthesis.triples import NO_EXPRESSION, START_MS, examples, scenario
from bowam_model.training import TrainingSettings


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
            if detail == "macro":
                (movement,) = plan.movements
                assert movement.amplitude_px > max(STRATA["easy"])
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
    assert sorted(path for photos in parts.values() for path in photos) == paths
    assert split_people(paths, ShippedRecipe()) == parts
    with pytest.raises(DatasetError, match="at least 5 people"):
        split_people(paths[:4], ShippedRecipe())


def test_the_card_counts_as_one_would_by_hand(tmp_path: Path) -> None:
    photo = tmp_path / "a.jpg"
    photo.write_bytes(b"photo")
    index = {label: i for i, label in enumerate(SHIPPED)}
    truth = ["negative", "positive", "surprise", "negative", "none", "none"]
    said = ["negative", "none", "surprise", "positive", "none", "negative"]
    result = Result(
        labels=np.array([index[word] for word in truth]),
        predicted=np.array([index[word] for word in said]),
        details=np.array(["easy", "easy", "easy", "hard", "nod", "nod"]),
        people=np.array([0, 0, 0, 1, 1, 1]),
    )
    np.testing.assert_array_equal(result.by_person().sum(axis=0), confusion_matrix(result.labels, result.predicted, 4))
    card = model_card("bowam-nano", ShippedRecipe(), "our own", {"test": [photo]}, {"test": result})
    assert "| easy | 1.00 | 0.00 | 1.00 | 0.33 | 0.667 |" in card
    assert "| nod | 2 | 0.50 |" in card
    assert "| negative | 1 | 0 | 1 | 0 |" in card
    assert "4a2a0d8cf5b7e5d5" not in card
    assert "has never seen a real micro-expression" in card.replace("\n", " ")


def test_a_folder_that_takes_no_files_is_named_before_the_work_begins(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(WeightsError, match="can't write"):
        train_shipped(tmp_path, tmp_path / "file" / "nano.safetensors", tmp_path)


@pytest.mark.slow
def test_one_command_makes_weights_that_load(tmp_path: Path) -> None:
    """Five people, who are one portrait in five lights: from photos to a file that the predictor takes."""
    data = pytest.importorskip("skimage.data", reason="the portrait of the test comes with scikit-image")
    photos = tmp_path / "photos"
    photos.mkdir()
    for index in range(5):
        dimmed = cv2.convertScaleAbs(data.astronaut()[:256, 96:352, ::-1], alpha=1 - 0.05 * index)
        cv2.imwrite(str(photos / f"{index}.png"), dimmed)
    recipe = ShippedRecipe(
        train_each=8, validation_each=2, test_each=3, training=TrainingSettings(epochs=1, batch=8, threads=1)
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
    assert any(what.startswith("training") for what in heard)
    assert sum(predictor.predict(*np.full((3, 240, 240), 99, np.uint8)).values()) == pytest.approx(1.0, abs=1e-5)
