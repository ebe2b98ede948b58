"""TensorRT has a converter for every node of the graphs that we export: an engine holds all of it, or is not built.

torch_tensorrt's wheel (4 MB) is fetched without what it depends on; its libraries are not needed to ask for converters.
"""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from bowam_model import create_model
from bowam_model.export import export_graph
from bowam_model.flow import Encoding
from bowam_model.predictor import load
from bowam_model.serving import ServingGraph

pytestmark = [pytest.mark.tensorrt, pytest.mark.system]  # fetches a wheel: `make test-system` runs it

PROBE = Path(__file__).parent / "probe.py"
OTHER = Encoding(fusion="concat", colours="hsv", centre=True, side_px=120, input_px=112, scale_px=2.5)
TRIPLES = torch.zeros(2, 3, 240, 240, dtype=torch.uint8)


@pytest.fixture(scope="module")
def converters(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder from which torch_tensorrt can be imported as plain Python."""
    folder = tmp_path_factory.mktemp("torch_tensorrt")
    if importlib.util.find_spec("pip") is None:
        pytest.skip("there is no pip to fetch torch-tensorrt's wheel with")
    release = ".".join(torch.__version__.split(".")[:2])
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(folder)]
    fetched = subprocess.run(
        [*pip, f"torch-tensorrt=={release}.*", "dllist", "psutil", "packaging"],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    if fetched.returncode or not (folder / "torch_tensorrt").is_dir():
        pytest.skip(f"torch-tensorrt {release} can't be fetched here: {fetched.stderr.strip().splitlines()[-1:]}")
    for library in (folder / "torch_tensorrt" / "lib").glob("*.so"):
        library.unlink()  # without them it runs as plain Python
    return folder


def without_converter(module: torch.nn.Module, inputs: torch.Tensor, folder: Path, converters: Path) -> dict[str, int]:
    path = folder / "graph.pt2"
    torch.export.save(export_graph(module, inputs), path)
    environment = os.environ | {"PYTHONPATH": str(converters)}
    probe = [sys.executable, str(PROBE), str(path)]
    run = subprocess.run(probe, capture_output=True, text=True, env=environment, timeout=280, check=False)
    assert run.returncode == 0, run.stderr[-2000:]
    found = json.loads(run.stdout.splitlines()[-1])
    assert found["nodes"] > 0
    return found["without converter"]


def test_every_node_of_the_shipped_network_has_a_converter(tmp_path: Path, converters: Path) -> None:
    assert without_converter(load().network, torch.zeros(2, 3, 224, 224), tmp_path, converters) == {}


@pytest.mark.parametrize("half", [False, True], ids=["fp32", "fp16"])
def test_every_node_of_the_serving_graph_has_a_converter(tmp_path: Path, converters: Path, half: bool) -> None:
    predictor = load()
    graph = ServingGraph(predictor.network, encoding=predictor.encoding).requires_grad_(False)
    assert without_converter(graph.half() if half else graph, TRIPLES, tmp_path, converters) == {}


def test_other_encodings_have_converters_too(tmp_path: Path, converters: Path) -> None:
    network = create_model("bowam-nano", 3, in_channels=OTHER.channels)
    graph = ServingGraph(network, encoding=OTHER).requires_grad_(False)
    assert without_converter(graph, TRIPLES, tmp_path, converters) == {}


def test_the_probe_sees_what_has_no_converter(tmp_path: Path, converters: Path) -> None:
    """A sorted picture: TensorRT has no layer that picks the value of a rank."""

    class Unknown(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.flatten(1).kthvalue(7, dim=1).values

    assert without_converter(Unknown(), torch.zeros(2, 3, 16, 16), tmp_path, converters)


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("graph", ["network", "serving"])
def test_an_engine_answers_as_eager_does(tmp_path: Path, graph: str, precision: str) -> None:
    """The real engine, stored and read again, in a batch and at its largest."""
    if not torch.cuda.is_available():
        pytest.skip("there is no CUDA device")
    torch_tensorrt = pytest.importorskip("torch_tensorrt", reason="torch_tensorrt is not installed")
    from bowam_model.export import TOLERANCE, compile_tensorrt, graph_inputs, make_graph
    from bowam_model.synthesis import load_identity
    from bowam_model.synthesis.triples import examples

    predictor = load()
    triples = np.stack([example.triple for example in examples(load_identity(), 4, seed=3)])
    path, difference = compile_tensorrt(predictor, graph, triples, tmp_path, precision=precision)
    assert difference <= TOLERANCE[precision]
    engine = torch_tensorrt.load(str(path)).module()
    inputs = graph_inputs(predictor, graph, np.tile(triples, (16, 1, 1, 1))).cuda()
    expected = make_graph(predictor, graph).cuda()(inputs)
    found = engine(inputs.half() if graph == "network" and precision == "fp16" else inputs)
    if graph == "network":
        expected, found = expected.softmax(1), found.float().softmax(1)
    torch.testing.assert_close(found, expected, atol=TOLERANCE[precision], rtol=0)
