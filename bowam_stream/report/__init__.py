"""What people look at after a run: a self-contained page, a video with the signal drawn on it, events beside the truth.

    record.py     what the worker writes while it runs: the spotter's trace, the three crops of each event
    matching.py   events beside the truth: found, missed, false; scoring.py pools many clips that pairing.py finds
    html.py       the page; timeline.py draws the signal, pictures.py the flow
    overlay.py    the video

Names are imported when they are first used, so that a worker that records loads no plotting library.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bowam_stream.report.html import write_report
    from bowam_stream.report.matching import Score, Truth, read_truth, score
    from bowam_stream.report.overlay import write_overlay
    from bowam_stream.report.record import FrameRecord, Record, Recorder

_HOME = {
    "FrameRecord": "record",
    "Record": "record",
    "Recorder": "record",
    "Score": "matching",
    "Truth": "matching",
    "read_truth": "matching",
    "score": "matching",
    "write_overlay": "overlay",
    "write_report": "html",
}

__all__ = [
    "FrameRecord",
    "Record",
    "Recorder",
    "Score",
    "Truth",
    "read_truth",
    "score",
    "write_overlay",
    "write_report",
]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
