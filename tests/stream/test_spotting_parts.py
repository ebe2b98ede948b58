"""The spotter's mathematics on signals and pictures whose answer is known in closed form."""

import cv2
import numpy as np
import pytest

from bowam_stream.clock import LEG_NS, NS_PER_MS
from bowam_stream.messages import Moment
from bowam_stream.spotting import pulse
from bowam_stream.spotting.baseline import Baseline
from bowam_stream.spotting.motion import Follower, Windows, common_alignment, measure, prepare
from bowam_stream.spotting.regions import NAMES, REGIONS
from bowam_stream.spotting.settings import SpottingSettings
from bowam_stream.spotting.trail import POSITIONS, WIDTH, Trail

U_TENTH = float(np.arccos(0.8) / np.pi)  # where a raised cosine passes a tenth of its height


def raised_cosine(t: np.ndarray, start: float, rise: float, fall: float) -> np.ndarray:
    u = np.minimum((t - start) / rise, (start + rise + fall - t) / fall)
    return 0.5 - 0.5 * np.cos(np.pi * np.clip(u, 0.0, 1.0))


@pytest.mark.parametrize(("rise", "fall"), [(60.0, 90.0), (100.0, 300.0), (250.0, 120.0)])
@pytest.mark.parametrize("step_ms", [5.0, 10.0, 1000 / 60])
def test_a_pulse_is_read_to_a_fraction_of_a_frame(rise: float, fall: float, step_ms: float) -> None:
    t = np.arange(0.0, 900.0, step_ms)
    x = 7.0 * raised_cosine(t, 203.0, rise, fall)
    found = pulse.read(t, x, int(np.argmax(x)), edge=0.1, release=0.33)
    assert found.onset == pytest.approx(203 + U_TENTH * rise, abs=0.35 * step_ms)
    assert found.offset == pytest.approx(203 + rise + fall - U_TENTH * fall, abs=0.35 * step_ms)
    assert found.apex == pytest.approx(203 + rise, abs=0.5 * step_ms + 0.03 * abs(fall - rise))
    assert found.released


def test_a_pulse_that_is_still_up_has_no_offset() -> None:
    t = np.arange(0.0, 300.0, 10.0)
    x = raised_cosine(t, 100, 100, 300)
    found = pulse.read(t, x, int(np.argmax(x)), edge=0.1, release=0.33)
    assert found.offset is None
    assert not found.released


def test_smoothing_keeps_the_mean_and_the_ends() -> None:
    t = np.arange(0.0, 200.0, 10.0)
    ramp = np.stack([t, np.ones_like(t)], axis=1)
    smooth = pulse.smooth(t, ramp, 20.0)
    assert smooth.shape == ramp.shape
    np.testing.assert_allclose(smooth[2:-2, 0], t[2:-2])
    np.testing.assert_allclose(smooth[:, 1], 1.0)


def test_slow_frames_are_not_smoothed() -> None:
    t = np.arange(0.0, 400.0, 40.0)
    x = np.sin(t)[:, None]
    assert np.array_equal(pulse.smooth(t, x, 12.0), x)


def face_like(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A fine texture (960, 960) and landmarks (468, 2) spread so that every region has a place of its own."""
    rng = np.random.default_rng(seed)
    texture = cv2.GaussianBlur(rng.normal(0, 1, (960, 960)), (0, 0), 12.0)
    texture = cv2.normalize(texture, None, 40, 210, cv2.NORM_MINMAX)
    landmarks = np.full((468, 2), 120.0, np.float32)
    for k, points in enumerate(REGIONS.values()):
        landmarks[list(points)] = (50 + 45 * (k % 4), 45 + 45 * (k // 4))
    landmarks[[33, 133, 263, 362]] = ((66, 225), (98, 225), (172, 225), (140, 225))
    return texture.astype(np.float32), landmarks


def moved(texture: np.ndarray, field: np.ndarray, noise: np.random.Generator | None = None) -> np.ndarray:
    """The texture displaced by a field (240, 240, 2) in px of the crop, scaled down to the crop."""
    line = np.arange(960, dtype=np.float32)
    source = np.stack(np.meshgrid(line, line), axis=-1) - 4 * cv2.resize(field, (960, 960))
    crop = cv2.resize(cv2.remap(texture, source, None, cv2.INTER_LINEAR), (240, 240), interpolation=cv2.INTER_AREA)
    if noise is not None:
        crop = crop + noise.normal(0, 2.0, crop.shape)
    return np.clip(crop, 0, 255).round().astype(np.uint8)


def uniform(x_px: float, y_px: float) -> np.ndarray:
    return np.tile(np.float32((x_px, y_px)), (240, 240, 1))


def bump(landmarks: np.ndarray, region: str) -> np.ndarray:
    """1 in the middle of a region, falling off around it; (240, 240, 1)."""
    line = np.arange(240, dtype=np.float32)
    grid = np.stack(np.meshgrid(line, line), axis=-1)
    centre = landmarks[list(REGIONS[region])].mean(axis=0)
    return np.exp(-((grid - centre) ** 2).sum(axis=-1) / (2 * 14.0**2))[..., None]


@pytest.mark.parametrize("shift", [(0.1, 0.0), (0.0, -0.5), (1.0, 1.0), (-2.0, 1.0)])
def test_a_shift_of_the_whole_face_is_head_motion_and_leaves_the_regions_at_rest(shift: tuple[float, float]) -> None:
    texture, landmarks = face_like(1)
    still, shifted = prepare(moved(texture, uniform(0, 0))), prepare(moved(texture, uniform(*shift)))
    regions, head = measure(still, shifted, Windows.on(landmarks))
    np.testing.assert_allclose(head[:2], shift, atol=0.03 + 0.05 * np.hypot(*shift))
    assert np.linalg.norm(regions, axis=1).max() < 0.03 + 0.1 * np.hypot(*shift)


@pytest.mark.parametrize("amplitude", [0.3, 1.0, 2.5])
@pytest.mark.parametrize("region", ["brow_outer_left", "mouth_corner_right"])
def test_a_local_motion_is_seen_where_it_is_in_its_direction_and_in_proportion(amplitude: float, region: str) -> None:
    texture, landmarks = face_like(2)
    direction = np.float32((0.6, -0.8))
    field = amplitude * bump(landmarks, region) * direction
    still, bent = prepare(moved(texture, uniform(0, 0))), prepare(moved(texture, field))
    regions, _ = measure(still, bent, Windows.on(landmarks))
    found = regions[NAMES.index(region)]
    assert np.argmax(np.linalg.norm(regions, axis=1)) == NAMES.index(region)
    assert 0.45 * amplitude < np.linalg.norm(found) < amplitude
    assert float(found @ direction) > 0.95 * float(np.linalg.norm(found))


def test_a_change_of_light_is_no_motion() -> None:
    texture, landmarks = face_like(3)
    where = Windows.on(landmarks)
    still = prepare(moved(texture, uniform(0, 0)))
    dimmed = prepare(moved(texture * 0.8 + 12, uniform(0, 0)))
    regions, head = measure(still, dimmed, where)
    assert np.abs(regions).max() < 0.03
    assert np.abs(head).max() < 0.03


def test_sensor_noise_moves_a_region_by_a_few_hundredths_of_a_pixel() -> None:
    texture, landmarks = face_like(4)
    rng = np.random.default_rng(5)
    where = Windows.on(landmarks)
    still = prepare(moved(texture, uniform(0, 0), rng))
    lengths = [
        np.linalg.norm(measure(still, prepare(moved(texture, uniform(0, 0), rng)), where)[0], axis=1) for _ in range(8)
    ]
    assert np.median(lengths) < 0.06


def test_positions_go_on_across_key_pictures() -> None:
    """Six pixels in steps of a fifth: far more than one picture can be compared over, so that the key changes."""
    texture, landmarks = face_like(6)
    follower, way = Follower(), np.float32((1.0, 0.0)) * bump(landmarks, "cheek_left")
    for k in range(31):
        regions, _, _ = follower.push(100 * NS_PER_MS * k, moved(texture, 0.2 * k * way), landmarks)
    assert 2.2 < regions[NAMES.index("cheek_left"), 0] < 6.0


def test_a_leg_counts_positions_anew_and_the_way_between_two_frames_stays_the_same_to_the_bit() -> None:
    """Two runs, of which one began earlier: after the leg's first frame nothing tells them apart."""
    texture, landmarks = face_like(9)
    rng = np.random.default_rng(10)
    crops = [moved(texture, uniform(0.02 * k, 0), rng) for k in range(24)]
    times = [LEG_NS - 12 * 100 * NS_PER_MS + 100 * NS_PER_MS * k for k in range(24)]
    runs = []
    for first in (0, 5):
        follower, trail = Follower(), Trail(100)
        for t_ns, crop in list(zip(times, crops, strict=True))[first:]:
            regions, _, origin = follower.push(t_ns, crop, landmarks)
            if origin is not None:
                trail.count_from(origin)
            row = np.zeros(WIDTH)
            row[POSITIONS] = regions.reshape(-1)
            trail.append(Moment(frame=0, t_ns=t_ns), row)
        runs.append(trail.rows[-12:])
    assert np.ptp(runs[0][:, POSITIONS]) > 0.0
    assert np.array_equal(*runs)
    assert trail.rows[12 - 5, POSITIONS].any(axis=0).sum() == 0, "the leg's first frame is the origin"


def test_a_triple_takes_out_shift_and_turn() -> None:
    texture, landmarks = face_like(7)
    line = np.arange(240, dtype=np.float32) - 120
    x, y = np.meshgrid(line, line)
    turn = np.stack([1.2 - 0.012 * y, -0.8 + 0.012 * x], axis=-1).astype(np.float32)
    apex, away = moved(texture, uniform(0, 0)), moved(texture, turn)
    triple = common_alignment(away, apex, away, landmarks)
    inner = (slice(30, 210), slice(30, 210))
    before = np.abs(away[inner].astype(float) - apex[inner]).mean()
    assert np.abs(triple.onset[inner].astype(float) - apex[inner]).mean() < 0.25 * before
    assert np.array_equal(triple.onset, triple.offset)


def test_the_baseline_learns_a_restless_face_and_forgets_a_single_event() -> None:
    baseline = Baseline(SpottingSettings())
    rng = np.random.default_rng(8)
    for k in range(160):
        lengths = np.hypot(*rng.normal(0, 0.3, (2, len(NAMES))))
        baseline.push(50.0 * k, lengths + 5.0 * (80 <= k < 90))
    np.testing.assert_allclose(baseline.sigma, 0.3, rtol=0.35)
    assert not baseline.warming_up


def test_a_still_face_is_never_taken_to_be_stiller_than_the_floor() -> None:
    settings = SpottingSettings()
    baseline = Baseline(settings)
    assert baseline.warming_up
    for k in range(160):
        baseline.push(50.0 * k, np.zeros(len(NAMES)))
    np.testing.assert_allclose(baseline.sigma, settings.noise_floor_px)


def test_the_trail_keeps_the_last_rows_and_no_more() -> None:
    trail = Trail(5)
    for k in range(23):
        trail.append(Moment(frame=k, t_ns=k * 10_000_000), np.full(WIDTH, float(k)))
    assert len(trail) == 5
    np.testing.assert_array_equal(trail.rows[:, 0], [18, 19, 20, 21, 22])
    np.testing.assert_array_equal(trail.t_ms, [180, 190, 200, 210, 220])
    assert trail.first_from(191).frame == 20
    assert trail.last_until(199).frame == 19
    assert trail.nearest(194).frame == 19
    assert trail.first_from(999).frame == 22
    assert trail.last_until(0).frame == 18
