"""What a process tells whoever watches it, over a real socket."""

import os
import socket
from pathlib import Path

from bowam_stream.pipeline.notify import VARIABLE, Notifier, Watcher


def test_a_process_that_nobody_watches_says_nothing() -> None:
    """And does not mind."""
    with Notifier({}) as notifier:
        notifier.ready()
        notifier.beat()


def test_systemd_hears_ready_the_watchdog_and_the_end(tmp_path: Path) -> None:
    """The words of sd_notify(3), one datagram each, beats at most once a second."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.setblocking(False)
        with Notifier({VARIABLE: str(tmp_path / "notify")}) as notifier:
            notifier.ready()
            for _ in range(5):
                notifier.beat()
        said = []
        while True:
            try:
                said.append(systemd.recv(100))
            except BlockingIOError:
                break
    assert said == [b"READY=1", b"WATCHDOG=1", b"STOPPING=1"]


def test_a_watcher_that_is_gone_or_full_holds_nobody_up(tmp_path: Path) -> None:
    """The queue of a datagram socket is short, and a stopped supervisor reads nothing."""
    watcher = Watcher()
    notifier = Notifier({VARIABLE: watcher.address})
    for _ in range(1000):
        notifier.ready()
    watcher.close()
    notifier.ready()
    notifier.close()


def test_silence_counts_from_the_last_word_and_not_before_the_first_beat() -> None:
    """A process that starts, that waits with a recording, or that says that it ends, may take its time."""
    watcher = Watcher()
    notifier = Notifier({VARIABLE: watcher.address})
    silent = [watcher.silent_s(second) for second in range(40)]
    notifier.ready()
    silent += [watcher.silent_s(second) for second in range(40, 50)]
    notifier.beat()
    silent += [watcher.silent_s(50 + second) for second in range(3)]
    notifier.close()
    silent += [watcher.silent_s(100.0), watcher.silent_s(101.0)]
    assert silent == [0.0] * 50 + [0.0, 1.0, 2.0] + [0.0, 0.0]
    watcher.close()


def test_time_in_which_the_watcher_slept_is_no_silence() -> None:
    """Ctrl-Z stops both; and a restarted process is a new one."""
    watcher = Watcher()
    notifier = Notifier({VARIABLE: watcher.address})
    notifier.beat()
    assert watcher.silent_s(0.0) == 0.0
    assert watcher.silent_s(1.0) == 1.0
    assert watcher.silent_s(1000.0) == 2.0
    watcher.forget()
    assert watcher.silent_s(1001.0) == 0.0
    notifier.close()
    watcher.close()


def test_the_address_is_no_file() -> None:
    """So that a killed supervisor leaves nothing behind."""
    watcher = Watcher()
    assert watcher.address.startswith("@")
    assert str(os.getpid()) in watcher.address
    watcher.close()
