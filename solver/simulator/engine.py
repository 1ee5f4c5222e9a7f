"""The simulation: vCPUs come and go, pCPUs look for work; a scheduler decides who runs where.

`scheduler` says what a scheduler is asked, `credit1` and `credit2` decide, `running` does the work,
`clock` keeps the time. Time is in whole microseconds; a seed gives one result to the last digit.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable

from numaplace.solver.simulator.clock import Clock
from numaplace.solver.simulator.counters import Outcome, Segment, Tally
from numaplace.solver.simulator.credit1 import TICKS_A_SLICE, Credit1
from numaplace.solver.simulator.credit2 import Credit2
from numaplace.solver.simulator.guest import Domain, VCpu
from numaplace.solver.simulator.machine import members
from numaplace.solver.simulator.running import Running
from numaplace.solver.simulator.scenario import US_PER_MS, US_PER_S, Scenario, SchedulerName
from numaplace.solver.simulator.scheduler import Scheduler

STEP_US = US_PER_S // 10


class Simulation:
    """A host with its scheduler, in motion.

    Parameters
    ----------
    scenario
        What is simulated.
    seed
        Seed of the phases, and of when and where vCPUs start.
    timeline
        Whether to keep who ran where.

    Attributes
    ----------
    clock
        Time, in microseconds.
    scheduler
        Who decides.
    current
        By pCPU: who runs.
    busy, idle
        Sets of pCPUs where someone runs, and where nobody does that were not told to look for work.
    told
        Set of pCPUs that were told to look for work, and have not yet.
    counted_from_us
        When the warm-up was over.
    """

    def __init__(self, scenario: Scenario, *, seed: int = 0, timeline: bool = False) -> None:
        machine = scenario.machine
        self.scenario, self.machine, self.seed = scenario, machine, seed
        self.domains = [Domain(g.name, g.weight, g.cap) for g in scenario.guests]
        self.vcpus: list[VCpu] = []
        for guest, domain in zip(scenario.guests, self.domains, strict=True):
            for number, cpu in enumerate(guest.cpus):
                vcpu = VCpu(len(self.vcpus), domain, number, cpu.hard, cpu.soft)
                domain.vcpus.append(vcpu)
                self.vcpus.append(vcpu)
        self.clock = Clock()
        self.current: list[VCpu | None] = [None] * machine.size
        self.busy, self.idle = 0, machine.everywhere
        self._answers: deque[int] = deque()
        self._answering = self.told = 0
        self._turn_us = scenario.hypervisor.turn_us
        self._leaving = [self.clock.timer(self._left, vcpu) for vcpu in self.vcpus]
        self._timeline = timeline
        self.counted_from_us = 0
        self.tally = Tally()
        self._slices = [self.clock.timer(self.tell, pcpu) for pcpu in range(machine.size)]
        self._phases = [self.clock.timer(self._turn, vcpu) for vcpu in self.vcpus]
        self.running = Running(scenario, self.vcpus, seed, self._announce_phase_end)
        scheduler = scenario.hypervisor.scheduler
        self.scheduler: Scheduler = (
            Credit2(self) if scheduler == SchedulerName.CREDIT2 else Credit1(self)
        )
        self._begin(seed)

    def _begin(self, seed: int) -> None:
        """Let vCPUs start within a timeslice, or VM by VM as told, where it is quietest then.

        Those of which it is said where they were created start there, a timeslice after another.
        """
        rng = random.Random(f"{seed}/start")
        hypervisor = self.scenario.hypervisor
        slice_us, gap_us = hypervisor.timeslice_ms * US_PER_MS, hypervisor.start_gap_ms * US_PER_MS
        starts = [  # dom0 is there before all others
            (cpu.start, 0 if guest.steady else number)
            for number, guest in enumerate(self.scenario.guests)
            for cpu in guest.cpus
        ]
        for vcpu, (start, turn) in zip(self.vcpus, starts, strict=True):
            allowed = members(vcpu.soft)
            vcpu.pcpu = allowed[rng.randrange(len(allowed))]
            at, begin = rng.randrange(slice_us) + round(turn * gap_us), self._start
            if start is not None:
                vcpu.pcpu, begin = start, self._start_there
                at += (1 + vcpu.index) * slice_us
            self.clock.set(self.clock.timer(begin, vcpu), at)
        if self.running.progress.changes:
            every = slice_us // TICKS_A_SLICE
            self._refreshing = self.clock.timer(self._refresh, every)
            self.clock.set(self._refreshing, every)

    def run_until(self, time_us: int, check: Callable[[Simulation], None] | None = None) -> None:
        """Go on until a time; `check` is called after each event."""
        if check is None:
            self.clock.run_until(time_us, self.settle)
        else:

            def settle_and_check() -> None:
                self.settle()
                check(self)

            self.clock.run_until(time_us, settle_and_check)

    def tell(self, pcpu: int) -> None:
        """Let a pCPU look for work, once the event at hand is handled."""
        bit = 1 << pcpu
        if not self._answering & bit:
            self._answering |= bit
            self.told |= bit
            self.idle &= ~bit
            self._answers.append(pcpu)

    def call(self, pcpu: int) -> None:
        """Let another pCPU look for work as soon as it answers."""
        if not self._turn_us:
            self.tell(pcpu)
        elif not self.told >> pcpu & 1:
            self.told |= 1 << pcpu
            self.idle &= ~(1 << pcpu)
            self.clock.hasten(self._slices[pcpu], self._turn_from(pcpu, self.clock.now + 1))

    def _turn_from(self, pcpu: int, time_us: int) -> int:
        """When a pCPU's turn is, at a time or next after it."""
        every = self._turn_us
        return time_us + (pcpu * every // self.machine.size - time_us) % every if every else time_us

    def settle(self) -> None:
        """Let the pCPUs that were told look for work at once."""
        answers = self._answers
        while answers:
            pcpu = answers.popleft()
            self._answering &= ~(1 << pcpu)
            self.told &= ~(1 << pcpu)
            self._schedule(pcpu)

    # ---- vCPUs come and go ----------------------------------------------------------------------

    def _start(self, vcpu: VCpu) -> None:
        vcpu.pcpu = self.scheduler.pick(vcpu)
        self._start_there(vcpu)

    def _start_there(self, vcpu: VCpu) -> None:
        self.scheduler.join(vcpu)
        self._turn(vcpu)

    def _turn(self, vcpu: VCpu) -> None:
        """End a busy phase, or begin one."""
        now, index = self.clock.now, vcpu.index
        if not vcpu.runnable:
            if self.running.busy(index):
                vcpu.runnable, vcpu.queued_us = True, now
                self.scheduler.wake(vcpu)
            return
        self.running.settle(vcpu, now)
        vcpu.runnable = False
        self.tell(vcpu.pcpu)
        self.clock.set(self._phases[index], now + self.running.blocked_us(index))

    def _announce_phase_end(self, index: int, after_us: int) -> None:
        self.clock.set(self._phases[index], self.clock.now + after_us)

    def _refresh(self, every_us: int) -> None:
        self.running.refresh(self.clock.now)
        self.clock.set(self._refreshing, self.clock.now + every_us)

    # ---- pCPUs look for work --------------------------------------------------------------------

    def _schedule(self, pcpu: int) -> None:
        """Let who is chosen run on a pCPU from now on."""
        last, now = self.current[pcpu], self.clock.now
        chosen, span_us = self.scheduler.choose(pcpu, last)
        if chosen is not last:
            if last is not None:
                self._stop(last, pcpu)
            self.current[pcpu] = chosen
            if chosen is not None:
                self._run(chosen, pcpu)
        if chosen is None:
            self.idle |= 1 << pcpu
            self.busy &= ~(1 << pcpu)
            self.clock.stop(self._slices[pcpu])
        else:
            self.busy |= 1 << pcpu
            self.clock.set(self._slices[pcpu], self._turn_from(pcpu, now + span_us))
        if last is not None and chosen is not last:
            if self._turn_us:
                last.leaving = True
                self.clock.set(self._leaving[last.index], self._turn_from(pcpu, now + 1))
            else:
                self.scheduler.left(last)

    def _left(self, vcpu: VCpu) -> None:
        vcpu.leaving = False
        self.scheduler.left(vcpu)

    def _stop(self, vcpu: VCpu, pcpu: int) -> None:
        now = self.clock.now
        self.running.stop(vcpu, now)
        if vcpu.runnable:  # a blocked one is to wake at that time
            self.clock.stop(self._phases[vcpu.index])
        vcpu.running, vcpu.queued_us = False, now
        if self._timeline:
            self.note_segment(vcpu, pcpu)

    def _run(self, vcpu: VCpu, pcpu: int) -> None:
        now = self.clock.now
        vcpu.pcpu, vcpu.running = pcpu, True
        vcpu.started_us = vcpu.burnt_us = now
        self.tally.switches += 1
        self.running.start(vcpu, now)

    def note_segment(self, vcpu: VCpu, pcpu: int) -> None:
        """Keep that a vCPU has run on a pCPU until now, if a timeline is wanted."""
        began = max(vcpu.started_us, self.counted_from_us)
        if self._timeline and self.clock.now > began:
            self.tally.segments.append(Segment(pcpu, vcpu.name, began, self.clock.now))


def simulate(
    scenario: Scenario,
    time_s: float,
    *,
    seed: int = 0,
    warm_up_s: float = 0.0,
    timeline: bool = False,
    should_stop: Callable[[], bool] | None = None,
) -> Outcome:
    """Simulate a host for some time.

    Parameters
    ----------
    scenario
        What is simulated.
    time_s, warm_up_s
        Simulated seconds that count, and those before them that do not, after the last start.
    seed
        The same seed gives the same outcome, to the last digit.
    timeline
        Whether to keep who ran where.
    should_stop
        Asked every simulated 100 ms; once it answers True, the outcome is of the time until then.
    """
    simulation = Simulation(scenario, seed=seed, timeline=timeline)
    warm_up_s += scenario.hypervisor.start_gap_ms * len(scenario.guests) / 1000
    warm, end = round(warm_up_s * US_PER_S), round((warm_up_s + time_s) * US_PER_S)
    stop = should_stop or bool
    while simulation.clock.now < warm and not stop():
        simulation.run_until(min(warm, simulation.clock.now + STEP_US))
    warm = min(warm, simulation.clock.now)
    simulation.running.forget(warm)
    simulation.counted_from_us = warm
    simulation.tally, before = Tally(), simulation.clock.events
    while simulation.clock.now < end and not stop():
        simulation.run_until(min(end, simulation.clock.now + STEP_US))
    for pcpu, vcpu in enumerate(simulation.current):
        if vcpu is not None:
            simulation.running.settle(vcpu, simulation.clock.now)
            simulation.note_segment(vcpu, pcpu)
    for vcpu in simulation.vcpus:
        if vcpu.runnable and not vcpu.running:
            waited = simulation.clock.now - max(vcpu.queued_us, warm)
            simulation.running.waited[vcpu.index] += waited
    tally = simulation.tally
    return Outcome(
        simulation.clock.now - warm,
        simulation.running.counts(),
        dict(sorted(tally.steals.items())),
        tally.migrations,
        tally.switches,
        simulation.clock.events - before,
        tuple(tally.segments),
    )
