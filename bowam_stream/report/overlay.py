"""A video of the run: the picture, the followed face, the motion signal below, and what was recognised.

It is drawn after the run: right of the time mark stands what comes next, and an event is named from its onset on,
although the program could only know it after its offset.
"""

from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import av
import numpy as np

from bowam_stream.clock import NS_PER_SECOND
from bowam_stream.errors import ReportError
from bowam_stream.messages import Event, Frame
from bowam_stream.report.files import written_whole
from bowam_stream.report.matching import Truth
from bowam_stream.report.painter import Painter, event_spans, true_spans
from bowam_stream.report.record import FrameRecord, Record
from bowam_stream.report.trace import read_trace

CLOCK_HZ = 90_000  # ticks of the video's time: fine enough for any rate, and usual
QUALITY = {"preset": "veryfast", "crf": "20"}


def write_overlay(
    path: Path,
    frames: Iterable[Frame],
    record: Record,
    events: Iterable[Event],
    *,
    truth: Truth | None = None,
    progress: Callable[[int], None] = lambda _drawn: None,
) -> int:
    """Draw `frames` (the recording, decoded again) with what `record` and `events` tell; H.264 in an mp4 file.

    Every frame keeps its time, also at a variable rate. `progress` hears how many frames are drawn. Returns their
    number; without a frame no file appears. Raises ReportError where the file can't be written.
    """
    trace = read_trace(record.frames())
    painter = Painter(trace, event_spans(events), true_spans(truth))
    drawn = 0
    try:
        with written_whole(path) as part, _Encoder(part, trace.rate_hz or record.hello.rate_hz or 30.0) as encoder:
            for frame, seen in _beside(frames, record.frames()):
                encoder.write(painter.paint(frame, seen), frame.moment.t_ns)
                drawn += 1
                progress(drawn)
    except av.error.FFmpegError as error:
        raise ReportError(f"can't write {path}: {error.strerror}") from error
    return drawn


def _beside(frames: Iterable[Frame], records: Iterator[FrameRecord]) -> Iterator[tuple[Frame, FrameRecord | None]]:
    """Each frame with the record of the same number; None where there is none."""
    record = next(records, None)
    for frame in frames:
        while record is not None and record.frame < frame.moment.frame:
            record = next(records, None)
        yield frame, record if record is not None and record.frame == frame.moment.frame else None


class _Encoder:
    """H.264 in mp4 at the given times. The file is opened with the first picture, whose size it takes."""

    def __init__(self, path: Path, rate_hz: float) -> None:
        self._path = path
        self._rate = Fraction(rate_hz).limit_denominator(1001)
        self._last = -1

    def _open(self, width: int, height: int) -> None:
        self._file = av.open(f"file:{self._path}", "w", format="mp4", options={"movflags": "+faststart"})
        self._stream = self._file.add_stream("libx264", rate=self._rate, options=QUALITY)
        self._stream.width, self._stream.height = width, height
        self._stream.pix_fmt = "yuv420p"
        self._stream.codec_context.time_base = Fraction(1, CLOCK_HZ)

    def write(self, picture: np.ndarray, t_ns: int) -> None:
        """Add one RGB picture."""
        if self._last < 0:
            self._open(picture.shape[1], picture.shape[0])
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
        self._last = max(round(t_ns * CLOCK_HZ / NS_PER_SECOND), self._last + 1)
        frame.pts, frame.time_base = self._last, Fraction(1, CLOCK_HZ)
        self._file.mux(self._stream.encode(frame))

    def __enter__(self) -> "_Encoder":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if self._last >= 0:
            if kind is None:
                self._file.mux(self._stream.encode(None))
            self._file.close()
