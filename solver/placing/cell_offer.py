"""Every place for one cell of a VM at once, with a lower bound of the loss it would add."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from numaplace.models import rates
from numaplace.models.cores import node_llcs
from numaplace.models.locality import is_local
from numaplace.models.relations import Scope
from numaplace.models.units import MILLI
from numaplace.models.vm import CpuPolicy, DeviceRequest, MemoryMode, Vm
from numaplace.solver.placing.arrays import Bools, InstanceArrays, Ints
from numaplace.solver.placing.ledger import Footprint, llc_domain
from numaplace.solver.placing.occupancy import EVER, Occupancy
from numaplace.solver.placing.offer import Lazy, Offer


def places_for(
    state: Occupancy, vm: Vm, beside: Mapping[str, Footprint] | None = None
) -> tuple[Bools, frozenset[int] | None]:
    """Places a VM may use, and the very places it must use if it is tied to a placed VM.

    Beside all that are placed, or only those given.
    """
    arrays, placed = state.arrays, state.placed if beside is None else beside
    mask = arrays.allowed(vm).copy()
    exactly: frozenset[int] | None = None
    for group in arrays.togethers.get(vm.name, ()):
        tied = (placed.get(name) for name in group.vms if name != vm.name)
        others = [other for other in tied if other is not None and vm.overlaps(other.vm)]
        for met in {other.domains(arrays.instance, group.scope) for other in others}:
            if group.scope == Scope.NODE:
                mask &= np.isin(arrays.numbers, list(met))
                exactly = met
            else:
                mask &= arrays.domains(group.scope) == min(met)
    for rule in arrays.aparts.get(vm.name, ()):
        closed: set[int] = set()
        allies = rule.allies(vm.name)
        for name in rule.vms:
            other = placed.get(name)
            if other is not None and name not in allies and vm.overlaps(other.vm):
                closed |= other.domains(arrays.instance, rule.scope)
        if closed:
            shut = np.zeros(arrays.size, np.bool_)  # domains are numbers of hosts or of places
            shut[list(closed)] = True
            whole = rule.scope == Scope.NODE
            mask &= ~(shut if whole else shut[arrays.domains(rule.scope)])
    return mask, exactly


def has_partners(state: Occupancy, vm: Vm) -> bool:
    """Tell whether a VM talks to or competes with one that is placed."""
    of_name = state.arrays.cooperations, state.arrays.competitions
    return any(other.name in state.placed for of in of_name for _, other in of.get(vm.name, ()))


def expecting(state: Occupancy, vm: Vm) -> bool:
    """Tell whether VMs that this one talks to are still to come."""
    talks = state.arrays.cooperations.get(vm.name, ())
    return any(partner.name not in state.placed for _, partner in talks)


class CellOffer(Offer):
    """Places of an instance, for one of `cells` cells of `vcpus` and `blocks`.

    `fits` says whether the cell may go to a place, as far as can be told for each place alone.
    With `at` these are the places of some hosts only, for rules that look at nothing else.
    """

    def __init__(
        self,
        state: Occupancy,
        vm: Vm,
        allowed: Bools,
        vcpus: int,
        blocks: int,
        cells: int,
        *,
        balloon: bool = False,
        spill: bool = True,
        at: Ints | None = None,
    ) -> None:
        super().__init__(state.ledger, state.rows(vm.name), vm.page_size)
        self.state, self.vm, self.arrays = state, vm, state.arrays
        self.vcpus, self.blocks, self.cells, self.balloon = vcpus, blocks, cells, balloon
        self.form = state.instance.form(vm.name)
        self.at = slice(None) if at is None else at
        self.free_cpu, self.free_mib = self.free_cpu[self.at], self.free_mib[self.at]
        self.slots = self.first = self.second = self.arrays.numbers[self.at]
        shared = vm.cpu_policy is CpuPolicy.SHARED
        self.cpu = vcpus * (MILLI if shared else self.arrays.ratio_milli[self.at]), 0
        self.expecting = expecting(state, vm)
        self.left_cpu = self.free_cpu - self.cpu[0]
        fits = allowed[self.at] & (self.left_cpu >= 0)
        if not shared:
            fits = fits & self._pcpus_fit(fits)
        self.fits: Bools = fits & self._memory_fits(spill=spill)
        if cells == 1:
            for near, _ in self._devices:
                self.fits = self.fits & near

    def total(self, of_places: Ints) -> Ints:
        """Return the amounts themselves: a choice is a place."""
        return of_places[self.at]

    @Lazy
    def _devices(self) -> list[tuple[Bools, Ints]]:
        """For each request of a VM of one cell, places near enough, and the loss there."""
        found: list[tuple[Bools, Ints]] = []
        for request in self.vm.devices:
            near, rate = device_rates(self.arrays, request)
            found.append((near[self.at], request.count * rate[self.at]))
        return found

    def _pcpus_fit(self, fits: Bools) -> Bools:
        """Places whose free pCPUs serve a dedicated cell."""
        mask, policy = self.state.row_mask(self.vm.name), self.vm.thread_policy
        found = np.zeros(len(fits), np.bool_)
        for index in np.flatnonzero(fits).tolist():
            found[index] = self.state.room(self.slots.item(index), policy, mask) >= self.vcpus
        return found

    @Lazy
    def _pool(self) -> Ints:
        """MiB free for the VM's own pages once a copy of shared ones that it needs is there."""
        group = self.state.instance.group_of.get(self.vm.name)
        if group is None or group.across_nodes:
            return self.free_mib
        return self.free_mib - group.shared_mib * ~np.isin(
            self.slots, list(self.state.copies_of(group))
        )

    def _in_blocks(self, free_mib: Ints) -> Ints:
        """Blocks that find room on each place that may hold pages of the VM."""
        here: Ints = np.maximum(0, free_mib) // self.form.block_mib
        if self.vm.memory_nodes is not None:
            here = here * np.isin(self.arrays.node_id[self.at], list(self.vm.memory_nodes))
        return here

    @Lazy
    def _here(self) -> Ints:
        """Blocks that find room beside the copy of shared pages that the VM needs."""
        return self._in_blocks(self._pool)

    @Lazy
    def left_mib(self) -> Ints:
        """MiB left on each place, 0 where some of the cell's pages must go elsewhere."""
        return np.maximum(0, self._pool - self.blocks * self.form.block_mib)

    @Lazy
    def _missing(self) -> Ints:
        """Blocks that would not fit on each place."""
        return np.maximum(0, self.blocks - self._here)

    def _memory_fits(self, *, spill: bool) -> Bools:
        """Places (for strict memory) or hosts (for memory that may spill) with enough pages."""
        vm, lacking = self.vm, self.form.balloon_blocks if self.balloon else 0
        if vm.memory_mode is MemoryMode.INTERLEAVE:
            return np.ones(len(self), np.bool_)
        own_only = vm.memory_mode is MemoryMode.STRICT and vm.memory_nodes is None
        if own_only or not spill:
            return self._missing <= lacking
        alone = self._pool is self.free_mib
        here = self._here if alone else self._in_blocks(self.free_mib)
        hosts, starts = self.arrays.host_index[self.at], self.arrays.host_starts
        if len(hosts) < self.arrays.size:
            first = np.diff(hosts, prepend=-1) != 0
            starts, hosts = np.flatnonzero(first), np.cumsum(first) - 1
        enough: Bools = np.add.reduceat(here, starts) >= self.form.blocks - lacking
        return enough[hosts]

    @Lazy
    def loss(self) -> Ints:
        """Loss in micro-vCPU that the cell would add, never more than the true one."""
        return self.loss_beside(pair_loss(self.state, self.vm, self.vcpus, self.cells)[self.at])

    def loss_beside(self, pairs: Ints | int) -> Ints:
        """Return `loss` with what the VM loses by those it talks to or competes with given."""
        state, vm, blocks, missing = self.state, self.vm, self.blocks, self._missing
        loss = self._contention() + pairs
        if vm.soft_nodes is not None:
            loss = loss + place_loss(self.arrays, vm, self.vcpus)[self.at]
        if vm.memory_mode is not MemoryMode.INTERLEAVE:
            if not self.balloon and missing.any():
                cell_mib, r = blocks * self.form.block_mib, self.arrays.nearest_r[self.at]
                loss = loss + missing * rates.memory_loss(self.form, vm, self.vcpus, cell_mib, r)
            if vm.bandwidth_mbps:
                loss = loss + self._surely_local() * self._bandwidth()
            if self.cells == 1 and state.instance.current is not None:
                moved = migration_loss(self.arrays, vm, blocks)[self.at]
                loss = loss + self._surely_local() * moved
        if self.cells == 1:
            for _, rate in self._devices:
                loss = loss + rate
        return loss

    def _surely_local(self) -> Bools:
        """Places that hold all the cell's pages, also with the copy of shared ones they may get."""
        # Members may read it from elsewhere, but a new copy can push own pages off home.
        group = self.state.instance.group_of.get(self.vm.name)
        copy_mib = group.shared_mib if group is not None and group.across_nodes else 0
        need_mib = copy_mib + self.blocks * self.form.block_mib
        surely: Bools = (self._missing == 0) & (self._pool >= need_mib)
        return surely

    def _contention(self) -> Ints:
        more = self.arrays.crowd(self.vm, self.vcpus)[:, self.at]
        values = self.ledger.values[:, :, self.at]
        if self.ledger.single_row:
            after = (values[0] + more).max(axis=0)
        else:
            after = (values[self.rows] + more).max(axis=(0, 1))
        # Where a peak at another time is higher, nothing is added.
        added: Ints = np.maximum(0, after - self.state.contention[self.at])
        return added

    def _bandwidth(self) -> Ints:
        """Bandwidth contention added if a cell's pages are all local."""
        ledger, bandwidths = self.ledger, self.arrays.bandwidths
        demand = rates.demand_per_block(self.state.instance, self.vm) * self.blocks
        before = np.maximum(ledger.past_demand_milli, ledger.most(ledger.demand_milli, EVER))
        after = np.maximum(before, ledger.most(ledger.demand_milli, self.rows) + demand)
        return (bandwidths.loss(after) - bandwidths.loss(before))[self.at]


def place_loss(arrays: InstanceArrays, vm: Vm, vcpus: int) -> Ints:
    """Loss of `vcpus` of a VM at each place by what the place is: in the soft set or not."""
    loss: Ints = np.zeros(arrays.size, np.int64)
    if vm.soft_nodes is not None:
        outside = ~np.isin(arrays.node_id, list(vm.soft_nodes))
        loss += outside * np.int64(rates.outside_loss(vm.soft_weight, vcpus, vm.vcpus))
    return loss


def migration_loss(arrays: InstanceArrays, vm: Vm, blocks: int) -> Ints:
    """Loss of moving a VM of one cell from where it is now to each place, all pages local."""
    instance = arrays.instance
    old = instance.current.placements.get(vm.name) if instance.current is not None else None
    if old is None:
        return np.zeros(arrays.size, np.int64)
    local, network = rates.move_rates_nano(instance, vm)
    mib, before = blocks * instance.form(vm.name).block_mib, old.memory_by_node()
    kept = min(mib, sum(before.values()))
    nano = np.full(arrays.size, network * kept, np.int64)
    nano[arrays.host_slice[instance.host_index[old.host]]] = local * kept
    for node, before_mib in before.items():
        place_index = instance.place_of[old.host, node].index
        nano[place_index] = local * (kept - min(mib, before_mib))
    loss: Ints = rates.moved_loss(nano)
    return loss


def pair_loss(
    state: Occupancy, vm: Vm, vcpus: int, cells: int, beside: Mapping[str, Footprint] | None = None
) -> Ints:
    """Cooperation and competition of a cell at each place with the VMs placed, or those given.

    Exact for a VM of one cell; a dedicated VM's competition for caches is left out.
    """
    arrays, placed = state.arrays, state.placed if beside is None else beside
    loss: Ints = np.zeros(arrays.size, np.int64)
    for talk, partner in arrays.cooperations.get(vm.name, ()):
        other = placed.get(partner.name)
        if other is not None and talk.scope is not None:
            away = arrays.domains(talk.scope) != min(other.domains(arrays.instance, talk.scope))
            loss = loss + away * np.int64(rates.parted_price(talk) // cells)
            continue
        for place_index, theirs in other.homes if other is not None else ():
            pair = (vcpus, theirs) if partner.first else (theirs, vcpus)
            share = rates.talk_share(state.instance, talk, pair)
            loss = loss + rates.distance_loss(talk.weight * share, arrays.mean_r(place_index))
    for rival, partner in arrays.competitions.get(vm.name, ()):
        other = placed.get(partner.name)
        if other is not None:
            # A VM of several cells pays once however many of them meet.
            meeting = _meeting_places(arrays, vm, other, rival.scope)
            loss[meeting] += rates.competition_price(rival) // cells
    return loss


def _meeting_places(arrays: InstanceArrays, vm: Vm, other: Footprint, scope: str) -> list[int]:
    """Places where `vm` cannot but meet `other` in a scope."""
    domains = other.domains(arrays.instance, scope)
    if scope == Scope.NODE:
        return list(domains)
    if scope != Scope.LLC:
        return np.flatnonzero(arrays.domains(scope) == min(domains)).tolist()
    if vm.cpu_policy is CpuPolicy.DEDICATED:
        return []
    return [
        place.index
        for place in arrays.instance.host_places[other.host_index]
        if any(
            llc_domain(place.host_index, llc) in domains
            for llc in node_llcs(place.node) or {-1 - place.position}
        )
    ]


def device_rates(arrays: InstanceArrays, request: DeviceRequest) -> tuple[Bools, Ints]:
    """Places from which devices will do for a request, and the loss per function of the nearest."""
    key = (request.kind, request.policy, request.weight)
    if key not in arrays.device_cache:
        near, rate = np.zeros(arrays.size, np.bool_), np.zeros(arrays.size, np.int64)
        for place in arrays.instance.places:
            losses = [
                rates.device_rate(arrays.instance, request, place, device)
                for device in place.host.devices
                if device.answers(request.kind)
                and device.functions
                and is_local(device, request.policy, place)
            ]
            near[place.index] = bool(losses)
            rate[place.index] = min(losses, default=0)
        arrays.device_cache[key] = near, rate
    return arrays.device_cache[key]
