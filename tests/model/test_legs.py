"""At the first picture of a leg Face Mesh searches anew and so forgets where it began; nobody loses a face by it."""

from collections.abc import Iterator

import numpy as np
import pytest

from bowam_model.face import FaceAligner, FaceSettings
from bowam_model.face.legs import LEG_NS, leg, settled
from bowam_model.face.mesh import FaceFinder, FaceMesh
from bowam_model.face.steady import SteadyTransform
from bowam_model.synthesis import load_identity, plan_clip, render

SECOND = 1_000_000_000


@pytest.fixture(scope="module")
def pictures() -> list[np.ndarray]:
    """A face that drifts and trembles for two thirds of a second."""
    pytest.importorskip("mediapipe")
    plan = plan_clip(2, rate_hz=30.0, seconds=2.0, events=0, nuisances=["drift", "tremor"])
    return list(render(plan, load_identity()))[:21]


@pytest.fixture
def forgotten(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[None]]:
    """Grows by one whenever Face Mesh forgets the face that it follows."""
    seen: list[None] = []
    forget = FaceMesh.forget
    monkeypatch.setattr(FaceMesh, "forget", lambda mesh: (seen.append(None), forget(mesh)))
    return seen


def times(count: int, before: int, rate_hz: int = 30) -> list[int]:
    """Of pictures of which so many come before a leg begins."""
    return [LEG_NS + (number - before) * SECOND // rate_hz for number in range(count)]


def align(pictures: list[np.ndarray], t_ns: list[int], *, live: bool = False) -> list[np.ndarray]:
    with FaceAligner(FaceSettings(), live=live) as aligner:
        faces = [aligner.align(picture, t) for picture, t in zip(pictures, t_ns, strict=True)]
    assert all(len(one) == 1 for one in faces)
    assert {one[0].track for one in faces} == {0}, "it stays the same person"
    return [one[0].transform for one in faces]


@pytest.mark.parametrize("rate_hz", [30, 200])
def test_who_begins_with_a_leg_measures_what_everybody_else_measures(pictures: list[np.ndarray], rate_hz: int) -> None:
    """Before the low-pass, whose past fades: the same to the last bit, also where the alignment is carried."""
    shown = [*pictures, *pictures[::-1], *pictures]
    t_ns = times(len(shown), 15, rate_hz)
    runs = []
    for first in (0, 15):
        with FaceAligner() as aligner:
            seen = [aligner.find(p, t) for p, t in zip(shown[first:], t_ns[first:], strict=True)]
        runs.append([found.faces[0].face.transform.tobytes() for found in seen][-(len(shown) - 15) :])
    assert runs[0] == runs[1]


def test_a_recording_is_searched_anew_once_and_a_camera_not(pictures: list[np.ndarray], forgotten: list[None]) -> None:
    align(pictures, times(len(pictures), 8))
    assert len(forgotten) == 1
    align(pictures, times(len(pictures), 8), live=True)
    assert len(forgotten) == 1


def test_a_face_that_only_face_mesh_sees_is_not_given_up(
    pictures: list[np.ndarray], forgotten: list[None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A detector that fails in a leg's first picture: Face Mesh goes on following."""
    t_ns = times(len(pictures), 8)
    with FaceAligner() as aligner:
        for picture, t in zip(pictures[:8], t_ns[:8], strict=True):
            aligner.align(picture, t)
        with monkeypatch.context() as patch:
            patch.setattr(FaceFinder, "find", lambda finder, image: [])
            assert len(aligner.align(pictures[8], t_ns[8])) == 1
    assert not forgotten


def test_the_search_is_no_jerk(pictures: list[np.ndarray]) -> None:
    """The step into a leg is as small as the others, in px at the crop's corners."""
    corners = np.array([[60.0, 60.0, 1.0], [180.0, 60.0, 1.0], [120.0, 200.0, 1.0]])
    path = np.array([corners @ np.linalg.inv(np.vstack([t, [0, 0, 1]])).T for t in align(pictures, times(21, 12))])
    steps = np.linalg.norm(np.diff(path[:, :, :2], axis=0), axis=2).max(axis=1)
    assert steps[11] < 3 * np.median(steps[2:]) + 0.05


def test_low_passes_that_have_come_close_become_equal_at_a_leg() -> None:
    """Two that began a second apart, on the same measurements, differ by rounding until then."""
    rng = np.random.default_rng(3)
    t_ns = times(400, 300)
    measured = [np.array([[1.0, 0.0, x], [0.0, 1.0, y]]) for x, y in rng.normal(0, 0.3, (len(t_ns), 2))]
    runs = []
    for first in (0, 30):
        steady = SteadyTransform(0.6, 1.0, 4.0, 2.0)
        runs.append([steady.push(m, t) for m, t in zip(measured[first:], t_ns[first:], strict=True)][-370:])
    assert not any(np.array_equal(a, b) for a, b in zip(runs[0][:100], runs[1][:100], strict=True))
    assert np.array_equal(runs[0][-100:], runs[1][-100:])


def test_the_grid_is_finer_than_any_measurement() -> None:
    values = np.random.default_rng(0).uniform(-500, 500, 1_000)
    assert np.abs(settled(values) - values).max() <= 2.0**-13
    assert np.array_equal(settled(settled(values)), settled(values))
    assert [leg(t) for t in (0, LEG_NS - 1, LEG_NS)] == [0, 0, 1]
