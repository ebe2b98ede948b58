"""Alignment: geometry against independent mathematics, people told apart, and stillness measured."""

import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest

from bowam_model.errors import ImageError
from bowam_model.face import CROP_PX, TEMPLATE, AlignedFace, FaceAligner, FaceSettings, align_still
from bowam_model.face.geometry import RIGID, crop_face, head_pose, map_points, similarity
from bowam_model.face.likeness import difference, look_at_picture
from bowam_model.face.steady import SteadyTransform

SECOND = 1_000_000_000


def turn(yaw: float = 0.0, pitch: float = 0.0, roll: float = 0.0) -> np.ndarray:
    """Rotation matrix that turns the head by the given degrees, written out by axis."""
    y, p, r = np.radians([yaw, pitch, roll])
    about_y = np.array([[np.cos(y), 0, -np.sin(y)], [0, 1, 0], [np.sin(y), 0, np.cos(y)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(p), -np.sin(p)], [0, np.sin(p), np.cos(p)]])
    about_z = np.array([[np.cos(r), -np.sin(r), 0], [np.sin(r), np.cos(r), 0], [0, 0, 1]])
    return about_y @ about_x @ about_z


@pytest.fixture(scope="module")
def neutral(media: Path) -> np.ndarray:
    """A photo of a neutral face, RGB, 480 x 480."""
    file = sorted((media / "identities" / "neutral").glob("*.jpg"))[0]
    return cv2.resize(cv2.cvtColor(cv2.imread(str(file)), cv2.COLOR_BGR2RGB), (480, 480), interpolation=cv2.INTER_AREA)


def frames_of(path: Path) -> list[np.ndarray]:
    """All frames of a video as grey pictures."""
    av = pytest.importorskip("av")
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="gray") for frame in container.decode(video=0)]


def tracks_of(frames: list[np.ndarray], rate_hz: float = 30.0) -> list[int | None]:
    """The track that is followed in each frame."""
    with FaceAligner() as aligner:
        faces = [aligner.align(frame, round(k * SECOND / rate_hz)) for k, frame in enumerate(frames)]
    return [found[0].track if found else None for found in faces]


def test_similarity_recovers_a_known_motion() -> None:
    """Scale, rotation and shift come back exactly from points that were moved by them."""
    rng = np.random.default_rng(0)
    points = rng.normal(size=(9, 2)) * 50
    angle, scale, shift = 0.3, 1.7, np.array([12.0, -5.0])
    rotation = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    found = similarity(points, points @ rotation.T + shift)
    np.testing.assert_allclose(found, np.column_stack([rotation, shift]), atol=1e-12)


def test_similarity_is_the_least_squares_one() -> None:
    """With noise it equals the solution of the linear system that defines it."""
    rng = np.random.default_rng(1)
    p, q = rng.normal(size=(20, 2)), rng.normal(size=(20, 2))
    rows = np.zeros((40, 4))
    rows[0::2] = np.column_stack([p[:, 0], -p[:, 1], np.ones(20), np.zeros(20)])
    rows[1::2] = np.column_stack([p[:, 1], p[:, 0], np.zeros(20), np.ones(20)])
    (c, s, x, y), *_ = np.linalg.lstsq(rows, q.ravel(), rcond=None)
    np.testing.assert_allclose(similarity(p, q), [[c, -s, x], [s, c, y]], atol=1e-12)


@pytest.mark.parametrize(
    ("yaw", "pitch", "roll"), [(0, 0, 0), (20, 0, 0), (0, -15, 0), (0, 0, 30), (-25, 10, 0), (30, -20, 10)]
)
def test_head_pose_says_how_the_template_was_turned(yaw: float, pitch: float, roll: float) -> None:
    """Turning the frontal template by known angles gives these angles."""
    points = 1.3 * TEMPLATE @ turn(yaw, pitch, roll).T + [300, 200, 50]
    found = head_pose(points)
    if roll == 0 or (yaw == 0 and pitch == 0):
        np.testing.assert_allclose(found, (yaw, pitch, roll), atol=1e-9)
    else:
        np.testing.assert_allclose(found[:2], (yaw, pitch), atol=1e-9)


def test_signs_of_the_pose_follow_the_picture() -> None:
    """A head that looks to the right of the picture has positive yaw, one that looks down positive pitch."""
    nose = TEMPLATE[:, 2].argmin()  # the point that is furthest in front
    eyes = TEMPLATE[:2].mean(axis=0)
    for kwargs, axis in (({"yaw": 20.0}, 0), ({"pitch": 20.0}, 1)):
        turned = TEMPLATE @ turn(**kwargs).T
        moved = (turned[nose] - turned[:2].mean(axis=0)) - (TEMPLATE[nose] - eyes)
        assert moved[axis] > 0
        yaw, pitch, _ = head_pose(turned)
        assert (yaw, pitch)[axis] == pytest.approx(20)


def test_template_puts_the_inner_eye_corners_where_everyone_expects_them() -> None:
    """The geometry that synthesis and spotting build on: (100, 84) and (140, 84), symmetric about x = 120."""
    assert RIGID[:2].tolist() == [133, 362]
    assert TEMPLATE[:2, :2].tolist() == [[100, 84], [140, 84]]
    assert TEMPLATE[:, 0].mean() == pytest.approx(CROP_PX / 2)


@pytest.mark.parametrize("scale", [0.11, 0.3, 0.9, 1.7])
def test_crop_puts_a_blob_where_the_transform_says(scale: float) -> None:
    """A smooth blob in the source appears at its mapped place to a hundredth of a pixel, enlarged or reduced."""
    side, centre = int(260 / scale), np.array([130.3, 120.7]) / scale
    y, x = np.mgrid[0:side, 0:side]
    sigma = 12 / scale
    blob = (250 * np.exp(-((x - centre[0]) ** 2 + (y - centre[1]) ** 2) / (2 * sigma**2))).astype(np.uint8)
    transform = np.array([[scale, 0, -4.25], [0, scale, 3.5]])
    crop = crop_face(blob, transform).astype(float)
    yy, xx = np.mgrid[0:CROP_PX, 0:CROP_PX]
    found = np.array([(crop * xx).sum(), (crop * yy).sum()]) / crop.sum()
    np.testing.assert_allclose(found, map_points(centre[None], transform)[0], atol=0.05)


def test_a_large_face_is_not_aliased() -> None:
    """Stripes finer than a crop pixel become even grey instead of a pattern that moves with the head."""
    stripes = np.tile(np.array([0, 255], np.uint8), (1000, 500))
    crop = crop_face(stripes, np.array([[0.21, 0, 0], [0, 0.21, 0]]))[:200, :200]
    assert crop.std() < 16  # a box of 4.8 pixels lets an eighth of them through
    naive = cv2.warpAffine(stripes, np.array([[0.21, 0, 0], [0, 0.21, 0]]), (240, 240))[:200, :200]
    assert naive.std() > 60


def test_steady_transform_removes_jitter_and_follows_motion() -> None:
    """Over 200 ms white jitter shrinks to a third; a head that moved by 40 px is followed to within half a pixel."""
    rng = np.random.default_rng(2)
    steady = SteadyTransform(0.6, 1.0, 4.0, 2.0)
    jitter = np.array([[1.0, 0.0, 20.0], [0.0, 1.0, 10.0]]) + np.pad(
        rng.normal(0, 0.18, (400, 2, 1)), ((0, 0), (0, 0), (2, 0))
    )
    out = np.array([steady.push(t, round(k * SECOND / 30)) for k, t in enumerate(jitter)])
    before, after = (np.std(x[66:, :, 2] - x[60:-6, :, 2]) for x in (jitter, out))
    assert after < before / 3
    moving = np.array([[1.0, 0.0, 20.0], [0.0, 1.0, 10.0]])
    for k in range(400, 430):
        moving[0, 2] = 20 + 40 * min(1.0, (k - 400) / 15)
        last = steady.push(moving, round(k * SECOND / 30))
    assert abs(last[0, 2] - 60) < 0.5


def test_steady_transform_depends_on_time_and_not_on_frames() -> None:
    """Thirty and three hundred frames per second settle alike after a step."""
    ends = []
    for rate in (30, 300):
        steady = SteadyTransform(0.6, 0.0, 4.0, 2.0)
        for k in range(rate + 1):
            step = 0.0 if k == 0 else 10.0
            last = steady.push(np.array([[1.0, 0, step], [0, 1.0, 0]]), round(k * SECOND / rate))
        ends.append(last[0, 2])
    assert ends[0] == pytest.approx(ends[1], abs=1e-6)
    assert ends[0] == pytest.approx(10 * (1 - np.exp(-2 * np.pi * 0.6)))


def test_brightness_and_contrast_do_not_look_like_a_cut() -> None:
    """The picture's likeness ignores gain and offset, and a blank picture says nothing."""
    rng = np.random.default_rng(3)
    picture = cv2.resize(rng.integers(60, 180, (6, 8), dtype=np.uint8), (320, 240))
    a, b = look_at_picture(picture), look_at_picture((picture * 0.5 + 20).astype(np.uint8))
    assert a is not None
    assert b is not None
    assert difference(a, b) < 0.01
    assert look_at_picture(np.zeros((240, 320), np.uint8)) is None


def test_what_is_no_picture_is_refused() -> None:
    """Wrong types and shapes are named, not guessed at."""
    with FaceAligner() as aligner:
        for wrong in (np.zeros((4, 4)), np.zeros((4, 4, 4), np.uint8), np.zeros(4, np.uint8)):
            with pytest.raises(ImageError, match="uint8"):
                aligner.align(wrong, 0)


def test_a_picture_without_a_face_gives_none() -> None:
    """Nothing is found in noise, in a flat picture, and in no more than a few pixels."""
    noise = np.random.default_rng(4).integers(0, 255, (240, 320, 3), dtype=np.uint8)
    with FaceAligner() as aligner:
        assert aligner.align(noise, 0) == ()
        assert aligner.align(np.full((240, 320), 90, np.uint8), 40_000_000) == ()
        assert aligner.align(np.zeros((1, 1), np.uint8), 80_000_000) == ()
    assert align_still(noise) is None


@pytest.mark.media
def test_a_photo_is_aligned_to_the_template(neutral: np.ndarray) -> None:
    """Crop, landmarks and transform agree with one another and with the canonical geometry."""
    face = align_still(neutral)
    assert face is not None
    assert face.crop.shape == (240, 240)
    assert face.crop.dtype == np.uint8
    assert face.landmarks.shape == (468, 2)
    np.testing.assert_allclose(face.landmarks[[133, 362]], [[100, 84], [140, 84]], atol=4)
    assert np.hypot(*face.transform[:, 0]) == pytest.approx(158 / face.size_px, rel=0.1)
    assert abs(face.yaw_deg) < 10
    assert abs(face.roll_deg) < 10


@pytest.mark.media
def test_a_larger_crop_shows_the_same_part_of_the_face(neutral: np.ndarray) -> None:
    """Twice the side: twice the coordinates."""
    with FaceAligner() as small, FaceAligner(FaceSettings(crop_px=480)) as large:
        (a,), (b,) = small.align(neutral, 0), large.align(neutral, 0)
    assert b.crop.shape == (480, 480)
    np.testing.assert_allclose(b.landmarks, 2 * a.landmarks, rtol=1e-6)
    np.testing.assert_allclose(b.transform, 2 * a.transform)


@pytest.mark.media
def test_alignment_undoes_rotation_scale_and_grey(neutral: np.ndarray) -> None:
    """The same face turned in the picture, larger and without colour gives the same crop."""
    upright = align_still(neutral)
    matrix = cv2.getRotationMatrix2D((240, 240), 20, 1.5)
    matrix[:, 2] += 120
    turned = align_still(cv2.cvtColor(cv2.warpAffine(neutral, matrix, (720, 720)), cv2.COLOR_RGB2GRAY))
    assert upright is not None
    assert turned is not None
    assert turned.roll_deg == pytest.approx(upright.roll_deg - 20, abs=2)
    inside = slice(40, 200)
    assert np.corrcoef(upright.crop[inside, inside].ravel(), turned.crop[inside, inside].ravel())[0, 1] > 0.95


@pytest.mark.media
def test_a_still_noisy_face_stays_still(neutral: np.ndarray) -> None:
    """Sensor noise moves brows and mouth of the aligned crop by less than a tenth of a pixel over 200 ms."""
    rng = np.random.default_rng(5)
    marks = align_still(neutral)
    assert marks is not None
    linear = np.linalg.inv(marks.transform[:, :2])
    source = (marks.landmarks[[105, 334, 61, 291, 17]] - marks.transform[:, 2]) @ linear.T
    seen = []
    with FaceAligner() as aligner:
        for k in range(75):
            noisy = np.clip(neutral + rng.normal(0, 4, neutral.shape), 0, 255).astype(np.uint8)
            (face,) = aligner.align(noisy, round(k * SECOND / 30))
            seen.append(map_points(source, face.transform))
    settled = np.array(seen[15:])
    moved = np.linalg.norm(settled[6:] - settled[:-6], axis=-1)
    assert np.sqrt((moved**2).mean()) < 0.1


@pytest.mark.media
@pytest.mark.parametrize(("name", "cut"), [("two_people_swap_at_40.mp4", 40), ("cut_identity_change.mp4", 20)])
def test_a_cut_to_another_person_starts_a_new_track(media: Path, name: str, cut: int) -> None:
    """Exactly at the cut, exactly once."""
    tracks = tracks_of(frames_of(media / "robust" / name))
    assert tracks == [0] * cut + [1] * (len(tracks) - cut)


@pytest.mark.media
@pytest.mark.slow
def test_each_of_ten_cuts_between_speakers_is_found(media: Path) -> None:
    """A new person every 75 frames, before the same kitchen of a studio."""
    tracks = tracks_of(frames_of(media / "robust" / "ten_speakers_33s.mp4"), 25)
    assert [k for k, (a, b) in enumerate(pairwise(tracks), 1) if a != b] == list(range(75, 825, 75))
    assert tracks[::75] == list(range(11))


@pytest.mark.media
@pytest.mark.parametrize(
    "file",
    ["videos/single_face.mp4", "robust/shake_neutral.mp4", "robust/flicker_neutral.mp4", "videos/grid/bbaf2n.mpg",
     "robust/occluded_mouth.mp4"],
)  # fmt: skip
def test_one_person_is_one_track(media: Path, file: str) -> None:
    """Shaking, flicker, speech and a covered mouth are no change of person."""
    tracks = tracks_of(frames_of(media / file))
    assert set(tracks) == {0}


@pytest.mark.media
def test_a_short_loss_keeps_the_track_and_a_long_one_does_not(neutral: np.ndarray) -> None:
    """Two hundred milliseconds of a blank picture are bridged; half a second is not."""
    blank = np.zeros_like(neutral)
    for gap, expected in ((6, 0), (15, 1)):
        tracks = tracks_of([neutral] * 5 + [blank] * gap + [neutral] * 3)
        assert tracks[:5] == [0] * 5
        assert tracks[5:-3] == [None] * gap
        assert tracks[-3:] == [expected] * 3


@pytest.mark.media
def test_the_larger_of_two_faces_is_followed(neutral: np.ndarray) -> None:
    """Face Mesh alone would take the higher score; the size decides, and both are found if both are wanted."""
    scene = np.full((480, 900, 3), 120, np.uint8)
    scene[120:420, 30:330] = cv2.resize(neutral, (300, 300), interpolation=cv2.INTER_AREA)
    scene[:, 400:880] = neutral
    for image, left in ((scene, False), (np.ascontiguousarray(scene[:, ::-1]), True)):
        with FaceAligner() as aligner:
            centres = []
            for k in range(4):
                (face,) = aligner.align(image, k * SECOND // 30)
                linear = np.linalg.inv(face.transform[:, :2])
                centres.append((linear @ (np.array([120, 120]) - face.transform[:, 2]))[0])
        assert all((x < 450) == left for x in centres)
    with FaceAligner(FaceSettings(max_faces=2)) as aligner:
        faces = aligner.align(scene, 0)
    assert [face.track for face in faces] == [0, 1] or [face.track for face in faces] == [1, 0]
    assert faces[0].size_px > 1.3 * faces[1].size_px


@pytest.mark.media
def test_the_same_pictures_and_times_give_the_same_bits(media: Path) -> None:
    """Two aligners, one result, byte for byte."""

    def run() -> list[tuple[bytes, bytes, bytes, float]]:
        frames = frames_of(media / "videos" / "single_face.mp4")[:40]
        with FaceAligner() as aligner:
            faces: list[AlignedFace] = [f for k, x in enumerate(frames) for f in aligner.align(x, k * SECOND // 30)]
        return [(f.crop.tobytes(), f.landmarks.tobytes(), f.transform.tobytes(), f.confidence) for f in faces]

    assert run() == run()


SILENT = """
import sys
import numpy as np
import bowam_stream.capture
from bowam_model.face import FaceAligner
with FaceAligner() as aligner:
    aligner.align(np.random.default_rng(0).integers(0, 255, (240, 320, 3), dtype=np.uint8), 0)
assert "mediapipe" in sys.modules
assert "torch" not in sys.modules
"""


def test_capture_never_loads_torch_and_says_nothing() -> None:
    """A process that aligns a frame has no torch in it, and MediaPipe's start-up lines are not shown."""
    done = subprocess.run([sys.executable, "-c", SILENT], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


MISSING = """
import sys
sys.modules["mediapipe"] = None
from bowam_model.errors import MissingDependency
from bowam_model.face import FaceAligner
try:
    FaceAligner()
except MissingDependency as error:
    print(error)
"""


def test_a_missing_mediapipe_is_one_clear_line() -> None:
    """The line names the extra to install."""
    done = subprocess.run([sys.executable, "-c", MISSING], capture_output=True, text=True, timeout=120, check=True)
    assert "bowam-stream[capture]" in done.stdout
    assert done.stdout.count("\n") == 1
