"""What Prometheus finds at a capture and at a worker, from their registries."""

from typing import Any

from prometheus_client import CollectorRegistry

from bowam_stream.metrics import CaptureMetrics, WorkerMetrics
from docs.generate.sources import code, definitions, inline


def metrics() -> str:
    """One list: the metrics that only one of both has, and those of both."""
    ours = {"capture": _of(CaptureMetrics().registry), "worker": _of(WorkerMetrics().registry)}
    rows = []
    for name in sorted({name for found in ours.values() for name in found}):
        processes = [process for process, found in ours.items() if name in found]
        kind, labels, meaning = ours[processes[0]][name]
        by = f" by {', '.join(map(code, labels))}" if labels else ""
        rows.append((code(name), f"{inline(meaning)} {kind.capitalize()}{by}, at {' and '.join(processes)}."))
    return definitions(rows)


def _of(registry: CollectorRegistry) -> dict[str, tuple[str, tuple[str, ...], str]]:
    """name -> kind, labels, meaning."""
    found = {}
    collectors: dict[Any, Any] = registry._collector_to_names  # how the client knows a metric's labels
    labels = {
        name: tuple(getattr(collector, "_labelnames", ())) for collector, names in collectors.items() for name in names
    }
    for metric in registry.collect():
        kind = metric.type
        name = f"{metric.name}_total" if kind == "counter" else f"{metric.name}_info" if kind == "info" else metric.name
        found[name] = (kind, labels.get(name) or labels.get(metric.name, ()), metric.documentation)
    return found
