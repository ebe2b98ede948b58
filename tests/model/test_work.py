"""Independent pieces of work in several processes."""

import operator
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bowam_model.work import HERE, TRIES, Local, Outcome, Piece
from tests.model import pretenders


@pytest.fixture(autouse=True)
def _other_processes_find_the_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(Path(__file__).parents[2])


@pytest.mark.parametrize("workers", [1, 2])
def test_outcomes_come_in_the_order_of_the_pieces_and_each_is_heard_once(workers: int) -> None:
    pieces = [Piece(str(value), pretenders.add, (value,)) for value in range(7)]
    heard: list[Outcome] = []
    outcomes = Local(workers).run(pieces, shared=(100,), on_done=heard.append)
    assert [(one.key, one.value) for one in outcomes] == [(str(value), 100 + value) for value in range(7)]
    assert sorted(heard, key=lambda one: one.key) == outcomes


def test_a_piece_that_raises_is_reported_with_its_traceback_and_the_others_go_on() -> None:
    outcomes = HERE.run([Piece("bad", operator.truediv, (1, 0)), Piece("good", operator.add, (1, 2))])
    assert outcomes[0].failure is not None
    assert "Traceback" in outcomes[0].failure
    assert "ZeroDivisionError" in outcomes[0].failure
    assert outcomes[1] == Outcome("good", 3)


def test_a_result_that_cannot_be_sent_is_a_failure_with_its_reason() -> None:
    (outcome,) = HERE.run([Piece("it", pretenders.unpicklable)])
    assert "pickle" in str(outcome.failure)


def test_a_piece_whose_process_dies_is_tried_again_and_set_aside_after_three_times(tmp_path: Path) -> None:
    pieces = [
        Piece("once", pretenders.die_unless, (tmp_path / "died", 5)),
        Piece("always", pretenders.die),
        Piece("never", operator.add, (1, 1)),
    ]
    once, always, never = Local(2).run(pieces)
    assert (once.value, never.value) == (5, 2)
    assert always.failure == f"its process died {TRIES} times, lastly by signal SIGKILL"


def test_pieces_that_follow_from_an_outcome_are_done_before_those_that_wait() -> None:
    """Their outcomes are heard, and not returned; without `keep`, nothing is."""
    heard: list[str] = []

    def hear(outcome: Outcome) -> list[Piece]:
        heard.append(f"{outcome.key} {outcome.value}")
        return [] if "+" in outcome.key else [Piece(f"{outcome.key}+{n}", operator.add, (0, n)) for n in (1, 2)]

    pieces = [Piece(name, operator.add, (0, 0)) for name in "ab"]
    assert HERE.run(pieces, on_done=hear) == [Outcome("a", 0), Outcome("b", 0)]
    assert heard == ["a 0", "a+1 1", "a+2 2", "b 0", "b+1 1", "b+2 2"]
    assert HERE.run(pieces, keep=False) == []
    with pytest.raises(ValueError, match="same key"):
        HERE.run(pieces, on_done=lambda outcome: [pieces[0]])


@pytest.mark.slow
@pytest.mark.parametrize("threads", [1, 2])
def test_each_process_has_as_many_threads_as_told(threads: int) -> None:
    (outcome,) = HERE.run([Piece("it", pretenders.threads_of)], threads=threads)
    assert outcome.value == (str(threads), threads)


def test_ctrl_c_ends_the_processes_at_once() -> None:
    def interrupt(_: Outcome) -> None:
        raise KeyboardInterrupt

    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        Local(2).run([Piece("quick", operator.add, (1, 1)), Piece("long", time.sleep, (600,))], on_done=interrupt)
    assert time.monotonic() - start < 300  # not after the long one


@pytest.mark.system
def test_processes_do_not_outlive_a_parent_that_was_killed(tmp_path: Path) -> None:
    """Each holds one end of a pipe; it reads as ended when the last of them is gone."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    program = (
        "import sys; from bowam_model.work import Local, Piece; from tests.model.pretenders import wait_at\n"
        "if __name__ == '__main__': Local(2).run([Piece(str(n), wait_at, (sys.argv[1],)) for n in range(2)])"
    )
    script = tmp_path / "program.py"
    script.write_text(program)
    paths = os.pathsep.join(sys.path)
    environment = {**os.environ, "PYTHONPATH": paths}
    with (
        subprocess.Popen([sys.executable, str(script), str(pipe)], env=environment) as parent,
        pipe.open("rb") as reading,
    ):
        assert reading.read(2) == b"xx"
        parent.kill()
        assert reading.read() == b""


def test_what_is_shared_and_cannot_be_read_there_is_one_clear_error() -> None:
    with pytest.raises(RuntimeError, match="cannot start"):
        HERE.run([Piece("it", operator.add, (1, 1))], shared=(_ReadBackFails(),))


def test_keys_are_not_used_twice() -> None:
    with pytest.raises(ValueError, match="same key"):
        HERE.run([Piece("a", operator.add, (1, 1))] * 2)


class _ReadBackFails:
    def __reduce__(self) -> tuple[object, tuple[str, ...]]:
        return int, ("no number",)
