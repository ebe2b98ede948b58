"""What can be wrong when a process starts: one clear line each, status 1, and nothing left behind."""

import os
import random
import re
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.system.faults.disk import Disk, why_no_disk
from tests.system.faults.kinds import DAMAGES
from tests.system.faults.oracle import judge_journal, read_books
from tests.system.faults.place import hold
from tests.system.processes import Run, alive, children, free_port, wait_for
from tests.system.test_replay import stored

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def good(clip: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A journal with events."""
    from tests.system.processes import BOWAM

    journal = tmp_path_factory.mktemp("good") / "journal.sqlite"
    subprocess.run([*BOWAM, "replay", str(clip), "--journal", str(journal)], check=True, capture_output=True)
    return journal


def one_line(run: "subprocess.CompletedProcess[str]") -> str:
    """The line that says why it failed, the only one."""
    assert run.returncode == 1, run.stderr
    (line,) = run.stderr.strip().splitlines()
    return line


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_journal_that_is_none_is_refused_in_one_line(bowam: Run, good: Path, damage: str, tmp_path: Path) -> None:
    """And is left as it was: somebody may want to mend it."""
    journal = tmp_path / "journal.sqlite"
    DAMAGES[damage](good, journal)
    before = journal.read_bytes()
    ports = ("--endpoint", "tcp://127.0.0.1:*", "--journal-endpoint", "tcp://127.0.0.1:*", "--metrics-port", 0)
    line = one_line(bowam("worker", "--journal", journal, "--frames", f"ipc://{tmp_path}/frames", *ports))
    assert str(journal) in line
    assert journal.read_bytes() == before


@pytest.mark.parametrize("port", ["--endpoint", "--journal-endpoint", "--metrics-port"])
def test_a_worker_whose_port_is_taken_says_which(bowam: Run, port: str, tmp_path: Path) -> None:
    """At its start: a person chooses another one."""
    endpoint = f"tcp://127.0.0.1:{free_port()}"
    ports = {"--endpoint": "tcp://127.0.0.1:*", "--journal-endpoint": "tcp://127.0.0.1:*", "--metrics-port": "0"}
    ports[port] = endpoint.rpartition(":")[2] if port == "--metrics-port" else endpoint
    options = [word for pair in ports.items() for word in pair]
    with hold(endpoint):
        line = one_line(
            bowam("worker", "--frames", f"ipc://{tmp_path}/frames", "--journal", tmp_path / "j.sqlite", *options)
        )
    assert endpoint.rpartition(":")[2] in line


@pytest.mark.skipif(why_no_disk() is not None, reason=str(why_no_disk()))
def test_a_disk_for_temporary_files_that_runs_full_ends_a_replay_in_one_line(
    start: Callable, clip: Path, tmp_path: Path
) -> None:
    """Its journal and its sockets lie there; with space again, the same command works."""
    disk = Disk(tmp_path)
    try:
        environment = {**os.environ, "TMPDIR": str(disk.folder)}
        replay = start("replay", clip, "--speed", 1, env=environment)
        wait_for(lambda: any(stored(journal) for journal in disk.folder.glob("bowam-*/journal.sqlite")))
        disk.fill()
        _, errors = replay.communicate(timeout=60)
        assert replay.returncode == 1, errors
        assert re.search("space|full", errors.splitlines()[-1]), errors
        assert "Traceback" not in errors
        disk.empty()
        again = start("replay", clip, env=environment)
        _, errors = again.communicate(timeout=60)
        assert again.returncode == 0, errors
    finally:
        disk.close()


def test_a_live_run_whose_supervisor_is_killed_can_be_started_again_at_once(
    start: Callable, clip: Path, tmp_path: Path
) -> None:
    """The same command with the same ports and journal; what was open is closed, and numbers go on."""
    journal, config = tmp_path / "journal.sqlite", tmp_path / "bowam.toml"
    ports = [free_port() for _ in range(6)]
    config.write_text(
        f"[transport]\nendpoint = 'tcp://127.0.0.1:{ports[0]}'\n[source]\nloops = 100\n"
        f"[events]\nendpoint = 'tcp://127.0.0.1:{ports[1]}'\njournal_endpoint = 'tcp://127.0.0.1:{ports[2]}'\n"
        f"journal = '{journal}'\n[metrics]\ncapture_port = {ports[3]}\nworker_port = {ports[4]}\n"
        f"[page]\nport = {ports[5]}\n"
    )
    rng, before = random.Random(3), 0
    for _ in range(2):
        live = start("live", "--source", clip, "--config", config)
        wait_for(lambda before=before: stored(journal) > before + rng.randrange(1, 4))
        before = stored(journal)
        left = list(children(live.pid).values())
        live.kill()
        wait_for(lambda left=left: not any(map(alive, left)))
    live = start("live", "--source", clip, "--config", config)
    wait_for(lambda: stored(journal) > before)
    live.send_signal(signal.SIGINT)
    assert live.wait(timeout=30) == 0, live.communicate()[1]
    verdict = judge_journal(read_books(journal))
    assert verdict, verdict
    assert verdict.waiting == 0
