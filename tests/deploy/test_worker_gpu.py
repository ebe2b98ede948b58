"""The GPU worker's image and compose file say what they must: a GPU, no root, our ports, files that exist."""

import re
import tomllib
from pathlib import Path

import yaml

from bowam_stream.config import EventSettings, MetricsSettings

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "deploy" / "worker-gpu.Dockerfile").read_text()


def test_what_is_copied_exists_and_is_not_ignored() -> None:
    """And nothing of the checkout that the image does not need gets in."""
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = {word for line in re.findall(r"^COPY (.+) \S+$", DOCKERFILE, re.M) for word in line.split()}
    assert copied == allowed
    assert all((ROOT / name).exists() for name in copied)


def test_the_image_installs_extras_that_exist_and_keeps_its_own_pytorch() -> None:
    """No package that brings another torch, such as torch-tensorrt from an index."""
    extras = re.search(r"pip install .*'\.\[(.+)\]'", DOCKERFILE)
    assert extras is not None
    known = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(extras[1].split(",")) <= known.keys() - {"tensorrt", "all"}
    assert "--constraint /tmp/kept.txt" in DOCKERFILE


def test_the_image_runs_the_worker_without_root_on_its_ports() -> None:
    """Ports and the health check are the defaults of the settings."""
    lines = DOCKERFILE.splitlines()
    assert lines.index("USER bowam") < lines.index('ENTRYPOINT ["bowam"]')
    exposed = re.search(r"^EXPOSE (.+)$", DOCKERFILE, re.M)
    assert exposed is not None
    events, metrics = EventSettings(), MetricsSettings()
    ports = {events.endpoint.rpartition(":")[2], events.journal_endpoint.rpartition(":")[2], str(metrics.worker_port)}
    assert set(exposed[1].split()) == ports
    assert f"127.0.0.1:{metrics.worker_port}/livez" in DOCKERFILE


def test_compose_reserves_a_gpu_for_that_image() -> None:
    """As the compose specification asks for one."""
    worker = yaml.safe_load((ROOT / "deploy" / "compose.gpu.yaml").read_text())["services"]["worker"]
    assert (ROOT / "deploy" / worker["build"]["context"] / worker["build"]["dockerfile"]).is_file()
    (device,) = worker["deploy"]["resources"]["reservations"]["devices"]
    assert device == {"driver": "nvidia", "count": 1, "capabilities": ["gpu"]}
