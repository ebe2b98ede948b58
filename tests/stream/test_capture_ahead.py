"""Parts that work at the same time: in order, never too far ahead, and none is left behind."""

import threading
from collections.abc import Generator
from itertools import count

import pytest

from bowam_stream.capture import Ahead

LIMIT_S = 10.0


def up_to(last: int) -> Generator[int, None, None]:
    yield from range(last)


@pytest.mark.parametrize("most", [1, 3])
def test_every_item_comes_out_once_and_in_order(most: int) -> None:
    """Also through two threads in a row."""

    def squares(numbers: Ahead[int]) -> Generator[int, None, None]:
        for number in numbers:
            yield number * number

    with Ahead(up_to(500), most=most) as numbers, Ahead(squares(numbers), most=most) as squared:
        assert list(squared) == [n * n for n in range(500)]
        assert next(squared, None) is None, "the end stays the end"


def test_the_next_item_is_made_while_the_last_one_is_used() -> None:
    """Whoever takes item n and whoever makes item n + 2 wait for each other: one thread would wait for ever."""
    both = threading.Barrier(2, timeout=LIMIT_S)

    def made() -> Generator[int, None, None]:
        for n in range(20):
            if n >= 2:
                both.wait()
            yield n

    with Ahead(made()) as items:
        for n in items:
            if n < 18:
                both.wait()


@pytest.mark.parametrize("most", [1, 4])
def test_no_more_items_wait_than_are_allowed(most: int) -> None:
    """Beside those that wait there are only the one that is made and the one that was just taken."""
    taken, furthest = 0, 0

    def made() -> Generator[int, None, None]:
        nonlocal furthest
        for n in range(300):
            furthest = max(furthest, n + 1 - taken)
            yield n

    with Ahead(made(), most=most) as items:
        for n in items:
            taken = n + 1
    assert 1 <= furthest <= most + 2


def test_an_error_comes_out_in_its_place() -> None:
    """After all items that were made before it, through every thread on its way, and again if it is asked for again."""

    def broken() -> Generator[int, None, None]:
        yield from range(3)
        raise OSError("the disk is gone")

    def passed(numbers: Ahead[int]) -> Generator[int, None, None]:
        yield from numbers

    with Ahead(broken()) as numbers, Ahead(passed(numbers)) as items:
        assert [next(items) for _ in range(3)] == [0, 1, 2]
        for _ in range(2):
            with pytest.raises(OSError, match="the disk is gone"):
                next(items)


def test_leaving_early_ends_the_threads_and_closes_the_generators() -> None:
    """Wherever they stand."""
    closed = []

    def endless() -> Generator[int, None, None]:
        try:
            yield from count()
        finally:
            closed.append("first")

    def passed(numbers: Ahead[int]) -> Generator[int, None, None]:
        try:
            yield from numbers
        finally:
            closed.append("second")

    before = threading.active_count()
    with Ahead(endless()) as numbers, Ahead(passed(numbers)) as items:
        assert next(items) == 0
    assert closed == ["second", "first"]
    assert threading.active_count() == before


def test_a_generator_that_waits_is_told_to_give_up() -> None:
    """Only where the block is left before the end: what ended has nothing to give up."""
    waits, let_go = threading.Event(), threading.Event()

    def waiting() -> Generator[int, None, None]:
        yield 0
        waits.set()
        assert let_go.wait(LIMIT_S)

    with Ahead(waiting(), give_up=let_go.set) as items:
        next(items)
        assert waits.wait(LIMIT_S)
    given_up = threading.Event()
    with Ahead(up_to(3), give_up=given_up.set) as items:
        assert list(items) == [0, 1, 2]
    assert not given_up.is_set()
