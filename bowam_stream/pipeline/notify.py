"""How a process tells whoever started it that it is ready, lives and ends: systemd's protocol (sd_notify(3)).

One datagram to the socket that NOTIFY_SOCKET names. systemd listens there for `Type=notify` and `WatchdogSec=`, and our
own supervisor does the same, so that a process needs not know who watches it. Without the variable nothing is sent.
"""

import contextlib
import os
import secrets
import socket
from collections.abc import Mapping

from bowam_stream import clock

VARIABLE = "NOTIFY_SOCKET"
READY, BEAT, STOPPING = "READY=1", "WATCHDOG=1", "STOPPING=1"
BEAT_EVERY_NS = clock.NS_PER_SECOND
MAX_BYTES = 4096


class Notifier:
    """The process's end. Never waits and never fails: nobody may be listening any more."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        address = environment.get(VARIABLE, "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._beaten_ns = 0
        self._socket: socket.socket | None = None
        if self._address:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)

    def ready(self) -> None:
        """Work has begun."""
        self._send(READY)

    def beat(self) -> None:
        """Work goes on; call it as often as you like."""
        now_ns = clock.monotonic_ns()
        if now_ns - self._beaten_ns >= BEAT_EVERY_NS:
            self._beaten_ns = now_ns
            self._send(BEAT)

    def close(self) -> None:
        """The process ends, and means to."""
        self._send(STOPPING)
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, state: str) -> None:
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.sendto(state.encode(), self._address)

    def __enter__(self) -> "Notifier":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Watcher:
    """The supervisor's end, for one process: how long it has been silent since it began to say that work goes on.

    Not every process says so: one that feeds a recording may wait for its worker, for as long as that takes.
    """

    def __init__(self) -> None:
        name = f"bowam-{os.getpid()}-{secrets.token_hex(8)}"  # an abstract address: no file is left behind
        self.address = f"@{name}"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
        self._socket.bind(f"\0{name}")
        self._heard_s: float | None = None
        self._asked_s: float | None = None

    def forget(self) -> None:
        """Another process speaks from now on."""
        self.silent_s(0.0)
        self._heard_s = self._asked_s = None

    def silent_s(self, now_s: float) -> float:
        """Seconds since its last word; 0 before its first beat and after it said that it ends.

        Time in which nobody asked does not count: we may have been stopped ourselves, and the process with us.
        """
        if self._heard_s is not None and self._asked_s is not None:
            self._heard_s += max(0.0, now_s - self._asked_s - 1.0)
        self._asked_s = now_s
        with contextlib.suppress(BlockingIOError):
            while True:
                said = self._socket.recv(MAX_BYTES).decode(errors="replace").split("\n")
                if STOPPING in said:
                    self._heard_s = None
                elif BEAT in said or self._heard_s is not None:
                    self._heard_s = now_s
        return 0.0 if self._heard_s is None else now_s - self._heard_s

    def close(self) -> None:
        """Listen no more."""
        self._socket.close()
