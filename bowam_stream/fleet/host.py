"""A crew on its node: the processes that shall run there, started, watched, and tried again whatever they end of.

Whoever supervises the fleet says again and again what shall run (`turn`), and hears how it is. A host that was started
again somewhere else needs no memory for that.
"""

import contextlib
import http.client
import logging
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Literal, Protocol

import msgspec

from bowam_stream.addresses import redact
from bowam_stream.config import Config, save_config
from bowam_stream.errors import ProcessFailed, StreamError, one_line
from bowam_stream.fleet.orders import Orders, capture_arguments, may_end, name_of, settings_of, worker_arguments
from bowam_stream.fleet.plan import Capture, Worker
from bowam_stream.pipeline.folder import private_folder
from bowam_stream.pipeline.supervisor import Child, Supervisor

log = logging.getLogger(__name__)

ASK_EVERY_S, ASK_S = 1.0, 0.5  # how often a process is asked whether it is ready, and how long it may think
FIRST_PAUSE_S, LAST_PAUSE_S = 2.0, 60.0  # before what failed is tried again; doubles, and falls back once it ran
WELL_S = 60.0  # who ran for so long had not failed at the start

State = Literal["starting", "running", "failed", "ended"]


class Condition(msgspec.Struct, frozen=True):
    """How one process is."""

    state: State
    why: str | None = None  # not running, or not any more


class Report(msgspec.Struct, frozen=True):
    """How the processes of a crew are, and where."""

    node: str  # for people
    address: str  # of the node
    conditions: dict[str, Condition]  # by process: see `name_of`


class Ask(Protocol):
    """Asks the process that serves its metrics there why it is not ready; None if it is. Raises TimeoutError."""

    def __call__(self, host: str, port: int) -> str | None: ...


def ask(host: str, port: int) -> str | None:
    """What /readyz says there, never by a proxy. Raises TimeoutError: it is there, and busy."""
    connection = http.client.HTTPConnection(host, port, timeout=ASK_S)
    try:
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        said = answer.read(1000).decode(errors="replace").strip()
        return None if answer.status == http.HTTPStatus.OK else one_line(said)
    except TimeoutError:
        raise
    except (OSError, http.client.HTTPException):
        return "it does not answer yet"
    finally:
        connection.close()


class Post:
    """One process that shall run."""

    def __init__(self, name: str, port: int) -> None:
        """`port`: of its metrics."""
        self.name = name
        self.arguments: list[str] | None = None  # with which it was started last
        self._port = port
        self._child: Child | None = None
        self._condition = Condition("starting")
        self._started_s = self._again_s = self._ask_s = 0.0
        self._pause_s = FIRST_PAUSE_S

    def turn(self, wanted: list[str], host: str, supervisor: Supervisor, ask: Ask, now_s: float) -> Condition:
        """See to it that it runs with these arguments, and tell how it is."""
        if wanted != self.arguments:
            self._dismiss(supervisor)
            self.arguments, self._condition = wanted, Condition("starting")
            self._again_s, self._pause_s = now_s, FIRST_PAUSE_S
        if self._child is None:
            if self._condition.state == "ended" or now_s < self._again_s:
                return self._condition
            self._child = supervisor.start(self.name, wanted)
            self._started_s = self._ask_s = now_s
            self._condition = Condition("starting")
        try:
            self._child.watch(now_s)
            if not self._child.running and not may_end(wanted):
                raise ProcessFailed(f"the {self.name} process ended without being asked to")
        except ProcessFailed as error:
            self._dismiss(supervisor)
            if now_s - self._started_s >= WELL_S:
                self._pause_s = FIRST_PAUSE_S
            self._again_s, pause_s = now_s + self._pause_s, self._pause_s
            self._pause_s = min(2 * self._pause_s, LAST_PAUSE_S)
            return self.fail(f"{error}; trying again after {pause_s:.0f} s")
        if not self._child.running:
            self._dismiss(supervisor)
            self._condition = Condition("ended")
        elif now_s >= self._ask_s:
            self._ask_s = now_s + ASK_EVERY_S
            with contextlib.suppress(TimeoutError):  # whether it hangs, the supervisor knows
                why = ask(host, self._port)
                self._condition = Condition("running") if why is None else Condition("starting", why)
        return self._condition

    def fail(self, why: str) -> Condition:
        """It does not run."""
        told, self._condition = self._condition, Condition("failed", redact(why))
        if self._condition != told:
            log.warning("%s: %s", self.name, self._condition.why)
        return self._condition

    def _dismiss(self, supervisor: Supervisor) -> None:
        if self._child is not None:
            supervisor.dismiss(self._child)
            self._child = None


class Host:
    """The processes of one crew on this node."""

    def __init__(
        self,
        crew: str,
        address: str = "",
        *,
        supervisor: Supervisor | None = None,
        ask: Ask = ask,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """`address`: of this node; without one, as Ray says."""
        self._crew = crew
        self._address, self._node = (address, socket.gethostname()) if address else _by_ray()
        self._stack = ExitStack()
        self._folder = self._stack.enter_context(private_folder())
        self._supervisor = supervisor or Supervisor()
        self._ask = ask
        self._now_s = now_s
        self._posts: dict[str, Post] = {}
        self._saved = b""

    def __repr__(self) -> str:  # what Ray's dashboard calls this actor
        return f"bowam fleet: {self._crew}"

    def turn(self, orders: Orders) -> Report:
        """Let run what shall run, and nothing else. Raises nothing that a process did."""
        config = settings_of(orders, self._address)
        file = self._folder / "config.json"
        if orders.config != self._saved:  # never while a process may read it
            save_config(config, file)
            self._saved = orders.config
        conditions = {}
        worker = orders.crew.worker
        for process in (*((worker,) if worker else ()), *orders.crew.captures):
            conditions[name_of(process)] = self._see_to(process, orders, config, file)
        return Report(self._node, self._address, conditions)

    def end(self) -> None:
        """End all of them, captures first, so that what is on the way still arrives."""
        self._supervisor.end()
        self._stack.close()

    def _see_to(self, process: Capture | Worker, orders: Orders, config: Config, file: Path) -> Condition:
        name = name_of(process)
        if (post := self._posts.get(name)) is None:
            post = self._posts[name] = Post(name, process.metrics_port)
        try:
            if isinstance(process, Capture):
                arguments: list[str] | None = capture_arguments(process, orders, self._address, config, file)
            else:
                Path(orders.journals).mkdir(parents=True, exist_ok=True)
                arguments = worker_arguments(process, orders, self._address, config, file)
        except (StreamError, OSError) as error:
            if post.arguments is None:
                return post.fail(str(error))
            arguments = post.arguments
        if arguments is None:
            return Condition("starting", "none of its cameras has a node yet")
        return post.turn(arguments, config.metrics.host, self._supervisor, self._ask, self._now_s())


def _by_ray() -> tuple[str, str]:
    """Address of the node on which this actor lives, and what `nodes` of a cluster calls it."""
    import ray

    address = ray.util.get_node_ip_address()
    return address, node_name(socket.gethostname(), address, ray.get_runtime_context().get_node_id())


def node_name(host: str, address: str, identity: str) -> str:
    """What a node of a cluster is called: several may be on one machine."""
    return f"{host} ({address}, {identity[:6]})"
