"""What computes the network: the choice follows from the machine, every backend agrees with eager, and one that fails
has a successor."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from bowam_model import backends, create_model
from bowam_model.backends import Backends, Kind, Task, cpu, engines, probes
from bowam_model.errors import BackendError, OptionError
from bowam_model.export import compile_engine
from bowam_model.flow import Encoding, farneback, network_input
from bowam_model.predictor import load

ENCODING = Encoding(aligned_px=48, input_px=32)


def _task(**changes: object) -> Task:
    torch.manual_seed(3)
    network = create_model("bowam-nano", 4, dims=(8, 16, 24), depths=(1, 1, 1)).eval().requires_grad_(False)
    torch.nn.init.normal_(network.head.weight, std=0.3)  # fresh ones hardly tell pictures apart
    task = Task(network=network, encoding=ENCODING, temperature=2.0, threads=1, weights="sha256:" + "0" * 64)
    return replace(task, **changes)


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
    return lambda triples: exact(triples) / 2


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
    _kinds(monkeypatch, nan=lambda task: lambda triples: np.full((len(triples), 4), np.nan, np.float32))
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
    assert running.compute(probes(48)).shape == (3, 4)
    with pytest.raises(BackendError, match="no backend is left to compute bowam-nano: it burns"):
        running.step_down("it burns")


def test_eager_is_flow_network_and_softmax_triple_by_triple(task: Task) -> None:
    """Bit by bit, whatever shares the batch."""
    triples = probes(48)
    with torch.inference_mode():
        logits = [task.network(torch.from_numpy(network_input(*triple, ENCODING))[None])[0] for triple in triples]
    found = cpu.eager(task)(triples)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, [(row / 2.0).softmax(0).numpy() for row in logits])
    np.testing.assert_array_equal(cpu.eager(task)(triples[1:2])[0], found[1])
    np.testing.assert_array_equal(cpu.eager(task)(triples[1:]), found[1:])


@pytest.mark.parametrize(("name", "tolerance"), [("openvino", 1e-4), ("openvino-bf16", backends.TOLERANCE)])
def test_openvino_agrees_with_eager_and_does_not_depend_on_the_batch(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, task: Task, name: str, tolerance: float
) -> None:
    """On pictures that the check at its start did not see; the same bits alone, together, and from the cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    if (reason := backends.survey()[name]) is not None:
        pytest.skip(reason)
    triples = np.stack([triple[::-1, ::-1] for triple in probes(48)])  # offset, apex, onset, upside down
    compute = Backends(name, task).compute
    found, truth = compute(triples), cpu.eager(task)(triples)
    assert np.abs(found - truth).max() <= tolerance
    assert truth.std(0).max() > 0.02  # else agreement would say nothing
    np.testing.assert_array_equal(compute(triples[1:2])[0], found[1])
    assert {path.suffix for path in (tmp_path / "bowam" / "openvino").iterdir()} == {".xml", ".bin"}
    np.testing.assert_array_equal(Backends(name, task).compute(triples), found)


def test_probes_are_the_same_each_time_and_move_by_pixels() -> None:
    """A check by chance would choose by chance, and faces that stand still would make it agree with anything."""
    np.testing.assert_array_equal(probes(240), probes(240))
    assert not np.array_equal(*probes(240)[:2])
    for onset, apex, offset in probes(240):
        assert 0.5 < np.abs(farneback(apex, onset)).max() < 10
        assert 0.5 < np.abs(farneback(apex, offset)).max() < 10


def _with_engine(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    """A backend that needs a file, before eager."""

    def load(task: Task) -> Callable:
        if not path.is_file():
            raise BackendError("no engine")
        return cpu.eager(task) if path.read_text() == "good" else _halved(task)

    engine = Kind(missing=lambda: None, build=load, engine=lambda weights: path)
    monkeypatch.setattr(backends, "KINDS", {"engine": engine, "eager": backends.KINDS["eager"]})
    monkeypatch.setattr(backends, "NAMES", ("auto", "engine", "eager"))


def test_an_engine_that_is_made_later_takes_over(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, task: Task) -> None:
    """Until then the next best computes; should the engine fail, it is back."""
    _with_engine(monkeypatch, tmp_path / "engine")
    running = Backends("auto", task)
    assert (running.name, running.wanted) == ("eager", ["engine"])
    (tmp_path / "engine").write_text("good")
    running.step_up("engine")
    assert (running.name, running.wanted, running.refused) == ("engine", [], [])
    running.step_down("it burns")
    assert running.name == "eager"


def test_an_engine_that_answers_wrongly_does_not_take_over(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, task: Task
) -> None:
    """And it is not made again."""
    _with_engine(monkeypatch, tmp_path / "engine")
    running = Backends("auto", task)
    (tmp_path / "engine").write_text("bad")
    with pytest.raises(BackendError, match="engine can't run here: its probabilities differ"):
        running.step_up("engine")
    assert (running.name, running.wanted) == ("eager", [])
    assert "differ" in dict(running.refused)["engine"]


def test_whoever_names_a_backend_wants_no_other(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, task: Task) -> None:
    """No engine is made behind their back."""
    _with_engine(monkeypatch, tmp_path / "engine")
    assert Backends("eager", task).wanted == []


def test_without_a_gpu_its_backends_say_so() -> None:
    """And are no reason to fail."""
    if torch.cuda.is_available():
        pytest.skip("a CUDA device is here")
    assert {engine.missing() for engine in engines.ENGINES.values()} == {"no CUDA device"}


@pytest.mark.gpu
def test_an_engine_belongs_to_gpu_versions_and_weights(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Other weights, another file; where none was made, the error says how."""
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    one, other = (engines.ENGINES["aot-cuda"].path(f"sha256:{digit * 64}") for digit in "01")
    assert one != other
    assert one.parent == tmp_path / "bowam" / "engines"
    with pytest.raises(BackendError, match="bowam export"):
        Backends("aot-cuda", _task())


@pytest.mark.gpu
def test_an_engine_of_pytorch_itself_answers_as_eager_does(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The real thing, from `bowam export` to the worker's call."""
    engine = engines.ENGINES["aot-cuda"]
    if (reason := engine.missing()) is not None:
        pytest.skip(reason)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    reference = load()
    faces = probes(240)
    compile_engine(reference, engine, faces)
    predictor = load(backend="aot-cuda")
    np.testing.assert_allclose(predictor.predict_batch(faces), reference.predict_batch(faces), atol=1e-3, rtol=0)
    many = predictor.predict_together([tuple(triple) for triple in np.tile(faces, (40, 1, 1, 1))])
    assert len(many) == 40 * len(faces)
