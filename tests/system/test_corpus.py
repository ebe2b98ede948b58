"""A corpus through the real command: on this machine and on a Ray cluster of several nodes, disturbed or not."""

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bowam_stream.corpus.shelf import PIECES
from tests.system.processes import BOWAM, Run, wait_for

pytestmark = [pytest.mark.system, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
STORE_BYTES = 80 * 2**20
PATIENCE_S = 280.0


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two short clips with a micro-expression each, one of them twice, and a file that is none."""
    folder, made = tmp_path_factory.mktemp("videos"), tmp_path_factory.mktemp("made")
    options = "--still --seconds 2 --rate 60 --events 1 --stratum easy --size 480x360 --count 2 --seed 1"
    subprocess.run([*BOWAM, "synth", str(made), *options.split()], check=True, capture_output=True, timeout=PATIENCE_S)
    first, second = sorted(made.rglob("*.mp4"))
    (folder / "day 1").mkdir()
    for clip, name in ((first, "day 1/a.mp4"), (second, "day 1/b.mp4"), (first, "c.mp4")):
        shutil.copy(clip, folder / name)
    (folder / "notes.txt").write_text("not a video")
    return folder


@pytest.fixture(scope="module")
def undisturbed(videos: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The events of the corpus, from local processes: two of them, and interrupted once."""
    out = tmp_path_factory.mktemp("local") / "out"
    command = list(map(str, [*BOWAM, "replay", videos, "--out", out, "--workers", 2]))
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as first:
        wait_for(lambda: first.poll() is not None or pieces(out, "watch", "events"), PATIENCE_S)
        first.send_signal(signal.SIGINT)
        _, errors = first.communicate(timeout=PATIENCE_S)
    assert first.returncode == 1
    assert "the same command goes on" in errors.splitlines()[-1]
    assert not (out / "events.jsonl").exists()
    second = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S)
    assert second.returncode == 0, second.stderr
    assert "a corpus of 3 recordings" in second.stderr
    assert "left out: 1 file that is no video by name: 1 .txt" in second.stderr
    return (out / "events.jsonl").read_bytes()


def pieces(out: Path, *kinds: str) -> list[Path]:
    """Those that are finished."""
    return [path for kind in kinds for path in (out / PIECES).glob(f"{kind}-*")]


def test_each_recording_has_the_events_of_a_replay_of_its_own(
    bowam: Run, videos: Path, undisturbed: bytes, tmp_path: Path
) -> None:
    """Byte for byte."""
    events = [json.loads(line) for line in undisturbed.splitlines()]
    assert {event["camera"] for event in events if event["phase"] == "final"} == {"day_1-a", "day_1-b", "c"}
    alone = tmp_path / "alone.jsonl"
    run = bowam("replay", videos / "day 1" / "b.mp4", "--camera", "day_1-b", "--events", alone, timeout=PATIENCE_S)
    assert run.returncode == 0, run.stderr
    lines = undisturbed.splitlines(keepends=True)
    assert alone.read_bytes() == b"".join(line for line in lines if b'"camera":"day_1-b"' in line) != b""


@pytest.fixture
def cluster() -> Iterator[Any]:
    """A head and another node, of one CPU each."""
    cluster_utils = pytest.importorskip("ray.cluster_utils", reason="Ray is not installed")
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = str(ROOT)
    head = {"num_cpus": 1, "object_store_memory": STORE_BYTES, "include_dashboard": False}
    cluster = cluster_utils.Cluster(initialize_head=True, head_node_args=head)
    cluster.add_node(num_cpus=1, object_store_memory=STORE_BYTES)
    yield cluster
    cluster.shutdown()
    if before is None:
        del os.environ["PYTHONPATH"]
    else:
        os.environ["PYTHONPATH"] = before


def at_work(node: Any) -> list[int]:
    """Processes of this node that do a piece just now."""
    (raylet,) = node.all_processes["raylet"]
    found = []
    for folder in Path("/proc").iterdir():
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == raylet.process.pid and (folder / "cmdline").read_bytes().startswith(b"ray::_do"):
                found.append(int(folder.name))
        except (OSError, ValueError):
            continue
    return found


def test_ray_gives_the_same_bytes_whatever_dies_on_the_way(
    start: Callable, cluster: Any, videos: Path, undisturbed: bytes, tmp_path: Path
) -> None:
    """A process of a node, then the driver, then a node; whoever starts again does not begin anew."""
    out = tmp_path / "out"
    command = ("replay", videos, "--out", out, "--engine", "ray", "--address", cluster.address)
    (other,) = cluster.worker_nodes
    nodes = (cluster.head_node, other)
    first = start(*command)
    wait_for(lambda: first.poll() is not None or len(pieces(out, "survey")) == 3, PATIENCE_S)
    workers = wait_for(lambda: [pid for node in nodes for pid in at_work(node)], PATIENCE_S)
    os.kill(workers[0], signal.SIGKILL)  # type: ignore[index]
    wait_for(lambda: first.poll() is not None or pieces(out, "watch", "events"), PATIENCE_S)
    assert first.poll() is None, first.communicate()
    first.kill()
    first.wait()
    assert not (out / "events.jsonl").exists()
    kept = {path: path.stat().st_mtime_ns for path in pieces(out, "survey", "events")}
    second = start(*command)
    wait_for(lambda: second.poll() is not None or at_work(other), PATIENCE_S)
    assert second.poll() is None, second.communicate()
    cluster.remove_node(other, allow_graceful=False)
    _, errors = second.communicate(timeout=PATIENCE_S)
    assert second.returncode == 0, errors
    assert (out / "events.jsonl").read_bytes() == undisturbed
    assert kept == {path: path.stat().st_mtime_ns for path in kept}
    audit = subprocess.run(
        [*BOWAM, "audit", str(out / "journal.db")], capture_output=True, text=True, timeout=PATIENCE_S
    )
    assert audit.returncode == 0, audit.stdout
    lines = [json.loads(line) for line in (out / "manifest.jsonl").read_text().splitlines()]
    assert [line["state"] for line in lines] == ["done"] * 3
