"""The name of a recording as a camera: its path made of what topics and messages can carry.

`day 1/talk.mp4` becomes `day_1-talk`: the ending goes, `/` turns into `-`, whatever else is no letter, digit, `.`, `_`
or `-` into `_`. What begins with a sign gets a `_` before it. What is too long keeps its end, behind a digest of the
whole path. Where two paths come to the same name, each gets its digest behind it. So a name depends on the path and on
those that it collides with, and on nothing else.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import PurePosixPath

MOST = 64  # characters of a name
LEGAL = re.compile(rf"[A-Za-z0-9_][A-Za-z0-9._-]{{0,{MOST - 1}}}")
_DIGITS = 8  # of a digest: 32 bits, where only few paths collide at all


def camera_names(paths: Sequence[str], suffixes: frozenset[str] = frozenset(), taken: Sequence[str] = ()) -> list[str]:
    """A legal name for each of these different paths, all different and none of the names that are `taken`.

    An ending is taken off if it is in `suffixes`.
    """
    plain = [_plain(path, suffixes) for path in paths]
    often = Counter([*plain, *taken])
    names = [
        _with_digest(name, path) if often[name] > 1 or len(name) > MOST else name
        for name, path in zip(plain, paths, strict=True)
    ]
    if len({*names, *taken}) < len(names) + len(taken):  # a plain name that looks like one with a digest
        names = [_with_digest(name, path) for name, path in zip(plain, paths, strict=True)]
    return names


def _plain(path: str, suffixes: frozenset[str]) -> str:
    pure = PurePosixPath(path)
    stem = str(pure.with_suffix("")) if pure.suffix.lower() in suffixes and pure.stem else str(pure)
    name = re.sub(r"[^A-Za-z0-9._-]", "_", stem.strip("/").replace("/", "-"))
    return name if name[:1].isalnum() or name[:1] == "_" else f"_{name}"


def _with_digest(name: str, path: str) -> str:
    digest = hashlib.blake2b(path.encode(errors="surrogateescape"), digest_size=_DIGITS // 2).hexdigest()
    if len(name) + 1 + _DIGITS <= MOST:
        return f"{name}-{digest}"
    return f"{digest}-{name[_DIGITS + 1 - MOST :]}"
