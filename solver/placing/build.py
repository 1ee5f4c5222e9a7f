"""From homes of a VM's cells to a placement that obeys every rule, with its exact loss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from numaplace.models import rates
from numaplace.models.instance import Instance
from numaplace.models.locality import is_local
from numaplace.models.pages import interleaved_blocks
from numaplace.models.plan import PlacedCell, Placement, TakenDevice
from numaplace.models.relations import Scope
from numaplace.models.units import MILLI, ceil_div
from numaplace.models.vm import CpuPolicy, MemoryMode, Vm
from numaplace.solver.placing.ledger import Footprint, llc_domain
from numaplace.solver.placing.matching import FORBIDDEN, assign
from numaplace.solver.placing.occupancy import Occupancy


@dataclass(frozen=True, slots=True)
class Home:
    """A cell of `vcpus` and `blocks` of own memory on a place."""

    place_index: int
    vcpus: int
    blocks: int


def homes_of(instance: Instance, vm: Vm, placement: Placement) -> list[Home]:
    """Return the homes of a placed VM's cells."""
    block_mib = instance.form(vm.name).block_mib
    return [
        Home(
            instance.place_of[placement.host, cell.node].index,
            cell.vcpus,
            ceil_div(cell.nominal_mib, block_mib),
        )
        for cell in placement.cells
    ]


Pages = list[dict[int, int]]  # Blocks by place, per cell


def fill_pages(
    state: Occupancy,
    vm: Vm,
    homes: Sequence[Home],
    reserved: Mapping[int, int],
    *,
    balloon: bool,
    spread: Sequence[int] = (),
) -> Pages | None:
    """Put each cell's blocks on its home as far as they fit, the rest as near as possible.

    `reserved` are MiB by place to leave free; `balloon` allows the balloon range to be taken for
    what fits nowhere; over the places of `spread` a hypervisor stripes memory evenly before it
    looks elsewhere: a VM of one cell instead of filling its home first, others for what their homes
    do not hold. None if the memory does not fit.
    """
    filling = _Filling(state, vm, homes, reserved)
    if vm.memory_mode is MemoryMode.INTERLEAVE:
        return filling.pages if filling.interleave() else None
    filling.at_home(spread)
    filling.nearby(spread)
    lacking = state.instance.form(vm.name).balloon_blocks if balloon else 0
    return filling.pages if sum(filling.left) <= lacking else None


class _Filling:
    """Pages of a VM while they are put somewhere, cell by cell."""

    def __init__(
        self, state: Occupancy, vm: Vm, homes: Sequence[Home], reserved: Mapping[int, int]
    ) -> None:
        self.state, self.vm, self.homes, self.reserved = state, vm, homes, reserved
        self.block_mib = state.instance.form(vm.name).block_mib
        self.allowed = [state.arrays.page_places(vm, home.place_index) for home in homes]
        self.left = [home.blocks for home in homes]
        self.pages: Pages = [{} for _ in homes]
        self._free: dict[int, int] = {}

    def _room(self, place_index: int) -> int:
        if place_index not in self._free:
            mib = self.state.free_mib(place_index, self.vm.page_size, self.state.rows(self.vm.name))
            self._free[place_index] = (
                max(0, mib - self.reserved.get(place_index, 0)) // self.block_mib
            )
        return self._free[place_index]

    def _put(self, cell: int, place_index: int, blocks: int) -> None:
        """Put as many of a cell's blocks on a place as fit."""
        blocks = min(blocks, self._room(place_index))
        if blocks:
            self._free[place_index] -= blocks
            self.left[cell] -= blocks
            self.pages[cell][place_index] = self.pages[cell].get(place_index, 0) + blocks

    def interleave(self) -> bool:
        """Spread every cell evenly; tell whether all of it fits."""
        for cell, home in enumerate(self.homes):
            for place_index, blocks in interleaved_blocks(self.allowed[cell], home.blocks).items():
                self._put(cell, place_index, blocks)
        return not any(self.left)

    def at_home(self, spread: Sequence[int]) -> None:
        """Put blocks on their cells' homes, or those of a single cell on the places to stripe."""
        for cell, home in enumerate(self.homes):
            wanted = {home.place_index: home.blocks}
            if len(self.homes) == 1:
                striped = [
                    place_index for place_index in spread if place_index in self.allowed[cell]
                ]
                wanted = interleaved_blocks(striped, home.blocks) or wanted
            for place_index, blocks in wanted.items():
                if place_index in self.allowed[cell]:
                    self._put(cell, place_index, blocks)

    def nearby(self, spread: Sequence[int]) -> None:
        """Put what is left as near as possible, on places to stripe before all others."""
        arrays = self.state.arrays
        for cell, home in enumerate(self.homes):
            if self.left[cell]:
                position = int(arrays.position[home.place_index])
                base = home.place_index - position
                relative = arrays.relative(int(arrays.host_index[home.place_index]))[position]
                keys = {
                    at: (at not in spread, relative[at - base], at) for at in self.allowed[cell]
                }
                for place_index in sorted(keys, key=keys.__getitem__):
                    self._put(cell, place_index, self.left[cell])


def choose_devices(
    state: Occupancy, vm: Vm, homes: Sequence[Home]
) -> tuple[TakenDevice, ...] | None:
    """Answer a VM's device requests at the least loss; None if that cannot be done."""
    if not vm.devices:
        return ()
    instance, rows = state.instance, state.rows(vm.name)
    places = [instance.places[home.place_index] for home in homes]
    host_index, devices = places[0].host_index, places[0].host.devices
    costs: list[list[float]] = []
    for request in vm.devices:
        row: list[float] = []
        for device in devices:
            able = [place for place in places if is_local(device, request.policy, place)]
            near = [rates.device_rate(instance, request, place, device) for place in able]
            row.append(min(near) if near and device.answers(request.kind) else FORBIDDEN)
        costs.append(row)
    free = [state.free_functions(host_index, d.address, d.functions, rows) for d in devices]
    given = assign(costs, [request.count for request in vm.devices], free)
    if given is None:
        return None
    return tuple(
        TakenDevice(request.kind, devices[d].address, count)
        for request, taken in zip(vm.devices, given, strict=True)
        for d, count in sorted(taken.items())
    )


def copy_choices(state: Occupancy, vm: Vm, homes: Sequence[Home]) -> list[frozenset[int]]:
    """Places that may get a copy of the VM's sharing group with it, most local first.

    Empty if the VM cannot have the copies it needs; one empty set if it needs none.
    """
    group = state.instance.group_of.get(vm.name)
    if group is None:
        return [frozenset()]
    arrays, rows = state.arrays, state.group_rows(group)
    host_index = int(arrays.host_index[homes[0].place_index])
    have = state.copies.get((group.name, host_index), frozenset())
    span = arrays.host_slice[host_index]

    def free(place_index: int) -> int:
        return state.free_mib(place_index, vm.page_size, rows) - group.shared_mib

    missing = frozenset(home.place_index for home in homes) - have
    roomy = frozenset(place_index for place_index in missing if free(place_index) >= 0)
    if not group.across_nodes:
        return [missing] if roomy == missing else []
    if have:
        return [roomy, frozenset()] if roomy else [frozenset()]
    singles = sorted(range(span.start, span.stop), key=lambda p: (p not in roomy, -free(p)))
    choices = [roomy] if len(roomy) > 1 else []
    return choices + [frozenset({place_index}) for place_index in singles if free(place_index) >= 0]


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
    siblings: bool = False,
) -> Candidate | None:
    """Build the best placement of `vm` with its cells at `homes`; None if a rule forbids it.

    Homes must obey the rules of where the VM may run (`scores.places_for`); what is checked here
    is what depends on all cells: pCPUs (siblings first if asked for), pages, devices, shared pages.
    """
    pcpus = _choose_pcpus(state, vm, homes, siblings=siblings)
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
        placement = Placement(state.instance.places[homes[0].place_index].host.name, cells, devices)
        footprint = state.footprint(vm, placement)
        loss = state.marginal(footprint, copies)
        if best is None or loss < best.loss:
            best = Candidate(footprint, copies, loss)
    return best


def _choose_pcpus(
    state: Occupancy, vm: Vm, homes: Sequence[Home], *, siblings: bool
) -> list[tuple[int, ...]] | None:
    """PCPUs per cell, empty for a shared VM; None if a home has not enough."""
    rows = state.rows(vm.name)
    if vm.cpu_policy is CpuPolicy.SHARED:
        fits = all(state.free_cpu(h.place_index, rows) >= h.vcpus * MILLI for h in homes)
        return [()] * len(homes) if fits else None
    avoid = _rivals_caches(state, vm, int(state.arrays.host_index[homes[0].place_index]))
    mask = state.row_mask(vm.name)
    chosen: list[tuple[int, ...]] = []
    for home in homes:
        pool = state.pool(home.place_index)
        pcpus = pool.choose(vm.thread_policy, home.vcpus, mask, avoid, siblings=siblings)
        if pcpus is None:
            return None
        held = len(pool.held(vm, pcpus)) * int(state.arrays.ratio_milli.item(home.place_index))
        if held > state.free_cpu(home.place_index, rows):
            return None
        chosen.append(pcpus)
    return chosen


def _rivals_caches(state: Occupancy, vm: Vm, host_index: int) -> frozenset[int]:
    """Last-level caches of a host that VMs competing with `vm` for caches use."""
    first = llc_domain(host_index, 0)
    found: set[int] = set()
    for rival, partner in state.arrays.competitions.get(vm.name, ()):
        other = state.placed.get(partner.name)
        if rival.scope == Scope.LLC and other is not None and other.host_index == host_index:
            domains = other.domains(state.instance, Scope.LLC)
            found |= {domain - first for domain in domains if domain >= first}
    return frozenset(found)


def _cells(
    state: Occupancy, vm: Vm, homes: Sequence[Home], pages: Pages, pcpus: Sequence[tuple[int, ...]]
) -> tuple[PlacedCell, ...]:
    block_mib = state.instance.form(vm.name).block_mib
    node_id = state.arrays.node_id
    return tuple(
        _placed_cell(
            node_id.item(home.place_index),
            home.vcpus,
            tuple((node_id.item(at), blocks * block_mib) for at, blocks in sorted(where.items())),
            held,
            home.blocks * block_mib,
        )
        for home, where, held in zip(homes, pages, pcpus, strict=True)
    )


_placed_cell = lru_cache(maxsize=1 << 16)(PlacedCell)  # equal VMs have equal cells
