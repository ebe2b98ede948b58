"""Synthetic clips: what the truth says is what the pictures show."""

import math
from itertools import pairwise
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest

from bowam_model.errors import DatasetError, ImageError, OptionError
from bowam_model.synthesis import (
    ClipPlan,
    Identity,
    demo_plan,
    load_identities,
    load_identity,
    load_truth,
    make_clip,
    plan_clip,
    render,
    truth_of,
)
from bowam_model.synthesis.fields import EYE_LEFT, EYE_RIGHT, OVAL, UNITS, Action, FaceFields, grid
from bowam_model.synthesis.identity import identity_of
from bowam_model.synthesis.plan import EXPRESSIONS, NUISANCES, STRATA, Movement, Nod, Scene, Speech
from bowam_model.synthesis.render import Head, Renderer


@pytest.fixture(scope="module")
def portrait() -> Identity:
    pytest.importorskip("skimage", reason="the default portrait comes with scikit-image")
    pytest.importorskip("mediapipe", reason="the face is located with MediaPipe")
    return load_identity()


@pytest.fixture(scope="module")
def fields(portrait: Identity) -> FaceFields:
    return FaceFields(portrait.landmarks)


def movement(*units: int, amplitude_px: float = 2.0, right: float = 1.0, left: float = 1.0) -> Movement:
    """An expression with its apex at 300 ms."""
    actions = tuple(Action(unit, right, left) for unit in units)
    times = {"start_ms": 200, "rise_ms": 100, "hold_ms": 0, "fall_ms": 200}
    return Movement(kind="micro", **times, amplitude_px=amplitude_px, actions=actions)


BLINK = Movement(kind="blink", start_ms=200, rise_ms=100, hold_ms=0, fall_ms=200)


def plan(*movements: Movement, **changes: object) -> ClipPlan:
    return ClipPlan(
        **{"seed": 1, "duration_ms": 600, "size": (400, 360), "zoom": 1.0, "movements": movements} | changes
    )


def measured(renderer: Renderer, before: int, after: int) -> tuple[np.ndarray, np.ndarray]:
    """Farneback flow between two frames, and the displacement that was applied, both on the picture."""
    images = [cv2.cvtColor(renderer.picture(frame), cv2.COLOR_RGB2GRAY) for frame in (before, after)]
    flow = cv2.calcOpticalFlowFarneback(*images, None, 0.5, 3, 9, 5, 5, 1.2, 0)
    applied = renderer.displacement(after * 10.0) - renderer.displacement(before * 10.0)
    zoom = renderer.to_picture[0, 0]
    x, y = grid()
    # Where each pixel of the picture lies on the grid of fields.
    rows, columns = np.mgrid[0 : flow.shape[0], 0 : flow.shape[1]].astype(np.float32)
    at_x = (columns - renderer.to_picture[0, 2]) / zoom - x[0, 0]
    at_y = (rows - renderer.to_picture[1, 2]) / zoom - y[0, 0]
    return flow, zoom * cv2.remap(applied, at_x, at_y, cv2.INTER_LINEAR)


class TestPlan:
    def test_the_same_seed_draws_the_same_clip_and_another_seed_another(self) -> None:
        assert plan_clip(3, nuisances=NUISANCES, seconds=20) == plan_clip(3, nuisances=NUISANCES, seconds=20)
        assert plan_clip(3) != plan_clip(4)

    @pytest.mark.parametrize("seed", range(20))
    def test_movements_keep_their_distance_and_stay_inside_the_clip(self, seed: int) -> None:
        drawn = plan_clip(seed, seconds=25, events=4, nuisances=NUISANCES)
        items = sorted([*drawn.movements, *drawn.nods, *drawn.speech], key=lambda item: item.start_ms)
        assert items[0].start_ms >= 1000
        assert items[-1].end_ms <= 25_000 - 300 + 1e-6
        gaps = [b.start_ms - a.end_ms for a, b in pairwise(items)]
        assert min(gaps) >= 400 - 1e-6

    @pytest.mark.parametrize("seed", range(10))
    def test_micro_expressions_have_the_durations_and_amplitudes_of_the_field(self, seed: int) -> None:
        truth = truth_of(plan_clip(seed, seconds=15, events=6, rate_hz=200))
        micros = [event for event in truth.events if event.kind == "micro"]
        assert len(micros) == 6
        for event in micros:
            assert 65 <= (event.offset - event.onset + 1) * 5 <= 500
            assert event.apex - event.onset < event.offset - event.apex
            assert event.label in EXPRESSIONS
            assert event.stratum in STRATA
            low, high = STRATA[event.stratum]
            assert low * 0.97 <= event.amplitude_px <= high  # the apex falls between two frames

    def test_labels_and_strata_are_taken_from_those_asked_for(self) -> None:
        drawn = plan_clip(1, events=5, seconds=12, labels=["positive"], strata=["hard"], nuisances=[])
        assert {(m.label, m.stratum) for m in drawn.movements} == {("positive", "hard")}
        assert drawn.scene == Scene()

    def test_what_does_not_fit_or_is_unknown_is_refused_in_one_line(self) -> None:
        with pytest.raises(OptionError, match="10 movements do not fit"):
            plan_clip(1, seconds=3, events=9)
        with pytest.raises(OptionError, match="'joy' is none of negative, positive, surprise"):
            plan_clip(1, labels=["joy"])
        with pytest.raises(OptionError, match="even size"):
            plan_clip(1, size=(641, 480))

    def test_the_demo_shows_all_classes_two_blinks_and_a_macro(self) -> None:
        truth = truth_of(demo_plan())
        assert {e.label for e in truth.events if e.kind == "micro"} == set(EXPRESSIONS)
        assert [e.kind for e in truth.events].count("blink") == 2
        assert {e.stratum for e in truth.events if e.stratum} == set(STRATA)
        assert (truth.fps, truth.frames) == (100.0, 1300)


class TestTruth:
    @pytest.mark.parametrize("rate_hz", [25, 30, 59.94, 100, 200])
    def test_onset_and_offset_are_the_first_and_last_frames_above_a_tenth(self, rate_hz: float) -> None:
        """Against the raised cosine solved by hand: it passes 10% at arccos(0.8) / pi of its rise and of its fall."""
        truth = truth_of(plan(movement(12), rate_hz=rate_hz))
        (event,) = truth.events
        share = math.acos(0.8) / math.pi
        onset_ms, offset_ms = 200 + share * 100, 500 - share * 200
        period_ms = 1000 / rate_hz
        # The peak of the frames is a little below the peak of the curve, so the crossing may come one frame earlier.
        assert event.onset in (math.ceil(onset_ms / period_ms), math.ceil(onset_ms / period_ms) - 1)
        assert event.offset in (math.floor(offset_ms / period_ms), math.floor(offset_ms / period_ms) + 1)
        assert abs(event.apex * period_ms - 300) <= period_ms / 2 + 1e-9

    def test_nods_and_speech_are_listed_apart_from_the_events(self) -> None:
        nod = Nod(start_ms=100, duration_ms=200, pitch_px=3, yaw_px=4)
        speech = Speech(start_ms=400, duration_ms=100, jaw_px=3, seed=1)
        truth = truth_of(plan(nods=(nod,), speech=(speech,)))
        assert truth.events == ()
        assert [(n.kind, n.onset, n.offset, n.amplitude_px) for n in truth.nuisances] == [
            ("nod", 10, 30, 5.0),
            ("speech", 40, 50, 3.0),
        ]


class TestFields:
    @pytest.mark.parametrize("unit", UNITS)
    def test_a_unit_moves_one_pixel_at_most_and_nothing_outside_the_face(self, fields: FaceFields, unit: int) -> None:
        field = fields.expression([Action(unit)]).field
        x, y = grid()
        length = np.hypot(field[..., 0], field[..., 1])
        oval = fields.landmarks[list(OVAL)]
        outside = np.array(
            [cv2.pointPolygonTest(oval, p, True) < -2 for p in zip(x.ravel().tolist(), y.ravel().tolist(), strict=True)]
        )
        if unit == 26:  # the skin below the chin follows the jaw
            outside &= y.ravel() < oval[:, 1].mean()
        assert length.max() == pytest.approx(1.0, abs=1e-5)
        assert length.ravel()[outside].max() == 0.0

    @pytest.mark.parametrize("unit", UNITS)
    def test_fields_are_smooth_except_between_the_lips(self, fields: FaceFields, unit: int) -> None:
        """A gradient below 1 keeps the warp one-to-one at an amplitude of 3 px: no tear, no fold."""
        field = fields.expression([Action(unit)]).field
        gradient = max(np.abs(np.diff(field, axis=axis)).max() for axis in (0, 1))
        assert gradient * 3 < (3.0 if unit == 26 else 1.0)

    @pytest.mark.parametrize("unit", [1, 2, 4])
    def test_a_moving_brow_leaves_the_eye_alone(self, fields: FaceFields, unit: int) -> None:
        field = fields.expression([Action(unit)]).field
        for eye in (EYE_RIGHT, EYE_LEFT):
            for x, y in fields.landmarks[list(eye)]:
                assert np.abs(field[round(float(y)) + 120, round(float(x)) + 100]).max() < 0.02

    @pytest.mark.parametrize(
        ("unit", "point", "direction"),
        [
            (1, 107, (0, -1)),
            (2, 105, (0, -1)),
            (4, 55, (1, 1)),
            (5, 159, (0, -1)),
            (6, 50, (0, -1)),
            (7, 145, (0, -1)),
            (9, 129, (0, -1)),
            (10, 39, (0, -1)),
            (12, 61, (-1, -1)),
            (14, 61, (-1, 0)),
            (15, 61, (0, 1)),
            (26, 17, (0, 1)),
        ],
    )
    def test_each_unit_pulls_its_point_the_way_of_facs(
        self, fields: FaceFields, unit: int, point: int, direction: tuple[int, int]
    ) -> None:
        """The person's right side, which is on the left of the picture; x to the right, y down."""
        x, y = np.rint(fields.landmarks[point]).astype(int)
        dx, dy = fields.expression([Action(unit, 1.0, 0.0)]).field[y + 120, x + 100]
        for value, sign in zip((dx, dy), direction, strict=True):
            assert value * sign > 0.2 if sign else abs(value) < 0.35

    def test_one_side_leaves_the_other_still(self, fields: FaceFields) -> None:
        right = fields.expression([Action(12, 1.0, 0.0)]).field
        x, _ = grid()
        assert np.abs(right[x > 165]).max() < 0.01
        assert np.abs(right[x < 120]).max() > 0.5


class TestPictures:
    @pytest.mark.parametrize("units", [(12,), (4,), (1, 2), (15,), (9,)], ids=lambda units: "+".join(map(str, units)))
    def test_an_independent_flow_sees_the_displacement_that_was_applied(
        self, portrait: Identity, units: tuple[int, ...]
    ) -> None:
        renderer = Renderer(plan(movement(*units, amplitude_px=2.5)), portrait)
        flow, applied = measured(renderer, 0, 30)
        length = np.hypot(applied[..., 0], applied[..., 1])
        strong = length > 0.4 * length.max()
        gain = (flow[strong] * applied[strong]).sum() / (applied[strong] ** 2).sum()
        assert 0.7 < gain < 1.15  # Farneback smooths over 9 pixels: it never sees all of a local movement
        cosine = (flow[strong] * applied[strong]).sum() / (
            np.linalg.norm(flow[strong]) * np.linalg.norm(applied[strong])
        )
        assert cosine > 0.85  # smooth skin hides movement along itself
        still = cv2.dilate((length > 0).astype(np.uint8), np.ones((3, 3))) == 0
        assert still.mean() > 0.3
        np.testing.assert_array_equal(renderer.picture(30)[still], renderer.picture(0)[still])

    def test_the_flow_crosses_a_tenth_of_its_peak_where_the_truth_says(self, portrait: Identity) -> None:
        acted = plan(movement(1, 2, amplitude_px=3.0))
        renderer = Renderer(acted, portrait)
        (event,) = truth_of(acted).events
        _, shape = measured(renderer, 0, event.apex)
        frames = np.arange(18, 54)  # before and after, nothing moves
        course = [float((measured(renderer, 0, frame)[0] * shape).sum()) for frame in frames]
        above = frames[np.array(course) >= 0.1 * max(course)]
        assert abs(frames[np.argmax(course)] - event.apex) <= 1
        assert abs(above[0] - event.onset) <= 1
        assert abs(above[-1] - event.offset) <= 1

    def test_a_tenth_of_a_pixel_is_a_real_movement(self, portrait: Identity) -> None:
        """What the flow sees grows in proportion down to 0.1 px: the sub-pixel warp neither rounds nor jumps."""
        seen = {}
        for amplitude_px in (0.1, 1.0):
            flow, applied = measured(Renderer(plan(movement(12, amplitude_px=amplitude_px)), portrait), 0, 30)
            seen[amplitude_px] = float((flow * applied).sum() / (applied**2).sum())
        assert seen[0.1] == pytest.approx(seen[1.0], rel=0.3)

    def test_the_head_moves_as_one_and_the_background_stays(self, portrait: Identity) -> None:
        acted = plan(scene=Scene(drift_px=0.6), duration_ms=8000)
        renderer = Renderer(acted, portrait)
        flow, applied = measured(renderer, 0, 500)
        x, y = np.rint(renderer.to_picture @ (120, 130, 1)).astype(int)
        face = (slice(y - 50, y + 50), slice(x - 40, x + 40))
        assert np.abs(applied[face]).max() > 0.5
        assert np.abs(flow[face] - applied[face]).mean() < 0.1
        assert np.abs(renderer.displacement(5000.0)[[0, -1]]).max() == 0.0

    def test_a_nod_moves_the_nose_further_than_the_jaw_and_comes_back(self) -> None:
        head = Head(plan(nods=(Nod(start_ms=100, duration_ms=400, pitch_px=6, yaw_px=0),)))
        assert head.field(300.0)[130 + 120, 120 + 100, 1] == pytest.approx(6.0, abs=0.1)
        assert 3.0 < head.field(300.0)[190 + 120, 60 + 100, 1] < 5.7
        assert np.abs(head.field(500.0)).max() == pytest.approx(0.0, abs=1e-6)

    def test_a_blink_covers_the_eyes_and_changes_nothing_else(self, portrait: Identity) -> None:
        renderer = Renderer(plan(BLINK), portrait)
        open_eyes, closed = (cv2.cvtColor(renderer.picture(f), cv2.COLOR_RGB2GRAY).astype(int) for f in (0, 30))
        points = portrait.landmarks @ renderer.to_picture[:, :2].T + renderer.to_picture[:, 2]
        changed = np.abs(closed - open_eyes) > 2
        for eye, iris_at in ((EYE_RIGHT, (159, 145)), (EYE_LEFT, (386, 374))):
            (x0, y0), (x1, y1) = points[list(eye)].min(axis=0), points[list(eye)].max(axis=0)
            x, y = np.rint(points[list(iris_at)].mean(axis=0)).astype(int)
            iris = (slice(y - 1, y + 2), slice(x - 2, x + 3))
            assert closed[iris].mean() > open_eyes[iris].mean() + 15  # skin where the dark iris was
            changed[int(y0) - 25 : int(y1) + 6, int(x0) - 6 : int(x1) + 7] = False
        assert not changed.any()

    def test_parting_lips_show_the_dark_of_the_mouth_and_a_closed_jaw_does_not(self, portrait: Identity) -> None:
        renderer = Renderer(plan(movement(26, amplitude_px=6.0)), portrait)
        x, y = renderer.to_picture @ (*portrait.landmarks[14], 1)
        below = (slice(round(y) + 2, round(y) + 5), slice(round(x) - 3, round(x) + 4))
        assert renderer.picture(30)[below].mean() < 0.6 * renderer.picture(0)[below].mean()

    def test_frames_are_the_same_in_every_run_and_in_any_order(self, portrait: Identity) -> None:
        acted = plan_clip(5, seconds=4, events=1, size=(320, 240), zoom=0.7, nuisances=("noise", "flicker", "drift"))
        short = msgspec.structs.replace(acted, duration_ms=200.0)
        frames = list(render(short, portrait))
        again = Renderer(acted, portrait)
        assert len(frames) == 20
        for frame in (19, 3):
            np.testing.assert_array_equal(again.picture(frame), frames[frame])
        for one, other in zip(frames, render(short, portrait, threads=3), strict=True):
            np.testing.assert_array_equal(one, other)

    def test_light_and_noise_are_those_of_the_scene(self, portrait: Identity) -> None:
        clean = Renderer(plan(), portrait).picture(0).astype(float)
        noisy = Renderer(plan(scene=Scene(noise=3.0)), portrait).picture(0).astype(float)
        dark = Renderer(plan(scene=Scene(light=0.25)), portrait).picture(0)
        middle = (clean > 40) & (clean < 215)
        assert (noisy - clean)[middle].std() == pytest.approx(3.0 * math.hypot(1, 0.5), rel=0.1)
        assert dark.mean() == pytest.approx(0.25 * clean.mean(), rel=0.02)


class TestFiles:
    def test_a_clip_has_the_frames_of_its_truth_and_the_truth_comes_back(
        self, portrait: Identity, tmp_path: Path
    ) -> None:
        import av

        acted = plan_clip(2, seconds=2.5, events=1, rate_hz=59.94, size=(320, 240), zoom=0.7, nuisances=("drift",))
        done: list[int] = []
        truth = make_clip(acted, portrait, tmp_path / "clip", on_frame=lambda frame, frames: done.append(frame))
        assert load_truth(tmp_path / "clip" / "truth.json") == truth
        assert truth.plan == acted
        with av.open(str(tmp_path / "clip" / "clip.mp4")) as container:
            stream = container.streams.video[0]
            times = [frame.time for frame in container.decode(stream)]
            assert (stream.width, stream.height, stream.codec_context.pix_fmt) == (320, 240, "yuv420p")
        assert len(times) == truth.frames == len(done) == 150
        np.testing.assert_allclose(np.diff(times), 1 / 59.94, atol=1e-3)
        assert sorted(p.name for p in (tmp_path / "clip").iterdir()) == ["clip.mp4", "truth.json"]

    def test_an_interrupted_clip_leaves_nothing_behind(self, portrait: Identity, tmp_path: Path) -> None:
        def interrupt(frame: int, frames: int) -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            make_clip(plan(), portrait, tmp_path, on_frame=interrupt)
        assert list(tmp_path.iterdir()) == []

    def test_a_broken_truth_or_photo_is_one_clear_error(self, tmp_path: Path) -> None:
        (tmp_path / "truth.json").write_text("{}")
        with pytest.raises(DatasetError, match=r"no truth\.json"):
            load_truth(tmp_path / "truth.json")
        (tmp_path / "photo.jpg").write_bytes(b"no picture")
        with pytest.raises(ImageError, match="not a picture"):
            load_identity(tmp_path / "photo.jpg")
        with pytest.raises(ImageError, match="can't read"):
            load_identity(tmp_path / "absent.jpg")
        (tmp_path / "empty").mkdir()
        with pytest.raises(DatasetError, match="no photos"):
            load_identities(tmp_path / "empty")
        with pytest.raises(ImageError, match="no face"):
            identity_of(np.full((200, 200, 3), 128, np.uint8), "wall")
