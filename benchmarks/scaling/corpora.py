"""Which recordings there are, and how they are cut: assumptions, stated here and nowhere else."""

import math
import random
from collections.abc import Callable, Sequence

import msgspec


class Cut(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How recordings become pieces. The defaults are those of `bowam replay` and of `bowam_stream.pipeline.parts`."""

    segment_s: float = 15 * 60.0  # of video in a part; inf: never cut
    lead_in_s: float = 90.0  # that a part looks at before it begins; a last part shorter than this is none
    together_s: float = 0.0  # recordings that follow each other are one piece, up to so many seconds of video


class Watching(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What watching costs one core."""

    rate_hz: float  # frames in a second of video
    frame_s: float  # a frame: decode, Face Mesh, alignment, spotting
    piece_s: float = 0.0  # a piece, however short: its file and its models are opened
    spread: float = 0.0  # standard deviation of the logarithm of a recording's time for a frame
    straggling: float = 0.0  # probability that a piece takes so many times as long:
    straggler: float = 1.0


def clips(random: random.Random) -> float:
    """Many short recordings, as laboratory corpora have: 3 s to 5 min, evenly over the logarithm."""
    return math.exp(random.uniform(math.log(3.0), math.log(300.0)))


def interviews(random: random.Random) -> float:
    """About an hour each: 60 +- 10 minutes, at least 20."""
    return max(random.gauss(3600.0, 600.0), 1200.0)


def mixed(random: random.Random) -> float:
    """In equal numbers: short clips, sessions of 5 to 30 minutes, and interviews."""
    return random.choice((clips, sessions, interviews))(random)


def sessions(random: random.Random) -> float:
    """5 to 30 minutes, evenly."""
    return random.uniform(300.0, 1800.0)


SHAPES: dict[str, Callable[[random.Random], float]] = {"mixed": mixed, "interviews": interviews, "clips": clips}


def lengths(shape: str, hours: float, seed: int = 0) -> list[float]:
    """Seconds of each recording of a corpus of so many hours."""
    draw, rng = SHAPES[shape], random.Random(seed)
    found: list[float] = []
    left_s = hours * 3600.0
    while left_s > 0:
        found.append(min(draw(rng), left_s))
        left_s -= found[-1]
    return found


def parts(length_s: float, cut: Cut) -> list[float]:
    """Seconds of video that each part of a recording looks at: the first its own, the others with their lead-in."""
    whole, rest_s = divmod(length_s, cut.segment_s)
    if not whole:
        return [length_s]
    own = [cut.segment_s] * int(whole)
    if rest_s >= cut.lead_in_s:
        own.append(rest_s)
    else:
        own[-1] += rest_s
    return [own[0], *(seconds + cut.lead_in_s for seconds in own[1:])]


def work(recordings: Sequence[float], cut: Cut, watching: Watching, seed: int = 0) -> list[list[float]]:
    """Seconds that the parts of each recording take alone; of recordings that are one piece, that piece."""
    rng = random.Random(seed)

    def taken(seconds: float, much: float) -> float:
        if watching.straggling and rng.random() < watching.straggling:
            much *= watching.straggler
        return watching.piece_s + seconds * watching.rate_hz * watching.frame_s * much

    found: list[list[float]] = []
    filled_s = math.inf
    for length_s in recordings:
        much = math.exp(rng.gauss(-(watching.spread**2) / 2, watching.spread)) if watching.spread else 1.0  # mean: 1
        taken_s = [taken(seconds, much) for seconds in parts(length_s, cut)]
        if filled_s + length_s <= cut.together_s:
            found[-1][0] += taken_s[0]
            filled_s += length_s
        else:
            found.append(taken_s)
            filled_s = length_s
    return found
