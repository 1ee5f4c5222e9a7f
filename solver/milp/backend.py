"""What a MILP code is asked and what it answers, and how far its numbers are trusted."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from numaplace.solver.deadline import NEVER, Deadline

# PuLP ships no types: a variable, an affine expression or a problem.
Linear = Any

# Objectives are whole numbers (micro-vCPU, thousandths, hosts): a run may stop this near to its
# bound, and the bound may be wrong by `SLACK` and still round to the right whole number.
GAP = 0.4
SLACK = 0.1
RELATIVE_SLACK = 1e-10

Start = list[tuple[Linear, int]]


@dataclass(frozen=True, slots=True)
class Task:
    """One run of a MILP code; what it is asked is as in `numaplace.solver.params.SolveParams`."""

    start: Start  # values of some variables
    until: Deadline = NEVER
    workers: int = 1
    seed: int = 0
    relative_gap: float = 0.0

    @property
    def seconds_left(self) -> float:
        """Seconds until the deadline, at least a few milliseconds."""
        return max(0.01, self.until.left_s)


@dataclass(frozen=True, slots=True)
class MilpOutcome:
    """Outcome of one run of a MILP code; every objective is minimised."""

    objective: float | None  # of the solution the problem's variables now hold; None without one
    bound: float | None  # what no solution is below, None if nothing is known
    infeasible: bool  # the code proves that there is no solution
    nodes: float  # of its search


def whole_bound(bound: float | None) -> int | None:
    """Round a lower bound up to the whole number it implies; None if it says nothing."""
    if bound is None or not math.isfinite(bound) or abs(bound) > 2**52:
        return None
    return math.ceil(bound - SLACK - RELATIVE_SLACK * abs(bound))
