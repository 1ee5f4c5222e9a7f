"""Bandwidth, rivals and caches: what slows a vCPU down beside distance."""

from math import inf

import pytest

from numaplace.instances.shapes import HostShape, make_host
from numaplace.solver.simulator.engine import simulate
from numaplace.solver.simulator.machine import Machine
from numaplace.solver.simulator.progress import fair_level, loaded_latency
from numaplace.solver.simulator.scenario import Hypervisor, Rivalry, Scenario
from numaplace.tests.solver.simulator.scenes import TALK, floating, pinned

NARROW = Machine(make_host(HostShape(cores_per_node=4, bandwidth_mbps=10_000), "narrow"))


def test_latency_grows_with_load() -> None:
    assert loaded_latency(0.0) == 1.0
    assert loaded_latency(0.49) == pytest.approx(1.27)
    assert loaded_latency(0.245) == pytest.approx(1.135)
    assert loaded_latency(1.0) == loaded_latency(5.0) == 2.93
    shares = [loaded_latency(share / 100) for share in range(101)]
    assert shares == sorted(shares)


def test_bandwidth_is_shared_fairly() -> None:
    assert fair_level([3.0, 4.0], 10.0) == inf
    assert fair_level([8.0, 8.0], 10.0) == 5.0
    assert fair_level([1.0, 9.0, 9.0], 10.0) == 4.5
    assert fair_level([], 10.0) == inf


def test_a_stream_is_held_back_and_starves_nobody() -> None:
    """It asks for half as much again as the peak, whatever the latency; the other is modest."""
    stream = pinned("stream", 0, 1, NARROW, memory_intensity=0.0, bandwidth_mbps=15_000.0)
    modest = pinned("modest", 0, 1, NARROW, memory_intensity=0.3, bandwidth_mbps=100.0)
    outcome = simulate(Scenario(NARROW, (stream, modest)), 60, warm_up_s=1)
    first, second = (guest.throughput(outcome.time_us) for guest in outcome.guests)
    assert 15_000 * first + 100 * second == pytest.approx(10_000, rel=0.01)
    assert second == pytest.approx(1 / (1 + 0.3 * 1.93), rel=0.01)


def test_no_more_than_the_peak_gets_through() -> None:
    vms = tuple(
        pinned(f"v{i}", 0, 2, NARROW, memory_intensity=0.8, bandwidth_mbps=10_000.0)
        for i in range(2)
    )
    outcome = simulate(Scenario(NARROW, vms), 5, warm_up_s=1)
    through = sum(10_000 * guest.throughput(outcome.time_us) / 2 for guest in outcome.guests)
    assert 8_500 < through < 10_100
    alone = simulate(Scenario(NARROW, vms[:1]), 5, warm_up_s=1)
    assert alone.throughput > outcome.throughput / 2


def test_rivals_slow_each_other_down_only_where_they_meet() -> None:
    near = (pinned("a", 0), pinned("b", 0))
    apart = (pinned("a", 0), pinned("b", 1))
    rivalry = (Rivalry(0, 1, (0.25, 0.5), TALK.cache_of),)
    slowed = simulate(Scenario(TALK, near, rivalries=rivalry), 4, warm_up_s=0.5)
    first, second = (guest.throughput(slowed.time_us) for guest in slowed.guests)
    assert first == pytest.approx(2 / 1.25, rel=0.01)
    assert second == pytest.approx(2 / 1.5, rel=0.01)
    free = simulate(Scenario(TALK, apart, rivalries=rivalry), 4, warm_up_s=0.5)
    assert free.throughput == pytest.approx(4.0, rel=0.001)


def test_a_new_cache_costs_work() -> None:
    """The more a program waits for memory the more; one that does not needs no cache."""
    lost = []
    for intensity in (0.0, 0.4, 0.8):
        vms = [floating(f"v{i}", utilisation=0.6, memory_intensity=intensity) for i in range(10)]
        free, cold = (
            simulate(
                Scenario(TALK, tuple(vms), hypervisor=Hypervisor(cache_refill_us=refill)),
                5,
                seed=2,
                warm_up_s=0.5,
            )
            for refill in (0.0, 3000.0)
        )
        assert sum(free.steals.values()) > 100
        lost.append(free.throughput - cold.throughput)
    assert lost[0] == 0
    assert lost[2] == pytest.approx(2 * lost[1], rel=0.05) and lost[1] > 0.1
