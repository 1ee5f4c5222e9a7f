"""Slowdown, contention and bandwidth as functions: shape and rounding."""

from __future__ import annotations

import itertools

import numpy as np
import pulp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from numaplace.models.instance import Instance
from numaplace.models.prices import Prices
from numaplace.models.rates import (
    Bandwidth,
    Contention,
    ContentionLines,
    bandwidth_loss,
    contention,
    demand_per_block,
    slowdown,
)
from numaplace.models.smt import smt_yield, thread_speed
from numaplace.models.topology import Host, NumaNode, PCpu
from numaplace.models.vm import Vm

CURVES = [(2, 4, 750), (2, 2, 750), (1, 4, 750), (4, 8, 0), (4, 8, 1000), (0, 0, 750)]


def test_slowdown_by_hand() -> None:
    """mu (r-1) / (1 + mu (r-1)): 0 if local or never waiting, 1/3 for (0.5, 2), 2/3 for (1, 3)."""
    assert slowdown(0.5, 1.0) == 0.0 == slowdown(0.0, 9.0)
    assert slowdown(0.5, 2.0) == pytest.approx(1 / 3)
    assert slowdown(1.0, 3.0) == pytest.approx(2 / 3)
    assert slowdown(1.0, 100_000.0) < 1.0


@pytest.mark.parametrize(("cores", "threads", "slope"), CURVES)
def test_contention_is_convex_continuous_and_zero_at_rest(
    cores: int, threads: int, slope: int
) -> None:
    """Differences of steps of 1 milli-vCPU never fall, and no step is more than 1 vCPU per vCPU."""
    curve = Contention(cores, threads)
    losses = [curve.loss({slope: load}) for load in range(threads * 1000 + 3000)]
    steps = [b - a for a, b in itertools.pairwise(losses)]
    assert losses[0] == 0
    assert all(a <= b for a, b in itertools.pairwise(steps))
    assert min(steps) >= 0 and max(steps) <= 1000
    assert steps[-1] == 1000, "beyond the threads each vCPU is lost whole"


@pytest.mark.parametrize(("cores", "threads", "slope"), CURVES)
def test_contention_bends_at_cores_and_at_threads(cores: int, threads: int, slope: int) -> None:
    """0 at the cores, slope x (threads - cores) at the threads, and the whole load is kept."""
    curve = Contention(cores, threads)
    assert curve.loss({slope: cores * 1000}) == 0
    at_threads = slope * (threads - cores) * 1000
    assert curve.loss({slope: threads * 1000}) == at_threads
    assert curve.loss({slope: threads * 1000 + 5}) == at_threads + 5000


@given(
    st.dictionaries(st.sampled_from((300, 500, 800, 1000)), st.integers(1, 8000), min_size=1),
    st.sampled_from(((2, 2), (2, 4), (4, 8), (1, 4))),
)
def test_contention_is_the_least_loss_of_those_who_share(
    parts: dict[int, int], size: tuple[int, int]
) -> None:
    """A vCPU alone takes a core; one that shares C/T; one that waits none: a linear program."""
    cores, threads = size
    part = cores / threads
    program = pulp.LpProblem()
    taken, lost = [], []
    for crowding, milli in parts.items():
        alone, shares, waits = (
            program.add_variable(f"{crowding}_{way}", lowBound=0) for way in range(3)
        )
        program += alone + shares + waits == milli / 1000
        taken += [alone, part * shares]
        lost += [crowding / 1000 * (1 - part) * shares, waits]
    program += pulp.lpSum(taken) <= cores
    program.setObjective(pulp.lpSum(lost))
    program.solve(pulp.HiGHS(msg=False))
    least = pulp.value(program.objective) or 0.0
    assert Contention(*size).loss(parts) / 1e6 == pytest.approx(least, abs=1e-5)


@given(
    st.dictionaries(st.sampled_from(range(0, 1001, 50)), st.integers(1, 8000), min_size=1),
    st.sampled_from(((6, 7), (4, 7), (5, 6), (2, 8), (3, 5), (2, 4))),
    st.sets(st.sampled_from(range(0, 1001, 50))),
)
def test_what_might_be_there_too_changes_no_price(
    parts: dict[int, int], size: tuple[int, int], absent: set[int]
) -> None:
    """Lines for crowdings that are not there never lift the loss, nor where cores have no pairs."""
    curve = Contention(*size)
    lines = ContentionLines([curve], {*parts, *absent})
    values = -lines.offsets
    for crowding, milli in parts.items():
        values = values + milli * lines.weights(crowding)
    assert ContentionLines.loss(values).tolist() == [curve.loss(parts)]


def test_many_curves_are_one_of_arrays() -> None:
    """Values of lines give what each curve gives alone, whatever crowdings there might be too."""
    curves = [Contention(cores, threads) for cores, threads, _ in CURVES]
    lines = ContentionLines(curves, (300, 500, 800))
    parts = {500: 2500, 800: 1200}
    values = -lines.offsets
    for crowding, milli in parts.items():
        values = values + milli * lines.weights(crowding)
    assert ContentionLines.loss(values).tolist() == [curve.loss(parts) for curve in curves]


def test_contention_of_a_place_reads_cores_and_threads() -> None:
    """A node without pCPUs loses every vCPU."""
    pcpus = tuple(PCpu(t, t // 2) for t in range(4))
    host = Host("h", (NumaNode(0, pcpus, 256), NumaNode(1, (), 256)))
    busy, bare = Instance((host,), ()).places
    assert contention(busy) == Contention(2, 4)
    assert contention(bare).loss({600: 500}) == 500_000


@pytest.mark.parametrize(("mu", "expected"), [(0.0, 1.25), (0.367, 1.45), (1.0, 2.0)])
def test_who_waits_for_memory_leaves_the_core_to_its_sibling(mu: float, expected: float) -> None:
    """1 / (0.633 / 1.25 + 0.367 / 2) = 1.45; a stated yield counts as it is."""
    assert smt_yield(Vm("a", 1, 64, memory_intensity=mu), 1.25) == pytest.approx(
        expected, abs=0.002
    )
    assert smt_yield(Vm("a", 1, 64, memory_intensity=mu, smt_yield=1.1), 1.25) == 1.1


def test_speed_of_threads_falls_along_one_line() -> None:
    """Two threads that yield 1.25 run at 0.625 each; four of a core yield 4 - 3 * 0.75."""
    assert [thread_speed(1.25, busy) * busy for busy in (1, 2, 4)] == [1.0, 1.25, 1.75]


def _bandwidth(demand_mbps: int, blocks: int, price: float) -> int:
    """Return the loss of a VM of 7 blocks with `blocks` of them on a node of 2000 MB/s."""
    host = Host("h", (NumaNode(0, (PCpu(0, 0),), 7, bandwidth_mbps=2000),))
    vm = Vm("a", 1, 7, bandwidth_mbps=demand_mbps, block_mib=1)
    instance = Instance((host,), (vm,), prices=Prices(vcpus_per_mbps=price))
    return bandwidth_loss(instance, instance.places[0], blocks * demand_per_block(instance, vm))


def test_bandwidth_is_rounded_up_to_a_micro_vcpu() -> None:
    """3000/7 = 428.571 MB/s a block; 5 blocks exceed 2000 by 142.855: at 1 micro each 143."""
    assert _bandwidth(3000, 5, 0.000001) == 143
    assert _bandwidth(3000, 4, 0.000001) == 0
    assert _bandwidth(14_007, 1, 0.000001) == 1, "a single MB/s too much"
    assert _bandwidth(14_000, 1, 0.000001) == 0, "exactly what the node has"


def test_bandwidth_costs_from_where_latency_rises() -> None:
    """2000 MB/s: nothing up to 980, a fifth of 10 micro from there, all of it from 2000 on.

    As the lines that formulations take say it, and for arrays as for numbers.
    """
    curve = Bandwidth(10, 2_000_000)
    demands = [0, 980_000, 980_001, 1_500_000, 2_000_000, 2_500_000]
    losses = [curve.loss(demand) for demand in demands]
    assert losses == [0, 0, 1, 1040, 2040, 7040]
    for demand, lost in zip(demands, losses, strict=True):
        values = (price * demand - most for price, _, most in curve.lines())
        assert lost == max(0, *(-(-value // 1000) for value in values))
    many = Bandwidth(10, np.array([2_000_000, 1 << 60]))
    assert many.loss(np.array([2_500_000, 2_500_000])).tolist() == [7040, 0]
    assert [price for price, *_ in Bandwidth(1, 2_000_000).lines()] == [1], "too cheap to begin"


def test_without_a_price_bandwidth_is_free() -> None:
    """A price of 0 gives 0 however large the excess."""
    assert _bandwidth(1_000_000, 7, 0.0) == 0
