"""Find the micro-expressions of a video that lies in memory as an array.

python spot_numpy_video.py face.npy 100

The array is uint8 (T, H, W) or (T, H, W, 3); 100 are its frames per second.
"""

import sys
from collections.abc import Iterable

import numpy as np

from bowam_stream import Event, spot


def main(frames: Iterable[np.ndarray], rate_hz: float) -> list[Event]:
    """Print each with its frames, its label and whatever weakens it."""
    found = []
    for event in spot(frames, rate_hz):
        if event.phase == "final" and event.kind == "micro":
            assert event.offset is not None  # a final event has one
            print("frames", event.onset.frame, event.apex.frame, event.offset.frame)
            print(f"  {event.label}, confidence {event.confidence:.2f}")
            print(f"  {event.spotting_score:.1f} times the noise", *event.quality)
            found.append(event)
    return found


if __name__ == "__main__":
    main(np.load(sys.argv[1], mmap_mode="r"), float(sys.argv[2]))
