"""The serving graph against the predictor, step by step."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from bowam_model import create_model
from bowam_model.errors import ExportError, OptionError
from bowam_model.export import compare, export_graph, graph_inputs, make_graph, save_exported
from bowam_model.flow import Encoding, network_input
from bowam_model.network import Network
from bowam_model.predictor import load
from bowam_model.serving import ServingGraph, median
from bowam_model.synthesis import load_identity
from bowam_model.synthesis.triples import examples

TINY = {"dims": (8, 16, 24), "depths": (1, 1, 1)}


def network_for(encoding: Encoding) -> Network:
    torch.manual_seed(2)
    return create_model("bowam-nano", 3, in_channels=encoding.channels, **TINY).requires_grad_(False)


@pytest.fixture(scope="module")
def triples() -> np.ndarray:
    pytest.importorskip("skimage", reason="the default portrait comes with scikit-image")
    return np.stack([example.triple for example in examples(load_identity(), 3, seed=4)])


def test_probabilities_are_those_of_the_predictor(triples: np.ndarray) -> None:
    predictor = load()
    found = make_graph(predictor, "serving")(torch.from_numpy(triples)).numpy()
    expected = predictor.predict_batch(triples)
    np.testing.assert_allclose(found, expected, atol=1e-3)
    np.testing.assert_array_equal(found.argmax(1), expected.argmax(1))


@pytest.mark.media
def test_smiles_of_real_people_get_the_same_answer(media: Path) -> None:
    predictor = load()
    kinds = ("neutral", "smiling", "neutral")
    people = zip(*(sorted((media / "identities" / kind).glob("*"))[:3] for kind in kinds), strict=True)
    faces = [
        [cv2.resize(cv2.imread(str(path), 0), (240, 240), interpolation=cv2.INTER_AREA) for path in person]
        for person in people
    ]
    found = make_graph(predictor, "serving")(torch.from_numpy(np.array(faces))).numpy()
    expected = predictor.predict_batch(np.array(faces))
    np.testing.assert_allclose(found, expected, atol=1e-3)
    np.testing.assert_array_equal(found.argmax(1), expected.argmax(1))


@pytest.mark.parametrize(
    "encoding",
    [
        Encoding(colours="uv", fusion="multiply"),
        Encoding(fusion="concat", colours="hsv", scale_px=2.5, input_px=64),
        Encoding(fusion="traditional"),
        Encoding(colours="uv_derivatives", centre=True, side_px=60, input_px=56),
    ],
    ids=lambda encoding: f"{encoding.fusion}-{encoding.colours}",
)
def test_pictures_are_those_of_the_reference_in_every_encoding(triples: np.ndarray, encoding: Encoding) -> None:
    found = ServingGraph(network_for(encoding), encoding=encoding).pictures(torch.from_numpy(triples)).numpy()
    expected = np.stack([network_input(*triple, encoding) for triple in triples])
    assert found.shape == expected.shape
    difference = np.abs(found - expected)
    assert difference.mean() < 5e-5
    assert np.quantile(difference, 0.999) < 2e-3  # hue turns on the spot where the flow is all but zero


def test_a_median_is_found_without_sorting() -> None:
    maps = np.random.default_rng(1).normal(size=(2, 3, 15, 21)).astype(np.float32)
    found = median(torch.from_numpy(maps))[..., 0, 0].numpy()
    np.testing.assert_allclose(found, np.median(maps, axis=(2, 3)), atol=1e-6)


def test_half_precision_leaves_the_flow_alone() -> None:
    graph = ServingGraph(network_for(Encoding()), encoding=Encoding()).half()
    assert graph.network.head.weight.dtype == torch.float16
    assert {buffer.dtype for buffer in graph.farneback.buffers()} == {torch.float32}
    assert graph.pictures(torch.zeros(1, 3, 240, 240, dtype=torch.uint8)).dtype == torch.float32


def test_ready_pictures_have_no_serving_graph() -> None:
    encoding = Encoding(fusion="picture")
    with pytest.raises(OptionError, match="ready flow pictures"):
        ServingGraph(network_for(encoding), encoding=encoding)


def test_a_saved_graph_answers_as_before_at_any_batch(tmp_path: Path, triples: np.ndarray) -> None:
    predictor = load()
    inputs = graph_inputs(predictor, "network", triples)
    path = tmp_path / "network.pt2"
    assert save_exported(predictor.network, "network", inputs, path) <= 1e-5
    again = torch.export.load(path).module()
    for batch in (1, 3, 64):
        many = inputs.repeat(22, 1, 1, 1)[:batch]
        torch.testing.assert_close(again(many), predictor.network(many), atol=1e-4, rtol=1e-4)
    assert [file.name for file in tmp_path.iterdir()] == ["network.pt2"]


@pytest.mark.slow
def test_the_serving_graph_exports_with_an_open_batch(triples: np.ndarray) -> None:
    graph = make_graph(load(), "serving")
    inputs = torch.from_numpy(triples)
    again = export_graph(graph, inputs).module()
    assert compare(graph, again, "serving", inputs, 1e-5) <= 1e-5


def test_a_graph_that_disagrees_is_refused() -> None:
    inputs = torch.tensor([[2.0, 0.0], [0.0, 1.0]])
    with pytest.raises(ExportError, match=r"differ by 0\.0\d+ .*labels are the same"):
        compare(lambda x: x, lambda x: x * 1.5, "network", inputs, 1e-3)
    with pytest.raises(ExportError, match="labels are not the same"):
        compare(lambda x: x, lambda x: -x, "network", inputs, 1.0)
    with pytest.raises(ExportError, match="nan"):
        compare(lambda x: x, lambda x: x * torch.nan, "network", inputs, 1.0)
