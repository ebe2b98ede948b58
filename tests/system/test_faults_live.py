"""One fault of every kind, one after the other, in a place with three cameras, a worker and two subscribers.

`make soak` injects all of them again and again, at random moments. At the end a table tells how each went.
"""

from collections.abc import Iterator

import pytest

from tests.system.faults.campaign import Campaign, build
from tests.system.faults.kinds import KINDS, Fault
from tests.system.faults.place import Place
from tests.system.faults.replays import REPLAY_KINDS

pytestmark = [pytest.mark.system, pytest.mark.slow]

SEED = 6
MEMORY_MB = {"worker": 600.0, "capture": 350.0, "supervisor": 80.0}  # what a process may hold whatever happened


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Two recordings played as cameras, and a network camera where there can be one."""
    with build(tmp_path_factory.mktemp("place"), 3) as place:
        yield place


@pytest.fixture(scope="module")
def campaign(place: Place, fault_table: list[str]) -> Iterator[Campaign]:
    campaign = Campaign(place, SEED)
    yield campaign
    fault_table.append(campaign.table())


@pytest.mark.parametrize("fault", [*KINDS, *REPLAY_KINDS], ids=str)
def test_nothing_is_lost_or_doubled_and_all_goes_on_after(fault: Fault, place: Place, campaign: Campaign) -> None:
    """Frames flow again, the books agree, subscribers have what the journal has, the log says why."""
    if why := fault.needs(place):
        pytest.skip(why)
    for name in place.crashes:  # one of each kind comes faster than any of them would: patience begins anew
        place.crashes[name].clear()
    entry = campaign.inject(fault)
    assert not entry.problems, "\n".join(entry.problems)
    assert (entry.lost, entry.doubled) == (0, 0)


def test_memory_is_bounded_and_the_audit_finds_nothing(place: Place) -> None:
    """After all of them."""
    for name, megabytes in place.memory().items():
        assert megabytes < MEMORY_MB["capture" if name in place.cameras else name], name
    well, says = place.audit()
    assert well, says
