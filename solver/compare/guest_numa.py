"""How many cells a wide guest should have, whether to tell it, and what a wrong topology costs.

Each choice is the whole instance planned again with one VM changed: cut into exactly so many even
cells, told or not. A guest that is told keeps a share of its accesses within a cell
(`Vm.guest_locality`); one that is not spreads them over all its memory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from numaplace.models.cost import OWN
from numaplace.models.errors import InputError
from numaplace.models.forms import BLOCKS_MAX, BLOCKS_WANTED, make_form, node_takes
from numaplace.models.instance import Instance
from numaplace.models.result import Result
from numaplace.models.vm import Cell, GuestNuma, MemoryMode, Vm
from numaplace.solver.params import SolveParams
from numaplace.solver.registry import solve

CELLS_TRIED = 4


@dataclass(frozen=True, slots=True)
class Choice:
    """One topology of one guest, and the best plan with it."""

    vm: Vm  # so changed
    told: bool  # the guest sees its cells
    result: Result  # the best plan for the whole instance; the VM is required in it

    @property
    def cells(self) -> tuple[Cell, ...]:
        """Sizes of the cells."""
        return self.vm.cells

    @property
    def own_micro(self) -> int | None:
        """What the VM loses by itself in the plan; losses of nodes and pairs are not one VM's."""
        if self.result.cost is None:
            return None
        items = self.result.cost.items
        return sum(i.micro for i in items if i.subject == self.vm.name and i.term in OWN)

    @property
    def rank(self) -> tuple[int, int, int, int]:
        """What is better comes first: value, loss, few cells, nothing told."""
        cost = self.result.cost
        if cost is None:
            return (1, 0, len(self.cells), self.told)
        return (-cost.value_milli, cost.loss_micro, len(self.cells), self.told)


@dataclass(frozen=True, slots=True)
class GuestAnswer:
    """All choices of one VM, and the best of them (None if it can never be placed)."""

    vm: Vm
    choices: tuple[Choice, ...]
    best: Choice | None


def all_guest_choices(
    instance: Instance,
    vms: Sequence[Vm],
    params: SolveParams,
    *,
    max_cells: int | None = None,
    solver: str = "cpsat",
    on_start: Callable[[str], None] | None = None,
) -> list[GuestAnswer]:
    """Plan with each topology of one guest after the other, all within the time limit."""
    params = params.begun()
    one = partial(guest_choices, max_cells=max_cells, solver=solver, on_start=on_start)
    shares = ((vm, 1 / (len(vms) - done)) for done, vm in enumerate(vms))
    return [one(instance, vm, params.part(share)) for vm, share in shares]


def guest_choices(
    instance: Instance,
    vm: Vm,
    params: SolveParams | None = None,
    *,
    max_cells: int | None = None,
    solver: str = "cpsat",
    on_start: Callable[[str], None] | None = None,
) -> GuestAnswer:
    """Plan the instance with each topology of one guest; the time limit is for all together.

    Tried are 1 to `max_cells` even cells, and as many as a host has nodes; with None 4, or if the
    VM needs more, as many as it needs and one more. Cells that the VM brings along are tried too.
    `on_start` is called with what is solved next. `InputError` is raised if the VM shares pages:
    what is told of cells then does not say where those are.
    """
    params = (params or SolveParams()).begun()
    if vm.name in instance.group_of:
        reason = "shares pages with others, so it cannot have cells of its own"
        raise InputError(f"VM {vm.name!r:.80}", "guest_numa", reason)
    choices: list[Choice] = []
    tried = topologies(instance, vm, max_cells)
    for done, (changed, told) in enumerate(tried):
        if on_start is not None:
            on_start(f"{vm.name}: {len(changed.cells)} cells, {'told' if told else 'not told'}")
        part = params.part(1 / (len(tried) - done))
        choices.append(Choice(changed, told, solve(_with(instance, changed), solver, part)))
    placed = [choice for choice in choices if choice.result.plan is not None]
    return GuestAnswer(vm, tuple(choices), min(placed, key=lambda c: c.rank, default=None))


def wide_vms(instance: Instance) -> tuple[Vm, ...]:
    """Return the VMs that fit on no single node of any host, however empty."""
    return tuple(vm for vm in instance.vms if _is_wide(instance, vm))


def _is_wide(instance: Instance, vm: Vm) -> bool:
    own_node_only = vm.memory_mode is MemoryMode.STRICT and vm.memory_nodes is None
    least_mib = vm.memory_least_mib if own_node_only else 0
    return not any(
        node_takes(vm, vm.vcpus, node, host) and node.pool_mib(vm.page_size) >= least_mib
        for host in instance.allowed_hosts(vm)
        for node in host.nodes
    )


def _with(instance: Instance, vm: Vm) -> Instance:
    vms = tuple(vm if other.name == vm.name else other for other in instance.vms)
    return replace(instance, vms=vms)


def topologies(instance: Instance, vm: Vm, max_cells: int | None) -> list[tuple[Vm, bool]]:
    """Return the VM with each topology, not told and told; one cell has nothing to tell."""
    nodes = max((len(host.nodes) for host in instance.allowed_hosts(vm)), default=1)
    unit_mib = _given_unit(vm) or vm.page_size.mib
    first, last = 1, max_cells or CELLS_TRIED
    fewest = fewest_cells(instance, vm)
    if max_cells is None and fewest > last:
        first, last = fewest, fewest + 1
    most = min(last, nodes, vm.vcpus, vm.memory_mib // unit_mib)
    cuts = [even_cells(vm, count) for count in range(first, most + 1)]
    if vm.cells and vm.cells not in cuts:
        cuts.append(vm.cells)
    return [
        (with_cells(vm, cells, told=told), told)
        for cells in cuts
        for told in ((False, True) if len(cells) > 1 else (False,))
    ]


def fewest_cells(instance: Instance, vm: Vm) -> int:
    """Return how many even cells a VM needs on an empty host; 1 if no number helps."""
    if not _is_wide(instance, vm):
        return 1
    plain = replace(vm, cells=(), max_cells=None, guest_numa=GuestNuma.NONE)
    shapes = make_form(plain, 0, instance.allowed_hosts(vm)).shapes
    return min((shape.num_cells for shape in shapes if shape.num_cells > 1), default=1)


def even_cells(vm: Vm, count: int) -> tuple[Cell, ...]:
    """Cut a VM evenly, its memory in as many parts as solvers can place."""
    each_vcpus, more_vcpus = divmod(vm.vcpus, count)
    unit_mib = _given_unit(vm) or _unit_mib(vm, count)
    each, more = divmod(vm.memory_mib // unit_mib, count)
    return tuple(
        Cell(each_vcpus + (at < more_vcpus), (each + (at < more)) * unit_mib) for at in range(count)
    )


def _given_unit(vm: Vm) -> int | None:
    """Return the VM's own blocks, if they divide its memory."""
    return None if vm.block_mib is None or vm.memory_mib % vm.block_mib else vm.block_mib


def _unit_mib(vm: Vm, count: int) -> int:
    """Return the size of equal parts of whole pages, some 64 a cell, fewer if there must be."""
    wanted = min(BLOCKS_WANTED * count, BLOCKS_MAX // 2)
    counts: list[int] = [*range(wanted, BLOCKS_MAX + 1), *range(wanted - 1, count - 1, -1)]
    for parts in counts:
        if vm.memory_mib % parts == 0 and vm.memory_mib // parts % vm.page_size.mib == 0:
            return vm.memory_mib // parts
    return vm.page_size.mib


def with_cells(vm: Vm, cells: Sequence[Cell], *, told: bool) -> Vm:
    """Return the VM cut into exactly these cells; not told means that locality is none."""
    return replace(
        vm,
        guest_numa=GuestNuma.EXPLICIT,
        cells=tuple(cells),
        max_cells=None,
        guest_locality=vm.guest_locality if told else 0.0,
        required=True,
    )
