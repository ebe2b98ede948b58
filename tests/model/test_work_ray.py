"""The same pieces on a Ray cluster of several nodes: the same outcomes, whatever dies on the way."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from bowam_model.errors import EngineError
from bowam_model.protocol import run_protocol
from bowam_model.work import TRIES, Local, Outcome, Piece
from tests.model import pretenders
from tests.model.pretenders import NearestMean, examples_of
from tests.model.test_protocol import INNER, records

cluster_utils = pytest.importorskip("ray.cluster_utils", reason="Ray is not installed")
from bowam_model.work.on_ray import Ray  # noqa: E402

pytestmark = [pytest.mark.system, pytest.mark.slow]

STORE_BYTES = 80 * 2**20


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A head that does nothing itself; the tests add nodes of one CPU."""
    os.environ["PYTHONPATH"] = str(Path(__file__).parents[2])  # the nodes' processes find the tests
    head = {"num_cpus": 0, "object_store_memory": STORE_BYTES, "include_dashboard": False}
    cluster = cluster_utils.Cluster(initialize_head=True, head_node_args=head)
    yield cluster
    cluster.shutdown()


@pytest.fixture
def nodes(cluster: Any) -> Iterator[list[Any]]:
    nodes = [cluster.add_node(num_cpus=1, object_store_memory=STORE_BYTES) for _ in range(2)]
    yield nodes
    for node in nodes:
        if node in cluster.worker_nodes:
            cluster.remove_node(node)


@pytest.fixture
def engine(cluster: Any, nodes: list[Any]) -> Iterator[Ray]:
    with Ray(cluster.address) as engine:
        yield engine


def test_outcomes_are_those_of_local_processes(engine: Ray, tmp_path: Path) -> None:
    """In the order of the pieces; what raises, what can't be sent and what dies has a reason, the others go on."""
    pieces = [
        *(Piece(str(value), pretenders.add, (value,)) for value in range(5)),
        Piece("raises", pretenders.add, ("text",)),
        Piece("once", pretenders.die_unless_shared, (tmp_path / "died", 5)),
        Piece("always", pretenders.die_shared),
        Piece("unpicklable", pretenders.unpicklable_shared),
    ]
    heard: list[Outcome] = []
    outcomes = engine.run(pieces, shared=(100,), on_done=heard.append)
    assert [(one.key, one.value) for one in outcomes[:5]] == [(str(value), 100 + value) for value in range(5)]
    by_key = {one.key: one for one in outcomes}
    assert "TypeError" in str(by_key["raises"].failure)
    assert by_key["once"].value == 5
    assert f"its process died {TRIES} times" in str(by_key["always"].failure)
    assert "pickle" in str(by_key["unpicklable"].failure)
    assert sorted(heard, key=lambda one: one.key) == sorted(outcomes, key=lambda one: one.key)
    (outcome,) = engine.run([Piece("it", pretenders.threads_of)])
    assert outcome.value == ("1", 1)


def test_a_node_that_dies_takes_no_piece_with_it(engine: Ray, cluster: Any, nodes: list[Any], tmp_path: Path) -> None:
    """What it worked on is done elsewhere; a node that joins later works too."""
    heard: list[Outcome] = []

    def disturb(outcome: Outcome) -> None:
        heard.append(outcome)
        if len(heard) == 2:
            done = {one.key for one in heard}
            at_work = {path.read_text() for path in tmp_path.glob("*") if path.name.split("-")[0] not in done}
            dying = next(node for node in nodes if node.node_id in at_work)
            cluster.remove_node(dying, allow_graceful=False)
            nodes.append(cluster.add_node(num_cpus=1, object_store_memory=STORE_BYTES))

    pieces = [Piece(str(number), pretenders.note_and_sleep, (tmp_path, number, 4.0)) for number in range(7)]
    outcomes = engine.run(pieces, on_done=disturb)
    assert len(list(tmp_path.glob("*"))) > 7, "the node died in the middle of a piece"
    assert [one.value for one in outcomes] == list(range(7)), [one.failure for one in outcomes]
    assert engine.nodes() == 3


def test_folds_have_the_same_bits_on_ray_also_where_a_worker_and_a_node_die(
    engine: Ray, cluster: Any, nodes: list[Any], tmp_path: Path
) -> None:
    """Against local processes that nobody disturbed; the killed fold goes on from its checkpoint."""
    examples = examples_of(np.full((6, 3), 2))
    settings = msgspec.structs.replace(INNER, seeds=(0, 5), oracle=True)
    learner = NearestMean(epochs=4, best=2, noise=1.0)
    run_protocol([learner], examples, settings, tmp_path / "local", engine=Local(2))
    cut = NearestMean(epochs=4, best=2, noise=1.0, cut=tmp_path / "was cut")
    removed: list[Any] = []

    def remove_a_node(what: str, done: int, total: int) -> None:
        if done == 4 and not removed:
            removed.append(nodes[1])
            cluster.remove_node(nodes[1], allow_graceful=False)

    run_protocol([cut], examples, settings, tmp_path / "ray", engine=engine, on_progress=remove_a_node)
    assert (tmp_path / "was cut").exists()
    assert removed
    assert records(tmp_path / "ray") == records(tmp_path / "local")


def test_a_driver_that_was_killed_goes_on_when_it_is_started_again(
    cluster: Any, nodes: list[Any], tmp_path: Path
) -> None:
    """Finished folds are taken, and the result is that of a run that nobody killed."""
    program = tmp_path / "program.py"
    program.write_text(
        "import sys, time, numpy as np, msgspec; from pathlib import Path\n"
        "from bowam_model.protocol import run_protocol; from bowam_model.work.on_ray import Ray\n"
        "from tests.model.pretenders import NearestMean, examples_of; from tests.model.test_protocol import INNER\n"
        "def hear(what, done, total):\n"
        "    print(done, flush=True)\n"
        "    time.sleep(float(sys.argv[3]))\n"
        "with Ray(sys.argv[1]) as engine:\n"
        "    run_protocol([NearestMean(epochs=4, best=2, noise=1.0)], examples_of(np.full((6, 3), 2)),\n"
        "        INNER, Path(sys.argv[2]), engine=engine, on_progress=hear)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}

    def start(pause_s: float) -> "subprocess.Popen[str]":
        command = [sys.executable, str(program), cluster.address, str(tmp_path / "ray"), str(pause_s)]
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)

    with start(0.5) as driver:
        assert driver.stdout is not None
        for line in driver.stdout:
            if int(line) >= 2:
                driver.send_signal(signal.SIGKILL)
                break
    assert driver.returncode == -signal.SIGKILL
    with start(0.0) as driver:
        assert driver.stdout is not None
        said = [int(line) for line in driver.stdout]
    assert driver.returncode == 0
    assert said[0] >= 2, "it began with what was done"
    whole = tmp_path / "whole"
    run_protocol([NearestMean(epochs=4, best=2, noise=1.0)], examples_of(np.full((6, 3), 2)), INNER, whole)
    assert records(tmp_path / "ray") == records(whole)


def test_pieces_follow_from_outcomes_and_who_waits_for_a_gpu_holds_up_nobody(cluster: Any, engine: Ray) -> None:
    """They are done where a share of one is there."""
    heard: list[str] = []
    joined: list[Any] = []

    def hear(outcome: Outcome) -> list[Piece]:
        heard.append(outcome.key)
        if outcome.key.startswith("a"):
            return [Piece(outcome.key.replace("a", "b"), pretenders.add, (1, 2), gpus=0.5)]
        return []

    def hear_and_join(outcome: Outcome) -> list[Piece]:
        following = hear(outcome)
        if len(heard) == 30:  # no GPU yet: all that needs none is done all the same
            assert all(key.startswith("a") for key in heard)
            joined.append(cluster.add_node(num_cpus=1, num_gpus=1, object_store_memory=STORE_BYTES))
        return following

    try:
        pieces = [Piece(f"a{n}", pretenders.add, (1, n)) for n in range(30)]
        assert engine.run(pieces, on_done=hear_and_join, keep=False) == []
    finally:
        for node in joined:
            cluster.remove_node(node)
    assert sorted(heard) == sorted([*(f"a{n}" for n in range(30)), *(f"b{n}" for n in range(30))])


def test_memory_does_not_grow_with_the_number_of_pieces(engine: Ray) -> None:
    """Ten times what the object store holds goes through it."""
    heard = 0

    def hear(outcome: Outcome) -> None:
        nonlocal heard
        assert outcome.failure is None
        heard += len(outcome.value)

    pieces = [Piece(str(number), pretenders.bulky, (number, 8 * 2**20)) for number in range(100)]
    engine.run(pieces, on_done=hear)
    assert heard == 100 * 8 * 2**20


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("127.0.0.1:1", "can't reach Ray at 127.0.0.1:1: .*refused"),
        ("nowhere", "write host:port"),
        ("ray://there:10001", "ray job submit"),
    ],
)
def test_a_cluster_that_is_not_there_is_one_clear_error(address: str, words: str) -> None:
    """In one line."""
    with pytest.raises(EngineError, match=words):
        Ray(address)
