"""What computes the network: the choice follows from the machine, every backend agrees with eager, and one that fails
has a successor."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from bowam_model import backends, create_model
from bowam_model.backends import Backends, Kind, Task, cpu, engines, probes
from bowam_model.errors import BackendError, OptionError

SIDE = 32


def _task() -> Task:
    torch.manual_seed(3)
    network = create_model("bowam-nano", 4, dims=(8, 16, 24), depths=(1, 1, 1)).eval().requires_grad_(False)
    torch.nn.init.normal_(network.head.weight, std=0.3)  # fresh ones hardly tell pictures apart
    return Task(network, SIDE, 1, "sha256:" + "0" * 64)


@pytest.fixture
def task() -> Task:
    return _task()


def _kinds(monkeypatch: pytest.MonkeyPatch, **builders: Callable | str) -> None:
    """Other backends before eager: a reason why one is missing, or what it computes."""
    kinds = {
        name: Kind(missing=lambda it=it: it, build=cpu.eager)
        if isinstance(it, str)
        else Kind(missing=lambda: None, build=it)
        for name, it in builders.items()
    }
    monkeypatch.setattr(backends, "KINDS", {**kinds, "eager": backends.KINDS["eager"]})
    monkeypatch.setattr(backends, "NAMES", ("auto", *kinds, "eager"))


def _broken(task: Task) -> Callable:
    raise RuntimeError("no such\nkernel")


def _halved(task: Task) -> Callable:
    exact = cpu.eager(task)
    return lambda pictures: exact(pictures) / 2


def test_auto_takes_the_first_that_works_and_says_why_not_the_others(
    monkeypatch: pytest.MonkeyPatch, task: Task
) -> None:
    """One is missing, one can't be built, one computes something else."""
    _kinds(monkeypatch, gpu="no CUDA device", broken=_broken, halved=_halved, good=cpu.eager)
    chosen = Backends("auto", task)
    assert chosen.name == "good"
    assert [name for name, _ in chosen.refused] == ["gpu", "broken", "halved"]
    reasons = dict(chosen.refused)
    assert reasons["gpu"] == "no CUDA device"
    assert reasons["broken"] == "RuntimeError: no such kernel"
    assert "differ from eager's by" in reasons["halved"]
    assert chosen.why.startswith("good; gpu: no CUDA device; broken: ")


def test_a_backend_that_answers_with_nan_is_refused(monkeypatch: pytest.MonkeyPatch, task: Task) -> None:
    """As a half-precision overflow would."""
    _kinds(monkeypatch, nan=lambda task: lambda pictures: np.full((len(pictures), 4), np.nan, np.float32))
    assert Backends("auto", task).name == "eager"


def test_a_backend_that_was_named_is_taken_or_an_error(monkeypatch: pytest.MonkeyPatch, task: Task) -> None:
    """Nobody who asks for one gets another in silence."""
    _kinds(monkeypatch, gpu="no CUDA device", good=cpu.eager)
    assert Backends("good", task).name == "good"
    with pytest.raises(BackendError, match="gpu can't run here: no CUDA device; choose another, or auto"):
        Backends("gpu", task)
    with pytest.raises(OptionError, match="unknown backend 'best': use one of auto, gpu, good, eager"):
        Backends("best", task)


def test_the_next_best_follows_until_none_is_left(monkeypatch: pytest.MonkeyPatch, task: Task) -> None:
    """A backend that gave up does not come back."""
    _kinds(monkeypatch, first=cpu.eager, broken=_broken)
    running = Backends("first", task)
    running.step_down("out of memory")
    assert running.name == "eager"
    assert running.refused[0] == ("first", "out of memory")
    assert running.compute(probes(3, SIDE)).shape == (4, 4)
    with pytest.raises(BackendError, match="no backend is left to compute bowam-nano: it burns"):
        running.step_down("it burns")


def test_eager_is_the_network_itself_picture_by_picture(task: Task) -> None:
    """Bit by bit, whatever shares the batch."""
    pictures = probes(3, SIDE)
    with torch.inference_mode():
        alone = [task.network(torch.from_numpy(picture)[None])[0].numpy() for picture in pictures]
    found = cpu.eager(task)(pictures)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, alone)


@pytest.mark.parametrize(("name", "tolerance"), [("openvino", 1e-4), ("openvino-bf16", backends.TOLERANCE)])
def test_openvino_agrees_with_eager_and_does_not_depend_on_the_batch(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, task: Task, name: str, tolerance: float
) -> None:
    """On pictures that the check at its start did not see; the same bits alone, together, and from the cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    if (reason := backends.survey()[name]) is not None:
        pytest.skip(reason)
    pictures = np.random.default_rng(8).normal(0, 0.3, (3, 3, SIDE, SIDE)).astype(np.float32)
    compute = Backends(name, task).compute
    found, truth = compute(pictures), cpu.eager(task)(pictures)
    difference = torch.from_numpy(found).softmax(1) - torch.from_numpy(truth).softmax(1)
    assert difference.abs().max() <= tolerance
    assert truth.std(0).max() > 0.02  # else agreement would say nothing
    np.testing.assert_array_equal(compute(pictures[1:2])[0], found[1])
    assert {path.suffix for path in (tmp_path / "bowam" / "openvino").iterdir()} == {".xml", ".bin"}
    np.testing.assert_array_equal(Backends(name, task).compute(pictures), found)


def test_probes_are_the_same_each_time_and_differ_among_themselves() -> None:
    """A check by chance would choose by chance."""
    np.testing.assert_array_equal(probes(3, SIDE), probes(3, SIDE))
    assert 0.1 < np.abs(probes(3, SIDE)).max() < 3
    assert np.abs(np.diff(probes(3, SIDE), axis=0)).max() > 0.1


def test_without_a_gpu_its_backends_say_so() -> None:
    """And are no reason to fail."""
    if torch.cuda.is_available():
        pytest.skip("a CUDA device is here")
    assert engines.missing_cuda() == engines.missing_tensorrt() == "no CUDA device"


@pytest.mark.gpu
def test_an_engine_belongs_to_gpu_versions_and_weights(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Other weights, another file; where none was made, the error says how."""
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    one, other = (engines.engine_path("aot-cuda", f"sha256:{digit * 64}") for digit in "01")
    assert one != other
    assert one.parent == tmp_path / "bowam" / "engines"
    with pytest.raises(BackendError, match="bowam export"):
        Backends("aot-cuda", _task())
