"""Topic and journal become one story: each event once, in order per camera, whatever the topic loses or repeats."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bowam_stream.errors import TransportError
from bowam_stream.events.merge import Merge
from bowam_stream.events.schema import from_json, to_json
from bowam_stream.events.wire import EVENT_TOPIC, STATUS_TOPIC, Header, PageHeader, Refusal, read_request, topic
from bowam_stream.messages import Event
from tests.stream.small_events import small_event


def made(camera: str, seq: int) -> Event:
    """An event with little in it."""
    return small_event(f"{camera}-{seq}", camera, seq)


class FakeJournal:
    """Answers requests like the journal socket, with small pages."""

    def __init__(self, name: str = "first", page: int = 2, **heads: int) -> None:
        self.name = name
        self.page = page
        self.heads = heads
        self.asked = 0

    def answer(self, request: bytes) -> list[bytes]:
        self.asked += 1
        wanted = read_request(request)
        events = [
            to_json(made(camera, seq))
            for camera in sorted(self.heads)
            if wanted.cameras is None or camera in wanted.cameras
            for seq in range(wanted.since.get(camera, 0) + 1, self.heads[camera] + 1)
        ]
        room = min(self.page, wanted.credit)
        header = PageHeader(journal=self.name, heads=self.heads, complete=len(events) <= room)
        return [msgspec.json.encode(header), *events[:room]]

    def event(self, camera: str, seq: int) -> list[bytes]:
        return self._message(EVENT_TOPIC, camera, seq, to_json(made(camera, seq)))

    def status(self, camera: str) -> list[bytes]:
        return self._message(STATUS_TOPIC, camera, self.heads[camera], b'{"frames": 5}')

    def _message(self, prefix, camera, seq, body):
        header = Header(journal=self.name, camera=camera, seq=seq)
        return [topic(prefix, camera), msgspec.msgpack.encode(header), body]


def catch_up(merge: Merge, journal: FakeJournal) -> list[tuple[str, int]]:
    """Ask as long as the merge wants to."""
    events = []
    while merge.behind:
        events += merge.on_page(journal.answer(merge.request()))
    return names(events)


def names(events) -> list[tuple[str, int]]:
    return [(event.camera, event.seq) for event in events]


def started(journal: FakeJournal, **options) -> Merge:
    merge = Merge(**options)
    catch_up(merge, journal)
    return merge


@given(
    first=st.fixed_dictionaries({"a": st.integers(0, 5), "b": st.integers(0, 5)}),
    since=st.none() | st.integers(0, 6) | st.just({}) | st.just({"a": 0}),
    steps=st.lists(st.tuples(st.sampled_from(["new", "lost", "again", "status"]), st.sampled_from("ab")), max_size=30),
)
def test_nothing_is_missed_and_nothing_comes_twice(first, since, steps):
    """Events that the topic loses, repeats or delivers late, and statuses in between: the story is always whole."""
    journal = FakeJournal(**first)
    merge = Merge(since=since)
    story = catch_up(merge, journal)
    for step, camera in steps:
        if step in ("new", "lost"):
            journal.heads[camera] += 1
        if step in ("new", "again") and journal.heads[camera]:
            story += names(merge.on_message(journal.event(camera, journal.heads[camera])))
        if step == "status":
            story += names(merge.on_message(journal.status(camera)))
        story += catch_up(merge, journal)
    for camera in journal.heads:  # the last event may have been lost: the next status tells
        story += names(merge.on_message(journal.status(camera)))
        story += catch_up(merge, journal)
    for camera, head in journal.heads.items():
        start = first[camera] if since is None else min(since, first[camera]) if isinstance(since, int) else 0
        assert [seq for name, seq in story if name == camera] == list(range(start + 1, head + 1))
    assert {camera: seq for camera, seq in merge.cursor.items() if seq} == {c: h for c, h in journal.heads.items() if h}


def test_the_topic_alone_suffices_while_nothing_is_missed():
    """The next number is taken from the topic without asking the journal."""
    journal = FakeJournal(a=3)
    merge = started(journal)
    asked = journal.asked
    for seq in (4, 5, 6):
        assert names(merge.on_message(journal.event("a", seq))) == [("a", seq)]
    assert not merge.behind
    assert journal.asked == asked


def test_a_jump_on_the_topic_makes_it_ask_the_journal():
    """The event that jumped is not given out before those that were missed."""
    journal = FakeJournal(a=3)
    merge = started(journal)
    journal.heads["a"] = 6
    assert merge.on_message(journal.event("a", 6)) == []
    assert merge.behind
    assert catch_up(merge, journal) == [("a", 4), ("a", 5), ("a", 6)]


def test_a_status_tells_of_a_lost_last_event():
    """Otherwise the last event before a silence would stay lost until the next one."""
    journal = FakeJournal(a=3)
    merge = started(journal)
    merge.on_message(journal.status("a"))
    assert not merge.behind
    assert json.loads(merge.status["a"]) == {"frames": 5}
    journal.heads["a"] = 4
    merge.on_message(journal.status("a"))
    assert catch_up(merge, journal) == [("a", 4)]


def test_another_journal_is_told_from_its_beginning():
    """A worker started with a fresh journal counts from 1 again: those are no doubles."""
    old, new = FakeJournal(a=3), FakeJournal("second", a=2)
    merge = started(old, since=0)
    assert merge.on_message(new.event("a", 2)) == []
    assert catch_up(merge, new) == [("a", 1), ("a", 2)]
    assert merge.on_message(old.event("a", 4)) == []  # late news of the old one
    assert catch_up(merge, new) == []
    merge.behind = True
    assert catch_up(merge, old) == []  # the old one comes back: what was told is not told again


def test_only_the_cameras_that_were_asked_for():
    """Others neither appear nor make it ask."""
    journal = FakeJournal(a=2, b=2)
    merge = Merge(cameras=["a"], since={"a": 1, "b": 99})
    assert catch_up(merge, journal) == [("a", 2)]
    assert merge.on_message(journal.event("b", 3)) == []
    merge.on_message(journal.status("b"))
    assert not merge.behind
    assert merge.cursor == {"a": 2}


@pytest.mark.parametrize("since", [{"a": 4}, {"z": 1}])
def test_a_cursor_of_another_journal_is_refused(since):
    """Better an error than silence until the new journal has come as far."""
    with pytest.raises(TransportError, match="of another journal"):
        started(FakeJournal(a=3), since=since)


def test_an_answer_may_repeat_what_the_topic_brought():
    """What was given out once is not given out again, whoever says it."""
    journal = FakeJournal(a=2)
    merge = started(journal, since=0)
    header = PageHeader(journal="first", heads={"a": 3}, complete=True)
    merge.behind = True
    events = [to_json(made("a", seq)) for seq in (1, 2, 3)]
    assert names(merge.on_page([msgspec.json.encode(header), *events])) == [("a", 3)]


def test_a_purged_journal_starts_later():
    """Numbers that the journal itself no longer has are no reason to wait for them."""
    merge = started(FakeJournal(a=0), since=0)
    header = PageHeader(journal="first", heads={"a": 9}, complete=True)
    merge.behind = True
    assert names(merge.on_page([msgspec.json.encode(header), to_json(made("a", 8)), to_json(made("a", 9))])) == [
        ("a", 8),
        ("a", 9),
    ]


def test_a_damaged_event_comes_from_the_journal_instead():
    """What can't be read on the topic is fetched; a header that belongs to another event is not believed."""
    journal = FakeJournal(a=3)
    merge = started(journal)
    journal.heads["a"] = 4
    damaged = journal.event("a", 4)
    damaged[2] = damaged[2][:-5]
    assert merge.on_message(damaged) == []
    assert catch_up(merge, journal) == [("a", 4)]
    journal.heads["a"] = 5
    swapped = journal.event("a", 5)
    swapped[2] = to_json(made("a", 9))
    assert merge.on_message(swapped) == []
    assert catch_up(merge, journal) == [("a", 5)]


@pytest.mark.parametrize(
    "parts",
    [
        [],
        [b"event/v1/a/", b""],
        [b"event/v1/a/", b"\xc1", b"{}"],
        [b"event/v1/b/", msgspec.msgpack.encode(Header(journal="first", camera="a", seq=4)), b"{}"],
        [b"frame/v1/a/", msgspec.msgpack.encode(Header(journal="first", camera="a", seq=4)), b"{}"],
        [b"event/v1/a/", msgspec.msgpack.encode({"journal": "first", "camera": "a", "seq": -4}), b"{}"],
        [b"event/v1/a/", msgspec.msgpack.encode({"journal": "first", "camera": "a", "seq": "4"}), b"{}"],
    ],
)
def test_malformed_messages_are_refused(parts):
    """In one line, and without harm to the story."""
    journal = FakeJournal(a=3)
    merge = started(journal)
    with pytest.raises(TransportError):
        merge.on_message(parts)
    assert names(merge.on_message(journal.event("a", 4))) == [("a", 4)]


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ([b""], "malformed answer"),
        ([b'{"type": "page"}'], "malformed answer"),
        ([msgspec.json.encode(Refusal(error="too long"))], "refused: too long"),
        ([msgspec.json.encode(PageHeader(journal="first", heads={"a": 9}, complete=False))], "sends none"),
        ([msgspec.json.encode(PageHeader(journal="first", heads={"a": 9}, complete=True)), b"{}"], "bowam.event/1"),
    ],
)
def test_an_answer_without_sense_ends_the_subscription(parts, said):
    """It would be asked again for ever otherwise."""
    merge = started(FakeJournal(a=3))
    merge.behind = True
    with pytest.raises(TransportError, match=said):
        merge.on_page(parts)


class Restored(FakeJournal):
    """The same name with another history after `common`: a backup that went on."""

    def __init__(self, common: int, **heads: int) -> None:
        super().__init__(**heads)
        self.common = common

    def answer(self, request: bytes) -> list[bytes]:
        header, *events = super().answer(request)
        changed = []
        for event in map(from_json, events):
            other = event.seq > self.common
            changed.append(to_json(msgspec.structs.replace(event, event_id="other") if other else event))
        return [header, *changed]


@pytest.mark.parametrize("head", [2, 3, 5, 6, 9])
@pytest.mark.parametrize("by", ["cursor", "event"])
def test_a_restored_backup_is_never_taken_for_the_same_story(head, by):
    """Shorter than what was told, as long, or longer: an error, again and again, and no event of it."""
    merge = started(FakeJournal(a=5), since=0)
    if by == "event":
        merge = Merge(since={"a": made("a", 5)})
    merge.connected()
    restored = Restored(2, a=head)
    for _ in range(2):
        with pytest.raises(TransportError, match=r"restored|of another journal"):
            catch_up(merge, restored)
    assert merge.cursor in ({"a": 5}, {})


def test_a_backup_that_tells_the_same_so_far_is_followed():
    """Nothing that was given out has changed."""
    merge = started(FakeJournal(a=5, b=3), since=0)
    merge.connected()
    assert catch_up(merge, Restored(5, a=7, b=3)) == [("a", 6), ("a", 7)]


def test_until_a_new_connection_is_checked_its_topic_is_not_believed():
    """The next number might be of another history."""
    journal = FakeJournal(a=5)
    merge = started(journal, since=0)
    merge.connected()
    journal.heads["a"] = 6
    assert merge.on_message(journal.event("a", 6)) == []
    assert catch_up(merge, journal) == [("a", 6)]


def test_a_question_that_was_under_way_proves_nothing_of_a_new_connection():
    """Its answer did not repeat the last event."""
    journal = FakeJournal(a=5)
    merge = started(journal, since=0)
    merge.behind = True
    question = merge.request()
    merge.connected()
    assert merge.on_page(journal.answer(question)) == []
    assert merge.behind
    with pytest.raises(TransportError, match="restored"):
        catch_up(merge, Restored(4, a=5))


def test_the_last_events_of_many_cameras_are_checked_page_by_page():
    """More cameras than a page has room for."""
    heads = {f"c{index:03}": 1 + index % 3 for index in range(40)}
    journal = FakeJournal(page=7, **heads)
    merge = started(journal, since=0)
    merge.connected()
    journal.heads["c011"] += 4
    assert [seq for _, seq in catch_up(merge, journal)] == [4, 5, 6, 7]
    merge.connected()
    assert catch_up(merge, journal) == []


def test_what_was_purged_meanwhile_is_passed_over_once():
    """Neither asked for again at every status, nor mistaken for another history."""
    merge = started(FakeJournal(a=5), since=0)
    merge.connected()
    header = PageHeader(journal="first", heads={"a": 9}, purged={"a": 9}, complete=True)
    merge.request()
    assert merge.on_page([msgspec.json.encode(header)]) == []
    assert merge.cursor == {"a": 9}
    journal = FakeJournal(a=9)
    merge.on_message(journal.status("a"))
    assert not merge.behind
    journal.heads["a"] = 10
    assert names(merge.on_message(journal.event("a", 10))) == [("a", 10)]


def test_a_page_that_can_not_be_read_whole_costs_no_event():
    """What stands before the damage is given out with the next answer."""
    journal = FakeJournal(page=5, a=3)
    merge = Merge(since=0)
    merge.on_page(journal.answer(merge.request()))
    header, *events = journal.answer(merge.request())
    with pytest.raises(TransportError):
        merge.on_page([header, *events[:2], b"{}"])
    assert catch_up(merge, journal) == [("a", 1), ("a", 2), ("a", 3)]
