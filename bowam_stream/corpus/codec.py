"""What comes of a piece of work, as bytes: msgpack of our types, arrays by their type and shape. Nothing that can run."""

import math
from typing import Any, TypeVar

import msgspec
import numpy as np

_ARRAY = 1  # of msgpack's extension types
_PLAIN = "biuf"  # kinds of numbers: booleans, integers, floats
_Kept = TypeVar("_Kept", bound=msgspec.Struct)


def encode(value: msgspec.Struct) -> bytes:
    """The bytes of a struct of ours."""
    return msgspec.msgpack.encode(value, enc_hook=_write)


def decode(data: bytes, kind: type[_Kept]) -> _Kept:
    """The struct again. Raises ValueError where the bytes are something else."""
    try:
        return msgspec.msgpack.decode(data, type=kind, ext_hook=_read, dec_hook=_check)
    except (msgspec.MsgspecError, TypeError) as error:
        raise ValueError(str(error)) from None


def _write(value: Any) -> Any:
    if isinstance(value, np.ndarray) and value.dtype.kind in _PLAIN:
        return msgspec.msgpack.Ext(_ARRAY, msgspec.msgpack.encode((value.dtype.str, value.shape, value.tobytes())))
    raise NotImplementedError(f"{type(value).__name__} can't be kept")


def _read(code: int, data: memoryview) -> np.ndarray:
    if code != _ARRAY:
        raise ValueError(f"unknown extension {code}")
    name, shape, content = msgspec.msgpack.decode(data, type=tuple[str, tuple[int, ...], bytes])
    dtype = np.dtype(name)
    if dtype.kind not in _PLAIN or min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize != len(content):
        raise ValueError(f"{len(content)} bytes are no {name} of shape {shape}")
    return np.frombuffer(content, dtype).reshape(shape)


def _check(kind: type, value: Any) -> Any:
    if kind is np.ndarray and isinstance(value, np.ndarray):
        return value
    raise NotImplementedError(f"{kind.__name__} can't be kept")
