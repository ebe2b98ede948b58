"""Strangers at every socket of real processes: alive, bounded, counted; honest cameras and subscribers fare well.

A few hundred messages each; `make fuzz` sends a hundred thousand.
"""

import pytest

from tests.fuzz.attacks import ATTACKS
from tests.fuzz.sockets import attack

pytestmark = pytest.mark.system

FEW = {"metrics": 300, "endless": 10_000, "strangers": 1000}


@pytest.mark.parametrize("name", ATTACKS)
def test_a_process_under_attack_lives_and_counts(name: str) -> None:
    """Memory and log bounded, health checks answered, everything refused that had to be, and nothing else disturbed."""
    result = attack(name, FEW.get(name, 2000), seed=7)
    assert not result.wrong, result.line()
    assert result.messages >= min(300, FEW.get(name, 300))
