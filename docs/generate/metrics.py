"""What Prometheus finds at a capture and at a worker, from the registries that they serve."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from bowam_stream.metrics import CaptureMetrics, MetricsServer, WorkerMetrics
from docs.generate.sources import code, definitions, inline


class Found(NamedTuple):
    """One metric of one process."""

    kind: str
    labels: tuple[str, ...]
    meaning: str


def metrics() -> str:
    """One list: the metrics that only one of both has, and those of both."""
    ours = served()
    rows = []
    for name in sorted({name for found in ours.values() for name in found}):
        processes = [process for process, found in ours.items() if name in found]
        one = ours[processes[0]][name]
        by = f" by {', '.join(map(code, one.labels))}" if one.labels else ""
        rows.append((code(name), f"{inline(one.meaning)} {one.kind.capitalize()}{by}, at {' and '.join(processes)}."))
    return definitions(rows)


def served() -> dict[str, Mapping[str, Found]]:
    """Process -> name -> what is served there; the server adds some of its own."""
    found = {}
    for process, kind in {"capture": CaptureMetrics, "worker": WorkerMetrics}.items():
        made = kind()
        with MetricsServer(made, port=0):
            found[process] = dict(_of(made.registry))
    return found


def _of(registry: Any) -> list[tuple[str, Found]]:
    names = registry._collector_to_names.items()  # how the client knows whose labels they are
    labels = {name: tuple(getattr(collector, "_labelnames", ())) for collector, known in names for name in known}
    suffixes = {"counter": "_total", "info": "_info"}
    return [
        (
            metric.name + suffixes.get(metric.type, ""),
            Found(metric.type, labels.get(metric.name, ()), metric.documentation),
        )
        for metric in registry.collect()
    ]
