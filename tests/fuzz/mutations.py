"""Hostile messages out of valid ones: damage at the level of bytes, of msgpack or JSON values, of parts and of talks.

A conversation is a list of messages, a message a list of parts. Noise alone dies at the first check of a decoder; a
header that is decoded, damaged in one place and encoded again gets behind it.
"""

import json
import struct
from collections.abc import Callable, Sequence
from functools import lru_cache
from random import Random
from typing import Any

import msgspec

Message = list[bytes]
Conversation = list[Message]

INTS = (
    0,
    1,
    -1,
    127,
    255,
    256,
    2**31,
    2**32 - 1,
    2**53 + 1,
    2**62,
    2**63 - 1,
    2**63,
    2**64 - 1,
    -(2**63),
    10**9,
    10**30,
)
FLOATS = (0.0, -0.0, 1e-320, 1e308, -1e308, 3.5e38, float("inf"), float("-inf"), float("nan"), 0.1)
TEXTS = (
    "",
    "a",
    "cam0",
    "cam1",
    "../../etc/passwd",
    "a\0b",
    "\x1b[2J\r\n",
    "\u202e",
    "é" * 70,
    "x" * 300,
    "%s%n{0}",
    "NaN",
)
KEYS = ("camera", "seq", "schema", "type", "since", "credit", "journal", "heads", "surprise", "__proto__", "")
SHAPES: tuple[Any, ...] = ([], {}, [[]], {"a": {}}, [0] * 40, None, True, False, b"", b"\xff" * 20)
RAW = (
    *(b"", b"\0", b"\xff" * 8, b"\x80", b"\xc1", b"\xed\xa0\x80"),
    *(
        b"\xdf\xff\xff\xff\xff",
        b"\xdd\xff\xff\xff\xff",
        b"\xc6\xff\xff\xff\xff",
    ),  # a map, an array, bytes of 4 G entries
    *(b"[" * 3000, b'{"a":' * 2000, b"\x91" * 3000, b"1" * 5000, b"1e999", b'"\\ud800"', b"NaN"),
)
MAX_PART = 1 << 17


@lru_cache(maxsize=4096)
def _tree(part: bytes) -> tuple[str, Any]:
    """What a part holds: ("json" | "msgpack", value), or ("raw", None)."""
    if 1 < len(part) < 20_000:
        for name, decode in (("json", msgspec.json.decode), ("msgpack", msgspec.msgpack.decode)):
            try:
                value = decode(part)
            except (msgspec.DecodeError, UnicodeError, RecursionError, ValueError):
                continue
            if isinstance(value, dict | list):
                return name, value
    return "raw", None


def _written(form: str, value: Any) -> bytes:
    """`value` as a stranger would write it: numbers beyond 64 bits and NaN included."""
    try:
        return msgspec.msgpack.encode(value) if form == "msgpack" else msgspec.json.encode(value)
    except (OverflowError, TypeError, ValueError, RecursionError):
        return json.dumps(value, default=repr).encode(errors="replace")


class Mutator:
    """Damages conversations; the same `random` makes the same damage."""

    def __init__(self, random: Random, spare: Sequence[Conversation] = ()) -> None:
        """`spare`: other conversations to take messages and parts from."""
        self.random = random
        self._spare = spare

    def conversation(self, conversation: Conversation, *, most: int) -> Conversation:
        """Some of its messages damaged, left out, doubled, exchanged or taken from elsewhere."""
        out = [list(message) for message in conversation]
        random = self.random
        while most > 1 and random.random() < 0.3:
            i = random.randrange(len(out) + 1)
            match random.randrange(4):
                case 0 if i < len(out) > 1:
                    del out[i]
                case 1 if i < len(out):
                    out.insert(random.randrange(len(out) + 1), list(out[i]))
                case 2 if i < len(out):
                    j = random.randrange(len(out))
                    out[i], out[j] = out[j], out[i]
                case 3 if self._spare and (other := random.choice(self._spare)):
                    out.insert(i, list(random.choice(other)))
        out = out[:most]
        share = 1.0 if len(out) == 1 else random.choice((0.03, 0.2, 0.6))
        for i in range(len(out)):
            if random.random() < share:
                out[i] = self.message(out[i])
        return out

    def message(self, message: Message) -> Message:
        """One message with one to three faults."""
        out = list(message)
        for _ in range(1 if self.random.random() < 0.6 else self.random.randint(2, 3)):
            out = self._fault(out)
        return out

    def _fault(self, parts: Message) -> Message:
        random = self.random
        if not parts or random.random() < 0.1:
            return self._parts(parts)
        # Headers are where decisions are made: large payloads get a smaller share.
        i = random.choice([i for i, part in enumerate(parts) for _ in range(1 if len(part) > 2000 else 6)])
        form, value = _tree(parts[i])
        if form != "raw" and random.random() < 0.75:
            changed = _written(form, self.value(value))
        else:
            changed = self.raw(parts[i])
        return [*parts[:i], changed, *parts[i + 1 :]]

    def _parts(self, parts: Message) -> Message:
        random = self.random
        out = list(parts)
        i = random.randrange(len(out) + 1)
        match random.randrange(7):
            case 0 if i < len(out):
                del out[i]
            case 1 if i < len(out):
                out.insert(i, out[i])
            case 2 if i < len(out):
                j = random.randrange(len(out))
                out[i], out[j] = out[j], out[i]
            case 3:
                out.insert(i, random.choice(RAW))
            case 4:
                out += [random.randbytes(random.randrange(9))] * random.randrange(70)
            case 5:
                return out[:i]
            case _ if self._spare and (other := random.choice(self._spare)):
                return out[:i] + random.choice(other)[i:]
        return out

    def value(self, value: Any, depth: int = 0) -> Any:
        """A tree with one node changed; the original stays as it is."""
        random = self.random
        if isinstance(value, dict) and value and random.random() < 0.85:
            key = random.choice(list(value))
            match random.randrange(12):
                case 0:
                    return {k: v for k, v in value.items() if k != key}
                case 1:
                    return {**value, random.choice(KEYS): self._leaf(None)}
                case 2:
                    return {(str(self._leaf(k)) if k == key else k): v for k, v in value.items()}
                case 3 if len(value) < 50:
                    return {**value, **{f"c{n}": n for n in range(random.choice((3, 300)))}}
                case _:
                    return {**value, key: self.value(value[key], depth + 1)}
        if isinstance(value, list) and value and random.random() < 0.85:
            i = random.randrange(len(value))
            match random.randrange(8):
                case 0:
                    return value[:i] + value[i + 1 :]
                case 1:
                    return value[: i + 1] + value[i:]
                case 2 if len(value) < 50:
                    return value * random.choice((2, 20))
                case _:
                    return [*value[:i], self.value(value[i], depth + 1), *value[i + 1 :]]
        return self._leaf(value)

    def _leaf(self, value: Any) -> Any:
        random = self.random
        near: list[Callable[[], Any]] = [lambda: random.choice(INTS), lambda: random.choice(SHAPES)]
        match value:
            case bool():
                near += [lambda: not value]
            case int():
                near += [
                    lambda: value + random.choice((-2, -1, 1, 2, 1000)),
                    lambda: -value,
                    lambda: random.choice(INTS),
                ]
                near += [lambda: float(value) if abs(value) < 2**900 else 0.0, lambda: random.getrandbits(63)]
            case float():
                near += [
                    lambda: random.choice(FLOATS),
                    lambda: value * random.uniform(-3, 3),
                    lambda: int(value == value),
                ]
            case str():
                near += [lambda: random.choice(TEXTS), lambda: value[: random.randrange(len(value) + 1)]]
                near += [lambda: value + random.choice(TEXTS), lambda: value * random.choice((2, 400))]
            case _:
                near += [lambda: random.choice(FLOATS), lambda: random.choice(TEXTS)]
        return random.choice(near)()

    def raw(self, data: bytes) -> bytes:
        """Bytes flipped, cut, grown, overwritten by what lengths and numbers look like."""
        random = self.random
        out = bytearray(data)
        at = random.randrange(len(out) + 1)
        match random.randrange(9):
            case 0 | 1 if out:
                out[at - 1] ^= 1 << random.randrange(8)
            case 2:
                return bytes(out[:at])
            case 3:
                out[at:at] = random.randbytes(random.randrange(1, 9))
            case 4 if out:
                del out[at - 1 : at + random.randrange(8)]
            case 5:
                packed = struct.pack(random.choice(("<q", ">q")), random.choice([n for n in INTS if n < 2**63]))
                out[at : at + 8] = packed
            case 6:
                out[at:at] = random.choice(RAW)
            case 7:
                out[at:at] = out[: random.randrange(len(out) + 1)] * random.choice((1, 1, 40))
            case _:
                return random.choice(RAW)
        return bytes(out[:MAX_PART])
