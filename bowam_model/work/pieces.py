"""What is done, and what comes of it."""

from collections.abc import Callable, Iterable, Sequence
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
    gpus: float | None = None  # share of a GPU that it needs; None: what its engine gives to each


@dataclass(frozen=True)
class Outcome:
    """What came of a piece: its value, or why there is none (the text of a traceback, or how its process died)."""

    key: str
    value: Any = None
    failure: str | None = None


OnDone = Callable[[Outcome], Iterable[Piece] | None]
"""Hears an outcome. May return pieces that follow from it, which are done before those that wait."""


class Engine(Protocol):
    """Whatever does pieces of work. What comes out must not depend on which it is, nor on how much of it there is."""

    def run(
        self,
        pieces: Sequence[Piece],
        *,
        threads: int = 1,
        shared: tuple[Any, ...] = (),
        on_done: OnDone | None = None,
        keep: bool = True,
    ) -> list[Outcome]:
        """Do the pieces, each with so many threads, and return the outcomes in the order of the pieces.

        `shared` are the first arguments of every piece; each process gets them once. `on_done` hears each outcome as it
        comes, in this process, and may return pieces that follow from it: of those it alone hears. Without `keep` none
        is returned either, so that memory does not grow. A piece that raises has failed; the others go on. A piece
        whose process dies is tried again, `TRIES` times in all. On Ctrl-C, or if `on_done` raises, everything is ended
        at once.
        """
        ...

    def nodes(self) -> int:
        """How many machines work now."""
        ...


class Bookkeeper:
    """What has come of the pieces of one run: hears outcomes, says what follows from them, gives back what was kept.

    Raises ValueError where two pieces have the same key.
    """

    def __init__(self, pieces: Sequence[Piece], on_done: OnDone | None, keep: bool) -> None:
        self._order = [piece.key for piece in pieces]
        self._keys: set[str] = set()
        self._check(pieces)
        self._on_done = on_done
        self._kept: dict[str, Outcome] | None = {} if keep else None

    def done(self, outcome: Outcome) -> list[Piece]:
        """Take an outcome; the pieces that follow from it."""
        if self._kept is not None:
            self._kept[outcome.key] = outcome
        following = list((self._on_done(outcome) if self._on_done else None) or ())
        self._check(following)
        return following

    def result(self) -> list[Outcome]:
        """The outcomes in the order of the pieces; none if they were not kept."""
        return [] if self._kept is None else [self._kept[key] for key in self._order]

    def _check(self, pieces: Sequence[Piece]) -> None:
        keys = {piece.key for piece in pieces}
        if len(keys) != len(pieces) or keys & self._keys:
            raise ValueError("two pieces have the same key")
        self._keys |= keys
