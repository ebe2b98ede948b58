"""Pieces of work in processes of this machine."""

import os
import signal
import sys
import traceback
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from multiprocessing.reduction import ForkingPickler
from threading import Thread
from typing import Any

from bowam_model.work.pieces import TRIES, Bookkeeper, OnDone, Outcome, Piece

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
"""Read by the numerical libraries when they are loaded, so a process must be born with them."""


@dataclass(frozen=True)
class Local:
    """So many processes of this machine, fresh ones (spawn), which live as long as a run."""

    workers: int = 1

    def run(
        self,
        pieces: Sequence[Piece],
        *,
        threads: int = 1,
        shared: tuple[Any, ...] = (),
        on_done: OnDone | None = None,
        keep: bool = True,
    ) -> list[Outcome]:
        """As `Engine.run`. Raises RuntimeError if the processes cannot start."""
        books = Bookkeeper(pieces, on_done, keep)
        left, deaths = deque(pieces), Counter[str]()
        packed = bytes(ForkingPickler.dumps(shared))
        hands: list[_Hand] = []
        try:
            while left or any(hand.piece for hand in hands):
                while left and len(hands) < self.workers:
                    hands.append(_Hand(packed, threads))
                for hand in hands:
                    if left and hand.piece is None:
                        hand.give(left.popleft())
                busy = {hand.connection: hand for hand in hands if hand.piece}
                for ready in wait(list(busy)):
                    hand = busy[ready]  # type: ignore[index]  # what we gave in
                    piece, outcome = hand.take()
                    if outcome is None:
                        hands.remove(hand)
                        deaths[piece.key] += 1
                        if deaths[piece.key] < TRIES:
                            left.appendleft(piece)
                            continue
                        outcome = Outcome(piece.key, failure=f"its process died {TRIES} times, lastly {hand.epitaph()}")
                    left.extendleft(reversed(books.done(outcome)))
            for hand in hands:
                hand.dismiss()
        finally:
            for hand in hands:
                hand.kill()
        return books.result()

    def nodes(self) -> int:
        """One."""
        return 1


class _Hand:
    """A process at work, seen from ours."""

    def __init__(self, packed: bytes, threads: int) -> None:
        context = get_context("spawn")
        self.piece: Piece | None = None
        self.connection, far = context.Pipe()
        self._process: SpawnProcess = context.Process(target=_serve, args=(far, threads), daemon=True)
        with _born_with(threads):
            self._process.start()
        far.close()
        try:
            self.connection.send_bytes(packed)
            failure = self.connection.recv()
        except (EOFError, OSError):
            failure = f"it ended with {self.epitaph()}"
        if failure:
            self.kill()
            raise RuntimeError(f"a working process cannot start: {failure}")

    def give(self, piece: Piece) -> None:
        """Let it do a piece; that it may be dead shows in `take`."""
        self.piece = piece
        with suppress(OSError):
            self.connection.send(piece)

    def take(self) -> tuple[Piece, Outcome | None]:
        """The outcome of its piece; None if it died of it."""
        piece, self.piece = self.piece, None
        assert piece is not None
        try:
            good, what = self.connection.recv()
        except (EOFError, OSError):
            self.kill()
            return piece, None
        return piece, Outcome(piece.key, what) if good else Outcome(piece.key, failure=what)

    def epitaph(self) -> str:
        """How it ended."""
        self._process.join()
        code = self._process.exitcode or 0
        return f"by signal {signal.Signals(-code).name}" if code < 0 else f"with exit status {code}"

    def dismiss(self) -> None:
        """Let it end by itself."""
        self.connection.close()
        self._process.join(timeout=10)

    def kill(self) -> None:
        """End it now, whatever it does. May be called again."""
        self._process.kill()
        self._process.join()
        self.connection.close()


@contextmanager
def _born_with(threads: int) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, str(threads)))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _serve(connection: Connection, threads: int) -> None:
    """The life of a process: what is shared first, then piece after piece until the connection is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; our parent ends us
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    Thread(target=_follow_parent, daemon=True).start()
    try:
        shared = connection.recv()
    except Exception:
        connection.send(traceback.format_exc())
        return
    connection.send(None)
    while True:
        try:
            piece = connection.recv()
            if torch := sys.modules.get("torch"):
                torch.set_num_threads(threads)
            answer = ForkingPickler.dumps((True, piece.function(*shared, *piece.arguments)))
        except EOFError:
            return
        except Exception:
            answer = ForkingPickler.dumps((False, traceback.format_exc()))
        connection.send_bytes(answer)


def _follow_parent() -> None:
    """A parent that was killed cannot end us, and another run may soon write where we write."""
    if parent := parent_process():
        parent.join()
        os._exit(1)
