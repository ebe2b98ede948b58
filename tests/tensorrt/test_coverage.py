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
from bowam_model.backends import probes
from bowam_model.backends.engines import ENGINES
from bowam_model.export import TOLERANCE, compile_engine, export_graph
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


@pytest.mark.gpu
@pytest.mark.parametrize("name", [name for name in ENGINES if name.startswith("tensorrt")])
def test_an_engine_answers_as_eager_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """The real engine, stored where a worker looks for it, in batches of up to the largest and one by one."""
    if (reason := ENGINES[name].missing()) is not None:
        pytest.skip(reason)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    reference = load()
    triples = probes(240)
    compile_engine(reference, ENGINES[name], triples)
    predictor = load(backend=name)
    assert predictor.backend == name
    expected = reference.predict_batch(triples)
    many = predictor.predict_together([tuple(triple) for triple in np.tile(triples, (25, 1, 1, 1))])
    found = np.array([list(answer.values()) for answer in many]).reshape(25, *expected.shape)
    tolerance = TOLERANCE[ENGINES[name].precision]
    np.testing.assert_allclose(found, np.broadcast_to(expected, found.shape), atol=tolerance, rtol=0)
    np.testing.assert_allclose(predictor.predict_batch(triples), expected, atol=tolerance, rtol=0)
