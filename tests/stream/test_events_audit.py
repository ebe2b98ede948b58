"""An audit must see every way in which a journal can be wrong: each is made here, by hand, and looked for."""

import sqlite3
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from bowam_stream.events import Journal, SessionAccount
from bowam_stream.events.audit import audit_journal
from bowam_stream.messages import Delivery, Event, Moment

HONEST = [("a", "provisional"), ("a", "final"), ("b", "provisional"), ("c", "provisional"), ("b", "retracted")]


def event(name: str, phase: str, camera: str = "cam0") -> Event:
    return Event(
        event_id=f"{camera}-{name}",
        seq=0,
        camera=camera,
        session="s",
        face=0,
        kind="blink" if phase == "final" else None,
        phase=phase,
        onset=Moment(frame=3, t_ns=1),
        apex=Moment(frame=4, t_ns=2),
        offset=None if phase == "provisional" else Moment(frame=5, t_ns=3),
        label=None,
        probabilities=None,
        confidence=None,
        spotting_score=1.0,
        quality=(),
        model=None,
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A journal of two cameras as a worker leaves it: the last record still waits for its publication."""
    path = tmp_path / "journal.sqlite"
    with Journal(path) as journal:
        for camera in ("cam0", "cam1"):
            for place, (name, phase) in enumerate(HONEST):
                stored = journal.append(event(name, phase, camera))
                if stored is not None and place < len(HONEST) - 1:
                    delivery = Delivery(published_utc_ns=place + 1, latency_ms=None)
                    journal.mark_published(msgspec.structs.replace(stored, delivery=delivery))
            dropped = {"receive/age": 2, "grab/queue_full": 1}
            books = {"captured": 20, "published": 19, "spotted": 17, "dropped": dropped}
            journal.write_accounts([SessionAccount(camera=camera, session="s", **books)])
    return path


def broken(path: Path) -> dict[str, tuple[str, ...]]:
    """What does not hold, and why."""
    with Journal.open_readonly(path) as journal:
        return {check.what: check.faults for check in audit_journal(journal) if not check.holds}


def test_an_honest_journal_holds_and_its_figures_are_told(path: Path) -> None:
    """Two cameras, five records each, one open event, one record that waits."""
    with Journal.open_readonly(path) as journal:
        checks = {check.what: check for check in audit_journal(journal)}
    assert all(check.holds for check in checks.values()), checks
    says = "\n".join(check.says for check in checks.values())
    assert "cam0 1 to 5, cam1 1 to 5" in says
    assert "6 announced, 4 closed, 2 open" in says
    assert "8 published, 2 wait" in says
    assert "2 sessions: 40 captured, 38 published, 38 received, 34 spotted" in says


def test_an_empty_journal_holds(tmp_path: Path) -> None:
    """Nothing was promised yet."""
    path = tmp_path / "journal.sqlite"
    Journal(path).close()
    assert broken(path) == {}


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("DELETE FROM events WHERE camera = 'cam1' AND seq = 3", "cam1: 4 records where seq says 1 to 5"),
        ("UPDATE cameras SET seq = 6 WHERE camera = 'cam0'", "cam0: 5 records where seq says 1 to 6"),
        ("UPDATE cameras SET purged = 1 WHERE camera = 'cam0'", "cam0: 5 records where seq says 2 to 5"),
        ("DELETE FROM cameras WHERE camera = 'cam0'", "cam0: has events and no sequence"),
        ("UPDATE events SET content = x'7b7d' WHERE camera = 'cam0' AND seq = 1", "cam0 1: not a bowam.event/1 record"),
        ("UPDATE events SET content = (SELECT content FROM events WHERE seq = 2) WHERE seq = 1 AND camera = 'cam0'",
         "cam0 1: its row names another event"),
        ("UPDATE events SET event_id = 'x' WHERE camera = 'cam0' AND seq = 2", "closed and never announced"),
        ("DELETE FROM open WHERE camera = 'cam0'", "cam0-c: open or not"),
        ("INSERT INTO open VALUES ('cam0-a', 'cam0', 1)", "cam0-a: open or not"),
        ("UPDATE events SET event_id = 'cam0-a' WHERE camera = 'cam0' AND seq = 5", "cam0-a: closed 2 times"),
        ("UPDATE events SET published_utc_ns = NULL WHERE camera = 'cam0' AND seq = 2",
         "cam0: event 2 waits though a later one was published"),
        ("UPDATE sessions SET spotted = 16 WHERE camera = 'cam0'", "cam0 s: 19 published, but 18 spotted or dropped"),
        ("UPDATE sessions SET captured = 21 WHERE camera = 'cam0'", "21 captured, but 19 published and 1 dropped"),
        ("INSERT INTO sessions SELECT camera, 'other', seen_utc_ns, source, lossless, 0, 0, 0, 0, '{}', NULL"
         " FROM sessions WHERE camera = 'cam0'", "cam0: 2 sessions are open"),
        ("UPDATE sessions SET captured = 5, published = 5, spotted = 5, dropped = '{}' WHERE camera = 'cam1'",
         "cam1 2: frame 5 of 5 that were captured"),
    ],
)  # fmt: skip
def test_each_broken_promise_is_seen_and_named(path: Path, statement: str, told: str) -> None:
    """With the camera and what is wrong."""
    with sqlite3.connect(path) as db:
        db.execute(statement)
    db.close()
    assert any(told in fault for faults in broken(path).values() for fault in faults), broken(path)


def test_damage_to_the_file_is_seen(path: Path) -> None:
    """An index that does not fit its table."""
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA writable_schema=ON")
        db.execute("DELETE FROM events WHERE seq = 2 AND camera = 'none'")
        db.execute(
            "UPDATE sqlite_schema SET sql = replace(sql, 'published_utc_ns IS NULL', 'published_utc_ns IS NOT NULL')"
            " WHERE name = 'waiting'"
        )
    db.close()
    assert "the file is sound" in broken(path)


def test_many_faults_are_told_by_example(path: Path, tmp_path: Path) -> None:
    """Five, and how many more."""
    with sqlite3.connect(path) as db:
        db.execute("UPDATE events SET content = x'7b7d'")
    db.close()
    faults = broken(path)["every record can be read and is what its row says"]
    assert len(faults) == 6
    assert faults[-1] == "and 5 more"


def test_the_command_tells_and_its_status_says_whether_all_holds(path: Path) -> None:
    """0 with a line for each promise, 1 with one line on stderr."""

    def run(file: Path) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "bowam_stream.cli", "audit", str(file)]
        return subprocess.run(command, capture_output=True, text=True, timeout=60)

    done = run(path)
    assert done.returncode == 0, done.stderr
    assert "every event is announced once" in done.stdout
    with sqlite3.connect(path) as db:
        db.execute("DELETE FROM open")
    db.close()
    done = run(path)
    assert done.returncode == 1
    assert done.stderr.startswith(f"bowam: {path}: broken: every event is announced once")
    assert len(done.stderr.splitlines()) == 1
    assert run(path.with_name("none.sqlite")).returncode == 1


def test_running_books_allow_for_what_is_on_its_way_and_for_no_more() -> None:
    """A few frames between two stages; never fewer than none."""
    from bowam_stream.pipeline.auditing import Scrape, audit_capture, audit_worker

    def page(**values: int) -> Scrape:
        lines = [f'bowam_frames_{name}_total{{camera="cam0"}} {value}' for name, value in values.items()]
        return Scrape(
            "\n".join(lines) + '\nbowam_frames_dropped_total{camera="cam0",stage="receive",reason="lost"} 50\n'
        )

    assert audit_worker(page(received=100, spotted=97), 128).holds
    assert not audit_worker(page(received=100, spotted=101), 128).holds
    assert not audit_worker(page(received=1000, spotted=1), 128).holds
    assert audit_capture(page(captured=100, published=48)).holds
    assert not audit_capture(page(captured=100, published=51)).holds
    assert not audit_capture(page(captured=100, published=10)).holds
