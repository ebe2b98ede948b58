"""Parts of a pipeline that work at the same time, each in a thread of its own, on items that stay in order."""

import threading
from collections import deque
from collections.abc import Callable, Generator
from contextlib import closing
from types import TracebackType
from typing import Generic, Self, TypeVar

T = TypeVar("T")


class Ahead(Generic[T]):
    """The items of a generator, made by a thread that is ahead of whoever takes them.

        with Ahead(decode(path)) as frames, Ahead(find_faces(frames)) as faces:
            for found in faces: ...

    The order is kept and nothing is lost. What the generator raises comes out where its next item would have. Leaving
    the block ends the thread and closes the generator, as soon as the item that it makes is done.
    """

    def __init__(
        self, items: Generator[T, None, None], *, most: int = 1, give_up: Callable[[], None] = lambda: None
    ) -> None:
        """`most` items may wait while one more is made.

        `give_up` is called where the block is left before the end: a generator that waits for something should stop to.
        """
        self._items = items
        self._most = most
        self._give_up = give_up
        self._waiting: deque[T] = deque()
        self._changed = threading.Condition()
        self._ended: BaseException | None = None  # StopIteration if there are no more
        self._left = False
        self._thread = threading.Thread(target=self._run, name="ahead", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changed:
            self._left = True
            self._changed.notify_all()
            early = self._ended is None
        if early:
            self._give_up()
        self._thread.join()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> T:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._ended is not None)
            if self._waiting:
                self._changed.notify_all()
                return self._waiting.popleft()
            assert self._ended is not None
            raise self._ended

    def _run(self) -> None:
        ended: BaseException = StopIteration()
        try:
            with closing(self._items):
                for item in self._items:
                    if not self._put(item):
                        break
        except BaseException as error:  # whatever it is, it belongs to whoever takes the items
            ended = error
        with self._changed:
            self._ended = ended
            self._changed.notify_all()

    def _put(self, item: T) -> bool:
        """Whether somebody still wants it."""
        with self._changed:
            self._changed.wait_for(lambda: self._left or len(self._waiting) < self._most)
            self._waiting.append(item)
            self._changed.notify_all()
            return not self._left
