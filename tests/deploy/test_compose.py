"""compose.yaml names files, volumes, secrets and commands that exist, and its containers can do little."""

import re
from typing import Any

import pytest
import yaml

from bowam_stream.addresses import parse as endpoint
from tests.deploy.commands import DEPLOY, config, parse

COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if "build" in service}
SETTINGS = config((DEPLOY / "compose" / "bowam.toml").read_text())
MADE_BY_HAND = {"./compose/cam0.env": "./compose/cam0.env.example", "./compose/grafana-password": None}

every_service = pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES)


@every_service
def test_a_container_can_do_little(service: dict[str, Any]) -> None:
    """No root, no capabilities, nothing to write but volumes and a little memory; bounded, and started again."""
    user, _, group = service["user"].partition(":")
    assert int(user) > 0
    assert int(group) > 0
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "network_mode", "pid", "ipc", "cap_add"} & service.keys()
    assert {"mem_limit", "cpus", "pids_limit"} <= service.keys()
    assert service["restart"] == "unless-stopped"
    assert service["logging"]["options"]["max-size"]


@every_service
def test_a_container_is_probed(service: dict[str, Any]) -> None:
    """Ours by what their images say."""
    if "build" in service:
        assert "HEALTHCHECK" in (DEPLOY / service["build"]["context"] / service["build"]["dockerfile"]).read_text()
    else:
        assert service["healthcheck"]["test"][0] == "CMD"


@every_service
def test_what_is_mounted_exists(service: dict[str, Any]) -> None:
    """Files of ours are read-only; volumes, networks and secrets are declared."""
    for mount in service["volumes"]:
        source, target, *mode = mount.split(":")
        assert target.startswith("/")
        if source.startswith("."):
            assert (DEPLOY / source).exists(), source
            assert mode == ["ro"], mount
        else:
            assert source in COMPOSE["volumes"], source
    assert set(service["networks"]) <= COMPOSE["networks"].keys()
    for secret in service.get("secrets", ()):
        assert COMPOSE["secrets"][secret]["file"] in MADE_BY_HAND
    for file in service.get("env_file", ()):
        assert (DEPLOY / MADE_BY_HAND[file]).is_file()


def test_whoever_follows_the_head_of_the_file_has_everything() -> None:
    """What has to be made by hand is told there, and git does not see it."""
    text = (DEPLOY / "compose.yaml").read_text().partition("\nname:")[0]
    ignored = (DEPLOY.parent / ".gitignore").read_text()
    for file in MADE_BY_HAND:
        assert f"deploy/{file[2:]}" in text
        assert f"/deploy/{re.sub('[^/]+[.]env$', '*.env', file[2:])}" in ignored


@pytest.mark.parametrize("name", OURS)
def test_our_commands_are_known_and_our_images_are_built(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the real parser reads them; the camera is called as its service."""
    monkeypatch.setenv("BOWAM_SOURCE", "rtsp://camera/1")
    service = OURS[name]
    parameters = parse(service["command"])
    mounted = [mount.split(":")[1] for mount in service["volumes"]]
    assert str(parameters["config"]) in mounted
    if name.startswith("capture-"):
        assert name == f"capture-{parameters['camera']}"
        assert parameters["frames"] in SETTINGS.transport.connect
        assert service["env_file"] == [f"./compose/{parameters['camera']}.env"]
    else:
        assert str(parameters["journal"].parent) in mounted  # type: ignore[attr-defined]


def test_frames_and_events_are_on_no_network() -> None:
    """Sockets in a volume that only our user may enter; metrics on a network that nobody else reaches."""
    addresses = (*SETTINGS.transport.connect, SETTINGS.events.endpoint, SETTINGS.events.journal_endpoint)
    assert {endpoint(address).scheme for address in addresses} == {"ipc"}
    assert {endpoint(address).host.rpartition("/")[0] for address in addresses} == {"/run/bowam"}
    assert all("sockets:/run/bowam" in service["volumes"] for service in OURS.values())
    assert "uid=10001,gid=10001,mode=0700" in COMPOSE["volumes"]["sockets"]["driver_opts"]["o"]
    assert COMPOSE["networks"]["inside"] == {"internal": True}
    assert all(port.startswith("127.0.0.1:") for service in SERVICES.values() for port in service.get("ports", ()))
    assert not any("ports" in service for name, service in SERVICES.items() if name != "grafana")
    assert {name for name, service in OURS.items() if service["networks"] != ["inside"]} == {"capture-cam0"}


def test_prometheus_scrapes_every_process_and_no_other() -> None:
    """The targets of compose are its services, on their default ports."""
    targets = yaml.safe_load((DEPLOY / "compose" / "targets.yml").read_text())
    scraped = {target.rpartition(":")[0]: group["labels"] for group in targets for target in group["targets"]}
    assert scraped.keys() == OURS.keys()
    for name, labels in scraped.items():
        port = SETTINGS.metrics.worker_port if name == "worker" else SETTINGS.metrics.capture_port
        assert f"{name}:{port}" in [target for group in targets for target in group["targets"]]
        assert labels["job"] == f"bowam-{name.partition('-')[0]}"
        assert labels.get("camera", "") == name.partition("-")[2]
    mounted = {mount.split(":")[0] for mount in SERVICES["prometheus"]["volumes"]}
    needed = {"prometheus/prometheus.yml", "prometheus/rules.yml", "prometheus/alerts.yml", "compose/targets.yml"}
    assert {f"./{file}" for file in needed} <= mounted


def test_the_command_that_shows_events_is_known() -> None:
    """It stands in the head of the file."""
    (line,) = re.findall(r"exec worker bowam (.+)$", (DEPLOY / "compose.yaml").read_text(), re.M)
    parameters = parse(line.split())
    assert parameters["endpoint"] == SETTINGS.events.endpoint
    assert parameters["journal_endpoint"] == SETTINGS.events.journal_endpoint


def test_a_gpu_is_reserved_for_its_image() -> None:
    """The second file only changes the worker of the first."""
    services = yaml.safe_load((DEPLOY / "compose.gpu.yaml").read_text())["services"]
    assert services.keys() == {"worker"}
    assert (DEPLOY / services["worker"]["build"]["context"] / services["worker"]["build"]["dockerfile"]).is_file()
    (device,) = services["worker"]["deploy"]["resources"]["reservations"]["devices"]
    assert device == {"driver": "nvidia", "count": 1, "capabilities": ["gpu"]}
