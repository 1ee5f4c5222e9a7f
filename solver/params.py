"""Parameters of a solve, and what a running solve reports."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from numaplace.models.cost import ALL, Term
from numaplace.models.errors import check_int, check_real
from numaplace.solver.deadline import Deadline
from numaplace.solver.names import MilpBackend

if TYPE_CHECKING:
    from numaplace.models.plan import Plan
    from numaplace.models.result import Stage


@dataclass(frozen=True, slots=True)
class Progress:
    """A solver's state: incumbent and bound of the stage it is in, None where there is none."""

    solver: str
    stage: Stage
    objective: int | None
    bound: int | None
    seconds: float


@dataclass(frozen=True, slots=True)
class SolveParams:
    """What a caller may ask of any solver.

    Parameters
    ----------
    time_limit_s
        Wall-clock seconds for all stages together.
    workers
        Threads; 0: one per core of the machine.
    seed
        Seed of everything random.
    relative_gap
        A stage may stop when its gap is at most this; the status is then ``feasible`` unless the
        gap is zero.
    require_all
        Whether every VM must be placed.
    hint
        A valid plan to start from, the greedy one if None.
    explain
        Whether to work out why VMs are not placed.
    milp_backend
        Code behind the MILP solver.
    on_progress
        Called with the state of the solve whenever it changes; from another thread.
    should_stop
        Asked often; once it answers True the solver hands over the best plan it has.
    terms
        Terms that the loss is the sum of; a plan's cost has all of them whatever was minimised.
    deadline
        When the time limit ends, where its clock runs already: see `begun`.
    """

    time_limit_s: float = 60.0
    workers: int = 0
    seed: int = 0
    relative_gap: float = 0.0
    require_all: bool = False
    hint: Plan | None = None
    explain: bool = True
    milp_backend: MilpBackend = MilpBackend.HIGHS
    on_progress: Callable[[Progress], None] | None = None
    should_stop: Callable[[], bool] | None = None
    terms: frozenset[Term] = ALL
    deadline: Deadline | None = None

    def __post_init__(self) -> None:
        check_real("parameters", "time_limit_s", self.time_limit_s, 0, 1e9)
        check_int("parameters", "workers", self.workers, 0, 1024)
        check_int("parameters", "seed", self.seed, 0, 2**31 - 1)
        check_real("parameters", "relative_gap", self.relative_gap, 0, 1)

    @property
    def num_workers(self) -> int:
        """Threads to use."""
        return self.workers or os.cpu_count() or 1

    @property
    def stopped(self) -> bool:
        """Whether the caller wants the solve to end."""
        return self.should_stop is not None and self.should_stop()

    @property
    def until(self) -> Deadline:
        """The deadline; that of a clock which starts now if none runs."""
        return self.deadline or Deadline.after(self.time_limit_s, self.should_stop)

    def begun(self) -> SolveParams:
        """Return these parameters with the clock running; whoever gets them keeps to its deadline.

        What works on a part of the time passes on parameters with an earlier `deadline`.
        """
        return self if self.deadline else replace(self, deadline=self.until)

    def part(self, share: float) -> SolveParams:
        """Return the parameters of a piece of work that may take a share of the time left."""
        until = self.until.share(share)
        return replace(self, deadline=until, time_limit_s=until.left_s)
