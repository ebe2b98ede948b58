"""One learning, watched, cut and gone on with."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from bowam_model.learning import Examples, Model, OnEpoch
from bowam_model.protocol.lesson import Lesson, attend
from bowam_model.protocol.selection import smoothed
from tests.model.pretenders import Means, NearestMean, examples_of

EXAMPLES = examples_of(np.full((6, 3), 2))
KNOWN, WATCHED = EXAMPLES.take(EXAMPLES.subjects < 4), EXAMPLES.take(EXAMPLES.subjects >= 4)
LEARNER = NearestMean(epochs=5, best=3, noise=1.0)


@dataclass(frozen=True)
class CutAfter(NearestMean):
    """Interrupted once an epoch is over and heard of, or between its checkpoint and the hearing."""

    after: int = 2
    heard: bool = True

    def learn(
        self, examples: Examples, seed: int, *, on_epoch: OnEpoch | None = None, checkpoint: Path | None = None
    ) -> Means:
        assert on_epoch
        hears = on_epoch

        def cut(epoch: int, loss: float, model: Model) -> None:
            if epoch == self.after and not self.heard:
                raise KeyboardInterrupt
            hears(epoch, loss, model)
            if epoch == self.after:
                raise KeyboardInterrupt

        return super().learn(examples, seed, on_epoch=cut, checkpoint=checkpoint)


class NeverAsked(NearestMean):
    def learn(self, *_: object, **__: object) -> Means:
        raise AssertionError("it was asked to learn")


def equal(one: Lesson, other: Lesson) -> None:
    np.testing.assert_array_equal(one.scores_NK, other.scores_NK)
    np.testing.assert_array_equal(one.epoch_scores_ENK, other.epoch_scores_ENK)
    assert (one.losses, one.samples_seen) == (other.losses, other.samples_seen)


@pytest.mark.parametrize("heard", [True, False])
@pytest.mark.parametrize(("stop", "after"), [(None, 2), (None, 5), (3, 2), (3, 3), (1, 1)])
def test_a_lesson_that_was_cut_ends_like_one_that_was_not(
    tmp_path: Path, stop: int | None, after: int, heard: bool
) -> None:
    whole = attend(LEARNER, KNOWN, WATCHED, 7, tmp_path / "whole", stop=stop, every_epoch=True)
    cut = CutAfter(epochs=5, best=3, noise=1.0, after=after, heard=heard)
    if heard and stop == after:  # then it is over already
        attend(cut, KNOWN, WATCHED, 7, tmp_path / "cut", stop=stop, every_epoch=True)
    else:
        with pytest.raises(KeyboardInterrupt):
            attend(cut, KNOWN, WATCHED, 7, tmp_path / "cut", stop=stop, every_epoch=True)
    equal(attend(LEARNER, KNOWN, WATCHED, 7, tmp_path / "cut", stop=stop, every_epoch=True), whole)
    assert not (tmp_path / "cut/checkpoint").exists()


def test_a_line_of_the_diary_that_was_cut_does_not_count(tmp_path: Path) -> None:
    whole = attend(LEARNER, KNOWN, WATCHED, 7, tmp_path / "whole", every_epoch=True)
    attend(LEARNER, KNOWN, WATCHED, 7, tmp_path / "cut", every_epoch=True)
    diary = tmp_path / "cut/diary.jsonl"
    diary.write_bytes(diary.read_bytes()[:-9])
    equal(attend(LEARNER, KNOWN, WATCHED, 7, tmp_path / "cut", every_epoch=True), whole)


def test_a_lesson_that_is_over_is_only_read(tmp_path: Path) -> None:
    whole = attend(LEARNER, KNOWN, WATCHED, 7, tmp_path, every_epoch=True)
    equal(attend(NeverAsked(epochs=5), KNOWN, WATCHED, 7, tmp_path, every_epoch=True), whole)


def test_stopping_gives_the_model_of_that_epoch_and_counts_its_samples(tmp_path: Path) -> None:
    whole = attend(LEARNER, KNOWN, WATCHED, 7, tmp_path / "whole", every_epoch=True)
    early = attend(LEARNER, KNOWN, WATCHED, 7, tmp_path / "early", stop=3)
    np.testing.assert_array_equal(early.scores_NK, whole.epoch_scores_ENK[2])
    assert early.epoch_scores_ENK.shape == (0, len(WATCHED), 3)
    assert early.losses == whole.losses[:3]
    assert early.samples_seen == 3 * len(KNOWN)


def test_scores_that_are_not_finite_are_a_failure(tmp_path: Path) -> None:
    broken = replace(KNOWN, flows_NVHWC=np.full_like(KNOWN.flows_NVHWC, np.nan))
    with pytest.raises(ValueError, match="not finite"):
        attend(LEARNER, broken, WATCHED, 7, tmp_path)


def test_a_curve_is_smoothed_over_its_neighbours_and_over_fewer_at_the_ends() -> None:
    np.testing.assert_allclose(smoothed(np.array([0.0, 3, 6, 0]), 3), [1.5, 3, 3, 3])
    np.testing.assert_allclose(smoothed(np.array([0.0, 3, 6, 0]), 1), [0, 3, 6, 0])
