"""A fleet on a Ray cluster of two nodes: found through its state, moved when a node dies, gone when it ends."""

import contextlib
import json
import os
import signal
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bowam_stream.events import subscribe
from bowam_stream.fleet.board import FleetState, read_state
from bowam_stream.messages import Event
from bowam_stream.pipeline.auditing import Scrape
from tests.system.processes import BOWAM, Run, alive, free_port, wait_for

cluster_utils = pytest.importorskip("ray.cluster_utils", reason="Ray is not installed")

pytestmark = [pytest.mark.system, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
STORE_BYTES = 80 * 2**20
PASSWORD = "Geh3im-im-Netz"
SOON_DEAD = {"health_check_initial_delay_ms": 1000, "health_check_period_ms": 500, "health_check_failure_threshold": 3}
"""Ray's own settings, on its head: as docs/how-to/fleet.md advises, since it takes a quarter of a minute otherwise."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Two nodes: the head, and one that may die."""
    os.environ["PYTHONPATH"] = str(ROOT)  # the nodes' processes find us
    head = {"num_cpus": 4, "object_store_memory": STORE_BYTES, "include_dashboard": False}
    cluster = cluster_utils.Cluster(initialize_head=True, head_node_args={**head, "_system_config": SOON_DEAD})
    cluster.add_node(num_cpus=4, object_store_memory=STORE_BYTES)
    yield cluster
    cluster.shutdown()


def processes_of(ports: range) -> dict[str, int]:
    """Captures by camera and workers by name: whoever serves metrics on one of these ports."""
    found = {}
    for process in Path("/proc").iterdir():
        if not process.name.isdigit():
            continue
        with contextlib.suppress(OSError, StopIteration):
            words = (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
            port = next(word.partition("=")[2] for word in words if word.startswith("--metrics-port="))
            if int(port) in ports and alive(int(process.name)):
                name = next(word.partition("=")[2] for word in words if word.startswith(("--camera=", "--journal=")))
                found[Path(name).stem] = int(process.name)
    return found


def started(pid: int) -> str:
    """When a process was started, in the kernel's ticks: its number may be given again."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]


def heard(state: FleetState, camera: str, *, after: Event | None = None, anew: bool = False) -> Event:
    """The next event of a camera at the endpoint that the state tells; `anew`: the first of another session."""
    told = state.cameras[camera]
    assert told.events
    since = after.seq if after else 0
    with subscribe(told.events, journal=told.journal_endpoint, cameras=[camera], since=since) as events:
        while (event := events.receive(60)) is not None:
            if not (anew and after and event.session == after.session):
                return event
    raise AssertionError(f"no event of {camera}")


def test_a_node_that_dies_takes_no_camera_with_it_and_disturbs_no_other(
    cluster: Any, clip: Path, tmp_path: Path
) -> None:
    """Both cameras are heard where the state says; the one whose node is killed is heard again from the other node.

    A camera that no node can take waits, and says what for, until such a node joins. A password shows nowhere.
    """
    (tmp_path / "bowam.toml").write_text("[source]\nloops = 1000\n")
    first = free_port()
    ports = range(first, first + 61)
    (tmp_path / "fleet.toml").write_text(
        f"config = 'bowam.toml'\nports = [{ports[0]}, {ports[-1]}]\nworker_cpus = 0.7\n"
        f"[[cameras]]\nname = 'door'\nsource = '{clip}'\nconsent = true\n"
        f"[[cameras]]\nname = 'window'\nsource = '{clip}'\n"
        f"[[cameras]]\nname = 'gate'\nsource = 'rtsp://waechter:{PASSWORD}@127.0.0.1:9/x'\n"
        "[[cameras]]\nname = 'roof'\nsource = 'test://pattern?rate=10&size=160x120'\npin = 'ladder'\n"
        "[[workers]]\nname = 'inside'\ncameras = ['door']\n"
        "[[workers]]\nname = 'outside'\ncameras = ['window', 'gate']\n"
        "[[workers]]\nname = 'above'\ncameras = ['roof']\n"
    )
    (tmp_path / "fleet.toml").chmod(0o600)
    log = tmp_path / "log"
    with log.open("w") as told:
        command = [*BOWAM, "fleet", str(tmp_path / "fleet.toml"), "--engine", "ray", "--address", cluster.address]
        fleet = subprocess.Popen(command, stdout=told, stderr=told, start_new_session=True)
    file = tmp_path / "fleet" / "fleet.json"
    try:
        wait_for(file.exists)

        def works(*cameras: str) -> FleetState | None:
            """The state, once these cameras and their workers run."""
            state = read_state(file)
            ours = [state.cameras[camera] for camera in cameras]
            well = all(one.state == state.workers[one.worker].state == "running" for one in ours)
            return state if well else None

        state: Any = wait_for(lambda: works("door", "window"), 120)
        before = {camera: heard(state, camera) for camera in ("door", "window")}
        assert state.cameras["roof"].state == "waiting"
        assert state.cameras["roof"].why == "no node has 1 CPU and ladder; it waits for one"
        assert state.cameras["gate"].state == "starting"
        (dying,) = cluster.worker_nodes
        nodes = {camera: str(state.cameras[camera].node) for camera in before}
        moving, still = sorted(before, key=lambda camera: dying.node_id[:6] not in nodes[camera])
        assert dying.node_id[:6] in nodes[moving]
        assert dying.node_id[:6] not in nodes[still], "crews are spread"
        targets = json.loads((tmp_path / "fleet" / "targets.json").read_text())
        assert {target["labels"].get("camera") for target in targets} == {"door", "window", "gate", None}
        processes = processes_of(ports)
        assert processes.keys() == {"door", "window", "gate", "inside", "outside"}
        worker = {camera: state.cameras[camera].worker for camera in before}
        undisturbed = {name: started(processes[name]) for name in (still, worker[still])}

        cluster.remove_node(dying, allow_graceful=False)
        wait_for(lambda: not alive(processes[moving]) and not alive(processes[worker[moving]]), 30)
        cluster.add_node(num_cpus=1, resources={"ladder": 1}, object_store_memory=STORE_BYTES)
        wait_for(lambda: read_state(file).cameras[moving].node != nodes[moving], 60)
        state = wait_for(lambda: works(moving, "roof"), 120)
        assert state.cameras["roof"].node not in nodes.values()
        heard(state, moving, after=before[moving], anew=True)
        newest = processes_of(ports)
        assert newest[moving] != processes[moving]
        assert {name: started(newest[name]) for name in undisturbed} == undisturbed
        assert heard(state, still, after=before[still]).session == before[still].session
        assert PASSWORD not in "".join(Path(f"/proc/{pid}/cmdline").read_text() for pid in newest.values())
    finally:
        fleet.send_signal(signal.SIGINT)
        fleet.wait(timeout=60)
    assert fleet.returncode == 0, log.read_text()
    assert processes_of(ports) == {}
    assert {camera.why for camera in read_state(file).cameras.values()} == {"the fleet was ended"}
    session = Path(cluster.head_node.get_session_dir_path())
    written = [path for path in (*session.rglob("*"), *file.parent.iterdir(), log) if path.is_file()]
    assert len(written) > 10
    assert [path.name for path in written if PASSWORD.encode() in path.read_bytes()] == []


def test_a_camera_apart_from_its_worker_is_found_with_keys_and_a_killed_fleet_leaves_nothing(
    start: Callable, bowam: Run, tmp_path: Path
) -> None:
    """On one machine. Frames reach the worker; when the fleet itself is killed, its processes end by themselves."""
    bowam("keygen", "--out", tmp_path / "keys")
    first = free_port()
    ports = range(first, first + 61)
    (tmp_path / "fleet.toml").write_text(
        f"ports = [{ports[0]}, {ports[-1]}]\n"
        "[[cameras]]\nname = 'far'\nsource = 'test://pattern?frames=9000&size=160x120'\npin = 'elsewhere'\n"
        "[[cameras]]\nname = 'near'\nsource = 'test://pattern?frames=9000&size=160x120'\n"
        "[[workers]]\nname = 'both'\ncameras = ['far', 'near']\n"
    )
    fleet = start("fleet", tmp_path / "fleet.toml", "--keys", tmp_path / "keys")
    targets = tmp_path / "fleet" / "targets.json"

    def received() -> set[str]:
        """The cameras of which the worker has frames, as Prometheus would learn it."""
        found = {}
        for one in json.loads(targets.read_text()) if targets.exists() else ():
            if one["labels"]["job"] == "bowam-worker":
                with contextlib.suppress(OSError):
                    text = urllib.request.urlopen(f"http://{one['targets'][0]}/metrics", timeout=5).read().decode()
                    found = Scrape(text).by_camera("bowam_frames_received_total")
        return {camera for camera, count in found.items() if count > 0}

    wait_for(lambda: received() == {"far", "near"})
    processes = processes_of(ports)
    assert processes.keys() == {"far", "near", "both"}
    fleet.kill()
    wait_for(lambda: not any(map(alive, processes.values())))
