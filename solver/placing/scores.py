"""Score every place for one cell of a VM at once, with a lower bound of the loss it would add."""

from __future__ import annotations

import numpy as np

from numaplace.models import rates
from numaplace.models.cores import node_llcs
from numaplace.models.locality import is_local
from numaplace.models.relations import Scope
from numaplace.models.units import MILLI
from numaplace.models.vm import CpuPolicy, DevicePolicy, MemoryMode, Vm
from numaplace.solver.placing.board import Board, Bools, Ints, Reals
from numaplace.solver.placing.footprint import Footprint, llc_domain
from numaplace.solver.placing.rules import Scores
from numaplace.solver.placing.state import State


def places_for(state: State, vm: Vm) -> tuple[Bools, frozenset[int] | None]:
    """Places a VM may use, and the very places it must use if it is tied to a placed VM."""
    board = state.board
    mask = board.allowed(vm).copy()
    exactly: frozenset[int] | None = None
    for group in board.togethers.get(vm.name, ()):
        for name in group.vms:
            other = state.placed.get(name)
            if other is None or name == vm.name or not vm.overlaps(other.vm):
                continue
            if group.scope is Scope.HOST:
                mask &= board.host_index == other.host_index
            else:
                homes = [place for place, _ in other.homes]
                mask &= np.isin(np.arange(board.size), homes)
                exactly = frozenset(homes)
    for rule in board.aparts.get(vm.name, ()):
        for name in rule.vms:
            other = state.placed.get(name)
            if other is None or name == vm.name or not vm.overlaps(other.vm):
                continue
            if rule.scope is Scope.HOST:
                mask[board.host_slice[other.host_index]] = False
            else:
                mask[[place for place, _ in other.homes]] = False
    return mask, exactly


def score(
    state: State,
    vm: Vm,
    allowed: Bools,
    vcpus: int,
    blocks: int,
    cells: int,
    *,
    balloon: bool = False,
    spill: bool = True,
) -> Scores:
    """Score all places for one of `cells` cells of `vcpus` and `blocks`."""
    board, rows = state.board, state.rows(vm.name)
    ratio = MILLI if vm.cpu_policy is CpuPolicy.SHARED else board.ratio_milli
    cpu_left = board.cpu_capacity - state.peak(state.cpu_used, rows) - vcpus * ratio
    fits = allowed & (cpu_left >= 0)
    if vm.cpu_policy is CpuPolicy.DEDICATED:
        fits = fits & _pcpus_fit(state, vm, vcpus, fits)
    memory_left, missing = _memory(state, vm, blocks)
    fits = fits & _memory_fits(state, vm, missing, memory_left, balloon=balloon, spill=spill)
    loss = _contention(state, vm, vcpus) + pair_loss(state, vm, vcpus, cells)
    loss = loss + affinity_loss(board, vm, vcpus)
    if vm.memory_mode is not MemoryMode.INTERLEAVE:
        if not balloon and missing.any():
            loss = loss + missing * _near_rate(state, vm, vcpus, blocks)
        # A new copy of pages that members may read from elsewhere can push own pages off home.
        group = state.instance.group_of.get(vm.name)
        copy_mib = group.shared_mib if group is not None and group.across_nodes else 0
        local = (missing == 0) & (memory_left >= copy_mib)
        loss = loss + local * _bandwidth(state, vm, blocks)
        if cells == 1:
            loss = loss + local * migration_loss(board, vm, blocks)
    if cells == 1:
        for kind, count, policy, weight in _requests(vm):
            near, rate = device_rates(board, kind, policy, weight)
            fits = fits & near
            loss = loss + count * rate
    capacity = np.maximum(1, board.cpu_capacity), np.maximum(1, board.pool_mib[vm.page_size])
    left: Reals = cpu_left / capacity[0] + np.maximum(0, memory_left) / capacity[1]
    talks = board.cooperations.get(vm.name, ())
    expecting = any(partner.name not in state.placed for _, partner in talks)
    return Scores(fits, loss, left, expecting)


def _pcpus_fit(state: State, vm: Vm, vcpus: int, fits: Bools) -> Bools:
    """Places whose free pCPUs serve a dedicated cell."""
    mask = state.row_mask(vm.name)
    found = np.zeros(len(fits), np.bool_)
    for place in np.flatnonzero(fits).tolist():
        found[place] = state.room(place, vm.thread_policy, mask) >= vcpus
    return found


def _memory(state: State, vm: Vm, blocks: int) -> tuple[Ints, Ints]:
    """MiB left on each place, and blocks that would not fit there."""
    board, form = state.board, state.instance.form(vm.name)
    used = state.peak(state.mib_used[vm.page_size], state.rows(vm.name))
    free = board.pool_mib[vm.page_size] - used
    group = state.instance.group_of.get(vm.name)
    if group is not None and not group.across_nodes:
        have = [p for (name, _), at in state.copies.items() if name == group.name for p in at]
        free = free - group.shared_mib
        free[have] += group.shared_mib
    here = np.maximum(0, free) // form.block_mib
    if vm.memory_nodes is not None:
        here = here * np.isin(board.node_id, list(vm.memory_nodes))
    return free - blocks * form.block_mib, np.maximum(0, blocks - here)


def _memory_fits(
    state: State, vm: Vm, missing: Ints, memory_left: Ints, *, balloon: bool, spill: bool
) -> Bools:
    """Places (for strict memory) or hosts (for memory that may spill) with enough pages."""
    board, form = state.board, state.instance.form(vm.name)
    lacking = form.balloon_blocks if balloon else 0
    if vm.memory_mode is MemoryMode.INTERLEAVE:
        return np.ones(board.size, np.bool_)
    own_only = vm.memory_mode is MemoryMode.STRICT and vm.memory_nodes is None
    if own_only or not spill:
        return missing <= lacking
    used = state.peak(state.mib_used[vm.page_size], state.rows(vm.name))
    free = np.maximum(0, board.pool_mib[vm.page_size] - used) // form.block_mib
    if vm.memory_nodes is not None:
        free = free * np.isin(board.node_id, list(vm.memory_nodes))
    of_host = np.add.reduceat(free, board.host_starts)
    enough: Bools = (of_host >= form.blocks - lacking)[board.host_index]
    return enough


def _contention(state: State, vm: Vm, vcpus: int) -> Ints:
    board = state.board
    milli = rates.load_milli(vm, vcpus)
    after = np.maximum(state.past_load, state.peak(state.load, state.rows(vm.name)) + milli)
    # Where a peak at another time is higher, nothing is added.
    added: Ints = np.maximum(0, board.contentions.loss(after) - state.contention)
    return added


def _near_rate(state: State, vm: Vm, vcpus: int, blocks: int) -> Ints:
    """Loss per block on the nearest other node of each place."""
    board, form = state.board, state.instance.form(vm.name)
    rate: Ints = rates.memory_loss(form, vm, vcpus, blocks * form.block_mib, board.nearest_r)
    return rate


def _bandwidth(state: State, vm: Vm, blocks: int) -> Ints:
    """Bandwidth contention added if a cell's pages are all local."""
    board = state.board
    if not vm.bandwidth_mbps:
        return np.zeros(board.size, np.int64)
    demand = rates.demand_per_block(state.instance, vm) * blocks
    before = np.maximum(state.past_demand, state.peak(state.demand, slice(None)))
    after = np.maximum(before, state.peak(state.demand, state.rows(vm.name)) + demand)
    return board.bandwidths.loss(after) - board.bandwidths.loss(before)


def affinity_loss(board: Board, vm: Vm, vcpus: int) -> Ints:
    """Loss of `vcpus` of a VM at each place by its node affinity."""
    if vm.soft_nodes is None:
        return np.zeros(board.size, np.int64)
    outside = ~np.isin(board.node_id, list(vm.soft_nodes))
    return outside * np.int64(rates.outside_loss(vm.soft_weight, vcpus, vm.vcpus))


def migration_loss(board: Board, vm: Vm, blocks: int) -> Ints:
    """Loss of moving a VM of one cell from where it is now to each place, all pages local."""
    instance = board.instance
    old = instance.current.placements.get(vm.name) if instance.current is not None else None
    if old is None:
        return np.zeros(board.size, np.int64)
    local, network = rates.move_rates_nano(instance, vm)
    mib, before = blocks * instance.form(vm.name).block_mib, old.memory_by_node()
    kept = min(mib, sum(before.values()))
    nano = np.full(board.size, network * kept, np.int64)
    nano[board.host_slice[instance.host_index[old.host]]] = local * kept
    for node, before_mib in before.items():
        place = instance.place_of[old.host, node].index
        nano[place] = local * (kept - min(mib, before_mib))
    loss: Ints = rates.moved_loss(nano)
    return loss


def pair_loss(state: State, vm: Vm, vcpus: int, cells: int) -> Ints:
    """Cooperation and competition of a cell at each place with the VMs that are placed.

    Exact for a VM of one cell; a dedicated VM's competition for caches is left out.
    """
    board = state.board
    loss: Ints = np.zeros(board.size, np.int64)
    for talk, partner in board.cooperations.get(vm.name, ()):
        other = state.placed.get(partner.name)
        for place, theirs in other.homes if other is not None else ():
            pair = (vcpus, theirs) if partner.first else (theirs, vcpus)
            share = rates.talk_share(state.instance, talk, pair)
            loss = loss + rates.distance_loss(talk.weight * share, board.mean_r(place))
    for rival, partner in board.competitions.get(vm.name, ()):
        other = state.placed.get(partner.name)
        if other is not None:
            # A VM of several cells pays once however many of them meet.
            meeting = _meeting_places(board, vm, other, rival.scope)
            loss[meeting] += rates.competition_price(rival) // cells
    return loss


def _meeting_places(board: Board, vm: Vm, other: Footprint, scope: Scope) -> list[int]:
    """Places where `vm` cannot but meet `other` in a scope."""
    of_host = board.instance.host_places[other.host_index]
    if scope is Scope.HOST:
        return [place.index for place in of_host]
    if scope is Scope.NODE:
        return [place for place, _ in other.homes]
    if vm.cpu_policy is CpuPolicy.DEDICATED:
        return []
    domains = other.domains(board.instance, Scope.LLC)
    return [
        place.index
        for place in of_host
        if any(
            llc_domain(place.host_index, llc) in domains
            for llc in node_llcs(place.node) or {-1 - place.position}
        )
    ]


def _requests(vm: Vm) -> list[tuple[str, int, DevicePolicy, float]]:
    return [(r.kind, r.count, r.policy, r.weight) for r in vm.devices]


def device_rates(
    board: Board, kind: str, policy: DevicePolicy, weight: float
) -> tuple[Bools, Ints]:
    """Places from which devices of a kind will do, and the loss per function of the nearest."""
    key = (kind, policy, weight)
    if key not in board.device_cache:
        near = np.zeros(board.size, np.bool_)
        rate = np.zeros(board.size, np.int64)
        for place in board.instance.places:
            found = [
                min(
                    (
                        board.instance.r(place, at)
                        for at in board.instance.host_places[place.host_index]
                        if at.node.id in device.nodes
                    ),
                    default=1.0,
                )
                for device in place.host.devices
                if device.answers(kind) and device.functions and is_local(device, policy, place)
            ]
            near[place.index] = bool(found)
            rate[place.index] = rates.distance_loss(weight, min(found, default=1.0))
        board.device_cache[key] = near, rate
    return board.device_cache[key]
