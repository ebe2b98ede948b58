"""`bowam fleet` before anything is started."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from bowam_model.errors import OptionError
from bowam_stream.cli.app import app
from bowam_stream.errors import ConfigError

SECRET = "Geh3im"
CAMERAS = (
    f"[[cameras]]\nname = 'door'\nsource = 'rtsp://u:{SECRET}@h/x'\npin = 'gate'\n"
    "[[cameras]]\nname = 'window'\nsource = '0'\n"
)
APART = "[[workers]]\nname = 'hall'\ncameras = ['door', 'window']\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "fleet.toml"
    file.write_text(CAMERAS)
    file.chmod(0o600)
    return file


def test_a_dry_run_says_who_goes_where_and_starts_nothing(file: Path) -> None:
    """The crews, what each needs, and its ports; no password."""
    for engine in ("local", "ray"):
        ended = CliRunner().invoke(app, ["fleet", str(file), "--dry-run", "--engine", engine])
        assert ended.exit_code == 0
        assert ended.stdout.splitlines() == [
            "worker-1: 1.3 CPU, 0.001 gate",
            "  worker for door: events 29997, journal 29998, metrics 29999",
            "  camera door: rtsp://***@h/x, frames 20000, metrics 20001",
            "worker-2: 1.3 CPU",
            "  worker for window: events 29994, journal 29995, metrics 29996",
            "  camera window: 0, frames 20002, metrics 20003",
        ]
    assert list(file.parent.iterdir()) == [file]


def test_what_does_not_fit_is_said_before_anything_starts(file: Path) -> None:
    """An address without Ray, frames across the network without keys, keys or settings that are not there."""

    def error(*options: str) -> BaseException | None:
        return CliRunner().invoke(app, ["fleet", str(file), *options]).exception

    assert isinstance(error("--address", "auto"), OptionError)
    file.write_text(CAMERAS + APART)
    apart = error("--engine", "ray", "--address", "127.0.0.1:1")
    assert isinstance(apart, ConfigError)
    assert "camera door is pinned to other nodes than its worker" in str(apart)
    file.write_text("config = 'nowhere.toml'\n" + CAMERAS)
    missing = error("--dry-run")
    assert isinstance(missing, ConfigError)
    assert str(file.parent / "nowhere.toml") in str(missing)
