"""The images hold what they need and nothing else, run without root, and start and probe what the program knows."""

import json
import re
import tomllib

import pytest

from bowam_stream.config import Config, EventSettings, MetricsSettings
from bowam_stream.transport import TransportSettings
from tests.deploy.commands import DEPLOY, ROOT, parse

FILES = {file.name.removesuffix(".Dockerfile"): file.read_text() for file in sorted(DEPLOY.glob("*.Dockerfile"))}
PACKAGES = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]

every_image = pytest.mark.parametrize("text", FILES.values(), ids=FILES)


def last(text: str, instruction: str) -> str:
    """What follows the last such instruction, with its continuation lines."""
    found = re.findall(rf"^{instruction} ((?:.*\\\n)*.*)$", text, re.M)
    assert found, f"no {instruction}"
    return found[-1]


def copied(text: str) -> set[str]:
    """What comes from the checkout."""
    lines = re.findall(r"^COPY (?!--from)(.+) \S+$", text, re.M)
    return {word for line in lines for word in line.split()}


def test_there_is_an_image_of_each_process() -> None:
    """And one for a GPU."""
    assert set(FILES) == {"capture", "worker", "worker-gpu"}


@every_image
def test_what_is_copied_exists_and_is_not_ignored(text: str) -> None:
    """The build sees these files."""
    assert copied(text) <= set(_allowed())
    assert all((ROOT / name).exists() for name in copied(text))


def test_nothing_of_the_checkout_is_sent_in_vain() -> None:
    """What .dockerignore lets through is what the images copy."""
    assert set().union(*map(copied, FILES.values())) == set(_allowed())


@every_image
def test_an_image_installs_extras_that_exist(text: str) -> None:
    """Without development tools, with the versions that were seen to work, and without the address of an index."""
    (extras,) = re.findall(r"pip install .*'\.\[(.+)\]'", text)
    assert set(extras.split(",")) <= PACKAGES.keys() - {"tensorrt", "all", "dev"}
    assert re.search(r"pip install --no-cache-dir (-c constraints\.txt|--constraint /tmp/kept\.txt) ", text)
    assert not re.search(r"https?://(?!127\.0\.0\.1)", text)


def test_a_capture_image_can_capture_and_a_gpu_image_keeps_its_own_pytorch() -> None:
    """MediaPipe and PyAV are in the extra; torch of the vendor's image fits its TensorRT."""
    assert "'.[capture]'" in FILES["capture"]
    assert "--constraint /tmp/kept.txt" in FILES["worker-gpu"]


@every_image
def test_an_image_runs_one_process_without_root(text: str) -> None:
    """A number, since Kubernetes can't look a name up; no shell in between that would keep signals to itself."""
    assert last(text, "USER") == "10001:10001"
    assert text.index("USER 10001") > text.rindex("RUN ")
    assert json.loads(last(text, "ENTRYPOINT")) == ["bowam"]
    assert {"HOME=/tmp", "MPLCONFIGDIR=/tmp"} <= set(last(text, "ENV").split())


@pytest.mark.parametrize("name", FILES)
def test_an_image_starts_what_the_command_line_knows(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The settings lie where compose and Kubernetes put them; a journal lies in the volume."""
    monkeypatch.setenv("BOWAM_SOURCE", "rtsp://camera/1")
    words = json.loads(last(FILES[name], "CMD"))
    parameters = parse(words)
    assert words[0] == name.removesuffix("-gpu")
    assert str(parameters["config"]) == "/etc/bowam/bowam.toml"
    if words[0] == "worker":
        assert str(parameters["journal"].parent) == last(FILES[name], "VOLUME") == "/data"  # type: ignore[attr-defined]
    else:
        assert parameters["source"] == "rtsp://camera/1"


@pytest.mark.parametrize("name", FILES)
def test_ports_and_probe_are_our_defaults(name: str) -> None:
    """The probe needs nothing but Python."""
    metrics, events = MetricsSettings(), EventSettings()
    capture = name == "capture"
    sockets = [TransportSettings().endpoint] if capture else [events.endpoint, events.journal_endpoint]
    port = metrics.capture_port if capture else metrics.worker_port
    assert set(last(FILES[name], "EXPOSE").split()) == {str(port), *(at.rpartition(":")[2] for at in sockets)}
    probe = json.loads(last(FILES[name], "HEALTHCHECK").partition("CMD ")[2])
    assert probe[:2] == ["python", "-c"]
    compile(probe[2], "probe", "exec")
    assert f"http://127.0.0.1:{port}/livez" in probe[2]
    assert Config().metrics.capture_port != Config().metrics.worker_port


def _allowed() -> list[str]:
    return [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
