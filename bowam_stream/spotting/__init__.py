"""Finding the moment, causally: aligned frames in, candidates out. Pure state machines on media time."""

from bowam_stream.spotting.settings import SpottingSettings
from bowam_stream.spotting.spotter import Spotter, TraceRow

__all__ = ["Spotter", "SpottingSettings", "TraceRow"]
