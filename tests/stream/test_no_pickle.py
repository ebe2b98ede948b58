"""Nothing that can run code is read: no pickle and its kin in our sources, and weights in safetensors only."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import bowam_model
import bowam_stream

ROOTS = [Path(package.__path__[0]) for package in (bowam_stream, bowam_model)]
MODULES = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "marshal", "shelve", "joblib", "jsonpickle"}
CALLS = {
    *("eval", "exec", "compile", "__import__"),
    *("recv_pyobj", "send_pyobj", "recv_serialized", "send_serialized"),
    *("torch.load", "torch.jit.load", "torch.save", "torch.package.PackageImporter"),
    *("yaml.load", "yaml.unsafe_load", "yaml.full_load", "pandas.read_pickle", "pd.read_pickle", "read_pickle"),
}
ALLOWED = {
    # multiprocessing speaks pickle between a process and those that it started itself, over pipes that nobody else has.
    ("bowam_model/work/local.py", "multiprocessing"),
    # Ray speaks pickle among the processes of a cluster, who may run anything anyhow; we only ask what can be sent.
    ("bowam_model/work/on_ray.py", "pickle"),
    ("bowam_model/recipes/shipped.py", "multiprocessing"),
    ("bowam_model/recipes/shipped.py", "concurrent.futures.ProcessPoolExecutor"),
}


def name_of(node: ast.expr) -> str:
    """Dotted name of what is called."""
    if isinstance(node, ast.Attribute):
        return f"{name_of(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else "()"


def suspicious(source: str) -> Iterator[str]:
    """Everything in a module that can run code which it reads."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                imported = [alias.name for alias in names]
            case ast.ImportFrom(module=str(module), names=names):
                imported = [f"{module}.{alias.name}" for alias in names]
            case ast.Call(func=func, keywords=keywords):
                imported = []
                called = name_of(func)
                if called in CALLS or called.rpartition(".")[2] in {call for call in CALLS if call.endswith("pyobj")}:
                    yield called
                if any(word.arg == "allow_pickle" and getattr(word.value, "value", True) for word in keywords):
                    yield f"{called}(allow_pickle)"
                if any(word.arg == "weights_only" and not getattr(word.value, "value", False) for word in keywords):
                    yield f"{called}(weights_only=False)"
            case _:
                continue
        for name in imported:
            if name.split(".")[0] in MODULES or name.endswith("ProcessPoolExecutor"):
                yield name
            elif name.split(".")[0] == "multiprocessing":
                yield "multiprocessing"


def test_our_sources_read_nothing_that_can_run_code() -> None:
    """Every use of such a thing is listed above with its reason; and what is listed is still there."""
    found = {
        (path.relative_to(root.parent).as_posix(), what)
        for root in ROOTS
        for path in sorted(root.rglob("*.py"))
        for what in suspicious(path.read_text(encoding="utf-8"))
    }
    assert found == ALLOWED


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from joblib import load",
        "import numpy as np\nnp.load('x', allow_pickle=True)",
        "import torch\ntorch.load('x.pt')",
        "socket.recv_pyobj()",
        "eval('1')",
        "import yaml\nyaml.load(text)",
        "load(path, weights_only=False)",
    ],
)
def test_the_search_finds_what_it_looks_for(source: str) -> None:
    """One that finds nothing would prove nothing."""
    assert list(suspicious(source))


@pytest.mark.parametrize(("name", "begins"), [("w.pt", b"PK\x03\x04"), ("w.pth", b"\x80\x02"), ("w.pkl", b"\x80\x04")])
def test_a_pickle_named_as_weights_is_refused_in_one_line(tmp_path: Path, name: str, begins: bytes) -> None:
    """And never opened as one."""
    from bowam_model.errors import WeightsError
    from bowam_model.predictor import load

    path = tmp_path / name
    path.write_bytes(begins + b"\x00" * 100)
    with pytest.raises(WeightsError, match="can run code") as caught:
        load(path)
    assert str(caught.value).isprintable()
