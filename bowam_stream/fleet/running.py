"""The supervisor of a fleet: tells every crew what shall run, hears how it is, and writes down where all of it is."""

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

from bowam_stream.config import Config
from bowam_stream.fleet.board import Answer, Board
from bowam_stream.fleet.host import Host
from bowam_stream.fleet.orders import Orders
from bowam_stream.fleet.plan import Crew, Plan
from bowam_stream.pipeline.stop import StopFlag

POLL_S = 0.5


class Places(Protocol):
    """Where crews live: this machine, or the nodes of a cluster."""

    def open(self, crews: Iterable[Crew]) -> None:
        """Find a node for each crew, now or as soon as there is one."""

    def turn(self, orders: Mapping[str, Orders]) -> dict[str, Answer]:
        """Hand out the orders; the answers that are there by now. Never waits for a node."""

    def close(self) -> None:
        """End everything."""


class Here:
    """All crews on this machine."""

    def __init__(self, address: str, new: Callable[[str, str], Host] = Host) -> None:
        self._address = address
        self._new = new
        self._hosts: dict[str, Host] = {}

    def open(self, crews: Iterable[Crew]) -> None:
        """A host for each."""
        self._hosts = {crew.name: self._new(crew.name, self._address) for crew in crews}

    def turn(self, orders: Mapping[str, Orders]) -> dict[str, Answer]:
        """One after the other."""
        return {crew: self._hosts[crew].turn(one) for crew, one in orders.items()}

    def close(self) -> None:
        """All at once."""
        with ThreadPoolExecutor(max_workers=max(1, len(self._hosts))) as pool:
            list(pool.map(lambda host: host.end(), self._hosts.values()))


def run_fleet(
    plan: Plan,
    config: Config,
    places: Places,
    *,
    journals: str,
    folder: Path,
    stop: StopFlag,
    on_news: Callable[[str], None],
) -> None:
    """Run a fleet until told to stop, or until all of its cameras were recordings that are over.

    `folder`: of fleet.json and targets.json. Raises EngineError where the cluster is lost.
    """
    board = Board(plan, config, journals)
    try:
        places.open(plan.crews)
        while not stop and not board.over:
            for line in board.hear(places.turn(board.orders())):
                on_news(line)
            board.write(folder)
            stop.wait(POLL_S)
    finally:
        try:
            places.close()
        finally:
            board.end()
            board.write(folder)
