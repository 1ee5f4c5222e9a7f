"""The online engine: VMs come one at a time and are placed at once, by a rule; VMs go again."""

from __future__ import annotations

from numaplace.models.instance import Instance
from numaplace.models.plan import Placement, Plan
from numaplace.models.vm import Vm
from numaplace.solver.placing.arrays import InstanceArrays
from numaplace.solver.placing.build import Candidate, build
from numaplace.solver.placing.footprint import Footprint
from numaplace.solver.placing.occupancy import CopyKey, Occupancy
from numaplace.solver.placing.paging import Home
from numaplace.solver.placing.rules import Rule, greedy
from numaplace.solver.placing.search import PlaceSearch


class Placer:
    """Places VMs of an instance one at a time; every plan on the way obeys every rule.

    Parameters
    ----------
    instance
        The instance; its VMs are placed by `add`, in any order.
    rule
        What the best place is.
    online
        Keep one picture of now instead of one per instant: VMs are then added in order of start,
        and `finish` ends them. Not for sharing groups whose members come and go.
    board
        The instance as arrays, if another engine has it already.

    Attributes
    ----------
    loss_micro
        Loss of the plan, always equal to what `cost.evaluate` says.
    """

    def __init__(
        self,
        instance: Instance,
        rule: Rule = greedy,
        *,
        online: bool = False,
        arrays: InstanceArrays | None = None,
    ) -> None:
        self.instance = instance
        self.rule = rule
        self.state = Occupancy(arrays or InstanceArrays(instance), online=online)
        self.loss_micro = 0

    def __contains__(self, name: str) -> bool:
        return name in self.state.placed

    def find(self, vm: Vm) -> Candidate | None:
        """Return the best placement of a VM that is not placed; nothing changes."""
        return PlaceSearch(self.state, vm, self.rule).best()

    def find_at(self, vm: Vm, place: int) -> Candidate | None:
        """Return the placement of a VM of one cell at a place it may use; None if it is full."""
        kind = self.instance.form(vm.name).shapes[0].types[0]
        return build(self.state, vm, [Home(place, kind.vcpus, kind.blocks)])

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
            dropped = before - self._needed_copies(key, before)
            self.state.set_copies(key, before - dropped)
        self.loss_micro -= self.state.marginal(print_, dropped)
        return print_

    def finish(self, name: str) -> None:
        """End a VM: what it held is free, but it stays in the plan (online engines)."""
        self.state.finish(name)

    def _needed_copies(self, key: CopyKey, copies: frozenset[int]) -> frozenset[int]:
        """Copies that some member left on the host reads."""
        needed: set[int] = set()
        members = next(g.vms for g in self.instance.sharing if g.name == key[0])
        for name in members:
            print_ = self.state.placed.get(name)
            if print_ is not None and print_.host_index == key[1]:
                for home, vcpus in print_.homes:
                    if home in copies:
                        needed.add(home)
                    elif copies:
                        needed.add(min(self.state.copy_rates(print_, home, vcpus, copies))[1])
        return frozenset(needed)

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
