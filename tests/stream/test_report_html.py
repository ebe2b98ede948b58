"""The report is one file, shows what happened, and lets nothing in from outside."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import numpy as np
import pytest

from bowam_stream.errors import ReportError
from bowam_stream.events.judgements import Judgement
from bowam_stream.messages import (
    AlignedFrame,
    Candidate,
    Delivery,
    EndOfStream,
    Event,
    Face,
    FaceQuality,
    Hello,
    Model,
    Moment,
    Triple,
)
from bowam_stream.report import Record, Recorder, filters, write_report
from bowam_stream.report.matching import TrueEvent, Truth
from bowam_stream.report.origin import Origin
from bowam_stream.report.timeline import ORIGIN_MS, timeline
from bowam_stream.report.trace import Series, Trace

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'&.mp4"
MADE = Origin(
    command="bowam replay clip.mp4",
    made_utc_ns=1_795_425_600_000_000_000,
    machine="A processor",
    cores=2,
    system="Linux x86_64",
)
MODEL = Model(name="bowam-nano", weights="sha256:" + "ab" * 32, backend="eager")


class Row(msgspec.Struct):
    face: int
    signal: float = 1.0
    threshold: float = 4.0
    state: str = "rest"
    motion_px: float = 0.5
    doubt: str | None = None
    refused: str | None = None
    quality: tuple[str, ...] = ()
    regions: dict = {}


class Settings(msgspec.Struct):
    threshold: float = 5.0
    weights: Path = Path("w.safetensors")


def moment(frame: int) -> Moment:
    return Moment(frame=frame, t_ns=frame * 10_000_000)


def event(onset: int, apex: int, offset: int | None, **changes: object) -> Event:
    fields: dict = {
        "event_id": f"id{onset}",
        "seq": onset + 1,
        "camera": "clip",
        "session": "s",
        "face": 0,
        "kind": "micro",
        "phase": "final",
        "onset": moment(onset),
        "apex": moment(apex),
        "offset": None if offset is None else moment(offset),
        "label": "positive",
        "probabilities": {"negative": 0.1, "none": 0.05, "positive": 0.8, "surprise": 0.05},
        "confidence": 0.8,
        "spotting_score": 7.25,
        "quality": (),
        "model": MODEL,
        "delivery": Delivery(published_utc_ns=0, latency_ms=31.6),
    }
    return Event(**(fields | changes))


REFUSED: dict = {"phase": "retracted", "kind": None, "label": None, "confidence": None}
EVENTS = [
    event(20, 30, None, phase="provisional", kind=None, label=None, probabilities=None, confidence=None),
    event(20, 30, 45, seq=22),
    event(60, 66, 78, kind="blink", label=None, probabilities=None, confidence=None, model=None),
    event(80, 84, 95, **REFUSED, reason="none", quality=("speech",)),
    event(100, 102, 104, **REFUSED, probabilities=None, model=None, reason="too_short"),
]


def record_in(
    folder: Path, *, source: str = "clip.mp4", frames: int = 120, with_face: bool = True, quality: tuple[str, ...] = ()
) -> Record:
    hello = Hello(camera="clip", session="s", source=source, rate_hz=100.0, quality=quality)
    face = Face(
        track=0,
        crop=np.zeros((240, 240), np.uint8),
        landmarks=np.full((468, 2), 120, np.float32),
        transform=np.eye(2, 3),
        quality=FaceQuality(sharpness=1, yaw_deg=0, pitch_deg=0, roll_deg=0, size_px=100, confidence=1),
    )
    rng = np.random.default_rng(0)
    triple = Triple(**{name: rng.integers(0, 256, (240, 240), np.uint8) for name in ("onset", "apex", "offset")})
    with Recorder(folder, hello) as recorder:
        for number in range(frames):
            aligned = AlignedFrame(
                camera="clip", session="s", seq=number, moment=moment(number), faces=(face,) if with_face else ()
            )
            row = Row(face=0, refused="nod") if number == 110 else Row(face=0)
            recorder.frame(aligned, [row] if with_face else [])
        for onset in (20, 80):
            recorder.candidate(
                Candidate(
                    event_id=f"id{onset}",
                    camera="clip",
                    session="s",
                    face=0,
                    phase="final",
                    kind="micro",
                    onset=moment(onset),
                    apex=moment(onset + 4),
                    offset=moment(onset + 15),
                    score=7.0,
                    triple=triple,
                )
            )
        recorder.close(EndOfStream(camera="clip", session="s", seq=frames, frames=frames))
    return Record(folder)


class Page(HTMLParser):
    """Elements with their attributes, and the text outside scripts and styles."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.scripts: list[str] = []
        self._within = ""
        self.words = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag in ("script", "style"):
            self._within = tag
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        self.words += " "
        if tag == self._within:
            self._within = ""

    def handle_data(self, data: str) -> None:
        if self._within == "script":
            self.scripts[-1] += data
        elif not self._within:
            self.words += data

    def has(self, text: str) -> bool:
        return text in " ".join(self.words.split())


def report(tmp_path: Path, events: list[Event], record: Record | None = None, **options: object) -> Page:
    write_report(tmp_path / "report.html", record or record_in(tmp_path / "run"), events, **options)  # type: ignore[arg-type]
    return Page((tmp_path / "report.html").read_text())


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> Page:
    """The report of EVENTS, without truth."""
    return report(tmp_path_factory.mktemp("usual"), EVENTS, settings={"spotting": Settings(threshold=6.0)})


def test_the_page_needs_nothing_but_itself(usual: Page) -> None:
    """Every address in it is a data URI or a place on the page, and its policy forbids it to load anything."""
    addresses = [
        attrs[name] for _, attrs in usual.elements for name in ("src", "href", "action", "data") if name in attrs
    ]
    assert len(addresses) > 10
    assert [a for a in addresses if not a.startswith(("data:image/", "#"))] == []
    assert "link" not in {tag for tag, _ in usual.elements}
    policy = next(attrs["content"] for tag, attrs in usual.elements if attrs.get("http-equiv"))
    assert "default-src 'none'" in policy
    style = (Path(__file__).parents[2] / "bowam_stream/report/page/style.css").read_text()
    assert not re.search(r"url\(|@import|@font-face", style)


def test_every_link_within_the_page_leads_somewhere(tmp_path: Path) -> None:
    truth = Truth(
        fps=100.0, frames=120, events=(TrueEvent(kind="micro", onset=20, apex=30, offset=45, label="positive"),)
    )
    page = report(tmp_path, EVENTS, truth=truth)
    ids = [attrs["id"] for _, attrs in page.elements if "id" in attrs]
    assert len(ids) == len(set(ids))
    assert {attrs["href"][1:] for tag, attrs in page.elements if tag == "a"} <= set(ids)


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    """A file name, a camera, a label, a reason or a setting can hold anything."""
    events = [
        event(20, 30, 45, label=HOSTILE, probabilities={HOSTILE: 0.8, "none": 0.2}),
        event(
            80, 84, 95, **REFUSED, reason=HOSTILE, quality=(HOSTILE,), model=Model(name=HOSTILE, weights="", backend="")
        ),
    ]
    record = record_in(tmp_path / "run", source=HOSTILE, quality=(HOSTILE,))
    truth = Truth(fps=100.0, frames=120, events=(TrueEvent(kind=HOSTILE, onset=1, apex=2, offset=3, label=HOSTILE),))
    page = report(
        tmp_path,
        events,
        record,
        settings={"name": HOSTILE, HOSTILE: 1},
        truth=truth,
        judgements={"id20": Judgement(event_id="id20", verdict="false", label=HOSTILE, note=HOSTILE, by=HOSTILE)},
        made=msgspec.structs.replace(MADE, command=HOSTILE, machine=HOSTILE),
    )
    assert len(page.scripts) == 4
    assert all(attrs.get("src", "data:").startswith("data:") for tag, attrs in page.elements if tag == "img")
    assert not any(name.startswith("on") for _, attrs in page.elements for name in attrs)
    assert HOSTILE in page.words
    texts = [text for bars in json.loads(page.scripts[1])["data"] for text in bars.get("text", ())]
    assert any(HOSTILE.replace("_", " ") in text for text in texts)


def test_the_figures_at_the_top_count_settled_events_once(usual: Page) -> None:
    for line in ("1 micro-expression 1 positive", "0 macro-expressions", "1 blink"):
        assert usual.has(line)
    assert usual.has("3 refused 2 taken back, 1 never announced")
    assert usual.has("120 frames 100 frames/s 1 face, seen in 100% of frames")


def test_the_table_has_every_event_with_times_and_frames(usual: Page) -> None:
    rows = [attrs["data-kind"] for tag, attrs in usual.elements if tag == "tr" and "data-kind" in attrs]
    assert rows == ["micro", "blink", "refused", "refused"]
    assert usual.has("0:00.200 positive 80% 250 0:00.300 0:00.450 20–30–45 7.2 32 ms")
    assert usual.has("0:01.000 refused too_short 40 0:01.020 0:01.040 100–102–104")


def test_a_time_is_never_off_by_a_millisecond() -> None:
    """Seconds that are rounded up to sixty make a new minute."""
    assert filters.time(59.9996) == "1:00.000"
    assert filters.time(3599.9994) == "59:59.999"
    assert filters.time(3661.0125) == "1:01:01.013", "half a millisecond rounds up, as in the exports"
    assert [filters.clock(t) for t in (0, 59.6, 3600)] == ["0:00", "1:00", "1:00:00"]


def test_what_a_person_said_stands_beside_the_event(tmp_path: Path) -> None:
    said = {
        "id20": Judgement(event_id="id20", verdict="true", label="surprise", note="raised brows", by="Ada"),
        "id60": Judgement(event_id="id60", verdict="unsure"),
        "gone": Judgement(event_id="gone", verdict="false"),
    }
    page = report(tmp_path, EVENTS, judgements=said)
    assert page.has("2 of 4 judged by a person 1 true, 1 unsure")
    assert page.has("judged true , should be called surprise, by Ada")
    assert page.has("true surprise raised brows")


def test_without_judgements_there_is_no_word_of_them(usual: Page) -> None:
    assert not usual.has("judged")


def test_what_the_network_looked_at_is_shown_with_pictures(usual: Page) -> None:
    """The final event and the one that the network refused, but neither the blink nor what the spotter turned down."""
    assert [attrs["id"] for tag, attrs in usual.elements if tag == "article"] == ["event-id20", "event-id80"]
    assert sum(attrs.get("alt", "").startswith("Face at the") for _, attrs in usual.elements) == 6
    assert usual.has("The network saw no micro-expression in it.")


def test_refusals_are_counted_by_reason_also_those_that_were_never_announced(usual: Page) -> None:
    assert usual.has("Reason Meaning Taken back Never announced")
    assert usual.has("too_short Shorter than any micro-expression: noise. 1")
    assert usual.has("nod No more than what the moving head leaves behind. 1")
    assert usual.has("none The network saw no micro-expression in it. 1")


def test_every_refused_movement_is_listed(usual: Page) -> None:
    assert usual.has("All 3 refused movements From ms Peak Reason Announced")
    assert usual.has("0:01.100 0 1.0 No more than what the moving head leaves behind. nod never")
    assert usual.has("0:00.800 150 7.2 The network saw no micro-expression in it. none taken back")


def test_an_event_that_was_never_closed_is_called_unfinished(tmp_path: Path) -> None:
    page = report(tmp_path, EVENTS[:1])
    assert page.has("0:00.200 not finished")
    assert page.has("20–30–?")


def test_beside_the_truth_it_tells_found_missed_and_false(tmp_path: Path) -> None:
    events = (
        TrueEvent(kind="micro", onset=18, apex=30, offset=45, label="surprise"),
        TrueEvent(kind="micro", onset=100, apex=105, offset=115, label="negative"),
    )
    page = report(tmp_path, EVENTS, truth=Truth(fps=100.0, frames=120, events=events))
    assert page.has("0.67 F1 score 1 of 2 found, 0 false")
    assert page.has("surprise 18 – 30 – 45 found positive wrong 0.93 +20 ms 0 ms 0 ms")
    assert page.has("negative 100 – 105 – 115 missed")


def test_without_truth_there_is_no_word_of_it(usual: Page) -> None:
    assert not usual.has("F1")
    assert not usual.has("false alarm")


def test_what_limits_the_run_is_said_in_plain_words(tmp_path: Path) -> None:
    page = report(tmp_path, EVENTS, record_in(tmp_path / "run", quality=("truncated",)))
    assert page.has("The file is cut off or damaged; it was read as far as it goes.")
    assert page.has("The person was speaking (1 of 4 events).")
    assert page.has("trained on synthetic clips only")
    assert not page.has("Fewer than 60 frames")


@pytest.mark.parametrize("frames", [0, 30])
def test_a_recording_without_a_face_has_a_report_too(tmp_path: Path, frames: int) -> None:
    page = report(tmp_path, [], record_in(tmp_path / "run", frames=frames, with_face=False))
    assert page.has("No face was found in any frame")
    assert page.has("Nothing moved beyond the threshold.")


def test_model_versions_and_settings_are_on_record(usual: Page) -> None:
    assert usual.has(MODEL.weights)
    assert usual.has("bowam-stream 0.")
    assert usual.has("spotting.threshold 6.0 changed spotting.weights w.safetensors")
    assert usual.has("Other than by default: spotting.threshold 6.0 instead of 5.0")
    assert usual.has("frames decoded 120 sent to the spotter 120 dropped 0")


def test_command_date_and_machine_are_on_record(tmp_path: Path) -> None:
    page = report(tmp_path, EVENTS, made=MADE)
    assert page.has(
        "made 2026-11-23 09:20 UTC command bowam replay clip.mp4 machine A processor, 2 cores, Linux x86_64"
    )


def test_it_says_how_to_cite_the_program_and_the_paper(usual: Page) -> None:
    assert usual.has("10.11897/SP.J.1016.2026.00328")
    assert usual.has("BOWAM stream: facial micro-expressions in live video , version 0.1.0")
    assert usual.has("@article{bowam-2026,")


def test_the_same_run_gives_the_same_file(tmp_path: Path) -> None:
    record = record_in(tmp_path / "run")
    for name in ("a.html", "b.html"):
        write_report(tmp_path / name, record, EVENTS)
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()
    assert {path.name for path in tmp_path.iterdir()} == {"run", "a.html", "b.html"}


def test_a_folder_that_is_not_there_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(ReportError, match="can't write"):
        write_report(tmp_path / "nowhere" / "report.html", record_in(tmp_path / "run"), EVENTS)


def whole_trace(series: Series, rate_hz: float) -> Trace:
    """A face in every frame."""
    return Trace(
        t_s=series.t_s,
        with_face=np.full(len(series.t_s), True),
        rate_hz=rate_hz,
        series={0: series},
        states=(),
        unannounced=(),
    )


def test_an_hour_of_signal_stays_small_and_keeps_its_peak() -> None:
    """108,000 frames at 30 per second, on the axis of the figure."""
    t_s = np.arange(108_000) / 30.0
    signal = np.random.default_rng(0).uniform(0, 1, len(t_s))
    signal[54_321] = 33.0
    series = Series(t_s=t_s, signal=signal, threshold=np.full(len(t_s), 5.0))
    trace = whole_trace(series, 30.0)
    figure = timeline(trace, [], None)
    assert len(msgspec.json.encode(figure)) < 1_000_000
    motion = next(line for line in figure["data"] if line["name"] == "motion")  # type: ignore[attr-defined]
    decode = msgspec.json.decode
    y = np.frombuffer(decode(msgspec.json.encode(motion["y"]["bdata"]), type=bytes), "<f4")
    x = np.frombuffer(decode(msgspec.json.encode(motion["x"]["bdata"]), type=bytes), "<f8")
    assert np.nanmax(y) == 33.0
    assert x[np.nanargmax(y)] == pytest.approx(ORIGIN_MS + 1000 * t_s[54_321])


def test_a_jump_does_not_flatten_the_micro_expressions() -> None:
    """One wild movement leaves the picture; the axis ends above the micro-expression."""
    t_s = np.arange(2000) / 100.0
    signal = np.ones(2000)
    signal[30] = 12.0  # within the event of frames 20 to 45
    signal[1500] = 500.0
    series = Series(t_s=t_s, signal=signal, threshold=np.full(2000, 4.0))
    trace = whole_trace(series, 100.0)
    layout = timeline(trace, [EVENTS[1]], None)["layout"]
    assert layout["yaxis"]["range"] == pytest.approx([0.0, 1.08 * 16.0])  # type: ignore[index]
    signal[30] = 40.0
    layout = timeline(trace, [EVENTS[1]], None)["layout"]
    assert layout["yaxis"]["range"] == pytest.approx([0.0, 1.08 * 40.0])  # type: ignore[index]
