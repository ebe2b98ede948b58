"""Every decoder and state machine behind a socket or a file, under damage that hypothesis chooses and shrinks.

`make fuzz` does the same for millions of messages; what it found once stands below.
"""

import warnings
from collections.abc import Iterator

import pytest
import zmq
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bowam_stream.bounds import Topics, receive_parts
from bowam_stream.events import Journal
from bowam_stream.events.accounts import SessionAccount
from tests.fuzz import own, seeds
from tests.fuzz.mutations import Mutator
from tests.fuzz.targets import TARGETS, Target

QUICK = [name for name in TARGETS if name not in ("spotter", "weights")]


@pytest.fixture(scope="module")
def targets() -> Iterator[dict[str, Target]]:
    """Each target once."""
    made = {name: TARGETS[name]() for name in QUICK}
    yield made
    for target in made.values():
        target.close()


@pytest.mark.parametrize("name", QUICK)
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(random=st.randoms(use_true_random=False), pick=st.integers(0, 100))
def test_nothing_but_our_errors_comes_out(targets, name, random, pick):
    """Messages damaged in a place or two: refused in one line, or taken and consistent."""
    target = targets[name]
    valid = target.seeds()
    target.run(Mutator(random, valid).conversation(valid[pick % len(valid)], most=target.most))


@pytest.mark.parametrize("name", TARGETS)
def test_a_thousand_seeded_messages_find_nothing(name):
    """The fuzzer itself, on a short leash; also for the spotter and for weights, which take longer."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = own.fuzz(name, 300 if name in ("spotter", "weights") else 2000, seed=5)
    assert not result.findings, result.findings[0].trace
    assert result.messages >= 300
    assert result.outcomes > 1


def test_the_fuzzer_finds_what_is_wrong_and_makes_it_small():
    """A fuzzer that can't find anything would be worthless."""

    class Wrong(Target):
        name, share, most = "wrong", 1, 1

        def seeds(self):
            return [[message] for message in seeds.controls()]

        def take(self, conversation):
            if any(b"\xff" in part for message in conversation for part in message):
                raise KeyError("surprise")
            return ""

    TARGETS["wrong"] = Wrong
    try:
        result = own.fuzz("wrong", 2000, seed=1)
    finally:
        del TARGETS["wrong"]
    assert result.findings[0].what.startswith("KeyError")
    assert [len(part) for message in result.findings[0].conversation for part in message][-1] <= 4  # base64 of a byte


def test_numbers_that_leap_too_far_for_the_journal_are_written_down_as_far_as_it_goes(tmp_path):
    """Found through the frames socket: sequence numbers near 2^63 ended the worker when it kept its books."""
    account = SessionAccount(camera="evil", session="s", captured=2**80, published=2**63)
    account.dropped["receive/lost"] = 2**70
    with Journal(tmp_path / "journal.sqlite") as journal:
        journal.write_accounts([account])
        (kept,) = journal.accounts()
    assert kept.captured == kept.published == kept.dropped["receive/lost"] == 2**63 - 1


def test_a_message_of_any_number_of_parts_is_read_to_its_end_and_only_its_beginning_kept():
    """And the next message is whole."""
    with zmq.Context() as context, context.socket(zmq.PAIR) as here, context.socket(zmq.PAIR) as there:
        here.bind("inproc://parts")
        there.connect("inproc://parts")
        here.send_multipart([b"x"] * 10_000)
        here.send_multipart([b"a", b"b"])
        assert len(receive_parts(there, 5)) == 6
        assert [part.bytes for part in receive_parts(there, 5)] == [b"a", b"b"]


def test_topics_count_once_and_have_an_end():
    """Honest subscribers may come back for years; a stranger's topics fill the room."""
    topics = Topics()
    assert all(topics.add(b"event/v1/cam%d/" % (n % 256)) for n in range(100_000))
    assert not all(topics.add(b"%d" % n * 50) for n in range(10_000))
