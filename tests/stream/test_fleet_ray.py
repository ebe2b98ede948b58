"""Crews as Ray's actors, with a Ray that does what the test says; with a real one: tests/system/test_fleet.py."""

import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from bowam_model.errors import EngineError
from bowam_stream.config import Config
from bowam_stream.fleet import on_ray
from bowam_stream.fleet.board import Board
from bowam_stream.fleet.host import Condition, Host, Report
from bowam_stream.fleet.on_ray import AGAIN_S, DIED, LOOKING, SILENT_S, Cluster
from bowam_stream.fleet.plan import plan
from bowam_stream.fleet.settings import CameraSettings, FleetSettings

SECRET = "Geh3im"
REPORT = Report("node", "10.0.0.7", {"worker worker-1": Condition("running"), "capture door": Condition("running")})


class RayError(Exception): ...


class RayTaskError(RayError): ...


class RayActorError(RayError): ...


class ActorDiedError(RayActorError): ...


class FakeRay:
    """A cluster whose answers the test gives."""

    exceptions = SimpleNamespace(
        RayError=RayError, RayTaskError=RayTaskError, RayActorError=RayActorError, ActorDiedError=ActorDiedError
    )

    def __init__(self) -> None:
        self.made: list[tuple[Any, ...]] = []  # constructor arguments of every actor
        self.options: dict[str, Any] = {}
        self.answer: Any = None  # of the next question that is looked at; None: not yet
        self.ended, self.killed, self.closed = 0, 0, False
        self.has: list[dict[str, float]] = [{"CPU": 4.0}]
        self.t_s = 1000.0

    def remote(self, kind: type) -> "FakeRay":
        assert kind is Host
        return SimpleNamespace(options=self._options)  # type: ignore[return-value]

    def _options(self, **options: Any) -> Any:
        self.options = options

        def make(*arguments: Any) -> Any:
            self.made.append(arguments)
            return SimpleNamespace(turn=SimpleNamespace(remote=self._ask), end=SimpleNamespace(remote=self._end))

        return SimpleNamespace(remote=make)

    def _ask(self, orders: Any) -> object:
        return object()

    def _end(self) -> object:
        self.ended += 1
        return object()

    def wait(self, references: list[object], **_: Any) -> tuple[list[object], list[object]]:
        return (references, []) if self.answer is not None else ([], references)

    def get(self, reference: object) -> Any:
        answer, self.answer = self.answer, None
        if isinstance(answer, Exception):
            raise answer
        return answer

    def kill(self, actor: Any) -> None:
        self.killed += 1

    def nodes(self) -> list[dict[str, Any]]:
        return [
            {"Alive": alive, "NodeID": "abcdef0123", "NodeManagerHostname": "pc7", "NodeManagerAddress": "10.0.0.7"}
            | {"Resources": has}
            for alive, resources in ((True, self.has), (False, [{"CPU": 99.0, "door": 1.0}]))
            for has in resources
        ]

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch) -> FakeRay:
    fake = FakeRay()
    monkeypatch.setitem(sys.modules, "ray", fake)  # type: ignore[arg-type]
    monkeypatch.setattr(on_ray, "Ray", lambda address: fake)
    monkeypatch.setattr(on_ray, "time", SimpleNamespace(monotonic=lambda: fake.t_s))
    return fake


class Fleet:
    """One crew on that cluster."""

    def __init__(self, pin: str | None = None) -> None:
        camera = CameraSettings(name="door", source=f"rtsp://u:{SECRET}@h/x", pin=pin)
        self.plan = plan(FleetSettings(cameras=(camera,)))
        self.board = Board(self.plan, Config(), "journals")
        self.cluster = Cluster("10.0.0.1:6379")
        self.cluster.open(self.plan.crews)

    def turn(self) -> Any:
        return self.cluster.turn(self.board.orders()).get("worker-1")


@pytest.fixture
def fleet(ray: FakeRay) -> Iterator[Fleet]:
    fleet = Fleet()
    yield fleet
    fleet.cluster.close()
    assert ray.closed


def test_ray_is_told_what_a_crew_needs_and_nothing_of_its_cameras(ray: FakeRay) -> None:
    """An actor's arguments stand in Ray's tables: a name is all of them. It is started again for ever."""
    Fleet(pin="door")
    assert ray.made == [("worker-1",)]
    assert SECRET not in repr((ray.made, ray.options))
    assert ray.options == {
        "num_cpus": 1.3,
        "num_gpus": 0,
        "resources": {"door": 0.001},
        "scheduling_strategy": "SPREAD",
        "max_restarts": -1,
        "max_task_retries": 0,
    }


def test_a_crew_waits_for_its_node_and_says_why(ray: FakeRay) -> None:
    """What no living node has; then that Ray looks for one; then nothing but its reports."""
    fleet = Fleet(pin="door")
    assert fleet.turn() == "no node has 1.3 CPU and door; it waits for one"
    ray.has.append({"CPU": 2.0, "door": 1.0})
    assert fleet.turn() == LOOKING
    ray.t_s += SILENT_S
    assert "may be full" in fleet.turn()
    ray.answer = REPORT
    assert fleet.turn() == REPORT
    assert fleet.turn() is None, "nothing new"


def test_a_node_that_dies_is_left_to_ray(ray: FakeRay, fleet: Fleet) -> None:
    """The same actor comes back elsewhere; meanwhile one reason is told, not two in turns."""
    ray.answer = REPORT
    fleet.turn()
    for _ in range(3):
        ray.answer = RayActorError("unavailable")
        assert fleet.turn() == DIED
        assert fleet.turn() == DIED
    ray.has = [{"CPU": 1.0}]
    ray.answer = RayActorError("unavailable")
    assert fleet.turn() == fleet.turn() == "no node has 1.3 CPU; it waits for one"
    ray.answer = REPORT
    assert fleet.turn() == REPORT
    assert len(ray.made) == 1


def test_an_actor_that_ray_gave_up_is_made_anew(ray: FakeRay, fleet: Fleet) -> None:
    """As one whose node lacks our package: not at once, and again and again."""
    for made in (1, 2, 3):
        ray.answer = ActorDiedError("The actor died.\nModuleNotFoundError: No module named 'bowam_stream'")
        assert fleet.turn() == "Ray could not start it: ModuleNotFoundError: No module named 'bowam_stream'"
        ray.t_s += AGAIN_S / 2
        assert fleet.turn() is None
        assert len(ray.made) == made
        ray.t_s += AGAIN_S / 2
        fleet.turn()
        assert len(ray.made) == made + 1


def test_what_goes_wrong_on_a_node_is_said_without_credentials(ray: FakeRay, fleet: Fleet) -> None:
    """A bug there, a node that is silent, a cluster that is gone."""
    ray.answer = RayTaskError(f"Traceback ...\nValueError: rtsp://u:{SECRET}@h/x")
    assert fleet.turn() == "ValueError: rtsp://***@h/x"
    ray.answer = REPORT
    fleet.turn()
    assert fleet.turn() is None
    ray.t_s += SILENT_S + 1
    assert fleet.turn() == "its node does not answer"
    ray.answer = RayError("gone")
    with pytest.raises(EngineError, match="the Ray cluster was lost: gone"):
        fleet.turn()


def test_crews_that_have_a_node_are_ended_and_all_are_let_go(ray: FakeRay) -> None:
    """One that waits has nothing to end."""
    fleet = Fleet()
    fleet.cluster.close()
    assert (ray.ended, ray.killed, ray.closed) == (0, 1, True)
    fleet = Fleet()
    ray.answer = REPORT
    fleet.turn()
    fleet.cluster.close()
    assert (ray.ended, ray.killed) == (1, 2)


def test_nodes_are_named_as_a_crew_names_its_own(ray: FakeRay) -> None:
    """Those that live, with what they have."""
    assert Fleet().cluster.nodes() == {"pc7 (10.0.0.7, abcdef)": {"CPU": 4.0}}
