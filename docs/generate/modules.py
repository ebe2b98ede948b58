"""What is in which file: the first sentence of every module, from its docstring."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from docs.generate.sources import code, definitions, inline

ROOT = Path(__file__).parents[2]
PACKAGES = ("bowam_stream", "bowam_model")


def modules() -> str:
    """A section for each package, in the order of the alphabet below the package itself."""
    return "\n".join(part for name in PACKAGES for part in _package(ROOT / name))


def _package(folder: Path) -> Iterator[str]:
    yield f"## `{folder.relative_to(ROOT)}/`\n\n{_purpose(folder / '__init__.py')}\n"
    files = sorted(path for path in folder.glob("*.py") if not path.name.startswith("__"))
    yield definitions((code(path.name), _purpose(path)) for path in files)
    for inner in sorted(path.parent for path in folder.glob("*/__init__.py")):
        yield from _package(inner)


def _purpose(path: Path) -> str:
    """The first sentence of a module's docstring."""
    said = ast.get_docstring(ast.parse(path.read_text())) or ""
    paragraph = " ".join(said.split("\n\n")[0].split())
    return inline(re.split(r"(?<=[.!?]) (?=[A-Z`])", paragraph)[0])
