"""Every file under deploy/ is one that a test loads with what will load it: a new one can't be forgotten."""

import json
from pathlib import Path

import pytest
import yaml

from bowam_stream.config import load_config
from bowam_stream.fleet.settings import load_fleet
from tests.deploy.commands import DEPLOY, parse

ELSEWHERE = {".Dockerfile", ".service", ".timer", ".conf", ".example"}
"""Loaded by test_images.py and test_systemd.py; what is copied and filled in by hand, by test_compose.py as well."""
FILES = [path for path in sorted(DEPLOY.rglob("*")) if path.is_file() and "grafana-password" not in path.name]


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(DEPLOY)))
def test_a_file_is_loaded(file: Path) -> None:
    """Settings by our loader, the rest by the parser of its language."""
    match file.suffix:
        case ".toml" if file.name == "fleet.toml":
            load_fleet(file)
        case ".toml":
            load_config(file)
        case ".yml" | ".yaml":
            assert list(yaml.safe_load_all(file.read_text()))
        case ".json":
            json.loads(file.read_text())
        case "":
            assert file.read_text().startswith("#!/bin/sh\n")  # system-libraries
        case ".env":
            pytest.skip("of this checkout alone, not of the project")
        case suffix:
            assert suffix in ELSEWHERE


@pytest.mark.parametrize("file", sorted(DEPLOY.rglob("*.env.example")), ids=lambda file: file.parent.name)
def test_an_environment_file_says_what_to_watch(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines of NAME=value, as systemd and compose read them; the source reaches the command line."""
    lines = [line for line in file.read_text().splitlines() if line and not line.startswith("#")]
    for name, value in (line.split("=", 1) for line in lines):
        monkeypatch.setenv(name, value)
    assert str(parse(["capture"])["source"]).startswith("rtsp://")
