"""Micro-expressions put into real moving faces: every frame of a video is warped by a field that sits on its own mesh.

The face keeps talking, nodding and blinking; what is added is known. Landmarks are smoothed over five frames, since a
field that trembles would be a movement of its own.
"""

import cv2
import numpy as np

from bowam_model.face import AlignedFace, FaceAligner
from bowam_model.labels import MEGC2019
from bowam_model.synthesis.fields import CROP_PX, GRID_ORIGIN_PX, FaceFields
from bowam_model.synthesis.plan import ONSET_LEVEL, STRATA, Movement, micro
from bowam_model.synthesis.truth import Truth, TruthEvent
from bowam_stream.messages import Frame

_FIRST_MS, _PAUSE_MS = 1_000.0, 2_000.0  # before the first movement, and on the average between two
_REACH_PX = 60  # how far beyond the crop a field may reach


def inject(frames: list[Frame], rate_hz: float, seed: int) -> tuple[Truth, list[Frame]]:
    """The truth and the changed frames. A movement is left out where the face is not seen all the way through it."""
    rng = np.random.default_rng((seed, 5))
    with FaceAligner() as aligner:
        seen = [next(iter(aligner.align(frame.image, frame.moment.t_ns)), None) for frame in frames]
    times_ms = np.array([frame.moment.t_ns / 1e6 for frame in frames])
    movements: list[Movement] = []
    at_ms = _FIRST_MS
    while times_ms.size and at_ms < times_ms[-1] - 1_000.0:
        label, stratum = str(rng.choice(MEGC2019)), str(rng.choice(list(STRATA)))
        movement = micro(rng, label, stratum, at_ms)
        inside = np.flatnonzero((times_ms >= movement.start_ms - 300.0) & (times_ms <= movement.end_ms + 300.0))
        tracks = {None if (face := seen[i]) is None else face.track for i in inside}
        if None not in tracks and len(tracks) == 1:
            movements.append(movement)
        at_ms = movement.end_ms + float(rng.uniform(0.5, 1.5)) * _PAUSE_MS
    changed = list(frames)
    for number, movement in enumerate(movements):
        for i in np.flatnonzero((times_ms >= movement.start_ms) & (times_ms <= movement.end_ms)):
            face = seen[i]
            assert face is not None
            level = float(movement.level(times_ms[i]))
            if level > 0:
                # The same variation for every frame of a movement: a muscle does not change its place on the way.
                fields = FaceFields(_smooth(seen, i, face.track), variation=np.random.default_rng((seed, 6, number)))
                field = np.float32(level * movement.amplitude_px) * fields.expression(movement.actions).field
                changed[i] = _warped(frames[i], face, field)
    return _truth(movements, times_ms, rate_hz), changed


def _truth(movements: list[Movement], times_ms: np.ndarray, rate_hz: float) -> Truth:
    """By the frames' own times, which need not be even."""
    events = []
    for movement in movements:
        level = movement.level(times_ms)
        above = np.flatnonzero(level >= ONSET_LEVEL * max(float(level.max()), 1e-9))
        events.append(
            TruthEvent(
                kind="micro",
                onset=int(above[0]),
                apex=int(level.argmax()),
                offset=int(above[-1]),
                label=movement.label,
                aus=tuple(action.unit for action in movement.actions),
                amplitude_px=movement.amplitude_px,
                stratum=movement.stratum,
                unilateral=movement.unilateral,
            )
        )
    return Truth(fps=rate_hz, frames=len(times_ms), events=tuple(events))


def _smooth(seen: list[AlignedFace | None], i: int, track: int) -> np.ndarray:
    """Landmarks (468, 2) of a frame, averaged over its neighbours, in its own crop."""
    middle = seen[i]
    assert middle is not None
    to_crop = np.vstack([middle.transform, (0, 0, 1)])
    around = []
    for face in seen[max(i - 2, 0) : i + 3]:
        if face is not None and face.track == track:
            across = to_crop @ np.linalg.inv(np.vstack([face.transform, (0, 0, 1)]))
            around.append(face.landmarks @ across[:2, :2].T + across[:2, 2])
    return np.mean(around, axis=0).astype(np.float32)


def _warped(frame: Frame, face: AlignedFace, field: np.ndarray) -> Frame:
    """The frame with the skin moved by `field` (crop px on the grid of `synthesis.fields`)."""
    to_crop = face.transform
    to_source = cv2.invertAffineTransform(to_crop)
    corners = np.array([[x, y] for x in (-_REACH_PX, CROP_PX + _REACH_PX) for y in (-_REACH_PX, CROP_PX + _REACH_PX)])
    there = corners @ to_source[:, :2].T + to_source[:, 2]
    height, width = frame.image.shape[:2]
    x0, y0 = np.floor(there.min(axis=0)).astype(int).clip(0, (width - 1, height - 1))
    x1, y1 = np.ceil(there.max(axis=0)).astype(int).clip(1, (width, height))
    x, y = np.meshgrid(np.arange(x0, x1, dtype=np.float32), np.arange(y0, y1, dtype=np.float32))
    places = np.stack([x, y], axis=-1)
    in_crop = (places @ to_crop[:, :2].T + to_crop[:, 2] - GRID_ORIGIN_PX).astype(np.float32)
    moved = cv2.remap(field, in_crop, np.empty(0), cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    origin = (places - moved @ to_source[:, :2].T).astype(np.float32)
    image = frame.image.copy()
    image[y0:y1, x0:x1] = cv2.remap(
        frame.image, origin, np.empty(0), cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101
    )
    return Frame(moment=frame.moment, image=image, quality=frame.quality)
