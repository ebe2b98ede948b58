"""The journal: nothing lost, nothing twice, whatever happens to the file or to the process."""

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

import msgspec
import pytest

from bowam_stream.errors import JournalError
from bowam_stream.events import journal as module
from bowam_stream.events.journal import Journal
from bowam_stream.events.schema import to_json
from bowam_stream.messages import Delivery, Event, Moment
from tests.stream.small_events import small_event


def made(name: str, phase: str = "final", camera: str = "cam0", score: float = 3.0) -> Event:
    """An event with little in it."""
    moment = Moment(frame=1, t_ns=1)
    return Event(
        event_id=name,
        seq=0,
        camera=camera,
        session="s",
        face=0,
        kind=None if phase != "final" else "macro",
        phase=phase,
        onset=moment,
        apex=moment,
        offset=None if phase == "provisional" else moment,
        label=None,
        probabilities=None,
        confidence=None,
        spotting_score=score,
        quality=(),
        model=None,
        reason="nod" if phase == "retracted" else None,
    )


def names(events) -> list[tuple[str, int, str]]:
    return [(event.camera, event.seq, event.event_id) for event in events]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "journal.sqlite"


@pytest.fixture
def journal(path):
    with Journal(path) as journal:
        yield journal


def test_each_camera_counts_from_one_without_gaps(journal):
    """Cameras count on their own, and duplicates take no number."""
    for name, camera in [("a", "cam0"), ("b", "cam1"), ("a", "cam0"), ("c", "cam0"), ("d", "cam1")]:
        journal.append(made(name, camera=camera))
    assert names(journal.since()) == [("cam0", 1, "a"), ("cam0", 2, "c"), ("cam1", 1, "b"), ("cam1", 2, "d")]
    assert journal.heads() == {"cam0": 2, "cam1": 2}


def test_what_is_stored_is_the_content_to_the_byte(journal, path):
    """The row holds exactly what --events writes, and `append` returns what a reader will read."""
    stored = journal.append(made("a", score=3.14159265))
    (content,) = sqlite3.connect(path).execute("SELECT content FROM events").fetchone()
    assert content == to_json(stored, delivery=False)
    assert stored.spotting_score == 3.1416
    assert [*journal.since()] == [stored]


@pytest.mark.parametrize("closing", ["final", "retracted"])
@pytest.mark.parametrize("late", ["provisional", "final", "retracted"])
def test_an_event_is_closed_once(journal, closing, late):
    """After a closing record nothing more is taken under that name; a phase is taken once."""
    assert journal.append(made("a", "provisional")) is not None
    assert journal.append(made("a", "provisional")) is None
    assert journal.append(made("a", closing)) is not None
    assert journal.append(made("a", late)) is None
    assert journal.heads() == {"cam0": 2}


def test_open_provisionals_are_those_without_a_closing_record(journal):
    """Oldest first, for one camera or for all."""
    for name, camera in [("a", "cam0"), ("b", "cam1"), ("c", "cam0"), ("d", "cam0")]:
        journal.append(made(name, "provisional", camera))
    journal.append(made("a", "retracted"))
    journal.append(made("c", "final"))
    assert names(journal.open_provisionals()) == [("cam1", 1, "b"), ("cam0", 3, "d")]
    assert names(journal.open_provisionals("cam0")) == [("cam0", 3, "d")]


def test_unpublished_events_wait_across_a_restart(path):
    """What was stored and not marked is found again; publication does not touch content."""
    with Journal(path) as journal:
        first, _ = journal.append(made("a")), journal.append(made("b"))
        content = to_json(first, delivery=False)
        sent = msgspec.structs.replace(first, delivery=Delivery(published_utc_ns=5, latency_ms=1.5))
        journal.mark_published(sent)
    with Journal(path) as journal:
        assert names(journal.unpublished("cam0")) == [("cam0", 2, "b")]
        assert journal.unpublished("cam1") == []
        published = next(journal.since())
        assert published == sent
        assert to_json(published, delivery=False) == content


def test_since_resumes_behind_the_cursor(journal):
    """A camera that the cursor does not name starts from its first event; `cameras` leaves out the others."""
    for index in range(5):
        journal.append(made(f"a{index}", camera="cam0"))
        journal.append(made(f"b{index}", camera="cam1"))
    assert names(journal.since({"cam0": 3})) == [("cam0", 4, "a3"), ("cam0", 5, "a4")] + [
        ("cam1", index + 1, f"b{index}") for index in range(5)
    ]
    assert names(journal.since({"cam0": 4}, cameras=["cam0"])) == [("cam0", 5, "a4")]
    assert names(journal.since({"cam0": 5, "cam1": 9})) == []


@pytest.mark.parametrize("count", [4, 5, 6])
def test_pages_tell_whether_more_follows(journal, count):
    """Across cameras, also where a page ends exactly at the last event."""
    for index in range(count):
        journal.append(made(f"e{index}", camera=f"cam{index % 2}"))
    page = journal.page({}, limit=5)
    assert page.complete is (count <= 5)
    assert len(page.records) == min(count, 5)
    assert sum(page.heads.values()) == count


def test_events_beyond_one_page_all_arrive_in_order(journal):
    """A reader pages by itself, also while a writer goes on."""
    count = module.PAGE_EVENTS + 10
    for index in range(count):
        journal.append(made(f"e{index}"))
    seen = []
    for event in journal.since():
        seen.append(event.seq)
        if event.seq == 4:
            journal.append(made("late"))
    assert seen == list(range(1, count + 2))


def test_readers_see_new_events_and_can_write_nothing(journal, path):
    """A read-only journal follows the writer."""
    with Journal.open_readonly(path) as reader:
        assert names(reader.since()) == []
        journal.append(made("a"))
        assert names(reader.since()) == [("cam0", 1, "a")]
        assert reader.name == journal.name
        with pytest.raises(JournalError, match="read-only"):
            reader.append(made("b", camera="other"))


def test_a_camera_belongs_to_one_worker(journal, path):
    """A second claim names the holder; other cameras of the same journal are free; closing gives the camera back."""
    journal.claim("cam0")
    with pytest.raises(JournalError, match=f"cam0 belongs to another worker.*process {os.getpid()}"):
        Journal(path, cameras=["cam0"])
    with Journal(path, cameras=["cam1"]) as other:
        with pytest.raises(JournalError, match="belongs to another worker"):
            other.append(made("a", camera="cam0"))
        assert other.append(made("a", camera="cam1")).seq == 1
    journal.close()
    Journal(path, cameras=["cam0", "cam1"]).close()


def test_every_journal_has_its_own_name(tmp_path):
    """So that a subscriber notices that another journal took the place of the one that it knew."""
    with Journal(tmp_path / "a") as first, Journal(tmp_path / "b") as second:
        assert first.name != second.name
        assert Journal.open_readonly(tmp_path / "a").name == first.name


def test_a_failed_append_leaves_no_trace(journal):
    """An event that can't be written takes no number, and the next one is not harmed."""
    with pytest.raises(ValueError, match="can't hold"):
        journal.append(made("a", score=float("nan")))
    assert journal.append(made("b")).seq == 1


def test_a_full_disk_is_said_and_survived(journal):
    """SQLite's own page limit stands in for the disk; what was stored before stays, and writing goes on later."""
    journal.append(made("first"))
    (pages,) = journal._db.execute("PRAGMA page_count").fetchone()
    journal._db.execute(f"PRAGMA max_page_count={pages}")
    with pytest.raises(JournalError, match="the disk is full"):
        [journal.append(made(f"e{index}")) for index in range(100)]
    stored = [event.seq for event in journal.since()]
    assert stored == list(range(1, len(stored) + 1))
    journal._db.execute("PRAGMA max_page_count=1000000")
    assert journal.append(made("last")).seq == len(stored) + 1


def _not_a_database(path):
    path.write_bytes(b"These are my notes. " * 100)


def _another_program(path):
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE notes (text)")
    database.close()


def _another_version(path):
    Journal(path).close()
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version=99")
    database.close()


def _cut_off(path):
    with Journal(path) as journal:
        for index in range(100):
            journal.append(made(f"e{index}"))
    os.truncate(path, os.path.getsize(path) // 2)


def _folder(path):
    path.mkdir()


@pytest.mark.parametrize("readonly", [False, True])
@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (_not_a_database, "is not a journal"),
        (_another_program, "of another program"),
        (_another_version, "of version 99"),
        (_cut_off, "damaged or cut off"),
        (_folder, "is a folder"),
    ],
)
def test_a_file_that_is_no_sound_journal_is_refused_in_one_line(path, spoil, said, readonly):
    """One line that names the file and says what to do."""
    spoil(path)
    with pytest.raises(JournalError, match=said) as caught, Journal(path, readonly=readonly) as journal:
        list(journal.since())
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_folder_and_a_missing_journal_are_said(tmp_path):
    """A writer needs the folder, a reader the file; an empty file is no journal yet."""
    with pytest.raises(JournalError, match="can't be opened"):
        Journal(tmp_path / "nowhere" / "journal.sqlite")
    with pytest.raises(JournalError, match="can't be opened"):
        Journal.open_readonly(tmp_path / "journal.sqlite")
    (tmp_path / "empty").touch()
    with pytest.raises(JournalError, match="is empty"):
        Journal.open_readonly(tmp_path / "empty")


def test_a_locked_journal_is_said(journal, path, monkeypatch):
    """Another program that holds the write lock (a backup tool) is named as the cause."""
    monkeypatch.setattr(module, "BUSY_TIMEOUT_S", 0.0)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(JournalError, match="another process holds it"):
        Journal(path)
    other.close()


@pytest.fixture
def unprivileged():
    """Root may write to read-only files, so root turns into somebody else for a while."""
    if os.geteuid():
        yield
        return
    os.seteuid(65534)
    yield
    os.seteuid(0)


@pytest.fixture
def foreign():
    """A journal that everybody may read and nobody may write."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "journal.sqlite"
        Journal(path).close()
        path.chmod(0o444)
        path.parent.chmod(0o555)
        yield path
        path.parent.chmod(0o755)


def test_a_read_only_journal_is_noticed_at_the_start(foreign, unprivileged):
    """Not when the first event comes."""
    with pytest.raises(JournalError, match="read-only"):
        Journal(foreign)


def test_a_read_only_journal_can_be_read(foreign, unprivileged):
    """From an archive, where SQLite can't put its shared memory beside the file."""
    with Journal.open_readonly(foreign) as journal:
        assert names(journal.since()) == []


_WRITER = """
import json, sys
from pathlib import Path
import msgspec
from bowam_stream.events.journal import Journal
from bowam_stream.events.schema import from_json
event = from_json(sys.stdin.readline())
with Journal(Path(sys.argv[1]), cameras=["cam0"]) as journal:
    first = journal.heads().get("cam0", 0)
    for index in range(first, 10**9):
        stored = journal.append(msgspec.structs.replace(event, event_id=f"e{index}"))
        print(stored.seq, flush=True)
"""


@pytest.mark.system
def test_a_killed_writer_loses_nothing_that_it_reported(path):
    """kill -9 in the middle, several times: every seq that was reported is there, no gaps, and the claim is free."""
    reported = 0
    for kills_after in (1, 7, 30, 2, 50):
        writer = subprocess.Popen(
            [sys.executable, "-c", _WRITER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        with writer:
            writer.stdin.write(to_json(made("x")).decode() + "\n")
            writer.stdin.flush()
            for _ in range(kills_after):
                reported = int(writer.stdout.readline())
            writer.send_signal(signal.SIGKILL)
            reported = max([reported, *map(int, writer.stdout.read().split())])
        with Journal.open_readonly(path) as journal:
            stored = [event.seq for event in journal.since()]
        assert stored == list(range(1, len(stored) + 1))
        assert len(stored) >= reported
    assert json.loads(to_json(made("x")))["seq"] == 0


def as_version_1_wrote_it(path: Path, *events: Event) -> None:
    """A journal file as the first release laid it out."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("PRAGMA journal_mode=WAL")
        database.executescript(
            """
            CREATE TABLE journal (name TEXT NOT NULL) STRICT;
            CREATE TABLE cameras (camera TEXT PRIMARY KEY, seq INTEGER NOT NULL) STRICT, WITHOUT ROWID;
            CREATE TABLE events (
                position INTEGER PRIMARY KEY AUTOINCREMENT,
                camera TEXT NOT NULL,
                seq INTEGER NOT NULL,
                event_id TEXT NOT NULL,
                phase TEXT NOT NULL,
                content BLOB NOT NULL,
                published_utc_ns INTEGER,
                latency_ms REAL,
                UNIQUE (camera, seq),
                UNIQUE (event_id, phase)
            ) STRICT;
            CREATE INDEX waiting ON events (position) WHERE published_utc_ns IS NULL;
            CREATE TABLE open (
                event_id TEXT PRIMARY KEY, camera TEXT NOT NULL, seq INTEGER NOT NULL
            ) STRICT, WITHOUT ROWID;
            INSERT INTO journal VALUES ('the first one');
            PRAGMA application_id=1113014605;
            PRAGMA user_version=1;
            """
        )
        for seq, event in enumerate(events, start=1):
            content = to_json(msgspec.structs.replace(event, seq=seq), delivery=False)
            database.execute("INSERT OR REPLACE INTO cameras VALUES (?, ?)", (event.camera, seq))
            database.execute(
                "INSERT INTO events VALUES (NULL, ?, ?, ?, ?, ?, 7, 0.5)",
                (event.camera, seq, event.event_id, event.phase, content),
            )


def test_a_journal_of_version_1_is_read_and_upgraded_where_it_stands(path):
    """Readers leave it as it is; a worker upgrades it, also while somebody reads, and goes on counting."""
    as_version_1_wrote_it(path, made("a"), made("b"))
    with Journal.open_readonly(path) as reader:
        assert names(reader.since()) == [("cam0", 1, "a"), ("cam0", 2, "b")]
        with Journal(path) as writer:
            assert writer.name == reader.name == "the first one"
            assert writer.append(made("b")) is None
            assert writer.append(made("c")).seq == 3
        assert names(reader.since()) == [("cam0", 1, "a"), ("cam0", 2, "b"), ("cam0", 3, "c")]
    with (
        contextlib.closing(sqlite3.connect(path)) as upgraded,
        contextlib.closing(sqlite3.connect(path.with_name("new"))) as other,
    ):
        Journal(path.with_name("new")).close()
        layout = "SELECT name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%' ORDER BY name"
        stripped = [
            [(name, " ".join(sql.split())) for name, sql in database.execute(layout)] for database in (upgraded, other)
        ]
        assert stripped[0] == stripped[1], "an upgraded file is laid out like a new one"
        for database in (upgraded, other):
            assert database.execute("PRAGMA user_version").fetchone() == (module.VERSION,)
            assert database.execute("PRAGMA auto_vacuum").fetchone() == (2,), "it can give space back"


@pytest.mark.parametrize("latency_ms", [None, 0.0, 12.345, 1e-7, 98765.43210987])
def test_a_record_is_served_as_it_was_published(tmp_path, latency_ms):
    """Byte for byte what the topic carried, also where a text holds what looks like the key."""
    with Journal(tmp_path / "journal.sqlite") as journal:
        sly = msgspec.structs.replace(small_event("a"), session='"delivery":null', quality=('x"delivery":null',))
        stored = journal.append(sly)
        (waiting,) = journal.page({}).records
        assert waiting == to_json(stored, delivery=False)
        delivery = Delivery(published_utc_ns=1_700_000_000_000_000_000, latency_ms=latency_ms)
        published = msgspec.structs.replace(stored, delivery=delivery)
        journal.mark_published(published)
        (record,) = journal.page({}).records
        assert record == to_json(published)


def test_a_copy_of_the_one_file_is_whole_once_its_writer_has_closed_it(path, tmp_path):
    """Also where somebody still reads it, so that the write-ahead log stays beside it."""
    with Journal(path) as writer:
        writer.append(made("a"))
        reader = Journal.open_readonly(path)
        assert names(reader.since()) == [("cam0", 1, "a")]
        writer.append(made("b"))
    copy = tmp_path / "copy.sqlite"
    copy.write_bytes(path.read_bytes())
    reader.close()
    with Journal.open_readonly(copy) as journal:
        assert names(journal.since()) == [("cam0", 1, "a"), ("cam0", 2, "b")]
