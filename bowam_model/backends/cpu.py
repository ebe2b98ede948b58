"""Backends of the processor: OpenCV's flow on all cores, and the network in PyTorch as it is or in OpenVINO.

The network computes pictures one by one with a fixed number of threads, so that an answer depends on its three faces
alone: sums over a batch are split otherwise and differ in their last bits. More cores do not change a flow.
"""

import hashlib
import importlib.util
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import numpy as np
import torch

from bowam_model import attention, network, wavelets
from bowam_model.backends.task import Compute, Task, cache_folder
from bowam_model.flow import Encoding, network_input

Forward = Callable[[np.ndarray], np.ndarray]
"""Pictures, float32 (B, C, side, side) -> logits, float32 (B, K)."""

CORES = os.cpu_count() or 1


def eager(task: Task) -> Compute:
    """PyTorch, single precision: what all others are measured against."""
    return _after_flow(task, eager_network(task))


def openvino(task: Task) -> Compute:
    """OpenVINO, single precision."""
    return _after_flow(task, openvino_network(task, "f32"))


def openvino_bf16(task: Task) -> Compute:
    """OpenVINO, bf16 wherever that is safe: the processor multiplies twice as fast."""
    return _after_flow(task, openvino_network(task, "bf16"))


def eager_network(task: Task) -> Forward:
    """The network alone."""

    def forward(pictures_BCHW: np.ndarray) -> np.ndarray:
        with torch.inference_mode(), _threads(task.threads):
            return torch.cat([task.network(torch.from_numpy(picture)[None]) for picture in pictures_BCHW]).numpy()

    return forward


def openvino_network(task: Task, precision: Literal["f32", "bf16"]) -> Forward:
    """The network alone."""
    ov = _openvino()
    settings = {
        "INFERENCE_PRECISION_HINT": precision,
        "INFERENCE_NUM_THREADS": task.threads,
        "NUM_STREAMS": 1,
        "PERFORMANCE_HINT": "LATENCY",
    }
    request = ov.Core().compile_model(_graph(ov, task), "CPU", settings).create_infer_request()

    def forward(pictures_BCHW: np.ndarray) -> np.ndarray:
        ready = np.ascontiguousarray(pictures_BCHW, np.float32)
        # A result lives in the request's memory until the next one.
        return np.concatenate([request.infer([picture[None]], share_inputs=True)[0].copy() for picture in ready])

    return forward


def missing_openvino() -> str | None:
    """Why OpenVINO can't run here."""
    if "openvino" in sys.modules or importlib.util.find_spec("openvino") is not None:
        return None
    return "openvino is not installed: pip install 'bowam-stream[openvino]'"


def missing_bf16() -> str | None:
    """Why OpenVINO can't run in bf16 here."""
    if (reason := missing_openvino()) is not None:
        return reason
    capabilities = _openvino().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return None if "BF16" in capabilities else "the processor has no bf16"


def _after_flow(task: Task, forward: Forward) -> Compute:
    """The flow of each triple, the network, and the softmax."""

    def compute(triples_B3HW: np.ndarray) -> np.ndarray:
        logits = torch.from_numpy(forward(pictures(triples_B3HW, task.encoding)))
        return torch.stack([(row / task.temperature).softmax(0) for row in logits]).numpy()

    return compute


def pictures(triples_B3HW: np.ndarray, encoding: Encoding) -> np.ndarray:
    """The network's input, float32 (B, C, side, side): triples side by side, the two flows of a lone one too."""

    def picture(triple: np.ndarray, threads: int) -> np.ndarray:
        onset, apex, offset = triple
        return network_input(onset, apex, offset, encoding, threads=threads)

    if len(triples_B3HW) == 1 or CORES == 1:
        return np.stack([picture(triple, min(2, CORES)) for triple in triples_B3HW])
    with ThreadPoolExecutor(CORES) as pool:
        return np.stack(list(pool.map(partial(picture, threads=1), triples_B3HW)))


def _graph(ov: Any, task: Task) -> Any:
    """The network as OpenVINO's graph, kept in the user's cache: to make it takes seconds, to read it none."""
    code = [Path(str(module.__file__)).read_bytes() for module in (network, attention, wavelets)]
    versions = [torch.__version__, ov.__version__, task.weights, str(task.encoding.input_px)]
    key = hashlib.sha256(b"\n".join([*code, *(word.encode() for word in versions)])).hexdigest()[:16]
    path = cache_folder() / "openvino" / f"{task.weights.removeprefix('sha256:')[:12]}-{key}.xml"
    if path.is_file():
        return ov.Core().read_model(path)
    side_px = task.encoding.input_px
    example = torch.zeros(1, task.network.settings.in_channels, side_px, side_px)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # PyTorch calls its tracer old; its export takes far longer to the same graph
        graph = ov.convert_model(
            torch.jit.trace(task.network, example, check_trace=False), input=list(example.shape), example_input=example
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=path.parent) as folder:
            made = Path(folder) / path.name
            ov.save_model(graph, made, compress_to_fp16=False)
            for suffix in (".bin", ".xml"):  # the .xml last: where it stands, all is there
                made.with_suffix(suffix).replace(path.with_suffix(suffix))
    except (OSError, RuntimeError):  # a cache that can't be written; OpenVINO raises RuntimeError
        return graph
    return ov.Core().read_model(path)


def _openvino() -> Any:
    """The library, without its telemetry, which would call home at import: absent, it is replaced by a stub."""
    if "openvino" not in sys.modules:
        absent: Any = None
        sys.modules.setdefault("openvino_telemetry", absent)
    import openvino

    return openvino


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """PyTorch's thread count belongs to the process and decides the last bits of a result: set it for each answer."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
