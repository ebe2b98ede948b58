"""Real processes for the suites that measure them: started on free ports, asked for their numbers, ended."""

import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from prometheus_client.parser import text_string_to_metric_families

COMMAND = [sys.executable, "-m", "bowam_stream.cli"]
LIMIT_S = 60.0  # for anything to become ready


class Ports(msgspec.Struct, frozen=True, kw_only=True):
    """Where one worker and its captures listen."""

    frames: tuple[int, ...]
    events: int
    journal: int
    capture: int
    worker: int

    @classmethod
    def free(cls, captures: int = 1) -> "Ports":
        """Ports that nobody uses now."""
        held = [socket.socket() for _ in range(captures + 4)]
        for probe in held:
            probe.bind(("127.0.0.1", 0))
        *frames, events, journal, capture, worker = (probe.getsockname()[1] for probe in held)
        for probe in held:
            probe.close()
        return cls(frames=tuple(frames), events=events, journal=journal, capture=capture, worker=worker)

    def write(self, folder: Path) -> Path:
        """A settings file for all processes of a run, whose journal lies in `folder`."""
        frames = [f"tcp://127.0.0.1:{port}" for port in self.frames]
        file = folder / "bowam.toml"
        file.write_text(
            f"[transport]\nendpoint = '{frames[0]}'\nconnect = {frames}\n"
            f"[events]\nendpoint = 'tcp://127.0.0.1:{self.events}'\n"
            f"journal_endpoint = 'tcp://127.0.0.1:{self.journal}'\njournal = '{folder}/journal.sqlite'\n"
            f"[metrics]\ncapture_port = {self.capture}\nworker_port = {self.worker}\n"
        )
        return file


@contextmanager
def running(*arguments: str | Path) -> Iterator["subprocess.Popen[bytes]"]:
    """`bowam ARGUMENTS`, ended when the block is left."""
    command = [*COMMAND, *map(str, arguments)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        process.wait()


class Numbers:
    """What the metrics of a process say at one moment."""

    def __init__(self, port: int) -> None:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            families = list(text_string_to_metric_families(answer.read().decode()))
        self._samples = [sample for family in families for sample in family.samples]

    def total(self, name: str) -> float:
        """Sum of a series over all its labels."""
        return float(sum(sample.value for sample in self._samples if sample.name == name))

    def by(self, name: str, label: str) -> dict[str, float]:
        """Sums of a series by one of its labels."""
        counts: dict[str, float] = defaultdict(float)
        for sample in self._samples:
            if sample.name == name:
                counts[sample.labels[label]] += sample.value
        return counts

    def means_ms(self, name: str, label: str) -> dict[str, float]:
        """Mean of a histogram of seconds, in ms, by one of its labels; what never happened is left out."""
        sums, counts = self.by(f"{name}_sum", label), self.by(f"{name}_count", label)
        return {key: sums[key] / count * 1e3 for key, count in counts.items() if count}


def until(reached: Callable[[], bool], what: str) -> None:
    """Wait until `reached()`; while nobody answers it is not. Raises TimeoutError."""
    deadline = time.monotonic() + LIMIT_S
    while True:
        try:
            if reached():
                return
        except OSError:
            pass
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} took more than {LIMIT_S:.0f} s")
        time.sleep(0.01)
