"""Real processes under attack: started, watched (memory, liveness, log, metrics) and ended.

Each attack of `attacks.py` goes against processes of its own, with an honest camera or subscriber beside it.
"""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec
from prometheus_client.parser import text_string_to_metric_families

from tests.system.processes import BOWAM, free_port

GROWTH_MIB = 64.0  # after an attack, over what stood before: buffers that were needed once stay with the allocator
PEAK_MIB = 400.0  # during it
LOG_BYTES = 200_000  # of all processes
ANSWER_S = 3.0  # of a health check during an attack
SETTLE_S = 60.0  # how long what was sent may take to be counted
SAMPLE_EVERY = 500  # messages


class SocketResult(msgspec.Struct, kw_only=True):
    """Of one attack."""

    attack: str
    seed: int
    messages: int = 0
    seconds: float = 0.0
    counted: int = 0  # refused, says the process
    expected: int | None = None  # so many had to be refused; None: can't be told from outside
    rss_before_mib: float = 0.0
    rss_peak_mib: float = 0.0
    rss_after_mib: float = 0.0
    log_bytes: int = 0
    slowest_answer_s: float = 0.0  # of /livez during the attack
    honest: str = ""  # how those fared who did nothing wrong
    wrong: list[str] = []

    def line(self) -> str:
        """For people."""
        rss = f"{self.rss_before_mib:.0f} -> {self.rss_peak_mib:.0f} -> {self.rss_after_mib:.0f} MiB"
        return (
            f"{self.attack:14} {self.messages:9,} messages {self.seconds:6.1f} s  refused {self.counted:9,}  "
            f"RSS {rss:22} log {self.log_bytes / 1000:5.1f} kB  "
            f"livez {self.slowest_answer_s * 1000:5.0f} ms  {self.honest}"
            + "".join(f"\n  WRONG: {what}" for what in self.wrong)
        )


def rss_mib(pid: int) -> float:
    """Memory of a process; 0 where it is gone."""
    with contextlib.suppress(OSError, IndexError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE") / 2**20
    return 0.0


class Field:
    """A folder, ports, processes, and a watch on one of them."""

    def __init__(self, name: str, seed: int) -> None:
        self.result = SocketResult(attack=name, seed=seed)
        self._folder = tempfile.TemporaryDirectory(prefix="bowam-fuzz-")
        self.folder = Path(self._folder.name)
        self.frames, self.hostile, self.events, self.journal, self.capture_metrics, self.worker_metrics = (
            free_port() for _ in range(6)
        )
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self._watched: tuple[int, int] | None = None  # process id, port of its health checks
        self._since_sample = 0
        self._began_s = 0.0

    def start(self, name: str, *arguments: object, keep_output: bool = False) -> "subprocess.Popen[bytes]":
        """`bowam name ...`; its log goes to a file."""
        log = (self.folder / f"{name}.log").open("wb")
        output = (self.folder / f"{name}.out" if keep_output else Path("/dev/null")).open("wb")
        process = subprocess.Popen(
            [*BOWAM, *map(str, arguments)],
            stdout=output,
            stderr=log,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )
        log.close()
        output.close()
        self.processes[name] = process
        return process

    def capture(self, source: str = "test://pattern?frames=1000000&rate=30&size=320x240", *options: object) -> None:
        """An honest camera; it plays a recording as one."""
        where = ("--frames", self.tcp(self.frames), "--metrics-port", self.capture_metrics)
        self.start("capture", "capture", source, "--camera", "honest", *where, *(options or ("--as-live",)))
        self.until(lambda: self.get(self.capture_metrics, "/livez")[0] == 200, "the capture lives")

    def worker(self, *hostile: str) -> None:
        """A worker of the honest camera, and of hostile ones."""
        cameras = [word for address in (self.tcp(self.frames), *hostile) for word in ("--frames", address)]
        journal = ("--journal", self.folder / "journal.sqlite")
        where = ("--endpoint", self.tcp(self.events), "--journal-endpoint", self.tcp(self.journal))
        self.start("worker", "worker", *cameras, *where, "--metrics-port", self.worker_metrics, *journal)
        self.until(lambda: self.get(self.worker_metrics, "/readyz")[0] == 200, "the worker is ready")
        self.until(
            lambda: self.metric(self.worker_metrics, "bowam_frames_received_total", camera="honest") > 30, "frames"
        )

    @staticmethod
    def tcp(port: int) -> str:
        return f"tcp://127.0.0.1:{port}"

    def get(self, port: int, path: str) -> tuple[int, str]:
        """Status and body; 0 where nobody answers in time."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=ANSWER_S) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except (OSError, ValueError):
            return 0, ""

    def metric(self, port: int, name: str, **labels: str) -> float:
        """The sum of the samples that have these labels."""
        families = text_string_to_metric_families(self.get(port, "/metrics")[1])
        found = (sample for family in families for sample in family.samples if sample.name == name)
        return sum(sample.value for sample in found if labels.items() <= sample.labels.items())

    def refused(self, port: int, socket: str) -> int:
        """What a process has refused on one of its sockets."""
        return int(self.metric(port, "bowam_messages_refused_total", socket=socket))

    def until(self, what: Callable[[], Any], name: str, seconds: float = SETTLE_S) -> Any:
        """The first true answer; None, and a fault of this attack, after `seconds`."""
        deadline_s = time.monotonic() + seconds
        while not (answer := what()):
            if time.monotonic() > deadline_s:
                self.wrong(f"{name}: not within {seconds:.0f} s")
                return None
            time.sleep(0.05)
        return answer

    def wrong(self, what: str) -> None:
        """Take note of a fault."""
        self.result.wrong.append(what)

    def watch(self, name: str, port: int) -> None:
        """From now on the memory and health of this process count."""
        self._watched = (self.processes[name].pid, port)
        self.result.rss_before_mib = self.result.rss_peak_mib = rss_mib(self._watched[0])
        self._began_s = time.monotonic()

    def sent(self, count: int = 1) -> None:
        """So many hostile messages more; has a look at the process now and then."""
        self.result.messages += count
        self._since_sample += count
        if self._since_sample >= SAMPLE_EVERY:
            self._since_sample = 0
            self.look()

    def look(self) -> None:
        """Memory and health of the watched process, now."""
        assert self._watched is not None
        self.result.rss_peak_mib = max(self.result.rss_peak_mib, rss_mib(self._watched[0]))
        if self._watched[1] and self.result.messages // SAMPLE_EVERY % 10 == 0:
            asked_s = time.monotonic()
            status = self.get(self._watched[1], "/livez")[0]
            self.result.slowest_answer_s = max(self.result.slowest_answer_s, time.monotonic() - asked_s)
            if status != 200 and not any("/livez" in what for what in self.result.wrong):
                self.wrong(f"/livez answered {status} after {self.result.messages} messages")

    def assess(self) -> None:
        """What is left after the attack."""
        assert self._watched is not None
        self.look()
        result = self.result
        result.seconds = time.monotonic() - self._began_s
        result.rss_after_mib = rss_mib(self._watched[0])
        for name, process in self.processes.items():
            if process.poll() not in (None, 0):
                self.wrong(f"{name} ended with {process.returncode}: {self.log(name)[-300:]}")
            if "Traceback" in self.log(name) or "internal error" in self.log(name):
                self.wrong(f"{name} logged a traceback: {self.log(name)[-600:]}")
        result.log_bytes = sum(len(self.log(name)) for name in self.processes)
        if result.log_bytes > LOG_BYTES:
            self.wrong(f"{result.log_bytes} bytes of log")
        if result.rss_after_mib - result.rss_before_mib > GROWTH_MIB:
            self.wrong(f"memory grew by {result.rss_after_mib - result.rss_before_mib:.0f} MiB")
        if result.rss_peak_mib - result.rss_before_mib > PEAK_MIB:
            self.wrong(f"memory rose by {result.rss_peak_mib - result.rss_before_mib:.0f} MiB meanwhile")
        if result.expected is not None and result.counted != result.expected:
            self.wrong(f"{result.expected} had to be refused, {result.counted} were counted")

    def log(self, name: str) -> str:
        """What a process said."""
        return (self.folder / f"{name}.log").read_text(errors="replace")

    def output(self, name: str) -> list[str]:
        """Lines that a process wrote to its standard output."""
        return (self.folder / f"{name}.out").read_text(errors="replace").splitlines()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self.processes.values():
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
            process.wait()
        self._folder.cleanup()


@contextlib.contextmanager
def honest_camera(field: Field) -> Iterator[None]:
    """The honest camera's frames of the time of the attack must all reach the worker, or be counted as dropped."""
    names = ("bowam_frames_received_total", "bowam_frames_dropped_total", "bowam_sequence_gaps_total")

    def books() -> tuple[float, ...]:
        return tuple(field.metric(field.worker_metrics, name, camera="honest") for name in names)

    before = books()
    yield
    after = field.until(lambda: (now := books())[0] > before[0] + 30 and now, "frames of the honest camera go on")
    if after:
        received, dropped, gaps = (int(b - a) for a, b in zip(before, after, strict=True))
        field.result.honest += f"honest camera: {received} frames came, {dropped} dropped, {gaps} gaps"


def attack(name: str, messages: int, seed: int) -> SocketResult:
    """Run one attack."""
    from tests.fuzz.attacks import ATTACKS

    with Field(name, seed) as field:
        try:
            ATTACKS[name](field, messages, seed)
            field.assess()
        except Exception as error:
            logs = {name: field.log(name)[-400:] for name in field.processes}
            raise RuntimeError(f"{name}: {error}; {logs}") from error
        return field.result


if sys.platform != "linux":
    raise ImportError("memory and processes are read from /proc")
