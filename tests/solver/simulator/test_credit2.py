"""The credit2 scheduler on cases that can be worked out by hand."""

import pytest

from numaplace.instances.shapes import HostShape, make_host
from numaplace.solver.simulator.engine import Simulation, simulate
from numaplace.solver.simulator.machine import Machine, members
from numaplace.solver.simulator.runqueue import WINDOW_US, Average, runqueues
from numaplace.solver.simulator.scenario import Guest, GuestCpu, Hypervisor, Scenario, SchedulerName
from numaplace.tests.solver.simulator.scenes import TALK, floating, local, pinned, preferring

CREDIT2 = Hypervisor(scheduler=SchedulerName.CREDIT2)


def test_a_queue_is_a_socket_of_at_most_sixteen_pcpus() -> None:
    assert [queue.pcpus for queue in runqueues(TALK)] == [0x00FF, 0xFF00]
    big = Machine(make_host(HostShape(sockets=2, cores_per_node=12, threads_per_core=2), "big"))
    # A further queue is begun when there is no room for a core in those of its socket.
    assert [queue.pcpus.bit_count() for queue in runqueues(big)] == [16, 8, 16, 8]
    assert all(core & queue.pcpus == core for queue in runqueues(big) for core in queue.cores)


def test_an_average_forgets_within_its_window() -> None:
    average = Average(0.5)
    average.update(1.0, WINDOW_US // 2)
    assert average.mean == pytest.approx(0.75)
    average.update(0.0, 2 * WINDOW_US)
    assert average.mean == 0.0


def test_vcpus_wake_on_cores_that_are_all_idle() -> None:
    simulation = Simulation(Scenario(TALK, (pinned("vm", 0, 4),), hypervisor=CREDIT2))
    simulation.run_until(100_000)
    assert {pcpu // 2 for pcpu in members(simulation.busy)} == {0, 1, 2, 3}


def test_balancing_looks_at_hard_affinity_only() -> None:
    """Alone on a host, one of two vCPUs goes to the other socket; pinned it does not."""
    soft = Scenario(TALK, (preferring("vm", 0),), hypervisor=CREDIT2)
    assert simulate(soft, 5, warm_up_s=1).remote_share == pytest.approx(0.5)
    assert simulate(Scenario(TALK, (preferring("vm", 0),)), 5, warm_up_s=1).remote_share == 0
    hard = Scenario(TALK, (pinned("vm", 0),), hypervisor=CREDIT2)
    assert simulate(hard, 5, warm_up_s=1).remote_share == 0


def test_soft_affinity_counts_within_a_queue() -> None:
    """Two nodes of one socket share a queue: a vCPU wakes where it would rather be."""
    machine = Machine(make_host(HostShape(sockets=1, nodes_per_socket=2, cores_per_node=2), "one"))
    cpu = GuestCpu(machine.everywhere, machine.node_mask[1], local(machine, 1))
    vm = Guest("vm", (cpu,), utilisation=0.5, busy_ms=5)
    outcome = simulate(Scenario(machine, (vm,), hypervisor=CREDIT2), 5, warm_up_s=1)
    assert outcome.remote_share == 0


def test_weights_share_a_full_host() -> None:
    guests = (floating("light", 16), floating("heavy", 16, weight=512))
    first, second = simulate(Scenario(TALK, guests, hypervisor=CREDIT2), 10, warm_up_s=1).guests
    assert second.run_us / first.run_us == pytest.approx(2.0, rel=0.08)
    assert first.run_us + second.run_us == pytest.approx(16 * 10e6, rel=1e-3)


def test_those_that_always_run_get_the_same() -> None:
    guests = tuple(floating(f"v{number}") for number in range(10))
    outcome = simulate(Scenario(TALK, guests, hypervisor=CREDIT2), 5, warm_up_s=1)
    runs = [guest.run_us / outcome.time_us / 2 for guest in outcome.guests]
    assert min(runs) > 0.75 and max(runs) < 0.85
    assert outcome.wait_share == pytest.approx(0.2, abs=0.005)


@pytest.mark.parametrize("cap", [30, 150])
def test_a_cap_holds_a_vm_back(cap: int) -> None:
    guests = (pinned("vm", 0, 2, cap=cap), pinned("other", 0, 2))
    outcome = simulate(Scenario(TALK, guests, hypervisor=CREDIT2), 10, warm_up_s=1)
    capped, other = (guest.run_us / outcome.time_us for guest in outcome.guests)
    assert capped == pytest.approx(cap / 100, rel=0.1)
    assert other == pytest.approx(2.0, rel=1e-3)


@pytest.mark.parametrize("scheduler", SchedulerName)
def test_in_an_emulator_pcpus_answer_in_their_turn(scheduler: SchedulerName) -> None:
    """A vCPU that wakes waits half a round on average, and less is switched."""
    cpu = (GuestCpu(TALK.everywhere, TALK.everywhere, local(TALK, 0)),)
    busy = tuple(floating(f"v{number}") for number in range(8))
    guests = (*busy, Guest("wakes", cpu, utilisation=0.05, busy_ms=1))
    found = []
    for turn_us in (0, 1600):
        hypervisor = Hypervisor(scheduler=scheduler, turn_us=turn_us)
        outcome = simulate(Scenario(TALK, guests, hypervisor=hypervisor), 5, warm_up_s=1)
        found.append(outcome)
        for guest, count in zip(guests, outcome.guests, strict=True):
            if guest.utilisation == 1.0:
                whole = len(guest.cpus) * outcome.time_us
                assert count.run_us + count.wait_us == pytest.approx(whole, abs=10)
    at_once, in_turn = found
    assert in_turn.guests[-1].wait_us > 5 * at_once.guests[-1].wait_us
    assert in_turn.switches < at_once.switches


def test_vms_start_in_turn_if_told() -> None:
    guests = tuple(pinned(f"v{number}", 0, 1) for number in range(3))
    simulation = Simulation(Scenario(TALK, guests, hypervisor=Hypervisor(start_gap_ms=100)))
    simulation.run_until(150_000)
    assert simulation.busy.bit_count() == 2
    outcome = simulate(simulation.scenario, 1.0)
    assert [guest.run_us for guest in outcome.guests] == [1_000_000] * 3
