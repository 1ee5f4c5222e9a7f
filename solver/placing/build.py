"""From homes of a VM's cells to a placement that obeys every rule, with its exact loss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from numaplace.models.plan import PlacedCell, Placement
from numaplace.models.relations import Scope
from numaplace.models.units import MILLI
from numaplace.models.vm import CpuPolicy, Vm
from numaplace.solver.placing.footprint import Footprint, llc_domain
from numaplace.solver.placing.occupancy import Occupancy
from numaplace.solver.placing.paging import Home, Pages, choose_devices, copy_choices, fill_pages


@dataclass(frozen=True, slots=True)
class Candidate:
    """A placement that may be taken: footprint, new copies of shared pages, exact loss added."""

    footprint: Footprint
    copies: frozenset[int]
    loss: int


def build(
    state: Occupancy,
    vm: Vm,
    homes: Sequence[Home],
    *,
    balloon: bool = False,
    spread: Sequence[int] = (),
) -> Candidate | None:
    """Build the best placement of `vm` with its cells at `homes`; None if a rule forbids it.

    Homes must obey the rules of where the VM may run (`scores.places_for`); what is checked here
    is what depends on all cells: pCPUs, pages, devices, shared pages.
    """
    pcpus = _choose_pcpus(state, vm, homes)
    if pcpus is None:
        return None
    devices = choose_devices(state, vm, homes)
    if devices is None:
        return None
    group = state.instance.group_of.get(vm.name)
    shared_mib = 0 if group is None else group.shared_mib
    best: Candidate | None = None
    for copies in copy_choices(state, vm, homes):
        reserved: Mapping[int, int] = dict.fromkeys(copies, shared_mib)
        pages = fill_pages(state, vm, homes, reserved, balloon=balloon, spread=spread)
        if pages is None:
            continue
        cells = _cells(state, vm, homes, pages, pcpus)
        placement = Placement(state.arrays.host_of(homes[0].place).name, cells, devices)
        footprint = state.footprint(vm, placement)
        loss = state.marginal(footprint, copies)
        if best is None or loss < best.loss:
            best = Candidate(footprint, copies, loss)
    return best


def _choose_pcpus(state: Occupancy, vm: Vm, homes: Sequence[Home]) -> list[tuple[int, ...]] | None:
    """PCPUs per cell, empty for a shared VM; None if a home has not enough."""
    rows = state.rows(vm.name)
    if vm.cpu_policy is CpuPolicy.SHARED:
        fits = all(state.free_cpu(h.place, rows) >= h.vcpus * MILLI for h in homes)
        return [()] * len(homes) if fits else None
    avoid = _rivals_caches(state, vm, int(state.arrays.host_index[homes[0].place]))
    mask = state.row_mask(vm.name)
    chosen: list[tuple[int, ...]] = []
    for home in homes:
        pool = state.pool(home.place)
        pcpus = pool.choose(vm.thread_policy, home.vcpus, mask, avoid)
        if pcpus is None:
            return None
        held = len(pool.held(vm, pcpus)) * int(state.arrays.ratio_milli.item(home.place))
        if held > state.free_cpu(home.place, rows):
            return None
        chosen.append(pcpus)
    return chosen


def _rivals_caches(state: Occupancy, vm: Vm, host_index: int) -> frozenset[int]:
    """Last-level caches of a host that VMs competing with `vm` for caches use."""
    first = llc_domain(host_index, 0)
    found: set[int] = set()
    for rival, partner in state.arrays.competitions.get(vm.name, ()):
        other = state.placed.get(partner.name)
        if rival.scope is Scope.LLC and other is not None and other.host_index == host_index:
            domains = other.domains(state.instance, Scope.LLC)
            found |= {domain - first for domain in domains if domain >= first}
    return frozenset(found)


def _cells(
    state: Occupancy, vm: Vm, homes: Sequence[Home], pages: Pages, pcpus: Sequence[tuple[int, ...]]
) -> tuple[PlacedCell, ...]:
    block_mib = state.instance.form(vm.name).block_mib
    node_id = state.arrays.node_id
    return tuple(
        PlacedCell(
            node=int(node_id.item(home.place)),
            vcpus=home.vcpus,
            memory_mib=tuple(
                (int(node_id.item(at)), blocks * block_mib) for at, blocks in sorted(where.items())
            ),
            pcpus=held,
            size_mib=home.blocks * block_mib,
        )
        for home, where, held in zip(homes, pages, pcpus, strict=True)
    )
