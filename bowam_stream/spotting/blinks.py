"""Blinks, from the opening of the eyes: a movement of its own, beside whatever the rest of the face does."""

import numpy as np

from bowam_stream.spotting import pulse
from bowam_stream.spotting.medians import median
from bowam_stream.spotting.pulse import Pulse
from bowam_stream.spotting.settings import SpottingSettings
from bowam_stream.spotting.trail import LIDS, Trail

_USUAL_MS = 3_000.0  # the eyes' usual opening is the median over this span
_LOOK_BACK_MS = 400.0  # a lid never takes longer to close


class BlinkWatch:
    """Reads the blink in progress, if there is one."""

    def __init__(self, settings: SpottingSettings) -> None:
        self._settings = settings
        self._closed_ms: float | None = None  # when the blink in progress was noticed
        self._usual = 0.0
        self._free_ms = -np.inf

    def read(self, trail: Trail) -> Pulse | None:
        """The blink as it looks now; None while the eyes are open."""
        t = float(trail.t_ms[-1])
        if self._closed_ms is None:
            past = trail.rows[trail.since(t - _USUAL_MS) :, LIDS]
            self._usual = float(median(past))
            if trail.rows[-1, LIDS] > (1.0 - self._settings.blink_closing) * self._usual:
                return None
            self._closed_ms = t
        first = trail.since(max(self._closed_ms - _LOOK_BACK_MS, self._free_ms))
        times, closing = trail.t_ms[first:], 1.0 - trail.rows[first:, LIDS] / max(self._usual, 1e-3)
        peak = trail.since(self._closed_ms) - first
        peak += int(np.argmax(closing[peak:]))
        return pulse.read(times, closing, peak, edge=self._settings.edge, release=self._settings.release)

    def done(self, offset_ms: float) -> None:
        """The blink is over; the next one begins after it."""
        self._closed_ms, self._free_ms = None, offset_ms
