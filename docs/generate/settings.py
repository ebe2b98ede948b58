"""All settings, stage by stage, from the classes that own them."""

import re

import msgspec

from bowam_stream.config import Config
from docs.generate.sources import Field, code, definitions, fields_of, inline

TOML = {"True": "true", "False": "false", "None": "not set"}  # as a settings file has it


def settings() -> str:
    """A section for each table of a settings file."""
    parts = []
    for field in msgspec.structs.fields(Config):
        kind = field.type
        assert isinstance(kind, type)
        where = f"{kind.__module__.replace('.', '/')}.py"
        parts.append(f"## `[{field.name}]`\n\n{kind.__doc__} Stated in `{where}`.\n")
        parts.append(
            definitions((_key(one.name, getattr(field.default, one.name)), _said(one)) for one in fields_of(kind))
        )
    return "\n".join(parts)


def _key(name: str, default: object) -> str:
    """The key, and its default unless it is unset."""
    return code(name) if default is None else code(f"{name} = {_toml(default)}")


def _said(field: Field) -> str:
    """What the comment says, or the type where the name says it all."""
    meaning = re.sub(r"\b(True|False|None)\b", lambda word: TOML[word[0]], field.meaning)
    return inline(meaning) or code(field.type)


def _toml(value: object) -> str:
    """A default as a settings file would have it."""
    if isinstance(value, tuple):
        return f"[{', '.join(map(_toml, value))}]"
    return str(value).lower() if isinstance(value, bool) else f'"{value}"' if isinstance(value, str) else str(value)
