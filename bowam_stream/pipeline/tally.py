"""The capture's books: what became of every frame that was decoded."""

import threading
from collections import Counter

from bowam_stream.messages import Moment
from bowam_stream.metrics import CaptureMetrics


class Tally:
    """Where the frames of one session went, exactly; the metrics hear it as well. Several threads tell it.

    captured = published + dropped, once `settle` has been called.
    """

    def __init__(self, camera: str, metrics: CaptureMetrics) -> None:
        self._camera = camera
        self._metrics = metrics
        self._lock = threading.Lock()
        self._captured = self._published = 0
        self._dropped: Counter[str] = Counter()

    def captured(self, moment: Moment) -> None:
        """A frame was decoded. Numbers that its source passed over were frames that could not be used."""
        with self._lock:
            passed = moment.frame - self._captured
            self._captured += 1 + passed
        self._metrics.captured(self._camera, moment.t_ns, passed + 1)
        if passed:
            self.dropped("decode", "skipped", passed)

    def published(self) -> None:
        """A frame was handed to the transport."""
        with self._lock:
            self._published += 1
        self._metrics.published(self._camera)

    def dropped(self, stage: str, reason: str, count: int = 1) -> None:
        """`count` frames will never go out."""
        with self._lock:
            self._dropped[f"{stage}/{reason}"] += count
        self._metrics.dropped(self._camera, stage, reason, count)

    def settle(self) -> None:
        """The session is over: what was on its way between two stages is dropped."""
        with self._lock:
            left = self._captured - self._published - self._dropped.total()
        if left > 0:
            self.dropped("align", "stopped", left)

    def books(self) -> tuple[int, dict[str, int]]:
        """Frames captured, and those dropped by stage/reason."""
        with self._lock:
            return self._captured, dict(sorted(self._dropped.items()))
