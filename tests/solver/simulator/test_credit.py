"""The credit scheduler on cases that can be worked out by hand."""

import pytest

from numaplace.instances.shapes import HostShape, make_host
from numaplace.solver.simulator.balance import Release, pick, victim
from numaplace.solver.simulator.credit import CreditBank, burn
from numaplace.solver.simulator.engine import Simulation, simulate
from numaplace.solver.simulator.guest import Domain, Priority, VCpu
from numaplace.solver.simulator.machine import Machine, members, next_in
from numaplace.solver.simulator.scenario import Guest, GuestCpu, Hypervisor, Scenario
from numaplace.tests.solver.simulator.scenes import TALK, floating, local, pinned, preferring

SLICE = 30_000
XEN_4_2 = Hypervisor(Release.XEN_4_2)


def test_sets_of_pcpus() -> None:
    assert members(0b10110) == [1, 2, 4]
    assert next_in(0b10110, 2) == 4
    assert next_in(0b10110, 4) == 1
    assert next_in(0b100, 2) == 2
    assert TALK.node_mask == (0x00FF, 0xFF00)
    assert TALK.core_mask[0] == 0b11
    assert TALK.socket_mask[9] == 0xFF00


def domain_of(vcpus: int, weight: int = 256, cap: int = 0) -> Domain:
    domain = Domain("d", weight, cap)
    for number in range(vcpus):
        vcpu = VCpu(number, domain, number, 1, 1)
        domain.vcpus.append(vcpu)
        CreditBank([domain], 1, SLICE).activate(vcpu)
    return domain


def hand_out(*domains: Domain, pcpus: int) -> None:
    CreditBank(list(domains), pcpus, SLICE).hand_out(lambda v: None, lambda v: None)


def test_credit_is_shared_by_weight() -> None:
    light, heavy = domain_of(2, 256), domain_of(2, 512)
    for vcpu in light.vcpus + heavy.vcpus:
        vcpu.credit = -SLICE
    hand_out(light, heavy, pcpus=2)
    assert [v.credit for v in light.vcpus] == [-SLICE + 10_000] * 2
    assert [v.credit for v in heavy.vcpus] == [-SLICE + 20_000] * 2
    assert {v.priority for v in light.vcpus + heavy.vcpus} == {Priority.OVER}


def test_what_one_cannot_use_goes_to_the_next() -> None:
    """One vCPU earns a timeslice at most; the other domain's three share the rest of 4 pCPUs' 3."""
    small, large = domain_of(1, 1024), domain_of(3, 256)
    for vcpu in small.vcpus + large.vcpus:
        vcpu.credit = -SLICE
    hand_out(small, large, pcpus=3)
    assert small.vcpus[0].credit == 0
    assert [v.credit for v in large.vcpus] == pytest.approx([-10_000] * 3, abs=2)


def test_weights_hold_beside_a_vm_that_cannot_use_its_share() -> None:
    """Two pCPUs: one vCPU of huge weight takes one; the others share the second one to two."""
    everywhere = 0b11
    machine = Machine(make_host(HostShape(sockets=1, cores_per_node=2), "two"))
    cpu = GuestCpu(everywhere, everywhere, (1.0,))
    guests = (
        Guest("light", (cpu,) * 2),
        Guest("heavy", (cpu,) * 2, weight=512),
        Guest("huge", (cpu,), weight=65535),
    )
    outcome = simulate(Scenario(machine, guests), 30, warm_up_s=2)
    light, heavy, huge = (guest.run_us / outcome.time_us for guest in outcome.guests)
    assert huge == pytest.approx(1.0, abs=0.02)
    assert heavy / light == pytest.approx(2.0, rel=0.05)


def test_debts_are_paid_back() -> None:
    """While all together are in debt, a vCPU earns its share of that beyond what it can burn."""
    first, second = domain_of(1), domain_of(1)
    bank = CreditBank([first, second], 2, SLICE)
    for vcpu in first.vcpus + second.vcpus:
        vcpu.credit = -SLICE - 4000
    bank.hand_out(lambda v: None, lambda v: None)
    assert [first.vcpus[0].credit, second.vcpus[0].credit] == [-4000, -4000]
    bank.hand_out(lambda v: None, lambda v: None)
    assert [first.vcpus[0].credit, second.vcpus[0].credit] == [SLICE, SLICE]


def test_who_has_enough_comes_first_only_behind_someone_short() -> None:
    """What it leaves over is then for those that were short."""
    short, rich = domain_of(2, 128), domain_of(1, 4096)
    for vcpu in short.vcpus + rich.vcpus:
        vcpu.credit = -SLICE
    bank = CreditBank([short, rich], 2, SLICE)
    bank.hand_out(lambda v: None, lambda v: None)
    once = short.vcpus[0].credit
    for vcpu in short.vcpus + rich.vcpus:
        vcpu.credit = -SLICE
    bank._balance = 0
    bank.hand_out(lambda v: None, lambda v: None)
    assert once < short.vcpus[0].credit == pytest.approx(-SLICE // 2, abs=1)


def test_a_capped_vcpu_waits_while_it_is_parked() -> None:
    outcome = simulate(Scenario(TALK, (pinned("vm", 0, 1, cap=50),)), 10, warm_up_s=1)
    count = outcome.guests[0]
    assert count.run_us + count.wait_us == pytest.approx(10_000_000, abs=10)


def test_a_rich_vcpu_leaves_the_active_set_with_half() -> None:
    domain = domain_of(1)
    domain.vcpus[0].credit = 10_000
    hand_out(domain, pcpus=1)
    assert not domain.vcpus[0].active
    assert domain.vcpus[0].credit == 20_000


def test_running_burns_a_hundredth_a_microsecond() -> None:
    vcpu = domain_of(1).vcpus[0]
    burn(vcpu, 10_000)
    burn(vcpu, 12_000)
    assert vcpu.credit == -12_000


def test_pick_spreads_over_cores_then_sockets() -> None:
    domain = domain_of(1)
    vcpu = domain.vcpus[0]
    vcpu.hard = vcpu.soft = TALK.everywhere
    vcpu.running = True
    bias = list(range(TALK.size))
    # It runs on pCPU 0, whose sibling 1 is busy: another core of the socket is quieter.
    idle = TALK.everywhere & ~0b11
    chosen = pick(vcpu, idle & 0xFF, TALK, bias, Release.XEN_4_2, lonely=True)
    assert chosen >= 2
    # Three idle threads here, seven there: not twice as many without its own, so it stays near.
    assert pick(vcpu, 0, TALK, bias, Release.XEN_4_2, lonely=True) == 0
    # Somebody waits here: a thread of a core that is half busy is better than none.
    assert pick(vcpu, 0b10, TALK, bias, Release.XEN_4_17, lonely=False) == 1


def test_pick_leaves_the_soft_set_only_if_it_has_no_idle_pcpu() -> None:
    vcpu = domain_of(1).vcpus[0]
    vcpu.hard, vcpu.soft, vcpu.pcpu = TALK.everywhere, TALK.node_mask[0], 3
    bias = list(range(TALK.size))
    assert pick(vcpu, TALK.node_mask[1] | 0b1, TALK, bias, Release.XEN_4_3, lonely=False) == 0
    assert pick(vcpu, TALK.node_mask[1], TALK, bias, Release.XEN_4_3, lonely=False) >= 8
    # 4.2 knows no soft affinity: any idle pCPU will do.
    assert pick(vcpu, TALK.node_mask[1] | 0b1, TALK, bias, Release.XEN_4_2, lonely=False) >= 8


def test_a_thief_takes_work_that_prefers_it_before_any_other() -> None:
    domain = domain_of(2)
    near, far = domain.vcpus
    far.hard = far.soft = TALK.everywhere
    near.hard, near.soft = TALK.everywhere, TALK.node_mask[1]
    queues: list[list[VCpu]] = [[] for _ in range(TALK.size)]
    queues[9], queues[2] = [far], [near]
    waiting = 1 << 9 | 1 << 2
    found = victim(8, Priority.IDLE, queues, waiting, TALK, Release.XEN_4_3, [0, 8])
    assert found is near
    assert victim(8, Priority.IDLE, queues, waiting, TALK, Release.XEN_4_2, [0, 8]) is far
    near.hard = near.soft = TALK.node_mask[0]
    far.hard = far.soft = TALK.node_mask[0]
    assert victim(8, Priority.IDLE, queues, waiting, TALK, Release.XEN_4_3, [0, 8]) is None


def test_todays_thief_goes_on_behind_its_last_victim() -> None:
    queues: list[list[VCpu]] = [[] for _ in range(TALK.size)]
    for pcpu in (9, 12):
        vcpu = domain_of(1).vcpus[0]
        vcpu.hard = vcpu.soft = TALK.everywhere
        vcpu.pcpu = pcpu
        queues[pcpu] = [vcpu]
    last, waiting = [0, 9], 1 << 9 | 1 << 12
    old = victim(0, Priority.IDLE, queues, waiting, TALK, Release.XEN_4_3, last)
    assert old is queues[9][0]
    last = [0, 9]
    found = victim(0, Priority.IDLE, queues, waiting, TALK, Release.XEN_4_17, last)
    assert found is queues[12][0] and last == [0, 12]


def test_only_better_work_is_stolen() -> None:
    vcpu = domain_of(1).vcpus[0]
    vcpu.hard = vcpu.soft = TALK.everywhere
    queues: list[list[VCpu]] = [[vcpu], *([] for _ in range(TALK.size - 1))]
    vcpu.priority = Priority.OVER
    assert victim(5, Priority.OVER, queues, 1, TALK, Release.XEN_4_2, [0, 8]) is None
    vcpu.priority = Priority.UNDER
    assert victim(5, Priority.OVER, queues, 1, TALK, Release.XEN_4_2, [0, 8]) is vcpu


def test_weights_share_a_full_host() -> None:
    """Twice the weight is twice the time, where every pCPU is wanted."""
    scene = Scenario(TALK, (floating("light", 16), floating("heavy", 16, weight=512)))
    first, second = simulate(scene, 20, seed=3, warm_up_s=1).guests
    assert second.run_us / first.run_us == pytest.approx(2.0, rel=0.05)
    assert first.run_us + second.run_us == pytest.approx(16 * 20e6, rel=1e-6)


def test_a_cap_holds_a_vm_back() -> None:
    outcome = simulate(Scenario(TALK, (pinned("vm", 0, 2, cap=50),)), 20, warm_up_s=1)
    assert outcome.guests[0].run_us / outcome.time_us == pytest.approx(0.5, abs=0.06)


def test_a_waking_vcpu_is_boosted_before_busy_ones() -> None:
    """On one pCPU, a VM that is seldom busy hardly waits for one that always is."""
    cpu = (GuestCpu(1, 1, local(TALK, 0)),)
    seldom = Guest("seldom", cpu, utilisation=0.1, busy_ms=2)
    outcome = simulate(Scenario(TALK, (Guest("busy", cpu), seldom)), 10, warm_up_s=1)
    assert outcome.guests[1].run_us > 0.9e6
    assert outcome.guests[1].wait_us < 0.2 * outcome.guests[1].run_us


def test_alone_and_local_a_vcpu_does_its_full_work() -> None:
    outcome = simulate(Scenario(TALK, (pinned("vm", 0, 2),)), 5, warm_up_s=0.1)
    assert outcome.throughput == pytest.approx(2.0, rel=1e-6)
    assert outcome.remote_share == 0
    assert outcome.fairness == 1


def test_threads_of_one_core_share_its_yield() -> None:
    """Eight busy vCPUs on the four cores of a node do 4 x 1.25."""
    outcome = simulate(Scenario(TALK, (pinned("vm", 0, 8),)), 5, warm_up_s=0.5)
    assert outcome.throughput == pytest.approx(5.0, rel=1e-3)


def test_striped_memory_costs_what_the_formula_says() -> None:
    scene = Scenario(TALK, (floating("vm", 2, memory_intensity=0.4),), hypervisor=XEN_4_2)
    outcome = simulate(scene, 5, warm_up_s=0.5)
    assert outcome.remote_share == 0.5
    assert outcome.throughput == pytest.approx(2 / (1 + 0.4 * 0.5 * 1.1), rel=1e-6)


def test_soft_affinity_stays_home_while_there_is_room_and_leaves_when_there_is_not() -> None:
    few = Scenario(TALK, tuple(preferring(f"v{i}", i % 2) for i in range(4)))
    assert simulate(few, 5, seed=1, warm_up_s=0.5).remote_share == 0
    crowd = Scenario(TALK, tuple(preferring(f"v{i}", 0) for i in range(6)))
    outcome = simulate(crowd, 5, seed=1, warm_up_s=0.5)
    assert 0.1 < outcome.remote_share < 0.5
    assert outcome.wait_share == pytest.approx(0, abs=0.01)
    penned = Scenario(TALK, tuple(pinned(f"v{i}", 0) for i in range(6)))
    assert simulate(penned, 5, seed=1, warm_up_s=0.5).wait_share > 0.25


def test_stop_hands_over_what_was_simulated() -> None:
    answers = iter([False, False, True])
    outcome = simulate(Scenario(TALK, (pinned("vm", 0),)), 60, should_stop=lambda: next(answers))
    assert outcome.time_us == 200_000
    assert outcome.guests[0].run_us > 0


def test_seeds_differ() -> None:
    scene = Scenario(TALK, tuple(floating(f"v{i}", utilisation=0.7) for i in range(8)))
    runs = {simulate(scene, 1, seed=seed).throughput for seed in range(3)}
    assert len(runs) == 3
    assert Simulation(scene, seed=1).vcpus[0].pcpu != -1
