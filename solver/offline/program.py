"""Integer programs as the offline optimum needs them, and what a back end answers to one.

Both back ends are handed the same programs; each solves them with its own library.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from numaplace.models.result import SolveStatus
from numaplace.models.trace import Ints

Terms = list[tuple[int, int]]
"""Pairs (variable, coefficient)."""


@dataclass(slots=True)
class Program:
    """Maximise a sum of whole numbers of whole variables from 0 on.

    Attributes
    ----------
    upper
        Upper bound of each variable.
    rows
        Triples (terms, low, high): the sum of the terms is between both; None: not bounded there.
    objective
        Terms of what is maximised; none: any solution will do.
    """

    upper: list[int] = field(default_factory=list)
    rows: list[tuple[Terms, int | None, int | None]] = field(default_factory=list)
    objective: Terms = field(default_factory=list)

    def variable(self, upper: int) -> int:
        """Add a variable and return its number."""
        self.upper.append(upper)
        return len(self.upper) - 1

    def at_most(self, terms: Iterable[tuple[int, int]], high: int) -> None:
        """Add a row with an upper bound."""
        self.rows.append((list(terms), None, high))

    def equal(self, terms: Iterable[tuple[int, int]], amount: int) -> None:
        """Add a row that holds exactly."""
        self.rows.append((list(terms), amount, amount))

    def at_least(self, terms: Iterable[tuple[int, int]], low: int) -> None:
        """Add a row with a lower bound."""
        self.rows.append((list(terms), low, None))

    def copy(self) -> Program:
        """Return a program that grows by itself."""
        return Program(self.upper.copy(), self.rows.copy(), self.objective.copy())

    def value(self, values: Ints) -> int:
        """Return the objective of a solution."""
        return sum(int(values[k]) * weight for k, weight in self.objective)

    def holds(self, values: Ints) -> bool:
        """Tell whether values obey every bound and row, in whole numbers."""
        whole = values.tolist()
        if any(not 0 <= value <= most for value, most in zip(whole, self.upper, strict=True)):
            return False
        for terms, low, high in self.rows:
            total = sum(whole[k] * weight for k, weight in terms)
            if (low is not None and total < low) or (high is not None and total > high):
                return False
        return True


@dataclass(frozen=True, slots=True)
class Run:
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


class Engine(Protocol):
    """A back end: solves one program."""

    def __call__(self, program: Program, run: Run) -> Answer:
        """Solve `program`."""
        ...


def rounded(values: Iterable[float]) -> Ints:
    """Return the whole numbers a solver means."""
    return np.rint(np.fromiter(values, np.float64)).astype(np.int64)
