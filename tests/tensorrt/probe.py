"""A program of its own: which nodes of an exported graph would TensorRT refuse? Needs no engine.

    python probe.py EXPORTED.pt2      # prints {"nodes": N, "without converter": {target: count}} as JSON

The converters of torch_tensorrt are Python that builds an engine through the module `tensorrt`. To know for which nodes
there is one, nothing has to be built: a stand-in for that module is enough.
"""

import importlib.machinery
import json
import sys
import types
from collections import Counter
from typing import Any


class Blank(type):
    """A class that has whatever attribute is asked for: another blank class. It can be called, inherited and hashed."""

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        blank = Blank(name, (), {"__init__": lambda self, *arguments, **options: None})
        setattr(cls, name, blank)
        return blank


class StandIn(types.ModuleType):
    """The module `tensorrt` as far as converters name its parts."""

    __version__, __file__ = "11.0.0", "stand-in"
    __path__ = ()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or "rtx" in name:  # by these torch_tensorrt would recognise other libraries
            raise AttributeError(name)
        return getattr(Library, name)


class Library(metaclass=Blank):
    pass


def stand_in() -> None:
    """Let torch_tensorrt be imported where there is neither TensorRT nor a GPU."""
    module = StandIn("tensorrt")
    module.tensorrt = module
    module.__spec__ = importlib.machinery.ModuleSpec("tensorrt", None)
    sys.modules["tensorrt"] = module

    import torch

    gpu = types.SimpleNamespace(name="none", total_memory=2**36, major=9, minor=0, multi_processor_count=100)
    torch.cuda.current_device = lambda: 0
    torch.cuda.get_device_name = lambda *_: gpu.name
    torch.cuda.get_device_capability = lambda *_: (gpu.major, gpu.minor)
    torch.cuda.get_device_properties = lambda *_: gpu
    if not hasattr(torch._C, "_CudaDeviceProperties"):  # a PyTorch for CPUs has no such class to annotate with
        torch._C._CudaDeviceProperties = types.SimpleNamespace


def refused(path: str) -> tuple[int, Counter[str]]:
    """Nodes of the lowered graph, and targets without a converter for the shapes that the graph was exported with."""
    import torch
    from torch_tensorrt.dynamo import CompilationSettings, lowering
    from torch_tensorrt.dynamo.conversion import DYNAMO_CONVERTERS

    settings = CompilationSettings(disable_tf32=True, require_full_compilation=True)
    program = lowering.pre_export_lowering(torch.export.load(path), settings)
    program = program.run_decompositions(lowering.get_decompositions(False, False))
    graph = lowering.post_lowering(program.module(), settings).graph
    calls = [node for node in graph.nodes if node.op == "call_function"]
    return len(calls), Counter(str(node.target) for node in calls if node not in DYNAMO_CONVERTERS)


if __name__ == "__main__":
    stand_in()
    nodes, without = refused(sys.argv[1])
    sys.stdout.write(json.dumps({"nodes": nodes, "without converter": without}) + "\n")
