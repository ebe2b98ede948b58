"""How Sphinx builds the site: `make docs`. Nothing on it comes from outside when it is read."""

import inspect
import sys
from pathlib import Path
from typing import Any

import msgspec

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from bowam_stream import __version__  # noqa: E402 (only found now)
from docs.generate import commands, events, layers, metrics, modules, settings, sources  # noqa: E402

project = "BOWAM stream"
author = "The BOWAM stream authors"
copyright = f"2026 {author}, Apache License 2.0"
version = release = __version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["generate", "examples"]
nitpicky = True
nitpick_ignore_regex = [  # other people's types, and names that only type checkers see
    ("py:.*", r"(np|numpy|torch|nn|msgspec|zmq|collections|pathlib|types|typing)\..*"),
    ("py:class", r"(Path|Predictor|Since|Kind|Phase|Fusion|Picture|Colours|Tensor|optional)"),
    ("py:class", r"bowam_(stream|model)\.\w+\.(\w+\.)*(Story|Predictor|Found|NetworkSettings|Module)"),
]

html_theme = "furo"
html_title = "BOWAM stream"
html_copy_source = False
html_show_sphinx = False
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_theme_options = {"navigation_with_keys": True}

default_role = "code"  # docstrings write `name`
myst_enable_extensions = ["deflist", "colon_fence"]
myst_heading_anchors = 3
autodoc_typehints_format = "short"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
napoleon_numpy_docstring = False
python_maximum_signature_line_length = 90

GENERATED = {
    "commands": commands.commands,
    "events": events.events,
    "layers": layers.layers,
    "metrics": metrics.metrics,
    "modules": modules.modules,
    "settings": settings.settings,
}


def fill(app: Any, name: str, source: list[str]) -> None:
    """Put what is read from the code where a page says `<!-- generated: NAME -->`."""
    for key, make in GENERATED.items():
        mark = f"<!-- generated: {key} -->"
        if mark in source[0]:
            source[0] = source[0].replace(mark, make())


def is_struct(value: Any) -> bool:
    """A message or the settings of a stage: it is its fields, whose meaning stands beside them in the source."""
    return inspect.isclass(value) and issubclass(value, msgspec.Struct)


def list_fields(app: Any, what: str, name: str, value: Any, options: Any, lines: list[str]) -> None:
    if is_struct(value):
        for field in sources.fields_of(value):
            given = "" if field.default is None else f" = {field.default}"
            meaning = f": {field.meaning.replace('*', '')}" if field.meaning else ""
            lines += ["", f"- ``{field.name}: {field.type}{given}``{meaning}"]
        lines.append("")


def leave_out_signature(app: Any, what: str, name: str, value: Any, *_: Any) -> tuple[str, str] | None:
    return ("", "") if is_struct(value) else None


def hide_colons(app: Any, what: str, name: str, value: Any, options: Any, lines: list[str]) -> None:
    """Of an attribute, napoleon takes what stands before a colon for its type: ours say it in the signature."""
    if what in ("attribute", "property"):
        lines[:] = [line.replace(":", "\0") for line in lines]


def show_colons(app: Any, what: str, name: str, value: Any, options: Any, lines: list[str]) -> None:
    lines[:] = [line.replace("\0", ":") for line in lines]


def setup(app: Any) -> None:
    app.connect("source-read", fill)
    app.connect("autodoc-process-signature", leave_out_signature)
    app.connect("autodoc-process-docstring", hide_colons, priority=400)
    app.connect("autodoc-process-docstring", show_colons, priority=600)
    app.connect("autodoc-process-docstring", list_fields)
