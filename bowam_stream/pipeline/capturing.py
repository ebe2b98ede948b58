"""The capture process: source -> face alignment -> frames socket.

Three parts work at the same time, on frames that stay in order: decoding, finding the face (nearly all of it is
MediaPipe's, which leaves Python to others meanwhile), and cutting it out and publishing it.
"""

import hashlib
import logging
import secrets
import threading
from collections import defaultdict
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager

import cv2
import msgspec

from bowam_model.face import FaceAligner, Found
from bowam_stream import clock, logs
from bowam_stream.capture import FROZEN, Ahead, FaceStage, Grabbed, LiveGrabber, Pacer, Source, open_source
from bowam_stream.config import Config
from bowam_stream.errors import SourceError
from bowam_stream.keys import open_keys
from bowam_stream.messages import EndOfStream, Frame, Hello, Moment
from bowam_stream.metrics import CaptureMetrics, Heartbeat, MetricsServer, timed
from bowam_stream.pipeline.notify import Notifier
from bowam_stream.pipeline.stop import StopFlag, restarts
from bowam_stream.pipeline.tally import Tally
from bowam_stream.transport import Cancelled, FrameSender, Rewind, open_sender

log = logging.getLogger(__name__)

LOOK_S = 1.0  # how often a recording that waits for the time of a frame looks up
GRAB_TIMEOUT_S = 0.2  # how soon a camera without frames notices that it should end
HEARTBEAT_LIMIT_S = 10.0  # a capture that takes longer for one frame of a camera hangs


class Session:
    """One stream of aligned frames, from its hello to its end."""

    def __init__(
        self, hello: Hello, config: Config, sender: FrameSender, metrics: CaptureMetrics, tally: Tally
    ) -> None:
        self._hello = hello
        self._tally = tally
        self._sender = sender
        self._metrics = metrics
        self._aligner = FaceAligner(config.face, live=not hello.lossless)
        self._stage = FaceStage(self._aligner, camera=hello.camera, session=hello.session)
        self._had_face = False

    def __enter__(self) -> "Session":
        try:
            self._sender.open(self._hello)
        except BaseException:
            self._aligner.close()
            raise
        self._metrics.camera_up(self._hello.camera, True)
        return self

    def __exit__(self, *_: object) -> None:
        self._tally.settle()
        self._aligner.close()
        self._metrics.camera_up(self._hello.camera, False)

    def publish(self, frames: Iterator[Frame], *, give_up: Callable[[], None] = lambda: None) -> None:
        """Align the faces of the frames and publish them; see Ahead for `give_up`."""
        camera = self._hello.camera
        with Ahead(self._find(frames), give_up=give_up) as found:
            for frame, faces in found:
                with timed(self._metrics.stage, "cut"):
                    aligned = self._stage.cut(frame, faces)
                with timed(self._metrics.stage, "publish"):
                    self._sender.send(aligned)
                if self._had_face and not aligned.faces:
                    self._metrics.face_lost(camera)
                self._had_face = bool(aligned.faces)
                self._tally.published()

    def end(self, quality: tuple[str, ...] = ()) -> EndOfStream:
        """What closes this stream, after the last of its frames."""
        self._tally.settle()
        frames, dropped = self._tally.books()
        return EndOfStream(
            camera=self._hello.camera,
            session=self._hello.session,
            seq=self._stage.next_seq,
            frames=frames,
            quality=quality,
            dropped=dropped,
        )

    def _find(self, frames: Iterator[Frame]) -> Generator[tuple[Frame, Found], None, None]:
        """The faces of every frame."""
        for frame in frames:
            if FROZEN in frame.quality:
                self._metrics.frozen(self._hello.camera)
            with timed(self._metrics.stage, "align"):
                found = self._stage.find(frame)
            yield frame, found


class Connection:
    """The frames of a camera from one connection."""

    def __init__(self, first: Grabbed, following: Callable[[], Grabbed | None]) -> None:
        self.next: Grabbed | None = first  # what is yet to come: in the end, the first frame of the next connection
        self._number = first.connection
        self._following = following

    def frames(self) -> Iterator[Frame]:
        """The frames until the connection is lost, or until there are no more."""
        while self.next is not None and self.next.connection == self._number:
            yield self.next.frame
            self.next = self._following()


class Capture:
    """Feeds one source into one sender."""

    def __init__(
        self,
        source: Source,
        config: Config,
        *,
        camera: str,
        lossless: bool,
        sender: FrameSender,
        metrics: CaptureMetrics,
        notifier: Notifier,
        stop: StopFlag,
        patient: bool = False,
    ) -> None:
        self._open = False
        self._patient = patient
        self._notifier = notifier
        self._given_up = threading.Event()
        self._heartbeat = Heartbeat(HEARTBEAT_LIMIT_S)
        self._source = source
        self._config = config
        self._camera = camera
        self._lossless = lossless
        self._sender = sender
        self._metrics = metrics
        self._stop = stop

    def alive(self) -> str | None:
        """Why this process hangs, None if it does not. A recording may wait for its worker: only cameras are timed."""
        return self._heartbeat() if self._source.live else None

    def ready(self) -> str | None:
        """Why no frames are published; None while a stream is open, its models loaded and its source there."""
        return None if self._open else "no stream is open"

    def play(self, *, paced: bool) -> EndOfStream:
        """Send a recording from its first frame to its last, or until told to stop. Raises Rewind."""
        tally = Tally(self._camera, self._metrics)
        with Ahead(self._decoded()) as decoded, self._session(tally) as session:
            session.publish(self._in_time(decoded, Pacer() if paced else None, tally))
            end = session.end((*self._source.late_quality, *(("interrupted",) if self._stop else ())))
            self._sender.close(end)
            return end

    def watch(self) -> EndOfStream | None:
        """Send what a camera sees until told to stop. Every connection is a session of its own."""
        tallies: defaultdict[int, Tally] = defaultdict(lambda: Tally(self._camera, self._metrics))  # by connection
        grabber = LiveGrabber(
            self._source,
            patient=self._patient,
            on_frame=lambda grabbed: tallies[grabbed.connection].captured(grabbed.frame.moment),
            on_drop=lambda grabbed, stage, reason: tallies[grabbed.connection].dropped(stage, reason),
            on_connection=self._connection,
        )
        grabber.start()
        end: EndOfStream | None = None
        try:
            grabbed = self._next(grabber)
            while grabbed is not None:
                with self._session(tallies[grabbed.connection]) as session:
                    connection = Connection(grabbed, lambda: self._next(grabber))
                    session.publish(connection.frames(), give_up=self._given_up.set)
                    if connection.next is None:
                        grabber.halt()  # what waits there belongs to this session's books
                    end = session.end(("interrupted",) if connection.next else ())
                    self._sender.end(end)
                tallies.pop(grabbed.connection)
                grabbed = connection.next
            return end
        finally:
            grabber.stop()

    @contextmanager
    def _session(self, tally: Tally) -> Iterator[Session]:
        hello = Hello(
            camera=self._camera,
            session=self._session_name(),
            source=self._source.name,
            rate_hz=self._source.rate_hz,
            frames=self._source.frames,
            lossless=self._lossless,
            quality=self._source.quality,
            consent=self._config.source.consent,
        )
        session_of = Session(hello, self._config, self._sender, self._metrics, tally)
        with logs.everywhere(camera=hello.camera, session=hello.session), session_of as session:
            self._open = True
            try:
                yield session
            finally:
                self._open = False

    def _session_name(self) -> str:
        """A recording's session follows from its content and the settings that matter; a live one is always new."""
        if not self._lossless:
            return f"{clock.utc_ns() // clock.NS_PER_SECOND:x}-{secrets.token_hex(4)}"
        return session_of(self._source, self._config)

    def _in_time(self, frames: Iterator[Frame], pacer: Pacer | None, tally: Tally) -> Iterator[Frame]:
        """The frames of a recording, none too early, until told to stop; dated now if they play a camera's."""
        start_ns: int | None = None
        for frame in frames:
            now_ns = clock.monotonic_ns()
            if start_ns is None:  # only now: loading the models takes longer than an event may
                start_ns = now_ns - frame.moment.t_ns
            if pacer is not None:  # from the same moment, or frames would be dated in the future
                self._wait(pacer.wait_ns(frame.moment.t_ns, now_ns))
            if self._stop:
                return
            tally.captured(frame.moment)
            yield frame if self._lossless else _as_live(frame, start_ns)

    def _wait(self, wait_ns: int) -> None:
        """Until the time of a frame has come. A recording that plays a camera says meanwhile that it lives."""
        left_s = wait_ns / clock.NS_PER_SECOND
        while True:
            if not self._lossless:
                self._notifier.beat()
            if self._stop.wait(min(left_s, LOOK_S)) or left_s <= LOOK_S:
                return
            left_s -= LOOK_S

    def _decoded(self) -> Generator[Frame, None, None]:
        """The frames of the source, with the time that each took."""
        frames = iter(self._source)
        while True:
            with timed(self._metrics.stage, "decode"):
                frame = next(frames, None)
            if frame is None:
                return
            yield frame

    def _next(self, grabber: LiveGrabber) -> Grabbed | None:
        """The next frame of a camera; None once told to stop."""
        while not (self._stop or self._given_up.is_set()):
            self._heartbeat.beat()
            self._notifier.beat()
            if (grabbed := grabber.get(GRAB_TIMEOUT_S)) is not None:
                return grabbed
        return None

    def _connection(self, up: bool, error: SourceError | None) -> None:
        self._metrics.camera_up(self._camera, up)
        if up:
            log.info("connected to %s", self._source.name)
        else:
            self._metrics.reconnected(self._camera)
            log.warning("%s; connecting again", error)


def run_capture(
    spec: str,
    config: Config,
    *,
    camera: str,
    as_live: bool = False,
    paced: bool = False,
    patient: bool = False,
    stop: StopFlag,
) -> EndOfStream | None:
    """Publish the aligned faces of one source until it ends or `stop` is set.

    A recording waits for its worker and loses nothing; a camera, and a recording `as_live`, waits for nobody. With
    `patient`, a camera that is not there yet is waited for. None if it was stopped before there was anything to end.
    Raises SourceError, AddressInUse, TransportError, ConfigError.
    """
    cv2.setNumThreads(1)  # its pictures are too small to share, and a camera may have one core
    source = open_source(spec, config.source)
    lossless = not (source.live or as_live)
    metrics = CaptureMetrics([camera])
    metrics.restarted(restarts())
    keys = open_keys(config.keys, metrics.handshake_refused)
    with ExitStack() as stack:
        stack.enter_context(logs.everywhere(camera=camera))
        sender = stack.enter_context(
            open_sender(
                config.transport,
                lossless=lossless,
                cancelled=lambda: bool(stop),
                keys=keys,
                refused=metrics.refusing("frames"),
            )
        )
        notifier = stack.enter_context(Notifier())
        capture = Capture(
            source,
            config,
            camera=camera,
            lossless=lossless,
            sender=sender,
            metrics=metrics,
            notifier=notifier,
            stop=stop,
            patient=patient,
        )
        host, port = config.metrics.host, config.metrics.capture_port
        server = stack.enter_context(
            MetricsServer(
                metrics,
                host=host,
                port=port,
                insecure=config.metrics.insecure,
                alive=capture.alive,
                ready=capture.ready,
                refused=metrics.refusing("metrics"),
            )
        )
        log.info("metrics at http://%s:%d/metrics", host, server.port)
        notifier.ready()
        if source.live:
            return capture.watch()
        while True:
            try:
                return capture.play(paced=paced or as_live)
            except Rewind:
                log.warning("a new worker asks for the recording from its first frame")
            except Cancelled:
                return None


def session_of(source: Source, config: Config) -> str:
    """Session of a recording: it follows from its content and the settings that matter."""
    return hashlib.sha256(f"{source.digest}\0{config.digest()}".encode()).hexdigest()[:16]


def frames_of(spec: str, config: Config) -> Iterator[Frame]:
    """The decoded frames of a recording once more, for whoever draws on them."""
    return iter(open_source(spec, config.source))


def _as_live(frame: Frame, start_ns: int) -> Frame:
    """A recording's frame with the times that a camera would have given it."""
    t_ns = start_ns + frame.moment.t_ns
    utc_ns = clock.utc_ns() - (clock.monotonic_ns() - t_ns)
    return msgspec.structs.replace(frame, moment=Moment(frame=frame.moment.frame, t_ns=t_ns, utc_ns=utc_ns))
