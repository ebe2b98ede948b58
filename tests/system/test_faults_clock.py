"""The time is set while camera and worker run, under Debian's faketime; the monotonic clock goes on."""

import os
import sqlite3
import subprocess
import time
from pathlib import Path

import pytest

from tests.system.faults.oracle import heard, judge_frames, judge_journal, read_books
from tests.system.faults.sources import make_clip
from tests.system.processes import BOWAM, free_port, wait_for

LIBRARY = next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))), None)

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(LIBRARY is None, reason="faketime is not installed (make daemons)"),
]


def test_events_go_on_when_somebody_sets_the_clock(tmp_path: Path) -> None:
    """A day ahead, an hour behind, right again: numbers go on, no latency is negative, nothing stands still."""
    clip, shift = make_clip(tmp_path / "clip"), tmp_path / "shift"
    frames, events, replays = (f"tcp://127.0.0.1:{free_port()}" for _ in range(3))
    journal = tmp_path / "journal.sqlite"
    shift.write_text("+0\n")
    environment = {
        **os.environ,
        "LD_PRELOAD": str(LIBRARY),
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "FAKETIME_TIMESTAMP_FILE": str(shift),
        "FAKETIME_CACHE_DURATION": "1",
        "OMP_NUM_THREADS": "1",
    }
    ends = ("--endpoint", events, "--journal-endpoint", replays, "--journal", journal, "--metrics-port", 0)
    commands = [
        [*BOWAM, "capture", "--as-live", "--loops", "1000", "--frames", frames, "--metrics-port", 0, clip],
        [*BOWAM, "worker", "--frames", frames, *ends],
    ]
    with (tmp_path / "log").open("w") as log:
        started = [
            subprocess.Popen([str(word) for word in command], env=environment, stderr=log) for command in commands
        ]
        try:
            wait_for(lambda: rows(journal) > 1)
            for ahead in ("+1d", "-3600s", "+0"):
                shift.write_text(f"{ahead}\n")
                time.sleep(1.5)  # faketime looks into its file once a second
                before = rows(journal)
                wait_for(lambda before=before: rows(journal) > before + 2)
                assert all(process.poll() is None for process in started)
        finally:
            for process in started:
                process.kill()
                process.wait()
    books = read_books(journal)
    verdict = judge_journal(books)
    verdict.merge(judge_frames(books))
    assert verdict, verdict
    assert heard(row.content for row in books.rows) == books.heads
    dates = [row.published_utc_ns for row in books.rows if row.published_utc_ns is not None]
    assert max(dates) - min(dates) > 80_000 * 10**9, "the clock was never set"
    assert dates != sorted(dates), "the clock was never set back"


def rows(journal: Path) -> int:
    """Events in the journal; 0 while there is none."""
    try:
        return len(read_books(journal).rows)
    except sqlite3.OperationalError:  # not there, or not laid out yet
        return 0
