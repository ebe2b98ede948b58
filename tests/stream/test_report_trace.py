"""The trace of a run is thinned without losing a peak."""

import numpy as np
import pytest

from bowam_stream.messages import Event, Moment
from bowam_stream.report.record import FaceRecord, FrameRecord
from bowam_stream.report.sparkline import HEIGHT, WIDTH, sparkline
from bowam_stream.report.trace import read_trace, thinned

HERE = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def face(
    track: int = 0, signal: float | None = 1.0, state: str = "rest", *, seen: bool = True, refused: str | None = None
) -> FaceRecord:
    return FaceRecord(
        track=track,
        transform=HERE if seen else None,
        points=b"",
        signal=signal,
        threshold=4.0,
        state=state,
        regions={},
        refused=refused,
    )


def frame(number: int, *faces: FaceRecord, step_ms: int = 20) -> FrameRecord:
    return FrameRecord(frame=number, t_ns=number * step_ms * 1_000_000, faces=faces)


def test_a_run_is_summed_up_in_one_pass() -> None:
    trace = read_trace([frame(0, face()), frame(1), frame(2, face(1, 2.5)), frame(3, face(1, seen=False))])
    assert (trace.frames, trace.frames_with_face, trace.end_s) == (4, 2, 0.06)
    assert trace.rate_hz == pytest.approx(50.0)
    assert set(trace.series) == {0, 1}
    np.testing.assert_allclose(trace.series[1].t_s, [0.04, 0.06])
    np.testing.assert_allclose(trace.series[1].signal, [2.5, 1.0])


def test_a_signal_that_is_not_known_is_a_gap() -> None:
    trace = read_trace([frame(0, face(signal=None)), frame(1, face())])
    assert np.isnan(trace.series[0].signal[0])


def test_an_empty_run_has_no_rate() -> None:
    trace = read_trace([])
    assert (trace.frames, trace.rate_hz, trace.end_s, trace.series, trace.states) == (0, None, 0.0, {}, ())


def test_equal_states_become_one_span() -> None:
    states = ["rest", "rest", "open", "open", "rest"]
    trace = read_trace([frame(n, face(state=state)) for n, state in enumerate(states)])
    spans = [(span.state, round(span.start_s, 3), round(span.end_s, 3)) for span in trace.states]
    assert spans == [("rest", 0.0, 0.04), ("open", 0.04, 0.08), ("rest", 0.08, 0.1)]


def test_movements_that_were_never_told_are_counted_by_reason() -> None:
    trace = read_trace([frame(n, face(refused=why)) for n, why in enumerate([None, "nod", None, "speech", "nod"])])
    assert [one.reason for one in trace.unannounced] == ["nod", "speech", "nod"]


def test_a_movement_that_was_never_told_lasts_from_its_first_frame_and_peaks_within_it() -> None:
    """Followed in frames 2 to 4, refused in frame 5; what was louder before does not count."""
    frames = [frame(0, face(signal=30.0)), frame(1, face())]
    frames += [frame(n, face(signal=s, state="open")) for n, s in ((2, 6.0), (3, 8.5), (4, None))]
    frames += [frame(5, face(signal=2.0, refused="nod"))]
    (one,) = read_trace(frames).unannounced
    assert (one.face, one.reason, one.peak) == (0, "nod", 8.5)
    assert (one.start_s, one.end_s) == pytest.approx((0.04, 0.1))


def test_a_frame_lasts_until_the_next_one_but_not_across_a_gap() -> None:
    trace = read_trace([frame(n, face()) for n in (0, 1, 2, 100, 101)])
    np.testing.assert_allclose(trace.lasting_s, [0.02, 0.02, 0.05, 0.02, 0.02])


def test_no_peak_is_lost() -> None:
    """Of 100,000 values, one stands out: 200 bins still show it, and the deepest one too."""
    rng = np.random.default_rng(0)
    t_s, values = np.arange(100_000) * 0.01, rng.uniform(0, 1, 100_000)
    values[77_777], values[5] = 40.0, -3.0
    thin_t, thin = thinned(t_s, values, bins=200, gap_s=1.0)
    assert len(thin) <= 400
    assert thin.max() == 40.0
    assert thin.min() == -3.0
    assert thin_t[thin.argmax()] == t_s[77_777]
    assert (np.diff(thin_t) >= 0).all()


def test_a_short_signal_stays_as_it_is() -> None:
    t_s, values = np.arange(10.0), np.arange(10.0) ** 2
    thin_t, thin = thinned(t_s, values, bins=100, gap_s=1.5)
    np.testing.assert_array_equal(thin_t, t_s)
    np.testing.assert_array_equal(thin, values)


@pytest.mark.parametrize("bins", [3, 100])
def test_the_line_breaks_where_the_face_was_away(bins: int) -> None:
    t_s = np.concatenate([np.arange(10) * 0.1, 5 + np.arange(10) * 0.1])
    _, thin = thinned(t_s, np.ones(20), bins=bins, gap_s=0.25)
    assert np.isnan(thin).sum() == 1
    assert not np.isnan(thin[[0, -1]]).any()


def test_nothing_to_draw_is_no_error() -> None:
    t_s, values = thinned(np.arange(3.0), np.full(3, np.nan), bins=10, gap_s=1.0)
    assert len(t_s) == len(values) == 0


def event(onset: int, apex: int, offset: int, of: int = 0) -> Event:
    onset_at, apex_at, offset_at = (Moment(frame=n, t_ns=n * 20_000_000) for n in (onset, apex, offset))
    return Event(
        event_id="e",
        seq=1,
        camera="c",
        session="s",
        face=of,
        kind="micro",
        phase="final",
        onset=onset_at,
        apex=apex_at,
        offset=offset_at,
        label="positive",
        probabilities=None,
        confidence=None,
        spotting_score=5.0,
        quality=(),
        model=None,
    )


def test_the_small_picture_of_an_event_has_its_moments_in_place() -> None:
    """Half a second before the onset and after the offset: 1.4 s wide, onset at 0.5, apex at 0.62, offset at 0.9."""
    trace = read_trace([frame(n, face(signal=8.0 if n == 56 else 1.0)) for n in range(200)])
    spark = sparkline(trace, event(50, 56, 70))
    assert spark is not None
    assert (spark.onset, spark.apex, spark.offset) == pytest.approx(
        (0.5 / 1.4 * WIDTH, 0.62 / 1.4 * WIDTH, 0.9 / 1.4 * WIDTH), abs=0.1
    )
    points = [tuple(map(float, pair.split())) for pair in spark.signal.lstrip("M").split("L")]
    highest = min(points, key=lambda point: point[1])
    assert highest[0] == pytest.approx(spark.apex, abs=0.1)
    assert highest[1] == pytest.approx(HEIGHT * (1 - 1 / 1.1), abs=0.1)


def test_a_face_without_a_signal_has_no_small_picture() -> None:
    trace = read_trace([frame(n, face()) for n in range(5)])
    assert sparkline(trace, event(0, 1, 2, of=9)) is None
