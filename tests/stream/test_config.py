"""One validated file for all settings."""

import os
from pathlib import Path

import pytest

from bowam_stream.config import Config, load_config, replaced, save_config
from bowam_stream.errors import ConfigError


def test_without_a_file_the_defaults_hold() -> None:
    """Each default is stated once, in the stage that owns it."""
    assert load_config(None) == Config()


def test_a_file_sets_what_it_names_and_leaves_the_rest(tmp_path: Path) -> None:
    """TOML, one table per stage."""
    file = tmp_path / "bowam.toml"
    file.write_text("[events]\njournal = 'here.sqlite'\n[metrics]\nworker_port = 0\n")
    config = load_config(file)
    assert config.events.journal == "here.sqlite"
    assert config.metrics.worker_port == 0
    assert config.transport == Config().transport


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[spoting]\n", "spoting"),
        ("[spotting]\nthreshhold = 3\n", "threshhold"),
        ("[face]\nmax_face = 3\n", "max_face"),
        ("[metrics]\nworker_port = 'high'\n", "worker_port"),
        ("[metrics\n", "bowam.toml"),
    ],
)
def test_a_misspelled_setting_is_an_error_that_names_it(tmp_path: Path, text: str, named: str) -> None:
    """Unknown keys are never ignored, in any stage."""
    file = tmp_path / "bowam.toml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=named):
        load_config(file)


def test_what_is_saved_for_the_processes_of_a_run_is_read_back(tmp_path: Path) -> None:
    """All settings, also those of the command line."""
    config = replaced(Config(), "source", rate_hz=200.0, loops=None)
    save_config(config, tmp_path / "config.json")
    assert load_config(tmp_path / "config.json") == config


def test_the_digest_changes_with_what_changes_events_and_with_nothing_else(tmp_path: Path) -> None:
    """It is part of a recording's session name."""
    weights = tmp_path / "w.safetensors"
    weights.write_bytes(b"one")
    config = replaced(Config(), "model", weights=weights)
    same = replaced(config, "events", endpoint="tcp://127.0.0.1:9999")
    assert same.digest() == config.digest()
    assert replaced(config, "source", rate_hz=100.0).digest() != config.digest()
    assert replaced(config, "face", max_faces=2).digest() != config.digest()
    before = config.digest()
    weights.write_bytes(b"two")
    assert config.digest() != before


def test_weights_that_are_not_there_are_named(tmp_path: Path) -> None:
    """Before a process starts."""
    with pytest.raises(ConfigError, match=r"none\.safetensors"):
        replaced(Config(), "model", weights=tmp_path / "none.safetensors").digest()


def test_a_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    """A picture given by mistake, or a text of another encoding."""
    file = tmp_path / "bowam.toml"
    file.write_bytes(b"\xff\xfe[\x00s\x00")
    with pytest.raises(ConfigError, match=r"bowam\.toml"):
        load_config(file)


@pytest.mark.parametrize(
    ("stage", "name", "value"),
    [("metrics", "worker_port", 70_000), ("metrics", "capture_port", -1), ("source", "rate_hz", float("inf"))],
)
def test_a_flag_is_checked_like_a_line_of_the_file(stage: str, name: str, value: float) -> None:
    """Otherwise it would fail deep inside, or be lost on its way to the processes of a run."""
    with pytest.raises(ConfigError, match=name):
        replaced(Config(), stage, **{name: value})


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    """Neither for settings nor for weights: nobody might ever write to it."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ConfigError, match="pipe is no ordinary file"):
        load_config(tmp_path / "pipe")
    with pytest.raises(ConfigError, match="pipe is no ordinary file"):
        replaced(Config(), "model", weights=tmp_path / "pipe").digest()


def test_a_name_that_is_no_text_is_an_error_that_shows_it(tmp_path: Path) -> None:
    """Settings travel as UTF-8."""
    config = replaced(Config(), "events", journal=Path(os.fsdecode(b"bad\xff.sqlite")))
    with pytest.raises(ConfigError, match="rename"):
        save_config(config, tmp_path / "config.json")
