"""The simulated cluster against cases that can be worked out by hand."""

import math
import statistics

import msgspec
import pytest

pytest.importorskip("benchmarks", reason="the benchmarks are seen from the root of a checkout only")

from benchmarks.measure import Spread
from benchmarks.scaling.calibration import OUT, Costs
from benchmarks.scaling.cases import STOPS, Assumed, read_gb, simulated, stops
from benchmarks.scaling.corpora import SHAPES, Cut, Watching, lengths, parts, work
from benchmarks.scaling.simulation import Cluster, Run, simulate


def total_s(run: Run) -> float:
    """All that is in the account."""
    return math.fsum(msgspec.structs.astuple(run.spent))


@pytest.mark.parametrize(("nodes", "slots"), [(1, 1), (1, 16), (3, 4)])
def test_equal_pieces_take_so_many_rounds(nodes: int, slots: int) -> None:
    """100 pieces of 7 s: the rounds, rounded up; the last round's free slots are idle."""
    run = simulate([[7.0]] * 100, Cluster(nodes=nodes, slots=slots))
    rounds = math.ceil(100 / (nodes * slots))
    assert run.makespan_s == pytest.approx(7.0 * rounds)
    assert run.spent.watching == pytest.approx(700.0)
    assert run.spent.idle == pytest.approx(7.0 * (rounds * nodes * slots - 100))
    assert run.pieces == 100


def test_one_slot_takes_the_sum() -> None:
    """Whatever the pieces; 95% are done where 95% of the sum is first passed."""
    pieces = [[float(n) for n in range(k)] for k in range(1, 20)]
    run = simulate(pieces, Cluster(nodes=1, slots=1))
    flat = [n for parts in pieces for n in parts]
    assert run.makespan_s == pytest.approx(sum(flat))
    sums = [sum(flat[: n + 1]) for n in range(len(flat))]
    assert run.at_95_s == pytest.approx(next(value for value in sums if value >= 0.95 * sum(flat)))


def test_more_nodes_than_pieces_take_the_longest_piece() -> None:
    """What nodes there are more helps nobody."""
    run = simulate([[3.0, 11.0], [5.0]], Cluster(nodes=50, slots=2))
    assert run.makespan_s == pytest.approx(11.0)
    assert run.spent.idle == pytest.approx(100 * 11.0 - 19.0)


def test_a_process_starts_once_and_a_piece_every_time() -> None:
    """4 slots, 12 pieces: 3 rounds."""
    run = simulate([[10.0]] * 12, Cluster(nodes=2, slots=2, start_s=5.0, begin_s=0.5))
    assert run.makespan_s == pytest.approx(5.0 + 3 * 10.5)
    assert run.spent.starting == pytest.approx(4 * 5.0 + 12 * 0.5)


def test_a_slow_driver_bounds_the_rate() -> None:
    """1000 slots and pieces of 1 s, but a driver that needs 10 ms for each: about 100 a second."""
    cluster = Cluster(nodes=100, slots=10, submit_s=0.004, collect_s=0.006)
    run = simulate([[1.0]] * 5000, cluster)
    assert run.makespan_s == pytest.approx(5000 * 0.010, rel=0.05)
    assert run.driver_s == pytest.approx(5000 * 0.010)
    assert run.spent.starved > 0.5 * 1000 * run.makespan_s


def test_what_is_out_makes_looking_dearer() -> None:
    """One node of 10, pieces that take no time: each look pays for what is out (8 at least are)."""
    run = simulate([[0.0]] * 8, Cluster(nodes=1, slots=1, look_s=1.0))
    assert run.makespan_s == pytest.approx(sum(range(1, 9)))


def test_a_storage_that_feeds_four_makes_eight_half_as_fast() -> None:
    """And nothing else waits."""
    run = simulate([[10.0]] * 80, Cluster(nodes=1, slots=8, streams=4.0))
    assert run.makespan_s == pytest.approx(10 * 20.0)
    assert run.spent.stalled == pytest.approx(80 * 10.0)
    fast = simulate([[10.0]] * 80, Cluster(nodes=1, slots=8, streams=8.0))
    assert fast.makespan_s == pytest.approx(100.0)


@pytest.mark.parametrize(("lifetime_h", "away_s"), [(0.5, 0.0), (0.1, 60.0)])
def test_failures_cost_what_the_closed_form_says(lifetime_h: float, away_s: float) -> None:
    """Work of T on a node that dies at rate r and is back after D takes (exp(r T) - 1) (1 / r + D) on average."""
    work_s, many = 300.0, 400
    cluster = Cluster(nodes=1, slots=1, lifetime_h=lifetime_h, away_s=away_s)
    runs = [simulate([[work_s]] * many, cluster, seed=seed) for seed in range(20)]
    rate = 1.0 / (lifetime_h * 3600.0)
    expected = (math.exp(rate * work_s) - 1) * (1 / rate + away_s)
    taken = [run.makespan_s / many for run in runs]
    error = statistics.stdev(taken) / math.sqrt(len(taken))
    assert error < 0.02 * expected
    assert statistics.mean(taken) == pytest.approx(expected, abs=4 * error)
    lost = statistics.mean(run.spent.lost for run in runs) / many
    without_away = (math.exp(rate * work_s) - 1) / rate
    assert lost == pytest.approx(without_away - work_s, rel=0.05)


def test_a_loss_is_noticed_later_but_others_work_meanwhile() -> None:
    """All pieces are done, none twice."""
    cluster = Cluster(nodes=10, slots=4, lifetime_h=1.0, away_s=300.0, noticed_s=30.0)
    run = simulate([[60.0]] * 4000, cluster, seed=3)
    assert run.failures > 5
    assert run.pieces == 4000
    assert run.spent.watching == pytest.approx(4000 * 60.0)
    assert run.makespan_s > 4000 * 60.0 / 40


def test_nodes_that_differ_are_together_as_fast() -> None:
    """Many small pieces: the fast ones take more of them."""
    alike = simulate([[1.0]] * 20_000, Cluster(nodes=10, slots=2))
    differ = simulate([[1.0]] * 20_000, Cluster(nodes=10, slots=2, node_spread=0.3), seed=1)
    assert differ.makespan_s == pytest.approx(alike.makespan_s, rel=0.01)


def test_seams_that_do_not_agree_are_watched_again() -> None:
    """Always: both parts of each seam once more; never: nothing."""
    assert simulate([[4.0, 5.0, 6.0], [7.0]], Cluster(nodes=1), disagree=1.0).spent.again == pytest.approx(9.0 + 11.0)
    assert simulate([[4.0, 5.0, 6.0], [7.0]], Cluster(nodes=1)).spent.again == 0.0
    many = simulate([[1.0] * 2001], Cluster(nodes=1), disagree=0.1)
    assert many.spent.again == pytest.approx(2000 * 0.1 * 2, rel=0.2)


def test_the_account_is_complete_and_runs_are_reproducible() -> None:
    """With everything at once: what is spent is all slots' time, and a seed decides all."""
    cluster = Cluster(
        nodes=20, slots=4, start_s=3.0, begin_s=0.1, submit_s=0.01, collect_s=0.05, look_s=1e-4, lifetime_h=2.0,
        away_s=200.0, noticed_s=20.0, node_spread=0.1, streams=60.0,
    )  # fmt: skip
    watching = Watching(rate_hz=30.0, frame_s=0.01, piece_s=0.3, spread=0.1, straggling=0.01, straggler=3.0)
    jobs = work(lengths("mixed", 150.0), Cut(), watching)
    run = simulate(jobs, cluster, disagree=0.1, seed=4)
    assert total_s(run) == pytest.approx(run.makespan_s * 80, rel=1e-6)
    assert all(value > 0 for value in msgspec.structs.astuple(run.spent))
    assert simulate(jobs, cluster, disagree=0.1, seed=4) == run
    assert simulate(jobs, cluster, disagree=0.1, seed=5) != run


def test_a_driver_that_takes_all_at_once_looks_twice() -> None:
    """100 that are done together: the first alone, for it was there when the driver looked, then 99 at once."""
    one_by_one = Cluster(nodes=1, slots=100, look_s=1.0, collect_s=0.1)
    assert simulate([[5.0]] * 100, one_by_one).makespan_s == pytest.approx(5.0 + sum(range(1, 101)) + 10.0)
    together = msgspec.structs.replace(one_by_one, together=True)
    assert simulate([[5.0]] * 100, together).makespan_s == pytest.approx(5.0 + 2 * 100 + 2 * 99 + 10.0)


def test_parts_cover_a_recording_with_their_lead_ins() -> None:
    """An hour and more in quarters of an hour: so short an end as a lead-in is no part of its own."""
    cut = Cut(segment_s=900.0, lead_in_s=90.0)
    assert parts(3700.0, cut) == [900.0, 990.0, 990.0, 990.0, 190.0]
    assert parts(3680.0, cut) == [900.0, 990.0, 990.0, 1070.0]
    assert parts(901.0, cut) == [901.0]
    assert parts(12.0, cut) == [12.0]
    assert parts(1e6, Cut(segment_s=math.inf)) == [1e6]


def test_short_recordings_go_together() -> None:
    """Up to so much video in a piece; what each recording costs stays."""
    watching = Watching(rate_hz=10.0, frame_s=0.01, piece_s=1.0)
    assert work([10.0] * 5, Cut(together_s=20.0), watching) == [[4.0], [4.0], [2.0]]


@pytest.mark.parametrize("shape", SHAPES)
def test_a_corpus_has_the_hours_that_were_asked_for(shape: str) -> None:
    """And the work of it is frames times seconds."""
    found = lengths(shape, 50.0, seed=1)
    assert math.fsum(found) == pytest.approx(50 * 3600.0)
    jobs = work(found, Cut(segment_s=math.inf), Watching(rate_hz=30.0, frame_s=0.01, piece_s=0.5))
    assert math.fsum(s for job in jobs for s in job) == pytest.approx(50 * 3600 * 0.3 + 0.5 * len(found))


def costs(*, look_s: float = 1e-6) -> Costs:
    """Round figures; a look costs so much for each piece that is out."""
    one = Spread(median=0.0, low=0.0, high=0.0)
    few, many = (Spread(median=look_s * count, low=0.0, high=0.0) for count in (OUT[0], OUT[-1]))
    frame = Spread(median=0.01, low=0.01, high=0.01)
    return Costs(
        frame={"30": frame, "200": frame}, real={}, piece=one, start=one, submit=one, collect=one,
        look={str(OUT[0]): few, str(OUT[-1]): many}, look_at_all={}, answer=one, write=one,
        result_bytes_per_minute=one, peak_mb=one,
    )  # fmt: skip


def test_a_case_is_what_the_frames_take_and_its_losses() -> None:
    """Shares of all cores' time sum to one; many hours on one node are nearly perfect, but for the lead-ins."""
    assumed = Assumed(hours=200.0, cut=Cut(lead_in_s=90.0))
    told = simulated(costs(), "interviews", 30.0, 1, assumed)
    assert math.fsum(told.spent.values()) == pytest.approx(1.0)
    assert told.spent["frames"] == pytest.approx(told.efficiency)
    assert 0.8 < told.efficiency < 0.95
    assert told.loss == "lead_ins"
    assert told.hours_per_hour == pytest.approx(told.efficiency * 16 / 0.3)
    assert told.node_hours == pytest.approx(told.total_h)


@pytest.mark.parametrize(("look_s", "because"), [(0.0, "idle"), (0.02, "starved")])
def test_where_it_stops_is_the_first_that_falls_below(look_s: float, because: str) -> None:
    """300 hours: too few pieces for so many cores; or a driver whose looks cost a lot."""
    assumed = Assumed(hours=300.0)
    table = [simulated(costs(look_s=look_s), "interviews", 30.0, nodes, assumed) for nodes in (1, 2, 5, 10)]
    stopped = stops(table, "interviews")
    assert stopped is not None
    assert stopped.nodes == next(one.nodes for one in table if one.efficiency < STOPS * table[0].efficiency)
    assert stopped.loss == because
    assert stops(table[:1], "interviews") is None


def test_a_storage_feeds_what_it_can_read() -> None:
    """Each piece reads the whole of its recording; so many bytes can't come faster than the storage gives them."""
    slow = Assumed(hours=100.0, storage_gb_s=0.05)
    told = simulated(costs(), "interviews", 30.0, 4, slow)
    found = lengths("interviews", 100.0)
    assert told.total_h * 3600 > 0.95 * read_gb(found, slow.cut) / 0.05
    assert told.loss == "stalled"
