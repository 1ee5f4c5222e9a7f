"""What holds at every instant of every simulation."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numaplace.solver.simulator.credit1 import Credit1
from numaplace.solver.simulator.credit2 import Credit2
from numaplace.solver.simulator.engine import Simulation, simulate
from numaplace.solver.simulator.guest import VCpu
from numaplace.solver.simulator.scenario import US_PER_S, Scenario
from numaplace.tests.solver.simulator.scenes import scenes


def check(simulation: Simulation) -> None:
    """No vCPU in two places, none outside its set, credit in bounds, no pCPU idle in vain."""
    running = [vcpu for vcpu in simulation.current if vcpu is not None]
    scheduler = simulation.scheduler
    if isinstance(scheduler, Credit1):
        queued = _check_queues(simulation, scheduler)
    else:
        assert isinstance(scheduler, Credit2)
        queued = _check_runqueues(simulation, scheduler)
    assert len({vcpu.index for vcpu in queued + running}) == len(queued + running)
    for pcpu, vcpu in enumerate(simulation.current):
        assert (vcpu is None) == bool(simulation.idle >> pcpu & 1)
        assert (vcpu is None) != bool(simulation.busy >> pcpu & 1)
        if vcpu is not None:
            assert vcpu.running
            assert vcpu.pcpu == pcpu
            assert vcpu.hard >> pcpu & 1
            assert vcpu.runnable
            assert not vcpu.parked
    assert not any(vcpu.running for vcpu in queued)
    wanting = [v for v in simulation.vcpus if v.runnable and not v.parked]
    assert {vcpu.index for vcpu in wanting} == {vcpu.index for vcpu in queued + running}


def _check_queues(simulation: Simulation, scheduler: Credit1) -> list[VCpu]:
    """Each pCPU has its queue, and no idle pCPU could take anybody."""
    for pcpu, queue in enumerate(scheduler.queues):
        assert bool(queue) == bool(scheduler.waiting >> pcpu & 1)
        for vcpu in queue:
            assert vcpu.pcpu == pcpu
            assert not simulation.idle & vcpu.hard, f"{vcpu.name} waits, an idle pCPU could take it"
    for vcpu in simulation.vcpus:
        _check_credit(simulation, vcpu)
    return [vcpu for queue in scheduler.queues for vcpu in queue]


def _check_runqueues(simulation: Simulation, scheduler: Credit2) -> list[VCpu]:
    """PCPUs share queues; no idle one could take anybody of its own queue."""
    members = [vcpu.index for queue in scheduler.runqueues for vcpu in queue.all]
    assert len(members) == len(set(members))
    for queue in scheduler.runqueues:
        assert queue.running == sum(v.runnable and not v.parked for v in queue.all)
        assert queue.balanced.mean >= 0
        for vcpu in queue.all:
            assert queue.pcpus >> vcpu.pcpu & 1
            assert -10_000 <= vcpu.credit <= 12_000
        for vcpu in queue.waiting:
            assert not simulation.idle & vcpu.hard & queue.pcpus, f"{vcpu.name} waits in vain"
        credits = [vcpu.credit for vcpu in queue.waiting]
        assert credits == sorted(credits, reverse=True)
    return [vcpu for queue in scheduler.runqueues for vcpu in queue.waiting]


def _check_credit(simulation: Simulation, vcpu: VCpu) -> None:
    """At most three timeslices' worth, at least minus one and what is burnt until the next.

    Once above one it is halved. While all are in debt, a vCPU earns one and its weight's share of
    the debt, which is one each: four at most here. A vCPU that does not earn burns on until a tick
    finds it running, hence the room below.
    """
    slice_credit = simulation.scenario.hypervisor.timeslice_ms * 1000
    assert -4 * slice_credit <= vcpu.credit <= 3 * slice_credit
    assert vcpu.active == (vcpu in vcpu.domain.active)


@given(scene=scenes(), seed=st.integers(0, 9))
@settings(deadline=None, max_examples=100)
def test_invariants_hold_at_every_instant(scene: Scenario, seed: int) -> None:
    Simulation(scene, seed=seed).run_until(US_PER_S // 2, check)


@given(scene=scenes(), seed=st.integers(0, 9))
@settings(deadline=None, max_examples=60)
def test_same_seed_same_result_and_time_is_conserved(scene: Scenario, seed: int) -> None:
    first = simulate(scene, 0.4, seed=seed, timeline=True)
    assert first == simulate(scene, 0.4, seed=seed, timeline=True)
    by_pcpu: dict[int, list[tuple[int, int]]] = {}
    for segment in first.segments:
        by_pcpu.setdefault(segment.pcpu, []).append((segment.start_us, segment.end_us))
    for spans in by_pcpu.values():
        spans.sort()
        assert all(a[1] <= b[0] for a, b in pairwise(spans))
    for guest, count in zip(scene.guests, first.guests, strict=True):
        assert count.run_us + count.wait_us <= len(guest.cpus) * first.time_us
        assert count.work_us <= count.run_us * (1 + 1e-9)
        assert sum(count.node_us) == count.run_us


@given(scene=scenes())
@settings(deadline=None, max_examples=40)
def test_work_is_conserved(scene: Scenario) -> None:
    """VMs that always want to run, run or wait all the time."""
    outcome = simulate(scene, 0.5, seed=1, warm_up_s=0.1)
    for guest, count in zip(scene.guests, outcome.guests, strict=True):
        if guest.utilisation == 1.0:
            whole = len(guest.cpus) * outcome.time_us
            assert count.run_us + count.wait_us == pytest.approx(whole, abs=2 * len(guest.cpus))
