"""The event schema as lists: keys and types from event.schema.json, meanings from the comments in messages.py."""

import json
from typing import Any

from bowam_stream import messages
from bowam_stream.events.schema import SCHEMA_FILE
from docs.generate.sources import code, definitions, fields_of, inline

ORDER = ("Event", "Moment", "Model", "Delivery")


def events() -> str:
    """A section for each object of the schema."""
    schema = json.loads(SCHEMA_FILE.read_text())
    assert set(schema["$defs"]) == set(ORDER)
    parts = []
    for name in ORDER:
        definition = schema["$defs"][name]
        meanings = {field.name: field.meaning for field in fields_of(getattr(messages, name))}
        properties = sorted(definition["properties"].items(), key=lambda pair: list(meanings).index(pair[0]))
        rows = [(f"{code(key)}: {_type(what)}", _meaning(key, meanings[key], definition)) for key, what in properties]
        parts.append(f"## {name}\n\n{definition.get('description', '')}\n\n{definitions(rows)}")
    return "\n".join(parts)


def _meaning(key: str, meaning: str, definition: dict[str, Any]) -> str:
    """With a word on a key that older records lack."""
    return inline(meaning.replace("None", "null")) + (
        "" if key in definition["required"] else " (older records lack it, and read as null)"
    )


def _type(what: dict[str, Any]) -> str:
    """A JSON type in a few words."""
    if "$ref" in what:
        name = what["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in what:
        return " or ".join(_type(one) for one in what["anyOf"])
    if "enum" in what:
        return ", ".join("null" if one is None else code(json.dumps(one)) for one in what["enum"])
    if what["type"] == "array":
        return f"list of {_type(what['items'])}"
    if what["type"] == "object":
        return f"object, each {_type(what['additionalProperties'])}"
    return str(what["type"])
