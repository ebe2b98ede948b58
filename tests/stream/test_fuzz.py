"""Every decoder and state machine behind a socket or a file, under damage that hypothesis chooses and shrinks.

`make fuzz` does the same for millions of messages; what it found once stands below.
"""

import warnings
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

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
