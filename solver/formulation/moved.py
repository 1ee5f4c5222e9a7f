"""What re-planning moves, as sums over a program: MiB copied, VMs moved, and a budget of both."""

from __future__ import annotations

from dataclasses import dataclass

from numaplace.models import rates
from numaplace.models.moves import Budget, micros_per_mib
from numaplace.models.plan import Placement
from numaplace.models.vm import Vm
from numaplace.solver.formulation.program import Kind, Terms, joined, scaled
from numaplace.solver.formulation.variables import RowWriter, Variables


@dataclass(frozen=True, slots=True)
class CopiedMemory:
    """MiB of one VM that are copied within its host, and to another host."""

    local: Terms
    network: Terms


class Migration(RowWriter):
    """What the VMs of the current plan move; variables are made on first use."""

    def __init__(self, variables: Variables) -> None:
        super().__init__(variables)
        current = self.instance.current
        self.old: dict[str, Placement] = dict(current.placements) if current else {}
        self._copied: dict[str, CopiedMemory] = {}

    def losses(self) -> Terms:
        """Loss of memory copied from where it is now, rounded up to micro-vCPU once a VM."""
        return [(self._loss(vm), 1) for vm in self.instance.vms if vm.name in self.old]

    def _loss(self, vm: Vm) -> int:
        local, network = rates.move_rates_nano(self.instance, vm)
        copied = self.copied(vm)
        own_mib = self.instance.form(vm.name).own_mib
        most = rates.moved_loss(max(local, network) * own_mib)
        loss = self.program.variable(most, Kind.ROUNDED)
        nano = [*scaled(copied.local, local), *scaled(copied.network, network)]
        self.program.at_most([*nano, (loss, -rates.NANO_PER_MICRO)], 0)
        return loss

    def copied(self, vm: Vm) -> CopiedMemory:
        """MiB that a VM of the current plan copies, of what it has and keeps."""
        if vm.name not in self._copied:
            self._copied[vm.name] = self._new_copied(vm)
        return self._copied[vm.name]

    def _new_copied(self, vm: Vm) -> CopiedMemory:
        """Of a VM that is no larger than it was, nodes get what is copied; else they give it up.

        Ballooning may leave open which of both a VM is.
        """
        form, old = self.instance.form(vm.name), self.old[vm.name]
        lay, had_mib = old.memory_by_node(), sum(old.memory_by_node().values())
        most_mib = form.own_mib
        least_mib = most_mib - form.balloon_blocks * form.block_mib
        host = self.instance.host_index[old.host]
        stays = self.vars.on_host[vm.name].get(host, [])
        here: dict[int, Terms] = {}
        away: Terms = []
        for at, blocks in self.vars.blocks_at(vm.name).items():
            place, lies_mib = self.instance.places[at], scaled(blocks, form.block_mib)
            if place.host_index == host:
                here[place.node.id] = lies_mib
            else:
                away += lies_mib
        if had_mib >= most_mib:
            got = [
                self._no_less(vm, [*mib, *scaled(stays, -min(lay.get(node, 0), most_mib))])
                for node, mib in here.items()
            ]
            return CopiedMemory(joined(got), away)
        gave = joined(
            self._no_less(vm, [*scaled(stays, mib), *scaled(here.get(node, []), -1)])
            for node, mib in lay.items()
        )
        placed = (self.vars.placed[vm.name], had_mib)
        leaves = [placed, *scaled(stays, -had_mib)]
        if had_mib <= least_mib:
            return CopiedMemory(gave, leaves)
        shrinks = self.program.variable()
        less = self.program.part(had_mib - least_mib, unit=form.block_mib)
        self.program.at_most([(less, 1), (shrinks, least_mib - had_mib)], 0)
        has = [*joined(here.values()), *away, *scaled([placed], -1)]
        room_mib = most_mib - had_mib
        self.program.at_most([(less, 1), *has, (shrinks, room_mib)], room_mib)
        return CopiedMemory(
            self._no_less(vm, [*gave, (less, -1)]), self._no_less(vm, [*leaves, (less, -1)])
        )

    def _no_less(self, vm: Vm, least: Terms) -> Terms:
        """Return a new variable, MiB of a VM, that is no less than a sum, nor than 0."""
        form = self.instance.form(vm.name)
        moved = self.program.part(form.own_mib, unit=form.block_mib)
        self.program.at_most([*least, (moved, -1)], 0)
        return [(moved, 1)]

    def keep_within(self, budget: Budget) -> None:
        """Allow only plans whose moves the budget allows, one move a VM."""
        vms = [vm for vm in self.instance.vms if vm.name in self.old]
        copied = [self.copied(vm) for vm in vms]
        if budget.mib is not None:
            self.program.at_most(joined([*c.local, *c.network] for c in copied), budget.mib)
        if budget.copying_us is not None:
            local, network = micros_per_mib(self.instance)
            spent = joined([*scaled(c.local, local), *scaled(c.network, network)] for c in copied)
            self.program.at_most(spent, budget.copying_us)
        if budget.moves is not None:
            self.program.at_most([(self._moves(vm), 1) for vm in vms], budget.moves)

    def _moves(self, vm: Vm) -> int:
        """Return a variable that is 1 if a vCPU or memory of a VM goes elsewhere.

        Of a VM with more vCPUs than before, a node it used has fewer; else a node has more.
        """
        old = self.old[vm.name]
        vcpus = {
            self.instance.place_of[old.host, node].index: count
            for node, count in old.vcpus_by_node().items()
        }
        moves = self.program.variable()
        grows = vm.vcpus > sum(vcpus.values())
        for option in self.prepared.options[vm.name]:
            have, had = option.cell.vcpus, vcpus.get(option.place_index, 0)
            if have < had if grows else have > had:
                self.program.at_most([(self.vars.cell[option], 1), (moves, -1)], 0)
        for home in vcpus if grows else ():
            here = self.vars.at[vm.name].get(home, [])
            self.program.at_least([*here, (moves, 1), (self.vars.placed[vm.name], -1)], 0)
        copied = self.copied(vm)
        away = [*copied.local, *copied.network]
        most = self.instance.form(vm.name).own_mib
        self.program.at_most([*away, (moves, -most)], 0)
        return moves
