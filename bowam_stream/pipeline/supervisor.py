"""Starts the processes of one run, watches them, and ends them in the order in which frames flow.

A process that exits with status 1 at its first start met something that only a person can mend (a missing file, a busy
port): its one line becomes the run's error. Anything else that ends it (a signal, a bug, a port that somebody took
meanwhile) is a crash, and it is started again with back-off. One that is silent for too long hangs: it is killed.
"""

import logging
import os
import subprocess
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Sequence
from pathlib import Path

import msgspec

from bowam_stream.errors import ProcessFailed
from bowam_stream.pipeline import notify
from bowam_stream.pipeline.arguments import hidden
from bowam_stream.pipeline.notify import Watcher
from bowam_stream.pipeline.stop import ERROR_PREFIX, FAILED, RESTARTS_VARIABLE, SUPERVISOR_VARIABLE

log = logging.getLogger(__name__)

CAPTURE, WORKER, PAGE = "capture", "worker", "page"  # what the processes are called


class RestartPolicy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How often a crashed process is started again."""

    restarts: int = 5  # within the window; one more ends the run
    window_s: float = 60.0
    first_delay_s: float = 0.2
    last_delay_s: float = 2.0
    hang_s: float = 30.0  # a process that worked and has said nothing for so long hangs


class Child:
    """One supervised process: its command, its current process, the crashes that lie within the window."""

    def __init__(
        self,
        name: str,
        arguments: Sequence[str],
        policy: RestartPolicy,
        again: Sequence[str] = (),
        *,
        vital: bool = True,
    ) -> None:
        """`again`: options that come behind the verb when it is started again; `vital`: no run goes on without it."""
        self.name = name
        self._arguments = list(arguments)
        self._again = list(again)
        self._vital = vital
        self._given_up = False
        self._policy = policy
        self._crashes: deque[float] = deque()
        self._restarts: Counter[str] = Counter()  # by reason
        self._hangs = False
        self._error: str | None = None
        self._watcher = Watcher()
        self._start_at: float | None = None
        self._process = self._start()

    @property
    def running(self) -> bool:
        """False once it ended well. What crashed or failed is still to be seen to by `watch`."""
        return not self._given_up and (self._start_at is not None or self._process.poll() != 0)

    def watch(self, now_s: float) -> None:
        """Start the process again if it crashed; raise ProcessFailed if a person has to mend something."""
        if self._given_up:
            return
        if self._start_at is not None:
            if now_s >= self._start_at:
                self._start_at = None
                self._process = self._start()
            return
        status = self._process.poll()
        if status is None:
            self._check_hang(now_s)
        if status is None or status == 0:
            return
        self._reader.join(timeout=2)
        if status == 2 or (status == FAILED and not self._restarts):
            self._give_up(self._error or f"the {self.name} process failed with status {status}")
            return
        while self._crashes and now_s - self._crashes[0] > self._policy.window_s:
            self._crashes.popleft()
        self._crashes.append(now_s)
        ended = f"by signal {-status}" if status < 0 else f"with status {status}"
        if status == FAILED and self._error:
            ended += f" ({self._error})"
        self._restarts["hang" if self._hangs else "signal" if status < 0 else "status"] += 1
        self._hangs = False
        if len(self._crashes) > self._policy.restarts:
            why = f": {self._error}" if self._error else ""
            self._give_up(f"the {self.name} process ended {ended} {len(self._crashes)} times; giving up{why}")
            return
        delay_s = min(self._policy.first_delay_s * 2 ** (len(self._crashes) - 1), self._policy.last_delay_s)
        log.warning("the %s process ended %s; starting it again in %.1f s", self.name, ended, delay_s)
        self._start_at = now_s + delay_s

    def _give_up(self, said: str) -> None:
        """Nothing more is tried. Raises ProcessFailed where no run goes on without it."""
        if self._vital:
            raise ProcessFailed(said)
        log.error("no %s: %s; everything else goes on", self.name, said)
        self._given_up = True

    def end(self, timeout_s: float) -> None:
        """Ask the process to end, wait, and kill it if it does not."""
        self._start_at = None
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                log.warning("the %s process did not end within %.0f s and was killed", self.name, timeout_s)
                self._process.kill()
                self._process.wait()
        self._reader.join(timeout=2)
        self._watcher.close()

    def _check_hang(self, now_s: float) -> None:
        silent_s = self._watcher.silent_s(now_s)
        if silent_s > self._policy.hang_s and not self._hangs:
            self._hangs = True
            log.warning("the %s process has been silent for %.0f s and is killed", self.name, silent_s)
            self._process.kill()

    def _start(self) -> subprocess.Popen[str]:
        self._watcher.forget()
        verb, *options = self._arguments
        environment = {
            **os.environ,
            SUPERVISOR_VARIABLE: str(os.getpid()),
            RESTARTS_VARIABLE: " ".join(f"{reason}={count}" for reason, count in self._restarts.items()),
            notify.VARIABLE: self._watcher.address,
        }
        arguments = [verb, *(self._again if self._restarts else ()), *options]
        with hidden(arguments) as (visible, also, descriptors):
            process = subprocess.Popen(
                [sys.executable, "-m", "bowam_stream.cli", *visible],
                env={**environment, **also},
                pass_fds=descriptors,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
                start_new_session=True,  # Ctrl-C reaches the supervisor alone
            )
        self._reader = threading.Thread(target=self._read, args=(process,), daemon=True)
        self._reader.start()
        return process

    def _read(self, process: subprocess.Popen[str]) -> None:
        """Pass the process's log on, and keep its error line for whoever asks why it failed."""
        assert process.stderr is not None
        with process.stderr:
            for line in process.stderr:
                if line.startswith(ERROR_PREFIX):
                    self._error = line.removeprefix(ERROR_PREFIX).strip()
                else:
                    sys.stderr.write(line)
                    sys.stderr.flush()


class Supervisor:
    """The processes of one run. As a context manager it never leaves one behind."""

    def __init__(self, policy: RestartPolicy | None = None, *, end_timeout_s: float = 20.0) -> None:
        self._policy = policy or RestartPolicy()
        self._end_timeout_s = end_timeout_s
        self.children: list[Child] = []

    def start(
        self, name: str, arguments: Sequence[str | Path], again: Sequence[str] = (), *, vital: bool = True
    ) -> Child:
        """Start `bowam ARGUMENTS` as a process called `name`; `again`: options for when it is started again.

        One that is not `vital` is left alone where it keeps crashing.
        """
        child = Child(name, [str(argument) for argument in arguments], self._policy, again, vital=vital)
        self.children.append(child)
        return child

    def watch(self) -> bool:
        """Restart what crashed; raise ProcessFailed for what failed; tell whether anything still runs."""
        now_s = time.monotonic()
        for child in self.children:
            child.watch(now_s)
        return any(child.running for child in self.children)

    def dismiss(self, child: Child) -> None:
        """End this process alone."""
        child.end(self._end_timeout_s)
        self.children.remove(child)

    def end(self) -> None:
        """End all processes, captures first, so that what is on the way still arrives."""
        for child in sorted(self.children, key=lambda child: not child.name.startswith(CAPTURE)):
            child.end(self._end_timeout_s)

    def __enter__(self) -> "Supervisor":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self._end_timeout_s = min(self._end_timeout_s, 3.0)
        self.end()
