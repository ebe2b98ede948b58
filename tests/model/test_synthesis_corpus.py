"""The synthetic corpus: proportions, names on disk, what the composite's loader makes of it, and being cut off."""

import hashlib
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest

from bowam_model.datasets import load_composite
from bowam_model.datasets.composite import COUNTS, MARKER
from bowam_model.errors import DatasetError, OptionError, RunError
from bowam_model.labels import MEGC2019
from bowam_model.preparation import PreparationSettings, prepare
from bowam_model.synthesis import corpus as module
from bowam_model.synthesis.corpus import LIST, make_corpus
from bowam_model.synthesis.population import RELEASES, CorpusSettings, plan_corpus, scaled_counts

pytest.importorskip("skimage", reason="the default portrait comes with scikit-image")

SMALL = CorpusSettings(clips=10, subjects=4, seed=3)


def contents(root: Path) -> dict[str, str]:
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("corpus") / "small"
    assert make_corpus(root, SMALL) == 10
    return root


def test_the_whole_corpus_has_the_published_counts_and_uneven_subjects() -> None:
    """442 clips of 68 subjects; nobody is without a clip, and some have several times as many as others."""
    assert scaled_counts(CorpusSettings()) == COUNTS
    clips = plan_corpus(CorpusSettings())
    for dataset, (samples, subjects, counts) in COUNTS.items():
        mine = [clip for clip in clips if clip.actor.dataset == dataset]
        labels = Counter(clip.label for clip in mine)
        sizes = Counter(clip.actor.person for clip in mine)
        assert (len(mine), len(sizes)) == (samples, subjects)
        assert tuple(labels[label] for label in MEGC2019) == counts
        assert max(sizes.values()) >= 3 * min(sizes.values())
    assert len({clip.path(0).parent for clip in clips}) == 442
    strata = Counter(clip.event.stratum for clip in clips)
    assert min(strata.values()) > 100
    assert all(65 <= 1000 * len(clip.frames) / RELEASES[clip.actor.dataset].rate_hz <= 600 for clip in clips)


@pytest.mark.parametrize(("clips", "subjects"), [(9, 3), (10, 4), (31, 17), (100, 20), (900, 68)])
def test_another_size_keeps_the_proportions_and_leaves_no_class_empty(clips: int, subjects: int) -> None:
    counts = scaled_counts(CorpusSettings(clips=clips, subjects=subjects))
    assert sum(samples for samples, _, _ in counts.values()) == clips
    assert sum(people for _, people, _ in counts.values()) == subjects
    for dataset, (samples, people, by_label) in counts.items():
        assert min(by_label) >= 1
        assert 1 <= people <= samples == sum(by_label)
        if clips >= 100:
            exact = np.array(COUNTS[dataset][2]) * clips / 442
            assert np.abs(by_label - exact).max() < 1


def test_too_small_a_corpus_is_refused() -> None:
    for clips, subjects in ((8, 3), (20, 2), (20, 21)):
        with pytest.raises(OptionError, match="at least 9 clips"):
            scaled_counts(CorpusSettings(clips=clips, subjects=subjects))


def test_photos_serve_in_turn_and_are_mirrored_when_they_come_again() -> None:
    photos = [Path(f"{number}.jpg") for number in range(51)]
    actors = list(dict.fromkeys(clip.actor for clip in plan_corpus(CorpusSettings(), photos)))
    assert len(actors) == 68
    assert len({(actor.photo, actor.mirrored) for actor in actors}) == 68
    assert sum(actor.mirrored for actor in actors) == 68 - 51


def test_the_composites_loader_reads_it_without_a_finding_and_knows_that_it_is_synthetic(small: Path) -> None:
    """Frame numbers of the sheets are those of the files; a moving face lies between onset and offset."""
    corpus = load_composite(small)
    assert corpus.synthetic
    assert "SYNTHETIC" in corpus.title
    assert not corpus.findings
    assert len(corpus.samples) == corpus.expected.samples == 10
    assert len(corpus.subjects()) == corpus.expected.subjects == 4
    assert corpus.labels() == Counter(dict(corpus.expected.labels))
    clips = {clip.path(0).parent: clip for clip in plan_corpus(SMALL)}
    for sample in corpus.samples:
        onset, _, offset = sample.triple()
        clip = clips[onset.parent.relative_to(small)]
        assert sample.label == clip.label
        assert (sample.onset, sample.offset) == (clip.event.onset + clip.shift, clip.event.offset + clip.shift)
        assert sample.apex == (None if sample.dataset == "smic" else clip.event.apex + clip.shift)
        assert (onset.relative_to(small), offset.relative_to(small)) == (
            clip.path(clip.event.onset),
            clip.path(clip.event.offset),
        )
        assert cv2.imread(str(onset)).shape[1::-1] == RELEASES[sample.dataset].size
        assert sample.cropped == (sample.dataset != "samm")
    assert "SYNTHETIC" in (small / "SYNTHETIC.md").read_text()


def test_it_can_be_prepared(small: Path, tmp_path: Path) -> None:
    """Ten flows of four people, marked as synthetic; the face is found in every clip, cropped or not."""
    pytest.importorskip("mediapipe", reason="alignment needs mediapipe")
    prepared = prepare(load_composite(small), PreparationSettings(side_px=48), tmp_path)
    examples = prepared.examples
    assert examples.synthetic
    assert examples.classes == MEGC2019
    assert (len(examples), len(examples.people)) == (10, 4)
    assert [(one.action, one.where) for one in prepared.findings] == [("kept", "smic")]  # no apex in its release
    length = np.linalg.norm(examples.flows_NVHWC[:, 0, 8:40, 8:40].astype(np.float64), axis=-1)
    assert (length.max(axis=(1, 2)) > 0.5).all()  # amplitudes are 0.8 to 3 px, seen twice


def test_a_run_that_is_cut_off_does_not_load_and_goes_on_to_the_same_corpus(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cut in the middle of a clip, when three are made and half a clip lies about; no clip is made twice."""
    made: list[Path] = []
    encode = cv2.imencode

    def cut(*arguments: object) -> object:
        if len(made) == 3 and len(list(root.rglob(".*.part/*"))) == 2:
            raise KeyboardInterrupt
        return encode(*arguments)

    root = tmp_path / "again"
    monkeypatch.setattr(module.cv2, "imencode", cut)
    with pytest.raises(KeyboardInterrupt):
        make_corpus(root, SMALL, on_progress=lambda done, _: made.append(root))
    monkeypatch.setattr(module.cv2, "imencode", encode)
    assert not (root / LIST).exists()
    with pytest.raises(DatasetError, match="unfinished synthetic corpus"):
        load_composite(root)
    kept = {path: path.stat().st_mtime_ns for path in root.rglob("*.jpg") if ".part" not in str(path)}
    assert len({path.parent for path in kept}) == 3
    left = []
    make_corpus(root, SMALL, on_progress=lambda done, total: left.append((done, total)))
    assert left == [(done, 10) for done in range(4, 11)]
    assert all(path.stat().st_mtime_ns == before for path, before in kept.items())
    assert contents(root) == contents(small)


@pytest.mark.system
def test_two_processes_make_the_same_pixels_as_one(small: Path, tmp_path: Path) -> None:
    make_corpus(tmp_path / "both", SMALL, workers=2)
    assert contents(tmp_path / "both") == contents(small)


def test_another_corpus_and_a_strangers_folder_are_left_alone(small: Path, tmp_path: Path) -> None:
    before = contents(small)
    with pytest.raises(RunError, match="another synthetic corpus"):
        make_corpus(small, CorpusSettings(clips=10, subjects=4, seed=4))
    assert contents(small) == before
    (tmp_path / "letter.txt").write_text("mine")
    with pytest.raises(DatasetError, match="something else"):
        make_corpus(tmp_path, SMALL)
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


def test_a_damaged_marker_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / MARKER).write_text("{")
    with pytest.raises(DatasetError, match=r"can't read .*synthetic\.json"):
        load_composite(tmp_path)
