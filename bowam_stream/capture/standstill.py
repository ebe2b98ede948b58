"""A camera that sends the same picture again and again looks like a person who keeps still, and is none."""

import numpy as np

from bowam_stream.clock import NS_PER_MS

FROZEN = "frozen"  # what its frames and their events say

_AFTER_NS = 500 * NS_PER_MS  # a camera may repeat a picture or two, to keep up its rate; no movement is seen by then
_GLANCE = 16  # every so many pixels: most pictures are told apart by these


class Standstill:
    """Says of each picture whether it repeats what came before for too long. Noise keeps a sensor's pictures apart."""

    def __init__(self) -> None:
        self._last: np.ndarray | None = None
        self._since_ns = 0

    def push(self, image: np.ndarray, t_ns: int) -> bool:
        """Whether the camera stands still. Nobody may write to `image`, uint8 (H, W) or (H, W, 3), any more."""
        if self._last is None or not _same(image, self._last):
            self._since_ns = t_ns
        self._last = image
        return t_ns - self._since_ns >= _AFTER_NS


def _same(a: np.ndarray, b: np.ndarray) -> bool:
    return np.array_equal(a[::_GLANCE, ::_GLANCE], b[::_GLANCE, ::_GLANCE]) and np.array_equal(a, b)
