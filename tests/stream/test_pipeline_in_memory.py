"""Pictures in memory through all stages, in one process."""

import itertools
import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pytest

from bowam_model.errors import ImageError
from bowam_model.synthesis import load_identity, plan_clip, render, truth_of
from bowam_stream import ConfigError, SpottingSettings, align, spot
from bowam_stream.events import to_json

RATE_HZ = 60.0
pytest.importorskip("skimage")
pytest.importorskip("mediapipe")


@pytest.fixture(scope="module")
def plan():
    """Three seconds and a micro-expression."""
    return plan_clip(5, seconds=3, events=1, nuisances=[], strata=["easy"], rate_hz=RATE_HZ)


@pytest.fixture(scope="module")
def frames(plan) -> np.ndarray:
    return np.array(list(render(plan, load_identity())))


class Fixed:
    """A network that has made up its mind."""

    name, weights, backend = "fixed", "sha256:0", "none"

    def __init__(self, label: str) -> None:
        self.label = label
        self.asked = 0

    def predict_together(self, triples):
        self.asked += len(triples)
        return [{"none": float(self.label == "none"), "positive": float(self.label == "positive")} for _ in triples]

    def fall_back(self, reason: str) -> None:
        raise AssertionError(reason)


def test_a_micro_expression_is_told_twice_and_then_closed(plan, frames) -> None:
    """Provisional, then final under the same name; frames and label are the truth's."""
    first, last = spot(iter(frames), RATE_HZ, predictor=Fixed("positive"), camera="c", session="s")
    (true,) = truth_of(plan).events
    assert (first.phase, last.phase, first.seq, last.seq) == ("provisional", "final", 1, 2)
    assert first.event_id == last.event_id
    assert (last.camera, last.session, last.kind, last.label) == ("c", "s", "micro", "positive")
    for said, frame in ((last.onset, true.onset), (last.apex, true.apex), (last.offset, true.offset)):
        assert abs(said.frame - frame) <= 2


def test_what_the_network_refuses_is_retracted(frames) -> None:
    """As live and in a replay; other settings reach the spotter."""
    refuses = Fixed("none")
    assert [event.phase for event in spot(frames, RATE_HZ, predictor=refuses)] == ["provisional", "retracted"]
    assert refuses.asked == 1
    assert list(spot(frames, RATE_HZ, predictor=refuses, spotting=SpottingSettings(threshold=1000.0))) == []


def test_grey_pictures_give_the_same_bytes_every_time(frames) -> None:
    """Nothing depends on anything but the pictures."""
    grey = np.round(frames @ np.array([0.299, 0.587, 0.114])).astype(np.uint8)
    runs = [[to_json(event) for event in spot(grey, RATE_HZ, predictor=Fixed("positive"))] for _ in range(2)]
    assert runs[0] == runs[1]
    assert len(runs[0]) == 2


def test_nothing_is_read_before_it_is_needed() -> None:
    """A generator without an end gives messages one by one, also where nobody is to be seen."""
    black: Iterator[np.ndarray] = itertools.repeat(np.zeros((120, 160), np.uint8))
    seen = list(itertools.islice(align(black, 25.0, camera="dark"), 3))
    assert [(one.seq, one.moment.frame, one.moment.t_ns, one.faces) for one in seen] == [
        (0, 0, 0, ()),
        (1, 1, 40_000_000, ()),
        (2, 2, 80_000_000, ()),
    ]


@pytest.mark.parametrize("rate_hz", [0.0, -30.0, float("nan"), float("inf")])
def test_a_rate_that_is_none_is_refused_at_once(rate_hz: float) -> None:
    """Before any picture is asked for."""
    with pytest.raises(ConfigError, match="rate_hz"):
        spot([], rate_hz)
    with pytest.raises(ConfigError, match="rate_hz"):
        align([], rate_hz)


def test_a_picture_of_floats_is_refused() -> None:
    """By the error of whoever looks at pictures."""
    with pytest.raises(ImageError, match="uint8"):
        next(align([np.zeros((10, 10))], 30.0))


def test_alignment_loads_no_torch() -> None:
    """`align` is for capture-like programs; only `spot` needs the network."""
    code = "from bowam_stream import align; import sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
