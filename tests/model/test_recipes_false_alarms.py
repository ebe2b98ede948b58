"""A spotter's false alarms: the file, and who may learn from whom."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from bowam_model.errors import DatasetError
from bowam_model.labels import NONE, SHIPPED
from bowam_model.recipes import ShippedRecipe, train_shipped
from bowam_model.recipes.false_alarms import FalseAlarms, read_false_alarms, write_false_alarms
from bowam_model.recipes.shipped import none_of
from bowam_model.training import TrainingSettings
from tests.model.dimmed_photos import dimmed_photos


def alarms(*people: str) -> FalseAlarms:
    rng = np.random.default_rng(3)
    triples = np.stack([cv2.GaussianBlur(rng.integers(0, 255, (240, 240, 3), np.uint8), (0, 0), 3) for _ in people])
    return FalseAlarms(triples.transpose(0, 3, 1, 2), np.array(people), np.full(len(people), 30.0))


def test_what_is_written_is_read(tmp_path: Path) -> None:
    write_false_alarms(tmp_path / "alarms.npz", alarms("001", "002"))
    found = read_false_alarms(tmp_path / "alarms.npz")
    np.testing.assert_array_equal(found.triples, alarms("001", "002").triples)
    assert found.people.tolist() == ["001", "002"]
    assert found.of(found.people == "002").people.tolist() == ["002"]


def test_a_file_of_something_else_is_named(tmp_path: Path) -> None:
    file = tmp_path / "alarms.npz"
    with pytest.raises(DatasetError, match="holds no false alarms"):
        read_false_alarms(file)
    file.write_text("text")
    with pytest.raises(DatasetError, match="holds no false alarms"):
        read_false_alarms(file)
    np.savez(file, triples=np.zeros((2, 3, 64, 64), np.uint8), people=np.array(["a", "b"]), rates_hz=np.ones(2))
    with pytest.raises(DatasetError, match="not uint8"):
        read_false_alarms(file)
    np.savez(file, triples=np.zeros((2, 3, 240, 240), np.uint8), people=np.array(["a"]), rates_hz=np.ones(2))
    with pytest.raises(DatasetError, match="as many names"):
        read_false_alarms(file)


def test_a_false_alarm_is_an_example_of_none() -> None:
    flows = none_of(alarms("001", "001", "x"), ShippedRecipe())
    assert flows.flows.shape == (3, 240, 240, 2)
    assert set(flows.labels) == {SHIPPED.index(NONE)}
    assert len(none_of(alarms("001").of(np.array([False])), ShippedRecipe()).labels) == 0


@pytest.mark.slow
def test_those_of_held_out_people_are_never_learned(tmp_path: Path) -> None:
    """Five people 0 to 4: 0 to 2 are for training, 3 for validation, 4 for the test."""
    photos = dimmed_photos(tmp_path / "photos")
    recipe = ShippedRecipe(
        train_each=4, validation_each=2, test_each=2, outside_each=1, alarm_copies=2,
        training=TrainingSettings(epochs=1, batch=8, threads=1),
    )  # fmt: skip
    write_false_alarms(tmp_path / "alarms.npz", alarms("0", "2", "3", "4", "4", "somebody"))
    totals: dict[str, int] = {}
    card = train_shipped(
        photos, tmp_path / "nano.safetensors", tmp_path, recipe, false_alarms=tmp_path / "alarms.npz",
        on_progress=lambda what, done, total: totals.update({what.split(":")[0]: total}),
    )  # fmt: skip
    assert totals["training"] == 3 * 4 + 2 * 3  # 0, 2 and somebody, twice
    assert "\n3 of them were learned as `none`" in card
    assert "Of 2 others, on the test people" in card
