"""The numbers of a capture and of a worker.

Every object has its own registry, so that tests and embedded pipelines do not meet. The series of a camera are made
when the camera is added, at zero: a rate over a series that appears with its first event would miss that event. Labels
are bounded: camera, stage, reason, kind, label, endpoint, backend; never a face or a frame.
"""

import contextlib
import platform
import threading
from collections import Counter as Counts
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib.metadata import version
from typing import Any, ClassVar, TypeVar, get_args

import msgspec
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, ProcessCollector
from prometheus_client.metrics_core import Metric

from bowam_stream import clock
from bowam_stream.clock import NS_PER_SECOND
from bowam_stream.keys import REFUSALS as HANDSHAKE_REFUSALS
from bowam_stream.messages import AlignedFrame, Event, Kind, Model

# Edges at the service objectives: half of the events within 60 ms, 99% within 150; live frames are dropped at 500.
LATENCY_EDGES_S = (0.01, 0.02, 0.03, 0.045, 0.06, 0.08, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 2.0, 5.0)
# The spotter may take 1.5 ms of a frame, a frame lasts 5 ms at 200 fps and 33 ms at 30; a full network takes 30-100 ms.
STAGE_EDGES_S = (0.0005, 0.001, 0.0015, 0.0025, 0.005, 0.01, 0.02, 0.033, 0.06, 0.1, 0.15, 0.3, 1.0)
JOURNAL_EDGES_S = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1.0)

RATE_FRAMES = 64  # over which the effective rate is taken: two seconds at 30 fps

MAX_CAMERAS = 256
OTHER_CAMERA = "other"
"""The label of cameras beyond MAX_CAMERAS and of messages that name none: a stranger can't make series."""

RECEIVER_DROPS = tuple(
    ("receive", reason) for reason in ("lost", "absent", "age", "capacity", "malformed", "refused", "no_hello")
)
RETRACTIONS = (
    *("none", "too_short", "too_weak", "too_strong", "frame_rate"),
    *("blink", "nod", "flicker", "speech", "restless"),
    *("gap", "face_lost", "end_of_stream", "interrupted"),
)
"""Reasons that start at zero; another one gets its series when it first occurs."""
REFUSALS = (*("blink", "nod", "flicker", "speech", "restless"), *("too_weak", "too_strong", "tail", "way_back"))
"""Likewise of movements that were never announced."""


RESTARTS = ("signal", "status", "hang")
"""Why a supervisor starts a process again: it was killed, it failed, it was silent for too long."""


class StageTiming(msgspec.Struct, frozen=True, kw_only=True):
    """How long one run of a stage took."""

    stage: str
    duration_ns: int


StageHook = Callable[[StageTiming], None]


@contextlib.contextmanager
def timed(hook: StageHook, stage: str) -> Iterator[None]:
    """Tell `hook` how long the block took, also where it raises."""
    started_ns = clock.monotonic_ns()
    try:
        yield
    finally:
        hook(StageTiming(stage=stage, duration_ns=clock.monotonic_ns() - started_ns))


class Registry(CollectorRegistry):
    """A registry without the `_created` series that the client adds to every counter: nobody asks for them."""

    def collect(self) -> Iterator[Metric]:
        """All metrics, as they are shown."""
        for metric in super().collect():
            metric.samples = [sample for sample in metric.samples if not sample.name.endswith("_created")]
            yield metric


M = TypeVar("M", Counter, Gauge, Histogram)


class _Metrics:
    """What capture and worker have in common."""

    stages: ClassVar[tuple[str, ...]] = ()
    drops: ClassVar[tuple[tuple[str, str], ...]] = ()  # (stage, reason) that start at zero
    sockets: ClassVar[tuple[str, ...]] = ()  # on which strangers can say something

    def __init__(self) -> None:
        self.registry = Registry()
        self._cameras: set[str] = set()
        self._by_camera: list[Counter | Gauge | Histogram] = []  # metrics with `camera` as their only label
        self._lock = threading.Lock()
        self._dropped_frames: Counts[str] = Counts()
        ProcessCollector(registry=self.registry)
        build = Info("bowam_build", "Version of the program.", registry=self.registry)
        build.info({"version": version("bowam-stream"), "python": platform.python_version()})
        self._stage = Histogram(
            "bowam_stage_duration_seconds",
            "Time that one run of a stage took.",
            ["stage"],
            buckets=STAGE_EDGES_S,
            registry=self.registry,
        )
        for stage in self.stages:
            self._stage.labels(stage)
        self._restarts = Counter(
            "bowam_process_restarts",
            "Times that a supervisor has started this process again.",
            ["reason"],
            registry=self.registry,
        )
        for reason in RESTARTS:
            self._restarts.labels(reason)
        self._dropped = Counter(
            "bowam_frames_dropped",
            "Frames that were lost on purpose or on the way.",
            ["camera", "stage", "reason"],
            registry=self.registry,
        )
        self._handshakes = Counter(
            "bowam_handshakes_refused",
            "Connections that ended before the first message, for want of a key.",
            ["reason"],
            registry=self.registry,
        )
        for reason in HANDSHAKE_REFUSALS:
            self._handshakes.labels(reason)
        self._camera_up = self._camera_metric(Gauge, "bowam_camera_up", "1 while the camera delivers.")
        self._refused_messages = Counter(
            "bowam_messages_refused",
            "What strangers sent to a socket of this process and was refused.",
            ["socket"],
            registry=self.registry,
        )
        for socket in self.sockets:
            self._refused_messages.labels(socket)

    def add_camera(self, camera: str) -> None:
        """Make the series of `camera`, at zero."""
        self._label(camera)

    def stage(self, timing: StageTiming) -> None:
        """The hook for `timed`."""
        self._stage.labels(timing.stage).observe(timing.duration_ns / NS_PER_SECOND)

    def handshake_refused(self, reason: str) -> None:
        """Somebody could not connect; see bowam_stream.keys."""
        self._handshakes.labels(reason).inc()

    def refusing(self, socket: str) -> Callable[[], None]:
        """Counts what is refused on one socket."""
        return self._refused_messages.labels(socket).inc

    def restarted(self, reasons: Mapping[str, int]) -> None:
        """How often the supervisor has started this process again, by reason."""
        for reason, count in reasons.items():
            self._restarts.labels(reason).inc(count)

    def dropped(self, camera: str, stage: str, reason: str, count: int = 1) -> None:
        """`count` frames of `camera` were lost."""
        label = self._label(camera)
        self._dropped.labels(label, stage, reason).inc(count)
        with self._lock:
            self._dropped_frames[label] += count

    def dropped_frames(self, camera: str) -> int:
        """How many frames of `camera` were lost so far, for whatever reason."""
        return self._dropped_frames[camera]

    def camera_up(self, camera: str, up: bool) -> None:
        """Whether the camera delivers (capture), or its stream is open (worker)."""
        self._camera_up.labels(self._label(camera)).set(up)

    def _camera_metric(self, kind: type[M], name: str, text: str, **options: Any) -> M:
        metric = kind(name, text, ["camera"], registry=self.registry, **options)
        self._by_camera.append(metric)
        return metric

    def _label(self, camera: str) -> str:
        """The label value of `camera`, whose series exist from now on."""
        if camera in self._cameras:
            return camera
        with self._lock:
            if not camera or (camera not in self._cameras and len(self._cameras) >= MAX_CAMERAS):
                camera = OTHER_CAMERA
            if camera not in self._cameras:
                self._make_series(camera)
                self._cameras.add(camera)
        return camera

    def _make_series(self, camera: str) -> None:
        for metric in self._by_camera:
            metric.labels(camera)
        for stage, reason in self.drops:
            self._dropped.labels(camera, stage, reason)


class CaptureMetrics(_Metrics):
    """Numbers of a capture process."""

    stages = ("decode", "align", "cut", "publish")
    drops = (("grab", "queue_full"), ("grab", "stopped"), ("align", "stopped"), ("decode", "skipped"))
    sockets = ("frames", "metrics")

    def __init__(self, cameras: Iterable[str] = ()) -> None:
        super().__init__()
        self._times: dict[str, deque[int]] = {}
        self._captured = self._camera_metric(Counter, "bowam_frames_captured", "Frames decoded.")
        self._published = self._camera_metric(Counter, "bowam_frames_published", "Frames handed to the transport.")
        self._faces_lost = self._camera_metric(Counter, "bowam_faces_lost", "Times that a followed face was lost.")
        self._frozen = self._camera_metric(
            Counter, "bowam_frames_frozen", "Frames of a camera that sent the same picture again and again."
        )
        self._reconnects = self._camera_metric(Counter, "bowam_camera_reconnects", "Times that a camera was reopened.")
        self._fps = self._camera_metric(Gauge, "bowam_camera_effective_fps", "Frames per second as they truly come.")
        for camera in cameras:
            self.add_camera(camera)

    def captured(self, camera: str, t_ns: int, count: int = 1) -> None:
        """A frame was decoded; `t_ns` is its capture time. `count` includes those before it that can't be used."""
        label = self._label(camera)
        self._captured.labels(label).inc(count)
        times = self._times.setdefault(label, deque(maxlen=RATE_FRAMES))
        times.append(t_ns)
        if times[-1] > times[0]:
            self._fps.labels(label).set((len(times) - 1) * NS_PER_SECOND / (times[-1] - times[0]))

    def published(self, camera: str) -> None:
        """A frame was handed to the transport."""
        self._published.labels(self._label(camera)).inc()

    def frozen(self, camera: str) -> None:
        """A frame repeats what the camera has sent for too long."""
        self._frozen.labels(self._label(camera)).inc()

    def face_lost(self, camera: str) -> None:
        """A face that was followed is gone."""
        self._faces_lost.labels(self._label(camera)).inc()

    def reconnected(self, camera: str) -> None:
        """The camera was lost and is opened again: the rate begins anew."""
        label = self._label(camera)
        self._reconnects.labels(label).inc()
        self._times.pop(label, None)


class WorkerMetrics(_Metrics):
    """Numbers of a worker process; an Observer for the transport. `labels` are the classes of its model."""

    stages = ("spot", "recognise", "journal", "publish")
    drops = RECEIVER_DROPS
    sockets = ("events", "journal", "metrics")

    def __init__(self, cameras: Iterable[str] = (), labels: Iterable[str] = ()) -> None:
        super().__init__()
        self._labels = tuple(labels)
        self._received = self._camera_metric(Counter, "bowam_frames_received", "Frames that came off the wire.")
        self._spotted = self._camera_metric(Counter, "bowam_frames_spotted", "Frames that reached the spotter.")
        self._gaps = self._camera_metric(Counter, "bowam_sequence_gaps", "Jumps of the sequence on the wire.")
        self._age = self._camera_metric(
            Histogram, "bowam_frame_age_seconds", "From publication to the spotter.", buckets=LATENCY_EDGES_S
        )
        self._depth = self._camera_metric(Gauge, "bowam_queue_depth", "Frames that wait for the spotter.")
        self._latency = self._camera_metric(
            Histogram,
            "bowam_event_latency_seconds",
            "From the capture of the frame that triggered an event to its publication.",
            buckets=LATENCY_EDGES_S,
        )
        self._events = Counter("bowam_events", "Final events.", ["camera", "kind", "label"], registry=self.registry)
        self._retracted = Counter(
            "bowam_candidates_retracted", "Candidates taken back.", ["camera", "reason"], registry=self.registry
        )
        self._refused = Counter(
            "bowam_movements_refused",
            "Movements over the threshold that were measured and never announced.",
            ["camera", "reason"],
            registry=self.registry,
        )
        self._journal = Histogram(
            "bowam_journal_write_seconds",
            "Time to make one record safe on disk.",
            buckets=JOURNAL_EDGES_S,
            registry=self.registry,
        )
        self._journal_up = Gauge(
            "bowam_journal_up", "1 while events can be written to the journal.", registry=self.registry
        )
        self._journal_up.set(1)
        self._journal_fails = False
        self._journal_failures = Counter(
            "bowam_journal_failures", "Times that the journal ceased to be writable.", registry=self.registry
        )
        self._events_waiting = Gauge(
            "bowam_events_waiting", "Events that wait in memory for the journal.", registry=self.registry
        )
        self._link = Gauge("bowam_link_up", "1 while connected to this capture.", ["endpoint"], registry=self.registry)
        self._backend = Info("bowam_backend", "The network and what runs it.", registry=self.registry)
        self._backend_failures = Counter(
            "bowam_backend_failures",
            "Times that a backend failed and the next took over.",
            ["backend"],
            registry=self.registry,
        )
        for camera in cameras:
            self.add_camera(camera)

    def stage(self, timing: StageTiming) -> None:
        """The hook for `timed`; the journal has a histogram of its own besides."""
        super().stage(timing)
        if timing.stage == "journal":
            self._journal.observe(timing.duration_ns / NS_PER_SECOND)

    def received(self, camera: str) -> None:
        """A frame came off the wire."""
        self._received.labels(self._label(camera)).inc()

    def spotted(self, frame: AlignedFrame, waiting: int) -> None:
        """A frame reached the spotter, with `waiting` behind it. Its age is known only where the clock is ours."""
        label = self._label(frame.camera)
        self._spotted.labels(label).inc()
        self._depth.labels(label).set(waiting)
        if frame.clock == clock.clock_id():
            self._age.labels(label).observe(max(0, clock.monotonic_ns() - frame.published_ns) / NS_PER_SECOND)

    def gap(self, camera: str) -> None:
        """The sequence jumped."""
        self._gaps.labels(self._label(camera)).inc()

    def link(self, endpoint: str, up: bool) -> None:
        """The connection to a capture was made or lost."""
        self._link.labels(endpoint).set(up)

    def event(self, event: Event) -> None:
        """An event was published: counts finals and retractions, measures the latency of all."""
        label = self._label(event.camera)
        if event.phase == "final":
            self._events.labels(label, event.kind or "", event.label or "").inc()
        elif event.phase == "retracted":
            self._retracted.labels(label, event.reason or "").inc()
        if event.delivery is not None and event.delivery.latency_ms is not None:
            self._latency.labels(label).observe(event.delivery.latency_ms / 1000)

    def journal_state(self, trouble: str | None, waiting: int) -> None:
        """Whether the journal can be written, and how many events wait for it."""
        if trouble is not None and not self._journal_fails:
            self._journal_failures.inc()
        self._journal_fails = trouble is not None
        self._journal_up.set(trouble is None)
        self._events_waiting.set(waiting)

    def refused(self, camera: str, reason: str) -> None:
        """A movement ended that was never announced as an event."""
        self._refused.labels(self._label(camera), reason).inc()

    def backend(self, model: Model) -> None:
        """Which network speaks from now on."""
        self._backend.info({"backend": model.backend, "model": model.name, "weights": model.weights})
        self._backend_failures.labels(model.backend)

    def backend_failed(self, failed: str, model: Model) -> None:
        """The backend `failed` gave up; `model` says what speaks from now on."""
        self._backend_failures.labels(failed).inc()
        self.backend(model)

    def _make_series(self, camera: str) -> None:
        super()._make_series(camera)
        for reason in RETRACTIONS:
            self._retracted.labels(camera, reason)
        for reason in REFUSALS:
            self._refused.labels(camera, reason)
        for kind in get_args(Kind):
            for label in self._labels if kind == "micro" else ("",):
                self._events.labels(camera, kind, label)
