"""The online engine: VMs come one at a time and are placed at once, by a rule; VMs go again."""

from __future__ import annotations

from enum import StrEnum

from numaplace.models.instance import Instance
from numaplace.models.plan import Placement, Plan
from numaplace.models.vm import CpuPolicy, Vm
from numaplace.solver.placing.arrays import InstanceArrays
from numaplace.solver.placing.build import Candidate, Home, build
from numaplace.solver.placing.cell_offer import places_for
from numaplace.solver.placing.ledger import Footprint
from numaplace.solver.placing.occupancy import Occupancy
from numaplace.solver.placing.rules import Rule, greedy
from numaplace.solver.placing.search import PlaceSearch

BEFORE_ALL = -(1 << 60)


class Order(StrEnum):
    """Order of VMs that start at the same time; earlier starts always come first.

    ``given``: as the instance lists them (what an online system sees). ``decreasing``: required
    ones first, then those that are hardest to place.
    """

    GIVEN = "given"
    DECREASING = "decreasing"


def start_of(vm: Vm) -> int:
    """Start of a VM, before everything if it has none."""
    return BEFORE_ALL if vm.start is None else vm.start


def ordered(instance: Instance, order: Order) -> list[Vm]:
    """VMs of an instance in the order they are to be placed."""
    if order is Order.GIVEN:
        return sorted(instance.vms, key=start_of)
    sizes = hardness(instance)
    return sorted(instance.vms, key=lambda vm: (start_of(vm), not vm.required, -sizes[vm.name]))


def hardness(instance: Instance) -> dict[str, float]:
    """Share of the whole instance's CPUs and memory that each VM asks for, larger if it is tied.

    VMs with few places to go (few hosts or nodes, devices nearby, dedicated pCPUs) count double.
    """
    threads = max(1, sum(host.threads for host in instance.hosts))
    mib = max(1, sum(node.memory_mib for host in instance.hosts for node in host.nodes))
    grouped = {name for group in instance.togethers for name in group.vms}
    grouped |= {name for group in instance.aparts for name in group.vms}
    sizes: dict[str, float] = {}
    for vm in instance.vms:
        tied = vm.hard_nodes is not None or vm.allowed_hosts is not None or bool(vm.devices)
        tied = tied or vm.cpu_policy is CpuPolicy.DEDICATED or vm.name in grouped
        size = vm.vcpus / threads + vm.memory_mib / mib
        sizes[vm.name] = size * (2 if tied else 1)
    return sizes


class Placer:
    """Places VMs of an instance one at a time; every plan on the way obeys every rule.

    With `online` it keeps one picture of now instead of one per instant: VMs are then added in
    order of start, and `finish` ends them. Not for sharing groups whose members come and go.
    `loss_micro` is the loss of the plan, always equal to what `cost.evaluate` says.
    """

    def __init__(
        self,
        instance: Instance,
        rule: Rule = greedy,
        *,
        online: bool = False,
        plan: Plan | None = None,
    ) -> None:
        self.instance, self.rule = instance, rule
        self.state = Occupancy(InstanceArrays(instance), online=online)
        self.loss_micro = 0
        if plan is not None:
            self.load_plan(plan)

    def __contains__(self, name: str) -> bool:
        return name in self.state.placed

    def find(self, vm: Vm) -> Candidate | None:
        """Return the best placement of a VM that is not placed; nothing changes."""
        return PlaceSearch(self.state, vm, self.rule).best()

    def find_at(self, vm: Vm, place_index: int) -> Candidate | None:
        """Return the placement of a VM of one cell at a place; None if it is full or closed."""
        if not places_for(self.state, vm)[0][place_index]:
            return None
        kind = self.instance.form(vm.name).shapes[0].types[0]
        return build(self.state, vm, [Home(place_index, kind.vcpus, kind.blocks)])

    def add(self, vm: Vm) -> Placement | None:
        """Place a VM that is not placed; None if it fits nowhere."""
        found = self.find(vm)
        if found is None:
            return None
        self.take(found)
        return found.footprint.placement

    def take(self, candidate: Candidate) -> None:
        """Place a VM as `find` has said."""
        self.state.take(candidate.footprint, candidate.copies)
        self.loss_micro += candidate.loss

    def remove(self, name: str) -> Footprint:
        """Unplace a VM, with the copies of shared pages that nobody needs without it."""
        print_ = self.state.release(name)
        group = self.instance.group_of.get(name)
        dropped: frozenset[int] = frozenset()
        if group is not None:
            key = (group.name, print_.host_index)
            before = self.state.copies.get(key, frozenset())
            dropped = before - self.state.copies_read(group, print_.host_index, before)
            self.state.set_copies(key, before - dropped)
        self.loss_micro -= self.state.marginal(print_, dropped)
        return print_

    def load_plan(self, plan: Plan) -> None:
        """Place the VMs of a valid plan as it says."""
        for copy in plan.copies:
            host_index = self.instance.host_index[copy.host]
            places = {self.instance.place_of[copy.host, node].index for node in copy.nodes}
            self.state.set_copies((copy.group, host_index), frozenset(places))
        for name, placement in plan.placements.items():
            footprint = self.state.footprint(self.instance.vm(name), placement)
            self.loss_micro += self.state.marginal(footprint)
            self.state.take(footprint)

    def plan(self) -> Plan:
        """Return the plan so far."""
        return self.state.plan()
