"""The spotter alone, with a threshold of your own: no network, no socket.

python use_the_spotter_alone.py face.npy 100
"""

import sys
from collections.abc import Iterable

import numpy as np

from bowam_stream import Candidate, EndOfStream, Hello, Spotter, SpottingSettings, align


def main(frames: Iterable[np.ndarray], rate_hz: float) -> list[Candidate]:
    """Print each candidate, and the strongest signal that was seen."""
    hello = Hello(camera="mine", session="1", source="array", rate_hz=rate_hz, lossless=True)
    spotter = Spotter(SpottingSettings(threshold=6.0), hello)
    candidates: list[Candidate] = []
    seen, strongest = 0, 0.0
    for frame in align(frames, rate_hz):
        candidates += spotter.push(frame)
        seen += 1
        strongest = max([strongest, *(row.signal for row in spotter.trace)])
    end = EndOfStream(camera="mine", session="1", seq=seen, frames=seen)
    candidates += spotter.finish(end)
    for candidate in candidates:
        print(candidate.phase, candidate.kind, candidate.reason, candidate.apex.frame)
    print(f"{seen} frames, strongest signal {strongest:.1f} times the noise")
    return candidates


if __name__ == "__main__":
    main(np.load(sys.argv[1], mmap_mode="r"), float(sys.argv[2]))
