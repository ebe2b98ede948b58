"""The worker's loop over an in-memory transport, and what the supervisor's parts decide."""

import io
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import pytest

from bowam_stream import clock
from bowam_stream.config import Config
from bowam_stream.errors import ConfigError, ProcessFailed, SourceError
from bowam_stream.events import EventLedger, Journal
from bowam_stream.events.sensitivity import Sensitivity, ask
from bowam_stream.messages import AlignedFrame, Candidate, EndOfStream, Event, Hello, Model, Moment, Triple
from bowam_stream.metrics import Heartbeat, WorkerMetrics
from bowam_stream.pipeline import replaying, stream, working
from bowam_stream.pipeline.notify import Notifier
from bowam_stream.pipeline.stop import StopFlag
from bowam_stream.pipeline.summary import read_summary
from bowam_stream.pipeline.supervisor import Child, RestartPolicy
from bowam_stream.pipeline.wishes import Wishes
from bowam_stream.spotting import SpottingSettings, TraceRow
from bowam_stream.worker import Recogniser

MODEL = Model(name="fake", weights="sha256:00", backend="eager")


class FakePredictor:
    """Always the same answer."""

    name, weights, backend = MODEL.name, MODEL.weights, MODEL.backend
    labels = ("negative", "none")

    def __init__(self) -> None:
        self.batches: list[int] = []

    def predict(self, onset: np.ndarray, apex: np.ndarray, offset: np.ndarray) -> dict[str, float]:
        return self.predict_together([(onset, apex, offset)])[0]

    def predict_together(self, triples: Sequence[tuple[np.ndarray, ...]]) -> list[dict[str, float]]:
        self.batches.append(len(triples))
        return [{"negative": 0.9, "none": 0.1} for _ in triples]

    def fall_back(self, reason: str) -> None:
        raise AssertionError(reason)


class FakeSpotter:
    """A provisional event at frame 1 and its end at frame 3."""

    trace = ()

    def __init__(self, settings: SpottingSettings, hello: Hello) -> None:
        self._hello = hello
        self._open = False
        self.threshold = settings.threshold

    def tune(self, threshold: float) -> None:
        self.threshold = threshold

    def _candidate(self, phase: str, **changes: object) -> Candidate:
        picture = np.zeros((240, 240), np.uint8)
        base = {
            "event_id": f"{self._hello.camera}-{self._hello.session}-1",
            "camera": self._hello.camera,
            "session": self._hello.session,
            "face": 0,
            "phase": phase,
            "kind": None,
            "onset": Moment(frame=0, t_ns=0),
            "apex": Moment(frame=1, t_ns=10),
            "offset": None,
            "score": 5.0,
            "triple": Triple(onset=picture, apex=picture, offset=picture) if phase == "final" else None,
        }
        return Candidate(**{**base, **changes})  # type: ignore[arg-type]

    def push(self, frame: AlignedFrame) -> list[Candidate]:
        if frame.moment.frame == 1:
            self._open = True
            return [self._candidate("provisional")]
        if frame.moment.frame == 3:
            self._open = False
            return [self._candidate("final", kind="micro", offset=frame.moment)]
        return []

    def finish(self, end: EndOfStream) -> list[Candidate]:
        return [self._candidate("retracted", reason="interrupted")] if self._open else []


class Heard:
    """A publisher that remembers."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.statuses: list[dict] = []

    def publish(self, event: Event) -> None:
        self.events.append(event)

    def status(self, camera: str, fields: dict) -> None:
        self.statuses.append(fields)


def frame(index: int, session: str = "s", clock_id: str = "") -> AlignedFrame:
    moment = Moment(frame=index, t_ns=index * 10)
    return AlignedFrame(camera="cam0", session=session, seq=index, moment=moment, faces=(), clock=clock_id)


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def predictor() -> FakePredictor:
    return FakePredictor()


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, heard: Heard, predictor: FakePredictor):
    monkeypatch.setattr(stream, "Spotter", FakeSpotter)
    with Journal(tmp_path / "journal.sqlite") as journal:
        yield working.Worker(
            Config(),
            recogniser=Recogniser(predictor),
            ledger=EventLedger(journal, heard),
            metrics=WorkerMetrics(labels=FakePredictor.labels),
            run_folder=tmp_path,
        )


def hello(session: str = "s", *, lossless: bool = True) -> Hello:
    return Hello(camera="cam0", session=session, source="clip.mp4", lossless=lossless)


def end(session: str = "s", frames: int = 4) -> EndOfStream:
    return EndOfStream(camera="cam0", session=session, seq=frames, frames=frames, quality=("damaged",))


def test_a_stream_becomes_events_and_a_summary(worker: working.Worker, heard: Heard, tmp_path: Path) -> None:
    """Provisional, then final with a label; the summary says what the stream was."""
    for message in (hello(), *map(frame, range(4)), end()):
        worker.handle(message)
    assert [(event.phase, event.seq, event.label) for event in heard.events] == [
        ("provisional", 1, None),
        ("final", 2, "negative"),
    ]
    summary = read_summary(tmp_path)
    assert summary is not None
    assert (summary.frames, summary.frames_with_face, summary.quality) == (4, 0, ("damaged",))
    assert heard.statuses[-1]["ended"] is True


def test_movements_that_were_never_announced_are_counted_by_reason(
    worker: working.Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As are retractions; an announced one is not counted here."""
    row = TraceRow(
        frame=0, t_ns=0, face=0, signal=6.0, threshold=5.0, motion_px=1.0, state="rest", doubt=None, refused="nod",
        quality=(), regions={},
    )  # fmt: skip
    monkeypatch.setattr(FakeSpotter, "trace", (row, msgspec.structs.replace(row, face=1, refused=None)))
    for message in (hello(), *(frame(index) for index in range(4)), end()):
        worker.handle(message)
    value = worker._metrics.registry.get_sample_value
    assert value("bowam_movements_refused_total", {"camera": "cam0", "reason": "nod"}) == 4
    assert value("bowam_movements_refused_total", {"camera": "cam0", "reason": "speech"}) == 0


def test_a_recording_that_begins_anew_says_nothing_twice(worker: working.Worker, heard: Heard) -> None:
    """A capture that was killed feeds again from frame 0: the journal takes each record once."""
    for message in (hello(), *map(frame, range(2)), hello(), *map(frame, range(4)), end()):
        worker.handle(message)
    assert [(event.phase, event.seq) for event in heard.events] == [("provisional", 1), ("final", 2)]


def test_a_new_session_of_a_camera_retracts_what_was_open(worker: working.Worker, heard: Heard) -> None:
    """A camera that reconnects never leaves a provisional event without an end."""
    first, second = hello("a", lossless=False), hello("b", lossless=False)
    for message in (first, frame(0, "a"), frame(1, "a"), second, frame(0, "b")):
        worker.handle(message)
    assert [(event.phase, event.reason) for event in heard.events] == [
        ("provisional", None),
        ("retracted", "interrupted"),
    ]


def test_frames_of_a_session_that_was_never_greeted_are_left_alone(worker: working.Worker, heard: Heard) -> None:
    """A worker that joins in the middle waits for the next hello."""
    worker.handle(frame(1))
    worker.handle(hello("a"))
    worker.handle(frame(1, "b"))
    assert not heard.events


def test_latency_is_told_only_where_the_clock_is_ours(worker: working.Worker, heard: Heard) -> None:
    """A capture on another machine has another monotonic clock: the difference would mean nothing."""
    for session, clock_id in (("here", clock.clock_id()), ("there", "another machine's")):
        worker.handle(hello(session, lossless=False))
        for index in range(4):
            worker.handle(frame(index, session, clock_id))
    told = {event.session: event.delivery and event.delivery.latency_ms for event in heard.events}
    assert told["here"] is not None
    assert told["there"] is None


def test_the_time_that_a_camera_was_away_is_no_latency(worker: working.Worker, heard: Heard) -> None:
    """What was open when it left is closed when it comes back, which says nothing about how fast we are."""
    for message in (hello("a", lossless=False), *(frame(i, "a", clock.clock_id()) for i in range(2))):
        worker.handle(message)
    worker.handle(hello("b", lossless=False))
    closed = heard.events[-1]
    assert closed.phase == "retracted"
    assert closed.delivery is not None
    assert closed.delivery.latency_ms is None


def test_what_a_dead_worker_left_open_is_closed_and_counted(
    worker: working.Worker, heard: Heard, tmp_path: Path
) -> None:
    """The next one to serve the camera says `interrupted`, in the journal and in the metrics."""
    for message in (hello("a", lossless=False), frame(0, "a"), frame(1, "a")):
        worker.handle(message)
    worker._streams.clear()  # it died
    worker.handle(hello("b", lossless=False))
    assert [(event.phase, event.reason) for event in heard.events[1:]] == [("retracted", "interrupted")]
    labels = {"camera": "cam0", "reason": "interrupted"}
    assert worker._metrics.registry.get_sample_value("bowam_candidates_retracted_total", labels) == 1


@pytest.mark.parametrize("lossless", [False, True])
def test_a_worker_that_is_told_to_stop_takes_what_waits_and_closes_what_is_open(
    worker: working.Worker, heard: Heard, lossless: bool
) -> None:
    """A camera's open event is retracted now; a recording is fed again and closes its own."""
    stop = StopFlag()
    messages = [hello(lossless=lossless), frame(0), frame(1)]

    class Receiver:
        def receive(self, timeout_s: float):
            stop.set()
            return messages.pop(0) if messages else None

        def waiting(self, camera: str) -> int:
            return 0

        def skipped(self) -> dict:
            return {}

    class Publisher:
        def poll(self) -> None: ...

    working.serve(worker, Receiver(), Publisher(), WorkerMetrics(), Heartbeat(1.0), Notifier({}), once=False, stop=stop)  # type: ignore[arg-type]
    phases = [event.phase for event in heard.events]
    assert phases == (["provisional"] if lossless else ["provisional", "retracted"])


def test_a_kept_journal_gives_only_the_events_of_this_camera(
    monkeypatch: pytest.MonkeyPatch, worker: working.Worker, tmp_path: Path
) -> None:
    """The same recording under two names has one session, and two stories."""
    for message in (hello(), *map(frame, range(4)), end()):
        worker.handle(message)
    other = {"camera": "cam1"}
    for message in (hello(), *map(frame, range(4)), end()):
        worker.handle(msgspec.structs.replace(message, **other))

    class Nobody:
        """Processes that have done their work."""

        def __enter__(self):
            return self

        def __exit__(self, *_): ...
        def start(self, *_): ...
        def watch(self):
            return False

        def end(self): ...

    monkeypatch.setattr(replaying, "Supervisor", Nobody)
    monkeypatch.setattr(replaying, "read_summary", lambda folder: read_summary(tmp_path))
    journal = tmp_path / "journal.sqlite"
    options = {"camera": "cam1", "paced": False, "record": False, "journal": journal, "stop": StopFlag()}
    with replaying.replay("clip.mp4", Config(), **options) as result:
        assert [(event.camera, event.phase) for event in result.events] == [("cam1", "provisional"), ("cam1", "final")]


def test_a_camera_is_not_replayed() -> None:
    """It would wait for a hello that never comes."""
    options = {"camera": "cam0", "paced": False, "record": False, "journal": None, "stop": StopFlag()}
    with pytest.raises(SourceError, match=r"\*\*\*@127.0.0.1/a is a camera.*bowam live"):
        replaying.replay("rtsp://anna:secret@127.0.0.1/a", Config(), **options).__enter__()


def test_a_process_that_crashed_counts_as_running_until_the_supervisor_saw_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise a run would end well because a process crashed between two looks at it."""

    class Popen:
        pid, stderr, status = 1, io.StringIO(""), None

        def __init__(self, *_: object, **__: object) -> None: ...

        def poll(self) -> int | None:
            return Popen.status

    monkeypatch.setattr(subprocess, "Popen", Popen)
    child = Child("capture", ["capture"], RestartPolicy())
    seen = []
    for status in (None, -9, 0):
        Popen.status = status
        seen.append(child.running)
    assert seen == [True, True, False]
    child.end(0)


def test_a_page_that_keeps_crashing_is_left_alone_and_the_run_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Anything else that crashes so often ends the run."""

    class Popen:
        pid = 1

        def __init__(self, *_: object, **__: object) -> None:
            self.stderr = io.StringIO("")

        def poll(self) -> int:
            return -11

    monkeypatch.setattr(subprocess, "Popen", Popen)
    policy = RestartPolicy(restarts=2)
    page = Child("page", ["page"], policy, vital=False)
    for second in range(50):
        page.watch(float(second))
    assert not page.running
    worker = Child("worker", ["worker"], policy)

    def watch_long() -> None:
        for second in range(50):
            worker.watch(float(second))

    with pytest.raises(ProcessFailed, match="3 times; giving up"):
        watch_long()
    for child in (page, worker):
        child.end(0)


def test_a_live_camera_follows_what_is_asked_for_on_the_page_and_a_recording_does_not(
    worker: working.Worker, heard: Heard, tmp_path: Path
) -> None:
    """Within a second; the status says what holds. A session that begins later begins with it."""
    with Journal(tmp_path / "journal.sqlite") as page, Journal(tmp_path / "journal.sqlite") as other:
        worker._wishes = Wishes(other, keep=False)
        worker.handle(hello(lossless=False))
        for index, threshold in enumerate((3.5, None, 7.0)):
            ask(page, Sensitivity(camera="cam0", threshold=threshold))
            worker._kept_ns -= 2 * working.KEEP_EVERY_NS
            worker.upkeep()
            worker._status_ns.clear()
            worker.handle(frame(index))
        assert [status["threshold"] for status in heard.statuses] == [3.5, SpottingSettings().threshold, 7.0]
        for session, lossless in (("again", False), ("recording", True)):
            worker.handle(hello(session, lossless=lossless))
            worker._status_ns.clear()
            worker.handle(frame(0, session))
        assert [status["threshold"] for status in heard.statuses[-2:]] == [7.0, SpottingSettings().threshold]


def test_the_loop_acknowledges_the_end_after_everything_is_safe(worker: working.Worker, heard: Heard) -> None:
    """A lossless sender may go only then."""
    messages = [hello(), *map(frame, range(4)), end()]
    acknowledged: list[int] = []

    class Receiver:
        def receive(self, timeout_s: float):
            return messages.pop(0)

        def waiting(self, camera: str) -> int:
            return 0

        def skipped(self) -> dict:
            return {}

        def acknowledge(self, end: EndOfStream) -> None:
            acknowledged.append(len(heard.events))

    class Publisher:
        def poll(self) -> None: ...

    metrics = WorkerMetrics()
    working.serve(worker, Receiver(), Publisher(), metrics, Heartbeat(1.0), Notifier({}), once=True, stop=StopFlag())  # type: ignore[arg-type]
    assert acknowledged == [2]


def test_a_process_without_its_supervisor_is_asked_to_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Process 1 is nobody's supervisor here, so whoever claims to be started by it is an orphan."""
    assert not StopFlag()
    monkeypatch.setenv("BOWAM_SUPERVISOR", "1")
    assert StopFlag()


@pytest.mark.parametrize("nohup", [False, True])
def test_a_closed_terminal_ends_a_process_unless_nohup_forbids_it(nohup: bool) -> None:
    """In a process of its own: signals belong to the whole of it."""
    code = (
        "import os, signal\n"
        f"signal.signal(signal.SIGHUP, signal.{'SIG_IGN' if nohup else 'SIG_DFL'})\n"
        "from bowam_stream.pipeline.stop import StopFlag\n"
        "stop = StopFlag().install()\n"
        "os.kill(os.getpid(), signal.SIGHUP)\n"
        "print(bool(stop))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == f"{not nohup}\n", done.stderr


def test_a_folder_too_long_for_sockets_is_named(tmp_path: Path) -> None:
    """Unix sockets have short paths; the folder for temporary files may not."""
    long = tmp_path / ("n" * 100)
    with pytest.raises(ConfigError, match=f"{long} is too long .* TMPDIR"):
        replaying.private(Config(), long / "bowam-x", None)


def test_the_capture_process_loads_no_torch() -> None:
    """All that `bowam capture` imports, in a fresh interpreter."""
    code = "import bowam_stream.pipeline.capturing, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_help_and_version_need_no_heavy_import() -> None:
    """`bowam --help` answers at once: neither torch nor mediapipe nor OpenCV is loaded for it."""
    code = (
        "import sys; from bowam_stream.cli.app import app\n"
        "heavy = {'torch', 'mediapipe', 'cv2', 'plotly', 'av', 'zmq'} & set(sys.modules)\n"
        "sys.exit(', '.join(heavy) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_weights_for_faces_of_another_size_are_refused_before_the_first_event() -> None:
    """The stream carries crops of 240 px."""

    class Encoding:
        aligned_px = 128

    class Predictor:
        encoding = Encoding()

    with pytest.raises(ConfigError, match="128 px"):
        working.check_fit(Predictor())  # type: ignore[arg-type]
