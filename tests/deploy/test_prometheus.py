"""Prometheus accepts the configuration, every rule asks for what we export, and every alert is tested and explained."""

import re
import shutil
import subprocess

import pytest
import yaml

from bowam_stream.config import MetricsSettings
from tests.deploy.promql import PROMETHEUS, ROOT, exported, rules, unknown

UNIT_TESTS = ROOT / "tests" / "deploy" / "alerts.yml"
ALERTS = {rule["alert"]: rule for rule in rules("alerts.yml")}

needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool is not installed (Debian: prometheus)"
)


def promtool(*arguments: object) -> "subprocess.CompletedProcess[str]":
    """Run it, with what it says on both streams in stdout."""
    command = ["promtool", *map(str, arguments)]
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def anchors(page: str) -> set[str]:
    """The anchors of a Markdown page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page, re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_targets_are_our_default_ports() -> None:
    """One capture and one worker of this machine; a capture's target says which camera it is."""
    capture, worker = yaml.safe_load((PROMETHEUS / "targets.yml").read_text())
    defaults = MetricsSettings()
    assert capture["targets"] == [f"{defaults.host}:{defaults.capture_port}"]
    assert capture["labels"] == {"job": "bowam-capture", "camera": "cam0"}
    assert worker["targets"] == [f"{defaults.host}:{defaults.worker_port}"]
    assert worker["labels"] == {"job": "bowam-worker"}


@needs_promtool
def test_promtool_accepts_configuration_and_rules() -> None:
    """Prometheus's own check, of the rule files that the configuration names as well."""
    done = promtool("check", "config", PROMETHEUS / "prometheus.yml")
    assert done.returncode == 0, done.stdout
    assert "2 rule files found" in done.stdout


@pytest.mark.parametrize("rule", [*rules("rules.yml"), *ALERTS.values()], ids=lambda rule: next(iter(rule.values())))
def test_a_rule_asks_for_series_and_labels_that_exist(rule: dict) -> None:
    """As the registries of capture and worker and the recording rules give them."""
    assert unknown(rule["expr"], exported()) == []


def test_a_misspelled_metric_or_label_is_noticed() -> None:
    """The check above can fail."""
    known = exported()
    assert unknown("rate(bowam_frames_captured_totals[5m]) > 1e3", known) == ["bowam_frames_captured_totals"]
    assert unknown('sum(bowam_camera_up{cam="a", job=~"b"})', known) == ["bowam_camera_up{cam}"]
    assert unknown("sum by (face) (bowam_camera_up) and on (camera) up", known) == ["by (face)"]


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_says_how_bad_it_is_and_what_to_do(name: str) -> None:
    """Severity, summary, description, and a section of docs/operating.md that exists."""
    alert = ALERTS[name]
    assert alert["labels"]["severity"] in ("critical", "warning")
    assert alert["annotations"].keys() == {"summary", "description", "runbook"}
    page, _, anchor = alert["annotations"]["runbook"].partition("#")
    assert anchor == name.lower()
    assert anchor in anchors((ROOT / page).read_text())


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_has_unit_tests_of_both_kinds(name: str) -> None:
    """One in which it fires, and one in which it does not."""
    groups = yaml.safe_load(UNIT_TESTS.read_text())["tests"]
    cases = [case for group in groups for case in group["alert_rule_test"] if case["alertname"] == name]
    assert {bool(case["exp_alerts"]) for case in cases} == {True, False}


@needs_promtool
def test_every_alert_fires_where_it_must_and_only_there() -> None:
    """promtool's unit tests."""
    done = promtool("test", "rules", UNIT_TESTS)
    assert done.returncode == 0, done.stdout


@needs_promtool
@pytest.mark.parametrize(("alert", "threshold", "other"), [
    ("BowamCameraTooSlow", "< 23.9", "< 10"),
    ("BowamFramesDropped", "> 0.01", "> 0.03"),
    ("BowamFramesAgeing", "> 0.15", "> 0.0"),
    ("BowamEventsLate", "> 0.15", "> 0.29"),
    ("BowamCrashLoop", "> 3", "> 2"),
    ("BowamMemoryHigh", "> 500", "> 400"),
])  # fmt: skip
def test_the_unit_tests_notice_another_threshold(tmp_path, alert: str, threshold: str, other: str) -> None:
    """They can fail: an alert that became deaf or nervous does not pass."""
    text = (PROMETHEUS / "alerts.yml").read_text()
    before, name, after = text.partition(f"alert: {alert}")
    assert threshold in after
    (tmp_path / "alerts.yml").write_text(before + name + after.replace(threshold, other, 1))
    shutil.copy(PROMETHEUS / "rules.yml", tmp_path)
    tests = UNIT_TESTS.read_text().replace("../../deploy/prometheus/", "")
    (tmp_path / "tests.yml").write_text(tests)
    assert promtool("test", "rules", tmp_path / "tests.yml").returncode != 0
