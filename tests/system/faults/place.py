"""One installation: cameras, a worker, subscribers; real processes on free ports, in a private folder.

Captures and worker run under our own supervisor, and this place starts the supervisor again if it ends, as systemd
would. Whoever injects a fault asks here for process ids, numbers and the log, and waits here for recovery.
"""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.system.faults.disk import Disk
from tests.system.faults.listener import whole_lines
from tests.system.faults.oracle import Books, Verdict, heard, judge_frames, judge_journal, judge_listener, read_books
from tests.system.faults.sources import RtspCamera
from tests.system.processes import BOWAM, alive, family, free_port, memory_mb

WORKER, SUPERVISOR, GUEST = "worker", "supervisor", "guest"
POLL_S = 0.02
LIMIT_S = 90.0  # for anything to come about, also on a machine that others load: nothing may hang
SETTABLE_CLOCK = Path(__file__).with_name("settable_clock")
INIT_DELAY_S = 0.2  # how soon a dead supervisor is started again


class NotRecovered(AssertionError):
    """Something did not come about in time."""


class Camera(NamedTuple):
    """One capture process."""

    name: str
    source: str
    endpoint: str
    metrics_port: int


class Death(NamedTuple):
    """When a process died, and what it was."""

    name: str
    pid: int
    at_s: float


class Listener:
    """A subscriber process and the file in which it keeps what it hears."""

    def __init__(self, name: str, folder: Path, endpoints: tuple[str, str]) -> None:
        self.name, self.file, self._endpoints = name, folder / f"{name}.jsonl", endpoints
        self.process: subprocess.Popen[bytes] | None = None
        self._log = (folder / f"{name}.log").open("a")

    def start(self) -> None:
        """Go on behind the last whole line."""
        command = [sys.executable, "-m", "tests.system.faults.listener", str(self.file), *self._endpoints]
        self.process = subprocess.Popen(command, stderr=self._log, stdout=self._log)

    def kill(self) -> None:
        """End it without warning."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def close(self) -> None:
        """For good."""
        self.kill()
        self._log.close()

    def lines(self) -> list[bytes]:
        """What it heard."""
        return whole_lines(self.file)


class Place:
    """See above. As a context manager it runs everything and ends everything."""

    def __init__(
        self,
        folder: Path,
        sources: Sequence[str],
        *,
        rtsp: RtspCamera | None = None,
        listeners: int = 2,
        disk: Disk | None = None,
        environment: dict[str, str] | None = None,
        settings: str = "",
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.rtsp, self.disk = folder, rtsp, disk
        self.journal = (disk.folder if disk else folder) / "journal.sqlite"
        every = [*sources, *([rtsp.url] if rtsp else [])]
        self.cameras = {
            f"cam{number}": Camera(f"cam{number}", source, f"tcp://127.0.0.1:{free_port()}", free_port())
            for number, source in enumerate(every)
        }
        self.network_camera = f"cam{len(sources)}" if rtsp else None
        self.guest = Camera(GUEST, "", f"tcp://127.0.0.1:{free_port()}", 0)
        self.worker_port = free_port()
        self.events, self.replays = (f"tcp://127.0.0.1:{free_port()}" for _ in range(2))
        self.listeners = [Listener(f"listener{k}", folder, (self.events, self.replays)) for k in range(listeners)]
        self.log = folder / "fleet.log"
        self.config = folder / "bowam.toml"
        self.config.write_text(
            f"[transport]\nendpoint = 'tcp://127.0.0.1:{free_port()}'\n"
            f"connect = {[camera.endpoint for camera in (*self.cameras.values(), self.guest)]}\n"
            f"[events]\nendpoint = '{self.events}'\njournal_endpoint = '{self.replays}'\njournal = '{self.journal}'\n"
            f"[metrics]\nworker_port = {self.worker_port}\n[source]\nloops = 1000000\n{settings}"
        )
        plan = [(WORKER, [WORKER, "--config", str(self.config)])]
        plan += [("capture", self.capture(camera)) for camera in self.cameras.values()]
        (folder / "plan.json").write_text(json.dumps(plan))
        self._clock = folder / "clock"
        self._environment = {
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "BOWAM_LOG_LEVEL": "info",
            "BOWAM_TEST_CLOCK": str(self._clock),
            "PYTHONPATH": os.pathsep.join([str(SETTABLE_CLOCK), os.environ.get("PYTHONPATH", "."), str(Path.cwd())]),
            **(environment or {}),
        }
        self._fleet: subprocess.Popen[bytes] | None = None
        self._init = threading.Thread(target=self._start_again, daemon=True)
        self._ending = threading.Event()
        self.supervisor_ends = 0
        self.crashes: dict[str, list[float]] = defaultdict(list)

    def capture(self, camera: Camera, source: str | None = None) -> list[str]:
        """The arguments of a camera's capture process."""
        options = ("--config", str(self.config), f"--camera={camera.name}", "--frames", camera.endpoint)
        as_live = () if (source or camera.source).startswith("rtsp:") else ("--as-live",)
        port = ("--metrics-port", str(camera.metrics_port))
        return ["capture", *as_live, *options, *port, "--", source or camera.source]

    # What is there

    def pids(self) -> dict[str, int]:
        """Who runs now: the supervisor, the worker, and captures by their camera's name."""
        if self._fleet is None or not alive(self._fleet.pid):
            return {}
        return {SUPERVISOR: self._fleet.pid, **family(self._fleet.pid)}

    def get(self, port: int, path: str, timeout: float = 5) -> tuple[int, str]:
        """Status and body; 0 where nobody listens."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=timeout) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except (OSError, ValueError):
            return 0, ""

    def port_of(self, name: str) -> int:
        """Where this process's metrics are."""
        return self.worker_port if name == WORKER else self.cameras[name].metrics_port

    def metric(self, who: str, name: str, **labels: str) -> float:
        """The sum of the samples of this process that have these labels."""
        samples = self._samples(who, name)
        return sum(value for found, value in samples if labels.items() <= found.items())

    def _samples(self, who: str, name: str) -> list[tuple[dict[str, str], float]]:
        """Labels and value; read by hand, since it is done often and beside eight cameras."""
        text = self.get(self.port_of(who), "/metrics")[1]
        found = re.findall(rf"^{name}(?:{{(.*)}})? (\S+)$", text, re.MULTILINE)
        return [(dict(re.findall(r'(\w+)="([^"]*)"', labels)), float(value)) for labels, value in found]

    def ready(self, who: str) -> bool:
        """Whether it says so."""
        return self.get(self.port_of(who), "/readyz", timeout=1)[0] == 200

    def received(self) -> dict[str, float]:
        """Frames of each camera that the worker has spotted."""
        return {labels["camera"]: value for labels, value in self._samples(WORKER, "bowam_frames_spotted_total")}

    def logged(self, since: int = 0) -> str:
        """The log from a position on."""
        with self.log.open("rb") as file:
            file.seek(since)
            return file.read().decode(errors="replace")

    def memory(self) -> dict[str, float]:
        """Resident MB by process."""
        return {name: memory_mb(pid) for name, pid in self.pids().items()}

    # Waiting

    def wait(self, what: Callable[[], object], why: str, limit_s: float = LIMIT_S) -> float:
        """Until `what` is true; how many seconds it took. Raises NotRecovered."""
        start = time.monotonic()
        while not what():
            if time.monotonic() - start > limit_s:
                raise NotRecovered(f"{why}: not within {limit_s:.0f} s; the log ends with:\n{self.logged()[-1500:]}")
            time.sleep(POLL_S)
        return time.monotonic() - start

    def settle(self, cameras: Sequence[str] | None = None) -> None:
        """Until every process is ready and frames of every camera reach the worker."""
        wanted = list(self.cameras) if cameras is None else list(cameras)
        self.wait(lambda: self.ready(WORKER), "the worker is not ready")
        for name in wanted:
            self.wait(lambda name=name: self.ready(name), f"{name} is not ready")
        before = self.received()

        def flows() -> bool:
            now = self.received()
            return all(
                now.get(name, 0) > before.get(name, 0) or now.get(name, 0) < before.get(name, 0) for name in wanted
            )

        self.wait(flows, "frames do not flow")

    def judge(self, limit_s: float = LIMIT_S) -> Verdict:
        """The verdict on journal and subscribers, once these have heard what stands in the journal now."""
        heads = read_books(self.journal).heads

        def caught_up() -> bool:
            return all(self.knows(listener, heads) for listener in self.listeners if listener.process is not None)

        verdict = Verdict()
        try:
            self.wait(caught_up, "subscribers lag behind the journal", limit_s)
        except NotRecovered as error:
            verdict.problems.append(str(error).partition(";")[0])
        lines = {listener.name: listener.lines() for listener in self.listeners}
        books: Books = read_books(self.journal)  # after the subscribers: it holds all that they heard
        judged = judge_journal(books)
        judged.problems = verdict.problems + judged.problems
        judged.merge(judge_frames(books))
        for name, heard_lines in lines.items():
            judged.merge(judge_listener(name, heard_lines, books))
        return judged

    @staticmethod
    def knows(listener: Listener, heads: dict[str, int]) -> bool:
        """Whether a subscriber has heard that much."""
        last = heard(listener.lines())
        return all(last.get(camera, 0) >= seq for camera, seq in heads.items())

    # Doing

    def kill(self, name: str, number: int = signal.SIGKILL) -> Death:
        """Send a signal to a process; it counts as a crash of it."""
        self.wait(lambda: name in self.pids(), f"there is no {name}")
        pid = self.pids()[name]
        os.kill(pid, number)
        self.crashes[name].append(time.monotonic())
        return Death(name, pid, time.monotonic())

    def may_crash(self, name: str, most: int = 4, window_s: float = 62.0) -> bool:
        """Whether it crashed seldom enough for the supervisor to go on."""
        return sum(time.monotonic() - at < window_s for at in self.crashes[name]) < most

    def back(self, death: Death) -> tuple[float, float]:
        """Seconds from a death to the new process, and until it was ready."""
        self.wait(lambda: self.pids().get(death.name, death.pid) != death.pid, f"{death.name} does not come back")
        back_s = time.monotonic() - death.at_s
        if death.name == SUPERVISOR:
            self.wait(lambda: all(map(self.ready, (WORKER, *self.cameras))), "not all are ready")
        else:
            self.wait(lambda: self.ready(death.name), f"{death.name} is not ready")
        return back_s, time.monotonic() - death.at_s

    def run_bowam(self, *arguments: object, timeout: float = 60) -> "subprocess.CompletedProcess[str]":
        """`bowam ARGUMENTS`, beside everything else, to its end."""
        command = [*BOWAM, *map(str, arguments)]
        return subprocess.run(
            command, capture_output=True, text=True, timeout=timeout, env=self._environment, check=False
        )

    def set_clock(self, shift_s: float) -> None:
        """Let the wall clock of supervisor, captures and worker go wrong by so much."""
        temporary = self._clock.with_suffix(".new")
        temporary.write_text(str(shift_s))
        temporary.replace(self._clock)

    def audit(self) -> tuple[bool, str]:
        """Whether `bowam audit` finds the journal and what runs in order, and what it says."""
        done = self.run_bowam("audit", "--config", self.config)
        return done.returncode == 0, (done.stdout + done.stderr).strip()

    def _start_fleet(self) -> None:
        command = [sys.executable, "-m", "tests.system.faults.fleet", str(self.folder / "plan.json")]
        with self.log.open("ab") as log:
            self._fleet = subprocess.Popen(command, stderr=log, stdout=log, env=self._environment)

    def _start_again(self) -> None:
        """The thread that does what systemd would."""
        while not self._ending.wait(POLL_S):
            if self._fleet is not None and self._fleet.poll() is not None:
                self.supervisor_ends += 1
                if not self._ending.wait(INIT_DELAY_S):
                    self._start_fleet()

    def __enter__(self) -> "Place":
        if self.rtsp:
            self.rtsp.start()
        self._start_fleet()
        self._init.start()
        for listener in self.listeners:
            listener.start()
        try:
            self.settle()
        except BaseException:
            self.close()
            raise
        return self

    def close(self) -> None:
        """End all, captures first."""
        self._ending.set()
        if self._init.is_alive():
            self._init.join()
        if self._fleet is not None:
            left = self.pids()
            self._fleet.terminate()
            try:
                self._fleet.wait(30)
            except subprocess.TimeoutExpired:
                self._fleet.kill()
                self._fleet.wait()
            for pid in left.values():
                if alive(pid):
                    os.kill(pid, signal.SIGCONT)
                    os.kill(pid, signal.SIGKILL)
        for listener in self.listeners:
            listener.close()
        if self.rtsp:
            self.rtsp.close()
        if self.disk:
            self.disk.close()

    def __exit__(self, *_: object) -> None:
        self.close()


def port_number(endpoint: str) -> int:
    """Of a tcp endpoint."""
    return int(endpoint.rpartition(":")[2])


def hold(endpoint: str) -> socket.socket:
    """Take a tcp port as soon as it is free."""
    end = time.monotonic() + 5
    while True:
        taken = socket.socket()
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind(("127.0.0.1", port_number(endpoint)))
            taken.listen()
        except OSError:
            taken.close()
            if time.monotonic() > end:
                raise
            time.sleep(0.005)
        else:
            return taken


def said(text: str, *patterns: str) -> str | None:
    """The first of the patterns that does not stand in the log."""
    return next((pattern for pattern in patterns if not re.search(pattern, text)), None)
