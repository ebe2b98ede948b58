"""Plays a recording at its own speed. Says how long to wait; the process around it waits."""


class Pacer:
    """Ties the media time of the first frame to the moment at which it was asked for."""

    def __init__(self, speed: float = 1.0) -> None:
        """`speed` is media time over real time: 2.0 plays twice as fast."""
        if not speed > 0:
            raise ValueError(f"speed must be positive, not {speed}")
        self._speed = speed
        self._start: tuple[int, int] | None = None

    def wait_ns(self, t_ns: int, now_ns: int) -> int:
        """Nanoseconds until the frame of media time `t_ns` is due; 0 if it is late.

        A late frame does not shift the ones after it: they catch up.
        """
        if self._start is None:
            self._start = (t_ns, now_ns)
        first_t_ns, first_now_ns = self._start
        due_ns = first_now_ns + round((t_ns - first_t_ns) / self._speed)
        return max(0, due_ns - now_ns)
