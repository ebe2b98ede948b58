"""Time, in nanoseconds. Stages own no clock: the processes around them read it here and pass it in.

Two clocks: the *monotonic* one orders frames of a live camera and measures ages; on Linux it is the clock of V4L2, of
Lab Streaming Layer and of every process of one machine. UTC dates an event for people and is never subtracted.
"""

import functools
import hashlib
import os
import time
from pathlib import Path

NS_PER_MS = 1_000_000
NS_PER_SECOND = 1_000_000_000
LEG_NS = 30 * NS_PER_SECOND  # of media time; see bowam_model.face.legs, whose length this is


def monotonic_ns() -> int:
    """Nanoseconds of CLOCK_MONOTONIC; comparable between processes of one machine, meaningless on another."""
    return time.monotonic_ns()


def utc_ns() -> int:
    """Nanoseconds since 1970-01-01 UTC; may jump when the clock is set."""
    return time.time_ns()


@functools.cache
def clock_id() -> str:
    """Name of the monotonic clock that this process reads; two processes with one name may compare their times.

    It follows from the boot of the machine and the time namespace (containers of one machine share both as a rule).
    """
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    namespace = os.readlink("/proc/self/ns/time")
    return hashlib.blake2b(f"{boot} {namespace}".encode(), digest_size=8).hexdigest()


def leg(t_ns: int) -> int:
    """Number of the leg that a moment belongs to: at its first frame, whatever follows its own past is renewed."""
    return t_ns // LEG_NS


def to_ms(t_ns: int) -> int:
    """Nanoseconds as whole milliseconds; half a millisecond rounds up. Page, report and every export round so."""
    return (t_ns + NS_PER_MS // 2) // NS_PER_MS
