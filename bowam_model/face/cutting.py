"""From the faces that were found in a picture to aligned ones.

Apart from finding them, since it takes a fifth of the time and can be done while Face Mesh looks at the next picture.
"""

from dataclasses import dataclass

import numpy as np

from bowam_model.face.legs import leg
from bowam_model.face.mesh import FaceFinder
from bowam_model.face.portrait import AlignedFace, SeenFace, describe, to_rgb
from bowam_model.face.steady import SteadyTransform


class Person:
    """What is remembered of a track from one crop to the next."""

    def __init__(self, track: int, steady: SteadyTransform) -> None:
        self.track = track
        self.steady = steady
        self.confidence = 0.0
        self.looked_ns: int | None = None  # when the detector last looked


@dataclass(frozen=True, eq=False)
class FoundFace:
    """A face, and whose it is."""

    face: SeenFace
    person: Person
    noise_px_s: float  # of the alignment, see SteadyTransform


@dataclass(frozen=True, eq=False)
class Found:
    """The faces of one picture, before they are cut out."""

    image: np.ndarray
    t_ns: int
    faces: tuple[FoundFace, ...] = ()


class Cutter:
    """Cuts out and describes the faces of one picture after another."""

    def __init__(self, crop_px: int, look_every_ns: int) -> None:
        """Raise MissingDependency if mediapipe or one of its system libraries is not installed."""
        self._crop_px, self._look_every_ns = crop_px, look_every_ns
        self._finder = FaceFinder()

    def cut(self, found: Found) -> tuple[AlignedFace, ...]:
        """The aligned faces; the largest comes first."""
        self._look(found)
        aligned = []
        for each in found.faces:
            each.person.steady.noise_px_s = each.noise_px_s
            aligned.append(
                describe(
                    found.image,
                    each.face,
                    each.person.steady.push(each.face.transform, found.t_ns),
                    track=each.person.track,
                    confidence=each.person.confidence,
                    crop_px=self._crop_px,
                )
            )
        return tuple(sorted(aligned, key=lambda face: -face.size_px))

    def close(self) -> None:
        """Free the model."""
        self._finder.close()

    def _look(self, found: Found) -> None:
        """Now and then, let the detector say how face-like the followed faces are."""
        if not any(self._is_due(each.person.looked_ns, found.t_ns) for each in found.faces):
            return
        boxes = self._finder.find(to_rgb(found.image))
        for face, person in ((each.face, each.person) for each in found.faces):
            here = [box.score for box in boxes if np.linalg.norm(box.centre - face.centre) < face.size_px / 2]
            person.confidence, person.looked_ns = max(here, default=0.0), found.t_ns

    def _is_due(self, looked_ns: int | None, t_ns: int) -> bool:
        return looked_ns is None or t_ns - looked_ns >= self._look_every_ns or leg(looked_ns) != leg(t_ns)
