"""Rates are counts over the time in which a face was seen."""

import numpy as np
import pytest

from bowam_stream.messages import Event, Kind, Moment, Phase
from bowam_stream.report.rates import COUNTED, chart, minutes, whole_run
from bowam_stream.report.trace import Trace, Unannounced

RATE_HZ = 10.0


def trace(length_s: float, away_s: tuple[float, float] = (0.0, 0.0), refused_s: tuple[float, ...] = ()) -> Trace:
    t_s = np.arange(round(length_s * RATE_HZ)) / RATE_HZ
    return Trace(
        t_s=t_s,
        with_face=(t_s < away_s[0]) | (t_s >= away_s[1]),
        rate_hz=RATE_HZ,
        series={},
        states=(),
        unannounced=tuple(Unannounced(face=0, reason="nod", start_s=t, end_s=t + 0.2, peak=6.0) for t in refused_s),
    )


def event(onset_s: float, kind: Kind | None = "micro", phase: Phase = "final") -> Event:
    onset, apex = (Moment(frame=0, t_ns=round(t * 1e9)) for t in (onset_s, onset_s + 0.1))
    return Event(
        event_id=f"{onset_s}",
        seq=1,
        camera="c",
        session="s",
        face=0,
        kind=kind,
        phase=phase,
        onset=onset,
        apex=apex,
        offset=None,
        label=None,
        probabilities=None,
        confidence=None,
        spotting_score=6.0,
        quality=(),
        model=None,
    )


def test_a_movement_counts_in_the_minute_in_which_it_begins() -> None:
    events = [event(0.0), event(59.99), event(60.0), event(61.0, "blink"), event(130.0, "macro")]
    run = minutes(trace(180.0), events)
    assert [minute.start_s for minute in run] == [0.0, 60.0, 120.0]
    assert [[minute.counts[what] for what in COUNTED] for minute in run] == [[2, 0, 0, 0], [1, 0, 1, 0], [0, 1, 0, 0]]
    assert all(minute.whole for minute in run)


def test_refused_are_those_taken_back_and_those_never_announced_and_open_ones_are_none() -> None:
    events = [event(5.0, None, "retracted"), event(6.0, None, "provisional")]
    (minute,) = minutes(trace(60.0, refused_s=(7.0, 59.0)), events)
    assert minute.counts == {"micro": 0, "macro": 0, "blink": 0, "refused": 3}


def test_time_without_a_face_does_not_count() -> None:
    """Thirty seconds without a face: two movements are four per minute of face."""
    first, second = minutes(trace(120.0, away_s=(10.0, 40.0)), [event(1.0), event(50.0), event(70.0)])
    assert first.seen_s == pytest.approx(60.0)
    assert first.face_s == pytest.approx(30.0)
    assert first.rate("micro") == pytest.approx(4.0)
    assert second.rate("micro") == pytest.approx(1.0)


def test_a_minute_that_hardly_shows_a_face_has_no_rate() -> None:
    first, second = minutes(trace(120.0, away_s=(2.0, 62.0)), [event(1.0)])
    assert first.face_s == pytest.approx(2.0)
    assert first.rate("micro") is None
    assert first.counts["micro"] == 1
    assert second.rate("micro") == 0.0


def test_the_last_minute_is_scaled_and_said_to_be_short() -> None:
    _, last = minutes(trace(75.0), [event(61.0)])
    assert last.seen_s == pytest.approx(15.0)
    assert not last.whole
    assert last.rate("micro") == pytest.approx(4.0)
    lane = next(lane for lane in chart(minutes(trace(75.0), [event(61.0)])) if lane.what == "micro")
    assert [(bar.partly, bar.height, lane.top) for bar in lane.bars] == [(True, 100.0, pytest.approx(4.0))]


def test_the_whole_run_is_counted_over_all_faces_seen() -> None:
    run = minutes(trace(150.0, away_s=(60.0, 120.0)), [event(1.0), event(2.0), event(130.0)])
    whole = whole_run(run)
    assert (whole.seen_s, whole.face_s) == pytest.approx((150.0, 90.0))
    assert whole.rate("micro") == pytest.approx(2.0)
    assert whole.rate("micro", per_s=3600.0) == pytest.approx(120.0)


def test_a_run_may_begin_anywhere_and_have_holes() -> None:
    """Minutes are those of the recording's own time; a hole of two minutes is no time that was seen."""
    t_s = np.concatenate([np.arange(1000, 1100), np.arange(2800, 2900)]) / RATE_HZ
    holed = Trace(t_s=t_s, with_face=np.full(200, True), rate_hz=RATE_HZ, series={}, states=(), unannounced=())
    run = minutes(holed, [event(281.0)])
    assert [minute.start_s for minute in run] == [60.0, 120.0, 180.0, 240.0]
    assert [round(minute.seen_s) for minute in run] == [10, 0, 0, 10]
    assert run[1].rate("micro") is None
    assert run[3].rate("micro") == pytest.approx(6.0)


def test_an_empty_run_has_no_minutes() -> None:
    assert minutes(trace(0.0), []) == ()
    assert whole_run(()).rate("micro") is None
