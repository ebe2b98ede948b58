"""A file of events that is its own cursor: nothing twice, nothing missing, nothing strange overwritten."""

import os
import signal
import subprocess
import sys

import msgspec
import pytest
from typer.testing import CliRunner

from bowam_stream.cli.app import app
from bowam_stream.cli.subscribe import parsed_since
from bowam_stream.errors import EventFileError, TransportError
from bowam_stream.events import EventPublisher, Journal, ReplaySocket, from_json, to_json
from bowam_stream.events import file as module
from bowam_stream.events.file import EventFile
from bowam_stream.messages import Event
from tests.stream.small_events import small_event


@pytest.fixture
def path(tmp_path):
    return tmp_path / "events.jsonl"


def line(seq: int, camera: str = "cam0", name: str = "") -> bytes:
    return to_json(small_event(name or f"{camera}-{seq}", camera, seq)) + b"\n"


def seqs(path) -> list[tuple[str, int]]:
    return [(event.camera, event.seq) for event in map(from_json, path.read_bytes().splitlines())]


def test_the_last_event_of_each_camera_is_where_it_goes_on(path):
    """Also when the cameras took turns."""
    with EventFile(path) as file:
        assert file.last == {}
        for camera, seq in (("a", 1), ("b", 7), ("a", 2)):
            file.append(small_event(f"{camera}-{seq}", camera, seq))
    with EventFile(path) as file:
        assert {camera: event.seq for camera, event in file.last.items()} == {"a": 2, "b": 7}
    assert seqs(path) == [("a", 1), ("b", 7), ("a", 2)]


@pytest.mark.parametrize("left", [1, 5, 100, -1])
@pytest.mark.parametrize("zeros", [0, 30])
def test_half_a_line_is_cut_off(path, left, zeros):
    """What a killed process or a power cut leaves; the event is fetched again."""
    path.write_bytes(line(1) + line(2)[:left] + b"\0" * zeros)
    with EventFile(path) as file:
        assert file.last["cam0"].seq == 1
        file.append(small_event("x", "cam0", 2))
    assert seqs(path) == [("cam0", 1), ("cam0", 2)]


@pytest.mark.parametrize(
    "content",
    [
        b"notes of mine",
        b"notes of mine\n",
        line(1) + b"notes of mine",
        b"{}\n",
        line(1) + line(1),
        line(2) + line(1),
        line(1).replace(b'"phase":"final"', b'"phase":"over"'),
    ],
)
def test_what_is_not_ours_is_left_alone(path, content):
    """Somebody's notes, another program's lines, events out of order: an error, and not a byte is touched."""
    path.write_bytes(content)
    with pytest.raises(EventFileError, match="another"):
        EventFile(path)
    assert path.read_bytes() == content


def test_two_subscribers_never_write_to_one_file(path):
    """Each event would stand there twice."""
    with EventFile(path), pytest.raises(EventFileError, match="in use"):
        EventFile(path)
    EventFile(path).close()


def test_a_full_disk_leaves_whole_lines_only(path, monkeypatch):
    """What was written in part is taken back, and the error says why."""
    with EventFile(path) as file:
        file.append(small_event("a", "cam0", 1))
        write = os.write
        monkeypatch.setattr(module.os, "write", lambda handle, data: write(handle, data[:20]))
        with pytest.raises(EventFileError, match="no space"):
            file.append(small_event("b", "cam0", 2))
    assert path.read_bytes() == line(1, name="a")


def test_a_long_history_is_made_safe_now_and_then(path, monkeypatch):
    """Not after each event, and at the end in any case."""
    synced: list[int] = []
    monkeypatch.setattr(module.os, "fsync", lambda handle: synced.append(path.stat().st_size))
    with EventFile(path) as file:
        for seq in range(1, module.SYNC_EVENTS + 2):
            file.append(small_event("a", "cam0", seq))
        assert len(synced) == 1
    assert synced[-1] == path.stat().st_size
    file_again = EventFile(path)
    file_again.sync()
    assert len(synced) == 2, "nothing new, nothing to do"
    file_again.close()


@pytest.mark.parametrize(
    ("given", "since"),
    [(None, None), ([], None), (["7"], 7), (["cam0=7"], {"cam0": 7}), (["a=1", "b.c-d=0"], {"a": 1, "b.c-d": 0})],
)
def test_since_is_a_number_or_one_for_each_camera(given, since):
    """As the Python interface takes it."""
    assert parsed_since(given) == since


@pytest.mark.parametrize("given", [["-1"], ["x"], ["a="], ["=1"], ["a=1", "a=2"], ["1", "2"], ["1", "a=2"], ["a=b=1"]])
def test_any_other_since_is_refused(given):
    """Before anything is asked."""
    run = CliRunner().invoke(app, ["subscribe", *(f"--since={one}" for one in given)])
    assert run.exit_code == 2
    assert "--since" in run.stderr


def test_a_number_for_all_cameras_and_a_file_contradict_each_other(path):
    """The file says where to go on."""
    run = CliRunner().invoke(app, ["subscribe", "--since", "0", "--append", str(path)])
    assert run.exit_code == 2
    assert not path.exists()


class Served:
    """A journal behind the two sockets of a worker; the publisher's loop does not turn."""

    def __init__(self, folder, journal: str, *events: Event) -> None:
        self.options = ["--endpoint", f"ipc://{folder}/e", "--journal-endpoint", f"ipc://{folder}/j", "--timeout", "20"]
        self._journal = Journal(folder / journal)
        for event in events:
            self._journal.append(event)
        heads = self._journal.heads()
        self._publisher = EventPublisher(f"ipc://{folder}/e", journal=self._journal.name, heads=heads)
        self._socket = ReplaySocket(self._journal.path, f"ipc://{folder}/j")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._socket.close()
        self._publisher.close()
        self._journal.close()


def test_the_command_goes_on_where_its_file_ends_and_notices_another_journal(path, tmp_path):
    """Started again and again: each event once. A file of another journal is left as it is."""
    events = [small_event(f"cam0-{index}") for index in range(1, 6)]
    with Served(tmp_path, "a.sqlite", *events) as served:
        for count in ("2", "3"):
            run = CliRunner().invoke(app, ["subscribe", *served.options, "--append", str(path), "--count", count])
            assert (run.exit_code, run.stdout) == (0, ""), run.exception
    assert seqs(path) == [("cam0", seq) for seq in range(1, 6)]
    before = path.read_bytes()
    others = [msgspec.structs.replace(event, event_id=f"other-{event.event_id}") for event in events]
    for journal, content, said in (("b", others * 1, "another event"), ("c", others[:2], "another journal")):
        extra = [small_event("more-1"), small_event("more-2")] if journal == "b" else []
        with Served(tmp_path, f"{journal}.sqlite", *content, *extra) as served:
            run = CliRunner().invoke(app, ["subscribe", *served.options, "--append", str(path), "--count", "1"])
            assert isinstance(run.exception, TransportError)
            assert said in str(run.exception)
            assert path.read_bytes() == before


@pytest.mark.system
def test_a_subscriber_that_is_killed_again_and_again_leaves_each_event_once(path, tmp_path):
    """kill -9 while it writes a long history."""
    total = 5000
    with Served(tmp_path, "a.sqlite") as served:
        served._journal._db.execute("PRAGMA synchronous=OFF")
        for index in range(total):
            served._journal.append(small_event(f"{index}", f"cam{index % 3}"))
        command = [sys.executable, "-m", "bowam_stream.cli", "subscribe", *served.options, "--append", str(path)]
        for part in (500, 1700, 1701, 3000, 4100, total):
            process = subprocess.Popen(command)
            while not path.exists() or path.read_bytes().count(b"\n") < part:
                assert process.poll() is None
            process.send_signal(signal.SIGKILL)
            process.wait()
    for camera in range(3):
        said = [seq for name, seq in seqs(path) if name == f"cam{camera}"]
        assert said == list(range(1, len(range(camera, total, 3)) + 1))
