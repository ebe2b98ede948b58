"""Camera, worker and subscriber on three hosts (network namespaces), cut off from each other and joined again."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.system.faults.hosts import Hosts, why_no_hosts
from tests.system.faults.listener import whole_lines
from tests.system.faults.oracle import heard, judge_frames, judge_journal, judge_listener, read_books
from tests.system.faults.sources import make_clip
from tests.system.processes import BOWAM, wait_for

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(why_no_hosts() is not None, reason=str(why_no_hosts())),
]

CUT_S = 5.0  # longer than heartbeats are waited for, so that both ends give the connection up


class Net:
    """What runs on the three hosts, and where its files are."""

    def __init__(self, hosts: Hosts, folder: Path) -> None:
        self.hosts, self.journal, self.file = hosts, folder / "journal.sqlite", folder / "listener.jsonl"

    def rows(self) -> int:
        """Events in the journal."""
        return len(read_books(self.journal).rows) if self.journal.exists() else 0

    def told(self) -> int:
        """Events that the subscriber has."""
        return len(whole_lines(self.file))

    def check(self) -> None:
        """Nothing lost, nothing doubled, every frame accounted for."""
        heads = read_books(self.journal).heads
        wait_for(lambda: all(heard(whole_lines(self.file)).get(name, 0) >= seq for name, seq in heads.items()), 30)
        lines, books = whole_lines(self.file), read_books(self.journal)
        verdict = judge_journal(books)
        verdict.merge(judge_frames(books))
        verdict.merge(judge_listener("the subscriber", lines, books))
        assert verdict, verdict


@contextmanager
def running(commands: list[list[str]], folder: Path) -> Iterator[None]:
    """These processes, killed in the end; what they say lies in the folder."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "BOWAM_LOG_LEVEL": "info"}
    with (folder / "log").open("w") as log:
        started = [subprocess.Popen(command, stderr=log, stdout=log, env=environment) for command in commands]
        try:
            yield
        finally:
            for process in started:
                process.kill()
                process.wait()


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Net]:
    folder = tmp_path_factory.mktemp("net")
    clip = make_clip(folder / "clip")
    with Hosts() as hosts:
        frames = f"tcp://{hosts.FRAMES[0]}:5555"
        events, replays = (f"tcp://{hosts.EVENTS[0]}:{port}" for port in (5556, 5557))
        net = Net(hosts, folder)
        capture = ("capture", "--as-live", "--loops", "1000", "--frames", frames, "--insecure", str(clip))
        ends = ("--endpoint", events, "--journal-endpoint", replays, "--journal", str(net.journal))
        commands = [
            hosts.on(hosts.camera, *BOWAM, *capture),
            hosts.on(hosts.worker, *BOWAM, "worker", "--frames", frames, *ends, "--insecure"),
            hosts.on(
                hosts.listener, sys.executable, "-m", "tests.system.faults.listener", str(net.file), events, replays
            ),
        ]
        with running(commands, folder):
            wait_for(lambda: net.told() > 2)
            yield net


def test_a_camera_that_was_cut_off_goes_on_and_its_lost_frames_are_counted(net: Net) -> None:
    """No event is invented, every frame is accounted for: those that went nowhere as lost."""
    before = net.rows()
    net.hosts.cut("frames", True)
    time.sleep(CUT_S)
    net.hosts.cut("frames", False)
    wait_for(lambda: net.rows() > before + 3)
    net.check()
    dropped = "".join(str(session["dropped"]) for session in read_books(net.journal).sessions)
    assert "receive/lost" in dropped


def test_a_subscriber_that_was_cut_off_hears_everything_that_happened_meanwhile(net: Net) -> None:
    """The worker does not wait for it; it comes back by itself and asks for what it missed."""
    net.check()
    net.hosts.cut("events", True)
    before, told = net.rows(), net.told()
    wait_for(lambda: net.rows() > before + 4)
    assert net.told() <= told + 1
    time.sleep(CUT_S)
    net.hosts.cut("events", False)
    net.check()
    assert net.told() > told + 4


def test_hosts_that_are_cut_off_all_at_once_come_together_again(net: Net) -> None:
    """Both cables, again and again, for moments and for longer."""
    for seconds in (0.3, 4.0, 1.0):
        for cable in ("frames", "events"):
            net.hosts.cut(cable, True)
        time.sleep(seconds)
        for cable in ("events", "frames"):
            net.hosts.cut(cable, False)
        time.sleep(0.5)
    before = net.rows()
    wait_for(lambda: net.rows() > before + 2)
    net.check()
