"""The protocol with learners that cost nothing: honest, resumable, the same in any number of processes."""

import json
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest

from bowam_model.errors import OptionError, RunError
from bowam_model.learning import Examples, Learner
from bowam_model.protocol import LEAKED, ProtocolSettings, Result, run_protocol
from bowam_model.protocol.result import SCORES
from bowam_model.protocol.store import FoldRecord, held
from bowam_model.work import Local
from tests.model.pretenders import Chance, NearestMean, examples_of

ONE_SEED = ProtocolSettings(seeds=(0,))
INNER = ProtocolSettings(kind="kfold", folds=3, seeds=(0,), selection="inner", inner_folds=3, inner_rounds=3)


@pytest.fixture(autouse=True)
def _other_processes_find_the_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(Path(__file__).parents[2])


@pytest.fixture
def examples() -> Examples:
    counts = np.random.default_rng(0).integers(0, 4, (9, 3)) + np.eye(3, dtype=int)[np.arange(9) % 3]
    return examples_of(counts, datasets=("one", "two"))


def records(out: Path) -> list[FoldRecord]:
    """All fold files, without the only thing that may differ."""
    read = (msgspec.json.decode(path.read_bytes(), type=FoldRecord) for path in sorted(out.glob("fold-*.json")))
    return [msgspec.structs.replace(record, seconds=0.0) for record in read]


def test_every_example_is_judged_once_by_a_fold_that_did_not_know_its_subject(
    tmp_path: Path, examples: Examples
) -> None:
    spied = tmp_path / "spied"
    spied.mkdir()
    result = run_protocol([NearestMean(spy=spied)], examples, ONE_SEED, tmp_path / "out")
    shown = [set(map(int, path.read_text().split())) for path in spied.iterdir()]
    everybody = set(range(9))
    assert sorted(sorted(everybody - some) for some in shown) == [[subject] for subject in range(9)]
    tested = sorted(index for record in result.records for index in record.examples)
    assert tested == list(range(len(examples)))
    for record in result.records:
        training = examples.take(~np.isin(np.arange(len(examples)), record.examples))
        scores = NearestMean().learn(training, 0).predict(examples.take(np.array(record.examples)))
        np.testing.assert_array_equal(result.scores_SNK[0, list(record.examples)], scores)


def test_the_selection_never_sees_the_test_subjects_and_keeps_its_own_parts_apart(
    tmp_path: Path, examples: Examples
) -> None:
    spied = tmp_path / "spied"
    spied.mkdir()
    result = run_protocol([NearestMean(epochs=4, best=2, spy=spied)], examples, INNER, tmp_path / "out")
    shown = [set(map(int, path.read_text().split())) for path in spied.iterdir()]
    assert len(shown) == 3 * (3 + 1)
    folds = [set(fold) for fold in result.run.folds]
    for fold in folds:
        whole = set(range(9)) - fold
        within = [some for some in shown if some < whole and not some & fold]
        assert shown.count(whole) == 1  # the final learning
        held_out = [whole - some for some in within if len(whole - some) == 2]
        assert set.union(*held_out) == whole  # each training subject validates once
        assert sum(map(len, held_out)) == len(whole)
    assert all(any(not some & fold for fold in folds) for some in shown)


def test_the_selection_takes_the_good_recipe_at_its_good_epoch(tmp_path: Path, examples: Examples) -> None:
    candidates: list[Learner] = [NearestMean(noise=30), NearestMean(epochs=7, best=4, noise=30), NearestMean(noise=40)]
    result = run_protocol(
        candidates, examples, msgspec.structs.replace(INNER, smooth_epochs=1), tmp_path / "out", engine=Local(2)
    )
    for record in result.records:
        assert (record.choice.candidate, record.choice.epochs) == (1, 4)
        assert [len(curve) for curve in record.choice.inner_uf1] == [1, 7, 1]
        assert len(record.losses) == 4  # learned anew for so many epochs
    assert [one["folds"] for one in result.summary()["chosen"]] == [0, 3, 0]


def test_any_number_of_processes_gives_the_same_bits(tmp_path: Path, examples: Examples) -> None:
    settings = msgspec.structs.replace(INNER, seeds=(0, 5), oracle=True)
    learner = NearestMean(epochs=3, best=2, noise=1.0)
    one = run_protocol([learner], examples, settings, tmp_path / "one", engine=Local(1))
    two = run_protocol([learner], examples, settings, tmp_path / "two", engine=Local(2))
    assert records(tmp_path / "one") == records(tmp_path / "two")
    np.testing.assert_array_equal(one.scores_SNK, two.scores_SNK)
    assert not np.array_equal(one.scores_SNK[0], one.scores_SNK[1])  # seeds are another matter


def test_the_leaked_figure_changes_nothing_in_the_honest_one(tmp_path: Path, examples: Examples) -> None:
    learner = NearestMean(epochs=3, best=2, noise=1.0)
    honest = run_protocol([learner], examples, ONE_SEED, tmp_path / "honest")
    both = run_protocol([learner], examples, ProtocolSettings(seeds=(0,), oracle=True), tmp_path / "both")
    np.testing.assert_array_equal(honest.scores_SNK, both.scores_SNK)
    assert LEAKED not in (tmp_path / "honest/result.md").read_text()
    assert "leaked_epoch_scores" not in json.loads((tmp_path / "honest/fold-000-seed-0.json").read_text())
    for name in ("result.md", "result.json", "seeds.svg"):
        assert LEAKED in (tmp_path / "both" / name).read_text()


def test_a_process_killed_in_mid_fold_leaves_the_result_as_it_would_have_been(
    tmp_path: Path, examples: Examples
) -> None:
    settings = msgspec.structs.replace(INNER, oracle=True)
    learner = NearestMean(epochs=4, best=2, noise=1.0)
    run_protocol([learner], examples, settings, tmp_path / "whole")
    cut = NearestMean(epochs=4, best=2, noise=1.0, cut=tmp_path / "was cut")
    run_protocol([cut], examples, settings, tmp_path / "cut", engine=Local(2))
    assert (tmp_path / "was cut").exists()
    assert records(tmp_path / "cut") == records(tmp_path / "whole")
    assert not (tmp_path / "cut/in-progress").exists()


def test_a_run_that_was_stopped_takes_the_folds_that_are_done(tmp_path: Path, examples: Examples) -> None:
    run_protocol([NearestMean()], examples, ONE_SEED, tmp_path / "whole")

    def stop(what: str, done: int, total: int) -> None:
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_protocol([NearestMean()], examples, ONE_SEED, tmp_path / "out", on_progress=stop)
    assert len(records(tmp_path / "out")) == 4
    with pytest.raises(RunError, match="5 folds are missing"):
        Result.load(tmp_path / "out")
    heard: list[int] = []
    run_protocol(
        [NearestMean()], examples, ONE_SEED, tmp_path / "out", on_progress=lambda _, done, __: heard.append(done)
    )
    assert heard == [4, 5, 6, 7, 8, 9]
    assert records(tmp_path / "out") == records(tmp_path / "whole")


def test_seeds_can_be_added_and_a_finished_run_is_only_read(tmp_path: Path, examples: Examples) -> None:
    run_protocol([NearestMean(noise=1.0)], examples, ONE_SEED, tmp_path)
    first = records(tmp_path)
    result = run_protocol([NearestMean(noise=1.0)], examples, ProtocolSettings(seeds=(0, 1)), tmp_path)
    assert [record for record in records(tmp_path) if record.seed == 0] == first
    assert result.scores_SNK.shape == (2, len(examples), 3)
    again = Result.load(tmp_path)
    assert again.summary() == result.summary()


def test_the_folder_of_another_run_is_refused_and_says_what_differs(tmp_path: Path, examples: Examples) -> None:
    run_protocol([NearestMean()], examples, ONE_SEED, tmp_path)
    with pytest.raises(RunError, match=r"another run \(recipe differs\)"):
        run_protocol([NearestMean(noise=2)], examples, ONE_SEED, tmp_path)
    settings = ProtocolSettings(seeds=(0,), kind="kfold", folds=3, oracle=True)
    with pytest.raises(RunError, match=r"another run \(kind, folds, oracle, examples differ\)"):
        run_protocol([NearestMean()], examples.take(np.arange(len(examples) - 1)), settings, tmp_path)


def test_two_processes_do_not_run_in_one_folder(tmp_path: Path, examples: Examples) -> None:
    with held(tmp_path), pytest.raises(RunError, match="another process"):
        run_protocol([NearestMean()], examples, ONE_SEED, tmp_path)


def test_folds_that_fail_are_named_and_the_others_are_kept(tmp_path: Path, examples: Examples) -> None:
    with pytest.raises(RunError, match=r"1 of 9 folds failed .*cannot do without 4.*failures\.txt"):
        run_protocol([NearestMean(fail_without=4)], examples, ONE_SEED, tmp_path)
    assert "Traceback" in (tmp_path / "failures.txt").read_text()
    assert len(records(tmp_path)) == 8
    assert not (tmp_path / "result.json").exists()
    run_protocol([NearestMean()], examples, ONE_SEED, tmp_path)
    assert not (tmp_path / "failures.txt").exists()


def test_several_recipes_without_a_rule_to_choose_are_refused(tmp_path: Path, examples: Examples) -> None:
    with pytest.raises(OptionError, match="inner"):
        run_protocol([NearestMean(), NearestMean(noise=1)], examples, ONE_SEED, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def megc2019_like() -> Examples:
    """442 clips of 68 subjects in the three classes of MEGC2019, 23 of one class, 8 of them with a single clip."""
    rng = np.random.default_rng(1)
    totals = np.array([250, 109, 83])
    counts = np.zeros((68, 3), int)
    counts[np.arange(8), rng.choice(3, 8, p=totals / 442)] = 1
    single = rng.choice(3, 15, p=totals / 442)
    counts[np.arange(8, 23), single] = 2
    for person in range(23, 68):  # two classes at least
        counts[person, rng.choice(3, 2, replace=False, p=totals / 442)] = 1
    left = totals - counts.sum(axis=0)
    for k in range(3):  # the rest goes to people who show that class, or to those with many classes
        able = np.array([p for p in range(68) if p >= 8 and (p >= 23 or counts[p, k] > 0)])
        np.add.at(counts[:, k], rng.choice(able, left[k]), 1)
    assert (counts.sum(axis=0) == totals).all()
    assert ((counts > 0).sum(axis=1) == 1).sum() == 23
    assert (counts.sum(axis=1) == 1).sum() == 8
    return examples_of(counts)


@pytest.mark.slow
def test_the_epoch_of_the_test_subject_turns_dice_into_a_publication(tmp_path: Path) -> None:
    """Scores that know nothing: a third if honest, .58 by the best of 10 epochs, above .7 by the best of 100."""
    examples, leaked = megc2019_like(), {}
    for epochs in (1, 10, 100):
        settings = ProtocolSettings(seeds=(0,), oracle=True)
        result = run_protocol([Chance(epochs)], examples, settings, tmp_path / str(epochs), engine=Local(2))
        honest = result.figures()["all"]["UF1"].mean
        leaked[epochs] = result.figures(leaked=True)["all"]["UF1"].mean
        assert honest == pytest.approx(0.32, abs=0.05)
    assert leaked[1] == pytest.approx(0.32, abs=0.05)
    assert leaked[10] == pytest.approx(0.58, abs=0.05)
    assert leaked[100] == pytest.approx(0.73, abs=0.05)


def test_scores_of_a_data_set_are_the_run_restricted_to_it(tmp_path: Path, examples: Examples) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    result = run_protocol([NearestMean(noise=1.0)], examples, ProtocolSettings(seeds=(0, 1)), tmp_path)
    assert list(result.figures()) == ["all", "one", "two"]
    for part, figures in result.figures().items():
        some = np.ones(len(examples), bool) if part == "all" else examples.datasets == part
        each = [
            metrics.f1_score(examples.labels[some], said[some], average="macro", labels=range(3))
            for said in result.predicted_SN
        ]
        assert figures["UF1"].mean == pytest.approx(np.mean(each))
        assert figures["UF1"].std == pytest.approx(np.std(each, ddof=1))
        assert (figures["UF1"].lowest, figures["UF1"].highest) == pytest.approx((min(each), max(each)))
        assert figures["UF1"].low <= figures["UF1"].mean <= figures["UF1"].high
    assert set(SCORES) == {"UF1", "UAR"}


def test_a_synthetic_result_says_so_everywhere(tmp_path: Path, examples: Examples) -> None:
    run_protocol([NearestMean(epochs=3)], replace(examples, synthetic=True), ONE_SEED, tmp_path, title="a trial")
    for name in ("result.md", "confusion.svg", "seeds.svg", "curves.svg"):
        assert "SYNTHETIC" in (tmp_path / name).read_text()
    assert json.loads((tmp_path / "result.json").read_text())["synthetic"] is True
    report = (tmp_path / "result.md").read_text()
    assert "epochs 3; samples seen" in report
    assert "seeds 0" in report


@pytest.mark.slow
def test_networks_give_the_same_bits_in_any_number_of_processes(tmp_path: Path) -> None:
    from bowam_model.flow import Encoding
    from bowam_model.rivals.ststnet import ststnet
    from bowam_model.training import TrainingSettings

    examples = examples_of(np.full((6, 3), 2))
    examples = replace(examples, flows_NVHWC=np.repeat(np.repeat(examples.flows_NVHWC, 14, axis=2), 14, axis=3))
    learner = ststnet(Encoding(side_px=28, input_px=28), TrainingSettings(epochs=3, device="cpu"))
    settings = msgspec.structs.replace(INNER, inner_rounds=1, oracle=True)
    for workers in (1, 2):
        run_protocol([learner], examples, settings, tmp_path / str(workers), engine=Local(workers))
    assert records(tmp_path / "1") == records(tmp_path / "2")
