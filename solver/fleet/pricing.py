"""Pricing: the best pattern of one host of a class, counted, and a bound of what any weighs.

It is the formulation of one host in which a VM stands for all equal ones. It is exact where equal
VMs do not tell on each other's rules; what it leaves out else makes its bound weaker, no more, and
its patterns are laid out VM by VM before they count.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from math import gcd
from typing import Any

from ortools.sat.python import cp_model

from numaplace.models.cost import ALL, Term
from numaplace.models.result import Stage
from numaplace.models.vm import CpuPolicy
from numaplace.solver.cpsat.engine import Engine, new_solver, stoppable, whole_bound
from numaplace.solver.deadline import Deadline, OutOfTimeError
from numaplace.solver.fleet.classes import Census
from numaplace.solver.fleet.layouts import OneHost, Pattern
from numaplace.solver.formulation.model import Formulation
from numaplace.solver.formulation.option import load_milli
from numaplace.solver.formulation.program import Program, Terms, scaled


@dataclass(frozen=True, slots=True)
class Weights:
    """What pricing minimises, in whole numbers.

    Parameters
    ----------
    loss, host
        Of a micro-vCPU lost, and of a host that is used.
    entries, units
        Of a VM of each entry, and of each unit.
    """

    loss: int
    host: int
    entries: tuple[int, ...]
    units: tuple[int, ...]


class HostModel(OneHost):
    """Duals what one host of a class may hold.

    `terms` are those that count as loss, `load_most` is the load the host may have, in thousandths
    of its threads.
    """

    def __init__(
        self,
        census: Census,
        host_class: int,
        until: Deadline,
        terms: frozenset[Term] = ALL,
        load_most: int | None = None,
    ) -> None:
        super().__init__(census, host_class, terms)
        most = {e: self._most(e) for e in self.vms}
        self.instance = self._instance({e: [str(e)] for e in self.vms})
        count = {str(e): times for e, times in most.items()}
        self.formulation = Formulation(
            self.instance, literals=False, until=until, terms=terms, count=count
        )
        self.placed = {e: self.formulation.vars.placed[str(e)] for e in self.vms}
        self._y = self._composites(most)
        single = {census.entries[e].unit: column for e, column in self.placed.items()}
        self.unit_columns = {**single, **self._y}
        if load_most is not None:
            self._cap(load_most)
        self._engine: Engine | None = None
        self.exact = all(
            len(self.formulation.prepared.core_groups(place)) < 2 for place in self.instance.places
        ) or all(vm.cpu_policy is CpuPolicy.SHARED for vm in self.vms.values())

    def _most(self, entry: int) -> int:
        """How many VMs of an entry there are."""
        found = self.census.entries[entry]
        return found.times * len(self.census.units[found.unit].groups)

    def _composites(self, most: Mapping[int, int]) -> dict[int, int]:
        """Add a variable for units of several VMs: ``placed <= times y``; return those."""
        program = self.formulation.program
        made: dict[int, int] = {}
        for e in self.vms:
            entry = self.census.entries[e]
            if self.census.units[entry.unit].single:
                continue
            if entry.unit not in made:
                made[entry.unit] = program.variable(most[e] // entry.times)
            y = made[entry.unit]
            whole = 0 if entry.vm.required else None
            program.row([(self.placed[e], 1), (y, -entry.times)], whole, 0)
        return made

    def _cap(self, permille: int) -> None:
        """Keep the load of the host at most at so many thousandths of its threads, always."""
        limit = permille * max(1, self.host.threads)
        for alive in self.instance.instants:
            load = [
                (cell, load_milli(self.instance, option))
                for option, cell in self.formulation.vars.cell.items()
                if option.vm in alive
            ]
            self.formulation.program.at_most(load, limit)

    def alone(self, unit: int, until: Deadline, known: dict[Hashable, int]) -> int:
        """Return what one unit of several VMs is worth on a host of its own, at most.

        `known` has what was found for units and hosts between which no row can tell.
        """
        entries, value = self.census.entries, self.census.instance.value_milli
        whole = self.formulation.program
        names = {str(e) for e in self.placed if entries[e].unit == unit}
        out = {cell for o, cell in self.formulation.vars.cell.items() if o.vm not in names}
        out |= {cut for key, cut in self.formulation.vars.cut.items() if key[0] not in names}
        out |= {column for e, column in self.placed.items() if str(e) not in names}
        out |= {y for u, y in self._y.items() if u != unit}
        left = (column for column in range(len(whole.upper)) if column not in out)
        number = {column: k for k, column in enumerate(left)}
        part = Program(upper=[whole.upper[column] for column in number])
        part.upper[number[self._y[unit]]] = 1
        rows: set[tuple[Any, ...]] = set()
        for row in whole.rows:
            terms = tuple((number[k], weight) for k, weight in row.terms if k in number)
            divisor = gcd(*(weight for _, weight in terms)) or 1
            low = None if row.low is None else -(-row.low // divisor)
            high = None if row.high is None else row.high // divisor
            if terms:
                rows.add((tuple((k, weight // divisor) for k, weight in terms), low, high))
        aim = [(number[self.placed[e]], value(entries[e].vm)) for e in map(int, names)]
        key = unit, tuple(aim), tuple(part.upper), frozenset(rows)
        if key not in known:
            for terms, low, high in rows:
                part.row(terms, low, high)
            engine = Engine(part)
            engine.aim(aim, maximise=True)
            solver = new_solver(1, until.left_s)
            solver.solve(engine.model)
            bound = whole_bound(solver.best_objective_bound, maximised=True)
            known[key] = sum(value(vm) * n for vm, n in self.census.units[unit].members)
            known[key] = min(known[key], known[key] if bound is None else bound)
        return known[key]

    def most_alone(self, unit: int, value: int) -> None:
        """Note what one unit is worth at most on a host of its own: ``sum value x <= most y``."""
        entries, worth = self.census.entries, self.census.instance.value_milli
        held = [
            (k, worth(entries[e].vm)) for e, k in self.placed.items() if entries[e].unit == unit
        ]
        self.formulation.program.at_most([*held, (self._y[unit], -value)], 0)

    def price(
        self, weights: Weights, until: Deadline, limits: Sequence[int] | None = None
    ) -> tuple[Pattern | None, int]:
        """Return the best pattern found that is not empty, and a bound of what any weighs.

        `limits` are how many there may be of each unit.
        """
        found = self.formulation
        if not self.vms:
            return None, 0
        aim: Terms = scaled(found.stage(Stage.LOSS), weights.loss) if weights.loss else []
        for e in self.vms:
            unit = self.census.entries[e].unit
            weight = weights.entries[e] + (0 if unit in self._y else weights.units[unit])
            aim.append((self.placed[e], weight))
        aim += [(y, weights.units[unit]) for unit, y in self._y.items()]
        if self._engine is None:
            self._engine = Engine(found.program)
        self._engine.aim(aim, maximise=False)
        for unit, column in self.unit_columns.items():
            domain = self._engine.model.proto.variables[column].domain
            most = found.program.upper[column]
            domain[1] = most if limits is None else min(most, limits[unit])
        solver = new_solver(1, until.left_s)
        with stoppable(solver, until.should_stop):
            status = solver.solve(self._engine.model)
        bound = whole_bound(solver.best_objective_bound, maximised=False)
        if status not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
            raise OutOfTimeError
        pattern = self._read(self._engine.values(solver), until, loses=weights.loss > 0)
        if bound is None:
            raise OutOfTimeError
        return pattern, min(0, bound + weights.host)

    def _read(self, values: list[int], until: Deadline, *, loses: bool) -> Pattern | None:
        held = tuple((e, values[column]) for e, column in self.placed.items() if values[column])
        if not held:
            return None
        if not self.exact:
            return self.pattern(self.layout(held, until))
        taken = {o: values[cell] for o, cell in self.formulation.vars.cell.items() if values[cell]}
        fixed = self.formulation.prepared.fixed_pages
        if all(fixed(o) and len(o.shape.types) == 1 for o in taken) and not any(
            self.vms[e].devices for e, _ in held
        ):
            self.dealt(held, taken)
        if loses:
            return self.pattern(self.layout(held, until))
        return self.of(held)
