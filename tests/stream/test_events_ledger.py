"""Commit, publish, mark: in this order, and picked up where a crash left it."""

import msgspec
import pytest

from bowam_stream import clock
from bowam_stream.errors import JournalError
from bowam_stream.events import EventLedger, Journal, SessionAccount
from bowam_stream.messages import Event, Moment

MOMENT = Moment(frame=1, t_ns=1)


class Crash(Exception):
    """The process dies here."""


class Topic:
    """Stands in for the socket; remembers what was published and what the journal held at that moment."""

    def __init__(self, path, crash=False) -> None:
        self.path = path
        self.crash = crash
        self.published = []
        self.statuses = []

    def publish(self, event) -> None:
        with Journal.open_readonly(self.path) as journal:
            assert event.seq in [stored.seq for stored in journal.since() if stored.camera == event.camera]
        if self.crash:
            raise Crash
        self.published.append(event)

    def status(self, camera, fields) -> None:
        self.statuses.append((camera, fields))


def made(name: str, phase: str = "final") -> Event:
    """An event with little in it."""
    return Event(
        event_id=name,
        seq=0,
        camera="cam0",
        session="s",
        face=0,
        kind="blink" if phase == "final" else None,
        phase=phase,
        onset=MOMENT,
        apex=MOMENT,
        offset=None if phase == "provisional" else MOMENT,
        label=None,
        probabilities=None,
        confidence=None,
        spotting_score=1.0,
        quality=("gap",),
        model=None,
    )


@pytest.fixture
def path(tmp_path):
    return tmp_path / "journal.sqlite"


@pytest.fixture
def journal(path):
    with Journal(path) as journal:
        yield journal


def test_an_event_is_published_once_it_stands_in_the_journal(journal, path):
    """The topic looks into the journal; what it gets carries seq and delivery, and the journal remembers both."""
    topic = Topic(path)
    event = EventLedger(journal, topic).record(made("a"))
    assert topic.published == [event]
    assert event.seq == 1
    assert event.delivery.published_utc_ns > 0
    assert event.delivery.latency_ms is None
    assert [*journal.since()] == [event]
    assert journal.unpublished("cam0") == []


def test_latency_runs_from_the_capture_of_the_frame_that_triggered(journal, path, monkeypatch):
    """On the monotonic clock, in milliseconds."""
    monkeypatch.setattr(clock, "monotonic_ns", lambda: 5_042_500_000)
    event = EventLedger(journal, Topic(path)).record(made("a"), trigger_ns=5_000_000_000)
    assert event.delivery.latency_ms == 42.5


def test_what_the_journal_has_is_not_published_again(journal, path):
    """A recording that is fed again says everything twice."""
    topic = Topic(path)
    ledger = EventLedger(journal, topic)
    assert [ledger.record(made("a")) is None for _ in range(3)] == [False, True, True]
    assert len(topic.published) == 1


def test_an_event_that_a_crash_kept_from_the_topic_is_published_at_the_next_start(path):
    """Once, with the seq that it got, before anything new."""
    with Journal(path) as journal:
        ledger = EventLedger(journal, Topic(path))
        ledger.record(made("a"))
        with pytest.raises(Crash):
            EventLedger(journal, Topic(path, crash=True)).record(made("b"))
    topic = Topic(path)
    with Journal(path) as journal:
        ledger = EventLedger(journal, topic)
        ledger.open("cam0", resume="s")
        ledger.record(made("b"))
        ledger.record(made("c"))
        ledger.open("cam0", resume="s")
    assert [(event.event_id, event.seq) for event in topic.published] == [("b", 2), ("c", 3)]


@pytest.mark.parametrize("resume", [None, "s", "another recording"])
def test_open_events_of_a_camera_are_retracted_when_it_begins_anew(journal, path, resume):
    """Those of a recording that comes again are not: it closes them itself."""
    topic = Topic(path)
    ledger = EventLedger(journal, topic)
    for content in (made("a", "provisional"), made("b", "provisional"), made("a")):
        ledger.record(content)
    begun = ledger.open("cam0", resume=resume)
    late = ledger.record(made("b"))
    if resume == "s":
        assert begun == []
        assert late.phase == "final"
    else:
        (closed,) = begun
        assert closed == topic.published[-1]
        assert (closed.event_id, closed.phase, closed.reason, closed.seq) == ("b", "retracted", "interrupted", 4)
        content = msgspec.structs.replace(closed, phase="provisional", reason=None, seq=0, delivery=None)
        assert content == made("b", "provisional")
        assert late is None
    assert journal.open_provisionals() == []


def test_a_second_worker_of_a_camera_is_refused_as_its_stream_begins(journal, path):
    """Before it has said anything."""
    EventLedger(journal, Topic(path)).open("cam0", resume=None)
    with Journal(path) as other, pytest.raises(JournalError, match="belongs to another worker"):
        EventLedger(other, Topic(path)).open("cam0", resume=None)


def test_the_two_stages_of_an_event_are_measured_apart(journal, path):
    """What the disk takes is not what the socket takes; a double is only looked up."""
    told = []
    ledger = EventLedger(journal, Topic(path), lambda timing: told.append(timing.stage))
    ledger.record(made("a"))
    ledger.record(made("a"))
    assert told == ["journal", "publish", "journal"]


def test_statuses_pass_through(journal, path):
    """They are told, not kept."""
    topic = Topic(path)
    EventLedger(journal, topic).status("cam0", {"frames": 1})
    assert topic.statuses == [("cam0", {"frames": 1})]


class Moody(Journal):
    """A journal whose disk may be full."""

    full = False
    hint = "the disk is full"

    def _refuse(self) -> None:
        if self.full:
            error = JournalError(self.hint)
            error.passing = self.hint == "the disk is full"
            raise error

    def append(self, event, account=None):
        self._refuse()
        return super().append(event, account)

    def mark_published(self, event):
        self._refuse()
        super().mark_published(event)

    def write_accounts(self, accounts):
        self._refuse()
        super().write_accounts(accounts)


def test_a_patient_ledger_keeps_events_in_order_until_the_journal_can_be_written(path):
    """What came while the disk was full is published after it was written, once, before what comes later."""
    told = []
    with Moody(path) as journal:
        topic = Topic(path)
        ledger = EventLedger(journal, topic, patient=True, on_journal=lambda *state: told.append(state))
        ledger.record(made("a"))
        journal.full = True
        assert ledger.record(made("b", "provisional")) is None
        assert ledger.record(made("b", "retracted")) is None
        assert not ledger.keep([SessionAccount(camera="cam0", session="s")])
        assert ledger.retry() == []
        assert "full" in ledger.trouble
        assert told[-1] == (ledger.trouble, 2)
        assert [event.event_id for event in topic.published] == ["a"]
        journal.full = False
        assert [event.seq for event in ledger.retry()] == [2, 3]
        ledger.record(made("c"))
        assert [(event.event_id, event.seq) for event in topic.published] == [("a", 1), ("b", 2), ("b", 3), ("c", 4)]
        assert ledger.trouble is None
        assert told[-1] == (None, 0)
        assert not journal.unpublished("cam0")


def test_a_disk_that_fills_up_between_publication_and_mark_publishes_nothing_twice(path):
    """The mark is made up for."""
    with Moody(path) as journal:
        topic = Topic(path)
        ledger = EventLedger(journal, topic, patient=True)

        def publish(event):
            Topic.publish(topic, event)
            journal.full = True

        topic.publish = publish
        assert ledger.record(made("a")).seq == 1
        assert ledger.trouble is not None
        assert ledger.open("cam0", resume=None) == []
        journal.full = False
        assert ledger.retry() == []
        assert ledger.trouble is None
        assert [event.event_id for event in topic.published] == ["a"]
        assert not journal.unpublished("cam0")


def test_what_waiting_cannot_mend_is_an_error_and_a_replay_does_not_wait(path):
    """A damaged file, and any failure where somebody sits in front of the screen."""
    with Moody(path) as journal:
        journal.full = True
        with pytest.raises(JournalError):
            EventLedger(journal, Topic(path)).record(made("a"))
        journal.hint = "damaged"
        with pytest.raises(JournalError, match="damaged"):
            EventLedger(journal, Topic(path), patient=True).record(made("a"))


def test_what_could_never_be_written_stands_in_the_log(path, caplog):
    """Every event whole, as JSON; and the end is an error."""
    with Moody(path) as journal:
        ledger = EventLedger(journal, Topic(path), patient=True)
        journal.full = True
        ledger.record(made("a"))
        with pytest.raises(JournalError, match="1 events"):
            ledger.close()
    assert '"event_id":"a"' in caplog.text


def test_a_journal_that_was_moved_away_is_noticed(path):
    """SQLite would go on writing into a file that nobody can find."""
    with Journal(path) as journal:
        ledger = EventLedger(journal, Topic(path), patient=True)
        assert ledger.keep([])
        path.rename(path.with_name("elsewhere"))
        with pytest.raises(JournalError, match="moved, deleted or replaced"):
            ledger.keep([])


def test_the_books_of_sessions_whose_end_nobody_heard_are_closed(path):
    """A camera that begins a new session has ended the one before."""
    with Journal(path) as journal:
        old = SessionAccount(camera="cam0", session="old", captured=3, published=3, spotted=3)
        other = SessionAccount(camera="cam1", session="old", captured=3, published=3, spotted=3)
        journal.write_accounts([old, other])
        EventLedger(journal, Topic(path)).close_accounts("cam0", but="new")
        assert {(a.camera, a.ended) for a in journal.accounts()} == {("cam0", "interrupted"), ("cam1", None)}


def test_what_a_dead_worker_left_is_seen_to_at_once_and_other_peoples_business_is_not(path):
    """A camera that never comes back: published and closed. A recording is fed again, a claimed camera has a worker."""
    with Journal(path) as journal, Journal(path) as other:

        def left(name, camera, session, phase="provisional"):
            return msgspec.structs.replace(made(name, phase), camera=camera, session=session)

        journal.write_accounts([SessionAccount(camera="tape", session="t", lossless=True)])
        for event in (left("a", "gone", "g"), left("b", "gone", "g", "final"), left("c", "tape", "t")):
            journal.append(event)
        for camera in ("gone", "tape"):
            journal.release(camera)
        other.append(left("d", "busy", "x"))
        topic = Topic(path)
        EventLedger(journal, topic).close_left_open()
        assert [(e.camera, e.event_id, e.phase) for e in topic.published] == [
            ("gone", "a", "provisional"),
            ("gone", "b", "final"),
            ("gone", "a", "retracted"),
        ]
        other.claim("gone")
        assert [event.event_id for event in journal.open_provisionals()] == ["c", "d"]
