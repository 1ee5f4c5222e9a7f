"""From a plan to a formulation's decisions: the inverse of `numaplace.solver.extract`."""

from __future__ import annotations

from collections import defaultdict

from numaplace.models.plan import PlacedCell, Placement, Plan
from numaplace.models.vm import CpuPolicy, Vm
from numaplace.solver.extract import Decisions
from numaplace.solver.prepare import DeviceOption, Option, Prepared, whole_cores


def decisions_of(prepared: Prepared, plan: Plan) -> Decisions | None:
    """Return the decisions that make `plan`; None if the choices of `prepared` cannot express it.

    That is so if the plan uses a choice that no valid plan has, or cuts memory otherwise than in
    the VM's blocks.
    """
    decisions = Decisions()
    for name, placement in plan.placements.items():
        options = _options(prepared, name, placement)
        if options is None:
            return None
        vm = prepared.instance.vm(name)
        for option, cell in options:
            decisions.cells.append(option)
            if not _add_pages(prepared, decisions, option, placement.host, cell):
                return None
            if vm.cpu_policy is CpuPolicy.DEDICATED:
                _add_cores(prepared, decisions, option, cell)
        if not _add_devices(prepared, decisions, vm, placement):
            return None
    for copy in plan.copies:
        host = prepared.instance.host_index[copy.host]
        places = [prepared.instance.place_of[copy.host, node].index for node in copy.nodes]
        decisions.copies[copy.group, host] = places
    return decisions


def _options(
    prepared: Prepared, name: str, placement: Placement
) -> list[tuple[Option, PlacedCell]] | None:
    """Match the cells of a placement with options of one shape."""
    form = prepared.instance.form(name)
    by_key = {
        (o.shape, prepared.kind_of(o).vcpus, prepared.kind_of(o).blocks, o.place): o
        for o in prepared.options[name]
    }
    for s, shape in enumerate(form.shapes):
        if shape.num_cells != len(placement.cells):
            continue
        found: list[tuple[Option, PlacedCell]] = []
        for cell in placement.cells:
            place = prepared.instance.place_of.get((placement.host, cell.node))
            blocks, rest = divmod(cell.nominal_mib, form.block_mib)
            key = (s, cell.vcpus, blocks, -1 if place is None else place.index)
            if rest or key not in by_key:
                break
            found.append((by_key[key], cell))
        else:
            return found
    return None


def _add_pages(
    prepared: Prepared, decisions: Decisions, option: Option, host: str, cell: PlacedCell
) -> bool:
    block_mib = prepared.instance.form(option.vm).block_mib
    for node, mib in cell.memory_mib:
        if mib % block_mib:
            return False
        if not prepared.fixed_pages(option):
            at = prepared.instance.place_of[host, node].index
            decisions.pages[option, at] = mib // block_mib
    return True


def _add_cores(prepared: Prepared, decisions: Decisions, option: Option, cell: PlacedCell) -> None:
    held = set(cell.pcpus)
    vm = prepared.instance.vm(option.vm)
    for g, group in enumerate(prepared.core_groups(prepared.place_of(option))):
        if whole_cores(vm):
            amount = sum(1 for core in group.cores if held.intersection(core))
        else:
            amount = sum(1 for core in group.cores for pcpu in core if pcpu in held)
        if amount:
            decisions.cores[option, g] = amount


def _add_devices(prepared: Prepared, decisions: Decisions, vm: Vm, placement: Placement) -> bool:
    index = {request.kind: i for i, request in enumerate(vm.devices)}
    homes = {prepared.instance.place_of[placement.host, node].index for node in placement.nodes}
    known = {
        (option.request, option.address)
        for option in prepared.device_options[vm.name]
        if option.home in homes
    }
    taken: dict[tuple[str, int, str], int] = defaultdict(int)
    for device in placement.devices:
        request = index.get(device.request)
        if request is None or (request, device.address) not in known:
            return False
        taken[vm.name, request, device.address] += device.functions
    decisions.devices.update(taken)
    return True


def nearest_device_options(prepared: Prepared, decisions: Decisions) -> dict[DeviceOption, int]:
    """Functions by device option: each function is served by the nearest cell of its VM."""
    homes: dict[str, set[int]] = defaultdict(set)
    for option in decisions.cells:
        homes[option.vm].add(option.place)
    found: dict[DeviceOption, int] = {}
    for (name, request, address), functions in decisions.devices.items():
        served = [
            option
            for option in prepared.device_options[name]
            if option.request == request
            and option.address == address
            and option.home in homes[name]
        ]
        found[min(served, key=lambda option: (option.rate, option.home))] = functions
    return found
