"""Every public name with its signature, as text: a change of the interface is a change of docs/reference/interface.txt.

python -m docs.generate.interface       # writes it anew
"""

import importlib
import inspect
import re
from collections.abc import Iterator
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any

import msgspec

PACKAGES = ("bowam_stream", "bowam_model")
FILE = Path(__file__).parents[1] / "reference" / "interface.txt"
_HOMES = re.compile(r"\b(?:bowam_\w+|collections|pathlib|typing|torch|numpy|types)\.(?:\w+\.)*(?=\w)")


def interface() -> str:
    """One line for each name, in the order of the alphabet."""
    lines = [line for package in PACKAGES for line in _of_package(package)]
    return "\n".join(lines) + "\n"


def annotation(value: Any) -> str:
    """A type as one would write it after importing what it names."""
    text = value if isinstance(value, str) else inspect.formatannotation(value)
    text = _HOMES.sub("", text)
    return f"{text[9:-1]} | None" if text.startswith("Optional[") else text


def _of_package(package: str) -> Iterator[str]:
    module = importlib.import_module(package)
    for name in sorted(module.__all__):
        value = getattr(module, name)
        where = f"{package}.{name}"
        if inspect.isclass(value):
            yield from _of_class(where, value)
        elif callable(value):
            yield where + _signature(value)
        else:
            yield f"{where}: {type(value).__name__}"


def _of_class(where: str, value: type) -> Iterator[str]:
    bases = ", ".join(base.__name__ for base in value.__bases__ if base not in (object, msgspec.Struct))
    yield f"class {where}({bases})" if bases else f"class {where}"
    if issubclass(value, Exception):
        return
    if issubclass(value, msgspec.Struct) or is_dataclass(value):
        yield from (f"    {text}" for text in _parameters(inspect.signature(value)) if text != "*")
    else:
        yield f"    __init__{_signature(value.__init__, method=True)}"
    for name, member in sorted(_members(value).items()):
        if isinstance(member, property):
            assert member.fget is not None
            yield f"    {name}: {annotation(inspect.signature(member.fget).return_annotation)}  # read only"
        elif callable(member) or isinstance(member, classmethod | staticmethod):
            kind = "async " if inspect.iscoroutinefunction(member) else ""
            yield f"    {kind}{name}{_signature(getattr(value, name), method=True)}"


def _members(value: type) -> dict[str, Any]:
    """Public ones that are ours, those of the class itself over those of its bases."""
    ours = [base for base in reversed(value.__mro__) if base.__module__.startswith(PACKAGES)]
    members = {name: member for base in ours for name, member in vars(base).items() if not name.startswith("_")}
    fields = {*getattr(value, "__struct_fields__", ()), *getattr(value, "__dataclass_fields__", ())}
    return {name: member for name, member in members.items() if name not in fields}


def _signature(value: Any, *, method: bool = False) -> str:
    signature = inspect.signature(value)
    arrow = "" if signature.return_annotation is signature.empty else f" -> {annotation(signature.return_annotation)}"
    return f"({', '.join(_parameters(signature, method=method))}){arrow}"


def _parameters(signature: inspect.Signature, *, method: bool = False) -> Iterator[str]:
    named = False  # after the star
    for parameter in signature.parameters.values():
        if method and parameter.name == "self":
            continue
        if parameter.kind is parameter.KEYWORD_ONLY and not named:
            yield "*"
        named = parameter.kind in (parameter.KEYWORD_ONLY, parameter.VAR_POSITIONAL)
        text = str(parameter.replace(annotation=parameter.empty, default=parameter.empty))
        if parameter.annotation is not parameter.empty:
            text += f": {annotation(parameter.annotation)}"
        yield text if parameter.default is parameter.empty else f"{text} = {_default(parameter.default)}"


def _default(value: Any) -> str:
    """Settings at their defaults are one word: what they hold is documented where it is declared."""
    if isinstance(value, msgspec.Struct) and value == type(value)():
        return f"{type(value).__name__}()"
    return repr(value)


if __name__ == "__main__":
    FILE.write_text(interface())
