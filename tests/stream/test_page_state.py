"""The page's state without a browser: the ring, the list of events, words, and a browser that does not keep up."""

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from bowam_stream.config import Config
from bowam_stream.errors import JournalError
from bowam_stream.events import Journal
from bowam_stream.messages import Moment
from bowam_stream.page.cards import card, since_start, utc_words
from bowam_stream.page.entries import Brief, BriefMoment, Entries, brief, marks
from bowam_stream.page.health import Drops, health
from bowam_stream.page.listener import JournalReader, News
from bowam_stream.page.parts import style
from bowam_stream.page.ring import Ring, around, to_browser
from bowam_stream.pipeline.tap import Status
from bowam_stream.pipeline.view import View
from bowam_stream.report.record import FaceRecord, FrameRecord
from bowam_stream.spotting import SpottingSettings
from tests.stream.small_events import micro_event, small_event

MS = 1_000_000


def frame(number: int, signal: float | None = 1.0, *, t_ms: float | None = None) -> FrameRecord:
    """One frame with one face."""
    face = FaceRecord(
        track=0, transform=None, points=b"", signal=signal, threshold=5.0, state="rest", regions={"chin": 1.0}
    )
    return FrameRecord(frame=number, t_ns=round((number * 10 if t_ms is None else t_ms) * MS), faces=(face,))


def told(event_id: str, seq: int, **changes: Any) -> Brief:
    """A brief record at `seq` times 100 ms."""
    fields = {"camera": "cam0", "session": "s", "phase": "final", "kind": "micro", "label": "negative"} | changes
    moment = BriefMoment(t_ns=seq * 100 * MS)
    return Brief(event_id=event_id, seq=seq, onset=moment, apex=moment, **fields)


def test_a_ring_holds_the_last_rows_and_a_reader_gets_what_is_new() -> None:
    ring = Ring(most_rows=10)
    for number in range(25):
        ring.push(frame(number, float(number)))
    assert ring.all().signal.tolist() == list(range(15, 25))
    place = ring.count
    assert len(ring.since(place)) == 0
    ring.push(frame(25, None))
    new = ring.since(place)
    assert new.frame.tolist() == [25]
    assert to_browser(new, 0)["s"] == [None]
    assert len(ring.since(0)) == 10, "a reader that slept for long gets what there is"


def test_time_that_goes_back_begins_anew() -> None:
    ring = Ring(most_rows=10)
    for t_ms in (0, 10, 20, 0, 10):
        ring.push(frame(0, t_ms=t_ms))
    assert ring.all().t_ns.tolist() == [0, 10 * MS]


def test_thinned_rows_keep_the_highest_peak() -> None:
    ring = Ring(most_rows=5000)
    for number in range(5000):
        ring.push(frame(number, 80.0 if number == 3333 else 1.0))
    thin = ring.all().thinned(100)
    assert len(thin) <= 101
    assert np.nanmax(thin.signal) == 80.0
    assert thin.t_ns.tolist() == sorted(thin.t_ns.tolist())
    assert around(ring.all(), 33_330 * MS, 20 * MS).frame.tolist() == [3331, 3332, 3333, 3334, 3335]


def test_a_final_record_takes_the_place_of_its_provisional_one() -> None:
    entries = Entries()
    assert entries.add(told("a", 1, phase="provisional", kind=None, label=None))
    assert not entries.add(told("a", 2))
    assert entries.of("cam0", "s") == ["a"]
    assert entries.get("a") == told("a", 2)
    assert not entries.add(told("a", 1, phase="provisional"))
    assert entries.get("a") == told("a", 2), "what is older changes nothing"


def test_a_list_of_events_is_bounded_and_says_how_many_it_leaves_out() -> None:
    entries = Entries(most=100)
    for seq in range(1, 251):
        entries.add(told(str(seq), seq))
    assert len(entries) == len(entries.of("cam0", "s")) == 100
    assert entries.left_out == 150
    assert entries.nearest(entries.of("cam0", "s"), 20_049 * MS) == "200"
    assert len(marks(entries.briefs(entries.of("cam0", None)), 0, 30)) <= 30


def test_a_card_says_why_an_event_was_withdrawn_and_keeps_strangers_words_as_they_are() -> None:
    event = micro_event((10, 15, 25), "<script>", 100.0, probabilities={"<script>": 0.9, "none": 0.1}, confidence=0.9)
    shown = card(event, announced=True)
    assert (shown["title"], shown["duration"], shown["when"]) == ("<script>", "150 ms", "0:00.150")
    assert shown["style"] == "other"
    withdrawn = card(msgspec.structs.replace(event, phase="retracted", reason="blink", label=None))
    assert withdrawn["note"] == "Withdrawn: No more than a blink moves around the eyes."
    assert withdrawn["title"] == "withdrawn"
    dated = msgspec.structs.replace(event, apex=Moment(frame=1, t_ns=1, utc_ns=1_763_890_200_123_456_789))
    assert card(dated)["when"] == "09:30:00.123"
    assert msgspec.json.encode(card(dated))


@pytest.mark.parametrize(("t_ns", "words"), [(0, "0:00.000"), (3_661_001 * MS, "1:01:01.001"), (-5 * MS, "-0:00.005")])
def test_times_are_written_to_the_millisecond(t_ns: int, words: str) -> None:
    assert since_start(t_ns) == words
    assert utc_words(10**30) == f"{10**30} ns", "a number that is no date is no error"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"effective_hz": 15.0}, "Too slow for micro-expressions"),
        ({"effective_hz": 30.0}, "short movements may be missed"),
        ({"faces": 0}, "No face"),
        ({"age_ms": 1500.0}, "1.5 s ago"),
        ({"ended": True}, "ended"),
    ],
)
def test_what_is_wrong_is_said_in_plain_words(changes: dict[str, Any], words: str) -> None:
    status = Status(camera="cam0", session="s", **({"effective_hz": 100.0, "faces": 1, "age_ms": 5.0} | changes))
    said = health(status, SpottingSettings(), silent_ns=0, dropping=False)
    assert len(said.warnings) == 1
    assert words in said.warnings[0]
    assert "Nothing heard" in health(status, SpottingSettings(), silent_ns=4 * 10**9, dropping=False).warnings[0] or (
        status.ended
    )


def test_a_drop_is_spoken_of_for_a_while() -> None:
    drops = Drops()
    drops.note(7, 0)
    assert not drops.lately(0), "what was dropped before we came is no news"
    drops.note(8, 10**9)
    assert drops.lately(2 * 10**9)
    assert not drops.lately(12 * 10**9)


def test_a_journal_is_read_as_it_grows_and_anew_where_another_takes_its_place(tmp_path: Path) -> None:
    path = tmp_path / "j.sqlite"
    with Journal(path) as journal:
        for number in range(600):
            journal.append(small_event(str(number)))
        reader = JournalReader(path)
        news = reader.news()
        assert news is not None
        assert len(news.briefs) == 600
        assert news.complete
        assert reader.news() is None
        journal.append(small_event("next"))
        assert [one.event_id for one in (reader.news() or News()).briefs] == ["next"]
    for file in tmp_path.glob("j.sqlite*"):
        file.unlink()
    with Journal(path) as journal:
        journal.append(small_event("other"))
        reader._seen = None  # as SQLite says where the file was written to
        with pytest.raises(JournalError, match="moved"):
            reader.news()
        news = reader.news()
        assert news is not None
        assert news.anew
        assert [one.event_id for one in news.briefs] == ["other"]
    reader.close()


def test_a_brief_reads_what_the_journal_holds() -> None:
    from bowam_stream.events import to_json

    event = micro_event((10, 15, 25), "surprise", 100.0)
    one = brief(to_json(event))
    assert (one.event_id, one.label, one.apex.t_ns, one.delivered) == (event.event_id, "surprise", 150 * MS, False)


def test_a_browser_that_does_not_answer_is_sent_no_more_and_then_all_that_is_new(tmp_path: Path) -> None:
    """Nothing piles up for it."""
    desks = pytest.importorskip("bowam_stream.page.desk")
    rooms = pytest.importorskip("bowam_stream.page.room")

    async def run() -> None:
        room = rooms.Room(rooms.Source(journal=tmp_path / "j", worker="ipc://nobody"), Config(), None)
        sent: list[dict[str, Any]] = []
        desk = desks.Desk(room, sent.append, lambda said: None)
        for number in range(1000):
            room.hear(View(camera="cam0", session="s", frames=(frame(number),), utc_ns=10**18))
            desk.tick()
            await asyncio.sleep(0)
        assert len(sent) == desks.CREDIT
        desk.acknowledge(sent[-1]["n"])
        desk.tick()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        rows = sum(len(packet.get("signal", {}).get("t", ())) for packet in sent)
        assert rows == 1000
        assert len(sent) == desks.CREDIT + 1
        desk.acknowledge(10**9)
        assert desk.behind == 0, "a number that was never sent acknowledges no more than all"
        room.clerk.close()

    asyncio.run(run())


def test_the_page_has_the_colours_of_the_report_in_both_themes() -> None:
    """Light on dark and dark on light: the report's own palettes, and no other of its rules."""
    sheet = style()
    light, dark = (sheet.split(f".body--{theme} {{")[1].split("}")[0] for theme in ("light", "dark"))
    for name in ("ground", "ink", "positive", "blink", "signal", "threshold", "state-told"):
        assert f"--{name}: #" in light
        assert f"--{name}: #" in dark
    assert "--ground: #f" in light
    assert "--ground: #0" in dark
