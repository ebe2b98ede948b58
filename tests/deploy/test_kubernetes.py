"""The manifest fits the schemas; what it refers to is in it or made by the commands at its head."""

import re
import shlex
from typing import Any

import pytest
import yaml

from bowam_stream.addresses import parse as endpoint
from tests.deploy.commands import DEPLOY, config, parse

TEXT = (DEPLOY / "kubernetes" / "bowam.yaml").read_text()
OBJECTS: list[dict[str, Any]] = list(yaml.safe_load_all(TEXT))
VERSION = "1.37"


def named(kind: str) -> dict[str, dict[str, Any]]:
    """The objects of a kind by their names."""
    return {one["metadata"]["name"]: one for one in OBJECTS if one["kind"] == kind}


SETS = named("StatefulSet")
every_set = pytest.mark.parametrize("name", SETS)


def pod(name: str) -> dict[str, Any]:
    """The pod of a set."""
    return SETS[name]["spec"]["template"]["spec"]  # type: ignore[no-any-return]


def container(name: str) -> dict[str, Any]:
    """Its only container."""
    (only,) = pod(name)["containers"]
    return only  # type: ignore[no-any-return]


def secrets_of_the_head() -> dict[str, set[str]]:
    """The secrets that the commands at the head of the file make, with their keys."""
    made = {}
    for line in re.findall(r"^#\s+(kubectl .* create secret generic .+)$", TEXT, re.M):
        words = shlex.split(line)
        made[words[6]] = {word.split("=")[1] for word in words if word.startswith("--from-file=")}
    return made


def test_every_object_fits_the_schema() -> None:
    """Strictly: an unknown field is an error."""
    validate = pytest.importorskip("kubernetes_validate", reason="kubernetes-validate is not installed (extra [dev])")
    for one in OBJECTS:
        assert validate.validate(one, VERSION, strict=True) == VERSION
        assert one["kind"] == "Namespace" or one["metadata"]["namespace"] == "bowam"


@every_set
def test_a_pod_can_do_little(name: str) -> None:
    """What the namespace's restricted standard wants, and a root that can't be written to."""
    assert named("Namespace")["bowam"]["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    whole = pod(name)["securityContext"]
    assert (whole["runAsNonRoot"], whole["runAsUser"], whole["fsGroup"]) == (True, 10001, 10001)
    assert whole["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container(name)["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod(name)["automountServiceAccountToken"] is False
    assert {"cpu", "memory"} == container(name)["resources"]["limits"].keys()
    assert {"cpu", "memory"} == container(name)["resources"]["requests"].keys()


@every_set
def test_probes_ask_what_the_process_answers(name: str) -> None:
    """Alive: start it again. Ready: let subscribers come, which only a worker has."""
    ports = {port["name"]: port["containerPort"] for port in container(name)["ports"]}
    assert container(name)["startupProbe"]["httpGet"] == {"path": "/livez", "port": "metrics"}
    assert container(name)["livenessProbe"]["httpGet"] == {"path": "/livez", "port": "metrics"}
    if name == "bowam-worker":
        assert container(name)["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "metrics"}
    service = {
        port["name"]: port["port"] for port in named("Service")[SETS[name]["spec"]["serviceName"]]["spec"]["ports"]
    }
    assert service == ports


@every_set
def test_what_a_pod_mounts_exists(name: str) -> None:
    """Settings are in the manifest, secrets are made by the commands at its head, key by key."""
    made = secrets_of_the_head()
    volumes = {volume["name"]: volume for volume in pod(name)["volumes"]}
    claims = [claim["metadata"]["name"] for claim in SETS[name]["spec"].get("volumeClaimTemplates", ())]
    assert {mount["name"] for mount in container(name)["volumeMounts"]} == {*volumes, *claims}
    for volume in volumes.values():
        if "configMap" in volume:
            assert volume["configMap"]["name"] in named("ConfigMap")
        if "secret" in volume:
            assert {item["key"] for item in volume["secret"].get("items", ())} <= made[volume["secret"]["secretName"]]
            assert volume["secret"]["defaultMode"] == 0o440
    (keys,) = (volume["secret"] for volume in volumes.values() if volume["name"] == "keys")
    assert {item["key"] for item in keys["items"]} == made[keys["secretName"]]


def test_the_commands_of_the_head_are_known() -> None:
    """keygen, and nothing that is a subcommand of nothing."""
    (line,) = re.findall(r"do bowam (keygen .+?); done", TEXT)
    assert parse(line.replace("$name", "worker").split())


def test_a_capture_watches_the_camera_that_its_pod_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    """The address comes from the secret by the environment; every replica has one."""
    monkeypatch.setenv("BOWAM_SOURCE", "rtsp://camera/1")
    shell, flag, script = container("cam")["command"]
    assert (shell, flag) == ("/bin/sh", "-c")
    words = shlex.split(script.partition("exec bowam ")[2].replace("$POD_NAME", "cam-0"))
    parameters = parse(words)
    assert (parameters["camera"], parameters["wait"], parameters["source"]) == ("cam-0", True, "rtsp://camera/1")
    mounts = {mount["mountPath"] for mount in container("cam")["volumeMounts"]}
    assert {str(parameters["config"]), "/etc/bowam/cameras"} <= mounts
    cameras = {f"cam-{number}" for number in range(SETS["cam"]["spec"]["replicas"])}
    assert secrets_of_the_head()["bowam-cameras"] == cameras


def test_every_camera_is_in_the_shard_of_exactly_one_worker() -> None:
    """A shard for every worker, under the name that its pod has."""
    (_, flag, file), maps = container("bowam-worker")["args"], named("ConfigMap")
    assert (flag, file) == ("--config", "/etc/bowam/shards/$(POD_NAME).toml")
    assert parse(container("bowam-worker")["args"])
    shards = {name: config(toml) for name, toml in maps["bowam-workers"]["data"].items()}
    assert set(shards) == {f"bowam-worker-{number}.toml" for number in range(SETS["bowam-worker"]["spec"]["replicas"])}
    taken = [address for shard in shards.values() for address in shard.transport.connect]
    listens = endpoint(config(maps["bowam-captures"]["data"]["bowam.toml"]).transport.endpoint).port
    assert sorted(taken) == [f"tcp://cam-{number}.cam:{listens}" for number in range(SETS["cam"]["spec"]["replicas"])]


def test_whoever_listens_on_a_network_has_keys() -> None:
    """And writes its journal into the volume."""
    for settings in (toml for one in named("ConfigMap").values() for toml in one["data"].values()):
        assert config(settings).keys.folder == "/etc/bowam/keys"
        assert not config(settings).transport.insecure
        assert not config(settings).events.insecure
    for toml in named("ConfigMap")["bowam-workers"]["data"].values():
        assert config(toml).events.journal == "/data/journal.sqlite"
    claim = SETS["bowam-worker"]["spec"]["volumeClaimTemplates"][0]["metadata"]["name"]
    assert {"name": claim, "mountPath": "/data"} in container("bowam-worker")["volumeMounts"]


def test_only_who_must_reaches_a_pod() -> None:
    """Everything is closed, then opened port by port; the ports are those of the containers."""
    policies = named("NetworkPolicy")
    closed = policies["nobody-by-default"]["spec"]
    assert (closed["podSelector"], closed["policyTypes"]) == ({}, ["Ingress", "Egress"])
    for name, policy in (("cam", "capture"), ("bowam-worker", "worker")):
        assert policies[policy]["spec"]["podSelector"]["matchLabels"] == SETS[name]["spec"]["selector"]["matchLabels"]
        opened = {port["port"] for rule in policies[policy]["spec"]["ingress"] for port in rule["ports"]}
        assert opened == {port["name"] for port in container(name)["ports"]}
