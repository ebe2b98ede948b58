"""How the page writes numbers and times."""

from collections.abc import Callable

import numpy as np

from bowam_stream.clock import NS_PER_SECOND, to_ms
from bowam_stream.report.matching import TrueEvent
from bowam_stream.report.words import KINDS, QUALITY, plain


def since_start(t_ns: int) -> str:
    """Minutes, seconds and milliseconds, with hours where there are any."""
    ms = to_ms(t_ns)
    sign, ms = ("-", -ms) if ms < 0 else ("", ms)
    minutes, ms = divmod(ms, 60_000)
    hours, minutes = divmod(minutes, 60)
    tail = f"{ms // 1000:02d}.{ms % 1000:03d}"
    return f"{sign}{hours}:{minutes:02d}:{tail}" if hours else f"{sign}{minutes}:{tail}"


def time(seconds: float) -> str:
    """The same of seconds."""
    return since_start(round(float(seconds) * NS_PER_SECOND))


def clock(seconds: float) -> str:
    """Minutes and seconds, with hours where there are any."""
    minutes, rest = divmod(round(float(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def duration(seconds: float) -> str:
    """A length of time in words."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def signed(milliseconds: float) -> str:
    """An error in whole milliseconds."""
    return f"{milliseconds:+.0f} ms" if np.rint(milliseconds) else "0 ms"


def percent(share: float) -> str:
    return f"{100 * share:.0f}%"


def rate(value: float | None) -> str:
    """A rate, or a dash where there is none."""
    if value is None:
        return "–"
    return f"{value:.1f}" if 0 < value < 100 else f"{value:.0f}"


def true_title(true: TrueEvent) -> str:
    return true.label or plain(true.kind, KINDS)


def quality(word: str) -> str:
    return plain(word, QUALITY)


FILTERS: dict[str, Callable[..., str]] = {
    "time": time,
    "clock": clock,
    "duration": duration,
    "signed": signed,
    "percent": percent,
    "rate": rate,
    "true_title": true_title,
    "quality": quality,
}
