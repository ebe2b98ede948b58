"""Backends of a GPU: files that were compiled beforehand for one GPU, its driver, the versions and the weights.

`engine_path` says where such a file belongs. It takes a batch of 1 to 64 pictures, float32 (B, C, side, side) on the
GPU, and gives logits. Nothing is compiled here: that takes minutes, and a worker must be ready in seconds.
"""

import hashlib
import importlib
import importlib.metadata
import importlib.util
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bowam_model.backends.task import Compute, Task, cache_folder
from bowam_model.errors import BackendError

LARGEST_BATCH = 64


def missing_cuda() -> str | None:
    """Why no GPU can compute here."""
    return None if torch.cuda.is_available() else "no CUDA device"


def missing_tensorrt() -> str | None:
    """Why TensorRT can't run here."""
    if (reason := missing_cuda()) is not None:
        return reason
    if importlib.util.find_spec("torch_tensorrt") is None:
        return "torch_tensorrt is not installed: use the image of deploy/worker-gpu.Dockerfile"
    return None


def engine_path(backend: str, weights: str) -> Path:
    """Where the engine of these weights ("sha256:<hex>") is kept, for the GPU, driver and versions of this machine."""
    versions = [backend, weights, torch.cuda.get_device_name(), str(torch.cuda.get_device_capability()), _driver()]
    versions.append(torch.__version__)
    if backend == "tensorrt":
        versions.append(importlib.metadata.version("torch_tensorrt"))
    key = hashlib.sha256("\n".join(versions).encode()).hexdigest()[:16]
    return cache_folder() / "engines" / f"{backend}-{weights.removeprefix('sha256:')[:12]}-{key}.pt2"


def tensorrt(task: Task) -> Compute:
    """TensorRT through torch-tensorrt. Raises BackendError where no engine was made."""
    path = _made("tensorrt", task)
    torch_tensorrt: Any = importlib.import_module("torch_tensorrt")
    return _on_gpu(torch_tensorrt.load(str(path)).module())


def aot_cuda(task: Task) -> Compute:
    """PyTorch's own compiler, ahead of time. Raises BackendError where no package was made."""
    inductor: Any = importlib.import_module("torch._inductor")
    return _on_gpu(inductor.aoti_load_package(str(_made("aot-cuda", task))))


def _made(backend: str, task: Task) -> Path:
    path = engine_path(backend, task.weights)
    if not path.is_file():
        raise BackendError(f"no engine at {path}: make it with `bowam export`")
    return path


def _on_gpu(module: Any) -> Compute:
    def compute(pictures_BCHW: np.ndarray) -> np.ndarray:
        pictures = torch.from_numpy(np.ascontiguousarray(pictures_BCHW, np.float32))
        with torch.inference_mode():
            answers = [module(part.cuda()).float().cpu() for part in pictures.split(LARGEST_BATCH)]
        return torch.cat(answers).numpy()

    return compute


def _driver() -> str:
    """Version of the driver, or nothing where it does not tell."""
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.split()[0]
    except (OSError, subprocess.SubprocessError, IndexError):
        return ""
