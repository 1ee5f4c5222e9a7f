"""Programs of whole numbers as data: what CP-SAT, HiGHS and CBC are all handed.

A program knows no solver and no virtual machine. Variables are numbers, a sum is a list of pairs
(variable, coefficient), and a row is a sum between two bounds that may bear the name of a rule.
Every coefficient is a whole number; how they are scaled for floating point is the business of an
engine.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from numaplace.models.verify import Rule
from numaplace.solver.deadline import NEVER, Deadline

Terms = list[tuple[int, int]]
"""Pairs (variable, coefficient) that add up; a variable may occur more than once."""


class Kind(Enum):
    """What a variable is to a relaxation.

    ``WHOLE``: must be whole. ``PART``: is whole by itself, or does not matter, once those are.
    ``ROUNDED``: a whole number up to which the one row with it rounds.
    """

    WHOLE = 0
    PART = 1
    ROUNDED = 2


class LinearRow(NamedTuple):
    """A sum between two bounds, None: not bounded there.

    A row with a rule may be switched off to explain why nothing fits; one without says what a
    variable means.
    """

    terms: Terms
    low: int | None
    high: int | None
    rule: Rule | None = None
    subject: str = ""


@dataclass(slots=True)
class Program:
    """Whole variables from 0 on, rows, and what is maximised.

    Attributes
    ----------
    literals
        Whether a choice among choices gets a variable of its own (which helps a solver that
        propagates) or stays their sum (which helps one that relaxes).
    until
        When it is too late to write more: `OutOfTimeError` is raised then.
    upper, kinds, units
        Upper bound and kind of each variable, and the unit that a relaxation counts it in.
    rows
        All rows so far; engines take those that they do not hold yet.
    objective
        Terms of what is maximised; none: any solution will do.
    """

    literals: bool = False
    until: Deadline = NEVER
    upper: list[int] = field(default_factory=list)
    kinds: list[Kind] = field(default_factory=list)
    units: list[int] = field(default_factory=list)
    rows: list[LinearRow] = field(default_factory=list)
    objective: Terms = field(default_factory=list)

    @property
    def num_terms(self) -> int:
        """Coefficients of all rows."""
        return sum(len(row.terms) for row in self.rows)

    def variable(self, upper: int = 1, kind: Kind = Kind.WHOLE, unit: int = 1) -> int:
        """Add a variable and return its number."""
        self.until.check()
        self.upper.append(upper)
        self.kinds.append(kind)
        self.units.append(unit)
        return len(self.upper) - 1

    def part(self, upper: int = 1, unit: int = 1) -> int:
        """Add a variable that is whole by itself once the others are."""
        return self.variable(upper, Kind.PART, unit)

    def row(
        self,
        terms: Iterable[tuple[int, int]],
        low: int | None,
        high: int | None,
        rule: Rule | None = None,
        subject: str = "",
    ) -> None:
        """Add a row."""
        self.until.check()
        self.rows.append(LinearRow(list(terms), low, high, rule, subject))

    def at_most(
        self,
        terms: Iterable[tuple[int, int]],
        high: int,
        rule: Rule | None = None,
        subject: str = "",
    ) -> None:
        """Add a row with an upper bound."""
        self.row(terms, None, high, rule, subject)

    def equal(
        self,
        terms: Iterable[tuple[int, int]],
        amount: int,
        rule: Rule | None = None,
        subject: str = "",
    ) -> None:
        """Add a row that holds exactly."""
        self.row(terms, amount, amount, rule, subject)

    def at_least(
        self,
        terms: Iterable[tuple[int, int]],
        low: int,
        rule: Rule | None = None,
        subject: str = "",
    ) -> None:
        """Add a row with a lower bound."""
        self.row(terms, low, None, rule, subject)

    def either(self, choices: Sequence[Terms]) -> Terms:
        """Return the sum of choices of which one at most is 1, as a literal if there are such."""
        if len(choices) == 1:
            return choices[0]
        total = [term for choice in choices for term in choice]
        if not self.literals:
            return total
        one = self.variable()
        self.equal([*total, (one, -1)], 0)
        return [(one, 1)]

    def copy(self) -> Program:
        """Return a program that grows by itself."""
        return Program(
            self.literals,
            self.until,
            self.upper.copy(),
            self.kinds.copy(),
            self.units.copy(),
            self.rows.copy(),
            self.objective.copy(),
        )

    def value(self, values: Sequence[int]) -> int:
        """Return the objective of a solution."""
        return total_of(self.objective, values)

    def holds(self, values: Sequence[int]) -> bool:
        """Tell whether values obey every bound and row, in whole numbers."""
        if any(not 0 <= value <= most for value, most in zip(values, self.upper, strict=True)):
            return False
        for row in self.rows:
            total = total_of(row.terms, values)
            if (row.low is not None and total < row.low) or (
                row.high is not None and total > row.high
            ):
                return False
        return True


def scaled(terms: Iterable[tuple[int, int]], factor: int) -> Terms:
    """Return a sum times a whole number."""
    return [(variable, factor * weight) for variable, weight in terms]


def joined(sums: Iterable[Iterable[tuple[int, int]]]) -> Terms:
    """Return the sum of sums."""
    return [term for terms in sums for term in terms]


def total_of(terms: Iterable[tuple[int, int]], values: Sequence[int]) -> int:
    """Return what a sum comes to."""
    return sum(int(values[variable]) * weight for variable, weight in terms)
