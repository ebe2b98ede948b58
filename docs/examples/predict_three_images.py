"""Ask the network about three pictures of one movement: before, at its peak, and after it.

python predict_three_images.py onset.png apex.png offset.png
"""

import sys
from collections.abc import Sequence

import cv2
import numpy as np

from bowam_model import align_still, bidirectional_flow, load


def face_of(path: str) -> np.ndarray:
    """The aligned face, uint8 (240, 240) grey."""
    picture = cv2.imread(path)
    if picture is None:
        raise SystemExit(f"{path} is no picture")
    face = align_still(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB))
    if face is None:
        raise SystemExit(f"no face in {path}")
    return face.crop


def main(paths: Sequence[str]) -> dict[str, float]:
    """Print how far the face moved and what the network makes of it."""
    onset, apex, offset = (face_of(path) for path in paths)
    flow = bidirectional_flow(onset, apex, offset)  # from both ends: a movement counts twice
    print(f"largest flow: {np.linalg.norm(flow, axis=2).max():.1f} px of a 240 px face")
    probabilities = load().predict(onset, apex, offset)
    for label, probability in sorted(probabilities.items(), key=lambda pair: -pair[1]):
        print(f"{label:10} {probability:.2f}")
    return probabilities


if __name__ == "__main__":
    main(sys.argv[1:4])
