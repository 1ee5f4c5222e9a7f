"""A VM of a plan with its vCPUs and memory numbered for a hypervisor: where writers start.

vCPUs are numbered cell by cell. A dedicated vCPU has the one pCPU the plan gives it, a shared one
the pCPUs of its node that no dedicated VM of the plan holds, or those it is kept on by hand.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from numaplace.instances.formats.guest import Binding
from numaplace.instances.pci import parse_pci_address
from numaplace.instances.ranges import format_ids
from numaplace.models.errors import InputError
from numaplace.models.instance import Instance
from numaplace.models.plan import PlacedCell, Placement, Plan
from numaplace.models.topology import Host
from numaplace.models.vm import CpuPolicy, GuestNuma, MemoryMode, ThreadPolicy, Vm


@dataclass(frozen=True, slots=True)
class NumberedCell:
    """A placed cell with numbered vCPUs.

    Parameters
    ----------
    node
        Where its vCPUs run.
    vcpus
        Their numbers in the guest.
    pcpus
        For each vCPU the pCPUs it runs on.
    size_mib
        Memory the guest sees in it, shared pages included.
    memory_mib
        Pairs (node id, MiB) of its own pages, none of them 0.
    """

    node: int
    vcpus: range
    pcpus: tuple[frozenset[int], ...]
    size_mib: int
    memory_mib: tuple[tuple[int, int], ...]

    @property
    def memory_nodes(self) -> frozenset[int]:
        """Nodes its pages lie on; its own node if it has no pages."""
        return frozenset(node for node, _ in self.memory_mib) or frozenset({self.node})

    @property
    def main_node(self) -> int:
        """The node that most of its pages are on; its own if that has as many."""
        held = dict(self.memory_mib)
        return max(sorted({*held, self.node}), key=lambda n: (held.get(n, 0), n == self.node))


@dataclass(frozen=True, slots=True)
class PlacedVm:
    """A VM of a plan, ready to be written.

    Parameters
    ----------
    vm, host
        What it is and where it runs.
    cells
        In the order of the guest's own cells.
    target_mib
        Memory it has after ballooning, shared pages included.
    free_pcpus
        pCPUs of its host that no dedicated vCPU holds.
    addresses
        PCI addresses of the devices it takes.
    notes
        What no format can express.
    """

    vm: Vm
    host: Host
    cells: tuple[NumberedCell, ...]
    target_mib: int
    free_pcpus: frozenset[int]
    addresses: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def thing(self) -> str:
        """What it is called in remarks and errors."""
        return f"VM {self.vm.name!r:.80}"

    @property
    def shows_cells(self) -> bool:
        """Whether the guest is told of its cells: not if there is just one of its own accord."""
        return self.vm.guest_numa is GuestNuma.EXPLICIT or (
            self.vm.sees_cells and len(self.cells) > 1
        )

    @property
    def groups(self) -> list[tuple[NumberedCell, ...]]:
        """Its cells one by one if the guest is told of them, else all together."""
        return [(cell,) for cell in self.cells] if self.shows_cells else [self.cells]

    @property
    def pcpus(self) -> tuple[frozenset[int], ...]:
        """For each vCPU, in order of number, the pCPUs it runs on."""
        return tuple(pcpus for cell in self.cells for pcpus in cell.pcpus)

    @property
    def pins(self) -> tuple[str, ...]:
        """For each vCPU its pCPUs as text; as ``3-3`` if shared ones look like dedicated ones."""
        texts = tuple(format_ids(pcpus) for pcpus in self.pcpus)
        alike = len(set(texts)) == len(texts) and all(len(pcpus) == 1 for pcpus in self.pcpus)
        if alike and self.vm.cpu_policy is CpuPolicy.SHARED:
            return tuple(f"{text}-{text}" for text in texts)
        return texts

    @property
    def all_pcpus(self) -> frozenset[int]:
        """The pCPUs of all its vCPUs."""
        return frozenset[int]().union(*self.pcpus)

    @property
    def memory_nodes(self) -> frozenset[int]:
        """Nodes its memory lies on."""
        return frozenset[int]().union(*(cell.memory_nodes for cell in self.cells))

    @property
    def ballooned(self) -> bool:
        """Whether the plan takes memory away from it."""
        return self.target_mib < self.vm.memory_mib

    def kept(self, now_mib: int | None) -> list[str]:
        """Remark on a guest that ballooning has made smaller than the plan needs: it may stay so.

        `now_mib` is its memory (None: not told); no remark if it is to have another size.
        """
        told = now_mib is None or 0 < now_mib < self.target_mib
        if self.ballooned or not self.vm.balloon_mib or not told:
            return []
        now = "memory" if now_mib is None else f"{now_mib} MiB"
        reason = f"the plan has room for all {self.target_mib} MiB of it"
        return [f"keeps the {now} it has now; {reason}"]

    def error(self, field: str, reason: str) -> InputError:
        """Make an error about this VM."""
        return InputError(self.thing, field, reason)

    def binding(self, nodes: frozenset[int]) -> Binding:
        """How memory is bound to nodes.

        Hypervisors prefer a single node only: pages that the plan has on several are kept strictly
        on them.
        """
        mode = self.vm.memory_mode
        if mode is MemoryMode.PREFERRED and len(nodes) > 1:
            mode = MemoryMode.STRICT
        return Binding(mode, nodes)


def placed_vm(instance: Instance, plan: Plan, vm: Vm) -> PlacedVm:
    """Return a placed VM of a plan that obeys every rule, with its vCPUs numbered.

    Raises
    ------
    InputError
        If the plan does not place it.
    """
    placement = plan.placements.get(vm.name)
    if placement is None:
        raise InputError(f"VM {vm.name!r:.80}", "", "is not placed by the plan")
    placement = _unrounded(instance, vm, placement)
    host = instance.host(placement.host)
    held = held_pcpus(instance, plan, vm, host)
    shared_mib = instance.form(vm.name).shared_mib
    cells = _numbered(vm, placement, host, held, shared_mib)
    taken = held | _kept(vm, placement, host)
    free = frozenset(p.id for node in host.nodes for p in node.pcpus) - taken
    addresses, notes = _addresses(vm, placement, host)
    own_mib = sum(placement.memory_by_node().values())
    if shared_mib:
        notes.append(f"where its {shared_mib} MiB of shared pages lie is left out")
    if own_mib + shared_mib < vm.memory_mib and len(cells) > 1:
        notes.append("which of its cells ballooning takes memory from is left out")
    return PlacedVm(vm, host, cells, own_mib + shared_mib, free, addresses, tuple(notes))


def _unrounded(instance: Instance, vm: Vm, placement: Placement) -> Placement:
    """Return a placement without what its blocks have more than the VM's own memory."""
    form = instance.form(vm.name)
    more = sum(cell.nominal_mib for cell in placement.cells) - form.own_mib + form.rounding_mib
    if more <= 0:
        return placement
    if not vm.cells:
        first, *others = placement.cells
        return replace(placement, cells=(_less(first, more), *others))
    told = sorted((cell.vcpus, cell.memory_mib) for cell in vm.cells)
    cells = sorted(placement.cells, key=lambda cell: (cell.vcpus, cell.nominal_mib))
    pairs = zip(cells, told, strict=True)
    return replace(placement, cells=tuple(_less(c, c.nominal_mib - mib) for c, (_, mib) in pairs))


def _less(cell: PlacedCell, mib: int) -> PlacedCell:
    """Return a cell that is smaller by so much, taken from where it has most."""
    memory = dict(cell.memory_mib)
    most = max(memory, key=memory.__getitem__, default=cell.node)
    memory[most] = max(0, memory.get(most, 0) - mib)
    size_mib = None if cell.size_mib is None else cell.size_mib - mib
    return replace(cell, memory_mib=tuple(sorted(memory.items())), size_mib=size_mib)


def held_pcpus(instance: Instance, plan: Plan, vm: Vm, host: Host) -> frozenset[int]:
    """The pCPUs of `host` that other dedicated VMs keep from `vm` while it exists.

    A VM that isolates or requires whole cores keeps all their threads.
    """
    held: set[int] = set()
    for name, placement in plan.placements.items():
        other = instance.vm(name)
        if name == vm.name or placement.host != host.name or not other.overlaps(vm):
            continue
        held |= _kept(other, placement, host)
    return frozenset(held)


def _kept(vm: Vm, placement: Placement, host: Host) -> set[int]:
    """The pCPUs a placed VM keeps from others: its own, or all threads of its cores."""
    own = {pcpu for cell in placement.cells for pcpu in cell.pcpus}
    if not own or vm.thread_policy is ThreadPolicy.PREFER:
        return own
    core_of = {pcpu.id: pcpu.core for node in host.nodes for pcpu in node.pcpus}
    cores = {core_of[pcpu] for pcpu in own}
    return {pcpu for pcpu, core in core_of.items() if core in cores}


def _numbered(
    vm: Vm, placement: Placement, host: Host, held: frozenset[int], shared_mib: int
) -> tuple[NumberedCell, ...]:
    ordered = _in_guest_order(vm, placement.cells)
    cells: list[NumberedCell] = []
    first = 0
    for index, cell in enumerate(ordered):
        whole = frozenset(pcpu.id for pcpu in host.nodes[host.position[cell.node]].pcpus)
        if vm.cpu_policy is CpuPolicy.DEDICATED:
            pcpus = tuple(frozenset({pcpu}) for pcpu in cell.pcpus)
        else:
            pcpus = cell.vcpu_sets or (whole - held or whole,) * cell.vcpus
        # Shared pages are cut as evenly as they go; only 4K pages can be shared.
        extra = shared_mib * (index + 1) // len(ordered) - shared_mib * index // len(ordered)
        memory = tuple(sorted((node, mib) for node, mib in cell.memory_mib if mib))
        vcpus = range(first, first + cell.vcpus)
        cells.append(NumberedCell(cell.node, vcpus, pcpus, cell.nominal_mib + extra, memory))
        first += cell.vcpus
    return tuple(cells)


def _in_guest_order(vm: Vm, cells: Sequence[PlacedCell]) -> list[PlacedCell]:
    """Placed cells in the order of the guest's stated ones; else as they are."""
    left = list(cells)
    ordered: list[PlacedCell] = []
    for stated in vm.cells:
        size = (stated.vcpus, stated.memory_mib)
        found = next(cell for cell in left if (cell.vcpus, cell.nominal_mib) == size)
        left.remove(found)
        ordered.append(found)
    return ordered + left


def _addresses(vm: Vm, placement: Placement, host: Host) -> tuple[tuple[str, ...], list[str]]:
    functions = {device.address: device.functions for device in host.devices}
    addresses: list[str] = []
    notes: list[str] = []
    for taken in placement.devices:
        if functions[taken.address] > 1:
            notes.append(
                f"takes {taken.functions} functions of device {taken.address}; "
                "which of them is not in the plan, add them yourself"
            )
            continue
        thing = f"VM {vm.name!r:.80}, device"
        addresses.append(parse_pci_address(taken.address, thing=thing, field="address"))
    return tuple(addresses), notes
