"""From a camera or a recording to aligned faces: the stage that knows no torch.

source = open_source("interview.mp4")
with FaceAligner() as aligner:
    stage = FaceStage(aligner, camera="cam0", session=source.digest)
    for frame in source:
        aligned = stage.push(frame)
"""

from bowam_stream.capture.ahead import Ahead
from bowam_stream.capture.grabber import Backoff, Grabbed, GrabberSettings, LiveGrabber
from bowam_stream.capture.opening import is_camera, open_source
from bowam_stream.capture.pacing import Pacer
from bowam_stream.capture.pattern import draw_frame_number, read_frame_number
from bowam_stream.capture.source import Clocks, Source, SourceSettings
from bowam_stream.capture.stage import FaceStage
from bowam_stream.capture.standstill import FROZEN

__all__ = [
    "FROZEN",
    "Ahead",
    "Backoff",
    "Clocks",
    "FaceStage",
    "Grabbed",
    "GrabberSettings",
    "LiveGrabber",
    "Pacer",
    "Source",
    "SourceSettings",
    "draw_frame_number",
    "is_camera",
    "open_source",
    "read_frame_number",
]
