"""Programs of whole numbers as data: what CP-SAT, HiGHS and CBC are all handed.

A program knows no solver and no virtual machine. Variables are numbers, a sum is a list of pairs
(variable, coefficient), and a row is a sum between two bounds that may bear the name of a rule.
Every coefficient is a whole number; how they are scaled for floating point is the business of an
engine.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Generic, NamedTuple, TypeVar

from numaplace.models.verify import Rule
from numaplace.solver.deadline import NEVER, Deadline

Terms = list[tuple[int, int]]
"""Pairs (variable, coefficient) that add up; a variable may occur more than once."""
Sum = Iterable[tuple[int, int]]
Variable = TypeVar("Variable")


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

    def holds(self, total: int) -> bool:
        """Tell whether a total of the terms is between the bounds."""
        return (self.low is None or self.low <= total) and (self.high is None or total <= self.high)


@dataclass(slots=True)
class Program:
    """Whole variables from 0 on, rows, and what is maximised.

    With `literals`, a choice among choices gets a variable of its own (which helps a solver that
    propagates); else it stays their sum (which helps one that relaxes). Writing more after `until`
    raises `OutOfTimeError`.
    """

    literals: bool = False
    until: Deadline = NEVER
    upper: list[int] = field(default_factory=list)  # bound of each variable
    kinds: list[Kind] = field(default_factory=list)
    units: list[int] = field(default_factory=list)  # that a relaxation counts each variable in
    rows: list[LinearRow] = field(default_factory=list)  # so far; engines take the new ones
    objective: Terms = field(default_factory=list)  # maximised; none: any solution will do

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
        self, terms: Sum, low: int | None, high: int | None, rule: Rule | None = None, on: str = ""
    ) -> None:
        """Add a row; `on` is the subject of its rule."""
        self.until.check()
        self.rows.append(LinearRow(list(terms), low, high, rule, on))

    def at_most(self, terms: Sum, high: int, rule: Rule | None = None, on: str = "") -> None:
        """Add a row with an upper bound."""
        self.row(terms, None, high, rule, on)

    def equal(self, terms: Sum, amount: int, rule: Rule | None = None, on: str = "") -> None:
        """Add a row that holds exactly."""
        self.row(terms, amount, amount, rule, on)

    def at_least(self, terms: Sum, low: int, rule: Rule | None = None, on: str = "") -> None:
        """Add a row with a lower bound."""
        self.row(terms, low, None, rule, on)

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
        upper, kinds, units = [*self.upper], [*self.kinds], [*self.units]
        rows, objective = [*self.rows], [*self.objective]
        return Program(self.literals, self.until, upper, kinds, units, rows, objective)

    def value(self, values: Sequence[int]) -> int:
        """Return the objective of a solution."""
        return total_of(self.objective, values)

    def holds(self, values: Sequence[int]) -> bool:
        """Tell whether values obey every bound and row, in whole numbers."""
        if any(not 0 <= value <= most for value, most in zip(values, self.upper, strict=True)):
            return False
        return all(row.holds(total_of(row.terms, values)) for row in self.rows)


class ProgramEngine(ABC, Generic[Variable]):
    """A back end's model of a program; `load` takes what has come since it last looked."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.variables: list[Variable] = []
        self.num_rows = 0
        self.load()

    def load(self) -> None:
        """Take the variables and rows of the program that are not in the model yet."""
        for k in range(len(self.variables), len(self.program.upper)):
            if k % 1024 == 0:
                self.program.until.check()
            self.variables.append(self.new_variable(k))
        for row in self.program.rows[self.num_rows :]:
            if self.num_rows % 1024 == 0:
                self.program.until.check()
            self.add(row)
            self.num_rows += 1

    @abstractmethod
    def new_variable(self, number: int) -> Variable:
        """Make the model's variable of a number."""

    @abstractmethod
    def add(self, row: LinearRow) -> None:
        """Add a row."""

    @abstractmethod
    def aim(self, terms: Terms, *, maximise: bool) -> None:
        """Make a sum the objective."""


def scaled(terms: Sum, factor: int) -> Terms:
    """Return a sum times a whole number."""
    return [(variable, factor * weight) for variable, weight in terms]


def joined(sums: Iterable[Sum]) -> Terms:
    """Return the sum of sums."""
    return [term for terms in sums for term in terms]


def total_of(terms: Sum, values: Sequence[int]) -> int:
    """Return what a sum comes to."""
    return sum(int(values[variable]) * weight for variable, weight in terms)
