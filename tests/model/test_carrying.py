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
FIRST = 8 + 20  # pictures for which Face Mesh runs: to see how fast they come, and to average its errors
MARKS = np.array([[75.0, 60.0], [165.0, 60.0], [95.0, 175.0], [145.0, 175.0]])  # brows and mouth in the crop


@pytest.fixture(scope="module")
def portrait() -> np.ndarray:
    """A grey picture, 640 x 480, of the built-in portrait."""
    return np.ascontiguousarray(next(render(ClipPlan(seed=3), load_identity()))[..., 1])


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[np.ndarray]:
    """Grows by one with each picture that Face Mesh looks at; where it finds a face it looks more than once."""
    seen: list[np.ndarray] = []
    find = FaceMesh.find

    def counted(mesh: FaceMesh, image: np.ndarray) -> list[np.ndarray]:
        if not seen or seen[-1] is not image:
            seen.append(image)
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


def carrier_on(picture: np.ndarray, start: np.ndarray) -> Carrier:
    """One that has seen enough of Face Mesh to carry on alone."""
    carrier = Carrier()
    for k in range(FIRST - 8):
        carrier.measure(picture, start, k * SECOND // 200)
    return carrier


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
    carrier = carrier_on(picture, start)
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
        carrier = carrier_on(blobs(0), start)
        assert carrier.carry(other) is None
        assert carrier.carry(blobs(0)) is None, "what is lost stays lost until Face Mesh found it"
    carrier = carrier_on(np.zeros((480, 640), np.uint8), start)
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


def test_up_to_sixty_pictures_per_second_nothing_is_carried(portrait: np.ndarray, runs: list[np.ndarray]) -> None:
    """Face Mesh sees every picture, and the results are those without carrying, to the last bit."""
    pictures = [moved(portrait, 0.3 * k, 0.0)[0] for k in range(12)]
    with_, without = align(pictures, 60.0), align(pictures, 60.0, mesh_hz=0.0)
    assert len(runs) == 2 * len(pictures)
    for a, b in zip(with_, without, strict=True):
        assert a.transform.tobytes() == b.transform.tobytes()
        assert a.crop.tobytes() == b.crop.tobytes()


def test_at_two_hundred_face_mesh_runs_at_its_own_rate(portrait: np.ndarray, runs: list[np.ndarray]) -> None:
    """Every tenth picture at 20 Hz; the same bits however often it is done; faces move with the picture."""
    pictures = [moved(portrait, 0.2 * k, 0.1 * k)[0] for k in range(FIRST + 40)]
    first = align(pictures, 200.0)
    assert len(runs) == FIRST + 4
    second = align(pictures, 200.0)
    assert all(a.transform.tobytes() == b.transform.tobytes() for a, b in zip(first, second, strict=True))
    assert {face.track for face in first} == {0}
    every = align(pictures, 200.0, mesh_hz=0.0)
    for a, b in zip(first, every, strict=True):
        np.testing.assert_allclose(a.landmarks, b.landmarks, atol=2.5)


def test_a_still_noisy_face_is_stiller_than_under_face_mesh_alone(portrait: np.ndarray) -> None:
    """Brows and mouth move less than half as much from one picture to the next, and no more over 200 ms."""
    rng = np.random.default_rng(6)
    noise = rng.normal(0, 3, (560, 720)).astype(np.int16)
    places = rng.integers(0, 80, (160, 2))
    pictures = [cv2.add(portrait, noise[y : y + 480, x : x + 640], dtype=cv2.CV_8U) for y, x in places]
    over_a_picture, over_200_ms = [], []
    for mesh_hz in (20.0, 0.0):
        faces = align(pictures, 200.0, mesh_hz)[40:]
        where = (MARKS - faces[0].transform[:, 2]) @ np.linalg.inv(faces[0].transform[:, :2]).T
        path = np.array([map_points(where, face.transform) for face in faces])
        over_a_picture.append(np.sqrt(((path[1:] - path[:-1]) ** 2).mean()))
        over_200_ms.append(np.sqrt(((path[40:] - path[:-40]) ** 2).mean()))
    assert over_a_picture[0] < over_a_picture[1] / 2
    assert over_200_ms[0] < over_200_ms[1]


def test_a_picture_that_is_late_or_lost_changes_nothing(portrait: np.ndarray, runs: list[np.ndarray]) -> None:
    """A fast camera loses a picture, a slow one gives two at once: who is carried stays the same."""
    late = [k * SECOND // 200 for k in range(60) if k not in (40, 41, 50)]
    burst = [k * SECOND // 30 - (k % 2) * 25_000_000 for k in range(30)]
    for times, expected in ((late, FIRST + 3), (burst, len(burst))):
        runs.clear()
        with FaceAligner() as aligner:
            for t_ns in times:
                aligner.align(portrait, t_ns)
        assert len(runs) == expected


def test_after_a_pause_face_mesh_looks_first(portrait: np.ndarray, runs: list[np.ndarray]) -> None:
    """A second without pictures: where the face was says nothing, but it is the same person for as long as before."""
    with FaceAligner(FaceSettings(keep_track_ms=2000.0)) as aligner:
        for k in range(FIRST + 5):
            aligner.align(portrait, k * SECOND // 200)
        runs.clear()
        (face,) = aligner.align(moved(portrait, 30.0, 10.0)[0], SECOND + SECOND // 2)
        assert face.track == 0
        assert len(runs) == 1
        centre = face.transform[:, :2] @ (320.0, 240.0) + face.transform[:, 2]
    (there,) = align([moved(portrait, 30.0, 10.0)[0]], 200.0)
    np.testing.assert_allclose(centre, there.transform[:, :2] @ (320.0, 240.0) + there.transform[:, 2], atol=2.0)


@pytest.mark.parametrize("replacement", ["texture", "covered", "left", "blank"])
def test_a_face_that_is_gone_is_not_carried(portrait: np.ndarray, replacement: str) -> None:
    """The first picture without it has none, whatever stands there instead."""
    middle = (slice(60, 420), slice(170, 470))
    without = {"texture": blobs(2), "covered": portrait.copy(), "left": portrait.copy(), "blank": 0 * portrait}
    without["covered"][middle] = blobs(3)[middle]
    without["left"][middle] = cv2.GaussianBlur(portrait, (0, 0), 60)[middle]
    with FaceAligner() as aligner:
        for k in range(FIRST + 3):
            assert len(aligner.align(portrait, k * SECOND // 200)) == 1
        for k in range(FIRST + 3, FIRST + 20):
            assert aligner.align(without[replacement], k * SECOND // 200) == ()
        (back,) = aligner.align(portrait, (FIRST + 20) * SECOND // 200)
        assert back.track == 0


def test_a_second_face_is_seen_within_one_period(portrait: np.ndarray) -> None:
    """While the first is carried, Face Mesh still looks for more."""
    alone = np.full((480, 900), 120, np.uint8)
    alone[:, :420] = portrait[:, 110:530]
    both = alone.copy()
    both[100:436, 500:794] = cv2.resize(portrait[:, 110:530], (294, 336), interpolation=cv2.INTER_AREA)
    with FaceAligner(FaceSettings(max_faces=2)) as aligner:
        counts = [
            len(aligner.align(alone if k < FIRST + 3 else both, k * SECOND // 200)) for k in range(FIRST + 3 + 11)
        ]
    assert counts[: FIRST + 3] == [1] * (FIRST + 3)
    assert counts[-1] == 2


def test_pictures_of_another_size_are_searched_anew(portrait: np.ndarray) -> None:
    """The face is where it is in the new size, at the first picture."""
    small = cv2.resize(portrait, (320, 240), interpolation=cv2.INTER_AREA)
    (expected,) = align([small], 200.0)
    with FaceAligner() as aligner:
        for k in range(FIRST + 3):
            aligner.align(portrait, k * SECOND // 200)
        (face,) = aligner.align(small, (FIRST + 3) * SECOND // 200)
    corners = np.array([[100.0, 60.0], [220.0, 60.0], [160.0, 180.0]])
    np.testing.assert_allclose(map_points(corners, face.transform), map_points(corners, expected.transform), atol=4.0)


def test_a_blurred_face_drifts_less_than_under_face_mesh_alone(portrait: np.ndarray) -> None:
    """A camera that loses its focus: the points of Face Mesh wander by 5 px, the alignment that is carried by less."""
    pictures = [portrait] * FIRST + [cv2.GaussianBlur(portrait, (0, 0), 0.3 + 0.15 * k) for k in range(30)]
    worst = []
    for mesh_hz in (20.0, 0.0):
        faces = align(pictures, 200.0, mesh_hz)[FIRST:]
        assert {face.track for face in faces} == {0}
        where = (MARKS - faces[0].transform[:, 2]) @ np.linalg.inv(faces[0].transform[:, :2]).T
        worst.append(max(np.abs(map_points(where, face.transform) - MARKS).max() for face in faces))
    assert worst[0] < 0.8 * worst[1]


@pytest.mark.media
def test_another_person_at_the_same_place_is_a_new_track_at_once(media: Path) -> None:
    """Two people who stand still, one after the other: nothing of the first is carried to the second."""
    av = pytest.importorskip("av")
    with av.open(str(media / "robust" / "cut_identity_change.mp4")) as container:
        frames = [frame.to_ndarray(format="gray") for frame in container.decode(video=0)]
    for first in range(FIRST + 1, FIRST + 12):
        faces = align([frames[15]] * first + [frames[25]] * 15, 200.0)
        tracks = [face.track for face in faces]
        assert tracks == [0] * first + [1] * 15
