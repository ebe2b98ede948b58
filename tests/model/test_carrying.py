"""An alignment that is carried from picture to picture: exact, steady, and never from one person to another."""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from bowam_model.face import AlignedFace, FaceAligner, FaceSettings
from bowam_model.face.carrying import Carrier
from bowam_model.face.geometry import map_points
from bowam_model.face.mesh import FaceMesh
from bowam_model.synthesis import ClipPlan, load_identity, render

SECOND = 1_000_000_000
MARKS = np.array([[75.0, 60.0], [165.0, 60.0], [95.0, 175.0], [145.0, 175.0]])  # brows and mouth in the crop


@pytest.fixture(scope="module")
def portrait() -> np.ndarray:
    """A grey picture, 640 x 480, of the built-in portrait."""
    return np.ascontiguousarray(next(render(ClipPlan(seed=3), load_identity()))[..., 1])


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by one with each run of Face Mesh."""
    seen: list[int] = []
    find = FaceMesh.find

    def counted(mesh: FaceMesh, image: np.ndarray) -> list[np.ndarray]:
        seen.append(1)
        return find(mesh, image)

    monkeypatch.setattr(FaceMesh, "find", counted)
    return seen


def moved(picture: np.ndarray, x: float, y: float, turn_deg: float = 0.0, scale: float = 1.0) -> tuple[np.ndarray, ...]:
    """The picture after a motion about its middle, and that motion (2, 3)."""
    motion = cv2.getRotationMatrix2D((320, 240), turn_deg, scale)
    motion[:, 2] += x, y
    return cv2.warpAffine(picture, motion, (640, 480), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT), motion


def blobs(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return cv2.resize(rng.integers(40, 210, (48, 64), dtype=np.uint8), (640, 480), interpolation=cv2.INTER_CUBIC)


def align(
    pictures: Iterator[np.ndarray] | list[np.ndarray], rate_hz: float, mesh_hz: float = 20.0
) -> list[AlignedFace]:
    """The one face of each picture."""
    with FaceAligner(FaceSettings(mesh_hz=mesh_hz)) as aligner:
        faces = [aligner.align(picture, round(k * SECOND / rate_hz)) for k, picture in enumerate(pictures)]
    assert all(len(found) == 1 for found in faces)
    return [face for (face,) in faces]


@pytest.mark.parametrize("size", [0.9, 0.4])
def test_a_known_motion_is_carried_to_less_than_a_tenth_of_a_pixel(size: float) -> None:
    """Shift, rotation and growth, and light that changes, on any texture and for small and large faces."""
    picture = blobs(0)
    start = np.array([[size, 0.0, 120 - 320 * size], [0.0, size, 100 - 240 * size]])
    carrier = Carrier()
    carrier.measure(picture, start, 0)
    for k in range(1, 12):
        now, motion = moved(picture, 0.37 * k, -0.21 * k, 0.1 * k, 1 + 0.001 * k)
        carried = carrier.carry(cv2.convertScaleAbs(now, alpha=1 - 0.02 * k, beta=k))
        assert carried is not None
        where = (MARKS - start[:, 2]) @ np.linalg.inv(start[:, :2]).T
        np.testing.assert_allclose(map_points(map_points(where, motion), carried), MARKS, atol=0.1)


def test_another_picture_is_not_carried() -> None:
    """Whatever has another texture asks for Face Mesh, and so does a picture that shows nothing."""
    start = np.array([[0.9, 0.0, -168.0], [0.0, 0.9, -116.0]])
    for other in (blobs(1), np.full((480, 640), 90, np.uint8)):
        carrier = Carrier()
        carrier.measure(blobs(0), start, 0)
        assert carrier.carry(other) is None
    carrier = Carrier()
    np.testing.assert_allclose(carrier.measure(np.zeros((480, 640), np.uint8), start, 0), start)
    assert carrier.carry(blobs(0)) is None


def test_face_mesh_is_followed_slowly_and_its_first_errors_are_averaged() -> None:
    """White jitter of the measurements shrinks to a fifth; a constant difference is followed in the end."""
    rng = np.random.default_rng(5)
    picture, start = blobs(0), np.array([[0.9, 0.0, -168.0], [0.0, 0.9, -116.0]])
    carrier, out = Carrier(), []
    for k in range(90):
        measured = start.copy()
        measured[:, 2] += rng.normal(0, 0.25, 2) + (0.0 if k < 30 else 0.8)
        out.append(carrier.measure(picture, measured, k * SECOND // 30)[:, 2] - start[:, 2])
    assert np.std(out[20:30]) < 0.05
    assert 0.4 < np.mean(out[-1]) < 0.9


def test_up_to_sixty_pictures_per_second_nothing_is_carried(portrait: np.ndarray, runs: list[int]) -> None:
    """Face Mesh sees every picture, and the results are those without carrying, to the last bit."""
    pictures = [moved(portrait, 0.3 * k, 0.0)[0] for k in range(12)]
    with_, without = align(pictures, 60.0), align(pictures, 60.0, mesh_hz=0.0)
    assert len(runs) == 2 * len(pictures)
    for a, b in zip(with_, without, strict=True):
        assert a.transform.tobytes() == b.transform.tobytes()
        assert a.crop.tobytes() == b.crop.tobytes()


def test_at_two_hundred_face_mesh_runs_at_its_own_rate(portrait: np.ndarray, runs: list[int]) -> None:
    """Every tenth picture at 20 Hz; the same bits however often it is done; faces move with the picture."""
    pictures = [moved(portrait, 0.2 * k, 0.1 * k)[0] for k in range(43)]
    first = align(pictures, 200.0)
    assert len(runs) == 2 + 41 // 10  # the second picture tells how fast they come
    second = align(pictures, 200.0)
    assert all(a.transform.tobytes() == b.transform.tobytes() for a, b in zip(first, second, strict=True))
    assert {face.track for face in first} == {0}
    every = align(pictures, 200.0, mesh_hz=0.0)
    for a, b in zip(first, every, strict=True):
        np.testing.assert_allclose(a.landmarks, b.landmarks, atol=2.5)


def test_a_still_noisy_face_is_stiller_than_under_face_mesh_alone(portrait: np.ndarray) -> None:
    """From one picture to the next brows and mouth move less than half as much."""
    rng = np.random.default_rng(6)
    noise = rng.normal(0, 3, (560, 720)).astype(np.int16)
    places = rng.integers(0, 80, (80, 2))
    pictures = [cv2.add(portrait, noise[y : y + 480, x : x + 640], dtype=cv2.CV_8U) for y, x in places]
    jitter = []
    for mesh_hz in (20.0, 0.0):
        faces = align(pictures, 200.0, mesh_hz)[20:]
        where = (MARKS - faces[0].transform[:, 2]) @ np.linalg.inv(faces[0].transform[:, :2]).T
        steps = np.diff([map_points(where, face.transform) for face in faces], axis=0)
        jitter.append(np.sqrt((steps**2).mean()))
    assert jitter[0] < jitter[1] / 2


@pytest.mark.media
def test_another_person_at_the_same_place_is_a_new_track_within_one_period(media: Path) -> None:
    """Two people who stand still, one after the other: nothing of the first is carried to the second."""
    av = pytest.importorskip("av")
    with av.open(str(media / "robust" / "cut_identity_change.mp4")) as container:
        frames = [frame.to_ndarray(format="gray") for frame in container.decode(video=0)]
    faces = align([frames[15]] * 15 + [frames[25]] * 15, 200.0)
    tracks = [face.track for face in faces]
    assert tracks == [0] * 15 + [1] * 15
