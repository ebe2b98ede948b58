"""Pieces of work on a Ray cluster: Ray places them, we say what they are and see to it that none is lost.

Each piece is one Ray task with as many CPUs as it has threads, and a share of a GPU if it is given one. Ray never
retries: which deaths count against a piece is decided here. One whose process dies is tried again, `TRIES` times in
all; one whose node dies is not to blame, and goes on elsewhere. Only so many tasks are out at a time, so that neither
memory nor the object store grows with the number of pieces, and nodes that join find work at once.
"""

import logging
import os
import pickle
import socket
import sys
import time
import traceback
from collections import Counter, deque
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Self

from bowam_model.errors import EngineError
from bowam_model.work.pieces import TRIES, Outcome, Piece, check_keys

log = logging.getLogger(__name__)

NODE_TRIES = 10
"""A piece that has lost so many nodes is set aside: it may be what kills them."""

AHEAD = 2  # tasks that wait for each one that runs, so that nobody waits for us
LEAST_AHEAD = 8  # also where the cluster has no node yet, so that one that grows on demand sees the demand
LOOK_EVERY_S = 1.0  # how often the size of the cluster is looked up
KNOCK_S = 10.0  # a cluster that does not answer for so long is not there
COMPLAIN_AFTER_S = 30.0  # nothing has begun since

INSTALL = "Ray is not installed; pip install -c constraints.txt 'bowam-stream[ray]'"


class Ray:
    """A Ray cluster as an engine. As a context manager it leaves the cluster again.

    Args:
        address: host:port of the cluster, or "auto" on one of its nodes; None starts one on this machine.
        gpus: share of a GPU for each piece.

    Raises EngineError where Ray is missing or can't be reached.
    """

    def __init__(self, address: str | None = None, *, gpus: float = 0.0) -> None:
        self._ray = _connected(address)
        self._gpus = gpus

    def run(
        self,
        pieces: Sequence[Piece],
        *,
        threads: int = 1,
        shared: tuple[Any, ...] = (),
        on_done: Callable[[Outcome], None] | None = None,
    ) -> list[Outcome]:
        """As `Engine.run`. Raises EngineError where the cluster is lost."""
        check_keys(pieces)
        crowd = _Crowd(self._ray, threads=threads, gpus=self._gpus, shared=shared)
        outcomes: dict[str, Outcome] = {}
        try:
            for outcome in crowd.outcomes(deque(pieces)):
                outcomes[outcome.key] = outcome
                if on_done:
                    on_done(outcome)
        finally:
            crowd.cancel()
        return [outcomes[piece.key] for piece in pieces]

    def nodes(self) -> int:
        """How many machines there are now."""
        return sum(node["Alive"] for node in self._ray.nodes())

    def close(self) -> None:
        """Leave the cluster; one that was started for us ends."""
        self._ray.shutdown()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Crowd:
    """The tasks of one run."""

    def __init__(self, ray: Any, *, threads: int, gpus: float, shared: tuple[Any, ...]) -> None:
        self._ray = ray
        self._threads, self._gpus = threads, gpus
        self._shared = ray.put(shared)
        self._task = ray.remote(_do).options(num_cpus=threads, num_gpus=gpus, max_retries=0)
        self._running: dict[Any, Piece] = {}
        self._deaths: Counter[str] = Counter()
        self._lost_nodes: Counter[str] = Counter()
        self._looked_s = self._moved_s = time.monotonic()
        self._room = self._look()

    def outcomes(self, left: deque[Piece]) -> Any:
        """Each piece's outcome, as they come."""
        while left or self._running:
            self._room = self._look() if time.monotonic() - self._looked_s > LOOK_EVERY_S else self._room
            while left and len(self._running) < self._room:
                piece = left.popleft()
                self._running[self._task.remote([self._shared], piece, self._threads)] = piece
            ready, _ = self._ray.wait(list(self._running), num_returns=1, timeout=LOOK_EVERY_S)
            self._complain(bool(ready))
            for reference in ready:
                piece = self._running.pop(reference)
                outcome = self._outcome(piece, reference)
                if outcome is None:
                    left.appendleft(piece)
                else:
                    yield outcome

    def _outcome(self, piece: Piece, reference: Any) -> Outcome | None:
        """What came of a task; None: it wants to be tried again."""
        errors = self._ray.exceptions
        try:
            good, what = self._ray.get(reference)
        except (errors.NodeDiedError, errors.ObjectLostError) as error:
            self._lost_nodes[piece.key] += 1
            log.warning("%s: its node is gone; it is done elsewhere", piece.key)
            if self._lost_nodes[piece.key] < NODE_TRIES:
                return None
            return Outcome(piece.key, failure=f"its node died {NODE_TRIES} times, lastly: {_line(error)}")
        except (errors.WorkerCrashedError, errors.OutOfMemoryError) as error:
            self._deaths[piece.key] += 1
            if self._deaths[piece.key] < TRIES:
                return None
            return Outcome(piece.key, failure=f"its process died {TRIES} times, lastly: {_line(error)}")
        except errors.RayTaskError as error:  # what it returned can't be sent, or what it got can't be read
            return Outcome(piece.key, failure=str(error))
        except errors.RayError as error:
            raise EngineError(f"the Ray cluster was lost: {_line(error)}; the same command goes on") from error
        return Outcome(piece.key, what) if good else Outcome(piece.key, failure=what)

    def _look(self) -> int:
        """How many tasks may be out, from what the cluster has now."""
        self._looked_s = time.monotonic()
        has = self._ray.cluster_resources()
        slots = has.get("CPU", 0) // self._threads
        if self._gpus:
            slots = min(slots, has.get("GPU", 0) // self._gpus)
        return max(int(slots) * AHEAD, LEAST_AHEAD)

    def _complain(self, moved: bool) -> None:
        """Say it where no node can take a piece: Ray would wait for ever without a word."""
        now_s = time.monotonic()
        if moved:
            self._moved_s = now_s
        has = self._ray.cluster_resources() if now_s - self._moved_s > COMPLAIN_AFTER_S else {}
        if has and (has.get("CPU", 0) < self._threads or has.get("GPU", 0) < self._gpus):
            share = f" and {self._gpus:g} GPUs" if self._gpus else ""
            log.warning("no node of the cluster has %d CPUs%s for a piece; waiting for one", self._threads, share)
            self._moved_s = now_s

    def cancel(self) -> None:
        """End what runs."""
        for reference in self._running:
            self._ray.cancel(reference, force=True)


_known: dict[str, tuple[Any, ...]] = {}  # what was shared last with this process, by its name in the object store


def _do(shared: list[Any], piece: Piece, threads: int) -> tuple[bool, Any]:
    """Runs there. `shared` comes as a reference in a list: a process fetches it once, and not with every piece."""
    import ray

    try:
        if torch := sys.modules.get("torch"):
            torch.set_num_threads(threads)
        name = shared[0].hex()
        if name not in _known:
            _known.clear()
            _known[name] = ray.get(shared[0])
        value = piece.function(*_known[name], *piece.arguments)
        pickle.dumps(value)  # Ray would also send what a local process can't: an engine must not make a difference
        return True, value
    except Exception:
        return False, traceback.format_exc()


def _connected(address: str | None) -> Any:
    """The ray module, connected. Raises EngineError."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is told to anybody
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
        import ray.exceptions
    except ImportError as error:
        raise EngineError(f"{INSTALL} ({error})") from None
    if address is not None and address.startswith("ray://"):
        raise EngineError(
            f"{address}: run this on a machine of the cluster and name host:port or auto; elsewhere, ray job submit"
        )
    if address is not None and address != "auto":
        _knock(address)
    try:
        if address is None:
            ray.init(address="local", include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
        else:
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, RuntimeError, ValueError, TimeoutError, OSError) as error:
        raise EngineError(f"can't reach Ray at {address or 'this machine'}: {_line(error)}") from None
    return ray


def _knock(address: str) -> None:
    """Ray waits for minutes where nobody answers. Raises EngineError."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=KNOCK_S).close()
    except ValueError:
        raise EngineError(f"{address} is no address of a Ray cluster: write host:port, such as 10.0.0.1:6379") from None
    except OSError as error:
        raise EngineError(
            f"can't reach Ray at {address}: {_line(error)}; start it there with: ray start --head"
        ) from None


def _line(error: BaseException) -> str:
    lines = [line for line in str(error).strip().splitlines() if line.strip()]
    return lines[0].strip() if lines else type(error).__name__
