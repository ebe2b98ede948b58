"""Time, in nanoseconds. Stages own no clock: the processes around them read it here and pass it in.

Two clocks: the *monotonic* one orders frames of a live camera and measures ages; on Linux it is the clock of V4L2, of
Lab Streaming Layer and of every process of one machine. UTC dates an event for people and is never subtracted.
"""

import time

NS_PER_MS = 1_000_000
NS_PER_SECOND = 1_000_000_000


def monotonic_ns() -> int:
    """Nanoseconds of CLOCK_MONOTONIC; comparable between processes of one machine, meaningless on another."""
    return time.monotonic_ns()


def utc_ns() -> int:
    """Nanoseconds since 1970-01-01 UTC; may jump when the clock is set."""
    return time.time_ns()
