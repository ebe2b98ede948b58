"""A report says where it comes from, and nothing that must stay secret."""

import sys
from pathlib import Path

import msgspec
import pytest

import bowam_stream
from bowam_stream.cli.pictures import typed
from bowam_stream.config import Config, replaced
from bowam_stream.report import citation, origin

TOP = Path(__file__).parents[2]


def test_the_command_is_as_it_was_typed_but_for_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    address = "https://ada:s3cret@host/a b.mp4?token=s3cret"
    monkeypatch.setattr(sys, "argv", ["/home/ada/.venv/bin/bowam", "replay", address, "--report", "my report.html"])
    command = typed()
    assert command.startswith("bowam replay 'https://***@host/")
    assert command.endswith("--report 'my report.html'")
    assert "s3cret" not in command
    assert "s3cret" not in origin.origin(f"bowam replay {address}", 0).command


def test_this_machine_has_a_processor_and_cores() -> None:
    here = origin.origin("bowam", 1_795_425_600_000_000_000)
    assert here.made == "2026-11-23 09:20 UTC"
    assert here.machine
    assert here.cores >= 1


def test_only_settings_that_differ_are_marked() -> None:
    assert not any(setting.changed for setting in origin.flat(Config()))
    config = replaced(Config(), "spotting", threshold=6.5)
    (changed,) = [setting for setting in origin.flat(config) if setting.changed]
    assert (changed.name, changed.value, changed.default) == ("spotting.threshold", "6.5", "5.0")


def test_every_setting_is_listed_once() -> None:
    names = [setting.name for setting in origin.flat(Config())]
    assert len(names) == len(set(names))
    assert {name.partition(".")[0] for name in names} == set(Config.__struct_fields__)


def test_a_password_within_a_setting_does_not_show() -> None:
    class Settings(msgspec.Struct):
        source: str = ""

    (setting,) = origin.flat(Settings(source="rtsp://ada:s3cret@camera/1"))
    assert "s3cret" not in setting.value


def test_the_package_carries_the_citation_of_the_project() -> None:
    """One file: a link in a checkout. An installed package holds its text, as package data."""
    assert citation.FILE.resolve() == TOP / "CITATION.cff"
    assert "report/CITATION.cff" in (TOP / "pyproject.toml").read_text()
    cited = citation.read_citation()
    assert cited.version == bowam_stream.__version__
    assert [reference.doi for reference in cited.references] == ["10.11897/SP.J.1016.2026.00328"]


def test_bibtex_names_groups_as_they_are() -> None:
    text = citation.bibtex(citation.read_citation())
    assert text.count("@") == 2
    assert "author = {{The BOWAM stream authors}}," in text
    assert text.count("{") == text.count("}")
