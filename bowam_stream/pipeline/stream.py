"""One open stream of a worker: its spotter, its books, and what is told about it."""

from collections import deque

from bowam_stream import clock
from bowam_stream.config import Config
from bowam_stream.events import SessionAccount
from bowam_stream.messages import AlignedFrame, Candidate, Hello
from bowam_stream.pipeline.tap import Status
from bowam_stream.report import Recorder
from bowam_stream.spotting import Spotter

RATE_FRAMES = 64  # over how many of the last frames the rate of a status is measured


class Stream:
    """One open stream of one camera: its spotter, and what is told about it."""

    def __init__(self, hello: Hello, config: Config, recorder: Recorder | None, account: SessionAccount) -> None:
        self.hello = hello
        self.account = account
        self.spotter = Spotter(config.spotting, hello)
        self.recorder = recorder
        self.frames = 0
        self.frames_with_face = 0
        self.tracks: set[int] = set()
        self.first_ns: int | None = None
        self.last: AlignedFrame | None = None
        self.unkept = True  # the journal does not have the account as it stands
        self._times_ns: deque[int] = deque(maxlen=RATE_FRAMES)

    def push(self, frame: AlignedFrame) -> list[Candidate]:
        """Spot one frame."""
        candidates = self.spotter.push(frame)
        self.frames += 1
        self.frames_with_face += bool(frame.faces)
        self.tracks.update(face.track for face in frame.faces)
        if self.first_ns is None:
            self.first_ns = frame.moment.t_ns
        self.last = frame
        self._times_ns.append(frame.moment.t_ns)
        if self.recorder:
            self.recorder.frame(frame, self.spotter.trace)
        return candidates

    @property
    def duration_ns(self) -> int:
        """Media time from the first frame to the last."""
        return 0 if self.last is None or self.first_ns is None else self.last.moment.t_ns - self.first_ns

    def status(self, *, dropped: int, ended: bool = False) -> Status:
        """What the status topic says."""
        times_ns = self._times_ns
        span_ns = times_ns[-1] - times_ns[0] if times_ns else 0
        last = self.last
        age_ms = None
        if last is not None and not self.hello.lossless and last.clock == clock.clock_id():
            age_ms = round((clock.monotonic_ns() - last.moment.t_ns) / clock.NS_PER_MS, 1)
        return Status(
            camera=self.hello.camera,
            session=self.hello.session,
            source=self.hello.source,
            frames=self.frames,
            frames_with_face=self.frames_with_face,
            frames_expected=self.hello.frames,
            faces=len(last.faces) if last else 0,
            effective_hz=(len(times_ns) - 1) * clock.NS_PER_SECOND / span_ns if span_ns else 0.0,
            dropped=dropped,
            t_ns=last.moment.t_ns if last else 0,
            clock=last.clock if last and not self.hello.lossless else "",
            ended=ended,
            quality=self.hello.quality,
            age_ms=age_ms,
            threshold=self.spotter.threshold,
        )
