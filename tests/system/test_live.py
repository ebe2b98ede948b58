"""A camera (a recording played as one) through the real processes, with subscribers and scrapers."""

import json
import os
import signal
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from bowam_model.backends import survey
from tests.system.processes import Run, children, free_port, wait_for

pytestmark = pytest.mark.system


class Place:
    """A settings file of its own, so that nothing meets another run."""

    def __init__(self, folder: Path) -> None:
        self.events, self.journal, self.capture, self.worker, self.page = (free_port() for _ in range(5))
        self.file = folder / "bowam.toml"
        self.file.write_text(
            f"[transport]\nendpoint = 'tcp://127.0.0.1:{free_port()}'\n"
            f"[events]\nendpoint = 'tcp://127.0.0.1:{self.events}'\n"
            f"journal_endpoint = 'tcp://127.0.0.1:{self.journal}'\njournal = '{folder}/journal.sqlite'\n"
            f"[metrics]\ncapture_port = {self.capture}\nworker_port = {self.worker}\n[page]\nport = {self.page}\n"
        )

    def play(self, loops: int) -> None:
        """Let the recording go on for so many rounds."""
        self.file.write_text(self.file.read_text() + f"[source]\nloops = {loops}\n")

    def get(self, port: int, path: str) -> tuple[int, str]:
        """Status and body; 0 where nobody listens."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def metric(self, port: int, name: str, **labels: str) -> float:
        """The sum of the samples that have these labels."""
        families = text_string_to_metric_families(self.get(port, "/metrics")[1])
        return sum(
            sample.value
            for family in families
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    def subscribe(self, start: Callable, *arguments: object) -> "subprocess.Popen[str]":
        """A subscriber process of this place's events."""
        endpoints = (f"tcp://127.0.0.1:{self.events}", "--journal-endpoint", f"tcp://127.0.0.1:{self.journal}")
        return start("subscribe", "--endpoint", *endpoints, *arguments)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_a_subscriber_gets_every_event_in_order_and_the_metrics_agree(
    start: Callable, clip: Path, place: Place
) -> None:
    """Live: events reach another process, both processes can be scraped, Ctrl-C ends all with status 0."""
    live = start("live", "--source", clip, "--config", place.file)
    subscriber = place.subscribe(start, "--since", 0, "--timeout", 60, "--count", 4)
    assert wait_for(lambda: place.get(place.worker, "/readyz")[0] == 200)
    assert place.get(place.worker, "/livez")[0] == 200
    assert wait_for(lambda: place.get(place.capture, "/livez")[0] == 200)
    assert wait_for(lambda: place.metric(place.capture, "bowam_frames_published_total", camera="cam0") > 400)
    received = place.metric(place.worker, "bowam_frames_received_total")
    assert place.metric(place.capture, "bowam_frames_captured_total") >= received > 0
    best = next(name for name, missing in survey().items() if missing is None)
    assert place.metric(place.worker, "bowam_backend_info", backend=best) == 1
    out, errors = subscriber.communicate(timeout=60)
    events = [json.loads(line) for line in out.splitlines()]
    assert [event["seq"] for event in events] == [1, 2, 3, 4], errors
    assert all(event["delivery"]["latency_ms"] > 0 for event in events)
    assert all(event["onset"]["utc_ns"] is not None for event in events)
    if live.poll() is None:
        live.send_signal(signal.SIGINT)
    assert live.wait(timeout=30) == 0, live.communicate()[1]


def test_a_killed_worker_comes_back_and_no_sequence_number_is_missing(
    start: Callable, bowam: Run, clip: Path, place: Place, tmp_path: Path
) -> None:
    """What was open is retracted as interrupted; who asks the journal gets everything once."""
    live = start("live", "--source", clip, "--config", place.file)
    subscriber = place.subscribe(start, "--since", 0, "--timeout", 20)
    assert wait_for(lambda: place.metric(place.worker, "bowam_frames_received_total") > 150)
    os.kill(children(live.pid)["worker"], signal.SIGKILL)
    _, errors = live.communicate(timeout=120)
    assert live.returncode == 0, errors
    assert "starting it again" in errors
    out, _ = subscriber.communicate(timeout=60)
    events = [json.loads(line) for line in out.splitlines()]
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    opened = {event["event_id"] for event in events if event["phase"] == "provisional"}
    assert opened == {event["event_id"] for event in events if event["phase"] != "provisional"}


def test_a_second_worker_for_the_same_camera_is_refused(start: Callable, bowam: Run, clip: Path, place: Place) -> None:
    """A camera belongs to exactly one worker."""
    place.play(20)
    start("live", "--source", clip, "--config", place.file)
    assert wait_for(lambda: place.metric(place.worker, "bowam_frames_received_total") > 10)
    endpoints = ("--endpoint", "tcp://127.0.0.1:0", "--journal-endpoint", "tcp://127.0.0.1:0", "--metrics-port", "0")
    second = bowam("worker", "--config", place.file, *endpoints, timeout=60)
    assert second.returncode == 1
    assert "belongs to another worker" in second.stderr
