"""A fleet on a Ray cluster: each crew is an actor, which Ray places, and starts again elsewhere when its node dies.

An actor is made of nothing but code: what it shall run, and with which passwords, it hears in every turn, straight from
us. So Ray's tables and dashboards, and an actor's restart, need to know none of it.
"""

import time
from collections.abc import Iterable, Mapping
from typing import Any

from bowam_model.errors import EngineError
from bowam_model.work.on_ray import Ray
from bowam_stream.addresses import redact
from bowam_stream.errors import one_line
from bowam_stream.fleet.board import Answer
from bowam_stream.fleet.host import Host, node_name
from bowam_stream.fleet.orders import Orders
from bowam_stream.fleet.plan import Crew, lacking

SILENT_S = 10.0  # a node that has not answered for so long may be dead: Ray needs longer to be sure of it
END_S = 45.0  # how long a crew may take to end
AGAIN_S = 5.0  # before an actor that Ray gave up is made anew
LOOKING = "Ray looks for a node"
DIED = "its node or its process died; Ray starts it again"


class Cluster:
    """The nodes of a Ray cluster. Raises EngineError where it can't be reached, or is lost."""

    def __init__(self, address: str | None) -> None:
        self._engine = Ray(address)
        import ray

        self._ray = ray
        self._crews: dict[str, Crew] = {}
        self._actors: dict[str, Any] = {}
        self._asked: dict[str, tuple[Any, float]] = {}  # by crew: a question under way, and since when
        self._placed: set[str] = set()
        self._has: list[dict[str, float]] | None = None  # what the nodes have, in this turn
        self._lost: set[str] = set()  # were placed, and are no more
        self._dead: dict[str, float] = {}  # by crew: when to make its actor anew

    def nodes(self) -> dict[str, dict[str, float]]:
        """What each node has in all, by its name for people."""
        return {
            node_name(node["NodeManagerHostname"], node["NodeManagerAddress"], node["NodeID"]): node["Resources"]
            for node in self._ray.nodes()
            if node["Alive"]
        }

    def open(self, crews: Iterable[Crew]) -> None:
        """An actor for each."""
        self._crews = {crew.name: crew for crew in crews}
        for name, crew in self._crews.items():
            self._actors[name] = self._new(crew)

    def turn(self, orders: Mapping[str, Orders]) -> dict[str, Answer]:
        """Ask every crew that has answered, and take the answers that have come."""
        now_s = time.monotonic()
        self._has = None
        for name, actor in self._actors.items():
            if name not in self._asked and now_s >= self._dead.get(name, 0.0):
                if self._dead.pop(name, None):
                    actor = self._actors[name] = self._new(self._crews[name])
                self._asked[name] = (actor.turn.remote(orders[name]), now_s)
        waiting = [reference for reference, _ in self._asked.values()]
        ready, _ = self._ray.wait(waiting, num_returns=len(waiting), timeout=0) if waiting else ([], [])
        there = set(ready)
        answers: dict[str, Answer] = {}
        for name, (reference, since_s) in list(self._asked.items()):
            if reference in there:
                del self._asked[name]
                answers[name] = self._answer(name, reference, now_s)
            elif name not in self._placed:
                answers[name] = self._why_not(name, now_s - since_s)
            elif now_s - since_s > SILENT_S:
                answers[name] = "its node does not answer"
        return answers

    def close(self) -> None:
        """End all crews, and leave the cluster. What does not end is killed."""
        ends = [actor.end.remote() for name, actor in self._actors.items() if name in self._placed]
        try:
            if ends:
                self._ray.wait(ends, num_returns=len(ends), timeout=END_S)
            for actor in self._actors.values():
                self._ray.kill(actor)
        finally:
            self._engine.close()

    def _new(self, crew: Crew) -> Any:
        needs = dict(crew.needs)
        options = self._ray.remote(Host).options(
            num_cpus=needs.pop("CPU", 0),
            num_gpus=needs.pop("GPU", 0),
            resources=needs,
            scheduling_strategy="SPREAD",
            max_restarts=-1,
            max_task_retries=0,
        )
        return options.remote(crew.name)

    def _answer(self, name: str, reference: Any, now_s: float) -> Answer:
        errors = self._ray.exceptions
        try:
            report = self._ray.get(reference)
            self._placed.add(name)
            self._lost.discard(name)
            return report
        except errors.RayTaskError as error:
            return redact(one_line(_last_line(error)))
        except errors.RayActorError as error:
            if name in self._placed:
                self._placed.discard(name)
                self._lost.add(name)
                return DIED
            if not isinstance(error, errors.ActorDiedError):
                return self._why_not(name, 0.0)
            self._dead[name] = now_s + AGAIN_S  # it could not even begin: Ray does not start that again
            return redact(one_line(f"Ray could not start it: {_last_line(error)}"))
        except errors.RayError as error:
            raise EngineError(f"the Ray cluster was lost: {_last_line(error)}; the same command starts anew") from error

    def _why_not(self, name: str, waited_s: float) -> str:
        """Why a crew has no node yet, or no more."""
        if self._has is None:
            self._has = list(self.nodes().values())
        if why := lacking(self._crews[name].needs, self._has):
            return why
        if name in self._lost:
            return DIED
        return LOOKING if waited_s < SILENT_S else f"{LOOKING}; those that could take it may be full"


def _last_line(error: BaseException) -> str:
    lines = [line for line in str(error).strip().splitlines() if line.strip()]
    return lines[-1].strip() if lines else type(error).__name__
