"""Three machines on one: network namespaces, joined by cables that can be pulled. Only root can make them."""

import functools
import os
import shutil
import subprocess
from typing import Self


def _ip(*words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(["ip", *words], capture_output=True, text=True, check=False)


@functools.cache
def why_no_hosts() -> str | None:
    """Why there can be none here."""
    if shutil.which("ip") is None:
        return "the command ip is not installed (Debian: iproute2)"
    if os.geteuid() != 0:
        return "only root can make network namespaces"
    made = _ip("netns", "add", name := f"bowam-try-{os.getpid()}")
    if made.returncode:
        return f"no network namespace can be made here: {made.stderr.strip()}"
    _ip("netns", "delete", name)
    return None


class Hosts:
    """camera ===frames=== worker ===events=== listener, every one a host of its own."""

    FRAMES = ("10.77.1.1", "10.77.1.2")  # addresses of camera and worker on their cable
    EVENTS = ("10.77.2.1", "10.77.2.2")  # of worker and listener

    def __init__(self) -> None:
        self.camera, self.worker, self.listener = (f"bowam-{os.getpid()}-{who}" for who in ("c", "w", "l"))

    def __enter__(self) -> Self:
        for host in (self.camera, self.worker, self.listener):
            self._must("netns", "add", host)
            self._must("-n", host, "link", "set", "lo", "up")
        self._cable("frames", self.camera, self.worker, self.FRAMES)
        self._cable("events", self.worker, self.listener, self.EVENTS)
        return self

    def __exit__(self, *_: object) -> None:
        for host in (self.camera, self.worker, self.listener):
            _ip("netns", "delete", host)

    def on(self, host: str, *command: str) -> list[str]:
        """The command that runs `command` on a host."""
        return ["ip", "netns", "exec", host, *command]

    def cut(self, cable: str, yes: bool) -> None:
        """Pull the cable "frames" or "events", or put it back. Neither side is told: what is sent goes nowhere."""
        self._must(
            "-n",
            self.worker,
            "link",
            "set",
            f"{cable}-b" if cable == "frames" else f"{cable}-a",
            "down" if yes else "up",
        )

    def _cable(self, name: str, a: str, b: str, addresses: tuple[str, str]) -> None:
        self._must("-n", a, "link", "add", f"{name}-a", "type", "veth", "peer", "name", f"{name}-b", "netns", b)
        for host, end, address in ((a, "a", addresses[0]), (b, "b", addresses[1])):
            self._must("-n", host, "address", "add", f"{address}/24", "dev", f"{name}-{end}")
            self._must("-n", host, "link", "set", f"{name}-{end}", "up")

    @staticmethod
    def _must(*words: str) -> None:
        done = _ip(*words)
        assert done.returncode == 0, f"ip {' '.join(words)}: {done.stderr}"
