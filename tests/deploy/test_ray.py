"""The manifests for KubeRay: what is Kubernetes' fits its schemas, what is KubeRay's has fields that it documents."""

import re
import shlex
import tomllib
from typing import Any

import pytest
import yaml

from tests.deploy.commands import DEPLOY, ROOT, parse

VERSION = "1.37"
CLUSTER: list[dict[str, Any]] = list(yaml.safe_load_all((DEPLOY / "ray" / "cluster.yaml").read_text()))
JOB: dict[str, Any] = yaml.safe_load((DEPLOY / "ray" / "job.yaml").read_text())
IMAGE = (DEPLOY / "ray" / "ray.Dockerfile").read_text()
RAY: dict[str, Any] = next(one["spec"] for one in CLUSTER if one["kind"] == "RayCluster")
GROUPS = {"head": RAY["headGroupSpec"], **{group["groupName"]: group for group in RAY["workerGroupSpecs"]}}

# The schemas of ray.io/v1 are no part of kubernetes-validate. Their fields, from KubeRay's API reference and the notes
# of its release 1.5.1 (authOptions):
FIELDS = {
    "RayCluster": {
        "suspend", "managedBy", "autoscalerOptions", "headServiceAnnotations", "enableInTreeAutoscaling",
        "gcsFaultToleranceOptions", "headGroupSpec", "rayVersion", "workerGroupSpecs", "authOptions",
    },
    "RayJob": {
        "activeDeadlineSeconds", "backoffLimit", "rayClusterSpec", "submitterPodTemplate", "clusterSelector",
        "submitterConfig", "managedBy", "deletionStrategy", "entrypoint", "runtimeEnvYAML", "jobId", "submissionMode",
        "entrypointResources", "entrypointNumCpus", "entrypointNumGpus", "ttlSecondsAfterFinished",
        "shutdownAfterJobFinishes", "suspend",
    },
    "head": {"template", "headService", "enableIngress", "rayStartParams", "serviceType"},
    "workers": {
        "suspend", "groupName", "replicas", "minReplicas", "maxReplicas", "idleTimeoutSeconds", "rayStartParams",
        "template", "scaleStrategy", "numOfHosts",
    },
    "autoscaler": {
        "resources", "image", "imagePullPolicy", "securityContext", "idleTimeoutSeconds", "upscalingMode", "version",
        "env", "envFrom", "volumeMounts",
    },
}  # fmt: skip

every_group = pytest.mark.parametrize("group", GROUPS.values(), ids=GROUPS)


def container(group: dict[str, Any]) -> dict[str, Any]:
    """The only container of a group's pods."""
    (only,) = group["template"]["spec"]["containers"]
    return only  # type: ignore[no-any-return]


def test_what_is_kubernetes_own_fits_its_schemas() -> None:
    """Strictly; a pod template as a PodTemplate."""
    validate = pytest.importorskip("kubernetes_validate", reason="kubernetes-validate is not installed (extra [dev])")
    core = [one for one in CLUSTER if one["apiVersion"] != "ray.io/v1"]
    assert {one["kind"] for one in core} == {"Namespace", "NetworkPolicy"}
    pods = [
        {"apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": name}, "template": group["template"]}
        for name, group in GROUPS.items()
    ]
    scaler = RAY["autoscalerOptions"]
    alone = {"name": "autoscaler", **{key: scaler[key] for key in ("resources", "securityContext")}}
    sidecar = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "scaler"}, "spec": {"containers": [alone]}}
    for one in (*core, *pods, sidecar):
        assert validate.validate(one, VERSION, strict=True) == VERSION
    broken = {**pods[0], "template": {"spec": {"containers": [{"name": "it", "imagePulPolicy": "Never"}]}}}
    with pytest.raises(validate.ValidationError):
        validate.validate(broken, VERSION, strict=True)


def test_what_is_kuberays_has_fields_that_it_documents() -> None:
    """On every level that is not Kubernetes' own."""
    assert RAY.keys() <= FIELDS["RayCluster"]
    assert JOB["spec"].keys() <= FIELDS["RayJob"]
    assert RAY["headGroupSpec"].keys() <= FIELDS["head"]
    assert all(group.keys() <= FIELDS["workers"] for group in RAY["workerGroupSpecs"])
    assert RAY["autoscalerOptions"].keys() <= FIELDS["autoscaler"]
    assert JOB["spec"]["submissionMode"] in ("K8sJobMode", "HTTPMode", "InteractiveMode", "SidecarMode")
    for group in GROUPS.values():
        assert all(isinstance(value, str) for value in group["rayStartParams"].values())


@every_group
def test_ray_start_knows_its_options(group: dict[str, Any]) -> None:
    """What the operator makes options of."""
    scripts = pytest.importorskip("ray.scripts.scripts", reason="Ray is not installed")
    known = {name.removeprefix("--") for option in scripts.start.params for name in option.opts}
    assert group["rayStartParams"].keys() <= known


def test_all_nodes_have_the_version_that_is_pinned() -> None:
    """Ray refuses nodes of another; the image installs with the constraints, and all that a node needs."""
    assert f"ray=={RAY['rayVersion']}" in (ROOT / "constraints.txt").read_text().splitlines()
    assert {container(group)["image"] for group in GROUPS.values()} == {"bowam-ray"}
    (extras,) = re.findall(r"pip install --no-cache-dir -c constraints\.txt '\.\[(.+?)\]'", IMAGE)
    known = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert {"capture", "ray"} <= set(extras.split(",")) <= known.keys()
    assert "USER 10001:10001" in IMAGE
    assert IMAGE.index("USER 10001") > IMAGE.rindex("RUN ")


@every_group
def test_a_pod_can_do_little(group: dict[str, Any]) -> None:
    """What the namespace's restricted standard wants; a root that can't be written to, and limits for everything."""
    spec = group["template"]["spec"]
    assert CLUSTER[0]["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert (spec["securityContext"]["runAsNonRoot"], spec["securityContext"]["runAsUser"]) == (True, 10001)
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for one in (container(group), RAY["autoscalerOptions"]):
        assert one["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert one["securityContext"]["allowPrivilegeEscalation"] is False
        assert {"cpu", "memory"} <= one["resources"]["limits"].keys()
    assert {mount["name"] for mount in container(group)["volumeMounts"]} == {one["name"] for one in spec["volumes"]}


def test_only_the_driver_writes_and_only_workers_work() -> None:
    """The head takes no piece, so that none takes its memory; workers have the recordings to read and nothing else."""
    assert GROUPS["head"]["rayStartParams"]["num-cpus"] == "0"
    for name, group in GROUPS.items():
        writable = {mount["mountPath"] for mount in container(group)["volumeMounts"] if not mount.get("readOnly")}
        assert writable == ({"/out", "/tmp"} if name == "head" else {"/tmp"})
        assert {"name": "corpus", "mountPath": "/corpus", "readOnly": True} in container(group)["volumeMounts"]


def test_whoever_reaches_the_cluster_needs_a_token_and_is_of_it() -> None:
    """Or is the operator, at the port that takes jobs."""
    assert RAY["authOptions"] == {"mode": "token"}
    policies = {one["metadata"]["name"]: one["spec"] for one in CLUSTER if one["kind"] == "NetworkPolicy"}
    assert policies["nobody-by-default"] == {"podSelector": {}, "policyTypes": ["Ingress"]}
    own = {"matchLabels": {"ray.io/cluster": "bowam"}}
    assert policies["the-cluster-itself"]["podSelector"] == own
    ours, operator = policies["the-cluster-itself"]["ingress"]
    assert ours == {"from": [{"podSelector": own}]}
    assert operator["ports"] == [{"port": 8265}]
    assert JOB["spec"]["clusterSelector"] == own["matchLabels"]
    assert all(one["metadata"]["namespace"] == "bowam-ray" for one in (*CLUSTER[1:], JOB))


def test_the_job_is_a_command_that_is_understood() -> None:
    """On the cluster that it finds itself on; what it reads and writes is what the head mounts."""
    program, *words = shlex.split(JOB["spec"]["entrypoint"])
    assert program == "bowam"
    parameters = parse(words)
    assert (words[0], parameters["engine"], parameters["address"]) == ("replay", "ray", "auto")
    mounts = {mount["mountPath"] for mount in container(GROUPS["head"])["volumeMounts"]}
    assert str(parameters["video"]) in mounts
    assert str(parameters["out"]).rpartition("/")[0] in mounts
