"""Many clips are scored together, and the figures are those that one would count by hand."""

import math
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from bowam_stream.cli.evaluate import app
from bowam_stream.errors import ConfigError
from bowam_stream.events import to_json
from bowam_stream.messages import Event
from bowam_stream.report.matching import TrueEvent, Truth, read_truth
from bowam_stream.report.pairing import files, pair, read_clips, read_events
from bowam_stream.report.scoring import evaluate, label_f1, markdown, poisson_interval
from tests.stream.small_events import micro_event


def event(onset: int, offset: int, label: str | None = "negative", **changes: object) -> Event:
    return micro_event((onset, (onset + offset) // 2, offset), label, 100.0, **changes)


def true(
    onset: int, offset: int, label: str | None = "negative", kind: str = "micro", stratum: str | None = None
) -> TrueEvent:
    apex = (onset + offset) // 2
    return TrueEvent(kind=kind, onset=onset, apex=apex, offset=offset, label=label, stratum=stratum)


def clip(*events: TrueEvent, fps: float = 100.0, frames: int = 6000) -> Truth:
    return Truth(fps=fps, frames=frames, events=events)


@pytest.mark.parametrize(
    ("count", "low", "high"),
    [(0, 0.0, 3.6889), (1, 0.025318, 5.5716), (2, 0.24221, 7.2247), (10, 4.7954, 18.390), (100, 81.364, 121.627)],
)
def test_the_poisson_interval_is_that_of_the_tables(count: int, low: float, high: float) -> None:
    assert poisson_interval(count) == (pytest.approx(low, rel=1e-4), pytest.approx(high, rel=1e-4))


@pytest.mark.parametrize("count", [0, 1, 3, 17, 250, 3000])
@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.99])
def test_the_poisson_interval_is_the_one_by_chi_square(count: int, confidence: float) -> None:
    """Garwood: half the quantiles of chi-square with 2 n and 2 n + 2 degrees of freedom."""
    chi2 = pytest.importorskip("scipy.stats", reason="scipy is the independent reference").chi2
    tail = (1 - confidence) / 2
    low = chi2.ppf(tail, 2 * count) / 2 if count else 0.0
    high = chi2.ppf(1 - tail, 2 * count + 2) / 2
    assert poisson_interval(count, confidence) == (pytest.approx(low, rel=1e-9), pytest.approx(high, rel=1e-9))


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abcd")), min_size=1, max_size=30))
def test_the_f1_of_labels_is_that_of_scikit_learn(pairs: list[tuple[str, str]]) -> None:
    """Over the classes that are there or are said."""
    metrics = pytest.importorskip("sklearn.metrics", reason="scikit-learn is the independent reference")
    truth, said = zip(*pairs, strict=True)
    assert label_f1(pairs) == pytest.approx(metrics.f1_score(truth, said, average="macro", zero_division=0))


def test_who_says_nothing_misses_the_truth_and_names_no_class() -> None:
    """One of two negatives is named, the other gets no label: F1 = 2 / (2 + 1) of the only class."""
    assert label_f1([("negative", "negative"), ("negative", None)]) == pytest.approx(2 / 3)


def test_counts_of_several_clips_are_pooled_before_anything_is_divided() -> None:
    """Micro: 2 found, 1 missed, 1 false; macro: 1 found, 0 missed, 2 false. The mean of the clips' F1 is another."""
    first = clip(
        true(100, 120, stratum="hard"), true(300, 320, "positive", stratum="easy"), true(1000, 1100, kind="macro")
    )
    second = clip(true(50, 60, "surprise", stratum="hard"))
    result = evaluate(
        [
            (first, [event(100, 120), event(304, 320, "surprise"), event(1000, 1099, None, kind="macro")]),
            (
                second,
                [event(500, 510), event(2000, 2100, None, kind="macro"), event(50, 60, None, kind="macro")],
            ),
        ]
    )
    counts = {kind: (t.found, t.missed, t.false) for kind, t in result.tallies.items()}
    assert counts == {"micro": (2, 1, 1), "macro": (1, 0, 2), "overall": (3, 1, 3)}
    assert result.tallies["micro"].f1 == pytest.approx(4 / 6)
    assert result.tallies["macro"].f1 == pytest.approx(2 / 4)
    assert result.tallies["overall"].f1 == pytest.approx(6 / 10)
    assert result.tallies["micro"].precision == pytest.approx(2 / 3)
    assert result.strata["hard"].there == 2
    assert result.strata["hard"].recall == 0.5
    assert (result.labels["positive"].found, result.labels["positive"].labels_right) == (1, 0)
    assert (result.labels["surprise"].there, result.labels["surprise"].found) == (1, 0)


def test_strs_is_the_product_of_spotting_and_analysis_over_what_was_spotted() -> None:
    """Of four, three are spotted (F1 6/7); labels: negative 1 of 2, positive said twice, once rightly: both 2/3."""
    truth = clip(true(100, 120), true(200, 220), true(300, 320, "positive"), true(400, 420, "surprise"))
    result = evaluate([(truth, [event(100, 120), event(200, 220, "positive"), event(300, 320, "positive")])])
    assert result.tallies["micro"].f1 == pytest.approx(6 / 7)
    assert result.f1_analysis == pytest.approx(2 / 3)
    assert result.strs == pytest.approx(6 / 7 * 2 / 3)
    assert (result.labelled, result.labels_right) == (3, 2)


def test_truths_without_labels_have_no_analysis() -> None:
    result = evaluate([(clip(true(100, 120, None)), [event(100, 120)])])
    assert result.tallies["micro"].f1 == 1.0
    assert (result.labelled, result.f1_analysis, result.strs) == (0, None, None)
    assert result.labels == {}


def test_a_clip_in_which_nothing_happens_counts_with_its_minutes() -> None:
    """One false alarm in a clip of 60 s and none in one of 180 s (30 fps): 0.25 per minute."""
    result = evaluate([(clip(), [event(100, 120)]), (clip(fps=30.0, frames=5400), [])])
    alarms = result.tallies["micro"].false_alarms
    assert result.minutes == pytest.approx(4.0)
    assert alarms.per_minute == pytest.approx(0.25)
    assert (alarms.low, alarms.high) == (pytest.approx(0.025318 / 4, rel=1e-4), pytest.approx(5.5716 / 4, rel=1e-4))
    assert result.errors == {}
    assert {rate: t.false_alarms.count for rate, t in result.rates.items()} == {"30 fps": 0, "100 fps": 1}
    assert result.rates["30 fps"].false_alarms.high == pytest.approx(3.6889 / 3, rel=1e-4)


def test_errors_in_time_are_of_the_clips_own_frame_rate() -> None:
    """One frame late at 100 fps is 10 ms, two frames early at 50 fps are -40 ms."""
    slow = clip(true(100, 120), fps=50.0)
    result = evaluate([(clip(true(100, 120)), [event(101, 120)]), (slow, [event(98, 120)])])
    onset = result.errors["onset"]
    assert onset.mean_ms == pytest.approx(-15.0)
    assert onset.median_absolute_ms == pytest.approx(25.0)
    assert onset.p95_absolute_ms == pytest.approx(10 + 0.95 * 30)
    assert result.errors["offset"].mean_ms == 0.0


def test_the_page_holds_the_figures_and_says_what_is_synthetic() -> None:
    made = msgspec.structs.replace(clip(true(100, 120, stratum="hard")), plan={"seed": 1})
    result = evaluate([(made, [event(100, 120)]), (clip(), [event(5, 9)])])
    page = "\n".join(markdown(result))
    assert "2 clips, 2.00 minutes, 1 of them synthetic" in page
    assert "| micro | 1 | 0 | 1 | 0.500 | 1.000 | 0.667 | 0.500 (0.013-2.786) |" in page
    assert "| hard | 1 | 1 | 1.000 | 1 |" in page
    assert "STRS 0.667 = F1 of spotting 0.667 x F1 of analysis 1.000 (1 of 1 labels right)" in page
    assert math.isfinite(msgspec.json.decode(msgspec.json.encode(result))["tallies"]["overall"]["f1"])


FACTS = {"fps": 100, "frames": 500, "events": [{"kind": "micro", "onset": 10, "apex": 15, "offset": 20}]}


def write(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def write_truth(path: Path) -> Path:
    return write(path, msgspec.json.encode(FACTS))


def write_events(path: Path, *events: Event) -> Path:
    return write(path, b"".join(to_json(e) + b"\n" for e in events))


def test_clip_folders_with_both_files_work_at_once(tmp_path: Path) -> None:
    """Other JSON files beside them are something else."""
    for name in ("b", "a/c"):
        write_truth(tmp_path / name / "truth.json")
        write_events(tmp_path / name / "events.jsonl", event(10, 20))
        write(tmp_path / name / "settings.json", b"{}")
    assert [len(events) for _, events in read_clips(tmp_path, tmp_path)] == [1, 1]
    assert list(files(tmp_path, "truth.json")) == ["a/c", "b"]


def test_two_folders_are_paired_by_path_and_else_by_the_last_name(tmp_path: Path) -> None:
    truths = {name: Path() for name in ("day1/a", "day2/a", "day2/b", "day3/c", ".")}
    events = {name: Path() for name in ("day1/a", "b", "c", "x/c", ".")}
    assert pair(truths, events) == {"day1/a": "day1/a", ".": ".", "day2/b": "b"}
    assert pair({"day1/a": Path(), "day2/a": Path()}, {"a": Path()}) == {}
    write_truth(tmp_path / "truths" / "s1" / "truth.json")
    write_events(tmp_path / "events" / "s1.jsonl")
    ((truth, found),) = read_clips(tmp_path / "truths", tmp_path / "events")
    assert (truth.frames, found) == (500, [])


def test_a_truth_without_events_is_an_error_unless_asked_for(tmp_path: Path) -> None:
    write_truth(tmp_path / "truths" / "a.json")
    write_truth(tmp_path / "truths" / "b.json")
    write_events(tmp_path / "events" / "a.jsonl", event(10, 20))
    with pytest.raises(ConfigError, match=r"1 of 2 truths have no event file \(b\)"):
        read_clips(tmp_path / "truths", tmp_path / "events")
    result = evaluate(read_clips(tmp_path / "truths", tmp_path / "events", missing_is_empty=True))
    assert (result.tallies["micro"].found, result.tallies["micro"].missed) == (1, 1)


def test_events_without_a_truth_are_always_an_error(tmp_path: Path) -> None:
    write_truth(tmp_path / "truths" / "a.json")
    for name in "ab":
        write_events(tmp_path / "events" / f"{name}.jsonl")
    with pytest.raises(ConfigError, match=r"1 of 2 event files have no truth \(b\)"):
        read_clips(tmp_path / "truths", tmp_path / "events", missing_is_empty=True)


def test_empty_and_absent_folders_are_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"holds no truth\.json"):
        read_clips(tmp_path, tmp_path)
    with pytest.raises(ConfigError, match="is not there"):
        read_clips(tmp_path / "absent", tmp_path)
    truth = write_truth(tmp_path / "truth.json")
    with pytest.raises(ConfigError, match="two files or two folders"):
        read_clips(truth, tmp_path)


def test_a_record_that_came_twice_counts_once(tmp_path: Path) -> None:
    path = write_events(tmp_path / "events.jsonl", event(10, 20), event(10, 20), event(30, 40))
    assert [e.onset.frame for e in read_events(path)] == [10, 30]


def test_a_bad_line_and_a_wrong_partner_are_named(tmp_path: Path) -> None:
    path = write(tmp_path / "events.jsonl", to_json(event(10, 20)) + b"\n{}\n")
    with pytest.raises(ConfigError, match=r"events\.jsonl, line 2: not a bowam\.event/1 record"):
        read_events(path)
    write_events(path, event(500, 510))
    write_truth(tmp_path / "truth.json")
    with pytest.raises(ConfigError, match=r"event at frame 500.*tells of 500 frames"):
        read_clips(tmp_path, tmp_path)


def test_a_truth_that_holds_a_plan_is_synthetic(tmp_path: Path) -> None:
    path = write(tmp_path / "truth.json", msgspec.json.encode(FACTS | {"plan": {"seed": 1, "movements": []}}))
    assert read_truth(path).synthetic
    write(path, msgspec.json.encode(FACTS | {"plan": None}))
    assert not read_truth(path).synthetic


def test_a_truth_without_length_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "truth.json", b'{"fps": 0, "frames": 10, "events": []}')
    write_events(tmp_path / "events.jsonl")
    with pytest.raises(ConfigError, match="no truth file"):
        read_clips(tmp_path, tmp_path)


def test_the_command_prints_the_page_and_writes_both_files(tmp_path: Path) -> None:
    write_truth(tmp_path / "clips" / "a" / "truth.json")
    write_events(tmp_path / "clips" / "a" / "events.jsonl", event(10, 20))
    places = ["--json", str(tmp_path / "s.json"), "--markdown", str(tmp_path / "s.md")]
    told = CliRunner().invoke(app, ["spotting", str(tmp_path / "clips"), *places])
    assert told.exit_code == 0, told.output
    assert "| micro | 1 | 0 | 0 | 1.000 | 1.000 | 1.000 |" in told.output
    assert (tmp_path / "s.md").read_text() == told.stdout
    figures = msgspec.json.decode((tmp_path / "s.json").read_bytes())
    assert figures["tallies"]["micro"]["f1"] == 1.0
    assert figures["minutes"] == pytest.approx(5 / 60)
