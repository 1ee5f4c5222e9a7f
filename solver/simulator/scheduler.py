"""What the engine asks a scheduler, and what a scheduler may ask the engine."""

from __future__ import annotations

from typing import Protocol

from numaplace.solver.simulator.clock import Clock
from numaplace.solver.simulator.counters import Tally
from numaplace.solver.simulator.guest import Domain, VCpu
from numaplace.solver.simulator.scenario import Scenario


class Board(Protocol):
    """Who runs where, as schedulers see it.

    Attributes
    ----------
    current
        By pCPU: who runs there.
    busy, idle
        PCPUs where someone runs, and those where nobody does that were not told to look for work.
    told
        PCPUs that were told to look for work, and have not yet.
    """

    scenario: Scenario
    seed: int
    clock: Clock
    domains: list[Domain]
    current: list[VCpu | None]
    busy: int
    idle: int
    told: int
    tally: Tally

    def tell(self, pcpu: int) -> None:
        """Let a pCPU look for work, once the event at hand is handled."""

    def call(self, pcpu: int) -> None:
        """Let another pCPU look for work as soon as it answers."""

    def settle(self) -> None:
        """Let the pCPUs that were told look for work at once."""


class Scheduler(Protocol):
    """The decisions of a scheduler."""

    def pick(self, vcpu: VCpu) -> int:
        """Choose a pCPU for a vCPU that comes into being."""

    def join(self, vcpu: VCpu) -> None:
        """Let a vCPU belong where it is."""

    def wake(self, vcpu: VCpu) -> None:
        """Queue a vCPU that wants to run, and tell a pCPU of it."""

    def choose(self, pcpu: int, last: VCpu | None) -> tuple[VCpu | None, int]:
        """Return who runs on a pCPU now, taken off its queue, and for how many microseconds."""

    def left(self, vcpu: VCpu) -> None:
        """Look after a vCPU that has left its pCPU, once it is known who runs there."""
