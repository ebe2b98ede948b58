"""Faces of one picture after another: which person, where, how well seen.

Everything depends on the pictures and their media times alone, so that a replay gives the same bits.
"""

from collections import deque
from dataclasses import replace
from types import TracebackType
from typing import Annotated, Self

import msgspec
import numpy as np

from bowam_model.face.carrying import Carrier
from bowam_model.face.cutting import Cutter, Found, FoundFace, Person
from bowam_model.face.geometry import CROP_PX
from bowam_model.face.legs import leg
from bowam_model.face.likeness import difference, is_cut, is_other_person, look_at_picture
from bowam_model.face.mesh import Box, FaceFinder, FaceMesh
from bowam_model.face.portrait import AlignedFace, SeenFace, move_face, require_picture, see_face, to_rgb
from bowam_model.face.steady import SteadyTransform

_NS_PER_MS, _NS_PER_SECOND = 1_000_000, 1_000_000_000
_SAME_PLACE = 0.6  # face widths between two pictures: further away it is another face
_SAME_SIZE = 1.5
_INTERVALS = 8  # between pictures, whose mean says how fast they come
_LOOKS = 6  # at the picture in which a face was found: Face Mesh's first shape is off by pixels, then it settles


class FaceSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How faces are followed and aligned."""

    crop_px: Annotated[int, msgspec.Meta(ge=32, le=2048)] = CROP_PX  # side of the square crop
    max_faces: Annotated[int, msgspec.Meta(ge=1, le=100)] = 1  # 1: the most prominent face is followed
    keep_track_ms: float = 400.0  # a face that is lost for longer comes back as a new track
    look_every_ms: float = 500.0  # how often the detector says anew how face-like a face is
    # Face Mesh runs at most mesh_hz times a second where pictures come faster than carry_above_hz; between its runs the
    # alignment is carried by the rigid parts of the face (see Carrier). 0: Face Mesh in every picture.
    mesh_hz: Annotated[float, msgspec.Meta(ge=0)] = 20.0
    carry_above_hz: Annotated[float, msgspec.Meta(ge=0)] = 75.0
    # Low-pass of the alignment (see SteadyTransform); chosen for the least motion that is left at brows and mouth over
    # 200 ms on still, drifting, trembling, nodding and shifting heads.
    cutoff_hz: float = 0.6
    follow_hz_per_px_s: float = 1.0
    noise_px_s: float = 4.0
    carried_noise_px_s: float = 1.0  # the same where the alignment is carried, which jitters less
    speed_cutoff_hz: float = 2.0


class _Track:
    """One person: what is remembered from picture to picture."""

    def __init__(self, number: int, settings: FaceSettings) -> None:
        steady = SteadyTransform(
            settings.cutoff_hz, settings.follow_hz_per_px_s, settings.noise_px_s, settings.speed_cutoff_hz
        )
        self.person = Person(number, steady)
        self.seen_ns = 0
        self.last: SeenFace | None = None
        self.noise_px_s = settings.noise_px_s  # of whoever measures now
        self.carrier: Carrier | None = None  # where pictures come fast enough


class FaceAligner:
    """Finds, follows and aligns the faces of a stream of pictures.

    `align` does it all. `find` and `cut` are its two parts, for two threads: each sees every picture, in their order.
    """

    def __init__(self, settings: FaceSettings = FaceSettings(), *, live: bool = False) -> None:
        """Raise MissingDependency if mediapipe or one of its system libraries is not installed.

        `live`: faces are not searched anew at the beginning of every leg, which takes some 50 ms.
        """
        self._settings = settings
        self._searches = not live
        self._finder = FaceFinder()
        self._mesh = FaceMesh(settings.max_faces)
        self._cutter = Cutter(settings.crop_px, int(settings.look_every_ms * _NS_PER_MS))
        self._following = False  # the mesh has a face to follow
        self._picture: np.ndarray | None = None  # the last that Face Mesh saw
        self._times_ns: deque[int] = deque(maxlen=_INTERVALS + 1)  # of the last pictures
        self._mesh_ns = 0
        self._present: list[_Track] = []  # in the last picture
        self._tracks: list[_Track] = []
        self._next_number = 0

    def align(self, image: np.ndarray, t_ns: int) -> tuple[AlignedFace, ...]:
        """Faces in `image`, uint8 (H, W) grey or (H, W, 3) RGB, taken at media time `t_ns`; the largest comes first.

        Times must not decrease. Raise ImageError for any other array.
        """
        return self.cut(self.find(image, t_ns))

    def find(self, image: np.ndarray, t_ns: int) -> Found:
        """Where the faces are and whose they are: `align` without the crops. Nobody may write to `image` any more."""
        require_picture(image)
        self._times_ns.append(t_ns)
        fast = self._is_fast()
        anew = leg(t_ns) != leg(self._mesh_ns)
        if fast and not anew and (t_ns - self._mesh_ns) * self._settings.mesh_hz < _NS_PER_SECOND:
            carried = self._carry(image)
            if carried is not None:
                return self._found(image, carried, self._present, t_ns)
        picture = look_at_picture(image)
        if picture is None:
            return Found(image, t_ns)
        change = 0.0 if self._picture is None else difference(picture, self._picture)
        if is_cut(change):
            self._forget_shape()
        self._picture, self._mesh_ns = picture, t_ns
        keep_ns = int(self._settings.keep_track_ms * _NS_PER_MS)
        self._tracks = [track for track in self._tracks if t_ns - track.seen_ns <= keep_ns]

        rgb = to_rgb(image)
        if anew and self._searches and self._following and len(self._finder.find(rgb)) >= len(self._present):
            self._begin_anew(t_ns)
            fast = False
        followed = self._following
        seen = self._see(image, rgb)
        known = self._recognise(seen, change)
        if followed and None in known:
            # Face Mesh may have dragged the old shape over a new face: let it search.
            self._forget_shape()
            seen = self._see(image, rgb)
            known = self._recognise(seen, change)
        tracks = [track or self._new_track(face, known) for face, track in zip(seen, known, strict=True)]
        if self._settings.mesh_hz:
            seen = [self._carried_on(image, face, track, fast, t_ns) for face, track in zip(seen, tracks, strict=True)]
        self._present = tracks
        return self._found(image, seen, tracks, t_ns)

    def cut(self, found: Found) -> tuple[AlignedFace, ...]:
        """The aligned faces that `find` found in a picture; the largest comes first."""
        return self._cutter.cut(found)

    def close(self) -> None:
        """Free the models."""
        self._mesh.close()
        self._finder.close()
        self._cutter.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()

    def _is_fast(self) -> bool:
        """Whether pictures come at more than `carry_above_hz`; one that is late or lost changes nothing."""
        seen = len(self._times_ns) - 1
        return seen == _INTERVALS and (
            (self._times_ns[-1] - self._times_ns[0]) * self._settings.carry_above_hz < seen * _NS_PER_SECOND
        )

    def _found(self, image: np.ndarray, seen: list[SeenFace], tracks: list[_Track], t_ns: int) -> Found:
        for face, track in zip(seen, tracks, strict=True):
            track.seen_ns, track.last = t_ns, face
        faces = (FoundFace(face, track.person, track.noise_px_s) for face, track in zip(seen, tracks, strict=True))
        return Found(image, t_ns, tuple(faces))

    def _carry(self, image: np.ndarray) -> list[SeenFace] | None:
        """The faces of the last picture in this one; None if Face Mesh must look for one of them, or for the first."""
        carried = []
        for track in self._present:
            transform = None if track.carrier is None else track.carrier.carry(image)
            if transform is None or track.last is None:
                return None
            carried.append(move_face(track.last, transform))
        return carried or None

    def _carried_on(self, image: np.ndarray, face: SeenFace, track: _Track, fast: bool, t_ns: int) -> SeenFace:
        """The face that Face Mesh measured, aligned as its carrier thinks better."""
        if not fast or track not in self._present:
            track.carrier = None
        settings = self._settings
        track.noise_px_s = settings.carried_noise_px_s if fast else settings.noise_px_s
        if not fast:
            return face
        track.carrier = track.carrier or Carrier()
        return replace(face, transform=track.carrier.measure(image, face.transform, t_ns))

    def _begin_anew(self, t_ns: int) -> None:
        """As at a first picture, but for who is who and for the low-pass, whose past fades.

        Two runs of Face Mesh, or two carriers, that began elsewhere never come to agree by themselves: they stay some
        hundredths of a pixel apart.
        """
        self._forget_shape()
        self._times_ns.clear()
        self._times_ns.append(t_ns)
        for track in self._tracks:
            track.carrier = None

    def _forget_shape(self) -> None:
        self._mesh.forget()
        self._following = False

    def _new_track(self, face: SeenFace, known: list[_Track | None]) -> _Track:
        """A new person, who takes the place of whoever was there."""
        self._tracks = [old for old in self._tracks if old in known or _apart(face, old) >= _SAME_PLACE]
        track = _Track(self._next_number, self._settings)
        self._next_number += 1
        self._tracks.append(track)
        return track

    def _see(self, image: np.ndarray, rgb: np.ndarray) -> list[SeenFace]:
        shown = rgb
        if not self._following:
            boxes = self._finder.find(rgb)
            if not boxes:
                return []
            if self._settings.max_faces == 1 and len(boxes) > 1:
                # Face Mesh would take the highest score: show it only the face that is wanted, and it stays with it.
                shown = _spotlight(rgb, self._most_prominent(boxes, rgb.shape), boxes)
        found = self._mesh.find(shown)
        if found and not self._following:
            for _ in range(_LOOKS - 1):
                found = self._mesh.find(rgb) or found
        self._following = bool(found)
        return [see_face(image, points) for points in found]

    def _most_prominent(self, boxes: list[Box], shape: tuple[int, ...]) -> Box:
        """A face that was followed a moment ago, or else the one that is large and central."""
        middle = np.array([shape[1] / 2, shape[0] / 2])

        def weight(box: Box) -> tuple[bool, float]:
            known = any(
                track.last and np.linalg.norm(box.centre - track.last.centre) < _SAME_PLACE * track.last.size_px
                for track in self._tracks
            )
            offside = float(np.linalg.norm(box.centre - middle) / np.linalg.norm(middle))
            return known, box.width * (1 - offside / 2)

        return max(boxes, key=weight)

    def _recognise(self, seen: list[SeenFace], picture_change: float) -> list[_Track | None]:
        """For each face its track, None for a person who was not seen a moment ago."""
        free = list(self._tracks)
        known: list[_Track | None] = []
        for face in seen:
            near = [(_apart(face, track), k) for k, track in enumerate(free) if _apart(face, track) < _SAME_PLACE]
            track = free.pop(min(near)[1]) if near else None
            known.append(None if track is None or _is_stranger(face, track, picture_change) else track)
        return known


def _apart(face: SeenFace, track: _Track) -> float:
    """Distance in face widths to where the track was last; infinite if the face is much larger or smaller."""
    if track.last is None or not 1 / _SAME_SIZE < face.size_px / track.last.size_px < _SAME_SIZE:
        return float("inf")
    return float(np.linalg.norm(face.centre - track.last.centre) / track.last.size_px)


def _is_stranger(face: SeenFace, track: _Track, picture_change: float) -> bool:
    if track.last is None or track.last.likeness is None or face.likeness is None:
        return False
    return is_other_person(difference(face.likeness, track.last.likeness), picture_change)


def _spotlight(rgb: np.ndarray, wanted: Box, boxes: list[Box]) -> np.ndarray:
    """The picture with every face but `wanted` covered in grey."""
    lit = rgb.copy()
    for box in boxes:
        lit[_window(box, 1.2, rgb.shape)] = 128
    kept = _window(wanted, 1.6, rgb.shape)
    lit[kept] = rgb[kept]
    return lit


def _window(box: Box, grow: float, shape: tuple[int, ...]) -> tuple[slice, slice]:
    half = np.array([box.width, box.height]) * grow / 2
    left, top = np.maximum(box.centre - half, 0).astype(int)
    right, bottom = np.minimum(box.centre + half, [shape[1], shape[0]]).astype(int)
    return slice(top, max(bottom, top)), slice(left, max(right, left))
