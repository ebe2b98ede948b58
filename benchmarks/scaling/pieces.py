"""What is handed to an engine here. At the top of a module that other processes can import."""

import pickle
import resource
import sys
import time
from typing import NamedTuple


class Took(NamedTuple):
    """What watching a recording took."""

    frames: int
    processor_s: float  # of all threads
    wall_s: float
    media_s: float  # of video
    result_bytes: int
    peak_mb: float  # the most memory that this process has had so far


def nothing(number: int) -> int:
    """A piece that costs nothing: what is left is the engine's."""
    return number


def watched(path: str, loops: int = 1) -> Took:
    """A recording, so many times on end, as it is watched where there are many of them."""
    from bowam_stream.capture import SourceSettings
    from bowam_stream.config import Config
    from bowam_stream.pipeline.parts import Part
    from bowam_stream.pipeline.watching import watch

    wall_s, processor_s = time.perf_counter(), time.process_time()
    seen = watch(Part(path=path, camera="c"), Config(source=SourceSettings(loops=loops)))
    processor_s, wall_s = time.process_time() - processor_s, time.perf_counter() - wall_s
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return Took(seen.frames, processor_s, wall_s, seen.duration_ns / 1e9, len(pickle.dumps(seen)), peak_mb)


if __name__ == "__main__":
    print(watched(sys.argv[1]).peak_mb)
