"""What is done, and what comes of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

TRIES = 3
"""A piece whose process dies (killed, out of memory) this often is set aside."""


@dataclass(frozen=True)
class Piece:
    """`function(*shared, *arguments)`: a function at the top of a module, and arguments that can be pickled."""

    key: str
    function: Callable[..., Any]
    arguments: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """What came of a piece: its value, or why there is none (the text of a traceback, or how its process died)."""

    key: str
    value: Any = None
    failure: str | None = None


class Engine(Protocol):
    """Whatever does pieces of work. What comes out must not depend on which it is, nor on how much of it there is."""

    def run(
        self,
        pieces: Sequence[Piece],
        *,
        threads: int = 1,
        shared: tuple[Any, ...] = (),
        on_done: Callable[[Outcome], None] | None = None,
    ) -> list[Outcome]:
        """Do the pieces, each with so many threads, and return the outcomes in the order of the pieces.

        `shared` are the first arguments of every piece; each process gets them once. `on_done` hears each outcome as it
        comes, in this process. A piece that raises has failed; the others go on. A piece whose process dies is tried
        again, `TRIES` times in all. On Ctrl-C, or if `on_done` raises, everything is ended at once.
        """
        ...


def check_keys(pieces: Sequence[Piece]) -> None:
    """Raise ValueError where two pieces have the same key."""
    if len({piece.key for piece in pieces}) != len(pieces):
        raise ValueError("two pieces have the same key")
