"""The benchmarks run from the command line, where they are."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import bowam_stream
from bowam_stream.cli import bench
from bowam_stream.errors import ConfigError

SOURCE = Path(bowam_stream.__path__[0]).parent


def test_an_installation_without_benchmarks_says_where_they_are(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="in a checkout"):
        bench.checkout(tmp_path)
    assert bench.checkout(SOURCE) == SOURCE


def test_the_suites_that_are_named_run_in_the_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With paths that were given relative to where the user stands; their exit status is ours."""
    suite = tmp_path / "source" / "benchmarks"
    suite.mkdir(parents=True)
    (suite / "__init__.py").touch()
    told = tmp_path / "told"
    (suite / "__main__.py").write_text(
        f"import os, sys; open({str(told)!r}, 'w').write(' '.join([*sys.argv[1:], os.environ['BOWAM_TEST_MEDIA']]))\n"
        "sys.exit(3)"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BOWAM_TEST_MEDIA", "media")
    assert bench.run(tmp_path / "source", ["spotting", "memory"]) == 3
    assert told.read_text() == f"spotting memory {tmp_path / 'media'}"


@pytest.mark.system
def test_a_suite_that_there_is_not_is_wrong_usage() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "bowam_stream.cli", "bench", "weather"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "BOWAM_TEST_MEDIA": ""},
    )
    assert run.returncode == 2
    assert "no suite weather; there are" in run.stderr
    assert "Traceback" not in run.stderr
