"""A run over a corpus, from the first listing to the report: pieces in this process, recordings that are text files."""

import csv
import hashlib
import json
import os
import pickle
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import fsspec
import msgspec
import numpy as np
import pytest

from bowam_model.work import OnDone, Outcome, Piece
from bowam_model.work.pieces import Bookkeeper
from bowam_stream.config import Config
from bowam_stream.corpus import pieces
from bowam_stream.corpus.listing import Listing, list_corpus
from bowam_stream.corpus.results import write_manifest, write_results
from bowam_stream.corpus.run import Run, Standing, _reason
from bowam_stream.corpus.shelf import PIECES, held
from bowam_stream.errors import ConfigError, SourceError
from bowam_stream.events import Journal
from bowam_stream.events.audit import audit_journal
from bowam_stream.events.judgements import Judgement, judge, judgements
from bowam_stream.messages import Candidate, Event, Hello, Moment, Triple
from bowam_stream.messages import event_id as event_id_of
from bowam_stream.pipeline.parts import Leg, Part, Told, Watched
from bowam_stream.pipeline.watching import Surveyed
from bowam_stream.worker import Recogniser

RATE_HZ, PART = 10, 30  # frames
CROP = np.full((240, 240), 7, np.uint8)
NO_LEG = Leg(prints=(), tracks=(), told=(), next_track=0)


class Here:
    """An engine that does pieces in this process, as if they came from another. Counts them; may break off."""

    def __init__(self, *, die_after: int | None = None) -> None:
        self.did: list[str] = []
        self._die_after = die_after

    def run(
        self,
        pieces: Sequence[Piece],
        *,
        threads: int = 1,
        shared: tuple[Any, ...] = (),
        on_done: OnDone | None = None,
        keep: bool = True,
    ) -> list[Outcome]:
        books, left = Bookkeeper(pieces, on_done, keep), list(pieces)
        while left:
            piece = left.pop(0)
            if self._die_after is not None and len(self.did) == self._die_after:
                raise KeyboardInterrupt
            self.did.append(piece.key)
            function, arguments, given = pickle.loads(pickle.dumps((piece.function, piece.arguments, shared)))
            try:
                outcome = Outcome(piece.key, function(*given, *arguments))
            except SourceError as error:
                outcome = Outcome(piece.key, failure=f"Traceback\n  ...\nbowam_stream.errors.SourceError: {error}\n")
            left = [*books.done(outcome), *left]
        return books.result()

    def nodes(self) -> int:
        return 1


class Oracle:
    """A network that always says the same."""

    name, weights, backend = "oracle", "sha256:0", "none"

    def predict_together(self, triples: Sequence[Any]) -> list[dict[str, float]]:
        return [{"negative": 0.25, "positive": 0.75} for _ in triples]

    def fall_back(self, reason: str) -> None:
        raise AssertionError


def session_of(content: bytes, config: Config) -> str:
    return hashlib.sha256(content + config.digest().encode()).hexdigest()[:16]


def survey(path: str, config: Config) -> Surveyed:
    """A recording is a text, a frame each letter; `m` is the onset of a micro-expression of three frames."""
    content = Path(path).read_bytes()
    if content.startswith(b"broken"):
        raise SourceError(f"{Path(path).name}: no video")
    return Surveyed(
        name=Path(path).name,
        digest=hashlib.sha256(content).hexdigest(),
        session=session_of(content, config),
        rate_hz=RATE_HZ,
        frames=len(content),
        duration_ns=(len(content) - 1) * 10**9 // RATE_HZ,
        quality=(),
        legs=tuple(range(0, len(content), PART)),
    )


def watch(part: Part, config: Config) -> Watched:
    content = Path(part.path).read_bytes()
    if b"unwatchable" in content:
        raise SourceError(f"{Path(part.path).name}: not one frame can be decoded")
    session, end = session_of(content, config), part.end or len(content)
    told = []
    for onset in range(part.begin, end):
        if content[onset : onset + 1] == b"m":
            onset_, apex, offset = (Moment(frame=f, t_ns=f * 10**9 // RATE_HZ) for f in range(onset, onset + 3))
            common = {
                "event_id": event_id_of(part.camera, session, 0, onset_),
                "camera": part.camera,
                "session": session,
                "face": 0,
                "onset": onset_,
                "apex": apex,
                "score": 5.0,
                "consent": config.source.consent,
            }
            triple = Triple(onset=CROP, apex=CROP, offset=CROP)
            final = Candidate(**common, phase="final", kind="micro", offset=offset, triple=triple)
            told += [Candidate(**common, phase="provisional", kind=None, offset=None), final]
    return Watched(
        part=part,
        hello=Hello(
            camera=part.camera,
            session=session,
            source=Path(part.path).name,
            rate_hz=RATE_HZ,
            lossless=True,
            consent=config.source.consent,
        ),
        told=tuple(Told(frame=one.apex.frame, candidate=one) for one in told),
        frames=end - part.begin,
        frames_with_face=end - part.begin,
        tracks=(0,),
        duration_ns=(end - 1) * 10**9 // RATE_HZ,
        quality=(),
        before=NO_LEG,
        last=NO_LEG,
    )


def join(first: Watched, second: Watched) -> Watched | None:
    """They agree, unless the second begins with `?`."""
    assert first.part.end == second.part.begin
    if Path(second.part.path).read_bytes()[second.part.begin : second.part.begin + 1] == b"?":
        return None
    return msgspec.structs.replace(
        second,
        part=msgspec.structs.replace(second.part, begin=first.part.begin),
        told=first.told + second.told,
        frames=first.frames + second.frames,
        frames_with_face=first.frames_with_face + second.frames_with_face,
    )


@pytest.fixture(autouse=True)
def _recordings_are_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    for stand_in in (survey, watch, join):
        monkeypatch.setattr(pieces, stand_in.__name__, stand_in)
    monkeypatch.setattr(pieces, "_predictor", lambda settings: Oracle())
    monkeypatch.setattr(Surveyed, "cuts", cuts)
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)  # nobody cuts the power here


def cuts(surveyed: Surveyed, every_s: float) -> list[tuple[int, int | None]]:
    begins = surveyed.legs if every_s else surveyed.legs[:1]
    return list(zip(begins, [*begins[1:], None], strict=True))


def corpus(folder: Path, **texts: str) -> Path:
    """Recordings by name, `a_b` for `a/b.mp4`."""
    for name, text in texts.items():
        path = folder / f"{name.replace('_', '/')}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def go(
    spec: object,
    out: Path,
    *,
    config: Config | None = None,
    engine: Here | None = None,
    segment_s: float = 3.0,
    on_standing: Callable[[Standing], None] = lambda standing: None,
) -> tuple[Run, Here]:
    """What the command does."""
    config, engine = config or Config(), engine or Here()
    listing: Listing = list_corpus(str(spec))
    with held(out) as shelf:
        run = Run(listing.entries, config, shelf, engine, segment_s=segment_s, on_standing=on_standing)
        run.survey()
        write_manifest(out, run.recordings)
        run.watch()
        write_results(out, run, listing, config)
    return run, engine


def events_of(out: Path) -> list[Event]:
    return [msgspec.json.decode(line, type=Event) for line in (out / "events.jsonl").read_bytes().splitlines()]


LONG = "-" * 20 + "m" + "-" * 19 + "m" + "-" * 50 + "m" + "-" * 20  # three parts and a bit


def test_a_corpus_is_a_camera_for_each_recording_in_one_journal(tmp_path: Path) -> None:
    """In the order of the listing, each as it would be alone; seq from 1 in each; the journal keeps its promises."""
    videos = corpus(tmp_path / "videos", b="-m-m---", a_x=LONG, c="-------")
    run, _ = go(videos, tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        ".lock",
        "events.jsonl",
        "failures.csv",
        "journal.db",
        "manifest.jsonl",
        "pieces",
        "report.html",
    ]
    events = events_of(tmp_path / "out")
    assert [(event.camera, event.seq, event.onset.frame) for event in events] == [
        ("a-x", seq, frame) for seq, frame in enumerate((20, 20, 40, 40, 91, 91), start=1)
    ] + [("b", seq, frame) for seq, frame in enumerate((1, 1, 3, 3), start=1)]
    assert {event.label for event in events if event.phase == "final"} == {"positive"}
    alone = watch(Part(path=str(videos / "a" / "x.mp4"), camera="a-x"), Config())
    pushed = Recogniser(Oracle()).push_all([one.candidate for one in alone.told])
    assert [msgspec.structs.replace(event, seq=0) for event in events[:6]] == pushed
    with Journal.open_readonly(tmp_path / "out" / "journal.db") as journal:
        assert list(journal.since()) == events
        assert all(check.holds for check in audit_journal(journal)), list(audit_journal(journal))
        assert [(a.camera, a.captured, a.ended) for a in sorted(journal.accounts(), key=lambda a: a.camera)] == [
            ("a-x", len(LONG), "end"),
            ("b", 7, "end"),
            ("c", 7, "end"),
        ]
    lines = [json.loads(line) for line in (tmp_path / "out" / "manifest.jsonl").read_text().splitlines()]
    assert [(line["camera"], line["state"], line["frames"]) for line in lines] == [
        ("a-x", "done", len(LONG)),
        ("b", "done", 7),
        ("c", "done", 7),
    ]
    assert lines[0]["sha256"] == hashlib.sha256(LONG.encode()).hexdigest()
    assert lines[0]["path"] == str(videos / "a" / "x.mp4")
    assert lines[0]["size"] == len(LONG)
    assert not [recording for recording in run.recordings if recording.failure]
    report = (tmp_path / "out" / "report.html").read_text()
    assert "a/x.mp4" in report
    assert "<strong>5</strong><b>micro-expressions</b>" in report
    assert (tmp_path / "out" / "failures.csv").read_text().splitlines() == [
        "path,camera,stage,from_frame,to_frame,reason"
    ]


ONCE = f"{LONG[:60]}?{LONG[61:]}"
THRICE = f"{LONG[:30]}?{LONG[31:60]}?{LONG[61:90]}?"


@pytest.mark.parametrize("text", [LONG, ONCE, THRICE])
def test_parts_tell_what_the_whole_tells_also_where_they_come_apart(tmp_path: Path, text: str) -> None:
    """Then the first is watched on over the second, until all agree."""
    videos = corpus(tmp_path / "videos", a=text)
    _, engine = go(videos, tmp_path / "cut")
    _, whole = go(videos, tmp_path / "whole", segment_s=0)
    assert (tmp_path / "cut" / "events.jsonl").read_bytes() == (tmp_path / "whole" / "events.jsonl").read_bytes() != b""
    assert [key for key in whole.did if "watch" in key] == ["watch a 0:"]
    parts = [key for key in engine.did if "watch" in key]
    assert len(parts) == -(-len(text) // PART) + text.count("?")


@pytest.mark.parametrize("after", [0, 1, 3, 4, 6, 9, 10])
def test_a_run_that_was_cut_goes_on_where_it_was(tmp_path: Path, after: int) -> None:
    """Wherever: nothing is done twice, nothing looks finished before it is, and the end is the same."""
    videos = corpus(tmp_path / "videos", a="-m---", b=LONG, c="--m--")
    _, straight = go(videos, tmp_path / "straight")
    cut = Here(die_after=after)
    with pytest.raises(KeyboardInterrupt):
        go(videos, tmp_path / "out", engine=cut)
    assert {path.name for path in (tmp_path / "out").iterdir()} <= {".lock", "pieces", "manifest.jsonl"}
    _, later = go(videos, tmp_path / "out")
    assert sorted(cut.did + later.did) == sorted(straight.did)
    for name in ("events.jsonl", "failures.csv", "manifest.jsonl"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "straight" / name).read_bytes()
    _, again = go(videos, tmp_path / "out")
    assert again.did == []


def test_a_recording_that_changed_is_done_again_and_others_are_not(tmp_path: Path) -> None:
    """Likewise one that is new; one that is gone is gone. What fits other settings does not fit these."""
    videos, out = corpus(tmp_path / "videos", a="-m---", b="--m--", c="---m--"), tmp_path / "out"
    go(videos, out)
    corpus(videos, b="-m-m---", d="m---")
    (videos / "c.mp4").unlink()
    _, engine = go(videos, out)
    assert sorted({key.split()[1] for key in engine.did}) == ["b", "d"]
    assert [event.camera for event in events_of(out)] == ["a"] * 2 + ["b"] * 4 + ["d"] * 2
    said = Config(source=msgspec.structs.replace(Config().source, consent=True))
    _, engine = go(videos, out, config=said)
    assert len(engine.did) == 9
    assert all(event.consent for event in events_of(out))
    _, engine = go(videos, out)
    assert engine.did == []
    assert not any(event.consent for event in events_of(out))


def test_a_moved_corpus_is_surveyed_again_and_nothing_more(tmp_path: Path) -> None:
    videos, out = corpus(tmp_path / "videos", a="-m---"), tmp_path / "out"
    go(videos, out)
    before = (out / "events.jsonl").read_bytes()
    videos.rename(tmp_path / "moved")
    _, engine = go(tmp_path / "moved", out)
    assert engine.did == ["survey a"]
    assert (out / "events.jsonl").read_bytes() == before


def test_failures_are_told_and_tried_again_and_the_others_are_complete(tmp_path: Path) -> None:
    """An unreadable file, one that can't be decoded, one that is gone by then."""
    videos, out = corpus(tmp_path / "videos", a="-m---", b="broken", c="unwatchable" * 5, d="--m--"), tmp_path / "out"
    (tmp_path / "list.csv").write_text(
        "\n".join(["path", *(f"videos/{name}.mp4" for name in ("a", "b", "c", "d", "gone"))])
    )
    run, _ = go(tmp_path / "list.csv", out)
    assert {event.camera for event in events_of(out)} == {"videos-a", "videos-d"}
    with (out / "failures.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(Path(row["path"]).name, row["stage"], row["from_frame"], row["reason"]) for row in rows] == [
        ("b.mp4", "survey", "", "b.mp4: no video"),
        ("c.mp4", "watch", "0", "c.mp4: not one frame can be decoded"),
        ("gone.mp4", "list", "", f"{tmp_path}/videos/gone.mp4: there is no such file"),
    ]
    lines = [json.loads(line) for line in (out / "manifest.jsonl").read_text().splitlines()]
    assert [line["state"] for line in lines] == ["done", "failed", "failed", "done", "failed"]
    assert "b.mp4: no video" in (out / "report.html").read_text()
    corpus(videos, b="-m---", c="m----", gone="----")
    run, engine = go(tmp_path / "list.csv", out)
    assert sorted({key.split()[1] for key in engine.did}) == ["videos-b", "videos-c", "videos-gone"]
    assert not [recording for recording in run.recordings if recording.failure]


def test_a_recording_that_changes_while_it_is_watched_is_a_failure_and_surveyed_anew(tmp_path: Path) -> None:
    """Its parts must be parts of one recording, whatever its time of change says."""
    videos, out = corpus(tmp_path / "videos", a="-m---"), tmp_path / "out"

    def swap(standing: Standing) -> None:
        if standing.stage == "watch":
            (videos / "a.mp4").write_text("m-m-m")

    run, _ = go(videos, out, on_standing=swap)
    assert "has changed since it was surveyed" in str(run.recordings[0].failure)
    assert (out / "events.jsonl").read_bytes() == b""
    run, _ = go(videos, out)
    assert run.recordings[0].done
    assert len(events_of(out)) == 6


def test_a_recording_is_finished_before_the_next_is_begun(tmp_path: Path) -> None:
    """So that what waits on disk stays small; the longest ones first."""
    _, engine = go(corpus(tmp_path / "videos", a="-m---", b=LONG, c=LONG), tmp_path / "out")
    assert [key for key in engine.did if "watch" not in key and "survey" not in key] == [
        "recognise b 4",
        "recognise c 4",
        "recognise a 1",
    ]
    assert engine.did.index("recognise b 4") < engine.did.index("watch c 0:30")


@pytest.mark.parametrize("kind", ["survey", "watch", "events"])
def test_a_damaged_piece_is_done_again(tmp_path: Path, kind: str) -> None:
    videos, out = corpus(tmp_path / "videos", a="-m---", b=LONG), tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        go(videos, out, engine=Here(die_after=5 if kind == "watch" else 99 if kind == "x" else 4))
    if kind != "watch":
        go(videos, out)
    found = sorted((out / PIECES).glob(f"{kind}-*"))
    assert found
    content = found[0].read_bytes()
    found[0].write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    go(videos, out)
    go(videos, tmp_path / "straight")
    assert (out / "events.jsonl").read_bytes() == (tmp_path / "straight" / "events.jsonl").read_bytes()


def test_crops_are_kept_no_longer_than_needed(tmp_path: Path) -> None:
    """Once a recording is recognised, its parts go."""
    go(corpus(tmp_path / "videos", a=THRICE, b="m--"), tmp_path / "out")
    assert sorted(path.name.partition("-")[0] for path in (tmp_path / "out" / PIECES).iterdir()) == [
        *["events"] * 2,
        *["survey"] * 2,
    ]


def test_what_people_said_is_taken_into_the_next_journal(tmp_path: Path) -> None:
    """About events that are still there."""
    videos, out = corpus(tmp_path / "videos", a="-m---", b="-m---"), tmp_path / "out"
    go(videos, out)
    first, second = (event.event_id for event in events_of(out) if event.phase == "final")
    with Journal(out / "journal.db") as journal:
        for event_id in (first, second):
            judge(journal, Judgement(event_id=event_id, verdict="false", note="a yawn", by="anna"))
        said = judgements(journal)
    (videos / "b.mp4").unlink()
    (out / "journal.db-wal").write_bytes(b"of the old one")
    go(videos, out)
    assert not [path.name for path in out.glob("journal.db-*") if path.suffix in (".db-wal", ".db-shm")]
    with Journal.open_readonly(out / "journal.db") as journal:
        assert judgements(journal) == said[:1]


def test_recordings_elsewhere_are_fetched_by_whoever_needs_them(tmp_path: Path) -> None:
    """The events are those of the same files here."""
    memory = fsspec.filesystem("memory")
    memory.pipe("/fetch/a.mp4", LONG.encode())
    memory.pipe("/fetch/b/c.mp4", b"--m--")
    try:
        go("memory://fetch/", tmp_path / "there")
        memory.pipe("/fetch/b/c.mp4", b"--m-m--")
        _, engine = go("memory://fetch/", tmp_path / "there")
    finally:
        memory.rm("/fetch", recursive=True)
    assert sorted({key.split()[1] for key in engine.did}) == ["b-c"]
    go(corpus(tmp_path / "here", a=LONG, b_c="--m-m--"), tmp_path / "out")
    assert (tmp_path / "there" / "events.jsonl").read_bytes() == (tmp_path / "out" / "events.jsonl").read_bytes()
    line = json.loads((tmp_path / "there" / "manifest.jsonl").read_text().splitlines()[0])
    assert line["path"] == "memory:///fetch/a.mp4"
    assert line["size"] == len(LONG)


def test_machines_with_other_weights_take_no_part(tmp_path: Path) -> None:
    entry = list_corpus(str(corpus(tmp_path, a="m--"))).entries[0]
    with pytest.raises(ConfigError, match="others on this machine"):
        pieces.survey_piece(pieces.Shared(config=Config(), weights="0" * 64), entry)


def test_how_far_a_run_is_is_told_by_media_time(tmp_path: Path) -> None:
    """Parts that an earlier run has watched are done from the start."""
    videos, out = corpus(tmp_path / "videos", a=LONG), tmp_path / "out"
    heard: list[Standing] = []
    with pytest.raises(KeyboardInterrupt):
        go(videos, out, engine=Here(die_after=3))
    go(videos, out, on_standing=heard.append)
    last = next(one for one in heard if one.stage == "watch")
    assert (last.stage, last.recordings, last.done, last.parts, last.parts_done) == ("watch", 1, 0, 4, 2)
    assert last.media_s == pytest.approx(11.1, abs=0.1)
    assert last.media_left_s == pytest.approx(last.media_s * (len(LONG) - 60) / len(LONG), rel=0.02)


def test_the_journal_of_ten_thousand_cameras_leaves_no_lock_files(tmp_path: Path) -> None:
    """As a small sample shows: none stays open, none stays there."""
    go(corpus(tmp_path / "videos", **{f"c{n}": "-m---" for n in range(30)}), tmp_path / "out")
    assert not list((tmp_path / "out").rglob("*claim*"))
    with sqlite3.connect(tmp_path / "out" / "journal.db") as database:
        assert database.execute("SELECT count(*) FROM sessions").fetchone() == (30,)


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        ("its process died 3 times, lastly by signal SIGKILL", "its process died 3 times, lastly by signal SIGKILL"),
        ("Traceback (most recent call last):\n  File\nbowam_model.errors.ModelError: no: way\n", "no: way"),
        ("Traceback (most recent call last):\n  File\nKeyError: 'x'\n", "KeyError: 'x'"),
        ("", "no reason was given"),
    ],
)
def test_a_failure_is_one_line(failure: str, reason: str) -> None:
    """What our own errors say, without their names."""
    assert _reason(failure) == reason
