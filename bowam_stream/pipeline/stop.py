"""When a process should end: it was asked to, or the supervisor that started it is gone; and how it ends."""

import os
import signal
import threading
from types import FrameType

SUPERVISOR_VARIABLE = "BOWAM_SUPERVISOR"
"""Process id of the supervisor, in the environment of the processes that it starts."""

RESTARTS_VARIABLE = "BOWAM_RESTARTS"
"""How often it has started this process again, by reason: `signal=2 hang=1`."""

FAILED, CRASHED = 1, 70  # exit statuses: a person has to mend something, a bug; 70 is EX_SOFTWARE of sysexits.h
ERROR_PREFIX = "bowam: "  # of the line that says why


def supervised() -> bool:
    """Whether this process was started by a supervisor."""
    return SUPERVISOR_VARIABLE in os.environ


def restarts() -> dict[str, int]:
    """How often the supervisor has started this process again, by reason."""
    pairs = (word.partition("=") for word in os.environ.get(RESTARTS_VARIABLE, "").split())
    return {reason: int(count) for reason, _, count in pairs if count.isdecimal()}


class StopFlag:
    """True once the process should end. Loops ask it between two frames; `wait` sleeps but wakes at once.

    A supervised process leaves Ctrl-C to its supervisor, which ends the processes in the order in which frames flow.
    """

    def __init__(self) -> None:
        self._asked = threading.Event()
        self._supervisor = int(os.environ[SUPERVISOR_VARIABLE]) if supervised() else None

    def install(self) -> "StopFlag":
        """Answer SIGTERM, a closed terminal, and Ctrl-C where no supervisor does. Only in a process's main thread."""
        signal.signal(signal.SIGTERM, self._on_signal)
        if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # nohup
            signal.signal(signal.SIGHUP, self._on_signal)
        signal.signal(signal.SIGINT, signal.SIG_IGN if supervised() else self._on_signal)
        return self

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._asked.set()

    def set(self) -> None:
        """Ask the process to end."""
        self._asked.set()

    def __bool__(self) -> bool:
        if self._supervisor is not None and os.getppid() != self._supervisor:
            self._asked.set()
        return self._asked.is_set()

    def wait(self, seconds: float) -> bool:
        """Sleep up to `seconds`, less if asked to end; tells whether to end."""
        self._asked.wait(seconds)
        return bool(self)
