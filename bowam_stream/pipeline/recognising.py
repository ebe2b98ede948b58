"""Recognition beside spotting: live, a network that takes its time must not make frames wait.

Replays don't come here: their candidates are recognised where they are found, one after the other.
"""

import logging
import queue
import subprocess
import sys
import threading
from collections.abc import Sequence
from types import TracebackType
from typing import Self

import msgspec

from bowam_model.errors import ModelError
from bowam_model.predictor import Predictor
from bowam_stream import clock
from bowam_stream.messages import Candidate, Event
from bowam_stream.metrics import WorkerMetrics, timed
from bowam_stream.worker import Recogniser

log = logging.getLogger(__name__)

GATHER_S = 0.005  # how long a candidate waits at most for others: one batch recognises them all
LARGEST_BATCH = 64
UPKEEP_EVERY_S = 1.0


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """A candidate that waits for the network."""

    candidate: Candidate
    trigger_ns: int | None  # when the frame that brought it was captured; latency counts from there


class Recognised(msgspec.Struct, frozen=True, kw_only=True):
    """What became of it."""

    event: Event
    trigger_ns: int | None


class EngineBuilds:
    """Makes the engines that a better backend lacks, in a process of its own, while the worker serves without them.

    Args:
        weights: the file, None for the shipped one.
    """

    def __init__(self, predictor: Predictor, weights: str | None) -> None:
        self._predictor = predictor
        self._arguments = [] if weights is None else ["--weights", weights]
        self._left = list(predictor.wanted)
        self._name = ""
        self._process: subprocess.Popen[bytes] | None = None

    def turn(self) -> bool:
        """Look after the build that runs, or begin the next; whether a better backend has taken over."""
        if self._process is None:
            if self._left:
                self._name = self._left.pop(0)
                log.info("making an engine for %s in the background", self._name)
                command = [sys.executable, "-m", "bowam_stream.cli", "export", "--format", self._name]
                self._process = subprocess.Popen([*command, *self._arguments], stdout=subprocess.DEVNULL)
            return False
        if self._process.poll() is None:
            return False
        status, self._process = self._process.returncode, None
        if status != 0:
            log.warning("no engine for %s: `bowam export` ended with status %d", self._name, status)
            return False
        try:
            self._predictor.step_up(self._name)
        except ModelError as error:
            log.warning("%s", error)
            return False
        self._left = []  # those that follow are slower
        log.info("%s recognises from now on", self._predictor.backend)
        return True

    def close(self) -> None:
        """End the build that runs: its file appears whole or not at all."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
            self._process = None


class RecognitionThread:
    """Recognises what is submitted, all that wait in one batch. One thread submits, and takes what is done."""

    def __init__(self, recogniser: Recogniser, metrics: WorkerMetrics, builds: EngineBuilds | None = None) -> None:
        self._recogniser = recogniser
        self._metrics = metrics
        self._builds = builds
        self._in: queue.SimpleQueue[Waiting | None] = queue.SimpleQueue()
        self._out: queue.SimpleQueue[list[Recognised] | Exception] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="bowam-recognition", daemon=True)
        self.waiting = 0  # submitted, and not yet taken

    def submit(self, one: Waiting) -> None:
        """Let the network look at a candidate."""
        self.waiting += 1
        self._in.put(one)

    def done(self) -> list[Recognised]:
        """What has been recognised since the last call, in the order of submission. Raises what the network raised."""
        found = []
        while not self._out.empty():
            found += self._taken(self._out.get())
        return found

    def finish(self) -> list[Recognised]:
        """`done`, once nothing waits any more."""
        found = self.done()
        while self.waiting:
            found += self._taken(self._out.get())
        return found

    def _taken(self, answer: list[Recognised] | Exception) -> list[Recognised]:
        if isinstance(answer, Exception):
            self.waiting = 0  # the thread has ended, nothing will come
            raise answer
        self.waiting -= len(answer)
        return answer

    def _run(self) -> None:
        while True:
            try:
                first = self._in.get(timeout=UPKEEP_EVERY_S if self._builds else None)
            except queue.Empty:
                if self._builds is not None and self._builds.turn():
                    self._metrics.backend(self._recogniser.model)
                continue
            if first is None:
                return
            batch, more = self._batch(first)
            try:
                with timed(self._metrics.stage, "recognise"):
                    events = self._recogniser.push_all([one.candidate for one in batch])
            except Exception as error:  # it belongs to the thread that waits for the answer
                self._out.put(error)
                return
            self._out.put(
                [Recognised(event=e, trigger_ns=one.trigger_ns) for e, one in zip(events, batch, strict=True)]
            )
            if not more:
                return

    def _batch(self, first: Waiting) -> tuple[Sequence[Waiting], bool]:
        """All that come within the deadline; whether more may come."""
        batch = [first]
        until_ns = clock.monotonic_ns() + int(GATHER_S * clock.NS_PER_SECOND)
        while len(batch) < LARGEST_BATCH:
            left_s = (until_ns - clock.monotonic_ns()) / clock.NS_PER_SECOND
            try:
                one = self._in.get(timeout=max(left_s, 0))
            except queue.Empty:
                break
            if one is None:
                return batch, False
            batch.append(one)
        return batch, True

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._in.put(None)
        self._thread.join()
        if self._builds is not None:
            self._builds.close()
