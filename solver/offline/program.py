"""How programs of the offline optimum are run, and what an engine answers to one."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from numaplace.models.result import SolveStatus
from numaplace.models.trace import Ints
from numaplace.solver.formulation.program import Program


@dataclass(frozen=True, slots=True)
class OfflineRun:
    """How one program is to be run.

    Parameters
    ----------
    deadline
        Value of `time.monotonic` at which the run ends.
    workers, seed
        Threads, and the seed of everything random.
    stopped
        Asked often; True ends the run.
    start
        Values to start from, None if there are none.
    on_bound
        Told every new upper bound; None: nobody asks.
    """

    deadline: float
    workers: int = 1
    seed: int = 0
    stopped: Callable[[], bool] = bool
    start: Ints | None = None
    on_bound: Callable[[int], None] | None = None

    @property
    def seconds_left(self) -> float:
        """Seconds until the deadline."""
        return max(0.0, self.deadline - time.monotonic())

    @property
    def over(self) -> bool:
        """Whether time is up or the caller asks for an end."""
        return self.seconds_left <= 0 or self.stopped()


@dataclass(frozen=True, slots=True)
class Answer:
    """What a back end answers.

    Parameters
    ----------
    status
        ``optimal``: the values are proven best; ``infeasible``: there are none.
    values
        A solution, None if none was found.
    bound
        What no solution exceeds, None if nothing is known.
    """

    status: SolveStatus
    values: Ints | None = None
    bound: int | None = None


class ProgramRunner(Protocol):
    """A back end: solves one program."""

    def __call__(self, program: Program, run: OfflineRun) -> Answer:
        """Solve `program`."""
        ...
