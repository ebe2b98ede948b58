"""`bowam train --data`: from a data set to weights that load, with a card that claims nothing."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from bowam_model.cli import app
from bowam_model.errors import OptionError, WeightsError
from bowam_model.learning import Examples
from bowam_model.predictor import load
from bowam_model.recipes.trained import RECIPES, train_on_all


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """Eight ready flow pictures of four people, up or down."""
    rng = np.random.default_rng(0)
    rows = [["dataset", "subject", "clip", "label", "flow_path"]]
    for index in range(8):
        picture = rng.integers(100, 156, (28, 28, 3), dtype=np.uint8)
        picture[..., 1] = 220 if index % 2 else 30
        cv2.imwrite(str(tmp_path / f"{index}.png"), picture)
        rows.append(["toy", f"s{index // 2}", f"c{index}", ("negative", "surprise")[index % 2], f"{index}.png"])
    path = tmp_path / "manifest.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return path


def run(*arguments: str | Path) -> str:
    result = CliRunner().invoke(app, ["train", *map(str, arguments)])
    if isinstance(result.exception, Exception) and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def test_a_data_set_becomes_weights_with_a_card_and_curves(manifest: Path, tmp_path: Path) -> None:
    out, curves = tmp_path / "new" / "w.safetensors", tmp_path / "curves.json"
    arguments = ["--data", "manifest", "--root", manifest, "--recipe", "nano", "--epochs", "2", "--cache", tmp_path]
    said = run(*arguments, "--out", out, "--curves", curves, "--checkpoint", tmp_path / "c.safetensors", "--seed", "3")
    assert "nothing was held out" in said
    predictor = load(out)
    assert predictor.labels == ("negative", "surprise")
    assert (predictor.encoding.colours, predictor.encoding.input_px) == ("picture", 28)
    assert predictor.card == (out.parent / "MODEL_CARD.md").read_text()
    assert "**Nothing was held out" in predictor.card
    assert "8 clips of 4 people, each in one reading: toy 8." in predictor.card
    rows = json.loads(curves.read_text())
    assert [row["samples_seen"] for row in rows] == [40, 80]  # 4 of each class, five times
    again = tmp_path / "again.safetensors"
    run(*arguments, "--out", again, "--checkpoint", tmp_path / "c.safetensors", "--seed", "3")
    assert again.read_bytes() == out.read_bytes()  # all epochs came out of the checkpoint


def test_weights_of_real_flow_answer_about_faces(tmp_path: Path) -> None:
    """Flow at 64x64 is averaged from that of the 240 px face, and the weights say so."""
    rng = np.random.default_rng(0)
    examples = Examples(
        flows_NVHWC=rng.normal(size=(6, 5, 64, 64, 2)).astype(np.float16),
        labels=np.array([0, 1, 2, 0, 1, 2]),
        classes=("negative", "positive", "surprise"),
        subjects=np.arange(6),
        people=tuple(f"toy/{index}" for index in range(6)),
        clips=tuple(f"toy/{index}/a" for index in range(6)),
        fusion="add",
    )
    recipe = replace(RECIPES["nano"], training=replace(RECIPES["nano"].training, epochs=1))
    assert recipe.preparation.side_px == 64
    train_on_all(examples, recipe, tmp_path / "w.safetensors")
    predictor = load(tmp_path / "w.safetensors")
    assert (predictor.encoding.side_px, predictor.encoding.input_px) == (64, 60)
    faces = rng.integers(0, 256, (3, 240, 240), dtype=np.uint8)
    assert sum(predictor.predict(*faces).values()) == pytest.approx(1, abs=1e-5)
    assert "each in 5 readings" in predictor.card


def test_the_papers_recipe_sees_240_pixels_through_a_crop_of_224() -> None:
    paper = RECIPES["paper"]
    assert (paper.architecture, paper.input_px, paper.preparation.side_px) == ("bowam", 224, 240)
    assert (paper.preparation.readings, paper.training.epochs, paper.training.batch) == (5, 100, 32)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "what to learn from"),
        (("--data", "manifest", "--identities", "."), "what to learn from"),
        (("--data", "manifest"), "Name it with --root"),
        (("--data", "manifest", "--root", ".", "--source", "me"), "--source goes with --identities"),
        (("--data", "manifest", "--root", ".", "--recipe", "soup"), "unknown recipe 'soup': use one of paper, nano"),
        (("--data", "manifest", "--root", ".", "--architecture", "resnet"), "unknown model 'resnet'"),
        (("--data", "manifest", "--root", ".", "--curves", "c.xlsx"), r"neither \.json nor \.csv"),
        (("--identities", "."), "say with --source"),
        (("--identities", ".", "--source", "me", "--epochs", "3"), "--epochs goes with --data"),
    ],
)
def test_options_that_do_not_go_together_are_named_before_any_work(
    arguments: tuple[str, ...], says: str, tmp_path: Path
) -> None:
    with pytest.raises(OptionError, match=says):
        run("--out", tmp_path / "w.safetensors", *arguments)


def test_a_place_where_nothing_can_be_written_is_named_first(manifest: Path, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="can't write"):
        run("--data", "manifest", "--root", manifest, "--recipe", "nano", "--cache", tmp_path,
            "--out", manifest / "w.safetensors")  # fmt: skip
