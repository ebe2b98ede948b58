"""A cluster that watches recordings, event by event: who waits for whom, and where the time of its cores goes.

What it knows of the real one (`bowam_model.work.on_ray`): one driver, which does one thing at a time, hands out
pieces until `ahead` of them are out for each slot, and takes results one by one; slots that take the next piece that
was handed out; nodes that die with all that they work on and come back empty; a shared storage that feeds only so many
pieces at full speed (more than that: all slow down alike); a driver that has a seam watched again where two parts of a
recording do not agree, before anything else. What it does not know: memory, the network, a driver that dies.
"""

import heapq
import math
import random
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

SECONDS_PER_HOUR = 3600.0
LEAST_AHEAD = 8  # as in bowam_model.work.on_ray


class Cluster(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What it is made of, and what its parts cost."""

    nodes: int
    slots: int = 16  # pieces at a time on a node: its cores
    start_s: float = 0.0  # a process, before its first piece
    begin_s: float = 0.0  # a piece, from having a slot to working
    ahead: int = 2  # pieces that are out for each slot
    submit_s: float = 0.0  # the driver, to hand out a piece
    collect_s: float = 0.0  # the driver, to take a result and to write it down
    look_s: float = 0.0  # what that takes longer for each piece that is out
    together: bool = False  # the driver takes all results that are there, with two looks
    lifetime_h: float = math.inf  # mean time of a node until it dies
    away_s: float = 0.0  # a node that died is back after so long
    noticed_s: float = 0.0  # what it worked on is known to be lost after so long
    node_spread: float = 0.0  # standard deviation of the logarithm of a node's speed
    streams: float = math.inf  # pieces at a time that the storage can feed at full speed


class Spent(msgspec.Struct, kw_only=True):
    """Where the time of all slots went, in seconds; the sum is slots times makespan."""

    watching: float = 0.0  # pieces that counted
    again: float = 0.0  # seams that were watched again
    starting: float = 0.0  # processes and pieces until they worked
    stalled: float = 0.0  # by the storage
    lost: float = 0.0  # pieces that died with their node
    away: float = 0.0  # nodes that were dead
    starved: float = 0.0  # free, while the driver still had pieces to hand out
    collecting: float = 0.0  # free, with nothing left to hand out, while results wait for the driver
    idle: float = 0.0  # free, because others still work on the last pieces


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it."""

    makespan_s: float
    at_95_s: float  # when 95% of the work was done
    pieces: int  # done, those that were done again counted each time
    failures: int  # of nodes
    driver_s: float  # that the driver was busy
    spent: Spent


class _Piece(NamedTuple):
    recording: int
    part: int
    alone_s: float
    seam: bool = False  # watched again


class _Working(NamedTuple):
    piece: _Piece
    since_s: float
    need_s: float
    start_s: float  # in it


_SUBMITTED, _COLLECTED, _LOST, _DIES, _BACK = range(5)


def simulate(recordings: Sequence[Sequence[float]], cluster: Cluster, *, disagree: float = 0.0, seed: int = 0) -> Run:
    """Watch recordings, each given by the seconds that its parts take alone.

    `disagree` is the probability that two parts that follow each other do not agree: both are then watched once more,
    as one. Two such seams in a row count as two.
    """
    return _Simulation(recordings, cluster, disagree, seed).run()


class _Simulation:
    """Two clocks: the real one, and one of progress, which the storage slows. A piece ends by the second."""

    def __init__(self, recordings: Sequence[Sequence[float]], cluster: Cluster, disagree: float, seed: int) -> None:
        self._c, self._disagree, self._random = cluster, disagree, random.Random(seed)
        self._recordings = recordings
        self._watched: set[tuple[int, int]] = set()
        self._todo = deque(_Piece(n, k, part_s) for n, parts in enumerate(recordings) for k, part_s in enumerate(parts))
        self._left, self._pieces = len(self._todo), 0
        self._threshold = 0.95 * sum(piece.alone_s for piece in self._todo)
        self._done_s = self._at_95_s = 0.0
        self._now = self._progress = self._driver_s = 0.0
        self._events: list[tuple[float, int, int, object]] = []  # time, number, kind, of what
        self._ends: list[tuple[float, int, int]] = []  # progress, number, slot
        self._number = 0
        slots = cluster.nodes * cluster.slots
        self._work: list[_Working | None] = [None] * slots
        self._turn = [0] * slots  # number of the end that is awaited
        self._fresh = [True] * slots
        self._free = list(range(slots))
        slowness = [math.exp(self._random.gauss(0.0, cluster.node_spread)) for _ in range(cluster.nodes)]
        mean = sum(1 / one for one in slowness) / cluster.nodes  # together they are as fast as if all were alike
        self._slowness = [one * mean for one in slowness]
        self._running = self._out = self._down = self._failures = 0
        self._waiting: deque[_Piece] = deque()
        self._finished: deque[tuple[_Piece, bool]] = deque()
        self._busy = False
        self._spent = Spent()
        if math.isfinite(cluster.lifetime_h):
            for node in range(cluster.nodes):
                self._awaits_death(node)

    def run(self) -> Run:
        self._drive()
        while self._left:
            self._step()
        return Run(
            makespan_s=self._now,
            at_95_s=self._at_95_s,
            pieces=self._pieces,
            failures=self._failures,
            driver_s=self._driver_s,
            spent=self._spent,
        )

    def _step(self) -> None:
        """To the next event of either clock."""
        ends = self._ends
        while ends and self._turn[ends[0][2]] != ends[0][1]:
            heapq.heappop(ends)  # it died with its node
        rate = min(1.0, self._c.streams / self._running) if self._running else 1.0
        at_s = self._now + (ends[0][0] - self._progress) / rate if ends else math.inf
        if self._events and self._events[0][0] <= at_s:
            at_s, _, kind, what = heapq.heappop(self._events)
            self._pass(at_s, rate)
            self._happens(kind, what)
        else:
            self._pass(at_s, rate)
            self._ended(heapq.heappop(ends)[2])
        self._drive()

    def _pass(self, at_s: float, rate: float) -> None:
        passed_s = max(at_s - self._now, 0.0)
        free_s = passed_s * len(self._free)
        if self._todo:
            self._spent.starved += free_s
        elif self._finished:
            self._spent.collecting += free_s
        else:
            self._spent.idle += free_s
        self._spent.away += passed_s * self._down * self._c.slots
        self._progress += passed_s * rate
        self._now += passed_s

    def _happens(self, kind: int, what: object) -> None:
        if kind == _SUBMITTED:
            assert isinstance(what, _Piece)
            self._busy = False
            self._out += 1
            self._waiting.append(what)
            self._begin()
        elif kind == _COLLECTED:
            assert isinstance(what, list)
            self._busy = False
            self._out -= len(what)
            for piece, good in what:
                self._collected(piece, good)
        elif kind == _LOST:
            assert isinstance(what, _Piece)
            self._finished.append((what, False))
        elif kind == _DIES:
            assert isinstance(what, int)
            self._dies(what)
        else:
            assert isinstance(what, int)
            self._down -= 1
            for slot in self._slots_of(what):
                self._fresh[slot] = True
                self._free.append(slot)
            self._awaits_death(what)
            self._begin()

    def _drive(self) -> None:
        """The driver: hands out while there is room, takes results otherwise."""
        if self._busy:
            return
        room = max(self._c.nodes * self._c.slots * self._c.ahead, LEAST_AHEAD)
        if self._todo and self._out < room:
            self._drive_for(self._c.submit_s, _SUBMITTED, self._todo.popleft())
        elif self._finished:
            looks = 2 if self._c.together else 1
            taken = [self._finished.popleft() for _ in range(len(self._finished) if self._c.together else 1)]
            seconds = looks * self._c.look_s * self._out + len(taken) * self._c.collect_s
            self._drive_for(seconds, _COLLECTED, taken)

    def _drive_for(self, seconds: float, kind: int, what: object) -> None:
        self._busy = True
        self._driver_s += seconds
        self._later(seconds, kind, what)

    def _collected(self, piece: _Piece, good: bool) -> None:
        if not good:
            self._todo.appendleft(piece)
            return
        self._pieces += 1
        self._left -= 1
        if piece.seam:
            return
        self._done_s += piece.alone_s
        if not self._at_95_s and self._done_s >= self._threshold:
            self._at_95_s = self._now
        parts, at = self._recordings[piece.recording], piece.part
        if not self._disagree or len(parts) == 1:
            return
        self._watched.add((piece.recording, at))
        for first in (at - 1, at):
            both = (piece.recording, first) in self._watched and (piece.recording, first + 1) in self._watched
            if both and self._random.random() < self._disagree:
                self._todo.appendleft(_Piece(piece.recording, first, parts[first] + parts[first + 1], True))
                self._left += 1

    def _begin(self) -> None:
        """Free slots take what was handed out."""
        while self._waiting and self._free:
            slot, piece = self._free.pop(), self._waiting.popleft()
            start_s = self._c.begin_s + (self._c.start_s if self._fresh[slot] else 0.0)
            need_s = start_s + piece.alone_s * self._slowness[slot // self._c.slots]
            self._fresh[slot] = False
            self._number += 1
            self._turn[slot] = self._number
            self._work[slot] = _Working(piece, self._now, need_s, start_s)
            self._running += 1
            heapq.heappush(self._ends, (self._progress + need_s, self._number, slot))

    def _ended(self, slot: int) -> None:
        piece, since_s, need_s, start_s = self._leave(slot)
        spent = self._spent
        spent.starting += start_s
        spent.stalled += self._now - since_s - need_s
        if piece.seam:
            spent.again += need_s - start_s
        else:
            spent.watching += need_s - start_s
        self._finished.append((piece, True))
        self._free.append(slot)
        self._begin()

    def _dies(self, node: int) -> None:
        self._failures += 1
        self._down += 1
        gone = set(self._slots_of(node))
        self._free = [slot for slot in self._free if slot not in gone]
        for slot in gone:
            if self._work[slot]:
                piece, since_s, _, _ = self._leave(slot)
                self._spent.lost += self._now - since_s
                self._later(self._c.noticed_s, _LOST, piece)
        self._later(self._c.away_s, _BACK, node)

    def _leave(self, slot: int) -> "_Working":
        work = self._work[slot]
        assert work is not None
        self._work[slot], self._turn[slot] = None, 0
        self._running -= 1
        return work

    def _slots_of(self, node: int) -> range:
        return range(node * self._c.slots, (node + 1) * self._c.slots)

    def _awaits_death(self, node: int) -> None:
        self._later(self._random.expovariate(1.0 / (self._c.lifetime_h * SECONDS_PER_HOUR)), _DIES, node)

    def _later(self, seconds: float, kind: int, what: object) -> None:
        self._number += 1
        heapq.heappush(self._events, (self._now + seconds, self._number, kind, what))
