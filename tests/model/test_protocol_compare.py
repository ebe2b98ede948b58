"""Two runs on the same clips, and the command line over them."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from bowam_model.cli import app
from bowam_model.errors import OptionError, RunError
from bowam_model.learning import Examples
from bowam_model.protocol import ProtocolSettings, Result, compare, run_protocol
from tests.model.pretenders import NearestMean, examples_of


@pytest.fixture(autouse=True)
def _other_processes_find_the_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(Path(__file__).parents[2])


@pytest.fixture
def examples() -> Examples:
    counts = np.random.default_rng(0).integers(0, 4, (9, 3)) + np.eye(3, dtype=int)[np.arange(9) % 3]
    return examples_of(counts, datasets=("one", "two"))


def backwards(examples: Examples) -> Examples:
    """The same clips, people and classes, each in the opposite order."""
    turned = examples.take(np.arange(len(examples))[::-1])
    return replace(
        turned,
        labels=len(examples.classes) - 1 - turned.labels,
        classes=examples.classes[::-1],
        subjects=len(examples.people) - 1 - turned.subjects,
        people=examples.people[::-1],
    )


def test_the_order_of_clips_people_and_classes_does_not_matter(tmp_path: Path, examples: Examples) -> None:
    settings = ProtocolSettings(kind="kfold", folds=3, seeds=(0,))
    good = run_protocol([NearestMean()], examples, settings, tmp_path / "good")
    same = run_protocol([NearestMean()], backwards(examples), ProtocolSettings(seeds=(0,)), tmp_path / "same")
    straight = run_protocol([NearestMean()], examples, ProtocolSettings(seeds=(0,)), tmp_path / "straight")
    assert compare(good, same) == compare(good, straight)
    assert all(
        gap.value == gap.low == gap.high == 0 for row in compare(straight, same).values() for gap in row.values()
    )


def test_the_command_compares_two_folders_overall_and_for_each_data_set(tmp_path: Path, examples: Examples) -> None:
    settings = ProtocolSettings(seeds=(0, 1))
    good = run_protocol([NearestMean()], examples, settings, tmp_path / "good")
    poor = run_protocol([NearestMean(noise=20)], replace(examples, synthetic=True), settings, tmp_path / "poor")
    said = CliRunner().invoke(
        app, ["loso", "compare", str(tmp_path / "good"), str(tmp_path / "poor"), "--out", str(tmp_path / "c.json")]
    )
    assert said.exit_code == 0, said.output
    assert "SYNTHETIC" in said.output
    written = json.loads((tmp_path / "c.json").read_text())["first minus second"]
    for part in ("all", "one", "two"):
        for name in ("UF1", "UAR"):
            expected = good.figures()[part][name].mean - poor.figures()[part][name].mean
            assert written[part][name]["value"] == pytest.approx(expected)
            assert f"{expected:+.3f}" in said.output
    assert written["all"]["UF1"]["above_zero"] > 0.9


def test_runs_on_other_clips_cannot_be_compared(tmp_path: Path, examples: Examples) -> None:
    settings = ProtocolSettings(kind="kfold", folds=3, seeds=(0,))
    one = run_protocol([NearestMean()], examples, settings, tmp_path / "one")
    fewer = examples.take(np.arange(len(examples) - 1))
    two = run_protocol([NearestMean()], fewer, settings, tmp_path / "two")
    with pytest.raises(RunError, match="same clips"):
        compare(one, two)


def test_what_is_no_run_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"run\.json is missing"):
        Result.load(tmp_path)
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(RunError, match="damaged"):
        Result.load(tmp_path)


def test_the_command_asks_for_the_data_and_refuses_folds_that_are_no_number() -> None:
    for arguments, said in (
        (["loso"], "--data"),
        (["loso", "--data", "x", "--root", "r", "--out", "o", "--folds", "ten"], "ten"),
    ):
        result = CliRunner().invoke(app, arguments)
        assert isinstance(result.exception, OptionError)
        assert said in str(result.exception)


@pytest.mark.slow
def test_the_command_judges_a_manifest_and_goes_on_with_more_seeds(tmp_path: Path) -> None:
    cv2 = pytest.importorskip("cv2")
    pytest.importorskip("sklearn")
    rng, rows = np.random.default_rng(0), ["dataset,subject,clip,label,flow_path"]
    for subject in range(6):
        for k, label in enumerate(("negative", "positive", "surprise")):
            picture = rng.normal(100 + 30 * k, 10, (28, 28, 3)).clip(0, 255).astype(np.uint8)
            cv2.imwrite(str(tmp_path / f"{subject}{label}.png"), picture)
            rows.append(f"toy,s{subject},c{k},{label},{subject}{label}.png")
    (tmp_path / "toy.csv").write_text("\n".join(rows))
    out = tmp_path / "out"
    command = ["loso", "--data", "manifest", "--root", str(tmp_path / "toy.csv"), "--cache", str(tmp_path / "cache")]
    command += [
        "--out",
        str(out),
        "--architecture",
        "svm",
        "--folds",
        "3",
        "--selection",
        "inner",
        "--inner-folds",
        "2",
    ]
    for seeds in ("1", "2"):
        said = CliRunner().invoke(app, [*command, "--seeds", seeds])
        assert said.exit_code == 0, (said.output, said.exception)
        assert "18 examples (toy 18) of 6 subjects" in said.output
        assert "chosen: svm-means C=" in said.output
    assert len(list(out.glob("fold-*.json"))) == 3 * 2
    assert json.loads((out / "result.json").read_text())["seeds"] == [0, 1]
    assert Result.load(out).run.title == "svm-means on manifest"


def test_the_words_of_the_command_line_are_those_of_the_flow() -> None:
    from typing import get_args

    from bowam_model import flow
    from bowam_model.cli.loso import Colours, Fusion

    assert tuple(Fusion) == get_args(flow.Fusion)
    assert tuple(Colours) == get_args(flow.Colours)
