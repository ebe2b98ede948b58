"""Faces whose motion is known: moved by one action unit, or at rest under every kind of noise."""

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from bowam_model.face import FaceAligner
from bowam_model.face.geometry import crop_face
from bowam_model.synthesis import ClipPlan, Identity, load_identity, make_clip
from bowam_model.synthesis.fields import GRID_ORIGIN_PX, Action, Expression, FaceFields
from bowam_model.synthesis.plan import Scene
from bowam_model.synthesis.render import STILL, Camera, Stage
from bowam_stream.capture import open_source
from bowam_stream.spotting.motion import Windows
from bowam_stream.spotting.regions import CROP_PX, EYES, GRID

UNITS = (1, 2, 4, 6, 12, 15)  # brows: inner up, outer up, down; cheeks up; lip corners up, down
AMPLITUDES_PX = (0.5, 1.0, 2.0, 3.0)
SIGMAS = (1.5, 3.0)  # of the sensor's noise, grey levels at mid-grey
RATE_HZ, FRAMES = 30.0, 40  # of the clips at rest
_STILL_SHARE = 0.02  # of the amplitude: a region that truly moves less does not move
_JPEG, _CRF = 60, 28  # qualities
_DRIFT_PX, _TREMOR_PX = 1.5, 0.1

Clip = tuple[list[np.ndarray], np.ndarray]  # crops of a face at rest, landmarks in the first


@dataclass(frozen=True, eq=False)
class Subject:
    """One person before the camera of a `ClipPlan`, and where the face truly is."""

    identity: Identity
    stage: Stage
    still: np.ndarray  # uint8 (H, W, 3): the picture without noise
    to_crop: np.ndarray  # float64 (2, 3)
    regions: np.ndarray  # float32 (R, cells)


@dataclass(frozen=True, eq=False)
class Case:
    """One action unit at one amplitude: the two crops and what truly happens to the regions."""

    subject: int
    amplitude_px: float
    before: np.ndarray
    after: np.ndarray
    truth: np.ndarray  # (R, 2), crop px

    @property
    def moved(self) -> int:
        """The region that moves most."""
        return int(np.argmax(np.where(EYES, -1.0, np.linalg.norm(self.truth, axis=1))))

    @property
    def unmoved(self) -> np.ndarray:
        return ~EYES & (np.linalg.norm(self.truth, axis=1) < _STILL_SHARE * self.amplitude_px)


def subjects(photos: Sequence[Path | None]) -> list[Subject]:
    """People before the camera; None is the built-in portrait."""
    found = []
    for photo in photos:
        identity, plan = load_identity(photo), ClipPlan(seed=0)
        stage = Stage(identity, plan.size, plan.zoom)
        still = stage.show(STILL, 0.0, STILL.field)
        to_crop = cv2.invertAffineTransform(stage.to_picture)
        found.append(Subject(identity, stage, still, to_crop, Windows.on(identity.landmarks).regions))
    return found


def moving(people: Sequence[Subject]) -> Iterator[Case]:
    """Every action unit at every amplitude on every person, before and after, under the weaker sensor noise."""
    left, top = (-c for c in GRID_ORIGIN_PX)
    for number, person in enumerate(people):
        fields = FaceFields(person.identity.landmarks)
        camera = Camera(Scene(noise=SIGMAS[0]), number, person.still.shape)
        before = crop_face(camera.expose(person.still, 0, 0.0), person.to_crop)
        for unit in UNITS:
            expression = fields.expression([Action(unit)])
            inside = expression.field[top : top + CROP_PX, left : left + CROP_PX]
            cells = cv2.resize(inside, (GRID, GRID), interpolation=cv2.INTER_AREA).reshape(-1, 2)
            for frame, amplitude in enumerate(AMPLITUDES_PX, start=100 * unit):
                raised = Expression(np.float32(amplitude) * expression.field, amplitude * expression.lip_gap)
                picture = camera.expose(person.stage.show(raised, 0.0, STILL.field), frame, 0.0)
                after = crop_face(picture, person.to_crop)
                yield Case(number, amplitude, before, after, person.regions @ (amplitude * cells))


def filmed(person: Subject, noise: float, frames: int = FRAMES) -> list[np.ndarray]:
    """Pictures of a face that does not move."""
    camera = Camera(Scene(noise=noise), 7, person.still.shape)
    return [camera.expose(person.still, frame, 0.0) for frame in range(frames)]


def drifting(person: Subject) -> list[np.ndarray]:
    """Pictures of a face at rest on a head that wanders and trembles, after H.264: a still one would be coded once."""
    scene = Scene(noise=SIGMAS[0], drift_px=_DRIFT_PX, tremor_px=_TREMOR_PX)
    plan = ClipPlan(seed=7, rate_hz=RATE_HZ, duration_ms=FRAMES * 1000.0 / RATE_HZ, scene=scene)
    with tempfile.TemporaryDirectory(prefix="bowam-") as folder:
        make_clip(plan, person.identity, folder, crf=_CRF)
        return [frame.image for frame in open_source(str(Path(folder) / "clip.mp4"))]


def still_clips(person: Subject) -> dict[str, Clip]:
    """A face at rest under each kind of noise."""
    exact = {f"sensor noise {sigma:g}": filmed(person, sigma) for sigma in SIGMAS}
    quiet = exact[f"sensor noise {SIGMAS[0]:g}"]
    exact[f"noise {SIGMAS[0]:g} and JPEG {_JPEG}"] = [_jpeg(picture) for picture in quiet]
    clips = {
        name: ([crop_face(picture, person.to_crop) for picture in pictures], person.identity.landmarks)
        for name, pictures in exact.items()
    }
    clips[f"noise {SIGMAS[0]:g}, real alignment"] = _aligned(quiet)
    clips[f"drift, crf {_CRF}, real alignment"] = _aligned(drifting(person))
    return clips


def _jpeg(picture: np.ndarray) -> np.ndarray:
    return cv2.imdecode(cv2.imencode(".jpg", picture, (cv2.IMWRITE_JPEG_QUALITY, _JPEG))[1], cv2.IMREAD_COLOR)


def _aligned(pictures: list[np.ndarray]) -> Clip:
    with FaceAligner() as aligner:
        faces = [
            face
            for frame, picture in enumerate(pictures)
            for face in aligner.align(picture, round(frame * 1e9 / RATE_HZ))
        ]
    return [face.crop for face in faces], faces[0].landmarks
