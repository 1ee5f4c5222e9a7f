"""Plain formulations of the same problem, as peers to measure against.

They cover one host whose VMs are single cells of shared vCPUs with preferred memory, cooperation
and competition in the scope of a node: the `8n` presets. Same variables, capacities and integer
prices as numaplace; only the products of places are written the two usual ways.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from itertools import product

from ortools.sat.python import cp_model

from numaplace.models import rates
from numaplace.models.cost import evaluate
from numaplace.models.instance import Instance
from numaplace.models.plan import PlacedCell, Placement, Plan
from numaplace.models.relations import Cooperation
from numaplace.models.units import MICRO, PageSize, to_micro
from numaplace.models.verify import violations


@dataclass(frozen=True, slots=True)
class Outcome:
    """Loss and bound in vCPUs after some seconds; the loss is of a verified plan."""

    loss: float
    bound: float
    seconds: float

    @property
    def gap(self) -> float:
        """Distance to the bound as a share of the loss."""
        return 0.0 if self.loss <= 0 else (self.loss - self.bound) / self.loss


class Plain:
    """A plain CP-SAT model: x[v,i], page flows q[v,i,j], and products by `form`."""

    def __init__(self, instance: Instance, form: str) -> None:
        self.instance = instance
        self.model = cp_model.CpModel()
        self.size = len(instance.places)
        self.cost: list[cp_model.LinearExpr] = []
        self.x = {
            vm.name: [self.model.new_bool_var("") for _ in range(self.size)] for vm in instance.vms
        }
        self.pages: dict[tuple[str, int, int], cp_model.IntVar] = {}
        self._capacity()
        self._memory()
        for pair in instance.cooperations:
            self._big_m(pair) if form == "big-M" else self._flow(pair)
        for rival in instance.competitions:
            meet = self.model.new_bool_var("")
            for a, b in zip(self.x[rival.first], self.x[rival.second], strict=True):
                self.model.add(meet >= a + b - 1)
            self.cost.append(to_micro(rival.weight) * meet)
        self.model.minimize(sum(self.cost))

    def _capacity(self) -> None:
        for literals in self.x.values():
            self.model.add_exactly_one(literals)
        for i, place in enumerate(self.instance.places):
            used = sum(vm.vcpus * self.x[vm.name][i] for vm in self.instance.vms)
            self.model.add(used <= place.node.threads)

    def _memory(self) -> None:
        places = self.instance.places
        for vm in self.instance.vms:
            form = self.instance.form(vm.name)
            for i in range(self.size):
                for j in range(self.size):
                    pages = self.model.new_int_var(0, form.blocks, "")
                    self.pages[vm.name, i, j] = pages
                    mib = form.block_mib * form.blocks
                    pair = places[i], places[j]
                    rate = rates.memory_rate(self.instance, vm, vm.vcpus, mib, *pair)
                    self.cost.append(rate * pages)
                row = sum(self.pages[vm.name, i, j] for j in range(self.size))
                self.model.add(row == form.blocks * self.x[vm.name][i])
        for j, place in enumerate(places):
            lies = sum(
                self.instance.form(vm.name).block_mib * self.pages[vm.name, i, j]
                for vm in self.instance.vms
                for i in range(self.size)
            )
            self.model.add(lies <= place.node.pool_mib(PageSize.SMALL))

    def _price(self, pair: Cooperation, i: int, j: int) -> int:
        vcpus = self.instance.vm(pair.first).vcpus, self.instance.vm(pair.second).vcpus
        at = self.instance.places[i], self.instance.places[j]
        return rates.cooperation_rate(self.instance, pair, vcpus, at)

    def _big_m(self, pair: Cooperation) -> None:
        nodes = range(self.size)
        price = {(i, j): self._price(pair, i, j) for i in nodes for j in nodes}
        cost = self.model.new_int_var(0, max(price.values()), "")
        for (i, j), rate in price.items():
            self.model.add(cost >= rate * (self.x[pair.first][i] + self.x[pair.second][j] - 1))
        self.cost.append(cost)

    def _flow(self, pair: Cooperation) -> None:
        nodes = range(self.size)
        both = {(i, j): self.model.new_bool_var("") for i, j in product(nodes, nodes)}
        for i in nodes:
            self.model.add(sum(both[i, j] for j in nodes) == self.x[pair.first][i])
            self.model.add(sum(both[j, i] for j in nodes) == self.x[pair.second][i])
        self.cost += [self._price(pair, i, j) * literal for (i, j), literal in both.items()]

    def solve(self, seconds: float, workers: int, seed: int) -> Outcome:
        """Solve and check the plan by numaplace's verifier and cost."""
        solver = cp_model.CpSolver()
        solver.parameters.max_time_in_seconds = seconds
        solver.parameters.num_workers = workers
        solver.parameters.random_seed = seed
        started = time.monotonic()
        status = solver.solve(self.model)
        spent = time.monotonic() - started
        if status not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
            return Outcome(float("inf"), 0.0, spent)
        plan = self._plan(solver)
        assert not violations(self.instance, plan)
        loss = evaluate(self.instance, plan).loss_micro
        return Outcome(loss / MICRO, max(0.0, solver.best_objective_bound) / MICRO, spent)

    def _plan(self, solver: cp_model.CpSolver) -> Plan:
        places = self.instance.places
        placements = {}
        for vm in self.instance.vms:
            form = self.instance.form(vm.name)
            home = next(i for i, x in enumerate(self.x[vm.name]) if solver.boolean_value(x))
            blocks = [solver.value(self.pages[vm.name, home, j]) for j in range(self.size)]
            memory = tuple(
                (places[j].node.id, n * form.block_mib) for j, n in enumerate(blocks) if n
            )
            cell = PlacedCell(places[home].node.id, vm.vcpus, memory)
            placements[vm.name] = Placement(places[home].host.name, (cell,))
        return Plan(placements)
