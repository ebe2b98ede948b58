"""Preparation on miniature clips that the tests render: what the flows are, and what the cache promises."""

import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from bowam_model.datasets import Corpus, Expected, FlowImage, Frames, Sample, Video, load_manifest
from bowam_model.errors import DatasetError, OptionError
from bowam_model.face import FaceAligner, align_still
from bowam_model.flow import bidirectional_flow
from bowam_model.preparation import PreparationSettings, cache, prepare
from bowam_model.preparation.faces import steadied
from bowam_model.preparation.pictures import moments
from bowam_model.synthesis import ClipPlan, load_identity, render
from bowam_model.synthesis.plan import Scene, micro

pytest.importorskip("skimage", reason="the default portrait comes with scikit-image")
pytest.importorskip("mediapipe", reason="alignment needs mediapipe")

RATE_HZ = 50.0
FIRST = 100  # number of the first frame on disk
QUICK = PreparationSettings(side_px=60)
module = sys.modules["bowam_model.preparation.prepare"]


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fourteen frames of a face whose brows and head move, 100.png to 113.png."""
    folder = tmp_path_factory.mktemp("clip")
    movement = micro(np.random.default_rng(1), "surprise", "easy")
    plan = ClipPlan(
        seed=5, rate_hz=RATE_HZ, duration_ms=280.0, size=(200, 220), zoom=0.9, movements=(movement,),
        scene=Scene(drift_px=2.0, noise=1.0),
    )  # fmt: skip
    for index, picture in enumerate(render(plan, load_identity())):
        cv2.imwrite(str(folder / f"{FIRST + index}.png"), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    return folder


def sample_of(folder: Path, numbers: range = range(FIRST, FIRST + 14), **changes: object) -> Sample:
    sample = Sample(
        dataset="mine",
        subject="one",
        clip="a",
        recording="a",
        kind="micro",
        emotion="surprise",
        label="surprise",
        onset=numbers[0],
        apex=numbers[0] + 5,
        offset=numbers[-1],
        fps=RATE_HZ,
        aus=(),
        media=Frames(numbers=tuple(numbers), paths=tuple(folder / f"{number}.png" for number in numbers)),
        cropped=False,
    )
    return replace(sample, **changes)  # type: ignore[arg-type]


def corpus_of(*samples: Sample) -> Corpus:
    return Corpus(title="a few", samples=samples, findings=(), expected=Expected(), sources=())


def read(path: Path) -> np.ndarray:
    return cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)


def test_the_flow_is_that_of_a_live_run_that_has_watched_the_head_before(tmp_path: Path) -> None:
    """Heads drift for 1.5 s; the clips have the last 290 ms, and their flow is that of the whole recordings.

    A filter that starts cold with the clip misses it by more, and frames that are aligned each by itself by far more.
    """
    rate_hz, numbers, moments_of_flow = 100.0, range(120, 149), (120, 132, 148)
    missed: dict[str, list[float]] = {"prepared": [], "cold": [], "each": []}
    for seed in (2, 5, 7, 11, 13, 17):
        scene = Scene(drift_px=2.5, noise=1.5)
        plan = ClipPlan(seed=seed, rate_hz=rate_hz, duration_ms=1490.0, size=(200, 220), zoom=0.9, scene=scene)
        live, cold = {}, {}
        with FaceAligner() as watching, FaceAligner() as starting:
            for number, picture in enumerate(render(plan, load_identity())):
                t_ns = round(number * 1e9 / rate_hz)
                live[number] = watching.align(picture, t_ns)[0].crop
                if number in numbers:
                    cold[number] = starting.align(picture, t_ns)[0].crop
                    cv2.imwrite(str(tmp_path / f"{number}.png"), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
        corpus = corpus_of(sample_of(tmp_path, numbers, fps=rate_hz, apex=132))
        prepared = prepare(corpus, PreparationSettings(), tmp_path / "cache")
        each = prepare(corpus, PreparationSettings(steady=False), tmp_path / "cache")
        assert prepared.findings == ()
        wanted = bidirectional_flow(*(live[number] for number in moments_of_flow))
        for name, flow in (
            ("prepared", prepared.examples.flows_NVHWC[0, 0]),
            ("cold", bidirectional_flow(*(cold[number] for number in moments_of_flow))),
            ("each", each.examples.flows_NVHWC[0, 0]),
        ):
            missed[name].append(float(np.mean((flow.astype(np.float64) - wanted)[60:200, 50:190] ** 2)))
    root_px = {name: float(np.sqrt(np.mean(squares))) for name, squares in missed.items()}
    assert root_px["prepared"] < 0.15, root_px
    assert root_px["prepared"] < 0.75 * root_px["cold"], root_px
    assert root_px["prepared"] < 0.4 * root_px["each"], root_px


def test_a_head_on_a_straight_way_is_followed_without_lag() -> None:
    """What is measured comes back but for the lag of a settled low-pass, which is the same in every frame."""
    times_ns = np.arange(30) * 5_000_000
    still = np.array([[0.9, -0.1, 12.0], [0.1, 0.9, -7.0]])
    way = np.zeros((2, 3))
    way[:, 2] = 3.0, -2.0  # pixels per second
    measured = np.array([still + way * t_ns / 1e9 for t_ns in times_ns])
    lag = np.array(steadied(measured, times_ns)) - measured
    assert np.ptp(lag, axis=0).max() < 0.01
    noisy = measured + np.random.default_rng(0).normal(0, 0.2, (30, 1, 3)) * [0, 0, 1]
    left = np.array(steadied(noisy, times_ns)) - measured
    assert np.diff(left[:, 0, 2]).std() < 0.2 / 4


def test_a_smaller_side_holds_means_over_areas_in_the_same_pixels(frames: Path, tmp_path: Path) -> None:
    corpus = corpus_of(sample_of(frames))
    large = prepare(corpus, PreparationSettings(), tmp_path).examples.flows_NVHWC[0, 0].astype(np.float64)
    small = prepare(corpus, QUICK, tmp_path).examples.flows_NVHWC[0, 0]
    np.testing.assert_allclose(small, large.reshape(60, 4, 60, 4, 2).mean(axis=(1, 3)), rtol=2e-3, atol=4e-3)


def test_three_pictures_alone_are_aligned_each_by_itself(frames: Path, tmp_path: Path) -> None:
    """A manifest's three pictures have no times, so that no low-pass can be right; `steady=False` does the same."""
    numbers = (100, 105, 113)
    crops = [align_still(read(frames / f"{number}.png")) for number in numbers]
    expected = bidirectional_flow(*(face.crop for face in crops if face)).astype(np.float16)
    media = Frames(numbers=numbers, paths=tuple(frames / f"{number}.png" for number in numbers))
    for sample, steady in ((sample_of(frames, media=media), True), (sample_of(frames), False)):
        settings = PreparationSettings(steady=steady)
        np.testing.assert_array_equal(
            prepare(corpus_of(sample), settings, tmp_path).examples.flows_NVHWC[0, 0], expected
        )


def test_readings_are_the_apex_and_its_neighbours_strictly_inside_the_movement(frames: Path, tmp_path: Path) -> None:
    whole = sample_of(frames)
    assert moments(whole, 5).apexes == (105, 104, 106, 103, 107)
    assert moments(replace(whole, apex=101), 5).apexes == (101, 101, 102, 101, 103)
    assert moments(replace(whole, apex=113), 3).apexes == (113, 112, 112)  # the sheet's, though it is the offset
    assert moments(replace(whole, apex=None), 1).apexes == (106,)
    three = Frames(numbers=(0, 1, 2), paths=(frames / "100.png",) * 3)
    assert moments(replace(whole, media=three, onset=0, apex=1, offset=2), 5).apexes == (1,) * 5
    five = prepare(corpus_of(whole), replace(QUICK, readings=5), tmp_path).examples
    one = prepare(corpus_of(replace(whole, apex=103)), QUICK, tmp_path).examples
    assert five.flows_NVHWC.shape == (1, 5, 60, 60, 2)
    np.testing.assert_array_equal(five.flows_NVHWC[0, 3], one.flows_NVHWC[0, 0])


def test_a_frame_that_is_not_on_disk_gives_way_to_its_neighbour(frames: Path) -> None:
    numbers = (100, 101, 103, 108, 113)
    media = Frames(numbers=numbers, paths=tuple(frames / f"{number}.png" for number in numbers))
    assert moments(sample_of(frames, media=media), 3).apexes == (103, 101, 103)


def test_examples_say_who_shows_what_and_findings_what_was_odd(frames: Path, tmp_path: Path) -> None:
    """Two data sets may have a subject of one name; a macro is left out; an apex that nobody annotated is counted."""
    corpus = corpus_of(
        sample_of(frames, subject="s2", clip="b", label="negative", apex=None),
        sample_of(frames, subject="s1", clip="m", kind="macro", label="macro"),
        sample_of(frames, dataset="other", subject="s2"),
        sample_of(frames, subject="s1", apex=None),
    )
    prepared = prepare(corpus, QUICK, tmp_path)
    examples = prepared.examples
    assert examples.classes == ("negative", "surprise")
    assert examples.labels.tolist() == [0, 1, 1]
    assert examples.people == ("mine/s1", "mine/s2", "other/s2")
    assert examples.subjects.tolist() == [1, 2, 0]
    assert examples.clips == ("mine/s2/b", "other/s2/a", "mine/s1/a")
    assert [(one.action, one.where, one.what) for one in prepared.findings] == [
        ("skipped", "a few", "1 of kind macro"),
        ("kept", "mine", "2 samples"),
    ]


def test_what_fails_is_skipped_with_its_reason_and_the_rest_goes_on(frames: Path, tmp_path: Path) -> None:
    grey = tmp_path / "grey"
    shutil.copytree(frames, grey)
    for path in grey.iterdir():
        cv2.imwrite(str(path), np.full((220, 200, 3), 128, np.uint8))
    broken, gone = tmp_path / "broken", tmp_path / "gone"
    shutil.copytree(frames, broken)
    (broken / "104.png").write_bytes(b"no image")
    shutil.copytree(frames, gone)
    (gone / "113.png").unlink()
    samples = [sample_of(folder, clip=folder.name) for folder in (grey, broken, frames, gone)]
    prepared = prepare(corpus_of(*samples), QUICK, tmp_path / "cache")
    assert len(prepared.examples) == 1
    assert prepared.examples.clips == (f"mine/one/{frames.name}",)
    reasons = {one.what: (one.action, one.reason) for one in prepared.findings}
    assert reasons["one grey"] == ("skipped", "no face in frame 100")
    assert reasons["one broken"] == ("skipped", "104.png is no image that can be decoded")
    assert reasons["one gone"][0] == "skipped"
    assert "113.png: No such file" in reasons["one gone"][1]
    with pytest.raises(DatasetError, match=r"not one of 1 micro-expressions of a few .* no face in frame 100"):
        prepare(corpus_of(samples[0]), QUICK, tmp_path / "cache")


def test_a_cropped_face_is_aligned_and_where_none_is_found_the_picture_is_scaled(frames: Path, tmp_path: Path) -> None:
    """Tight around the face the mesh still finds it; only a picture without any face is taken as it is."""
    tight, coarse = tmp_path / "tight", tmp_path / "coarse"
    tight.mkdir()
    coarse.mkdir()
    rng = np.random.default_rng(0)
    scene = cv2.GaussianBlur(rng.integers(0, 256, (120, 120)).astype(np.uint8), (0, 0), 2)
    for path in frames.iterdir():
        cv2.imwrite(str(tight / path.name), cv2.imread(str(path))[20:210, 25:175])
        cv2.imwrite(str(coarse / path.name), np.roll(scene, int(path.stem) % 2, axis=1))
    corpus = corpus_of(
        sample_of(tight, cropped=True, clip="tight"),
        sample_of(coarse, cropped=True, clip="coarse", apex=105),
    )
    prepared = prepare(corpus, QUICK, tmp_path / "cache")
    assert len(prepared.examples) == 2
    kept = [one for one in prepared.findings if one.action == "kept"]
    assert {one.what for one in kept} == {"one coarse"}
    assert "scaled to 240 px" in kept[0].reason
    # Frames 100 (apex 105 is odd, 113 too) differ by a shift of one pixel of 120: two of 240 on the way to the onset.
    middle = np.median(prepared.examples.flows_NVHWC[1, 0, 10:50, 10:50, 0].astype(np.float64))
    assert middle == pytest.approx(-2.0, abs=0.6)
    again = prepare(corpus, QUICK, tmp_path / "cache")
    assert again.findings == prepared.findings


def test_a_video_gives_the_same_flows_as_its_frames(frames: Path, tmp_path: Path) -> None:
    """Frame numbers count decoded frames from 0; a video that is too short is skipped, and says how long it is."""
    av = pytest.importorskip("av")
    path, folder = tmp_path / "clip.mp4", tmp_path / "decoded"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=int(RATE_HZ), options={"crf": "15"})
        stream.width, stream.height, stream.pix_fmt = 200, 220, "yuv420p"
        for number in range(FIRST, FIRST + 14):
            picture = av.VideoFrame.from_ndarray(read(frames / f"{number}.png"), format="rgb24")
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    folder.mkdir()
    with av.open(str(path)) as container:
        for number, frame in enumerate(container.decode(video=0)):
            cv2.imwrite(str(folder / f"{number}.png"), frame.to_ndarray(format="bgr24"))
    video = sample_of(folder, range(1, 13), media=Video(path=path), clip="video")
    images = sample_of(folder, range(1, 13), clip="images")
    long = replace(video, clip="long", offset=40)
    prepared = prepare(corpus_of(video, images, long), PreparationSettings(), tmp_path / "cache")
    flows = prepared.examples.flows_NVHWC
    np.testing.assert_allclose(flows[0], flows[1], atol=0.01)
    (finding,) = prepared.findings
    assert (finding.what, finding.reason) == ("one long", "clip.mp4 has 14 frames; frame 40 is wanted")


def test_what_is_in_the_cache_is_not_made_again_even_from_another_folder(
    frames: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = prepare(corpus_of(sample_of(frames)), QUICK, tmp_path / "cache").examples
    moved = tmp_path / "moved"
    shutil.copytree(frames, moved)

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("it is made again")

    monkeypatch.setattr(module, "flows_of", refuse)
    done: list[tuple[int, int]] = []
    for folder in (frames, moved):
        again = prepare(
            corpus_of(sample_of(folder, subject="someone")),
            QUICK,
            tmp_path / "cache",
            on_progress=lambda now, total: done.append((now, total)),
        ).examples
        np.testing.assert_array_equal(again.flows_NVHWC, first.flows_NVHWC)
    assert done == [(1, 1), (1, 1)]


def test_another_fusion_or_side_does_not_align_the_faces_again(
    frames: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus, other = corpus_of(sample_of(frames)), replace(QUICK, fusion="traditional", side_px=64)
    fresh = prepare(corpus, other, tmp_path / "fresh").examples
    prepare(corpus, QUICK, tmp_path / "cache")

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the faces are aligned again")

    monkeypatch.setattr(module, "face_crops", refuse)
    assert prepare(corpus, other, tmp_path / "cache").examples.digest == fresh.digest


def test_whatever_decides_the_flow_changes_the_key(frames: Path, tmp_path: Path) -> None:
    sample = sample_of(frames)
    other = tmp_path / "other"
    shutil.copytree(frames, other)
    picture = cv2.imread(str(other / "108.png"))
    picture[0, 0, 0] ^= 1  # one bit of one pixel of a frame that only the alignment sees
    cv2.imwrite(str(other / "108.png"), picture)
    variants = [
        (sample, QUICK),
        (sample, replace(QUICK, side_px=64)),
        (sample, replace(QUICK, fusion="traditional")),
        (sample, replace(QUICK, readings=3)),
        (sample, replace(QUICK, steady=False)),
        (replace(sample, apex=106), QUICK),
        (replace(sample, fps=200.0), QUICK),
        (replace(sample, cropped=True), QUICK),
        (sample_of(other), QUICK),
    ]
    keys = [cache.find(tmp_path / "cache", *variant) for variant in variants]
    assert len({places.flows for places in keys if places}) == len(variants)
    assert len({places.faces for places in keys if places}) == len(variants) - 2  # neither side nor fusion moves them
    assert cache.find(tmp_path / "cache", replace(sample, label="negative", subject="x"), QUICK) == keys[0]


def test_a_changed_file_under_the_same_name_is_seen(frames: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(frames, copy)
    before = cache.find(tmp_path / "cache", sample_of(copy), QUICK)
    shutil.copyfile(copy / "107.png", copy / "106.png")
    assert cache.find(tmp_path / "cache", sample_of(copy), QUICK) != before


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "other"])
def test_a_damaged_cache_file_is_made_again(frames: Path, tmp_path: Path, damage: str) -> None:
    corpus = corpus_of(sample_of(frames))
    good = prepare(corpus, QUICK, tmp_path).examples
    (path,) = (tmp_path / "flows").rglob("*.npz")
    data = bytearray(path.read_bytes())
    if damage == "flip":
        data[len(data) // 2] ^= 4
        path.write_bytes(data)
    elif damage == "other":
        np.savez(path, flows=np.zeros((1, 2, 2, 2), np.float16), notes=np.array([], np.str_))
    else:
        path.write_bytes(data[: len(data) // 2] if damage == "cut" else b"")
    assert prepare(corpus, QUICK, tmp_path).examples.digest == good.digest
    assert cache.load(path) is not None
    (faces,) = (tmp_path / "faces").rglob("*.npz")
    faces.write_bytes(faces.read_bytes()[:-100])
    path.unlink()
    assert prepare(corpus, QUICK, tmp_path).examples.digest == good.digest
    (known,) = (path for path in (tmp_path / "sources").rglob("*") if path.is_file())
    known.write_bytes(b"\xff half a dig")
    assert prepare(corpus, QUICK, tmp_path).examples.digest == good.digest


def test_flows_that_do_not_fit_are_mapped_from_a_file(
    frames: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus = corpus_of(sample_of(frames), sample_of(frames, clip="b", apex=107))
    held = prepare(corpus, QUICK, tmp_path).examples
    monkeypatch.setattr(module, "MAPPED_BYTES", 0)
    for _ in range(2):
        mapped = prepare(corpus, QUICK, tmp_path).examples
        assert isinstance(mapped.flows_NVHWC, np.memmap)
        assert mapped.digest == held.digest
        packed = pickle.dumps(mapped)
        assert len(packed) < mapped.flows_NVHWC.nbytes  # it travels by name
        assert pickle.loads(packed).digest == held.digest
        part = replace(mapped, flows_NVHWC=mapped.flows_NVHWC[:1])
        np.testing.assert_array_equal(pickle.loads(pickle.dumps(part)).flows_NVHWC, held.flows_NVHWC[:1])
        mapped.flows_NVHWC[0] = 0  # ours alone: the file stays
    assert len(list((tmp_path / "corpora").iterdir())) == 1


def test_a_cache_that_cannot_be_written_is_one_clear_error(frames: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DatasetError, match="--cache"):
        prepare(corpus_of(sample_of(frames)), QUICK, tmp_path / "file")


def test_unknown_settings_are_refused() -> None:
    for wrong in ({"fusion": "sum"}, {"side_px": 8}, {"side_px": 241}, {"readings": 2}):
        with pytest.raises(OptionError):
            PreparationSettings(**wrong)  # type: ignore[arg-type]


def ready(folder: Path, sizes: list[tuple[int, ...]]) -> Corpus:
    """A manifest of ready flow pictures whose red, green and blue are known."""
    lines = ["dataset,subject,clip,label,flow_path"]
    for index, size in enumerate(sizes):
        picture = np.zeros(size, np.uint8)
        picture[:] = (10 + index, 128, 255) if len(size) == 3 else 7  # blue, green, red
        cv2.imwrite(str(folder / f"{index}.png"), picture)
        lines.append(f"mine,s{index},a,{'positive' if index else 'negative'},{index}.png")
    (folder / "manifest.csv").write_text("\n".join(lines))
    return load_manifest(folder / "manifest.csv")


def test_ready_flow_pictures_are_red_green_blue_from_minus_one_to_one(tmp_path: Path) -> None:
    examples = prepare(ready(tmp_path, [(9, 11, 3), (9, 11, 3)]), PreparationSettings(readings=5), tmp_path).examples
    assert examples.fusion == "picture"
    assert examples.flows_NVHWC.shape == (2, 1, 9, 11, 3)
    expected = np.array([255, 128, 11]) / 127.5 - 1
    np.testing.assert_allclose(examples.flows_NVHWC[1, 0, 4, 4], expected, atol=1e-3)
    assert not (tmp_path / "flows").exists()


def test_ready_pictures_of_another_size_or_kind_are_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"2\.png is 8x9, those before it are 11x9"):
        prepare(ready(tmp_path, [(9, 11, 3), (9, 11, 3), (9, 8, 3)]), QUICK, tmp_path)
    corpus = ready(tmp_path, [(9, 11, 3), (9, 11)])
    (finding,) = prepare(corpus, QUICK, tmp_path).findings
    assert (finding.action, finding.what) == ("skipped", "s1 a")
    mixed = replace(corpus, samples=(*corpus.samples, sample_of(tmp_path)))
    with pytest.raises(DatasetError, match="mixes 2 ready flows with clips"):
        prepare(mixed, QUICK, tmp_path)
    assert isinstance(corpus.samples[0].media, FlowImage)


def test_the_real_flow_pictures_are_442_examples(media: Path, tmp_path: Path) -> None:
    examples = prepare(load_manifest(media / "flows28" / "manifest.csv"), QUICK, tmp_path).examples
    assert examples.flows_NVHWC.shape == (442, 1, 28, 28, 3)
    assert len(examples.people) == 68
    assert np.bincount(examples.labels).tolist() == [250, 109, 83]
    assert not examples.synthetic


VICTIM = """
import sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from test_preparation import QUICK, many
from bowam_model.preparation import prepare
if __name__ == "__main__":
    prepare(many(Path(sys.argv[2])), QUICK, Path(sys.argv[3]), workers=2)
"""


def many(folder: Path) -> Corpus:
    """Eight clips of one recording, one of them without a face."""
    clips = [sample_of(folder, range(FIRST + shift, FIRST + shift + 7), clip=str(shift)) for shift in range(8)]
    (folder / "none.png").touch()
    nobody = Frames(numbers=(0, 1, 2), paths=(folder / "none.png",) * 3)
    return corpus_of(*clips[:3], replace(clips[3], media=nobody, onset=0, apex=1, offset=2), *clips[4:])


@pytest.mark.system
def test_a_killed_preparation_goes_on_and_processes_do_not_matter(frames: Path, tmp_path: Path) -> None:
    """SIGKILL after the first clip; the second run makes only what lacks, and the result is that of one process."""
    script, kept = tmp_path / "victim.py", tmp_path / "kept"
    script.write_text(VICTIM)
    victim = subprocess.Popen(
        [sys.executable, str(script), str(Path(__file__).parent), str(frames), str(kept)], start_new_session=True
    )
    deadline = time.monotonic() + 120
    while not list(kept.rglob("*.npz")):
        assert victim.poll() is None
        assert time.monotonic() < deadline
        os.sched_yield()
    os.killpg(victim.pid, signal.SIGKILL)
    victim.wait()
    made = {path: path.stat().st_mtime_ns for path in kept.rglob("*.npz") if not path.name.startswith(".")}
    assert 1 <= len(made) < 7
    both = prepare(many(frames), QUICK, kept, workers=2)
    alone = prepare(many(frames), QUICK, tmp_path / "alone")
    assert both.examples.digest == alone.examples.digest
    assert both.findings == alone.findings
    assert len(both.examples) == 7
    assert all(path.stat().st_mtime_ns == before for path, before in made.items())
