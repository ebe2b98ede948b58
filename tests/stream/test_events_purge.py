"""Retention: old records go for good, the rest stays whole, and nobody who reads or writes meanwhile is disturbed."""

import contextlib
import datetime
import sqlite3
import subprocess
import sys
import threading
import time

import msgspec
import pytest
import typer
from typer.testing import CliRunner

from bowam_stream.cli.app import app
from bowam_stream.cli.journal import cutoff_utc_ns
from bowam_stream.errors import JournalError
from bowam_stream.events import purge as module
from bowam_stream.events.journal import Journal
from bowam_stream.events.purge import purge
from bowam_stream.messages import Delivery, Event, Moment
from tests.stream.small_events import small_event

LIVE = Moment(frame=1, t_ns=1, utc_ns=1)
RECORDED = Moment(frame=1, t_ns=1)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "journal.sqlite"


@pytest.fixture
def journal(path):
    with Journal(path) as journal:
        yield journal


@pytest.fixture(autouse=True)
def hurry(monkeypatch):
    monkeypatch.setattr(module, "PAUSE_S", 0.0)


def write(
    journal: Journal,
    name: str,
    *,
    at: int | None = 0,
    camera: str = "cam0",
    phase: str = "final",
    moment: Moment = LIVE,
    session: str = "s",
) -> Event:
    """An event, published `at`; None: it waits."""
    event = msgspec.structs.replace(small_event(name, camera), phase=phase, onset=moment, session=session)
    stored = journal.append(event)
    assert stored is not None
    if at is not None:
        delivery = Delivery(published_utc_ns=at, latency_ms=None)
        journal.mark_published(msgspec.structs.replace(stored, delivery=delivery))
    return stored


def kept(journal: Journal, camera: str = "cam0") -> list[str]:
    """What is left, which always begins right behind what was purged."""
    events = list(journal.since(cameras=[camera]))
    first = journal.purged().get(camera, 0) + 1
    assert [event.seq for event in events] == list(range(first, journal.heads()[camera] + 1))
    return [event.event_id for event in events]


def test_what_is_older_goes_and_seq_goes_on(journal):
    """By the time of publication; each camera by itself, in batches."""
    for at in range(600):
        write(journal, f"a{at}", at=at)
    write(journal, "b0", at=5, camera="cam1")
    first, second = purge(journal, 590)
    assert (first.records, first.upto, first.head, first.kept_by) == (590, 590, 600, None)
    assert (second.records, second.upto, second.head, second.kept_by) == (1, 1, 1, None)
    assert kept(journal) == [f"a{at}" for at in range(590, 600)]
    assert kept(journal, "cam1") == []
    assert write(journal, "next", camera="cam1").seq == 2
    assert kept(journal, "cam1") == ["next"]
    assert [one.records for one in purge(journal, 590)] == [0, 1]


def test_only_the_cameras_that_were_named(journal):
    """Others keep theirs."""
    write(journal, "a")
    write(journal, "b", camera="cam1")
    (one,) = purge(journal, 10, cameras=["cam1"])
    assert (one.camera, one.records) == ("cam1", 1)
    assert kept(journal) == ["a"]


def test_a_dry_run_says_the_same_and_removes_nothing(journal):
    """What would go, and why the rest would stay."""
    for name in ("a", "b"):
        write(journal, name)
    write(journal, "c", at=None)
    said = purge(journal, 10, dry_run=True)
    assert kept(journal) == ["a", "b", "c"]
    assert purge(journal, 10) == said
    assert kept(journal) == ["c"]


def test_an_event_that_waits_stays_and_so_does_what_is_behind_it(journal):
    """It will be published at the next start, under its number."""
    write(journal, "a")
    write(journal, "b", at=None)
    write(journal, "c")
    (one,) = purge(journal, 10)
    assert (one.records, one.kept_by) == (1, "event 2 waits to be published")
    assert kept(journal) == ["b", "c"]
    assert [event.event_id for event in journal.unpublished("cam0")] == ["b"]


def test_an_open_provisional_stays_until_it_is_closed(journal):
    """Its end would otherwise close nothing."""
    write(journal, "a")
    write(journal, "open", phase="provisional")
    write(journal, "b")
    (one,) = purge(journal, 10)
    assert (one.records, one.kept_by) == (1, "event 2 is open")
    assert [event.event_id for event in journal.open_provisionals()] == ["open"]
    write(journal, "open", phase="retracted")
    (one,) = purge(journal, 10)
    assert (one.records, one.kept_by) == (3, None)
    assert kept(journal) == []


def test_a_clock_that_was_set_back_makes_nobody_lose_what_is_new(journal):
    """Numbers behind a younger one stay, whatever their time."""
    for name, at in (("a", 1), ("b", 100), ("c", 2)):
        write(journal, name, at=at)
    purge(journal, 50)
    assert kept(journal) == ["b", "c"]


def test_a_recording_goes_as_a_whole_or_stays(journal):
    """So feeding it again tells nothing twice while it stands there, and everything once it is gone."""

    def feed(at: int) -> list[str]:
        """The records that the journal did not have."""
        new = []
        for name in ("r1", "r2", "r3"):
            with contextlib.suppress(AssertionError):
                new.append(write(journal, name, at=at, moment=RECORDED, session="r").event_id)
        return new

    write(journal, "live")
    write(journal, "r1", at=1, moment=RECORDED, session="r")
    write(journal, "other", at=1, moment=RECORDED, session="q")
    assert feed(at=100) == ["r2", "r3"]
    (one,) = purge(journal, 50)
    assert (one.records, one.kept_by) == (1, "the recording of event 2 goes as a whole, and its last record stays")
    assert feed(at=100) == []
    purge(journal, 101)
    assert kept(journal) == []
    assert feed(at=200) == ["r1", "r2", "r3"]
    assert [event.seq for event in journal.since()] == [6, 7, 8]


def test_a_recording_whose_camera_a_worker_holds_stays(path):
    """It might be fed again at this moment; what a camera saw may go all the same."""
    with Journal(path) as worker, Journal(path) as other:
        write(worker, "live")
        write(worker, "r", moment=RECORDED, session="r")
        (one,) = purge(other, 10)
        assert (one.records, one.kept_by) == (1, "event 2 is of a recording, and a worker holds the camera")
        assert kept(worker) == ["r"]


def test_what_was_purged_is_gone_from_the_files_and_the_space_is_given_back(path):
    """Not a byte of it in the file nor in the write-ahead log, while a worker and a reader have both open."""
    with Journal(path) as worker, Journal.open_readonly(path) as reader:
        worker._db.execute("PRAGMA synchronous=OFF")  # many rows, no power cut
        for index in range(3000):
            write(worker, f"{index:05}-{index * 2654435761 % 2**32:08x}-marked", session="secret")
        for index in range(20):
            write(worker, f"kept-{index}", at=100)
        assert len(list(reader.since())) == 3020
        before = path.stat().st_size
        with Journal(path) as other:
            purge(other, 50)
        for file in path.parent.glob(f"{path.name}*"):
            held = file.read_bytes()
            assert b"marked" not in held, file.name
            assert b"secret" not in held, file.name
        assert path.stat().st_size < before / 20
        assert len(list(reader.since())) == 20
        assert worker._db.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_reader_in_the_way_is_an_error_that_says_so(path, monkeypatch):
    """Nobody is told that something is gone while the write-ahead log still has it."""
    with Journal(path) as journal, contextlib.closing(sqlite3.connect(path, isolation_level=None)) as reader:
        write(journal, "a")
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM events").fetchall()
        journal._db.execute("PRAGMA busy_timeout=10")
        with pytest.raises(JournalError, match="a reader keeps what is gone"):
            purge(journal, 10)
        reader.execute("COMMIT")
        purge(journal, 10)
        assert path.with_name(f"{path.name}-wal").stat().st_size == 0


def test_a_worker_writes_on_meanwhile_and_loses_nothing(path, monkeypatch):
    """Appending and publishing in one thread, purging in another."""
    with Journal(path) as worker:
        worker._db.execute("PRAGMA synchronous=OFF")
        for index in range(2000):
            write(worker, f"old-{index}")
        monkeypatch.setattr(module, "PAUSE_S", 0.001)
        ended: list[object] = []

        def run() -> None:
            with Journal(path) as other:
                ended.extend(purge(other, 50))

        thread = threading.Thread(target=run)
        thread.start()
        count = 0
        while thread.is_alive() or not count:
            write(worker, f"new-{count}", at=100)
            count += 1
        thread.join()
        assert len(ended) == 1
        assert kept(worker) == [f"new-{index}" for index in range(count)]
        assert worker.heads() == {"cam0": 2000 + count}


def test_accounts_of_sessions_go_with_their_events(journal):
    """Those that ended before, and of which no event is left."""
    for session, seen, ended in (("gone", 5, "end"), ("left", 5, "end"), ("young", 60, "end"), ("running", 5, None)):
        journal._db.execute(
            "INSERT INTO sessions VALUES ('cam0', ?, ?, 'x', 0, 1, 1, 1, 1, '{}', ?)", (session, seen, ended)
        )
    write(journal, "a", session="gone")
    write(journal, "b", at=100, session="left")
    purge(journal, 50, cameras=["cam1"])
    assert module._one(journal, "SELECT count(*) FROM sessions") == 4
    purge(journal, 50)
    rows = journal._db.execute("SELECT session FROM sessions ORDER BY session").fetchall()
    assert rows == [("left",), ("running",), ("young",)]


DAY_NS = 86_400 * 10**9


@pytest.mark.parametrize(
    ("text", "cutoff"),
    [
        ("30d", 1000 * DAY_NS - 30 * DAY_NS),
        ("12h", 1000 * DAY_NS - DAY_NS // 2),
        ("90m", 1000 * DAY_NS - DAY_NS // 16),
        ("0s", 1000 * DAY_NS),
        ("1970-01-02", DAY_NS),
        ("1970-01-02T01:00:00+01:00", DAY_NS),
        ("1970-01-01T00:00:00.000001", 1000),
    ],
)
def test_ages_and_dates_are_understood(text, cutoff):
    """A date without a zone is UTC."""
    assert cutoff_utc_ns(text, 1000 * DAY_NS) == cutoff


@pytest.mark.parametrize("text", ["", "30", "d", "-3d", "1.5h", "yesterday", "2026-13-01", "30 d", "३d"])
def test_anything_else_is_refused(text):
    """A misread age would remove what should stay."""
    with pytest.raises(typer.BadParameter, match="30d"):
        cutoff_utc_ns(text, 0)


def test_the_command_says_what_it_removed(path):
    """Per camera; a file that is not there is not made."""
    year = datetime.timedelta(days=365) // datetime.timedelta(microseconds=1) * 1000
    with Journal(path) as journal:
        write(journal, "a", at=time.time_ns() - year)
        write(journal, "b", at=time.time_ns())
    run = CliRunner().invoke(app, ["journal", "purge", "--older-than", "30d", "--dry-run", str(path)])
    assert (run.exit_code, run.stdout) == (0, "cam0: 1 events would be removed, 1 kept\n")
    run = CliRunner().invoke(app, ["journal", "purge", "--older-than", "30d", str(path)])
    assert (run.exit_code, run.stdout) == (0, "cam0: 1 events removed, 1 kept\n")
    run = CliRunner().invoke(app, ["journal", "purge", "--older-than", "30d", "--camera", "cam9", str(path)])
    assert "no events of cam9" in str(run.exception)
    other = path.with_name("none.sqlite")
    run = CliRunner().invoke(app, ["journal", "purge", "--older-than", "30d", str(other)])
    assert isinstance(run.exception, JournalError)
    assert not other.exists()


@pytest.mark.system
def test_a_purge_that_is_killed_leaves_a_sound_journal(path):
    """Again and again, until it comes to its end."""
    program = (
        "import sys; from pathlib import Path; from bowam_stream.events import Journal; "
        "from bowam_stream.events import purge as module; print(flush=True); "
        "module.BATCH_RECORDS, module.PAUSE_S = 3, 0.001; module.purge(Journal(Path(sys.argv[1])), 50)"
    )
    with Journal(path) as journal:
        journal._db.execute("PRAGMA synchronous=OFF")
        for index in range(1500):
            write(journal, f"{index}")
        write(journal, "last", at=100)
        last = 0
        for milliseconds in (50, 200, 400, None):
            process = subprocess.Popen([sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE)
            process.stdout.readline()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(None if milliseconds is None else milliseconds / 1000)
            process.kill()
            process.communicate()
            assert last <= journal.purged().get("cam0", 0)
            last = journal.purged().get("cam0", 0)
            assert kept(journal)[-1] == "last"
        assert kept(journal) == ["last"]
