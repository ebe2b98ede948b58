"""The recent past of one face as plain arrays, bounded in memory."""

import numpy as np

from bowam_stream.clock import NS_PER_MS
from bowam_stream.messages import Moment
from bowam_stream.spotting.regions import NAMES

POSITIONS = slice(0, 2 * len(NAMES))  # x, y of each region against the skull, crop px
PLACE = slice(POSITIONS.stop, POSITIONS.stop + 2)  # the head in the source picture, in crop px
LIDS = PLACE.stop  # eye aspect ratio
BRIGHTNESS = LIDS + 1  # logarithm of the mean grey level
WIDTH = BRIGHTNESS + 1


class Trail:
    """Rows of the last `span` frames. Views are valid until the next `append`."""

    def __init__(self, span: int) -> None:
        self._span = span
        self._rows = np.zeros((2 * span, WIDTH))
        self._t_ms = np.zeros(2 * span)
        self._moments: list[Moment] = []
        self._end = 0

    def __len__(self) -> int:
        return min(self._end, self._span)

    def append(self, moment: Moment, row: np.ndarray) -> None:
        if self._end == len(self._t_ms):
            kept = self._span
            self._rows[:kept], self._t_ms[:kept] = self._rows[-kept:], self._t_ms[-kept:]
            self._moments = self._moments[-kept:]
            self._end = kept
        self._rows[self._end] = row
        self._t_ms[self._end] = moment.t_ns / NS_PER_MS
        self._moments.append(moment)
        self._end += 1

    def count_from(self, origin: np.ndarray) -> None:
        """Positions, those that are kept as well, from now on against `origin` (R, 2)."""
        self._rows[: self._end, POSITIONS] -= origin.reshape(-1)

    @property
    def t_ms(self) -> np.ndarray:
        return self._t_ms[max(0, self._end - self._span) : self._end]

    @property
    def rows(self) -> np.ndarray:
        return self._rows[max(0, self._end - self._span) : self._end]

    def since(self, t_ms: float) -> int:
        """Index of the first row at or after a time."""
        return int(np.searchsorted(self.t_ms, t_ms))

    def first_from(self, t_ms: float) -> Moment:
        """The first frame at or after a time, or the last there is."""
        return self._moment(min(self.since(t_ms), len(self) - 1))

    def last_until(self, t_ms: float) -> Moment:
        """The last frame at or before a time, or the first there is."""
        return self._moment(max(int(np.searchsorted(self.t_ms, t_ms, side="right")) - 1, 0))

    def nearest(self, t_ms: float) -> Moment:
        """The frame closest to a time."""
        times = self.t_ms
        after = min(self.since(t_ms), len(times) - 1)
        before = max(after - 1, 0)
        return self._moment(before if t_ms - times[before] <= times[after] - t_ms else after)

    def _moment(self, index: int) -> Moment:
        return self._moments[len(self._moments) - len(self) + index]
