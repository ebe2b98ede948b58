"""The worker process: frames socket -> spotter -> network -> journal -> event topic."""

import logging
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path

import cv2
import msgspec

from bowam_model.face import CROP_PX
from bowam_model.predictor import Predictor, load
from bowam_stream import clock, logs
from bowam_stream.config import Config
from bowam_stream.errors import ConfigError
from bowam_stream.events import EventLedger, EventPublisher, Journal, ReplaySocket, SessionAccount
from bowam_stream.keys import open_keys
from bowam_stream.messages import AlignedFrame, Candidate, EndOfStream, Hello
from bowam_stream.metrics import Heartbeat, MetricsServer, WorkerMetrics, timed
from bowam_stream.pipeline.notify import Notifier
from bowam_stream.pipeline.recognising import EngineBuilds, Recognised, RecognitionThread, Waiting
from bowam_stream.pipeline.stop import StopFlag, restarts
from bowam_stream.pipeline.stream import Stream
from bowam_stream.pipeline.summary import RunSummary, write_summary
from bowam_stream.pipeline.view import Views
from bowam_stream.pipeline.wishes import Wishes
from bowam_stream.report.record import RECORD_FOLDER, Recorder
from bowam_stream.transport import FrameReceiver, Message, open_receiver
from bowam_stream.transport.interface import ABSENT, NOTHING_SKIPPED, STAGE, Skipped
from bowam_stream.worker import Recogniser

log = logging.getLogger(__name__)

STATUS_EVERY_NS = clock.NS_PER_SECOND // 5
RECEIVE_TIMEOUT_S = 0.1  # how soon a worker without frames notices that it should end
KEEP_EVERY_NS = clock.NS_PER_SECOND  # how often the journal is told where the frames went
LAST_NS = clock.NS_PER_SECOND  # a camera goes on sending to a worker that was told to stop
COLLECT_TIMEOUT_S = 0.002  # the same while the network is at work: its answer must not wait for a frame
HEARTBEAT_LIMIT_S = 10.0  # a worker that takes longer for one turn of its loop hangs


class Worker:
    """Takes the messages of all its cameras, one after the other, and makes events of them.

    With a `recognition` thread, micro-expressions of live cameras wait for it, and frames don't wait for them:
    `collect` publishes what it has answered.
    """

    def __init__(
        self,
        config: Config,
        *,
        recogniser: Recogniser,
        ledger: EventLedger,
        metrics: WorkerMetrics,
        recognition: RecognitionThread | None = None,
        views: Views | None = None,
        wishes: Wishes | None = None,
        run_folder: Path | None = None,
        record: bool = False,
    ) -> None:
        self._config = config
        self._recogniser = recogniser
        self._ledger = ledger
        self._metrics = metrics
        self._run_folder = run_folder
        self._record = record
        self._streams: dict[str, Stream] = {}
        self._status_ns: dict[str, int] = {}
        self._recognition = recognition
        self._views = views
        self._wishes = wishes
        self._kept_ns = clock.monotonic_ns()

    @property
    def trouble(self) -> str | None:
        """Why events can't be written down for now; None if they can."""
        return self._ledger.trouble

    @property
    def waiting(self) -> bool:
        """Whether the network is at work."""
        return self._recognition is not None and self._recognition.waiting > 0

    def collect(self) -> None:
        """Write down and publish what the network has answered."""
        if self._recognition is not None:
            self._publish(self._recognition.done())
        if self._views is not None:
            self._views.poll()

    def upkeep(self) -> None:
        """Once a second: write down where the frames went, and what had to wait for the journal."""
        now_ns = clock.monotonic_ns()
        if now_ns - self._kept_ns < KEEP_EVERY_NS:
            return
        self._kept_ns = now_ns
        if self.trouble is not None:
            for event in self._ledger.retry():
                self._metrics.event(event)
        changed = [stream.account for stream in self._streams.values() if stream.unkept]
        if self._ledger.keep(changed):
            for stream in self._streams.values():
                stream.unkept = False
        if self._wishes is not None and self._wishes.changed():
            for stream in self._streams.values():
                self._tune(stream)

    def handle(self, message: Message, skipped: Skipped = NOTHING_SKIPPED) -> None:
        """One message of a camera, as far as it goes: what needs no answer of the thread is safe afterwards.

        `skipped` tells which frames of this camera were dropped before it.
        """
        stream = self._streams.get(message.camera)
        for (session, reason), count in skipped.items():
            if stream is not None and stream.hello.session == session:
                stream.account.skip(f"{STAGE}/{reason}", count)
                stream.unkept = True
        with logs.context(camera=message.camera, session=message.session):
            match message:
                case Hello():
                    self._hello(message)
                case AlignedFrame():
                    self._frame(message)
                case EndOfStream():
                    self._end(message)

    def close(self) -> None:
        """No message will come any more: end the streams of cameras. A recording is fed again, and ends its own."""
        while self._streams:
            _, stream = self._streams.popitem()
            self._abandon(stream, resumes=stream.hello.lossless)
        self._ledger.close()

    def _finish(self) -> None:
        """Wait for the network: what was found before comes before what follows."""
        if self._recognition is not None:
            self._publish(self._recognition.finish())

    def _publish(self, recognised: Iterable[Recognised]) -> None:
        for one in recognised:
            stream = self._streams.get(one.event.camera)
            ours = stream is not None and stream.hello.session == one.event.session
            account = stream.account if stream is not None and ours else None
            event = self._ledger.record(one.event, trigger_ns=one.trigger_ns, account=account)
            if event is not None:
                self._metrics.event(event)

    def _hello(self, hello: Hello) -> None:
        self._finish()  # what an earlier stream left behind comes before the ledger opens anew
        before = self._streams.pop(hello.camera, None)
        if before is not None:
            if before.hello.session != hello.session:
                before.account.ended = "interrupted"  # here as well: an event that waits for the journal takes it along
            self._abandon(before, resumes=before.hello.lossless and before.hello.session == hello.session)
        if before is not None and before.hello.session == hello.session:
            account = SessionAccount.open(hello)  # it began anew, from its first frame
        else:
            account = self._ledger.account(hello)
        self._ledger.close_accounts(hello.camera, but=hello.session)
        recorder = None
        if self._record and self._run_folder is not None:
            recorder = Recorder(self._run_folder / RECORD_FOLDER, hello)
        self._metrics.add_camera(hello.camera)
        self._metrics.camera_up(hello.camera, True)
        for event in self._ledger.open(hello.camera, resume=hello.session if hello.lossless else None):
            self._metrics.event(event)
        stream = self._streams[hello.camera] = Stream(hello, self._config, recorder, account)
        self._tune(stream)
        log.info("watching %s", hello.source)

    def _tune(self, stream: Stream) -> None:
        """As sensitive as was asked for on the page. A recording stays as the settings say."""
        if self._wishes is None or stream.hello.lossless:
            return
        wanted = self._wishes.threshold(stream.hello.camera)
        threshold = self._config.spotting.threshold if wanted is None else wanted
        if threshold != stream.spotter.threshold:
            log.info("%s: the threshold is %.2f from now on", stream.hello.camera, threshold)
            stream.spotter.tune(threshold)

    def _abandon(self, stream: Stream, *, resumes: bool) -> None:
        """A stream without an end. One that `resumes`, a recording that begins anew, will say the same events again."""
        if stream.recorder:
            stream.recorder.close()
        self._ledger.keep([stream.account])
        if not resumes:
            last = stream.last
            end = EndOfStream(
                camera=stream.hello.camera,
                session=stream.hello.session,
                seq=last.seq + 1 if last else 0,
                frames=stream.frames,
                quality=("interrupted",),
            )
            self._settle(stream, stream.spotter.finish(end), None)
            self._finish()

    def _frame(self, frame: AlignedFrame) -> None:
        stream = self._streams.get(frame.camera)
        if stream is None or stream.hello.session != frame.session:
            return  # the receiver counted it: no hello yet
        self._absent(stream, stream.account.spot(frame, joined=stream.last is None))
        with timed(self._metrics.stage, "spot"):
            candidates = stream.push(frame)
        for row in stream.spotter.trace:
            if row.refused is not None:
                self._metrics.refused(frame.camera, row.refused)
        if self._views is not None:
            self._views.frame(stream.hello, frame, stream.spotter.trace)
        self._settle(stream, candidates, frame)
        now_ns = clock.monotonic_ns()
        if now_ns - self._status_ns.get(frame.camera, 0) > STATUS_EVERY_NS:
            self._status_ns[frame.camera] = now_ns
            self._tell(stream)

    def _end(self, end: EndOfStream) -> None:
        stream = self._streams.get(end.camera)
        if stream is None or stream.hello.session != end.session:
            return
        del self._streams[end.camera]
        self._absent(stream, stream.account.close(end, joined=stream.last is None))
        self._ledger.keep([stream.account])
        self._settle(stream, stream.spotter.finish(end), stream.last)
        self._finish()
        if stream.recorder:
            stream.recorder.close(end)
        self._metrics.camera_up(end.camera, False)
        self._tell(stream, ended=True)
        if self._run_folder is not None:
            write_summary(self._run_folder, self._summary(stream, end))
        log.info("the stream ended after %d frames", end.frames)

    def _absent(self, stream: Stream, count: int) -> None:
        """Frames that went by before we came."""
        stream.unkept = True
        if count > 0:  # less than none: numbers that went back, which no capture of ours sends
            self._metrics.dropped(stream.hello.camera, STAGE, ABSENT, count)

    def _settle(self, stream: Stream, candidates: list[Candidate], trigger: AlignedFrame | None) -> None:
        """Recognise, write down, publish. `trigger` is the frame that brought them: latency counts from its capture."""
        live = not stream.hello.lossless
        trigger_ns = None
        if trigger is not None and live and trigger.clock == clock.clock_id():
            trigger_ns = trigger.moment.t_ns
        for candidate in candidates:
            if stream.recorder:
                stream.recorder.candidate(candidate)
            if self._views is not None:
                self._views.candidate(stream.hello, candidate)
            if live and self._recognition is not None and self._recogniser.asks(candidate):
                self._recognition.submit(Waiting(candidate=candidate, trigger_ns=trigger_ns))
                continue
            with timed(self._metrics.stage, "recognise"):
                event = self._recogniser.push(candidate)
            self._publish([Recognised(event=event, trigger_ns=trigger_ns)])

    def _tell(self, stream: Stream, *, ended: bool = False) -> None:
        status = stream.status(dropped=self._metrics.dropped_frames(stream.hello.camera), ended=ended)
        self._ledger.status(stream.hello.camera, msgspec.to_builtins(status))

    def _summary(self, stream: Stream, end: EndOfStream) -> RunSummary:
        return RunSummary(
            camera=stream.hello.camera,
            session=stream.hello.session,
            source=stream.hello.source,
            rate_hz=stream.hello.rate_hz,
            frames=stream.frames,
            frames_with_face=stream.frames_with_face,
            faces=len(stream.tracks),
            duration_ns=stream.duration_ns,
            quality=tuple(sorted({*stream.hello.quality, *end.quality})),
            model=self._recogniser.model,
        )


def serve(
    worker: Worker,
    receiver: FrameReceiver,
    publisher: EventPublisher,
    metrics: WorkerMetrics,
    heartbeat: Heartbeat,
    notifier: Notifier,
    *,
    once: bool,
    stop: StopFlag,
) -> None:
    """Turn the loop of a worker until told to stop, or, with `once`, until one stream has ended.

    Told to stop, it takes what waits already, for `LAST_NS` at most, and closes what is open.
    """

    def turn(timeout_s: float) -> Message | None:
        message = receiver.receive(timeout_s)
        publisher.poll()
        worker.collect()
        worker.upkeep()
        if message is None:
            return None
        if isinstance(message, AlignedFrame):
            metrics.spotted(message, receiver.waiting(message.camera))
        worker.handle(message, receiver.skipped())
        if isinstance(message, EndOfStream):
            receiver.acknowledge(message)
        return message

    while not stop:
        heartbeat.beat()
        notifier.beat()
        if isinstance(turn(COLLECT_TIMEOUT_S if worker.waiting else RECEIVE_TIMEOUT_S), EndOfStream) and once:
            return
    last_ns = clock.monotonic_ns() + LAST_NS
    while clock.monotonic_ns() < last_ns and turn(0) is not None:
        heartbeat.beat()
    worker.close()


def check_fit(predictor: Predictor) -> None:
    """Raise ConfigError for weights that this stream's faces don't fit: better now than at the first event."""
    if predictor.encoding.aligned_px != CROP_PX:
        raise ConfigError(
            f"the weights were made for faces of {predictor.encoding.aligned_px} px; the stream carries {CROP_PX} px: "
            "train them on such faces"
        )


def run_worker(
    config: Config, *, lossless: bool, run_folder: Path | None = None, record: bool = False, stop: StopFlag
) -> None:
    """Spot and recognise for the cameras of `config.transport` until told to stop; a recording, until it is over.

    Raises AddressInUse, TransportError, ConfigError, JournalError, WeightsError.
    """
    cv2.setNumThreads(1)  # results must not depend on how many cores there are
    not_ready: list[Callable[[], str | None]] = [lambda: "warming up"]
    heartbeat = Heartbeat(HEARTBEAT_LIMIT_S)
    with ExitStack() as stack:
        predictor = load(config.model.weights, backend=config.model.backend, threads=config.model.threads)
        check_fit(predictor)
        metrics = WorkerMetrics(labels=predictor.labels)
        metrics.restarted(restarts())
        keys = open_keys(config.keys, metrics.handshake_refused)
        server = stack.enter_context(
            MetricsServer(
                metrics,
                host=config.metrics.host,
                port=config.metrics.worker_port,
                insecure=config.metrics.insecure,
                alive=heartbeat,
                ready=lambda: not_ready[0](),
                refused=metrics.refusing("metrics"),
            )
        )
        log.info("metrics at http://%s:%d/metrics", config.metrics.host, server.port)
        log.info("backend %s", predictor.why)
        recogniser = Recogniser(predictor, on_failure=None if lossless else metrics.backend_failed)
        metrics.backend(recogniser.model)
        events = config.events
        path = Path(events.journal)
        journal = stack.enter_context(Journal(path))
        publisher = stack.enter_context(
            EventPublisher(
                events.endpoint,
                journal=journal.name,
                heads=journal.heads(),
                keys=keys,
                insecure=events.insecure,
                refused=metrics.refusing("events"),
            )
        )
        stack.enter_context(
            ReplaySocket(
                path,
                events.journal_endpoint,
                keys=keys,
                insecure=events.insecure,
                refused=metrics.refusing("journal"),
            )
        )
        predictor.warm_up()
        recognition = None
        if not lossless:
            builds = EngineBuilds(predictor, config.model.weights) if predictor.wanted else None
            recognition = stack.enter_context(RecognitionThread(recogniser, metrics, builds))
        receiver = stack.enter_context(open_receiver(config.transport, lossless=lossless, observer=metrics, keys=keys))
        ledger = EventLedger(journal, publisher, metrics.stage, patient=not lossless, on_journal=metrics.journal_state)
        not_ready[0] = lambda: ledger.trouble
        views = stack.enter_context(Views(publisher, preview=config.page.preview))
        wishes = None if lossless else Wishes(journal, keep=bool(restarts()))
        worker = Worker(
            config,
            recogniser=recogniser,
            ledger=ledger,
            metrics=metrics,
            recognition=recognition,
            views=views,
            wishes=wishes,
            run_folder=run_folder,
            record=record,
        )
        for event in [] if lossless else ledger.close_left_open():
            metrics.event(event)
        notifier = stack.enter_context(Notifier())
        notifier.ready()
        serve(worker, receiver, publisher, metrics, heartbeat, notifier, once=lossless, stop=stop)
