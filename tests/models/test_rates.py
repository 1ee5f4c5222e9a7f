"""Slowdown, contention and bandwidth as functions: shape and rounding."""

from __future__ import annotations

import itertools

import pytest

from numaplace.models.instance import Instance
from numaplace.models.prices import Prices
from numaplace.models.rates import (
    Contention,
    bandwidth_loss,
    contention,
    demand_per_block,
    slowdown,
)
from numaplace.models.topology import Host, NumaNode, PCpu
from numaplace.models.vm import Vm

CURVES = [
    Contention(2000, 4000, 750),
    Contention(2000, 2000, 750),
    Contention(1000, 4000, 750),
    Contention(4000, 8000, 0),
    Contention(4000, 8000, 1000),
    Contention(0, 0, 750),
]


def test_slowdown_by_hand() -> None:
    """mu (r-1) / (1 + mu (r-1)): 0 if local or never waiting, 1/3 for (0.5, 2), 2/3 for (1, 3)."""
    assert slowdown(0.5, 1.0) == 0.0 == slowdown(0.0, 9.0)
    assert slowdown(0.5, 2.0) == pytest.approx(1 / 3)
    assert slowdown(1.0, 3.0) == pytest.approx(2 / 3)
    assert slowdown(1.0, 100_000.0) < 1.0


@pytest.mark.parametrize("curve", CURVES)
def test_contention_is_convex_continuous_and_zero_at_rest(curve: Contention) -> None:
    """Differences of steps of 1 milli-vCPU never fall, and no step is more than 1 vCPU per vCPU."""
    top = curve.threads_milli + 3000
    losses = [curve.loss(load) for load in range(top)]
    steps = [b - a for a, b in itertools.pairwise(losses)]
    assert losses[0] == 0
    assert all(a <= b for a, b in itertools.pairwise(steps))
    assert min(steps) >= 0 and max(steps) <= 1000
    assert steps[-1] == 1000, "beyond the threads each vCPU is lost whole"


@pytest.mark.parametrize("curve", CURVES)
def test_contention_bends_at_cores_and_at_threads(curve: Contention) -> None:
    """0 at the cores, slope x (threads - cores) at the threads, and the whole load is kept."""
    assert curve.loss(curve.cores_milli) == 0
    at_threads = curve.slope * (curve.threads_milli - curve.cores_milli)
    assert curve.loss(curve.threads_milli) == at_threads
    assert curve.loss(curve.threads_milli + 5) == at_threads + 5000
    for load in (0, curve.cores_milli, curve.threads_milli, 9999):
        lines = [slope * load + offset for slope, offset in curve.lines()]
        assert curve.loss(load) == max(0, *lines)


def test_contention_of_a_place_reads_cores_threads_and_yield() -> None:
    """Yield 1.6 makes a second thread lose 0.4; a node without pCPUs loses every vCPU."""
    pcpus = tuple(PCpu(t, t // 2) for t in range(4))
    host = Host("h", (NumaNode(0, pcpus, 256), NumaNode(1, (), 256)), smt_yield=1.6)
    busy, bare = Instance((host,), ()).places
    assert contention(busy) == Contention(2000, 4000, 400)
    assert contention(bare).loss(500) == 500_000


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


def test_without_a_price_bandwidth_is_free() -> None:
    """A price of 0 gives 0 however large the excess."""
    assert _bandwidth(1_000_000, 7, 0.0) == 0
