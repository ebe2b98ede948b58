"""What our processes and rules export, and what an expression asks for: enough of PromQL to compare the two.

Prometheus itself judges the syntax (promtool, and the real server of tests/system/test_prometheus.py).
"""

import functools
import re
from pathlib import Path
from typing import Any

import yaml

from bowam_stream.messages import Model
from bowam_stream.metrics import CaptureMetrics, MetricsServer, WorkerMetrics

ROOT = Path(__file__).parents[2]
PROMETHEUS = ROOT / "deploy" / "prometheus"

OF_TARGETS = {"capture": {"job", "instance", "camera"}, "worker": {"job", "instance"}}
"""What Prometheus adds to every series of a process: see deploy/prometheus/targets.yml."""
OF_PROMETHEUS = {
    "up": OF_TARGETS["capture"],
    "ALERTS": {"alertname", "alertstate", "severity", "camera", "job", "instance"},
}

_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_RANGE = re.compile(r"\[[^\]]*\]")
_SELECTOR = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)\s*\{([^}]*)\}")
_GROUPING = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)")
_NAME = re.compile(r"(?<![0-9.])\b[a-zA-Z_:][a-zA-Z0-9_:]*\b(?!\s*\()")  # neither a duration nor a function
_OPERATORS = {"and", "or", "unless", "bool", "offset"}


@functools.cache
def exported() -> dict[str, set[str]]:
    """Every series name that captures, workers and recording rules give, with its labels."""
    worker = WorkerMetrics(["cam0"], labels=["positive"])
    worker.link("tcp://127.0.0.1:5555", True)
    worker.backend(Model(name="nano", weights="sha256:0", backend="eager"))
    found = {name: set(labels) for name, labels in OF_PROMETHEUS.items()}
    processes: dict[str, CaptureMetrics | WorkerMetrics] = {"capture": CaptureMetrics(["cam0"]), "worker": worker}
    for process, metrics in processes.items():
        with MetricsServer(metrics, port=0):
            for metric in metrics.registry.collect():
                for sample in metric.samples:
                    found.setdefault(sample.name, set()).update(OF_TARGETS[process], sample.labels)
    for rule in rules("rules.yml"):
        found.setdefault(rule["record"], set()).update(grouped_by(rule["expr"]) - {"le"}, rule.get("labels", {}))
    return found


def rules(file: str) -> list[dict[str, Any]]:
    """The rules of one file of deploy/prometheus/."""
    return [rule for group in yaml.safe_load((PROMETHEUS / file).read_text())["groups"] for rule in group["rules"]]


def grouped_by(expression: str) -> set[str]:
    """The labels in `by (...)`, `on (...)` and the like."""
    return {label.strip() for labels in _GROUPING.findall(expression) for label in labels.split(",") if label.strip()}


def unknown(expression: str, known: dict[str, set[str]]) -> list[str]:
    """The series and labels that `expression` asks for and `known` has not."""
    text = _RANGE.sub("", _STRING.sub('""', expression))
    missing = []
    for name, matchers in _SELECTOR.findall(text):
        labels = {re.split("[=!]", matcher)[0].strip() for matcher in matchers.split(",") if matcher.strip()}
        missing += [f"{name}{{{label}}}" for label in sorted(labels - known.get(name, set()))]
    text = _SELECTOR.sub(r"\1 ", text)
    names = set(_NAME.findall(_GROUPING.sub(" ", text))) - _OPERATORS
    available = set().union(*(known.get(name, set()) for name in names))
    return [*missing, *sorted(names - known.keys()), *(f"by ({label})" for label in grouped_by(text) - available)]
