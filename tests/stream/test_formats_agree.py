"""Every format, opened by a program that is not ours, tells the same times: those of the journal, rounded once."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bowam_stream.events import to_json
from bowam_stream.events.judgements import VERDICTS, Judgement
from bowam_stream.formats.export import FORMATS, Wanted, files, select
from bowam_stream.formats.reading import Source
from bowam_stream.formats.reading import read as read_source
from bowam_stream.messages import Event, Moment
from bowam_stream.page.cards import card
from bowam_stream.report import filters
from tests.stream import format_readers as read
from tests.stream.small_events import small_event

HOUR_NS = 3_600 * 10**9


@st.composite
def stories(draw: st.DrawFn) -> Source:
    """One session: final and withdrawn events of two faces, anywhere in an hour, some of them judged."""
    live = draw(st.booleans())
    start_ns = draw(st.integers(0, 10**15)) if live else 0
    utc_ns = draw(st.integers(1_700_000_000 * 10**9, 1_800_000_000 * 10**9))
    text = st.text(max_size=12)
    events: list[Event] = []
    judgements: dict[str, Judgement] = {}
    for number in range(draw(st.integers(1, 6))):

        def moment(t_ns: int) -> Moment:
            return Moment(frame=t_ns // 10**7, t_ns=start_ns + t_ns, utc_ns=utc_ns + t_ns if live else None)

        onset = draw(st.integers(0, HOUR_NS) | st.integers(0, 10**9))
        apex = onset + draw(st.integers(0, 3 * 10**8))
        offset = apex + draw(st.integers(0, 3 * 10**8))
        withdrawn = draw(st.booleans())
        kind = None if withdrawn else draw(st.sampled_from(["micro", "macro", "blink"]))
        unseen = withdrawn and draw(st.booleans())
        events.append(
            msgspec.structs.replace(
                small_event(f"{number:016x}", seq=number + 1),
                face=draw(st.integers(0, 1)),
                kind=kind,
                phase="retracted" if withdrawn else "final",
                reason="nod" if withdrawn else None,
                label=draw(text) or None if kind == "micro" else None,
                onset=moment(onset),
                apex=moment(apex),
                offset=None if unseen else moment(offset),
            )
        )
        if draw(st.booleans()):
            judgements[events[-1].event_id] = Judgement(
                event_id=events[-1].event_id,
                verdict=draw(st.sampled_from(VERDICTS)),
                label=draw(st.none() | st.text(min_size=1, max_size=8)),
                note=draw(text),
                by=draw(text),
                judged_utc_ns=utc_ns,
            )
    return Source(events=events, judgements=judgements)


def expected(source: Source) -> read.Times:
    """By exact arithmetic: milliseconds since the first onset of a camera, since 0 of a recording, halves up."""
    live = source.events[0].onset.utc_ns is not None
    zero = min(event.onset.t_ns for event in source.events) if live else 0

    def ms(moment: Moment) -> int:
        return (Fraction(moment.t_ns - zero, 10**6) + Fraction(1, 2)).__floor__()

    return {
        event.event_id: (ms(event.onset), ms(event.apex), None if event.offset is None else ms(event.offset))
        for event in source.events
    }


def drawn(times: read.Times) -> read.Times:
    """As ELAN and Praat draw them: what has no offset ends at its apex, and nothing is shorter than a millisecond."""
    return {k: (on, apex, max(apex if off is None else off, on + 1)) for k, (on, apex, off) in times.items()}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(source=stories())
def test_all_formats_of_any_story_agree_to_the_millisecond(
    source: Source, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Random events, odd texts included: six formats, seven readers, one answer."""
    folder = tmp_path_factory.mktemp("formats")
    rows, left = select(source, Wanted(retracted=True))
    made = {name: next(iter(files(rows, name).values())) for name in FORMATS}
    times = expected(source)
    assert (left.open, left.retracted, left.early) == (0, 0, 0)
    assert read.of_csv(made["csv"]) == times
    assert read.of_jsonl(made["jsonl"]) == times
    assert read.of_bids(made["bids"]) == times
    assert read.of_boris(made["boris"]) == {
        k: (on, ap, ap if off is None else off) for k, (on, ap, off) in times.items()
    }
    assert read.of_elan(made["elan"], folder) == drawn(times)
    assert read.of_textgrid(made["textgrid"], folder) == drawn(times)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(source=stories())
def test_a_file_that_we_wrote_exports_as_its_source_does(
    source: Source, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """jsonl holds all that the other formats need: notes, zero and all."""
    folder = tmp_path_factory.mktemp("formats")
    rows, _ = select(source, Wanted(retracted=True))
    (folder / "events.jsonl").write_bytes(files(rows, "jsonl")["events.jsonl"])
    again, _ = select(read_source(folder / "events.jsonl"), Wanted(retracted=True))
    for name in FORMATS:
        assert files(again, name) == files(rows, name)


@pytest.mark.parametrize("name", FORMATS)
def test_the_same_events_give_the_same_bytes_whenever_they_are_exported(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No format writes the date of the export, as pympi would."""
    rows, _ = select(Source(events=[small_event("00")]), Wanted())
    first = files(rows, name)
    monkeypatch.setattr("time.strftime", lambda *_: "2001-01-01T00:00:00")
    assert files(rows, name) == first


def at(t_ns: int, utc_ns: int | None = None) -> Moment:
    return Moment(frame=0, t_ns=t_ns, utc_ns=utc_ns)


def event(name: str, onset_ns: int, **changes: Any) -> Event:
    placed = {"onset": at(onset_ns), "apex": at(onset_ns + 10**8), "offset": at(onset_ns + 2 * 10**8)}
    return msgspec.structs.replace(small_event(name, seq=int(name, 16)), **(placed | changes))


@pytest.mark.parametrize("name", ["elan", "textgrid", "boris"])
def test_movements_that_overlap_lie_side_by_side(name: str, tmp_path: Path) -> None:
    """Two faces, a blink within a macro-expression, and two of one kind on one face: none is lost."""
    story = [
        event("1", 0, offset=at(10**9)),
        event("2", 10**8, kind="blink"),
        event("3", 10**8, face=1),
        event("4", 5 * 10**8),
        event("5", 10**9),  # begins where the first ends: no overlap
    ]
    rows, _ = select(Source(events=story), Wanted())
    (content,) = files(rows, name).values()
    times = read.of_boris(content) if name == "boris" else getattr(read, f"of_{name}")(content, tmp_path)
    assert times == {
        "1": (0, 100, 1000),
        "2": (100, 200, 300),
        "3": (100, 200, 300),
        "4": (500, 600, 700),
        "5": (1000, 1100, 1200),
    }
    if name == "elan":
        tiers = read.Eaf(tmp_path / "read.eaf").get_tier_names()
        assert [one for one in tiers if not one.endswith("apex")] == [
            "face 0 macro",
            "face 0 macro 2",
            "face 0 blink",
            "face 1 macro",
        ]


def test_times_of_a_camera_count_from_its_first_onset_or_from_a_given_moment() -> None:
    """A second recorder began 2.5 s before the first onset: what it films there is 2.5 s into its file."""
    utc_ns = 1_768_212_000 * 10**9
    story = [event("1", 7 * 10**12, onset=at(7 * 10**12, utc_ns)), event("2", 8 * 10**12, onset=at(8 * 10**12, utc_ns))]
    source = Source(events=story)
    assert [row.onset_ms for row in select(source, Wanted())[0]] == [0, 10**6]
    moved = Wanted(zero_utc_ns=utc_ns - 2_500_000_000)
    assert [row.onset_ms for row in select(source, moved)[0]] == [2500, 2500 + 10**6]
    later, left = select(source, Wanted(zero_utc_ns=utc_ns + 10**6))
    assert [row.event.event_id for row in later] == ["2"]
    assert left.early == 1


def test_open_and_withdrawn_events_are_left_out_and_counted() -> None:
    """A provisional record becomes a row only once a final one has closed it."""
    story = [
        event("1", 0, phase="provisional", kind=None, offset=None),
        event("1", 5, seq=2),
        event("3", 10, phase="provisional", kind=None, offset=None),
        event("4", 20, phase="retracted", kind=None, reason="nod"),
    ]
    rows, left = select(Source(events=story), Wanted())
    assert [(row.event.event_id, row.event.seq) for row in rows] == [("1", 2)]
    assert (left.open, left.retracted) == (1, 1)
    both, _ = select(Source(events=story), Wanted(retracted=True))
    assert [row.kind for row in both] == ["macro", "retracted"]


def test_an_older_file_of_events_is_read(tmp_path: Path) -> None:
    """Event files from before `consent` was added, and half a line at the end while somebody appends."""
    line = msgspec.json.decode(to_json(small_event("1")))
    del line["consent"]
    file = tmp_path / "old.jsonl"
    file.write_bytes(msgspec.json.encode(line) + b"\n" + to_json(small_event("2"))[:40])
    source = read_source(file)
    assert [one.event_id for one in source.events] == ["1"]
    assert source.cut_off


@given(onset_ns=st.integers(0, 10**12), length_ns=st.integers(1, 10**9))
def test_page_report_and_exports_round_a_moment_alike(onset_ns: int, length_ns: int) -> None:
    """Also one that lies half a millisecond between two: whoever compares them finds the same figure."""
    end = Moment(frame=9, t_ns=onset_ns + length_ns)
    event = msgspec.structs.replace(small_event("one"), onset=Moment(frame=1, t_ns=onset_ns), apex=end, offset=end)
    [row], _ = select(Source(events=[event]), Wanted())
    seconds, ms = divmod(row.begin_ms, 1_000)
    minutes, seconds = divmod(seconds, 60)
    shown = dict(card(event)["times"])["onset"]
    assert shown == filters.time(onset_ns / 10**9) == f"{minutes}:{seconds:02d}.{ms:03d}"
    assert card(event)["duration"] == f"{row.end_ms - row.begin_ms} ms"
