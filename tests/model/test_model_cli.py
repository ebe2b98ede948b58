"""The model package's commands, as a user types them."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from bowam_model.cli import app
from bowam_model.cli.data import default_cache, open_examples
from bowam_model.cli.synth import Label, Nuisance, Stratum
from bowam_model.errors import DatasetError, OptionError
from bowam_model.labels import MEGC2019
from bowam_model.synthesis import load_truth
from bowam_model.synthesis.plan import NUISANCES, STRATA
from bowam_stream.cli.app import app as bowam

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


def test_the_word_clips_may_be_left_out_but_not_corpus(tmp_path: Path) -> None:
    """Also where options come first; help is that of the group, and a corpus has its own options."""
    pytest.importorskip("skimage", reason="the default portrait comes with scikit-image")
    assert run("synth", "clips", str(tmp_path / "said"), *SMALL) == 0
    assert run("synth", *SMALL, str(tmp_path / "left")) == 0
    assert (tmp_path / "said" / "truth.json").read_bytes() == (tmp_path / "left" / "truth.json").read_bytes()
    assert run("synth", "corpus", str(tmp_path / "corpus"), "--rate", "30") == 2
    with pytest.raises(OptionError, match="at least 9 clips"):
        run("synth", "corpus", str(tmp_path / "corpus"), "--clips", "9", "--subjects", "10")
    assert not (tmp_path / "corpus").exists()
    for application in (app, bowam):
        shown = CliRunner().invoke(application, ["synth", "--help"]).output
        assert "corpus" in shown
        assert "clips" in shown
        assert CliRunner().invoke(application, ["synth", "corpus", "--help"]).exit_code == 0


def write_manifest(folder: Path) -> Path:
    lines = ["dataset,subject,clip,label,flow_path"]
    for index, label in enumerate(("calm", "glad", "glad")):
        (folder / f"{index}.png").write_bytes(cv2.imencode(".png", np.full((9, 9, 3), 90 + index, np.uint8))[1])
        lines.append(f"mine,s{index},a,{label},{index}.png")
    (folder / "manifest.csv").write_text("\n".join([*lines, "mine,s9,a,glad,gone.png"]))
    return folder / "manifest.csv"


def test_dataset_prepare_counts_examples_and_lists_what_was_not_taken(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["dataset", "prepare", "manifest", str(write_manifest(tmp_path))])
    assert result.exit_code == 0, result.output
    assert "3 examples of 3 subjects" in result.output
    assert "flow 9x9x3, picture" in result.output
    assert "mine     1     2" in result.output
    assert "missing: 1\n  row 5: mine s9 a: gone.png is not on disk" in result.output
    assert "SYNTHETIC" not in result.output
    assert run("dataset", "prepare", "manifest", str(tmp_path / "manifest.csv"), "--fusion", "sum") == 2
    with pytest.raises(OptionError, match="readings is 2"):
        run("dataset", "prepare", "manifest", str(tmp_path / "manifest.csv"), "--readings", "2")


def test_opening_examples_says_how_many_rows_were_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from bowam_model.preparation import PreparationSettings

    examples = open_examples("manifest", write_manifest(tmp_path), PreparationSettings(), cache=tmp_path)
    assert (len(examples), examples.classes) == (3, ("calm", "glad"))
    assert "rows that could not be used: 1" in capsys.readouterr().err
    with pytest.raises(OptionError, match="manifest takes no --classes"):
        open_examples("manifest", tmp_path / "manifest.csv", PreparationSettings(), classes="3")
    with pytest.raises(OptionError, match="no data set that we know"):
        open_examples("casme9", tmp_path, PreparationSettings())
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert default_cache() == tmp_path / "xdg" / "bowam"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert default_cache() == Path.home() / ".cache" / "bowam"


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
