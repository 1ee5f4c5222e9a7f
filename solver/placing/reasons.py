"""Why a VM could not be placed, in words: what is missing where it comes nearest to fitting."""

from __future__ import annotations

import numpy as np

from numaplace.models.forms import CellType
from numaplace.models.units import MILLI, PageSize
from numaplace.models.vm import CpuPolicy, MemoryMode, Vm
from numaplace.solver.placing.arrays import Bools, Ints
from numaplace.solver.placing.cell_offer import CellOffer, places_for
from numaplace.solver.placing.occupancy import Occupancy


def why_not(state: Occupancy, vm: Vm) -> str:
    """Say why `vm`, which is not placed, fits nowhere as things are."""
    arrays, form = state.arrays, state.instance.form(vm.name)
    usable = arrays.allowed(vm)
    if not usable.any():
        return "no node with pCPUs is among its allowed hosts and hard nodes"
    allowed, exactly = places_for(state, vm)
    if not allowed.any():
        return "the nodes it may use are closed to it by VMs it must be together with or apart from"
    if exactly is not None and all(s.num_cells != len(exactly) for s in form.shapes):
        return f"must use the {len(exactly)} nodes of a VM it is tied to, but has other cells"
    shape = form.shapes[-1]
    kind = min(shape.types, key=lambda t: (t.vcpus, t.blocks))
    cell = "" if shape.num_cells == 1 else f"for each of {shape.num_cells} cells "
    text = (
        _cpus(state, vm, kind, allowed, cell)
        or _memory(state, vm, kind, allowed, cell)
        or _devices(state, vm, allowed)
        or _sharing(state, vm, allowed)
    )
    if text:
        return text
    size = kind.vcpus, kind.blocks, shape.num_cells
    fits = CellOffer(state, vm, allowed, *size, balloon=True).fits
    if not fits.any():
        memory = f"{form.blocks * form.block_mib} MiB in {vm.page_size} pages"
        return f"no node that has {kind.vcpus} vCPUs free has room for {memory} too"
    if shape.num_cells > 1:
        count = int(fits.sum())
        return f"its {shape.num_cells} cells do not fit together: {count} nodes have room for one"
    return "CPUs, memory, devices and shared pages are each free, but not together on one host"


def _cpus(state: Occupancy, vm: Vm, kind: CellType, allowed: Bools, cell: str) -> str:
    arrays, rows = state.arrays, state.rows(vm.name)
    if vm.cpu_policy is CpuPolicy.DEDICATED:
        mask = state.row_mask(vm.name)
        free = np.array([state.room(p, vm.thread_policy, mask) for p in range(arrays.size)])
        what = f"dedicated vCPUs (threads: {vm.thread_policy})"
        return _short(state, allowed, free, kind.vcpus, what, cell)
    shared: Ints = state.ledger.least(state.ledger.free_cpu, rows) // MILLI
    text = _short(state, allowed, shared, kind.vcpus, "vCPUs", cell)
    return text and f"{text} (vcpu_overcommit, import --overcommit, allows more)"


def _memory(state: Occupancy, vm: Vm, kind: CellType, allowed: Bools, cell: str) -> str:
    arrays, form = state.arrays, state.instance.form(vm.name)
    free = state.ledger.least(state.ledger.free_mib[vm.page_size], state.rows(vm.name))
    what = f"MiB in {vm.page_size} pages"
    if vm.memory_mode is MemoryMode.STRICT and vm.memory_nodes is None:
        need = max(0, kind.blocks - form.balloon_blocks) * form.block_mib
        return _short(state, allowed, free, need, what, cell)
    if vm.memory_nodes is not None:
        free = free * np.isin(arrays.node_id, list(vm.memory_nodes))
    of_host = np.add.reduceat(np.maximum(0, free), arrays.host_starts)
    need = (form.blocks - form.balloon_blocks) * form.block_mib
    hosts = sorted({int(arrays.host_index[p]) for p in np.flatnonzero(allowed)})
    best = max(hosts, key=lambda h: int(of_host[h]))
    if of_host[best] >= need:
        return ""
    name = state.instance.hosts[best].name
    return f"needs {need} {what} on the nodes of one host, most free is {of_host[best]} on {name}"


def _short(state: Occupancy, allowed: Bools, free: Ints, need: int, what: str, cell: str) -> str:
    """Text if no allowed place has as much free as is needed."""
    best = int(np.where(allowed, free, -1).argmax())
    if free[best] >= need:
        return ""
    place = state.instance.places[best]
    return (
        f"{cell}needs {need} {what} on one node, most free is {max(0, int(free[best]))} on {place}"
    )


def _devices(state: Occupancy, vm: Vm, allowed: Bools) -> str:
    arrays, rows = state.arrays, state.rows(vm.name)
    hosts = sorted({int(arrays.host_index[p]) for p in np.flatnonzero(allowed)})
    for request in vm.devices:
        free = {
            h: sum(
                state.free_functions(h, d.address, d.functions, rows)
                for d in state.instance.hosts[h].devices
                if d.answers(request.kind)
            )
            for h in hosts
        }
        best = max(hosts, key=free.__getitem__)
        if free[best] < request.count:
            name = state.instance.hosts[best].name
            return (
                f"needs {request.count} functions of {request.kind!r}, "
                f"most free is {free[best]} on {name}"
            )
    return ""


def _sharing(state: Occupancy, vm: Vm, allowed: Bools) -> str:
    """Text if it is a copy of the VM's sharing group that finds no room; empty if not."""
    group = state.instance.group_of.get(vm.name)
    if group is None:
        return ""
    rows = state.group_rows(group)
    usable = np.ones_like(allowed) if group.across_nodes else allowed
    have = {place for (name, _), at in state.copies.items() if name == group.name for place in at}
    free = {
        int(place): state.free_mib(int(place), PageSize.SMALL, rows)
        for place in np.flatnonzero(usable)
    }
    if have & free.keys() or max(free.values()) >= group.shared_mib:
        return ""
    return f"no node has {group.shared_mib} MiB free for a copy of sharing group {group.name!r}"
