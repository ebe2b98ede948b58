"""The operating point: which threshold gives how many false alarms per hour of a watched face.

`operating_points.json` is measured (python -m benchmarks.spotting.operating), never edited: micro-expressions that are
claimed, after the network has had its word, on clips that hold none: talking faces, and synthetic ones with one cause.
"""

import hashlib
from pathlib import Path

import msgspec
import numpy as np

from bowam_stream.errors import ConfigError
from bowam_stream.spotting.settings import SpottingSettings

TABLE = Path(__file__).with_name("operating_points.json")


class Point(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One threshold and what it brought."""

    threshold: float
    false_alarms: dict[str, int]  # by what the faces did


class OperatingPoints(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The table, and what it holds for."""

    measured_by: str  # the command
    rates_hz: tuple[float, ...]  # of the synthetic clips; the talkers come at 25
    weights: str  # sha256 of the network that had the last word, hex
    settings: str  # sha256 of the spotter's settings but the threshold, hex
    minutes: dict[str, float]  # watched, by what the faces did
    points: tuple[Point, ...]  # by rising threshold

    @property
    def hours(self) -> float:
        return sum(self.minutes.values()) / 60

    def rates(self) -> list[tuple[float, float]]:
        """(threshold, false alarms per hour over all clips), by rising threshold; the rate never rises again."""
        counts = [sum(point.false_alarms.values()) for point in self.points]
        falling = np.maximum.accumulate(counts[::-1])[::-1]
        return [(point.threshold, float(count) / self.hours) for point, count in zip(self.points, falling, strict=True)]


def read_points(path: Path = TABLE) -> OperatingPoints:
    """A table; the one that comes with the package."""
    return msgspec.json.decode(path.read_bytes(), type=OperatingPoints)


def write_points(points: OperatingPoints, path: Path) -> None:
    """Write a table as it is committed."""
    path.write_bytes(msgspec.json.format(msgspec.json.encode(points), indent=1) + b"\n")


def settings_at(settings: SpottingSettings, threshold: float) -> SpottingSettings:
    """The same settings with another threshold."""
    return msgspec.structs.replace(settings, threshold=threshold)


def settings_digest(settings: SpottingSettings) -> str:
    """Hex digest of all settings but the threshold."""
    return hashlib.sha256(msgspec.json.encode(settings_at(settings, 0.0), order="deterministic")).hexdigest()


def threshold_for(points: OperatingPoints, per_hour: float) -> float:
    """The lowest threshold that keeps to a rate of false alarms, between the measured ones by straight lines.

    Raises ConfigError beyond what was measured; one alarm in the whole time is the least that was.
    """
    by_rate: dict[float, float] = {}
    for threshold, rate in reversed(points.rates()):
        by_rate[rate] = threshold  # of equal rates the lowest threshold
    rates, thresholds = np.array(sorted(by_rate.items())).T
    least, most = range_of(points)
    if not least <= per_hour <= most:
        raise ConfigError(
            f"no threshold was measured for {per_hour:g} false alarms per hour; "
            f"choose between {least:.1f} and {most:.1f}"
        )
    return round(float(np.interp(per_hour, rates, thresholds)), 3)


def range_of(points: OperatingPoints) -> tuple[float, float]:
    """The lowest and the highest rate of false alarms per hour that a threshold was measured for."""
    rates = [rate for _, rate in points.rates()]
    return max(min(rates), 1 / points.hours), max(rates)
