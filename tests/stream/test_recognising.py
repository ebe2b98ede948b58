"""Live, the network works beside the spotter: nothing waits for it, nothing is lost, and better engines take over."""

import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import pytest

from bowam_model.errors import BackendError, ModelError
from bowam_stream.config import Config
from bowam_stream.events import EventLedger, Journal
from bowam_stream.messages import AlignedFrame, Candidate, EndOfStream, Event, Hello, Moment, Triple
from bowam_stream.metrics import Heartbeat, WorkerMetrics
from bowam_stream.pipeline import recognising, stream, working
from bowam_stream.pipeline.notify import Notifier
from bowam_stream.pipeline.recognising import EngineBuilds, RecognitionThread, Waiting
from bowam_stream.pipeline.stop import StopFlag
from bowam_stream.spotting import SpottingSettings
from bowam_stream.worker import Recogniser

PICTURE = np.zeros((240, 240), np.uint8)


class SlowPredictor:
    """Answers once it may."""

    name, weights, backend = "fake", "sha256:00", "eager"
    labels = ("negative", "none")

    def __init__(self) -> None:
        self.may = threading.Event()
        self.batches: list[int] = []
        self.error: Exception | None = None

    def predict(self, *triple: np.ndarray) -> dict[str, float]:
        return self.predict_together([triple])[0]

    def predict_together(self, triples: Sequence[tuple[np.ndarray, ...]]) -> list[dict[str, float]]:
        assert self.may.wait(20)
        if self.error is not None:
            raise self.error
        self.batches.append(len(triples))
        return [{"negative": 0.9, "none": 0.1} for _ in triples]


def candidate(event_id: str = "e", camera: str = "cam0", phase: str = "final") -> Candidate:
    final = phase == "final"
    return Candidate(
        event_id=event_id,
        camera=camera,
        session="s",
        face=0,
        phase=phase,  # type: ignore[arg-type]
        kind="micro" if final else None,
        onset=Moment(frame=0, t_ns=0),
        apex=Moment(frame=1, t_ns=10),
        offset=Moment(frame=2, t_ns=20) if final else None,
        score=5.0,
        triple=Triple(onset=PICTURE, apex=PICTURE, offset=PICTURE) if final else None,
    )


class Spotter:
    """A provisional at frame 1, its end at frame 2."""

    trace = ()
    threshold = SpottingSettings().threshold

    def __init__(self, settings: object, hello: Hello) -> None:
        self._hello = hello

    def push(self, frame: AlignedFrame) -> list[Candidate]:
        phases = {1: "provisional", 2: "final"}
        event_id = f"{self._hello.camera}-{self._hello.session}"
        found = phases.get(frame.moment.frame)
        return [] if found is None else [candidate(event_id, self._hello.camera, found)]

    def finish(self, end: EndOfStream) -> list[Candidate]:
        return []


class Heard:
    """A publisher that remembers."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def publish(self, event: Event) -> None:
        self.events.append(event)

    def status(self, camera: str, fields: dict) -> None: ...

    def poll(self) -> None: ...


@pytest.fixture
def predictor():
    predictor = SlowPredictor()
    yield predictor
    predictor.may.set()


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, heard: Heard, predictor: SlowPredictor):
    monkeypatch.setattr(stream, "Spotter", Spotter)
    metrics = WorkerMetrics(labels=predictor.labels)
    recogniser = Recogniser(predictor)  # type: ignore[arg-type]
    with Journal(tmp_path / "journal.sqlite") as journal, RecognitionThread(recogniser, metrics) as recognition:
        yield working.Worker(
            Config(),
            recogniser=recogniser,
            ledger=EventLedger(journal, heard),  # type: ignore[arg-type]
            metrics=metrics,
            recognition=recognition,
        )
        predictor.may.set()


def hello(camera: str = "cam0", session: str = "s", *, lossless: bool = False) -> Hello:
    return Hello(camera=camera, session=session, source="camera", lossless=lossless)


def frame(index: int, camera: str = "cam0", session: str = "s") -> AlignedFrame:
    moment = Moment(frame=index, t_ns=index * 10)
    return AlignedFrame(camera=camera, session=session, seq=index, moment=moment, faces=(), clock="")


def phases(heard: Heard) -> list[tuple[str, str, int]]:
    return [(event.camera, event.phase, event.seq) for event in heard.events]


def test_frames_do_not_wait_for_the_network(worker: working.Worker, heard: Heard, predictor: SlowPredictor) -> None:
    """While one camera's event is recognised, another's provisional event is out; the end of a stream waits."""
    for message in (hello(), hello("cam1"), *(frame(k) for k in range(4)), frame(0, "cam1"), frame(1, "cam1")):
        worker.handle(message)
        worker.collect()
    assert worker.waiting
    assert phases(heard) == [("cam0", "provisional", 1), ("cam1", "provisional", 1)]
    predictor.may.set()
    worker.handle(EndOfStream(camera="cam0", session="s", seq=4, frames=4))
    assert phases(heard)[2:] == [("cam0", "final", 2)]
    assert heard.events[2].label == "negative"
    assert not worker.waiting


def test_what_two_cameras_saw_is_recognised_together(
    worker: working.Worker, heard: Heard, predictor: SlowPredictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Candidates that come within the deadline share a batch."""
    monkeypatch.setattr(recognising, "GATHER_S", 20.0)
    monkeypatch.setattr(recognising, "LARGEST_BATCH", 2)
    predictor.may.set()
    both = ("cam0", "cam1")
    for message in (*map(hello, both), *(frame(k, camera) for camera in both for k in range(3))):
        worker.handle(message)
    worker.close()
    assert predictor.batches == [2]
    assert phases(heard) == [
        ("cam0", "provisional", 1),
        ("cam1", "provisional", 1),
        ("cam0", "final", 2),
        ("cam1", "final", 2),
    ]


def test_a_recording_waits_for_its_network(worker: working.Worker, heard: Heard, predictor: SlowPredictor) -> None:
    """Its events come one by one, in the thread that spots: the same at any speed."""
    predictor.may.set()
    for message in (hello(lossless=True), *(frame(k) for k in range(3))):
        worker.handle(message)
    assert not worker.waiting
    assert phases(heard) == [("cam0", "provisional", 1), ("cam0", "final", 2)]


def test_a_worker_that_is_stopped_publishes_what_the_network_still_thinks_about(
    worker: working.Worker, heard: Heard, predictor: SlowPredictor
) -> None:
    """No event is lost by a clean end."""
    messages: list = [hello(), *(frame(k) for k in range(3))]
    stop = StopFlag()

    class Receiver:
        def receive(self, timeout_s: float):
            if not messages:
                stop.set()
                predictor.may.set()
            return messages.pop(0) if messages else None

        def waiting(self, camera: str) -> int:
            return 0

        def skipped(self) -> dict:
            return {}

    working.serve(worker, Receiver(), heard, WorkerMetrics(), Heartbeat(1.0), Notifier({}), once=False, stop=stop)  # type: ignore[arg-type]
    assert phases(heard) == [("cam0", "provisional", 1), ("cam0", "final", 2)]


def test_a_new_session_comes_after_the_events_of_the_one_before(
    worker: working.Worker, heard: Heard, predictor: SlowPredictor
) -> None:
    """A camera that connects again does not overtake its own event."""
    predictor.may.set()
    for message in (hello(), *(frame(k) for k in range(3)), hello(session="t"), frame(0, session="t")):
        worker.handle(message)
    assert [event.session for event in heard.events] == ["s", "s"]
    assert heard.events[-1].phase == "final"


def test_an_error_of_the_network_reaches_the_worker_once(predictor: SlowPredictor) -> None:
    """Otherwise it would wait for ever for an answer, and again when it closes."""
    predictor.error = ModelError("bad kernel")
    predictor.may.set()
    recogniser = Recogniser(predictor)  # type: ignore[arg-type]
    with RecognitionThread(recogniser, WorkerMetrics()) as recognition:
        recognition.submit(Waiting(candidate=candidate(), trigger_ns=None))
        with pytest.raises(ModelError, match="bad kernel"):
            recognition.finish()
        assert recognition.finish() == []


class Upgradable:
    """A predictor that lacks two engines."""

    name, weights, backend = "fake", "sha256:00", "eager"

    def __init__(self, *works: str) -> None:
        self.wanted = ("best", "good")
        self._works = works

    def step_up(self, backend: str) -> None:
        if backend not in self._works:
            raise BackendError(f"{backend} differs")
        self.backend = backend


def _turns(builds: EngineBuilds) -> bool:
    """Look after the builds until one took over or none is left."""
    for _ in range(6):
        if builds.turn():
            return True
        if builds._process is not None:
            builds._process.wait(20)
    return False


def _command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, status: str) -> Path:
    """`bowam export` replaced by a program that notes what it was asked for."""
    log, program = tmp_path / "asked", tmp_path / "program"
    program.write_text(f'#!/bin/sh\necho "$@" >> {log}\n{status}\n')
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    return log


def test_the_best_engine_is_made_in_a_process_of_its_own_and_takes_over(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The others are slower: they are left."""
    log = _command(monkeypatch, tmp_path, "exit 0")
    predictor = Upgradable("best", "good")
    assert _turns(EngineBuilds(predictor, "w.safetensors"))  # type: ignore[arg-type]
    assert predictor.backend == "best"
    assert log.read_text() == "-m bowam_stream.cli export --format best --weights w.safetensors\n"


@pytest.mark.parametrize(
    ("status", "works"), [("case $5 in best) exit 1;; esac", ("best", "good")), ("exit 0", ("good",))]
)
def test_an_engine_that_can_not_be_made_or_does_not_work_gives_way_to_the_next(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, status: str, works: tuple[str, ...]
) -> None:
    """With a warning; the worker served all the time."""
    log = _command(monkeypatch, tmp_path, status)
    predictor = Upgradable(*works)
    assert _turns(EngineBuilds(predictor, None))  # type: ignore[arg-type]
    assert predictor.backend == "good"
    assert [line.split()[-1] for line in log.read_text().splitlines()] == ["best", "good"]


def test_a_worker_that_ends_ends_its_build(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing goes on compiling for nobody."""
    _command(monkeypatch, tmp_path, "exec sleep 60")
    builds = EngineBuilds(Upgradable(), None)  # type: ignore[arg-type]
    builds.turn()
    process = builds._process
    assert process is not None
    builds.close()
    assert process.poll() is not None


def test_the_thread_looks_after_builds_while_it_has_nothing_to_do(
    monkeypatch: pytest.MonkeyPatch, predictor: SlowPredictor
) -> None:
    """And says which backend speaks from now on."""
    monkeypatch.setattr(recognising, "UPKEEP_EVERY_S", 0.01)
    told = threading.Event()

    class Builds:
        def turn(self) -> bool:
            predictor.backend = "best"
            return not told.is_set()

        def close(self) -> None: ...

    class Metrics:
        def backend(self, model: object) -> None:
            assert msgspec.structs.asdict(model)["backend"] == "best"
            told.set()

    recogniser = Recogniser(predictor)  # type: ignore[arg-type]
    with RecognitionThread(recogniser, Metrics(), Builds()):  # type: ignore[arg-type]
        assert told.wait(20)
