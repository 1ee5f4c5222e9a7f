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
        """MiB that a VM of the current plan copies.

        ``moved >= lies - lay on_host`` for each node of the host where it is now.
        """
        if vm.name not in self._copied:
            self._copied[vm.name] = self._new_copied(vm)
        return self._copied[vm.name]

    def _new_copied(self, vm: Vm) -> Copied:
        old = self.old[vm.name]
        before = old.memory_by_node()
        form = self.instance.form(vm.name)
        local: list[Linear] = []
        network: list[Linear] = []
        for at, parts in sorted(self.vars.pages_of(vm.name).items()):
            place = self.instance.places[at]
            lies_mib = form.block_mib * sum(parts)
            if place.host.name != old.host:
                network.append(lies_mib)
                continue
            here = min(before.get(place.node.id, 0), form.own_mib)
            stays = self.vars.on_host[vm.name][place.host_index]
            moved = self.model.new_int_var(0, form.own_mib, f"MiB of {vm.name} moved to {place}")
            self.model.add(moved >= lies_mib - here * stays)
            local.append(moved)
        return Copied(sum(local, ZERO), sum(network, ZERO))

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
        """Return a literal that is true if a vCPU or memory of a VM goes elsewhere."""
        vcpus: dict[int, int] = {}
        for cell in self.old[vm.name].cells:
            home = self.instance.place_of[self.old[vm.name].host, cell.node].index
            vcpus[home] = vcpus.get(home, 0) + cell.vcpus
        moves = self.model.new_bool_var(f"{vm.name} moves")
        for option in self.vars.prepared.options[vm.name]:
            if self.vars.prepared.kind_of(option).vcpus != vcpus.get(option.place):
                self.model.add_implication(self.vars.cell[option], moves)
        for home in vcpus:
            # With fewer cells than before, the VM uses no new node, and moves all the same.
            here = self.vars.at[vm.name].get(home, ZERO)
            self.model.add(here + moves >= self.vars.placed[vm.name])
        copied = self.copied(vm)
        most = self.instance.form(vm.name).own_mib
        self.model.add(copied.local + copied.network <= most * moves)
        return moves
