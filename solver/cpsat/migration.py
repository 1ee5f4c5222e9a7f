"""What re-planning moves, in CP-SAT variables: MiB copied, VMs moved, and a budget of both."""

from __future__ import annotations

from dataclasses import dataclass

from numaplace.models.moves import Budget, micros_per_mib
from numaplace.models.plan import Placement
from numaplace.models.vm import Vm
from numaplace.solver.cpsat.variables import ZERO, Linear, Variables


@dataclass(frozen=True, slots=True)
class Copied:
    """MiB of one VM that are copied within its host, and to another host."""

    local: Linear
    network: Linear


class Migration:
    """What the VMs of the current plan move; variables are made on first use.

    Parameters
    ----------
    variables
        Variables of the model.
    """

    def __init__(self, variables: Variables) -> None:
        self.vars = variables
        self.model = variables.model
        self.instance = variables.instance
        current = self.instance.current
        self.old: dict[str, Placement] = dict(current.placements) if current else {}
        self._copied: dict[str, Copied] = {}

    def copied(self, vm: Vm) -> Copied:
        """MiB that a VM of the current plan copies, of what it has and keeps."""
        if vm.name not in self._copied:
            self._copied[vm.name] = self._new_copied(vm)
        return self._copied[vm.name]

    def _new_copied(self, vm: Vm) -> Copied:
        """Of a VM that is no larger than it was, nodes get what is copied; else they give it up.

        Ballooning may leave open which of both a VM is.
        """
        form, old = self.instance.form(vm.name), self.old[vm.name]
        lay, had_mib = old.memory_by_node(), sum(old.memory_by_node().values())
        most_mib = form.own_mib
        least_mib = most_mib - form.balloon_blocks * form.block_mib
        host = self.instance.host_index[old.host]
        stays: Linear = self.vars.on_host[vm.name].get(host, ZERO)
        here: dict[int, Linear] = {}
        away: list[Linear] = []
        for at, parts in sorted(self.vars.pages_of(vm.name).items()):
            place, lies_mib = self.instance.places[at], form.block_mib * sum(parts)
            if place.host_index == host:
                here[place.node.id] = lies_mib
            else:
                away.append(lies_mib)
        if had_mib >= most_mib:
            got = [
                self._at_least(vm, mib - min(lay.get(node, 0), most_mib) * stays)
                for node, mib in here.items()
            ]
            return Copied(sum(got, ZERO), sum(away, ZERO))
        gave = [self._at_least(vm, mib * stays - here.get(n, ZERO)) for n, mib in lay.items()]
        leaves = had_mib * (self.vars.placed[vm.name] - stays)
        if had_mib <= least_mib:
            return Copied(sum(gave, ZERO), leaves)
        shrinks = self.model.new_bool_var(f"{vm.name} shrinks")
        less = self.model.new_int_var(0, had_mib - least_mib, f"MiB taken from {vm.name}")
        self.model.add(less <= (had_mib - least_mib) * shrinks)
        has = sum(here.values(), ZERO) + sum(away, ZERO)
        room = (most_mib - had_mib) * (1 - shrinks)
        self.model.add(less <= had_mib * self.vars.placed[vm.name] - has + room)
        return Copied(self._at_least(vm, sum(gave, ZERO) - less), self._at_least(vm, leaves - less))

    def _at_least(self, vm: Vm, least: Linear) -> Linear:
        """Return a variable, not below zero, that is MiB of a VM and no less than `least`."""
        most_mib = self.instance.form(vm.name).own_mib
        moved = self.model.new_int_var(0, most_mib, f"MiB of {vm.name} copied")
        self.model.add(moved >= least)
        return moved

    def keep_within(self, budget: Budget) -> None:
        """Allow only plans whose moves the budget allows, one move a VM."""
        vms = [vm for vm in self.instance.vms if vm.name in self.old]
        copied = [self.copied(vm) for vm in vms]
        if budget.mib is not None:
            self.model.add(sum(c.local + c.network for c in copied) <= budget.mib)
        if budget.micros is not None:
            local, network = micros_per_mib(self.instance)
            micros = sum(local * c.local + network * c.network for c in copied)
            self.model.add(micros <= budget.micros)
        if budget.moves is not None:
            self.model.add(sum(self._moves(vm) for vm in vms) <= budget.moves)

    def _moves(self, vm: Vm) -> Linear:
        """Return a literal that is true if a vCPU or memory of a VM goes elsewhere.

        Of a VM with more vCPUs than before, a node it used has fewer; else a node has more.
        """
        old = self.old[vm.name]
        vcpus = {
            self.instance.place_of[old.host, node].index: count
            for node, count in old.vcpus_by_node().items()
        }
        moves = self.model.new_bool_var(f"{vm.name} moves")
        grows = vm.vcpus > sum(vcpus.values())
        for option in self.vars.prepared.options[vm.name]:
            have, had = self.vars.prepared.kind_of(option).vcpus, vcpus.get(option.place, 0)
            if have < had if grows else have > had:
                self.model.add_implication(self.vars.cell[option], moves)
        for home in vcpus if grows else ():
            here = self.vars.at[vm.name].get(home, ZERO)
            self.model.add(here + moves >= self.vars.placed[vm.name])
        copied = self.copied(vm)
        most = self.instance.form(vm.name).own_mib
        self.model.add(copied.local + copied.network <= most * moves)
        return moves
