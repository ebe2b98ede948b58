"""Weights files and predictions: what goes in comes out, and what does not fit is refused in one line."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from safetensors import safe_open

from bowam_model import backends, create_model, load
from bowam_model.backends import Kind, cpu
from bowam_model.errors import BackendError, ImageError, OptionError, WeightsError
from bowam_model.evaluation import tempered
from bowam_model.flow import Encoding, network_input
from bowam_model.labels import SHIPPED
from bowam_model.network import Network
from bowam_model.predictor import save

TINY = {"dims": (8, 16, 24), "depths": (1, 1, 1)}
TRIPLES = np.random.default_rng(5).integers(0, 256, (3, 3, 240, 240), dtype=np.uint8)


def _network(classes: int = 4, **options: Any) -> Network:
    torch.manual_seed(11)
    network = create_model("bowam-nano", classes, **TINY, **options)
    for module in network.modules():  # as if trained: the statistics are no longer those of a fresh network
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(module.running_mean, std=0.1)
    return network


def _saved(folder: Path, encoding: Encoding | None = None, **options: Any) -> Path:
    path = folder / "weights.safetensors"
    save(path, _network(**options), labels=SHIPPED, encoding=encoding or Encoding(), card="# A card\nwith two lines")
    return path


@pytest.mark.parametrize(
    "encoding",
    [
        Encoding(),
        Encoding(fusion="concat", colours="hsv", scale_px=2.5, input_px=64),
        Encoding(fusion="traditional"),
        Encoding(colours="uv_derivatives", centre=True, side_px=60, input_px=56),
    ],
    ids=lambda encoding: f"{encoding.fusion}-{encoding.colours}",
)
def test_a_saved_network_answers_as_before(tmp_path: Path, encoding: Encoding) -> None:
    path = _saved(tmp_path, encoding, in_channels=encoding.channels)
    answer = load(path).predict(*TRIPLES[0])
    network = _network(in_channels=encoding.channels).eval()
    with torch.inference_mode():
        logits = network(torch.from_numpy(network_input(*TRIPLES[0], encoding))[None])[0]
    assert list(answer) == list(SHIPPED)
    np.testing.assert_allclose(list(answer.values()), logits.softmax(0), atol=1e-5)
    assert sum(answer.values()) == pytest.approx(1)


def test_the_file_tells_what_it_is(tmp_path: Path) -> None:
    encoding = Encoding(fusion="multiply", scale_px=4.5, input_px=200)
    path = _saved(tmp_path, encoding)
    predictor = load(path)
    assert predictor.name == "bowam-nano"
    assert predictor.labels == SHIPPED
    assert predictor.backend == "eager"
    assert predictor.encoding == encoding
    assert predictor.card == "# A card\nwith two lines"
    assert predictor.weights == f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    assert {key: metadata[key] for key in ("fusion", "colours", "scale_px", "input_px")} == {
        "fusion": "multiply",
        "colours": "uv_strain",
        "scale_px": "4.5",
        "input_px": "200",
    }
    assert json.loads(metadata["labels"]) == list(SHIPPED)
    assert json.loads(metadata["options"])["wavelet"] == "haar"


def test_files_of_the_first_release_have_neither_centre_nor_side(tmp_path: Path) -> None:
    path = _saved(tmp_path)
    before = load(path)
    _rewrite(path, lambda metadata, _: (metadata.pop("centre"), metadata.pop("side_px")))  # type: ignore[arg-type,return-value]
    assert load(path).encoding == before.encoding == Encoding()
    assert load(path).predict(*TRIPLES[0]) == before.predict(*TRIPLES[0])


def test_a_temperature_travels_with_the_weights_and_tempers_every_answer(tmp_path: Path) -> None:
    """Against `evaluation.tempered`; a file without one has 1."""
    path = _saved(tmp_path)
    plain = load(path).predict_batch(TRIPLES)
    _rewrite(path, lambda metadata, _: metadata.update(temperature="2.5"))
    assert load(path).temperature == 2.5
    np.testing.assert_allclose(load(path).predict_batch(TRIPLES), tempered(plain, 2.5), atol=1e-5)
    assert np.abs(load(path).predict_batch(TRIPLES) - plain).max() > 1e-3
    _rewrite(path, lambda metadata, _: metadata.pop("temperature"))  # type: ignore[arg-type,return-value]
    np.testing.assert_array_equal(load(path).predict_batch(TRIPLES), plain)


def test_equal_weights_have_equal_digests(tmp_path: Path) -> None:
    assert len({_saved(tmp_path).read_bytes() for _ in range(4)}) == 1


def test_an_answer_does_not_depend_on_its_batch(tmp_path: Path) -> None:
    """Bit by bit: alone, first of three, last of three, and again."""
    predictor = load(_saved(tmp_path))
    predictor.warm_up()
    together = predictor.predict_batch(TRIPLES)
    assert together.shape == (3, 4)
    assert together.dtype == np.float32
    np.testing.assert_array_equal(predictor.predict_batch(TRIPLES[::-1]), together[::-1])
    np.testing.assert_array_equal(np.float32(list(predictor.predict(*TRIPLES[2]).values())), together[2])
    assert predictor.predict_batch(TRIPLES[:0]).shape == (0, 4)


def test_several_are_answered_together_as_each_alone(tmp_path: Path) -> None:
    """Their flows are computed side by side; not a bit changes."""
    predictor = load(_saved(tmp_path))
    together = predictor.predict_together([tuple(triple) for triple in TRIPLES])
    assert together == [predictor.predict(*triple) for triple in TRIPLES]
    assert predictor.predict_together([]) == []


def test_a_backend_that_failed_is_followed_by_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The predictor stays the same; only what computes it changes, and both say so."""
    kinds = {"first": Kind(missing=lambda: None, build=cpu.eager), "eager": backends.KINDS["eager"]}
    monkeypatch.setattr(backends, "KINDS", kinds)
    predictor = load(_saved(tmp_path), backend="auto")
    before = predictor.predict(*TRIPLES[0])
    assert (predictor.backend, predictor.why, predictor.refused) == ("first", "first", ())
    predictor.fall_back("out of memory")
    assert (predictor.backend, predictor.why) == ("eager", "eager; first: out of memory")
    assert predictor.predict(*TRIPLES[0]) == before
    with pytest.raises(BackendError, match="no backend is left"):
        predictor.fall_back("it burns")


def test_the_thread_count_is_the_predictors_own(tmp_path: Path) -> None:
    """An answer sets it and puts it back: what the rest of the process uses is left alone."""
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        seen: list[int] = []
        predictor = load(_saved(tmp_path), threads=1)
        predictor.network.register_forward_hook(lambda *_: seen.append(torch.get_num_threads()))
        predictor.predict(*TRIPLES[0])
        assert seen == [1]
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_a_predictor_does_not_learn(tmp_path: Path) -> None:
    network = load(_saved(tmp_path)).network
    assert not network.training
    assert not any(parameter.requires_grad for parameter in network.parameters())


def test_pictures_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    predictor = load(_saved(tmp_path))
    with pytest.raises(ImageError, match=r"aligned faces of shape \(240, 240\)"):
        predictor.predict(*TRIPLES[0, :, :224, :224])
    with pytest.raises(ImageError, match=r"pass \(B, 3, 240, 240\)"):
        predictor.predict_batch(TRIPLES[0])


def _rewrite(path: Path, change: Callable[[dict[str, str], dict[str, torch.Tensor]], None]) -> None:
    with safe_open(path, "pt") as file:
        metadata, tensors = file.metadata(), {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    change(metadata, tensors)
    safetensors.torch.save_file(tensors, path, metadata)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda m, _: m.pop("labels"), "lacks 'labels'"),
        (lambda m, _: m.pop("scale_px"), "lacks 'scale_px'"),
        (lambda m, _: m.pop("card"), "lacks 'card'"),
        (lambda m, _: m.clear(), "has schema None"),
        (lambda m, _: m.update(schema="bowam.weights/9"), "has schema 'bowam.weights/9'"),
        (lambda m, _: m.update(architecture="resnet"), "unknown model 'resnet'"),
        (lambda m, _: m.update(options='{"wings": 2}'), "unknown option 'wings'"),
        (lambda m, _: m.update(options="{"), "damaged metadata"),
        (lambda m, _: m.update(options="[1]"), "damaged metadata"),
        (lambda m, _: m.update(fusion="max"), "unknown fusion 'max'"),
        (lambda m, _: m.update(fusion="concat"), "'concat' makes 6 channels, the network takes 3"),
        (lambda m, _: m.update(scale_px="wide"), "damaged metadata"),
        (lambda m, _: m.update(centre="perhaps"), "damaged metadata: centre is 'perhaps'"),
        (lambda m, _: m.update(temperature="0"), "damaged metadata: temperature is 0"),
        (lambda m, _: m.update(temperature="nan"), "damaged metadata: temperature is nan"),
        (lambda m, _: m.update(trained_on='{"casme2": 1}'), "damaged metadata: trained_on are no list"),
        (lambda m, _: m.update(labels='["negative", "positive", "surprise"]'), r"head.* is \(4,.*\(3,"),
        (lambda m, _: m.update(labels='["negative", "none", "none", "surprise"]'), "labels negative, none, none"),
        (lambda m, _: m.update(labels="7"), "damaged metadata"),
        (lambda _, t: t.pop("norm.bias"), "norm.bias is missing"),
        (lambda _, t: t.update(extra=torch.zeros(1)), "extra .* no such weight"),
        (lambda _, t: t.update({"norm.bias": torch.zeros(25)}), r"norm.bias is \(25,\), the network has \(24,\)"),
    ],
)
def test_files_that_do_not_fit_are_refused_in_one_line(
    tmp_path: Path, change: Callable[[dict[str, str], dict[str, torch.Tensor]], None], says: str
) -> None:
    path = _saved(tmp_path)
    _rewrite(path, change)
    with pytest.raises(WeightsError, match=says) as error:
        load(path)
    assert "\n" not in str(error.value)
    assert str(path) in str(error.value) or "fusion" in says or "labels" in says or "channels" in says


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda path: path.unlink(), "no weights at"),
        (lambda path: (path.unlink(), path.mkdir()), "can't read weights"),
        (lambda path: path.write_bytes(b""), "no safetensors file"),
        (lambda path: path.write_text("these are no weights at all"), "no safetensors file"),
        (lambda path: path.write_bytes(path.read_bytes()[:-100]), "no safetensors file, or is damaged"),
    ],
    ids=["missing", "folder", "empty", "text", "truncated"],
)
def test_what_is_no_weights_file_is_refused_in_one_line(
    tmp_path: Path, spoil: Callable[[Path], object], says: str
) -> None:
    path = _saved(tmp_path)
    spoil(path)
    with pytest.raises(WeightsError, match=says) as error:
        load(path)
    assert "\n" not in str(error.value)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    """Nobody might ever write to it."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(WeightsError, match="it is no file"):
        load(tmp_path / "pipe")


def test_weights_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    """A training that diverged would answer nan, which no event can say."""
    path = _saved(tmp_path)
    _rewrite(path, lambda _metadata, tensors: tensors.update({"head.bias": tensors["head.bias"] * float("nan")}))
    with pytest.raises(WeightsError, match=r"head\.bias holds values that are not finite"):
        load(path)


def test_without_a_path_the_shipped_weights_are_meant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shipped = tmp_path / "bowam-nano.safetensors"
    monkeypatch.setattr("bowam_model.predictor.SHIPPED_WEIGHTS", shipped)
    with pytest.raises(WeightsError, match="no weights at"):
        load()
    assert load(_saved(tmp_path).rename(shipped)).weights == load().weights


def test_wrong_arguments_are_named(tmp_path: Path) -> None:
    path = _saved(tmp_path)
    with pytest.raises(OptionError, match="unknown backend 'abacus': use one of auto, "):
        load(path, backend="abacus")
    with pytest.raises(OptionError, match="threads is 0"):
        load(path, threads=0)


def test_what_does_not_fit_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    with pytest.raises(WeightsError, match="do not fit a network with 4 classes"):
        save(path, _network(), labels=SHIPPED[:3], encoding=Encoding(), card="")
    with pytest.raises(WeightsError, match="'concat' makes 6 channels, the network takes 3"):
        save(path, _network(), labels=SHIPPED, encoding=Encoding(fusion="concat"), card="")
    with pytest.raises(WeightsError, match="can't write"):
        save(tmp_path / "nowhere" / "w.safetensors", _network(), labels=SHIPPED, encoding=Encoding(), card="")
    assert list(tmp_path.iterdir()) == []


def test_serving_needs_no_training_code() -> None:
    code = (
        "import sys, bowam_model; bowam_model.load;"
        "sys.exit(any(f'bowam_model.{n}' in sys.modules for n in ('training', 'datasets', 'synthesis', 'face')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
