"""Holds the alignment still while the head is still, and follows the head when it moves."""

import numpy as np

from bowam_model.face.geometry import CROP_PX, inverse
from bowam_model.face.legs import leg, settled

_NS_PER_SECOND = 1_000_000_000
_CENTRE = np.array([CROP_PX / 2, CROP_PX / 2])
_ARM_PX = 60.0  # distance of brows and mouth from the centre: turns rotation and scale into motion of what matters


class SteadyTransform:
    """One-euro filter (Casiez 2012) on the four parameters of a similarity, in media time.

    The similarity is stated as where the crop's centre and a point one arm to its right lie in the picture. One cut-off
    frequency serves all four: cutoff + follow * (speed - noise), where speed is how fast they move, in crop pixels per
    second. Face Mesh on a still face with sensor noise jitters by 0.26 px at brows and mouth, white in time, which
    looks like 3 to 4 px/s; `noise_px_s` may change with whoever measures.
    """

    def __init__(self, cutoff_hz: float, follow_hz_per_px_s: float, noise_px_s: float, speed_cutoff_hz: float) -> None:
        self._cutoff_hz, self._follow = cutoff_hz, follow_hz_per_px_s
        self.noise_px_s, self._speed_cutoff_hz = noise_px_s, speed_cutoff_hz
        self._t_ns: int | None = None
        self._raw = np.zeros(4)
        self._velocity = np.zeros(4)  # source pixels per second
        self._state = np.zeros(4)

    def push(self, transform: np.ndarray, t_ns: int) -> np.ndarray:
        """The steadied transform, float64 (2, 3), for the one measured at `t_ns`."""
        raw = _to_state(transform)
        if self._t_ns is None:
            self._state = raw
        else:
            dt_s = max(t_ns - self._t_ns, 1) / _NS_PER_SECOND
            velocity = (raw - self._raw) / dt_s
            self._velocity = self._velocity + _share(self._speed_cutoff_hz, dt_s) * (velocity - self._velocity)
            source_per_crop_px = float(np.hypot(*self._state[2:])) / _ARM_PX
            speed_px_s = float(np.linalg.norm(self._velocity)) / source_per_crop_px
            cutoff_hz = self._cutoff_hz + self._follow * max(0.0, speed_px_s - self.noise_px_s)
            self._state = self._state + _share(cutoff_hz, dt_s) * (raw - self._state)
            if leg(t_ns) != leg(self._t_ns):
                self._state, self._velocity = settled(self._state), settled(self._velocity)
        self._raw, self._t_ns = raw, t_ns
        return _to_transform(self._state)


def _share(cutoff_hz: float, dt_s: float) -> float:
    """How much of a step a first-order low-pass follows within `dt_s`."""
    return float(1.0 - np.exp(-2.0 * np.pi * cutoff_hz * dt_s))


def _to_state(transform: np.ndarray) -> np.ndarray:
    linear = inverse(transform[:, :2])
    centre = linear @ (_CENTRE - transform[:, 2])
    return np.concatenate([centre, _ARM_PX * linear[:, 0]])


def _to_transform(state: np.ndarray) -> np.ndarray:
    (x, y), (c, s) = state[:2], state[2:] / _ARM_PX
    linear = inverse(np.array([[c, -s], [s, c]]))
    return np.column_stack([linear, _CENTRE - linear @ (x, y)])
