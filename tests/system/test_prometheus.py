"""A real Prometheus with the configuration of deploy/prometheus, beside real processes.

Its files are used as they are but for the addresses and the times: the ports are free ones, windows and intervals are a
few seconds, an alert waits one second.
"""

import json
import re
import shutil
import subprocess
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.deploy import test_grafana as grafana
from tests.deploy.promql import PROMETHEUS, rules
from tests.system.processes import free_port, wait_for
from tests.system.test_live import Place

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(shutil.which("prometheus") is None, reason="prometheus is not installed"),
]

QUICK = {
    "scrape_interval: 5s": "scrape_interval: 200ms",
    "scrape_timeout: 4s": "scrape_timeout: 200ms",
    "evaluation_interval: 5s": "evaluation_interval: 200ms",
    "refresh_interval: 30s": "refresh_interval: 1s",
}
WINDOWS = {"1m": "4s", "5m": "6s", "10m": "20s", "15m": "20s", "1h": "40s"}
VARIABLES = {"$camera": "cam0", "$worker": ".+"}  # as Grafana puts them in

EMPTY_WHEN_WELL = re.compile(r"ALERTS|> 0$")
"""Expressions that show what goes wrong, and give nothing while nothing does."""


class Prometheus:
    """A server in a folder of its own that watches one place."""

    def __init__(self, folder: Path, place: Place) -> None:
        self._place = place
        self.port = free_port()
        shutil.copytree(PROMETHEUS, folder / "prometheus")
        self._rewrite(folder / "prometheus" / "prometheus.yml", QUICK)
        ports = {":9101": f":{place.capture}", ":9102": f":{place.worker}"}
        self._rewrite(folder / "prometheus" / "targets.yml", ports)
        for file in ("rules.yml", "alerts.yml"):
            path = folder / "prometheus" / file
            text = re.sub(r"\[(\w+)\]", lambda window: f"[{WINDOWS[window[1]]}]", path.read_text())
            path.write_text(re.sub(r"for: \w+", "for: 1s", text))
        self._process = subprocess.Popen(
            [
                "prometheus",
                f"--config.file={folder}/prometheus/prometheus.yml",
                f"--storage.tsdb.path={folder}/tsdb",
                f"--web.listen-address=127.0.0.1:{self.port}",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    @staticmethod
    def _rewrite(path: Path, changes: dict[str, str]) -> None:
        text = path.read_text()
        for old, new in changes.items():
            assert old in text, f"{path.name} has no {old!r} any more"
            text = text.replace(old, new)
        path.write_text(text)

    def ask(self, expression: str) -> tuple[str, list[dict[str, Any]]]:
        """ "success" or what is wrong with the expression, and the samples."""
        status, answer = self._place.get(self.port, "/api/v1/query?query=" + urllib.parse.quote(expression))
        content = json.loads(answer) if status in (200, 400, 422) else {"status": f"{status}"}  # 503 while it starts
        return content.get("error", content["status"]), content.get("data", {}).get("result", [])

    def value(self, expression: str) -> float:
        """Of the first sample; 0 where there is none, or no number."""
        result = self.ask(expression)[1]
        number = float(result[0]["value"][1]) if result else 0.0
        return number if number == number else 0.0

    def firing(self) -> set[str]:
        """The alerts that fire now."""
        return {sample["metric"]["alertname"] for sample in self.ask('ALERTS{alertstate="firing"}')[1]}

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.fixture
def prometheus(place: Place, tmp_path: Path) -> Iterator[Prometheus]:
    server = Prometheus(tmp_path, place)
    yield server
    server.close()


def test_rules_and_dashboards_show_a_healthy_run(
    start: Callable, clip: Path, place: Place, prometheus: Prometheus
) -> None:
    """Both targets are up, every recording rule gives numbers, every expression of Grafana is accepted and has data."""
    place.play(40)
    start("live", "--source", clip, "--config", place.file)
    wait_for(lambda: prometheus.value('sum(up{job=~"bowam-.+"})') == 2)
    wait_for(lambda: prometheus.value('camera_quantile:bowam_event_latency_seconds:15m{quantile="0.99"}') > 0)
    for rule in rules("rules.yml"):
        wait_for(lambda name=rule["record"]: prometheus.ask(name)[1])
    wait_for(lambda: prometheus.value('camera:bowam_frames_captured:rate1m{camera="cam0"}') > 1)
    assert prometheus.value("min(bowam_ready)") == 1
    asked = 0
    for file in grafana.DASHBOARDS:
        for expression in grafana.expressions(file):
            for variable, value in VARIABLES.items():
                expression = expression.replace(variable, value)
            status, samples = prometheus.ask(expression)
            assert status == "success", expression
            assert samples or EMPTY_WHEN_WELL.search(expression), f"{file.stem}: no data for {expression}"
            asked += 1
    assert asked > 50


def test_an_alert_fires_when_a_capture_dies_and_ends_when_it_is_back(
    start: Callable, clip: Path, place: Place, prometheus: Prometheus
) -> None:
    """Nobody starts it again: the alert names the camera. No other critical alert fires."""
    place.play(40)
    start("worker", "--config", place.file)
    wait_for(lambda: place.get(place.worker, "/readyz")[0] == 200)
    capture = start("capture", "--as-live", "--config", place.file, clip)
    wait_for(lambda: prometheus.value('bowam_camera_up{job="bowam-capture"}') == 1)
    wait_for(lambda: "BowamCameraDown" not in prometheus.firing())
    capture.kill()
    wait_for(lambda: "BowamCameraDown" in prometheus.firing())
    (alert,) = prometheus.ask('ALERTS{alertname="BowamCameraDown"}')[1]
    assert (alert["metric"]["camera"], alert["metric"]["severity"]) == ("cam0", "critical")
    assert not {"BowamWorkerDown", "BowamWorkerNotReady", "BowamJournalFailing"} & prometheus.firing()
    start("capture", "--as-live", "--config", place.file, clip)
    wait_for(lambda: prometheus.value('bowam_camera_up{job="bowam-capture"}') == 1)
    wait_for(lambda: "BowamCameraDown" not in prometheus.firing())
