"""Weights beside a data set: counted as by hand, with the words that a reader must not miss."""

import csv
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import nn
from typer.testing import CliRunner

from bowam_model.cli.evaluate import app
from bowam_model.errors import DatasetError, OptionError
from bowam_model.evaluation import uf1_among
from bowam_model.flow import Encoding
from bowam_model.labels import MEGC2019, SHIPPED
from bowam_model.learning import Examples
from bowam_model.network import create_model
from bowam_model.predictor import Predictor, save
from bowam_model.recipes.recognition import markdown, preparation, recognise, warnings

SMALL = Encoding(input_px=28, side_px=28)


class Oracle(nn.Module):
    """Says the label whose number is the mean u of the flow; half as sure of the next one."""

    name = "oracle"

    def __init__(self) -> None:
        super().__init__()
        self.nothing = nn.Parameter(torch.zeros(1))

    def forward(self, picture_BCHW: torch.Tensor) -> torch.Tensor:
        said = torch.round(picture_BCHW[:, 0].mean((1, 2)) * SMALL.scale_px).long()
        return 4.0 * nn.functional.one_hot(said, 4) + 2.0 * nn.functional.one_hot((said + 1) % 4, 4)


def predictor(**changes: object) -> Predictor:
    fields: dict = {"labels": SHIPPED, "encoding": SMALL, "card": "", "weights": "sha256:0"}
    return Predictor(Oracle(), **(fields | changes))  # type: ignore[arg-type]


def examples_of(
    truth: list[str], said: list[str], subjects: list[int], classes: tuple[str, ...] = MEGC2019
) -> Examples:
    flows = np.zeros((len(said), 1, 28, 28, 2), np.float16)
    flows[..., 0] = np.array([SHIPPED.index(word) for word in said])[:, None, None, None]
    return Examples(
        flows_NVHWC=flows,
        labels=np.array([classes.index(word) for word in truth]),
        classes=classes,
        subjects=np.array(subjects),
        people=("casme2/sub01", "casme2/sub02", "casme2/sub03"),
        clips=tuple(f"casme2/{subject}/{index}" for index, subject in enumerate(subjects)),
        fusion="add",
    )


TRUTH = ["negative", "negative", "positive", "surprise"]
SAID = ["negative", "none", "positive", "positive"]


def test_what_is_called_none_is_a_miss_and_none_is_no_class_of_the_data() -> None:
    """F1: negative 2/3, positive 2/3, surprise 0. Recall: 1/2, 1, 0."""
    result = recognise(predictor(), examples_of(TRUTH, SAID, [0, 0, 1, 1]))
    assert result.confusion == [[1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 1, 0], [0, 0, 1, 0]]
    assert result.scores.uf1 == pytest.approx((2 / 3 + 2 / 3 + 0) / 3)
    assert result.scores.uar == pytest.approx(0.5)
    assert result.scores.uf1_interval == (pytest.approx(2 / 9), pytest.approx(4 / 9))  # the first person alone; both
    assert (result.clips, result.people) == (4, 2)


def test_without_none_the_next_likely_class_is_taken() -> None:
    """After none comes positive: F1 negative 2/3, positive 2/4, surprise 0."""
    among = recognise(predictor(), examples_of(TRUTH, SAID, [0, 0, 1, 1])).among_classes
    assert among is not None
    assert among.uf1 == pytest.approx((2 / 3 + 2 / 4 + 0) / 3)
    same = examples_of(["none", "negative"], ["none", "negative"], [0, 1], SHIPPED)
    assert recognise(predictor(), same).among_classes is None


def test_the_temperature_of_the_weights_decides_how_sure_they_are() -> None:
    """All right, logits 4, 2, 0, 0: the error is what the confidence lacks to 1."""
    examples = examples_of(TRUTH, TRUTH, [0, 0, 1, 1])
    for temperature in (1.0, 0.5):
        sure = np.exp(4 / temperature) / (np.exp(4 / temperature) + np.exp(2 / temperature) + 2)
        result = recognise(predictor(temperature=temperature), examples)
        assert result.calibration_error == pytest.approx(1 - sure, abs=1e-5)


def test_uf1_among_all_classes_is_that_of_scikit_learn() -> None:
    metrics = pytest.importorskip("sklearn.metrics", reason="scikit-learn is the independent reference")
    rng = np.random.default_rng(0)
    truth, said = rng.integers(0, 3, 50), rng.integers(0, 5, 50)
    confusion = metrics.confusion_matrix(truth, said, labels=range(5))
    wanted = metrics.f1_score(truth, said, labels=range(3), average="macro", zero_division=0)
    assert uf1_among(confusion, range(3)) == pytest.approx(wanted)
    np.testing.assert_allclose(uf1_among(np.stack([confusion, confusion]), range(3)), wanted)


def test_weights_that_saw_the_people_say_so() -> None:
    examples = examples_of(TRUTH, SAID, [0, 0, 1, 1])
    seen = recognise(predictor(trained_on=["casme2/sub02", "casme2/sub03"]), examples)
    (warning,) = warnings(seen)
    assert "trained on 1 of these 2 people" in warning
    assert warning in "\n".join(markdown(seen))
    assert warnings(recognise(predictor(trained_on=["samm/006"]), examples)) == []
    (unknown,) = warnings(recognise(predictor(), examples))
    assert "do not say" in unknown


def test_synthetic_data_are_called_so() -> None:
    from dataclasses import replace

    examples = examples_of(TRUTH, SAID, [0, 0, 1, 1])
    assert "casme2 (synthetic)" in markdown(recognise(predictor(), replace(examples, synthetic=True)))[0]
    assert "synthetic" not in markdown(recognise(predictor(), examples))[0]


def test_data_that_do_not_fit_are_refused_in_one_line() -> None:
    strange = examples_of(["disgust"], ["none"], [0], ("disgust",))
    with pytest.raises(OptionError, match="the data have disgust, the weights know negative, none"):
        recognise(predictor(), strange)
    with pytest.raises(DatasetError, match="none of the clips"):
        recognise(predictor(), examples_of([], [], []))
    with pytest.raises(OptionError, match="fusion 'add', the weights expect 'traditional'"):
        recognise(predictor(encoding=Encoding(fusion="traditional")), examples_of(TRUTH, SAID, [0, 0, 1, 1]))


def test_clips_are_prepared_as_the_weights_want_them() -> None:
    encoding = Encoding(fusion="multiply", side_px=120, input_px=112)
    settings = preparation(predictor(encoding=encoding))
    assert (settings.fusion, settings.side_px, settings.readings) == ("multiply", 120, 1)


def test_the_command_reads_a_data_set_and_writes_what_it_says(tmp_path: Path) -> None:
    """Two ready flow pictures, a network that has learned nothing, and weights that saw one of the two people."""
    rng = np.random.default_rng(0)
    with (tmp_path / "mine.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["dataset", "subject", "clip", "label", "flow_path"])
        for subject, label in enumerate(("negative", "surprise")):
            cv2.imwrite(str(tmp_path / f"{subject}.png"), rng.integers(0, 255, (28, 28, 3)).astype(np.uint8))
            writer.writerow(["mine", f"s{subject}", "a", label, f"{subject}.png"])
    encoding = Encoding(fusion="picture", colours="picture", input_px=28, side_px=28)
    torch.manual_seed(0)
    network = create_model("bowam-nano", 3, in_channels=encoding.channels)
    weights = tmp_path / "weights.safetensors"
    save(weights, network, labels=MEGC2019, encoding=encoding, card="", trained_on=["mine/s0"])
    arguments = ["recognition", "--data", "manifest", "--root", str(tmp_path / "mine.csv"), "--weights", str(weights)]
    arguments += ["--json", str(tmp_path / "r.json"), "--markdown", str(tmp_path / "r.md"), "--cache", str(tmp_path)]
    told = CliRunner().invoke(app, arguments)
    assert told.exit_code == 0, told.output
    assert "trained on 1 of these 2 people" in told.output
    figures = json.loads((tmp_path / "r.json").read_text())
    assert np.sum(figures["confusion"]) == figures["clips"] == 2
    assert (tmp_path / "r.md").read_text().startswith("# bowam-nano on mine: 2 clips, 2 people")
