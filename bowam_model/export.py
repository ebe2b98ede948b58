"""Graphs as files: torch.export, and TensorRT engines of one machine. What disagrees with eager is never written.

Both hold the batch open from 1 to 64. Of TensorRT nothing is imported before `compile_tensorrt` is called.
"""

import copy
import hashlib
import io
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from bowam_model.errors import ExportError, MissingDependency
from bowam_model.flow import network_input
from bowam_model.predictor import Predictor
from bowam_model.serving import ServingGraph

Graph = Literal["network", "serving"]
Precision = Literal["fp32", "fp16"]

LARGEST_BATCH = 64
TOLERANCE = {"fp32": 1e-3, "fp16": 2e-2}  # of probabilities, between a file and eager


def make_graph(predictor: Predictor, graph: Graph) -> nn.Module:
    """The network (pictures to logits) or all of serving (triples to probabilities), on the CPU."""
    if graph == "network":
        return predictor.network
    serving = ServingGraph(predictor.network, encoding=predictor.encoding, temperature=predictor.temperature)
    return serving.requires_grad_(False)


def graph_inputs(predictor: Predictor, graph: Graph, triples: np.ndarray) -> Tensor:
    """What the graph takes of these faces, uint8 (B, 3, 240, 240): themselves, or their pictures."""
    if graph == "serving":
        return torch.from_numpy(triples)
    return torch.from_numpy(np.stack([network_input(*triple, predictor.encoding) for triple in triples]))


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


def compile_tensorrt(
    predictor: Predictor, graph: Graph, triples: np.ndarray, folder: Path, *, precision: Precision
) -> tuple[Path, float]:
    """Build an engine for this machine's GPU, compare it with eager, and store it under its key.

    The precision is that of the network; what is float32 in the graph (the flow) stays so, and without TF32.

    Returns:
        The engine's file in `folder`, and the largest difference of a probability.
    Raises:
        MissingDependency: there is no CUDA device, or no torch_tensorrt.
        ExportError: engine and eager disagree, or the file can't be written.
    """
    torch_tensorrt = _torch_tensorrt()
    path = folder / f"{engine_key(predictor.weights, graph, precision, torch_tensorrt.__version__)}.pt2"
    eager = make_graph(predictor, graph).cuda()
    inputs = graph_inputs(predictor, graph, triples).cuda()
    module = copy.deepcopy(eager)
    if precision == "fp16":
        module = module.half()
        inputs = inputs if graph == "serving" else inputs.half()
    shape = tuple(inputs.shape[1:])
    batches = torch_tensorrt.Input(
        min_shape=(1, *shape), opt_shape=(16, *shape), max_shape=(LARGEST_BATCH, *shape), dtype=inputs.dtype
    )
    engine = torch_tensorrt.dynamo.compile(
        export_graph(module, inputs), arg_inputs=[batches], disable_tf32=True, require_full_compilation=True
    )
    difference = compare(lambda x: eager(_as(x, eager)), engine, graph, inputs, TOLERANCE[precision])
    partial = folder / f".{path.name}.{os.getpid()}.pt2"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        torch_tensorrt.save(engine, str(partial), output_format="exported_program", arg_inputs=[batches])
        partial.replace(path)
    except OSError as error:
        raise ExportError(f"can't write {path}: {error.strerror or error}") from error
    finally:
        partial.unlink(missing_ok=True)
    return path, difference


def engine_key(weights: str, graph: Graph, precision: Precision, tensorrt_bridge: str) -> str:
    """Where one engine lives: an engine of another GPU, driver, version or weights is never taken for it."""
    parts = (torch.cuda.get_device_name(), _driver(), torch.__version__, tensorrt_bridge, _tensorrt_version(), weights)
    digest = hashlib.sha256("\n".join((*parts, graph, precision)).encode()).hexdigest()[:16]
    gpu = "".join(c if c.isalnum() else "-" for c in parts[0].lower())
    return f"{graph}-{precision}-{gpu}-{digest}"


def _probabilities(answer: Tensor, graph: Graph) -> Tensor:
    return answer.float().softmax(1) if graph == "network" else answer.float()


def _as(inputs: Tensor, module: nn.Module) -> Tensor:
    """Half-precision pictures for a network that is not."""
    return inputs if inputs.dtype == torch.uint8 else inputs.to(next(module.parameters()).dtype)


def _torch_tensorrt() -> Any:
    if not torch.cuda.is_available():
        raise MissingDependency("TensorRT needs an NVIDIA GPU and a PyTorch with CUDA: this machine offers none")
    try:
        import torch_tensorrt
    except ImportError as error:
        raise MissingDependency(
            f"torch_tensorrt can't be imported ({error}): install torch-tensorrt for PyTorch {torch.__version__}, "
            "or use an image that holds TensorRT"
        ) from error
    return torch_tensorrt


def _tensorrt_version() -> str:
    import tensorrt

    return str(tensorrt.__version__)


def _driver() -> str:
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout.split()[0]
    except (OSError, subprocess.SubprocessError, IndexError) as error:
        raise MissingDependency(f"nvidia-smi does not tell the driver's version: {error}") from error
