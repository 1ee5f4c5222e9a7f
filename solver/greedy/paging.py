"""Where the pages of a VM go once its cells have homes, and which devices it gets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from numaplace.models import rates
from numaplace.models.locality import is_local
from numaplace.models.pages import interleaved_blocks, page_nodes
from numaplace.models.plan import TakenDevice
from numaplace.models.vm import MemoryMode, Vm
from numaplace.solver.greedy.matching import FORBIDDEN, assign
from numaplace.solver.greedy.state import State


@dataclass(frozen=True, slots=True)
class Home:
    """A cell of `vcpus` and `blocks` of own memory on a place."""

    place: int
    vcpus: int
    blocks: int


Pages = list[dict[int, int]]
"""Blocks by place, per cell."""


def fill_pages(
    state: State,
    vm: Vm,
    homes: Sequence[Home],
    reserved: Mapping[int, int],
    *,
    balloon: bool,
    spread: Sequence[int] = (),
) -> Pages | None:
    """Put each cell's blocks on its home as far as they fit, the rest as near as possible.

    Parameters
    ----------
    reserved
        MiB by place to leave free.
    balloon
        Whether the VM's balloon range may be taken for what fits nowhere.
    spread
        Places over which a hypervisor stripes memory evenly before it looks elsewhere: a VM of
        one cell instead of filling its home first, others for what their homes do not hold.

    Returns
    -------
    list or None
        None if the memory does not fit.
    """
    board, form = state.board, state.instance.form(vm.name)
    rows = state.rows(vm.name)
    host = board.host_of(homes[0].place)
    base = homes[0].place - int(board.position[homes[0].place])
    free: dict[int, int] = {}

    def room(place: int) -> int:
        if place not in free:
            mib = state.free_mib(place, vm.page_size, rows) - reserved.get(place, 0)
            free[place] = max(0, mib) // form.block_mib
        return free[place]

    allowed = [
        [base + host.position[node] for node in page_nodes(vm, host, int(board.node_id[h.place]))]
        for h in homes
    ]
    pages: Pages = [{} for _ in homes]

    def put(cell: int, place: int, blocks: int) -> int:
        blocks = min(blocks, room(place))
        if blocks > 0:
            free[place] -= blocks
            pages[cell][place] = pages[cell].get(place, 0) + blocks
        return max(0, blocks)

    if vm.memory_mode is MemoryMode.INTERLEAVE:
        for cell, home in enumerate(homes):
            even = interleaved_blocks(allowed[cell], home.blocks)
            if not even or any(put(cell, at, blocks) < blocks for at, blocks in even.items()):
                return None
        return pages
    left = [home.blocks for home in homes]
    for cell, home in enumerate(homes):
        wanted = {home.place: home.blocks}
        if len(homes) == 1:
            striped = [place for place in spread if place in allowed[cell]]
            wanted = interleaved_blocks(striped, home.blocks) or wanted
        for place, blocks in wanted.items():
            if place in allowed[cell]:
                left[cell] -= put(cell, place, blocks)
    for cell, home in enumerate(homes):
        if left[cell]:
            relative = board.relative(int(board.host_index[home.place]))[home.place - base]
            near = sorted(allowed[cell], key=lambda at, r=relative: (r[at - base], at))  # type: ignore[misc]
            for place in sorted(near, key=lambda at: at not in spread):
                left[cell] -= put(cell, place, left[cell])
    return pages if sum(left) <= (form.balloon_blocks if balloon else 0) else None


def choose_devices(state: State, vm: Vm, homes: Sequence[Home]) -> tuple[TakenDevice, ...] | None:
    """Answer a VM's device requests at the least loss; None if that cannot be done."""
    if not vm.devices:
        return ()
    instance, rows = state.instance, state.rows(vm.name)
    places = [instance.places[home.place] for home in homes]
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


def copy_choices(state: State, vm: Vm, homes: Sequence[Home]) -> list[frozenset[int]]:
    """Places that may get a copy of the VM's sharing group with it, most local first.

    Empty if the VM cannot have the copies it needs; one empty set if it needs none.
    """
    group = state.instance.group_of.get(vm.name)
    if group is None:
        return [frozenset()]
    board, rows = state.board, state.group_rows(group)
    host_index = int(board.host_index[homes[0].place])
    have = state.copies.get((group.name, host_index), frozenset())
    span = board.host_slice[host_index]

    def free(place: int) -> int:
        return state.free_mib(place, vm.page_size, rows) - group.shared_mib

    missing = frozenset(home.place for home in homes) - have
    roomy = frozenset(place for place in missing if free(place) >= 0)
    if not group.across_nodes:
        return [missing] if roomy == missing else []
    if have:
        return [roomy, frozenset()] if roomy else [frozenset()]
    singles = sorted(range(span.start, span.stop), key=lambda p: (p not in roomy, -free(p)))
    choices = [roomy] if len(roomy) > 1 else []
    return choices + [frozenset({place}) for place in singles if free(place) >= 0]
