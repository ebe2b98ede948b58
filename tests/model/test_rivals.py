"""Support vector machines, Bi-WOOF and MDMO against slow and plain loops."""

import math
import pickle
import sys
from collections.abc import Callable
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from bowam_model.errors import MissingDependency, OptionError
from bowam_model.learning import Examples
from bowam_model.rivals.biwoof import BiWoof, biwoof, paint_biwoof
from bowam_model.rivals.features import GridMeans, area_means, direction_bins, mirror
from bowam_model.rivals.maps import painted
from bowam_model.rivals.mdmo import CENTRES, REACH_PX, Mdmo, main_vectors, mdmo, paint_mdmo, regions
from bowam_model.rivals.svm import SvmLearner, svm_grid

CHANNELS = {"picture": 3, "concat": 4}


def _flows(count: int, side: int, fusion: str = "traditional", seed: int = 0) -> np.ndarray:
    """Smooth, different flows, float16 as in Examples."""
    rng = np.random.default_rng(seed)
    coarse = rng.normal(size=(count, 8, 8, CHANNELS.get(fusion, 2)))
    return np.repeat(np.repeat(coarse, side // 8, 1), side // 8, 2).astype(np.float16) + rng.normal(
        scale=0.1, size=(count, side, side, CHANNELS.get(fusion, 2))
    ).astype(np.float16)


def _examples(flows_NHWC: np.ndarray, labels: np.ndarray, fusion: str, readings: int = 1) -> Examples:
    count = len(labels)
    return Examples(
        flows_NVHWC=np.repeat(flows_NHWC[:, None], readings, 1),
        labels=labels.astype(np.int64),
        classes=("negative", "positive", "surprise"),
        subjects=np.arange(count) % 5,
        people=tuple(f"toy/{k}" for k in range(5)),
        clips=tuple(f"toy/{k % 5}/{k}" for k in range(count)),
        fusion=fusion,
    )


def _toy(count: int, seed: int, fusion: str = "traditional", side: int = 24) -> Examples:
    """What moves, and whither, tells the class: mouth corners out, mouth corners down, brows up."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    flows = rng.normal(scale=0.3, size=(count, side, side, 2))
    brows, mouth = slice(side // 4, side // 3), slice(side // 2, side)
    for flow, label in zip(flows, labels, strict=True):
        if label == 2:
            flow[brows, :, 1] -= 1
        elif label == 1:
            flow[mouth, side // 2 :, 0] += 1
            flow[mouth, : side // 2, 0] -= 1
        else:
            flow[mouth, :, 1] += 1
    return _examples(flows.astype(np.float16), labels, fusion)


class TestMirror:
    def test_the_mirror_of_a_ready_picture_is_exactly_that_of_its_bytes(self) -> None:
        """255 - u, and columns turned round, as values of -1..1."""
        picture = np.random.default_rng(1).integers(0, 256, (5, 28, 28, 3), np.uint8)
        turned = picture[:, :, ::-1].copy()
        turned[..., 0] = 255 - turned[..., 0]
        values, expected = ((p / 127.5 - 1).astype(np.float16) for p in (picture, turned))
        np.testing.assert_array_equal(mirror(values, "picture"), expected)

    @pytest.mark.parametrize(
        ("fusion", "signs"),
        [("add", [-1, 1]), ("traditional", [-1, 1]), ("concat", [-1, 1, -1, 1]), ("multiply", [1, 1])],
    )
    def test_u_changes_its_sign_unless_two_are_multiplied(self, fusion: str, signs: list[int]) -> None:
        flow = _flows(2, 16, fusion)
        np.testing.assert_array_equal(mirror(flow, fusion), flow[:, :, ::-1] * np.array(signs, np.float16))

    @pytest.mark.parametrize("fusion", ["picture", "add"])
    def test_features_of_the_mirror_image_are_those_of_the_face_on_the_other_side(self, fusion: str) -> None:
        """Even in u: v, strain, divergence, stretch. Odd: u, curl, shear."""
        flow = _flows(3, 32, fusion)
        signs = np.array([-1, 1, 1, 1, -1, 1, -1])
        plain, turned = (GridMeans(grid=4)(f, fusion).reshape(3, 4, 4, 7) for f in (flow, mirror(flow, fusion)))
        np.testing.assert_allclose(turned, plain[:, :, ::-1] * signs, atol=1e-5)

    def test_bi_woof_of_the_mirror_image(self) -> None:
        """Sector k of 8 becomes sector 3 - k, in the block on the other side. (No float16: it hits borders.)"""
        flow = np.random.default_rng(4).normal(size=(2, 32, 32, 2)).astype(np.float32)
        plain, turned = (BiWoof(blocks=4).histograms(f, "add") for f in (flow, mirror(flow, "add")))
        np.testing.assert_allclose(turned, plain[:, :, ::-1, (3 - np.arange(8)) % 8], rtol=1e-4, atol=1e-6)


class TestGridMeans:
    @pytest.mark.parametrize("side", [28, 21, 30])
    def test_area_means_share_pixels_on_borders(self, side: int) -> None:
        maps = np.random.default_rng(side).normal(size=(1, side, side, 2)).astype(np.float32)
        got = area_means(maps, 7)[0]
        fine = np.repeat(np.repeat(maps[0], 7, 0), 7, 1)  # each area is now side x side
        for row, column in product(range(7), range(7)):
            area = fine[row * side : (row + 1) * side, column * side : (column + 1) * side]
            np.testing.assert_allclose(got[row, column], area.mean((0, 1)), atol=1e-5)

    @pytest.mark.parametrize("fusion", ["traditional", "add", "multiply", "concat", "picture"])
    def test_every_fusion_and_size(self, fusion: str) -> None:
        for side in (16, 64):
            rows = GridMeans()(_flows(3, side, fusion), fusion)
            assert rows.shape == (3, 49 * 7 * (2 if fusion == "concat" else 1))
            assert rows.dtype == np.float32

    def test_means_by_hand(self) -> None:
        """A face that stretches sideways by 2 % and turns, on top of a shift that centring takes away."""
        y, x = np.mgrid[:28, :28].astype(np.float64) - 13.5
        flow = np.stack([0.5 * x - 0.25 * y + 3, 0.25 * x - 7], axis=2)[None]
        rows = GridMeans(grid=2)(flow, "add").reshape(2, 2, 7)
        divergence, curl, stretch, shear = 0.5, 0.5, 0.5, 0.0
        np.testing.assert_allclose(rows[..., 3:], np.broadcast_to([divergence, curl, stretch, shear], (2, 2, 4)))
        np.testing.assert_allclose(rows[..., 0], [[-1.75, 5.25], [-5.25, 1.75]])

    def test_a_grid_finer_than_the_flow_is_an_error(self) -> None:
        with pytest.raises(OptionError, match="use a grid of at most"):
            GridMeans(grid=7)(np.zeros((1, 5, 5, 2)), "add")

    def test_no_examples_give_no_rows(self) -> None:
        assert GridMeans()(np.zeros((0, 28, 28, 3), np.float16), "picture").shape == (0, 343)


def _slow_biwoof(flow: np.ndarray, strain: np.ndarray, blocks: int) -> np.ndarray:
    """The description word by word, pixel by pixel."""
    height, width = strain.shape
    votes = np.zeros((blocks, blocks, 8))
    strains: dict[tuple[int, int], list[float]] = {}
    for y, x in product(range(height), range(width)):
        u, v = (float(value) for value in flow[y, x])
        block = (y * blocks // height, x * blocks // width)
        sector = min(int((math.atan2(v, u) + math.pi) / (math.pi / 4)), 7)
        votes[*block, sector] += math.sqrt(u * u + v * v)
        strains.setdefault(block, []).append(float(strain[y, x]))
    for block, values in strains.items():
        votes[block] *= sum(values) / len(values)
    return votes.ravel() / np.linalg.norm(votes)


def _liong_strain(flow: np.ndarray) -> np.ndarray:
    u_y, u_x = np.gradient(flow[..., 0].astype(np.float64))
    v_y, v_x = np.gradient(flow[..., 1].astype(np.float64))
    exy = eyx = (u_y + v_x) / 2
    return np.sqrt(u_x**2 + v_y**2 + (exy**2 + eyx**2) / 2)


@pytest.mark.parametrize("features", [GridMeans(), BiWoof(), Mdmo()], ids=lambda one: one.name)
def test_a_flow_has_the_same_features_in_any_company(features: Callable[..., np.ndarray]) -> None:
    """Bit for bit, so that they may be computed once and remembered."""
    flows = _flows(70, 64, "add")
    together = features(flows, "add")
    alone = np.concatenate([features(flow[None], "add") for flow in flows])
    np.testing.assert_array_equal(together, alone)
    assert len(np.unique(together, axis=0)) == 70


class TestBiWoof:
    @pytest.mark.parametrize("blocks", [5, 8])
    def test_equals_the_slow_loop(self, blocks: int) -> None:
        flows = _flows(3, 24)
        got = BiWoof(blocks=blocks)(flows, "traditional")
        for row, flow in zip(got, flows.astype(np.float32), strict=True):
            np.testing.assert_allclose(row, _slow_biwoof(flow, _liong_strain(flow), blocks), atol=1e-5)

    def test_a_ready_picture_brings_its_own_strain_and_a_zero_from_its_median(self) -> None:
        picture = _flows(1, 24, "picture")[0].astype(np.float64)
        flow = picture[..., :2] - np.median(picture[..., :2], axis=(0, 1))
        expected = _slow_biwoof(flow, picture[..., 2] - picture[..., 2].min(), 8)
        np.testing.assert_allclose(BiWoof()(picture[None], "picture")[0], expected, atol=1e-5)

    def test_a_face_that_does_not_move_is_a_row_of_zeros(self) -> None:
        assert not BiWoof()(np.zeros((2, 16, 16, 2), np.float16), "add").any()

    @pytest.mark.parametrize("fusion", ["multiply", "concat"])
    def test_it_needs_one_direction(self, fusion: str) -> None:
        with pytest.raises(OptionError, match="no single direction"):
            BiWoof()(_flows(1, 16, fusion), fusion)

    def test_directions_begin_at_minus_u(self) -> None:
        angles = np.radians(np.arange(-180, 180, 45) + 20)
        vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
        np.testing.assert_array_equal(direction_bins(vectors, 8), range(8))
        assert direction_bins(np.array([[-1, 0]], np.float32), 8) == 7  # pi in float32

    def test_the_map_shows_each_block(self) -> None:
        """Block by block: where it goes, and how much; the map is constant in each block."""
        flow = np.zeros((16, 16, 2), np.float32)
        y = np.arange(8)[:, None]
        flow[:8, :8, 0] = y + 1  # to the right, with strain
        flow[8:, 8:, 1] = -(y + 1) / 2  # up, half as far
        shown = paint_biwoof(flow, features=BiWoof(blocks=2))
        assert shown.shape == (16, 16, 3)
        assert shown[:8, :8, 2].max() == shown[:8, :8, 2].min() == 1
        assert 0 < shown[12, 12, 2] < 0.5
        # 8 sectors: u is the border between two, so the middle of the one that holds it is 22.5 degrees away.
        assert shown[0, 0, 0] == pytest.approx(math.cos(math.pi / 8), abs=1e-5)
        assert shown[12, 12, 1] == pytest.approx(-math.cos(math.pi / 8), abs=1e-5)
        assert not shown[:8, 8:].any()


def _slow_main_vectors(flow: np.ndarray) -> list[tuple[float, float]]:
    height, width = flow.shape[:2]
    held: list[list[list[tuple[float, float]]]] = [[[] for _ in range(8)] for _ in CENTRES]
    for row, column in product(range(height), range(width)):
        x, y = (column + 0.5) * 240 / width - 0.5, (row + 0.5) * 240 / height - 0.5
        away = [math.hypot(x - cx, y - cy) for cx, cy in CENTRES]
        nearest = away.index(min(away))
        u, v = (float(value) for value in flow[row, column])
        if away[nearest] <= REACH_PX and (u or v):
            held[nearest][min(int((math.atan2(v, u) + math.pi) / (math.pi / 4)), 7)].append((u, v))
    means = []
    for sectors in held:
        fullest = max(sectors, key=len)
        means.append(tuple(float(m) for m in np.mean(fullest, axis=0)) if fullest else (0.0, 0.0))
    return means


class TestMdmo:
    def test_main_vectors_equal_the_slow_loop(self) -> None:
        flows = _flows(2, 64)
        flows[:, :20] = 0  # a still forehead does not vote
        for got, flow in zip(main_vectors(flows, "traditional"), flows.astype(np.float32), strict=True):
            np.testing.assert_allclose(got, _slow_main_vectors(flow), atol=1e-5)

    def test_thirty_six_regions_in_mirrored_places(self) -> None:
        region = regions(240, 240)
        assert sorted(np.unique(region)) == list(range(-1, 36))
        across = [*range(15, 30), *range(15), *range(30, 36)]
        # Pixel 120 is the middle, so column x has its mirror image at 240 - x; ties on borders go to the lower number.
        left, right = region[:, 1:120], region[:, :120:-1]
        same = np.where(left >= 0, np.array(across)[left], -1) == right
        assert same.mean() > 0.99

    def test_magnitudes_then_angles_with_their_weights(self) -> None:
        flow = np.zeros((1, 240, 240, 2))
        flow[:, :120, :, 1] = -2  # the upper half goes up
        flow[:, 120:, :, 0] = 1
        row = Mdmo(weight=0.6)(flow, "traditional")[0]
        assert row.shape == (72,)
        brow, corner = 3, 12
        assert row[[brow, corner]] == pytest.approx([0.6, 0.3])
        assert row[[36 + brow, 36 + corner]] == pytest.approx([0.4 * -0.5, 0], abs=1e-6)

    @pytest.mark.parametrize(
        ("flows", "fusion", "says"),
        [
            (np.zeros((1, 28, 28, 3)), "picture", "where the face is"),
            (np.zeros((1, 240, 240, 2)), "multiply", "no single direction"),
            (np.zeros((1, 8, 8, 2)), "add", "use a larger side"),
        ],
    )
    def test_what_it_can_t_use_is_an_error(self, flows: np.ndarray, fusion: str, says: str) -> None:
        with pytest.raises(OptionError, match=says):
            Mdmo()(flows, fusion)

    def test_the_map_shows_each_region_and_nothing_outside(self) -> None:
        flow = _flows(1, 64)[0]
        shown, mean, region = paint_mdmo(flow), main_vectors(flow[None], "traditional")[0], regions(64, 64)
        length = np.hypot(*mean.T)
        for number in range(36):
            expected = [*(mean[number] / length[number]), length[number] / length.max()]
            np.testing.assert_allclose(shown[region == number], np.tile(expected, ((region == number).sum(), 1)), 1e-5)
        assert not shown[region == -1].any()


def test_painted_examples_are_ready_pictures() -> None:
    examples = _examples(_flows(4, 64, "add"), np.arange(4) % 3, "add", readings=3)
    for kind in ("biwoof", "mdmo"):
        maps = painted(examples, kind)
        assert maps.fusion == "picture"
        assert maps.flows_NVHWC.shape == (4, 3, 64, 64, 3)
        assert maps.flows_NVHWC.dtype == np.float16
        assert maps.clips == examples.clips
        assert np.abs(maps.flows_NVHWC).max() <= 1
    with pytest.raises(OptionError, match="unknown map 'hoof'"):
        painted(examples, "hoof")


LEARNERS = [SvmLearner(), SvmLearner(mirror=False), SvmLearner(kernel="linear", mirror_test=True), biwoof(), mdmo()]


class TestLearner:
    @pytest.mark.parametrize("learner", [*LEARNERS[:3], biwoof(blocks=5)], ids=lambda one: str(one.recipe)[:40])
    def test_it_learns_a_toy(self, learner: SvmLearner) -> None:
        unseen = _toy(60, seed=2)
        scores = learner.learn(_toy(60, seed=1), seed=0).predict(unseen)
        assert (scores.argmax(1) == unseen.labels).mean() > 0.9
        np.testing.assert_allclose(scores.sum(1), 1, atol=1e-5)
        assert scores.shape == (60, 3)
        assert scores.dtype == np.float32

    def test_mdmo_learns_a_toy(self) -> None:
        unseen = _toy(45, seed=2, side=80)
        scores = mdmo().learn(_toy(45, seed=1, side=80), seed=0).predict(unseen)
        assert (scores.argmax(1) == unseen.labels).mean() > 0.9

    def test_from_shuffled_labels_it_learns_nothing(self) -> None:
        train, unseen = _toy(90, seed=1), _toy(300, seed=2)
        rights = []
        for seed in range(3):
            labels = np.random.default_rng(seed).permutation(train.labels)
            shuffled = _examples(train.flows_NVHWC[:, 0], labels, train.fusion)
            rights.append((SvmLearner().learn(shuffled, 0).predict(unseen).argmax(1) == unseen.labels).mean())
        assert np.mean(rights) < 0.6

    def test_the_mirror_teaches_the_other_side(self) -> None:
        """Trained on movements of one half of the face only, it knows those of the other half."""
        flows = np.random.default_rng(0).normal(scale=0.1, size=(60, 28, 28, 2))
        labels = np.arange(60) % 3
        for flow, label in zip(flows, labels, strict=True):
            flow[8 * label : 8 * label + 8, :10, 0] += 1
        train = _examples(flows.astype(np.float16), labels, "add")
        unseen = _examples(mirror(train.flows_NVHWC[:, 0], "add"), labels, "add")
        right = [
            (SvmLearner(mirror=mirrored).learn(train, 0).predict(unseen).argmax(1) == labels).mean()
            for mirrored in (True, False)
        ]
        assert right[0] == 1 > right[1] + 0.2

    def test_test_time_mirror_makes_both_sides_the_same(self) -> None:
        model = SvmLearner(mirror=False, mirror_test=True).learn(_toy(30, seed=1), 0)
        unseen = _toy(9, seed=2)
        turned = _examples(mirror(unseen.flows_NVHWC[:, 0], "traditional"), unseen.labels, "traditional")
        np.testing.assert_allclose(model.predict(unseen), model.predict(turned), atol=1e-5)

    @pytest.mark.parametrize("learner", LEARNERS, ids=lambda one: str(one.recipe)[:60])
    def test_it_travels_and_gives_the_same_again(self, learner: SvmLearner) -> None:
        """Pickled there and back, any seed, any checkpoint: the same scores bit for bit."""
        train, unseen = _toy(18, seed=1, side=80), _toy(6, seed=2, side=80)
        first = learner.learn(train, seed=0).predict(unseen)
        again = pickle.loads(pickle.dumps(learner)).learn(train, seed=7, checkpoint=Path("unused"))
        np.testing.assert_array_equal(first, pickle.loads(pickle.dumps(again)).predict(unseen))
        assert learner.for_epochs(9) is learner
        assert learner.epochs == 1

    def test_readings_are_learned_from_but_only_the_first_is_judged(self) -> None:
        train = _toy(30, seed=1)
        several = _examples(train.flows_NVHWC[:, 0], train.labels, train.fusion, readings=3)
        model = SvmLearner().learn(several, 0)
        assert model.samples_seen == 30 * 3 * 2
        spoilt = _examples(train.flows_NVHWC[:, 0], train.labels, train.fusion, readings=3)
        spoilt.flows_NVHWC[:, 1:] = 0
        np.testing.assert_array_equal(model.predict(spoilt), model.predict(several))

    @pytest.mark.parametrize("classes", [[1], [0, 2]])
    def test_classes_that_were_never_shown_get_nothing(self, classes: list[int]) -> None:
        toy = _toy(30, seed=1)
        train = toy.take(np.isin(toy.labels, classes))
        scores = SvmLearner().learn(train, 0).predict(toy)
        absent = [k for k in range(3) if k not in classes]
        assert not scores[:, absent].any()
        np.testing.assert_allclose(scores.sum(1), 1, atol=1e-5)
        shown = np.isin(toy.labels, classes)
        np.testing.assert_array_equal(scores[shown].argmax(1), toy.labels[shown])

    def test_each_flow_is_looked_at_once_from_either_side(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Though two machines learn from it, and a third has other features."""
        looked: list[int] = []
        plain = GridMeans.__call__

        def counting(features: GridMeans, flows: np.ndarray, fusion: str) -> np.ndarray:
            looked.append(len(flows))
            return plain(features, flows, fusion)

        monkeypatch.setattr(GridMeans, "__call__", counting)
        train = _toy(30, seed=99)
        first = SvmLearner(C=1).learn(train, 0).predict(train)
        second = SvmLearner(C=2).learn(train, 0).predict(train)
        assert sum(looked) == 60
        other = SvmLearner(features=GridMeans(centre=False)).learn(train, 0).predict(train)
        assert sum(looked) == 120
        assert len({scores.tobytes() for scores in (first, second, other)}) == 3

    def test_it_reports_its_only_round(self) -> None:
        heard: list[tuple[int, float]] = []
        SvmLearner().learn(_toy(30, seed=1), 0, on_epoch=lambda epoch, loss, model: heard.append((epoch, loss)))
        assert heard == [(1, 0.0)]

    def test_the_grid_varies_what_it_says_and_nothing_else(self) -> None:
        grid = svm_grid(SvmLearner(mirror_test=True), C=(1, 2), gamma=(0.5, 1, 3))
        assert len({repr(learner.recipe) for learner in grid}) == 6
        assert all(learner.mirror_test for learner in grid)
        assert [learner.gamma for learner in svm_grid(biwoof(), C=(1, 2))] == [1.0, 1.0]

    @pytest.mark.parametrize(
        "make",
        [lambda: SvmLearner(kernel="poly"), lambda: SvmLearner(C=0), lambda: SvmLearner(gamma=math.nan)],
    )
    def test_options_out_of_range_are_errors(self, make: Callable[[], SvmLearner]) -> None:
        with pytest.raises(OptionError):
            make()

    def test_without_scikit_learn_it_says_what_to_install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "sklearn.svm", None)
        with pytest.raises(MissingDependency, match=r"pip install 'bowam-stream\[rivals\]'"):
            SvmLearner().learn(_toy(9, seed=1), 0)
