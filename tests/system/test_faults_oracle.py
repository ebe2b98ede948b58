"""The oracle sees what it is there to see: every kind of wrong is put into good books, and found."""

import json
from collections.abc import Callable

import pytest

from tests.system.faults.oracle import Books, Key, Row, judge_frames, judge_journal, judge_listener


def row(camera: str, seq: int, event: str, phase: str, latency_ms: float | None = 40.0) -> Row:
    """As the journal keeps it."""
    content = {"camera": camera, "seq": seq, "event_id": event, "phase": phase, "session": "s"}
    return Row(Key(**content), json.dumps(content).encode(), 1, latency_ms)


def good() -> Books:
    """Two cameras; one event is still open; the frames of one session."""
    rows = [
        row("a", 1, "x", "provisional"),
        row("b", 1, "z", "provisional"),
        row("a", 2, "x", "final"),
        row("a", 3, "y", "provisional"),
        row("b", 2, "z", "retracted"),
    ]
    session = {
        "camera": "a",
        "session": "s",
        "captured": 110,
        "published": 100,
        "received": 95,
        "spotted": 90,
        "dropped": json.dumps({"grab/queue_full": 10, "receive/lost": 3, "receive/absent": 2, "receive/age": 5}),
    }
    return Books(rows, {"a": 3, "b": 2}, {"y"}, [session])


def test_good_books_are_good() -> None:
    """Nothing is found where nothing is wrong."""
    books = good()
    lines = [row.content for row in books.rows]
    assert judge_journal(books)
    assert judge_frames(books)
    assert judge_listener("l", lines, books)


WRONG: dict[str, Callable[[Books], Books]] = {
    "a row is gone": lambda books: books._replace(rows=[r for r in books.rows if r.key.seq != 2]),
    "the last row is gone": lambda books: books._replace(rows=books.rows[:-1]),
    "a row is there twice": lambda books: books._replace(rows=[*books.rows, books.rows[-1]]),
    "an event is opened twice": lambda books: books._replace(
        rows=[*books.rows, row("a", 4, "y", "provisional")], heads={"a": 4, "b": 2}
    ),
    "an event is closed twice": lambda books: books._replace(
        rows=[*books.rows, row("a", 4, "x", "retracted")], heads={"a": 4, "b": 2}
    ),
    "an event is closed and was never opened": lambda books: books._replace(
        rows=[*books.rows, row("a", 4, "q", "final")], heads={"a": 4, "b": 2}
    ),
    "an open event is forgotten": lambda books: books._replace(open=set()),
    "a latency is negative": lambda books: books._replace(
        rows=[*books.rows, row("b", 3, "v", "provisional", -2.0)], heads={"a": 3, "b": 3}, open={"y", "v"}
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_wrong_in_a_journal_is_found(wrong: str) -> None:
    """Each by itself."""
    assert not judge_journal(WRONG[wrong](good()))


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("captured", 111),
        ("published", 99),
        ("received", 96),
        ("spotted", 91),
        ("dropped", '{"grab/queue_full": 10, "receive/lost": 3, "receive/absent": 2, "receive/age": 4}'),
        ("dropped", '{"grab/queue_full": 10, "receive/lost": 3, "receive/absent": 2, "receive/unexplained": 5}'),
    ],
)
def test_a_frame_too_many_or_too_few_is_found(column: str, value: object) -> None:
    """In any column."""
    books = good()
    books.sessions[0][column] = value
    assert not judge_frames(books)


def test_what_a_subscriber_missed_heard_twice_or_otherwise_is_found_and_counted() -> None:
    """Lost and doubled are numbers."""
    books = good()
    lines = [row.content for row in books.rows]
    assert judge_listener("l", lines[1:], books).lost == 1
    assert judge_listener("l", [lines[0], *lines], books).doubled == 1
    assert judge_listener("l", [lines[0].replace(b'"s"', b'"t"'), *lines[1:]], books).problems
    assert judge_listener("l", [*lines, row("a", 4, "n", "provisional").content], books).problems
