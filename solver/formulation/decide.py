"""From a plan to a formulation's decisions: the inverse of `extract`."""

from __future__ import annotations

from collections import defaultdict

from numaplace.models.plan import PlacedCell, Placement, Plan
from numaplace.models.vm import CpuPolicy, ThreadPolicy, Vm
from numaplace.solver.formulation.extract import Decisions, pages_of
from numaplace.solver.formulation.option import DeviceOption, Option, whole_cores
from numaplace.solver.formulation.prepare import Prepared
from numaplace.solver.formulation.variables import Variables


def decisions_of(prepared: Prepared, plan: Plan) -> Decisions | None:
    """Return the decisions that make `plan`; None if the choices of `prepared` cannot express it.

    That is so if the plan uses a choice that no valid plan has (a node, pages or a pinning that the
    VM must not have), cuts memory otherwise than in the VM's blocks, or has a copy that does not
    fit or is of no use. Its names must exist (`known_names` of the verifier).
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
            dedicated = vm.cpu_policy is CpuPolicy.DEDICATED
            if dedicated and not _add_cores(prepared, decisions, option, cell):
                return None
        if not _add_devices(prepared, decisions, vm, placement):
            return None
    for copy in plan.copies:
        group = next(group for group in prepared.instance.sharing if group.name == copy.group)
        places = [prepared.instance.place_of[copy.host, node].index for node in copy.nodes]
        if not {place.index for place in prepared.copy_places(group)}.issuperset(places):
            return None
        decisions.copies[copy.group, prepared.instance.host_index[copy.host]] = places
    return decisions


def _options(
    prepared: Prepared, name: str, placement: Placement
) -> list[tuple[Option, PlacedCell]] | None:
    """Match the cells of a placement with options of one shape."""
    form = prepared.instance.form(name)
    by_key = {
        (o.shape_index, o.cell.vcpus, o.cell.blocks, o.place_index): o
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
    vm = prepared.instance.vm(option.vm)
    block_mib = prepared.instance.form(option.vm).block_mib
    lying: dict[int, int] = {}
    for node, mib in cell.memory_mib:
        blocks, rest = divmod(mib, block_mib)
        if rest:
            return False
        if blocks:
            lying[prepared.instance.place_of[host, node].index] = blocks
    if prepared.fixed_pages(option):
        return lying == prepared.fixed_blocks(option)
    decisions.pages.update({(option, at): blocks for at, blocks in lying.items()})
    allowed = {at.index for at in prepared.page_places(vm, option.place)}
    complete = sum(lying.values()) == option.cell.blocks
    return lying.keys() <= allowed and (complete or vm.balloon_mib > 0)


def _add_cores(prepared: Prepared, decisions: Decisions, option: Option, cell: PlacedCell) -> bool:
    held = set(cell.pcpus)
    vm = prepared.instance.vm(option.vm)
    half_used = 0
    for g, group in enumerate(prepared.core_groups(option.place)):
        used = [len(held.intersection(core)) for core in group.cores]
        amount = sum(map(bool, used)) if whole_cores(vm) else sum(used)
        half_used += sum(0 < threads < group.threads_per_core for threads in used)
        if amount:
            decisions.cores[option, g] = amount
    # Cores are counted, so a VM that takes them whole must not spread over more than it needs.
    return vm.thread_policy is not ThreadPolicy.REQUIRE or half_used <= 1


def _add_devices(prepared: Prepared, decisions: Decisions, vm: Vm, placement: Placement) -> bool:
    index = {request.kind: i for i, request in enumerate(vm.devices)}
    homes = {prepared.instance.place_of[placement.host, node].index for node in placement.nodes}
    options = prepared.device_options[vm.name]
    known = {(option.request, option.address) for option in options if option.home in homes}
    taken: dict[tuple[str, int, str], int] = defaultdict(int)
    for device in placement.devices:
        request = index.get(device.request)
        if request is None or (request, device.address) not in known:
            return False
        taken[vm.name, request, device.address] += device.functions
    decisions.devices.update(taken)
    return True


def values_of(variables: Variables, decisions: Decisions) -> list[tuple[int, int]]:
    """Return each decision's variable with its value under `decisions`."""
    prepared = variables.prepared
    taken = set(decisions.cells)
    placed = {option.vm for option in taken}
    cuts = {(o.vm, o.shape_index, o.place.host_index) for o in taken}
    values = [(var, int(name in placed)) for name, var in variables.placed.items()]
    values += [(var, int(option in taken)) for option, var in variables.cell.items()]
    own = ((key, var) for key, var in variables.cut.items() if var != variables.placed[key[0]])
    values += [(var, int(key in cuts)) for key, var in own]
    lying = {option: pages_of(prepared, decisions, option) for option in taken}
    for option, pages in variables.pages.items():
        on = lying.get(option, {})
        values += [(var, on.get(at, 0)) for at, var in pages.items()]
    values += [(var, _ballooned(lying, o)) for o, var in variables.balloon.items()]
    single = {option.vm: option for option in taken if option.vm in variables.lies}
    for name, lies in variables.lies.items():
        on = lying[single[name]] if name in single else {}
        values += [(var, on.get(at, 0)) for at, var in lies.items()]
    values += [(var, _ballooned(lying, single.get(vm))) for vm, var in variables.taken.items()]
    functions = nearest_device_options(prepared, decisions)
    values += [(var, functions.get(choice, 0)) for choice, var in variables.device.items()]
    copies = {(group, at) for (group, _), places in decisions.copies.items() for at in places}
    values += [(var, int(key in copies)) for key, var in variables.copy.items()]
    values += [(var, decisions.cores.get(key, 0)) for key, var in variables.free_cores.items()]
    return values


def _ballooned(lying: dict[Option, dict[int, int]], option: Option | None) -> int:
    """Blocks of an option's cell that lie nowhere; none if it is not taken."""
    if option is None or option not in lying:
        return 0
    return option.cell.blocks - sum(lying[option].values())


def nearest_device_options(prepared: Prepared, decisions: Decisions) -> dict[DeviceOption, int]:
    """Functions by device option: each function is served by the nearest cell of its VM."""
    homes: dict[str, set[int]] = defaultdict(set)
    for option in decisions.cells:
        homes[option.vm].add(option.place_index)
    found: dict[DeviceOption, int] = {}
    for (name, request, address), functions in decisions.devices.items():
        served = [
            option
            for option in prepared.device_options[name]
            if (option.request, option.address) == (request, address) and option.home in homes[name]
        ]
        found[min(served, key=lambda option: (option.rate, option.home))] = functions
    return found
