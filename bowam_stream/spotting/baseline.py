"""How much the regions of this face move when nothing happens: running noise, one figure per region."""

import numpy as np

from bowam_stream.clock import LEG_NS, NS_PER_MS
from bowam_stream.spotting.medians import median
from bowam_stream.spotting.regions import NAMES
from bowam_stream.spotting.settings import SpottingSettings

_SAMPLE_MS = 50.0  # departures are kept this far apart
_RENEW_MS = 250.0
_LEG_MS = LEG_NS // NS_PER_MS


class Baseline:
    """Median departure of each region over the last seconds: an event is too short to move it, talking is not."""

    def __init__(self, settings: SpottingSettings) -> None:
        self._settings = settings
        self._kept = np.zeros((int(settings.baseline_ms / _SAMPLE_MS), len(NAMES)))
        self._count = 0
        self._sampled_ms = self._renewed_ms = -np.inf
        self.sigma = np.full(len(NAMES), settings.noise_prior_px)

    @property
    def warming_up(self) -> bool:
        return self._count * _SAMPLE_MS < self._settings.warm_up_ms

    def lately(self, span_ms: float) -> np.ndarray:
        """Median departure of each region (R,) over the last `span_ms`, in px."""
        count = min(self._count, round(span_ms / _SAMPLE_MS))
        last = self._kept[np.arange(self._count - count, self._count) % len(self._kept)]
        return median(last) if count else np.zeros(len(NAMES))

    def push(self, t_ms: float, lengths: np.ndarray) -> None:
        """Take in how far each region (R,) is from its reference, in px."""
        anew = t_ms // _LEG_MS != self._sampled_ms // _LEG_MS
        if t_ms - self._sampled_ms < _SAMPLE_MS and not anew:
            return
        self._sampled_ms = t_ms
        self._kept[self._count % len(self._kept)] = lengths
        self._count += 1
        if t_ms - self._renewed_ms >= _RENEW_MS or anew:
            self._renewed_ms = t_ms
            # A length of two components of one sigma each has the median 1.177 sigma: 0.849 takes it back.
            spread = 0.849 * median(self._kept[: self._count])
            floor = self._settings.noise_prior_px if self.warming_up else self._settings.noise_floor_px
            self.sigma = np.maximum(spread, floor)
