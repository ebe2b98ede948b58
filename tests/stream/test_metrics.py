"""The numbers: names, series at zero, bounded labels, and a server that Prometheus and a probe can talk to."""

import http.client
import socket
import subprocess
import urllib.error
import urllib.request
from shutil import which

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse

from bowam_stream.clock import clock_id, monotonic_ns
from bowam_stream.errors import AddressInUse, TransportError
from bowam_stream.messages import AlignedFrame, Delivery, Event, Model, Moment
from bowam_stream.metrics import CaptureMetrics, Heartbeat, MetricsServer, WorkerMetrics, timed
from bowam_stream.metrics.collectors import MAX_CAMERAS, OTHER_CAMERA
from bowam_stream.transport.interface import REASONS, STAGE

CONVENTIONS = {
    "bowam_frames_captured_total",
    "bowam_frames_published_total",
    "bowam_frames_dropped_total",
    "bowam_sequence_gaps_total",
    "bowam_faces_lost_total",
    "bowam_stage_duration_seconds",
    "bowam_event_latency_seconds",
    "bowam_frame_age_seconds",
    "bowam_queue_depth",
    "bowam_camera_up",
    "bowam_camera_reconnects_total",
    "bowam_camera_effective_fps",
    "bowam_events_total",
    "bowam_candidates_retracted_total",
    "bowam_journal_write_seconds",
    "bowam_build_info",
    "bowam_backend_info",
    "bowam_backend_failures_total",
}


def event(**changes: object) -> Event:
    """A final micro event, or what `changes` make of it."""
    moment = Moment(frame=1, t_ns=1)
    fields: dict[str, object] = {
        "event_id": "e", "seq": 1, "camera": "cam0", "session": "s", "face": 0, "kind": "micro", "phase": "final",
        "onset": moment, "apex": moment, "offset": moment, "label": "surprise", "probabilities": None,
        "confidence": 0.5, "spotting_score": 5.0, "quality": (), "model": None,
    }  # fmt: skip
    return Event(**{**fields, **changes})


def get(server: MetricsServer, path: str, **headers: str) -> tuple[int, str]:
    """Status and body of a real request."""
    request = urllib.request.Request(f"http://127.0.0.1:{server.port}{path}", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_every_metric_of_the_conventions_is_exported_by_one_of_the_two_processes():
    """Dashboards and alerts are written against these names."""
    names = set()
    worker = WorkerMetrics(["cam0"])
    worker.backend(Model(name="nano", weights="sha256:0", backend="eager"))
    for metrics in (CaptureMetrics(["cam0"]), worker):
        for family in metrics.registry.collect():
            names |= {family.name, *(sample.name for sample in family.samples)}
    assert names >= CONVENTIONS


def test_the_series_of_a_camera_exist_before_anything_happens():
    """A rate over a series that starts with its first event would miss that event."""
    worker = WorkerMetrics(["cam0"], labels=["positive", "surprise"])
    value = worker.registry.get_sample_value
    for reason in REASONS:
        labels = {"camera": "cam0", "stage": STAGE, "reason": reason}
        assert value("bowam_frames_dropped_total", labels) == 0
    for kind, label in (("micro", "positive"), ("micro", "surprise"), ("macro", ""), ("blink", "")):
        assert value("bowam_events_total", {"camera": "cam0", "kind": kind, "label": label}) == 0
    assert value("bowam_candidates_retracted_total", {"camera": "cam0", "reason": "nod"}) == 0
    assert value("bowam_movements_refused_total", {"camera": "cam0", "reason": "nod"}) == 0
    assert value("bowam_sequence_gaps_total", {"camera": "cam0"}) == 0
    assert value("bowam_event_latency_seconds_count", {"camera": "cam0"}) == 0


def test_the_edges_of_the_histograms_are_the_objectives():
    """The share of events within 60 and 150 ms is read off a bucket, not interpolated."""
    worker = WorkerMetrics(["cam0"])
    worker.event(event(delivery=Delivery(published_utc_ns=0, latency_ms=60.0)))
    worker.event(event(delivery=Delivery(published_utc_ns=0, latency_ms=60.1)))
    worker.event(event(delivery=Delivery(published_utc_ns=0, latency_ms=None)))
    value = worker.registry.get_sample_value
    assert value("bowam_event_latency_seconds_bucket", {"camera": "cam0", "le": "0.06"}) == 1
    assert value("bowam_event_latency_seconds_bucket", {"camera": "cam0", "le": "0.15"}) == 2
    assert value("bowam_event_latency_seconds_count", {"camera": "cam0"}) == 2


def test_finals_and_retractions_are_counted_and_provisionals_are_not():
    """A movement is counted once, when its last record is published."""
    worker = WorkerMetrics(["cam0"])
    worker.event(event(phase="provisional", kind=None, label=None))
    worker.event(event())
    worker.event(event(kind="blink", label=None))
    worker.event(event(phase="retracted", kind=None, label=None, reason="nod"))
    totals = {
        sample.name + str(sorted(sample.labels.values())): sample.value
        for family in worker.registry.collect()
        for sample in family.samples
        if family.name in ("bowam_events", "bowam_candidates_retracted") and sample.value
    }
    assert totals == {
        "bowam_events_total['cam0', 'micro', 'surprise']": 1,
        "bowam_events_total['', 'blink', 'cam0']": 1,
        "bowam_candidates_retracted_total['cam0', 'nod']": 1,
    }


def test_a_stranger_cannot_make_series():
    """Names from the wire beyond a bound share one label."""
    worker = WorkerMetrics()
    for i in range(MAX_CAMERAS + 50):
        worker.dropped(f"cam{i}", "receive", "age")
    worker.dropped("", "receive", "malformed", 7)
    cameras = {s.labels["camera"] for f in worker.registry.collect() for s in f.samples if "camera" in s.labels}
    assert len(cameras) == MAX_CAMERAS + 1
    value = worker.registry.get_sample_value
    other = {"camera": OTHER_CAMERA, "stage": "receive"}
    assert value("bowam_frames_dropped_total", {**other, "reason": "age"}) == 50
    assert value("bowam_frames_dropped_total", {**other, "reason": "malformed"}) == 7


def test_the_effective_rate_follows_the_times_of_the_frames():
    """Auto-exposure may halve a camera's rate; a reconnect does not count as a slow frame."""
    capture = CaptureMetrics(["cam0"])
    rate = lambda: capture.registry.get_sample_value("bowam_camera_effective_fps", {"camera": "cam0"})  # noqa: E731
    for i in range(100):
        capture.captured("cam0", i * 5_000_000)
    assert rate() == pytest.approx(200)
    capture.reconnected("cam0")
    for i in range(100):
        capture.captured("cam0", 60_000_000_000 + i * 10_000_000)
    assert rate() == pytest.approx(100)


def test_the_age_of_a_frame_is_measured_only_where_the_clock_is_the_same():
    """The times of another machine mean nothing here."""
    worker = WorkerMetrics(["cam0"])
    born_ns = monotonic_ns() - 70_000_000
    for clock in (clock_id(), "elsewhere"):
        moment = Moment(frame=0, t_ns=0)
        frame = AlignedFrame(
            camera="cam0", session="s", seq=0, moment=moment, faces=(), published_ns=born_ns, clock=clock
        )
        worker.spotted(frame, waiting=3)
    value = worker.registry.get_sample_value
    assert value("bowam_frames_spotted_total", {"camera": "cam0"}) == 2
    assert value("bowam_frame_age_seconds_count", {"camera": "cam0"}) == 1
    assert value("bowam_frame_age_seconds_sum", {"camera": "cam0"}) >= 0.07
    assert value("bowam_queue_depth", {"camera": "cam0"}) == 3


def test_two_objects_do_not_share_numbers():
    """Each has a registry of its own."""
    first, second = CaptureMetrics(["cam0"]), CaptureMetrics(["cam0"])
    first.published("cam0")
    assert second.registry.get_sample_value("bowam_frames_published_total", {"camera": "cam0"}) == 0


def test_a_stage_is_timed_also_where_it_fails():
    """The hook hears of every run; the clock is read nowhere else."""
    timings = []
    with timed(timings.append, "align"):
        pass
    with pytest.raises(ZeroDivisionError), timed(timings.append, "spot"):
        raise ZeroDivisionError
    assert [timing.stage for timing in timings] == ["align", "spot"]
    assert all(timing.duration_ns >= 0 for timing in timings)
    capture = CaptureMetrics()
    capture.stage(timings[0])
    assert capture.registry.get_sample_value("bowam_stage_duration_seconds_count", {"stage": "align"}) == 1


def test_prometheus_can_read_the_page_in_both_formats():
    """The exposition parses, and says what was counted."""
    capture = CaptureMetrics(["cam0"])
    capture.published("cam0")
    with MetricsServer(capture, port=0) as server:
        for accept, parser in (
            ("text/plain", parse),
            ("application/openmetrics-text; version=1.0.0", parse_openmetrics),
        ):
            status, body = get(server, "/metrics", Accept=accept)
            samples = {s.name: s.value for family in parser(body) for s in family.samples}
            assert status == 200
            assert samples["bowam_frames_published_total"] == 1
            assert not any(name.endswith("_created") for name in samples)


@pytest.mark.skipif(which("promtool") is None, reason="promtool is not installed (Debian: prometheus)")
def test_promtool_finds_nothing_to_blame():
    """Names, units and help texts pass the linter of Prometheus."""
    worker = WorkerMetrics(["cam0"], labels=["positive"])
    worker.backend(Model(name="nano", weights="sha256:0", backend="eager"))
    for metrics in (CaptureMetrics(["cam0"]), worker):
        with MetricsServer(metrics, port=0) as server:
            page = get(server, "/metrics")[1]
        result = subprocess.run(
            ["promtool", "check", "metrics"], input=page, capture_output=True, text=True, check=False
        )
        assert (result.returncode, result.stdout + result.stderr) == (0, "")


def test_alive_and_ready_are_two_questions():
    """A process that warms up lives but is not ready, and says why."""
    reasons: list[str | None] = ["warming up the network"]
    with MetricsServer(CaptureMetrics(), port=0, ready=lambda: reasons[-1]) as server:
        assert get(server, "/livez") == (200, "ok\n")
        assert get(server, "/healthz") == (200, "ok\n")
        assert get(server, "/readyz") == (503, "warming up the network\n")
        assert "\nbowam_ready 0.0\n" in get(server, "/metrics")[1]
        reasons.append(None)
        assert "\nbowam_ready 1.0\n" in get(server, "/metrics")[1]
        assert get(server, "/readyz?verbose") == (200, "ok\n")
        assert get(server, "/")[0] == 404


def test_a_process_without_heartbeat_is_not_alive():
    """The limit is passed by the clock alone."""
    now = [0]
    heartbeat = Heartbeat(5.0, now_ns=lambda: now[0])
    with MetricsServer(CaptureMetrics(), port=0, alive=heartbeat) as server:
        now[0] = 5_000_000_000
        assert get(server, "/livez")[0] == 200
        now[0] = 7_000_000_000
        assert get(server, "/livez") == (503, "no heartbeat for 7 s\n")
        heartbeat.beat()
        assert get(server, "/livez")[0] == 200


def test_head_is_get_without_the_body():
    """Some probes ask with HEAD."""
    with MetricsServer(CaptureMetrics(), port=0) as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
        connection.request("HEAD", "/livez")
        answer = connection.getresponse()
        assert (answer.status, answer.read()) == (200, b"")
        connection.close()


def test_a_port_that_is_taken_or_none_or_elsewhere_is_said_in_one_line():
    """AddressInUse names the port; the rest is a TransportError."""
    with MetricsServer(CaptureMetrics(), port=0) as server:
        with pytest.raises(AddressInUse, match=f"port {server.port} is in use"):
            MetricsServer(CaptureMetrics(), port=server.port)
        with pytest.raises(TransportError, match="choose one of 0 to 65535"):
            MetricsServer(CaptureMetrics(), port=65536)
        with pytest.raises(TransportError, match=r"192\.0\.2\.1"):
            MetricsServer(CaptureMetrics(), port=0, host="192.0.2.1")


def test_a_closed_server_leaves_the_port_free():
    """The next process may take it at once; closing twice does nothing."""
    server = MetricsServer(CaptureMetrics(), port=0)
    server.close()
    server.close()
    with MetricsServer(CaptureMetrics(), port=server.port) as again:
        assert again.address == f"http://127.0.0.1:{server.port}/metrics"


def test_only_this_machine_can_ask_by_default():
    """The socket is bound to loopback."""
    with MetricsServer(CaptureMetrics(), port=0) as server, socket.socket() as elsewhere:
        elsewhere.bind(("127.0.0.2", server.port))  # would fail if the server held every address
        assert server.address.startswith("http://127.0.0.1:")


def test_a_journal_that_stays_unwritable_has_failed_once():
    """However often it is tried, and however many events come to wait."""
    worker = WorkerMetrics()
    value = worker.registry.get_sample_value
    for trouble, waiting in ((None, 0), ("full", 0), ("full", 1), ("full", 2), (None, 0), ("full", 1)):
        worker.journal_state(trouble, waiting)
    assert value("bowam_journal_failures_total") == 2
    assert (value("bowam_journal_up"), value("bowam_events_waiting")) == (0, 1)
