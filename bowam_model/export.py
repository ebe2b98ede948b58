"""Graphs as files: torch.export's, and engines of one machine. What disagrees with eager is never written.

All hold the batch open from 1 to 64. Nothing of TensorRT is imported before an engine of it is compiled.
"""

import copy
import importlib
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from bowam_model.backends.cpu import pictures
from bowam_model.backends.engines import LARGEST_BATCH, Engine
from bowam_model.errors import ExportError, MissingDependency
from bowam_model.predictor import Predictor
from bowam_model.serving import ServingGraph

Graph = Literal["network", "serving"]

TOLERANCE = {"fp32": 1e-3, "fp16": 2e-2}  # of probabilities, between a file and eager


def make_graph(predictor: Predictor, graph: Graph) -> nn.Module:
    """The network (pictures to logits) or all of serving (triples to probabilities), on the CPU."""
    if graph == "network":
        return predictor.network
    serving = ServingGraph(predictor.network, encoding=predictor.encoding, temperature=predictor.temperature)
    return serving.requires_grad_(False)


def graph_inputs(predictor: Predictor, graph: Graph, triples: np.ndarray) -> Tensor:
    """What the graph takes of these faces, uint8 (B, 3, 240, 240): themselves, or their pictures."""
    return torch.from_numpy(triples if graph == "serving" else pictures(triples, predictor.encoding))


def export_graph(module: nn.Module, inputs: Tensor) -> torch.export.ExportedProgram:
    """The graph with an open batch. `inputs` are of its shape, their number does not matter."""
    batch = torch.export.Dim("batch", min=1, max=LARGEST_BATCH)
    example = torch.cat([inputs[:1], inputs[:1]])  # a batch of one would be taken for a constant
    with torch.no_grad():
        return torch.export.export(module, (example,), dynamic_shapes=({0: batch},))


def save_exported(module: nn.Module, graph: Graph, inputs: Tensor, path: Path) -> float:
    """Write the graph, read it again and ask both; the file appears only if they agree.

    Returns:
        The largest difference of a probability.
    Raises:
        ExportError: file and eager disagree, or the file can't be written.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.pt2")  # torch.export wants the ending
    try:
        file = io.BytesIO()  # torch's own writer hides why a file can't be written
        torch.export.save(export_graph(module, inputs), file)
        partial.write_bytes(file.getvalue())
        again = torch.export.load(partial).module()
        difference = compare(module, again, graph, inputs, TOLERANCE["fp32"])
        partial.replace(path)
    except OSError as error:
        raise ExportError(f"can't write {path}: {error.strerror or error}") from error
    finally:
        partial.unlink(missing_ok=True)
    return difference


def compare(
    eager: Callable[[Tensor], Tensor], other: Callable[[Tensor], Tensor], graph: Graph, inputs: Tensor, tolerance: float
) -> float:
    """The largest difference of a probability, in one batch and one by one.

    Raises:
        ExportError: it is beyond the tolerance, or a label changes.
    """
    with torch.no_grad():
        expected = _probabilities(eager(inputs), graph)
        answers = [
            _probabilities(other(inputs), graph),
            torch.cat([_probabilities(other(one[None]), graph) for one in inputs]),
        ]
    differences = [float((answer - expected).abs().max()) for answer in answers]
    worst = float("nan") if any(difference != difference for difference in differences) else max(differences)
    same = all(bool((answer.argmax(1) == expected.argmax(1)).all()) for answer in answers)
    if not (worst <= tolerance and same):
        raise ExportError(
            f"the compiled graph disagrees with eager: probabilities differ by {worst:.2g} (allowed {tolerance:g}), "
            f"labels are {'the same' if same else 'not the same'}; nothing was written"
        )
    return worst


def compile_engine(predictor: Predictor, engine: Engine, triples: np.ndarray) -> tuple[Path, float]:
    """Compile all of serving for this machine's GPU, compare it with eager, and store it where workers look for it.

    What is single precision in the graph (the flow) stays so, and without TF32.

    Args:
        triples: uint8 (B, 3, 240, 240), faces on which the two are compared.
    Returns:
        The engine's file, and the largest difference of a probability.
    Raises:
        MissingDependency: there is no CUDA device, or a package is missing.
        ExportError: engine and eager disagree, or the file can't be written.
    """
    if (reason := engine.missing()) is not None:
        raise MissingDependency(f"an engine for {engine.name} can't be made here: {reason}")
    path = engine.path(predictor.weights)
    eager = copy.deepcopy(make_graph(predictor, "serving")).cuda()
    inputs = torch.from_numpy(triples).cuda()
    module = copy.deepcopy(eager)
    if engine.precision == "fp16":
        module = module.half()
    partial = path.with_name(f".{path.name}.{os.getpid()}.pt2")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _COMPILERS[engine.package](export_graph(module, inputs), inputs, partial)
        difference = compare(eager, engine.read(partial), "serving", inputs, TOLERANCE[engine.precision])
        partial.replace(path)
    except OSError as error:
        raise ExportError(f"can't write {path}: {error.strerror or error}") from error
    finally:
        partial.unlink(missing_ok=True)
    return path, difference


def _compile_tensorrt(program: torch.export.ExportedProgram, inputs: Tensor, path: Path) -> None:
    torch_tensorrt: Any = importlib.import_module("torch_tensorrt")
    shape = tuple(inputs.shape[1:])
    batches = torch_tensorrt.Input(
        min_shape=(1, *shape), opt_shape=(16, *shape), max_shape=(LARGEST_BATCH, *shape), dtype=inputs.dtype
    )
    made = torch_tensorrt.dynamo.compile(
        program, arg_inputs=[batches], disable_tf32=True, require_full_compilation=True
    )
    torch_tensorrt.save(made, str(path), output_format="exported_program", arg_inputs=[batches])


def _compile_aot(program: torch.export.ExportedProgram, inputs: Tensor, path: Path) -> None:
    inductor: Any = importlib.import_module("torch._inductor")
    inductor.aoti_compile_and_package(program, package_path=str(path))


_COMPILERS = {"torch_tensorrt": _compile_tensorrt, None: _compile_aot}


def _probabilities(answer: Tensor, graph: Graph) -> Tensor:
    return answer.float().softmax(1) if graph == "network" else answer.float()
