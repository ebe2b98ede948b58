"""What people say about events stands beside them, is never edited, and goes with them."""

import contextlib
import sqlite3

import pytest

from bowam_stream.errors import JournalError
from bowam_stream.events.journal import Journal
from bowam_stream.events.judgements import MAX_NOTE, Judgement, judge, judgements
from bowam_stream.events.purge import purge
from tests.stream.test_events_purge import write


@pytest.fixture
def journal(tmp_path):
    with Journal(tmp_path / "journal.sqlite") as journal:
        yield journal


def test_the_last_judgement_counts_and_the_ones_before_are_kept(journal):
    """In the order in which they were made, each with its time."""
    write(journal, "a")
    write(journal, "b")
    judge(journal, Judgement(event_id="a", verdict="true", label="surprise", by="Ann"))
    judge(journal, Judgement(event_id="b", verdict="unsure"))
    last = judge(journal, Judgement(event_id="a", verdict="false", note="she spoke: „ja“\n"))
    assert last.judged_utc_ns > 0
    assert [(one.event_id, one.verdict, one.label, one.note) for one in judgements(journal)] == [
        ("b", "unsure", None, ""),
        ("a", "false", None, "she spoke: „ja“\n"),
    ]
    assert [one.by for one in judgements(journal, all_of_them=True)] == ["Ann", "", ""]


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"event_id": "never"}, "it has no event never"),
        ({"verdict": "perhaps"}, "verdict"),
        ({"note": "x" * (MAX_NOTE + 1)}, "note"),
        ({"label": ""}, "label"),
    ],
)
def test_what_can_not_be_kept_is_refused_in_one_line(journal, wrong, word):
    """And nothing is kept."""
    write(journal, "a")
    with pytest.raises(JournalError, match=word) as refused:
        judge(journal, Judgement(**({"event_id": "a", "verdict": "true"} | wrong)))
    assert "\n" not in str(refused.value)
    assert judgements(journal, all_of_them=True) == []


def test_a_page_judges_and_reads_while_a_worker_writes(journal):
    """Each has the file open for itself; a reader that only reads sees it too."""
    write(journal, "a")
    with Journal(journal.path) as page, Journal.open_readonly(journal.path) as reader:
        judge(page, Judgement(event_id="a", verdict="true"))
        write(journal, "b")
        judge(page, Judgement(event_id="b", verdict="false"))
        assert [one.event_id for one in judgements(reader)] == ["a", "b"]


def test_a_purge_takes_the_judgements_of_what_goes(journal):
    """Those of younger events stay, also of one whose provisional record alone is old."""
    write(journal, "a", at=1)
    write(journal, "b", at=1, phase="provisional")
    write(journal, "b", at=100)
    for name in ("a", "b"):
        judge(journal, Judgement(event_id=name, verdict="true"))
    purge(journal, 50)
    assert [one.event_id for one in judgements(journal)] == ["b"]
    purge(journal, 200)
    assert judgements(journal, all_of_them=True) == []


def test_a_journal_from_before_judgements_has_none(tmp_path):
    """A reader does not upgrade it; whoever judges does."""
    path = tmp_path / "old.sqlite"
    with Journal(path) as journal:
        write(journal, "a")
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.executescript("DROP TABLE judgements; DROP TABLE sensitivity; PRAGMA user_version = 2")
    with Journal.open_readonly(path) as reader:
        assert judgements(reader) == []
    with Journal(path) as journal:
        judge(journal, Judgement(event_id="a", verdict="true"))
        assert len(judgements(journal)) == 1
