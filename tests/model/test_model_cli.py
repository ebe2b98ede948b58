"""The model package's commands, as a user types them."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from bowam_model.cli import app
from bowam_model.cli.synth import Label, Nuisance, Stratum
from bowam_model.errors import DatasetError, OptionError
from bowam_model.labels import MEGC2019
from bowam_model.synthesis import load_truth
from bowam_model.synthesis.plan import NUISANCES, STRATA

SMALL = ("--seconds", "2", "--rate", "30", "--size", "160x120", "--zoom", "0.4", "--events", "1", "--still")


def run(*arguments: str) -> int:
    result = CliRunner().invoke(app, arguments)
    if isinstance(result.exception, Exception) and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code


def test_synth_writes_as_many_clips_as_asked_with_seeds_that_count_up(tmp_path: Path) -> None:
    pytest.importorskip("skimage", reason="the default portrait comes with scikit-image")
    assert run("synth", str(tmp_path), *SMALL, "--count", "2", "--seed", "7", "--label", "positive") == 0
    truths = [load_truth(tmp_path / name / "truth.json") for name in ("0000", "0001")]
    assert [truth.plan.seed for truth in truths if truth.plan] == [7, 8]
    assert {event.label for truth in truths for event in truth.events} == {"positive"}
    assert all((tmp_path / name / "clip.mp4").stat().st_size > 0 for name in ("0000", "0001"))


def test_the_words_of_the_command_line_are_those_of_the_planner() -> None:
    assert tuple(Label) == MEGC2019
    assert tuple(Stratum) == tuple(STRATA)
    assert tuple(Nuisance) == NUISANCES


def test_an_unknown_word_is_wrong_usage_and_a_bad_size_or_folder_one_clear_error(tmp_path: Path) -> None:
    assert run("synth", str(tmp_path), "--label", "joy") == 2
    with pytest.raises(OptionError, match="640x480"):
        run("synth", str(tmp_path), "--size", "big")
    for size in ("²x³", "99999999x99999998"):
        with pytest.raises(OptionError, match="WIDTHxHEIGHT"):
            run("synth", str(tmp_path), "--size", size)
    with pytest.raises(DatasetError, match="no photos"):
        run("synth", str(tmp_path), "--identities", str(tmp_path / "nobody"))
    assert list(tmp_path.iterdir()) == []
