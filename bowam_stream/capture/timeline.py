"""From a recording's timestamps to media time: nanoseconds from 0 at the first frame, strictly increasing."""

from fractions import Fraction

from bowam_stream.clock import NS_PER_MS, NS_PER_SECOND

_JOIN_NS = NS_PER_SECOND  # a step back by more than this is a joint between two pieces, by less a jittering writer
_LONGEST_GAP_NS = 12 * 3600 * NS_PER_SECOND  # a step further ahead is a broken timestamp, or a joint again
_TICK_NS = NS_PER_MS // 1000


class Timeline:
    """Turns presentation timestamps into media time.

    A step forward is a gap and stays, up to half a day. What can't be true is mended: a missing timestamp follows its
    predecessor by one frame period, and so does the first one after a joint; one that does not increase follows by a
    microsecond.
    """

    def __init__(self, period_ns: int, start_ns: int = 0) -> None:
        self._period_ns = period_ns
        self._start_ns = start_ns
        self._shift_ns: int | None = None  # media time = timestamp + shift
        self._last_ns: int | None = None

    @property
    def next_ns(self) -> int:
        """Where the next frame is expected."""
        return self._start_ns if self._last_ns is None else self._last_ns + self._period_ns

    def push(self, stamp_s: Fraction | None) -> tuple[int, bool]:
        """Media time in ns of the next frame, and whether its timestamp had to be mended."""
        t_ns, mended = self.next_ns, True
        if stamp_s is not None:
            stamp_ns = round(stamp_s * NS_PER_SECOND)
            if self._shift_ns is None:
                self._shift_ns = t_ns - stamp_ns
            t_ns, mended = stamp_ns + self._shift_ns, False
            if self._last_ns is not None and not self._last_ns < t_ns <= self._last_ns + _LONGEST_GAP_NS:
                mended = True
                if self._last_ns - _JOIN_NS <= t_ns <= self._last_ns:
                    t_ns = self._last_ns + _TICK_NS
                else:
                    t_ns = self.next_ns
                    self._shift_ns = t_ns - stamp_ns
        self._last_ns = t_ns
        return t_ns, mended
