"""What may be asked for on the page as false alarms per hour, and the threshold that it means."""

import msgspec

from bowam_stream.config import Config, at_false_alarms
from bowam_stream.errors import ConfigError
from bowam_stream.spotting.operating import range_of, read_points


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """The range that was measured; or why there is none."""

    least: float = 0.0
    most: float = 0.0
    why_not: str = ""

    def threshold(self, config: Config, per_hour: float) -> float:
        """Raises ConfigError beyond what was measured."""
        return at_false_alarms(config, per_hour).spotting.threshold


def choice(config: Config) -> Choice:
    """What this configuration leaves to choose."""
    least, most = range_of(read_points())
    try:
        at_false_alarms(config, least)
    except ConfigError as error:
        return Choice(why_not=str(error))
    return Choice(least=least, most=most)
