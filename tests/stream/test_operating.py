"""The operating point, against a table whose arithmetic can be done in the head."""

from pathlib import Path

import pytest

from bowam_stream import config as configuring
from bowam_stream.config import Config, at_false_alarms, replaced
from bowam_stream.errors import ConfigError
from bowam_stream.spotting import SpottingSettings
from bowam_stream.spotting.operating import (
    TABLE,
    OperatingPoints,
    Point,
    read_points,
    settings_digest,
    threshold_for,
    write_points,
)


def table(*counts: int) -> OperatingPoints:
    """Half an hour: each alarm is two per hour. Thresholds 4, 6, 8, ..."""
    return OperatingPoints(
        measured_by="by hand",
        rates_hz=(30.0,),
        weights=Config().weights_digest(),
        settings=settings_digest(SpottingSettings()),
        minutes={"real": 10.0, "speech": 20.0},
        points=tuple(
            Point(threshold=4.0 + 2.0 * place, false_alarms={"real": count // 2, "speech": count - count // 2})
            for place, count in enumerate(counts)
        ),
    )


@pytest.mark.parametrize(("per_hour", "threshold"), [(40.0, 4.0), (20.0, 6.0), (4.0, 8.0), (30.0, 5.0), (12.0, 7.0)])
def test_a_rate_that_was_measured_gives_its_threshold_and_one_between_a_threshold_between(
    per_hour: float, threshold: float
) -> None:
    assert threshold_for(table(20, 10, 2), per_hour) == pytest.approx(threshold)


def test_a_rate_that_rises_with_the_threshold_by_chance_is_held_level() -> None:
    """Nobody should be given a stricter threshold that was seen to do worse; the lowest of equals misses least."""
    points = table(20, 6, 10, 2)
    assert [rate for _, rate in points.rates()] == [40.0, 20.0, 20.0, 4.0]
    assert threshold_for(points, 20.0) == 6.0
    assert threshold_for(points, 30.0) == pytest.approx(5.0)


def test_beyond_what_was_measured_is_an_error_that_says_what_was() -> None:
    """Also below one alarm in the whole time: none in half an hour does not say none in a day."""
    for per_hour in (50.0, 3.9, 0.0, -1.0, float("nan")):
        with pytest.raises(ConfigError, match=r"choose between 4\.0 and 40\.0"):
            threshold_for(table(20, 10, 2), per_hour)
    with pytest.raises(ConfigError, match=r"choose between 2\.0 and 40\.0"):
        threshold_for(table(20, 10, 0), 1.0)
    with pytest.raises(ConfigError, match="no threshold was measured"):
        threshold_for(table(0, 0, 0), 1.0)


def test_a_table_comes_back_as_it_was_written(tmp_path: Path) -> None:
    write_points(table(3, 2, 1), tmp_path / "points.json")
    assert read_points(tmp_path / "points.json") == table(3, 2, 1)


def test_the_choice_changes_the_threshold_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(configuring, "read_points", lambda: table(20, 10, 2))
    config = Config()
    assert at_false_alarms(config, None) == config
    chosen = at_false_alarms(replaced(config, "spotting", threshold=9.0), 30.0)
    assert chosen == replaced(config, "spotting", threshold=5.0)
    assert chosen.digest() != replaced(config, "spotting", threshold=9.0).digest()


def test_a_table_for_other_settings_or_other_weights_is_not_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(configuring, "read_points", lambda: table(20, 10, 2))
    with pytest.raises(ConfigError, match="default settings"):
        at_false_alarms(replaced(Config(), "spotting", micro_max_ms=400.0), 30.0)
    (tmp_path / "own.safetensors").write_bytes(b"other")
    with pytest.raises(ConfigError, match="shipped weights"):
        at_false_alarms(replaced(Config(), "model", weights=tmp_path / "own.safetensors"), 30.0)


def test_the_shipped_table_holds_for_what_is_shipped() -> None:
    """If this fails, the spotter or the network has changed: run python -m benchmarks.spotting.operating again."""
    points = read_points(TABLE)
    assert points.weights == Config().weights_digest()
    assert points.settings == settings_digest(SpottingSettings())
    assert [point.threshold for point in points.points] == sorted(point.threshold for point in points.points)
    assert all(set(point.false_alarms) == set(points.minutes) for point in points.points)
    assert "real" in points.minutes
