"""How an Event is written down: one JSON object, the same bytes on every run (`bowam.event/1`).

Keys are sorted at every level and floats are rounded to 4 decimals, so that two replays can be compared with `cmp`.
event.schema.json is for readers in other languages; `write_schema` makes it.
"""

import math
from pathlib import Path
from typing import Any

import msgspec

from bowam_stream.errors import TransportError
from bowam_stream.messages import SCHEMA, Event

DECIMALS = 4
ADDED = ("consent",)  # keys that events of before lack: they read as null
SCHEMA_FILE = Path(__file__).with_name("event.schema.json")


def _canonical(value: Any) -> Any:
    """`value` with its floats rounded, -0.0 made 0.0, and NaN or infinity refused: JSON has no word for them."""
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"an event can't hold {value}")
        return round(value, DECIMALS) + 0.0
    if isinstance(value, dict):
        return {key: _canonical(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_canonical(item) for item in value]
    return value


def to_json(event: Event, *, delivery: bool = True) -> bytes:
    """One line of JSON without its newline. `delivery=False` writes null there: what is left is content.

    Raises ValueError where a number is not finite.
    """
    fields = _canonical(msgspec.to_builtins(event))
    if not delivery:
        fields["delivery"] = None
    return msgspec.json.encode(fields, order="sorted")


def from_json(data: bytes | str) -> Event:
    """Read one object: every key of the schema, though those `ADDED` may lack, and no other. Raises TransportError."""
    try:
        fields = msgspec.json.decode(data)
        event = msgspec.convert(fields, Event)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:  # ValidationError is a DecodeError
        raise TransportError(f"not a {SCHEMA} record: {error}") from None
    if msgspec.json.decode(msgspec.json.encode(event)) != dict.fromkeys(ADDED) | fields:
        raise TransportError(f"not a {SCHEMA} record: a key is missing or unknown; was it written by another version?")
    return event


def json_schema() -> dict[str, Any]:
    """The JSON Schema of what `to_json` writes; the committed `event.schema.json` equals it."""
    (schema,), definitions = msgspec.json.schema_components([Event], ref_template="#/$defs/{name}")
    for definition in definitions.values():
        definition["required"] = sorted(definition["properties"].keys() - set(ADDED))
        definition["additionalProperties"] = False
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": SCHEMA,
        **schema,
        "$defs": definitions,
    }


def write_schema() -> None:
    """Write the committed JSON Schema anew, after a change of `messages.Event`."""
    SCHEMA_FILE.write_bytes(msgspec.json.format(msgspec.json.encode(json_schema(), order="sorted")) + b"\n")
