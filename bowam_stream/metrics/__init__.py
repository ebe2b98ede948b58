"""What Prometheus and a probe see of a process.

collectors.py    CaptureMetrics and WorkerMetrics: the numbers, each with a registry of its own
server.py        MetricsServer: /metrics, /livez, /readyz
"""

from bowam_stream.metrics.collectors import CaptureMetrics, StageHook, StageTiming, WorkerMetrics, timed
from bowam_stream.metrics.server import Check, Heartbeat, MetricsServer

__all__ = [
    "CaptureMetrics",
    "Check",
    "Heartbeat",
    "MetricsServer",
    "StageHook",
    "StageTiming",
    "WorkerMetrics",
    "timed",
]
