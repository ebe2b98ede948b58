"""Backends of a GPU: all of serving in one file, compiled beforehand for this GPU, driver, versions and weights.

    ENGINES["tensorrt"].path("sha256:...")      # where `bowam export --format tensorrt` puts it
    ENGINES["tensorrt"].load(task)              # a call

An engine takes 1 to 64 triples, uint8 (B, 3, 240, 240) on the GPU, and gives probabilities. Nothing is compiled here:
that takes minutes, and a worker must be ready in seconds.
"""

import hashlib
import importlib
import importlib.metadata
import importlib.util
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from bowam_model.backends.task import Compute, Task, cache_folder
from bowam_model.errors import BackendError

LARGEST_BATCH = 64

Precision = Literal["fp32", "fp16"]


@dataclass(frozen=True, kw_only=True)
class Engine:
    """One way to compile for a GPU.

    The precision is that of the network; the flow is single precision always.
    """

    name: str
    precision: Precision
    package: str | None  # beside PyTorch
    read: Callable[[Path], Any]  # the file as a module

    def missing(self) -> str | None:
        """Why it can't run here."""
        if not torch.cuda.is_available():
            return "no CUDA device"
        if self.package is not None and importlib.util.find_spec(self.package) is None:
            return f"{self.package} is not installed: use the image of deploy/worker-gpu.Dockerfile"
        return None

    def path(self, weights: str) -> Path:
        """Where the engine of these weights ("sha256:<hex>") is kept, apart from those of other GPUs and versions."""
        gpu, versions = _gpu(), [str(torch.__version__)]
        if self.package is not None:
            versions.append(importlib.metadata.version(self.package))
        key = hashlib.sha256("\n".join([*gpu, *versions, weights]).encode()).hexdigest()[:16]
        return cache_folder() / "engines" / f"{self.name}-{weights.removeprefix('sha256:')[:12]}-{key}.pt2"

    def load(self, task: Task) -> Compute:
        """The engine that was made. Raises BackendError where none was."""
        path = self.path(task.weights)
        if not path.is_file():
            raise BackendError(f"no engine at {path}: make it with `bowam export --format {self.name}`")
        return _on_gpu(self.read(path))


def _on_gpu(module: Any) -> Compute:
    def compute(triples_B3HW: np.ndarray) -> np.ndarray:
        triples = torch.from_numpy(np.ascontiguousarray(triples_B3HW))
        with torch.inference_mode():
            answers = [module(part.cuda()).float().cpu() for part in triples.split(LARGEST_BATCH)]
        return torch.cat(answers).numpy()

    return compute


def _read_tensorrt(path: Path) -> Any:
    torch_tensorrt: Any = importlib.import_module("torch_tensorrt")
    return torch_tensorrt.load(str(path)).module()


def _read_aot(path: Path) -> Any:
    inductor: Any = importlib.import_module("torch._inductor")
    return inductor.aoti_load_package(str(path))


ENGINES = {
    engine.name: engine
    for engine in (
        Engine(name="tensorrt", precision="fp16", package="torch_tensorrt", read=_read_tensorrt),
        Engine(name="tensorrt-fp32", precision="fp32", package="torch_tensorrt", read=_read_tensorrt),
        Engine(name="aot-cuda", precision="fp32", package=None, read=_read_aot),
    )
}
"""From the fastest on."""


@cache
def _gpu() -> tuple[str, str, str]:
    """Name, compute capability and driver; no driver where it does not tell."""
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        driver = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.split()[0]
    except (OSError, subprocess.SubprocessError, IndexError):
        driver = ""
    return torch.cuda.get_device_name(), str(torch.cuda.get_device_capability()), driver
