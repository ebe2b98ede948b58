"""Events are matched with the truth as the spotting challenges do it."""

import itertools
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bowam_stream.errors import ConfigError
from bowam_stream.messages import Event, Moment
from bowam_stream.report.matching import MIN_IOU, TrueEvent, Truth, iou, read_truth, score
from tests.stream.small_events import micro_event

FPS = 50.0  # 20 ms per frame


def moment(frame: int) -> Moment:
    return Moment(frame=frame, t_ns=frame * 20_000_000)


def event(onset: int, apex: int, offset: int | None, label: str | None = "negative", **changes: object) -> Event:
    return micro_event((onset, apex, offset), label, FPS, **changes)


def true(onset: int, apex: int, offset: int, label: str | None = "negative", kind: str = "micro") -> TrueEvent:
    return TrueEvent(kind=kind, onset=onset, apex=apex, offset=offset, label=label)


def clip(*events: TrueEvent) -> Truth:
    return Truth(fps=FPS, frames=1000, events=events)


def test_spans_are_inclusive_at_both_ends() -> None:
    """[0, 9] has ten frames; [5, 14] shares five of the fifteen that the two cover."""
    assert iou((0, 9), (5, 14)) == pytest.approx(5 / 15)
    assert iou((3, 3), (3, 3)) == 1.0
    assert iou((0, 4), (5, 9)) == 0.0
    assert iou((0, 4), (4, 8)) == pytest.approx(1 / 9)


def test_a_found_movement_tells_its_errors_in_milliseconds() -> None:
    """Two frames late at the onset are 40 ms at 50 fps; early is negative."""
    result = score(clip(true(10, 15, 29)), [event(12, 14, 28)])
    (match,) = result.found
    assert match.iou == pytest.approx(17 / 20)
    assert (match.onset_error_ms, match.apex_error_ms, match.offset_error_ms) == (40.0, -20.0, -20.0)
    assert match.label_right
    assert (result.missed, result.false) == ((), ())


def test_half_is_enough_and_less_is_not() -> None:
    assert len(score(clip(true(0, 5, 9)), [event(0, 2, 4)]).found) == 1
    assert len(score(clip(true(0, 5, 10)), [event(0, 2, 4)]).found) == 0


def test_precision_recall_and_f1_of_a_mixed_run() -> None:
    """Two found (one with the wrong label), one missed, two false: F1 = 4 / (4 + 2 + 1)."""
    truth = clip(true(0, 5, 9), true(100, 105, 119), true(300, 305, 309))
    events = [event(0, 5, 9), event(101, 105, 118, "positive"), event(200, 205, 209), event(400, 402, 404)]
    result = score(truth, events)
    assert (len(result.found), len(result.missed), len(result.false)) == (2, 1, 2)
    assert result.precision == 0.5
    assert result.recall == pytest.approx(2 / 3)
    assert result.f1 == pytest.approx(4 / 7)
    assert result.labels_right == 1


def test_one_truth_is_matched_once() -> None:
    """Of two events over the same movement the better is found, the other is a false alarm."""
    result = score(clip(true(0, 5, 9)), [event(0, 5, 7), event(0, 5, 9)])
    assert result.found[0].iou == 1.0
    assert result.false[0].offset == moment(7)


def test_only_final_micro_events_are_scored() -> None:
    others = [
        event(0, 5, 9, None, kind="macro"),
        event(0, 5, 9, None, kind="blink"),
        event(0, 5, 9, None, phase="retracted", kind=None, reason="nod"),
        event(0, 5, None, None, phase="provisional", kind=None),
    ]
    result = score(clip(true(0, 5, 9), true(20, 25, 29, kind="blink")), others)
    assert (len(result.found), len(result.missed), len(result.false)) == (0, 1, 0)


def test_nothing_to_find_and_nothing_found_is_no_division_by_zero() -> None:
    result = score(clip(), [])
    assert (result.precision, result.recall, result.f1) == (0.0, 0.0, 0.0)


def test_the_best_pair_first_would_lose_a_movement_among_overlapping_spans() -> None:
    """Truth A prefers the event that is the only partner of truth B."""
    a, b = true(0, 5, 9), true(2, 5, 9)
    wide, narrow = event(0, 5, 5), event(0, 5, 9)
    assert iou((2, 9), (0, 5)) < MIN_IOU <= iou((0, 9), (0, 5)) < iou((2, 9), (0, 9)) < iou((0, 9), (0, 9))
    assert len(score(clip(a, b), [wide, narrow]).found) == 2


SPANS = st.lists(st.tuples(st.integers(0, 20), st.integers(0, 12)), max_size=4)


@given(truths=SPANS, events=SPANS)
def test_no_other_assignment_finds_more(truths: list[tuple[int, int]], events: list[tuple[int, int]]) -> None:
    """Against all permutations."""
    rows, cols = [(a, a + n) for a, n in truths], [(a, a + n) for a, n in events]
    padded = cols + [(-100, -100)] * len(rows)
    most = max(
        sum(iou(row, col) >= MIN_IOU for row, col in zip(rows, choice, strict=True))
        for choice in set(itertools.permutations(padded, len(rows)))
    )
    result = score(clip(*(true(a, a, b) for a, b in rows)), [event(a, a, b) for a, b in cols])
    assert len(result.found) == most
    assert len(result.found) + len(result.missed) == len(rows)
    assert len(result.found) + len(result.false) == len(cols)


def test_the_truth_file_may_hold_more_than_a_score_needs(tmp_path: Path) -> None:
    facts = {
        "kind": "micro",
        "onset": 3,
        "apex": 5,
        "offset": 9,
        "label": "surprise",
        "aus": [1, 2],
        "amplitude_px": 1.5,
    }
    path = tmp_path / "truth.json"
    path.write_bytes(msgspec.json.encode({"fps": 30, "frames": 90, "events": [facts], "identity": "portrait"}))
    assert read_truth(path).events == (true(3, 5, 9, "surprise"),)


def test_a_bad_truth_file_is_one_clear_line(tmp_path: Path) -> None:
    bad = tmp_path / "truth.json"
    bad.write_text('{"fps": 30}')
    with pytest.raises(ConfigError, match=r"truth\.json is no truth file"):
        read_truth(bad)
    with pytest.raises(ConfigError, match="cannot read the truth file"):
        read_truth(tmp_path / "absent.json")
