"""From a formulation's decisions to a plan in names and MiB."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from numaplace.models.plan import PlacedCell, Placement, Plan, SharedCopy, TakenDevice
from numaplace.models.vm import ThreadPolicy, Vm
from numaplace.solver.formulation.option import Option, whole_cores
from numaplace.solver.formulation.pin import PinRequest, pin_group
from numaplace.solver.formulation.prepare import Prepared
from numaplace.solver.formulation.program import total_of
from numaplace.solver.formulation.variables import Variables


@dataclass(slots=True)
class Decisions:
    """What a formulation decided."""

    cells: list[Option] = field(default_factory=list)
    # Blocks by option and place index, for options whose pages are not fixed.
    pages: dict[tuple[Option, int], int] = field(default_factory=dict)
    # Functions by (VM, request index, device address); the VM's host tells the rest.
    devices: dict[tuple[str, int, str], int] = field(default_factory=dict)
    # Place indices with a copy, by (group name, host index).
    copies: dict[tuple[str, int], list[int]] = field(default_factory=dict)
    # Cores (or threads) taken by (option taken, index of core group), for dedicated VMs.
    cores: dict[tuple[Option, int], int] = field(default_factory=dict)


def read_decisions(variables: Variables, values: Sequence[int]) -> Decisions:
    """Read what a solved formulation decided, from the values of its program's variables."""
    decisions = Decisions([option for option, cell in variables.cell.items() if values[cell]])
    for option in decisions.cells:
        if option in variables.pages:
            lying = variables.blocks_on(option)
        else:
            lying = {at: [(var, 1)] for at, var in variables.lies.get(option.vm, {}).items()}
        for at, blocks in lying.items():
            decisions.pages[option, at] = total_of(blocks, values)
    taken = set(decisions.cells)
    for key, cores in variables.cores.items():
        if key[0] in taken:
            decisions.cores[key] = total_of(cores, values)
    functions: Counter[tuple[str, int, str]] = Counter()
    for choice, amount in variables.device.items():
        functions[choice.vm, choice.request, choice.address] += values[amount]
    decisions.devices = functions
    for (group, at), copy in variables.copy.items():
        if values[copy]:
            host = variables.instance.places[at].host_index
            decisions.copies.setdefault((group, host), []).append(at)
    return decisions


def extract_plan(prepared: Prepared, decisions: Decisions) -> Plan:
    """Build the plan of `decisions`, with pCPUs for dedicated VMs."""
    instance = prepared.instance
    pcpus = _pin(prepared, decisions)
    cells: dict[str, list[PlacedCell]] = defaultdict(list)
    for option in sorted(decisions.cells, key=lambda o: (o.type_index, o.place_index)):
        form, node = instance.form(option.vm), option.place.node.id
        memory = tuple(
            (instance.places[at].node.id, blocks * form.block_mib)
            for at, blocks in sorted(pages_of(prepared, decisions, option).items())
            if blocks
        )
        held, nominal_mib = tuple(pcpus.get(option, ())), option.cell.blocks * form.block_mib
        cells[option.vm].append(PlacedCell(node, option.cell.vcpus, memory, held, nominal_mib))
    host_of = {option.vm: option.place.host.name for option in decisions.cells}
    placements = {
        vm.name: Placement(host_of[vm.name], tuple(cells[vm.name]), _devices(vm, decisions.devices))
        for vm in instance.vms
        if vm.name in cells
    }
    copies = tuple(
        SharedCopy(group, instance.hosts[host].name, tuple(instance.places[i].node.id for i in at))
        for (group, host), at in sorted(decisions.copies.items())
        if at
    )
    return Plan(placements, copies)


def pages_of(prepared: Prepared, decisions: Decisions, option: Option) -> dict[int, int]:
    """Return the blocks of an option's cell by place index, fixed ones too."""
    if prepared.fixed_pages(option):
        return prepared.fixed_blocks(option)
    vm = prepared.instance.vm(option.vm)
    places = prepared.page_places(vm, option.place)
    return {at.index: decisions.pages.get((option, at.index), 0) for at in places}


def _devices(vm: Vm, taken: Mapping[tuple[str, int, str], int]) -> tuple[TakenDevice, ...]:
    return tuple(
        TakenDevice(vm.devices[request].kind, address, functions)
        for (name, request, address), functions in sorted(taken.items())
        if name == vm.name and functions
    )


def _pin(prepared: Prepared, decisions: Decisions) -> dict[Option, list[int]]:
    """Return pCPU ids of each dedicated cell."""
    instance = prepared.instance
    requests: dict[tuple[int, int], list[PinRequest]] = defaultdict(list)
    for (option, g), amount in decisions.cores.items():
        if amount:
            requests[option.place_index, g].append(
                PinRequest(option, instance.vm(option.vm), amount)
            )
    given: dict[Option, list[list[int]]] = defaultdict(list)
    for (place, g), wanted in sorted(requests.items()):
        at = instance.places[place]
        group = prepared.core_groups(at)[g]
        for key, units in pin_group(instance, at.host, group, wanted).items():
            assert isinstance(key, Option)
            given[key] += units
    return {option: _take(prepared, option, units) for option, units in given.items()}


def _take(prepared: Prepared, option: Option, units: list[list[int]]) -> list[int]:
    """Choose the pCPUs that run vCPUs among the cores (or threads) a cell has taken."""
    vm, vcpus = prepared.instance.vm(option.vm), option.cell.vcpus
    if whole_cores(vm) and vm.thread_policy is ThreadPolicy.ISOLATE:
        return [core[0] for core in units][:vcpus]
    return [pcpu for unit in units for pcpu in unit][:vcpus]
