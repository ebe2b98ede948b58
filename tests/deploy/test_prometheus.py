"""The example configuration is one that Prometheus accepts, and names the ports that we listen on."""

import shutil
import subprocess
from pathlib import Path

import pytest

from bowam_stream.config import MetricsSettings

CONFIG = Path(__file__).parents[2] / "deploy" / "prometheus" / "prometheus.yml"


def test_the_example_scrapes_our_default_ports() -> None:
    """One target each for capture and worker."""
    text = CONFIG.read_text()
    defaults = MetricsSettings()
    assert f'"{defaults.host}:{defaults.capture_port}"' in text
    assert f'"{defaults.host}:{defaults.worker_port}"' in text


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed (Debian: prometheus)")
def test_promtool_accepts_the_example() -> None:
    """Prometheus's own check."""
    done = subprocess.run(["promtool", "check", "config", str(CONFIG)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
