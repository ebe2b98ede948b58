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
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Any, Self

from bowam_model.errors import EngineError
from bowam_model.work.pieces import TRIES, Bookkeeper, OnDone, Outcome, Piece

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
        gpus: share of a GPU for each piece that does not name its own.

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
        on_done: OnDone | None = None,
        keep: bool = True,
    ) -> list[Outcome]:
        """As `Engine.run`. Raises EngineError where the cluster is lost."""
        books = Bookkeeper(pieces, on_done, keep)
        crowd = _Crowd(self._ray, threads=threads, gpus=self._gpus, shared=shared)
        try:
            crowd.add(pieces)
            for outcome in crowd.outcomes():
                crowd.add(books.done(outcome), first=True)
        finally:
            crowd.cancel()
        return books.result()

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
        self._task = ray.remote(_do)
        self._left: dict[
            float, deque[Piece]
        ] = {}  # by share of a GPU: pieces that wait for one must not hold up others
        self._running: dict[Any, Piece] = {}
        self._out: Counter[float] = Counter()  # how many of each share run
        self._deaths: Counter[str] = Counter()
        self._lost_nodes: Counter[str] = Counter()
        self._looked_s = self._moved_s = time.monotonic()
        self._has: dict[str, float] = ray.cluster_resources()

    def add(self, pieces: Sequence[Piece], *, first: bool = False) -> None:
        """More to do, `first` or last."""
        for piece in reversed(pieces) if first else pieces:
            left = self._left.setdefault(self._share(piece), deque())
            (left.appendleft if first else left.append)(piece)

    def outcomes(self) -> Iterator[Outcome]:
        """Each piece's outcome, as they come."""
        while any(self._left.values()) or self._running:
            if time.monotonic() - self._looked_s > LOOK_EVERY_S:
                self._has, self._looked_s = self._ray.cluster_resources(), time.monotonic()
            for gpus, left in self._left.items():
                task = self._task.options(num_cpus=self._threads, num_gpus=gpus, max_retries=0)
                while left and self._out[gpus] < self._room(gpus):
                    piece = left.popleft()
                    self._running[task.remote([self._shared], piece, self._threads)] = piece
                    self._out[gpus] += 1
            ready, _ = self._ray.wait(list(self._running), num_returns=1, timeout=LOOK_EVERY_S)
            self._complain(bool(ready))
            for reference in ready:
                piece = self._running.pop(reference)
                self._out[self._share(piece)] -= 1
                outcome = self._outcome(piece, reference)
                if outcome is None:
                    self.add([piece], first=True)
                else:
                    yield outcome

    def _share(self, piece: Piece) -> float:
        return self._gpus if piece.gpus is None else piece.gpus

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

    def _room(self, gpus: float) -> int:
        """How many tasks of this share may be out, from what the cluster has now."""
        slots = self._has.get("CPU", 0) // self._threads
        if gpus:
            slots = min(slots, self._has.get("GPU", 0) // gpus)
        return max(int(slots) * AHEAD, LEAST_AHEAD)

    def _complain(self, moved: bool) -> None:
        """Say it where no node can take a piece: Ray would wait for ever without a word."""
        now_s = time.monotonic()
        if moved:
            self._moved_s = now_s
        if now_s - self._moved_s <= COMPLAIN_AFTER_S:
            return
        gpus = max(map(self._share, self._running.values()), default=0.0)
        if self._has.get("CPU", 0) < self._threads or self._has.get("GPU", 0) < gpus:
            share = f" and {gpus:g} GPUs" if gpus else ""
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
            os.environ.setdefault("RAY_worker_niceness", "0")  # else 15: whatever else runs here would come first
            ray.init(address="local", include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
        else:
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except Exception as error:  # a start that takes too long raises just that
        where = f"at {address}" if address else "on this machine"
        raise EngineError(f"can't reach Ray {where}: {_line(error)}; does it want a token (RAY_AUTH_MODE)?") from None
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
