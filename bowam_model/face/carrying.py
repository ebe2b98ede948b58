"""Carries an alignment from picture to picture between the runs of Face Mesh.

The rigid parts of the aligned face (nose, temples) of one picture, the key, are kept. Later pictures are registered
with it by inverse compositional Lucas-Kanade (Baker and Matthews, IJCV 2004, sections 3.2 and 3.3): a similarity of the
head, gain and offset of the light, residuals clipped. Since all pictures are compared with one key, errors don't
accumulate. Face Mesh says where the face is, but jitters by ten times more than the registration: what lies between the
two is followed slowly.

A similarity is a pair of complex numbers (a, b) here, which takes the point z = x + iy to a z + b.
"""

import math

import cv2
import numpy as np

from bowam_model.face.geometry import CROP_PX, warp_face

Similarity = tuple[complex, complex]

_NS_PER_SECOND = 1_000_000_000
_LEFT, _TOP, _WIDTH, _HEIGHT = 40, 62, 160, 60  # the part of the crop that is looked at
_MIDDLE = complex(_LEFT + _WIDTH / 2, _TOP + _HEIGHT / 2)
# Crop pixels (left, top, right, bottom) that no muscle moves much: the nose from between the eyes down, the temples.
_PARTS = ((104, 66, 136, 118), (42, 72, 62, 118), (178, 72, 198, 118))
_FEATHER_PX = 4.0
_ARM_PX = 60.0  # where rotation and growth are felt: brows and mouth

_STEPS = 6
_STILL_PX = 0.1  # a step that is shorter is the last: the next would be some ten times smaller
_CLIP = 3.0  # mean absolute residuals
_UNLIKE = 0.35  # share of the key's variance that may be left: more is another person, or a hand before the face
_WORN = 2.0  # times the share left at first: then another key is taken
_WORN_LEAST = 0.1
_LOST_PX = 6.0  # between Face Mesh and the registration
_FOLLOW_HZ = 0.1  # of the difference between the two: what is slower is believed to Face Mesh
_FOLLOW_HZ_PER_PX = 6.0  # more the further they are apart: a head that turns is no similarity
_NEAR_PX = 1.0
_AVERAGED = 20  # measurements of Face Mesh before anything is carried: what one alone is off by would be seen to fade


class Key:
    """The rigid parts of one aligned picture, ready to be found in others. Raise ValueError if they show nothing."""

    def __init__(self, image: np.ndarray, transform: Similarity) -> None:
        grey = _rigid_part(image, transform).astype(np.float32)
        self._grey = grey.ravel()[_WHERE]
        self._variance = float((_WEIGHT * (self._grey - _mean(self._grey)) ** 2).sum()) / _TOTAL
        dx, dy = (
            cv2.Sobel(grey, cv2.CV_32F, *order, ksize=3, scale=1 / 8).ravel()[_WHERE] for order in ((1, 0), (0, 1))
        )
        # How grey changes with growth, rotation (both in pixels at the arm's end), shift x, y, gain and offset.
        slopes = np.stack(
            [
                (dx * _X + dy * _Y) / _ARM_PX,
                (dy * _X - dx * _Y) / _ARM_PX,
                dx,
                dy,
                (self._grey - _mean(self._grey)) / math.sqrt(self._variance + 1e-9),
                np.ones_like(dx),
            ]
        ).astype(np.float64)
        weighted = slopes * _WEIGHT
        normal = np.einsum("in,jn->ij", weighted, slopes)
        if self._variance < 4.0 or np.linalg.cond(normal) > 1e6:
            raise ValueError("nothing to hold on to")
        self._solve = np.einsum("ij,jn->in", np.linalg.inv(normal), weighted).astype(np.float32)
        self._light = slopes[4:].astype(np.float32)
        self._gain_offset = np.zeros(2, np.float32)

    def find(self, image: np.ndarray, guess: Similarity) -> tuple[Similarity, float] | None:
        """Where the key's face is in `image`, and the share of its variance that differs. None if it isn't found."""
        (a, b), (gain, offset) = guess, self._gain_offset
        for _ in range(_STEPS):
            now = _rigid_part(image, (a, b)).ravel()[_WHERE].astype(np.float32)
            rest = now - self._grey - gain * self._light[0] - offset
            limit = _CLIP * float(np.abs(rest).mean())
            # einsum: BLAS would share the sum among threads, and its last bits would depend on how many there are
            growth, turn, x, y, more_gain, more_offset = np.einsum(
                "in,n->i", self._solve, np.clip(rest, -limit, limit)
            ).tolist()
            gain, offset = gain + np.float32(more_gain), offset + np.float32(more_offset)
            scale = 1.0 + complex(growth, turn) / _ARM_PX
            a, b = scale * a, scale * (b - _MIDDLE) + complex(x, y) + _MIDDLE
            if math.hypot(growth, turn, x, y) < _STILL_PX:
                unlike = float((_WEIGHT * rest * rest).sum()) / _TOTAL / self._variance
                if unlike > _UNLIKE:
                    return None
                self._gain_offset = np.array([gain, offset], np.float32)
                return (a, b), unlike
        return None


class Carrier:
    """The alignment of one face, at any picture."""

    def __init__(self) -> None:
        self._key: Key | None = None
        self._fresh = 0.0  # how unlike the key's own next picture was
        self._unlike: float | None = None
        self._now: Similarity = (1.0, 0.0)  # as the key sees it
        self._step: Similarity = (0.0, 0.0)
        self._correction: Similarity = (0.0, 0.0)  # of Face Mesh: share and shift, about the crop's middle
        self._measured = 0
        self._measured_ns = 0

    def carry(self, image: np.ndarray) -> np.ndarray | None:
        """The transform, float64 (2, 3), for the next picture; None if Face Mesh is needed."""
        if self._measured < _AVERAGED or not self._register(image):
            return None
        return _matrix(self._corrected())

    def measure(self, image: np.ndarray, transform: np.ndarray, t_ns: int) -> np.ndarray:
        """The transform for the next picture, for which Face Mesh measured `transform` at `t_ns`."""
        measured = _pair(transform)
        if not self._register(image):
            return self._start(image, measured, t_ns)
        a, b = self._now
        scale = measured[0] / a  # what takes the registration to the measurement
        target = (scale - 1.0, measured[1] + scale * (_CENTRE - b) - _CENTRE)
        apart = (target[0] - self._correction[0], target[1] - self._correction[1])
        apart_px = math.hypot(abs(apart[0]) * _ARM_PX, abs(apart[1]))
        if apart_px > _LOST_PX:
            return self._start(image, measured, t_ns)
        dt_s = max(t_ns - self._measured_ns, 1) / _NS_PER_SECOND
        hz = _FOLLOW_HZ + _FOLLOW_HZ_PER_PX * max(0.0, apart_px - _NEAR_PX)
        self._measured, self._measured_ns = self._measured + 1, t_ns
        # At first the mean of all measurements: the first one alone may be off by as much as any.
        share = max(1.0 / self._measured, 1.0 - math.exp(-2.0 * math.pi * hz * dt_s))
        self._correction = (self._correction[0] + share * apart[0], self._correction[1] + share * apart[1])
        corrected = self._corrected()
        if self._unlike is not None and self._unlike > max(_WORN_LEAST, _WORN * self._fresh):
            self._take_key(image, corrected)
        return _matrix(corrected)

    def _register(self, image: np.ndarray) -> bool:
        """Find the key's face in `image`, or forget the key."""
        if self._key is None:
            return False
        (a, b), (a_step, b_step) = self._now, self._step
        found = self._key.find(image, (a + a_step, b + b_step))
        if found is None:
            self._key, self._measured = None, 0
            return False
        self._now, self._unlike = found
        self._step = (self._now[0] - a, self._now[1] - b)
        self._fresh = self._fresh or self._unlike
        return True

    def _start(self, image: np.ndarray, measured: Similarity, t_ns: int) -> np.ndarray:
        self._take_key(image, measured)
        self._step = (0.0, 0.0)
        self._measured, self._measured_ns = 1, t_ns
        return _matrix(measured)

    def _take_key(self, image: np.ndarray, transform: Similarity) -> None:
        try:
            self._key = Key(image, transform)
        except ValueError:
            self._key = None
        self._now, self._correction, self._fresh = transform, (0.0, 0.0), 0.0

    def _corrected(self) -> Similarity:
        (a, b), (share, shift) = self._now, self._correction
        return (1.0 + share) * a, (1.0 + share) * (b - _CENTRE) + shift + _CENTRE


def _pair(transform: np.ndarray) -> Similarity:
    (a, _, x), (c, _, y) = transform.tolist()
    return complex(a, c), complex(x, y)


def _matrix(pair: Similarity) -> np.ndarray:
    a, b = pair
    return np.array([[a.real, -a.imag, b.real], [a.imag, a.real, b.imag]])


def _rigid_part(image: np.ndarray, transform: Similarity) -> np.ndarray:
    a, b = transform
    return warp_face(image, _matrix((a, b - complex(_LEFT, _TOP))), (_WIDTH, _HEIGHT))


def _mean(grey: np.ndarray) -> float:
    return float((_WEIGHT * grey).sum()) / _TOTAL


def _rigid_weight() -> np.ndarray:
    """1 within the rigid parts, falling to 0 at their edges; float32 (_HEIGHT, _WIDTH)."""
    y, x = np.mgrid[_TOP : _TOP + _HEIGHT, _LEFT : _LEFT + _WIDTH].astype(np.float32)
    inside = [np.minimum.reduce([x - left, right - x, y - top, bottom - y]) for left, top, right, bottom in _PARTS]
    return np.clip(np.maximum.reduce(inside) / _FEATHER_PX, 0.0, 1.0).astype(np.float32)


_CENTRE = complex(CROP_PX / 2, CROP_PX / 2)
_SHEET = _rigid_weight()
_WHERE = np.flatnonzero(_SHEET)
_WEIGHT = _SHEET.ravel()[_WHERE]
_TOTAL = float(_WEIGHT.sum())
_Y, _X = (
    np.indices(_SHEET.shape, dtype=np.float32).reshape(2, -1)[:, _WHERE] - np.array([[_HEIGHT / 2], [_WIDTH / 2]])
).astype(np.float32)
