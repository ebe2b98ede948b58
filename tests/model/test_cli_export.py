"""`bowam export`: the file answers as the network does, or there is none and the reason stands on one line."""

from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from bowam_model.backends import probes
from bowam_model.cli import app
from bowam_model.errors import MissingDependency, OptionError
from bowam_model.predictor import load


def _export(*arguments: str) -> str:
    done = CliRunner().invoke(app, ["export", *arguments])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.output


def test_the_network_as_a_file_answers_in_batches_of_any_size(tmp_path: Path) -> None:
    """Another program needs nothing of ours to run it."""
    out = tmp_path / "network.pt2"
    assert f"wrote {out}: batches of 1 to 64" in _export(
        "--format", "exported", "--graph", "network", "--out", str(out)
    )
    program = torch.export.load(out).module()
    pictures = torch.from_numpy(np.random.default_rng(0).normal(0, 0.3, (5, 3, 224, 224)).astype(np.float32))
    with torch.inference_mode():
        for batch in (pictures[:1], pictures):
            torch.testing.assert_close(program(batch), load().network(batch), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--format", "exported"), "needs --out FILE.pt2"),
        (("--format", "exported", "--out", "graph.onnx"), "needs --out FILE.pt2"),
        (("--format", "tensorrt", "--out", "engine.pt2"), "pass neither --out nor --graph"),
        (("--format", "aot-cuda", "--graph", "network"), "pass neither --out nor --graph"),
    ],
)
def test_options_that_do_not_fit_say_what_to_pass(arguments: tuple[str, ...], says: str) -> None:
    """Before anything is loaded."""
    with pytest.raises(OptionError, match=says):
        _export(*arguments)


@pytest.mark.skipif(torch.cuda.is_available(), reason="a CUDA device is here")
@pytest.mark.parametrize("name", ["tensorrt", "tensorrt-fp32", "aot-cuda"])
def test_without_a_gpu_no_engine_is_made(name: str) -> None:
    """One line that says why."""
    with pytest.raises(MissingDependency, match=f"an engine for {name} can't be made here: no CUDA device"):
        _export("--format", name)


def test_without_face_mesh_textures_stand_for_faces(monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU worker's image has no MediaPipe."""
    monkeypatch.setattr("bowam_model.synthesis.load_identity", _no_face_mesh)
    triples = import_module("bowam_model.cli.export")._triples  # the package names its function like the module
    np.testing.assert_array_equal(triples(240), probes(240))


def _no_face_mesh() -> None:
    raise MissingDependency("no mediapipe")
