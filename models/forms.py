"""What the solvers and the cost need to know of a VM, worked out once.

Memory is placed in *blocks*: equal parts of the VM's own memory, coarse enough that spilling is a
choice among about 64 parts, not among millions of pages. Memory that has no such parts (a prime
number of pages, say) is rounded up to the next amount that has. A *shape* is one way to cut a VM
into cells; cells of equal size are interchangeable and counted by type.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from math import gcd

from numaplace.models.errors import InputError
from numaplace.models.topology import Host, NumaNode
from numaplace.models.units import MILLI, ceil_div
from numaplace.models.vm import CELLS_MAX, CpuPolicy, MemoryMode, ThreadPolicy, Vm

BLOCKS_WANTED = 64  # blocks a VM has at least, if its memory can be cut so
BLOCKS_LEAST = 8  # and if it can be cut only badly
BLOCKS_MAX = 1024  # blocks it has at most: a price per block is rounded to a micro-vCPU
# Memory that cannot be cut is rounded up, by less than one in so many parts of it if possible.
ROUNDING_SMALL = 1024


@dataclass(frozen=True, slots=True)
class CellType:
    """`count` equal cells of `vcpus` and `blocks` of own memory each."""

    vcpus: int
    blocks: int
    count: int


@dataclass(frozen=True, slots=True)
class VmShape:
    """One way to cut a VM into cells."""

    types: tuple[CellType, ...]

    @property
    def num_cells(self) -> int:
        """Cells of all types."""
        return sum(kind.count for kind in self.types)

    def cells(self) -> list[tuple[int, int]]:
        """(vCPUs, blocks) of each cell, equal ones next to each other."""
        return [(kind.vcpus, kind.blocks) for kind in self.types for _ in range(kind.count)]


@dataclass(frozen=True, slots=True)
class VmForm:
    """Blocks and shapes of one VM."""

    block_mib: int
    blocks: int  # of own memory: all but what a sharing group has in common
    balloon_blocks: int  # that ballooning may take away
    shared_mib: int  # in common with a sharing group, 0 without one
    shapes: tuple[VmShape, ...]  # in ascending number of cells
    rounding_mib: int = 0  # what the blocks have more than the VM

    @property
    def max_cells(self) -> int:
        """Cells of the largest shape."""
        return self.shapes[-1].num_cells

    @property
    def own_mib(self) -> int:
        """Own memory in whole blocks."""
        return self.blocks * self.block_mib

    @property
    def memory_mib(self) -> int:
        """What it takes: own memory in whole blocks, and what it shares."""
        return self.own_mib + self.shared_mib

    def whole_mib(self, mib: int) -> int:
        """Whole blocks for an amount that lacks no more of them than is rounded, else itself."""
        whole = ceil_div(mib, self.block_mib) * self.block_mib
        return whole if whole - mib <= self.rounding_mib else mib


def make_form(vm: Vm, shared_mib: int, hosts: list[Host], *, copy_mib: int = 0) -> VmForm:
    """Work out blocks and shapes of `vm`; `hosts` are the different kinds of host allowed to it.

    `copy_mib` is what a sharing group's copy takes on every node with a cell, if it must be there.

    Raises
    ------
    InputError
        If the memory cannot be cut as asked.
    """
    own_mib = vm.memory_mib - shared_mib
    parts = tuple(cell.memory_mib for cell in vm.cells) or (own_mib,)
    block_mib = _given_block(vm, own_mib) or _block_mib(parts, vm.balloon_mib, vm.page_size.mib)
    blocks = sum(ceil_div(part, block_mib) for part in parts)
    if vm.cells:
        cuts = [[(cell.vcpus, ceil_div(cell.memory_mib, block_mib)) for cell in vm.cells]]
    else:
        most = min(vm.vcpus, blocks, CELLS_MAX)
        if vm.max_cells is not None:
            counts = list(range(1, min(vm.max_cells, most) + 1))
        else:
            least = blocks - vm.balloon_mib // block_mib
            need = _Need(most, least, block_mib, copy_mib)
            counts = sorted({_fewest_cells(vm, need, host) for host in hosts} or {1})
        cuts = [_even_cells(vm.vcpus, blocks, count) for count in counts]
    shapes = tuple(_shape(cut) for cut in cuts)
    rounding_mib = blocks * block_mib - own_mib
    balloon_blocks = vm.balloon_mib // block_mib
    return VmForm(block_mib, blocks, balloon_blocks, shared_mib, shapes, rounding_mib)


def _given_block(vm: Vm, own_mib: int) -> int | None:
    given = vm.block_mib
    if given is not None and (given > own_mib or given % vm.page_size.mib):
        reason = f"{given} is above its own memory, {own_mib}"
        if given <= own_mib:
            reason = f"{given} MiB are not whole pages of {vm.page_size}"
        raise InputError(f"VM {vm.name!r}", "block_mib", reason)
    return given


@lru_cache(maxsize=65_536)
def _block_mib(parts: tuple[int, ...], balloon_mib: int, page_mib: int) -> int:
    """Return the size of the blocks of `parts` of own memory, whole pages each."""
    total = sum(parts)
    if total // page_mib < BLOCKS_WANTED:
        return page_mib
    enough = range(BLOCKS_WANTED, BLOCKS_MAX + 1)
    # An odd balloon range is used in whole blocks rather than making every block tiny, and there
    # are rather a few large blocks than prices rounded away by very many.
    few = range(BLOCKS_WANTED - 1, BLOCKS_LEAST - 1, -1)
    for exact, counts in ((gcd(*parts, balloon_mib), enough), (gcd(*parts), chain(enough, few))):
        for count in counts:
            size, rest = divmod(total, count)
            if not rest and exact % size == 0 and size % page_mib == 0:
                return size
    sizes = dict.fromkeys(page_mib * ceil_div(total, page_mib * count) for count in enough)
    rounding = {size: sum(-part % size for part in parts) for size in sizes}
    small = (size for size, more in rounding.items() if more * ROUNDING_SMALL < total)
    return next(small, min(rounding, key=rounding.__getitem__))


def _even_cells(vcpus: int, blocks: int, count: int) -> list[tuple[int, int]]:
    each_vcpus, more_vcpus = divmod(vcpus, count)
    each_blocks, more_blocks = divmod(blocks, count)
    return [(each_vcpus + (c < more_vcpus), each_blocks + (c < more_blocks)) for c in range(count)]


def _shape(cells: list[tuple[int, int]]) -> VmShape:
    counted = Counter(sorted(cells, reverse=True))
    return VmShape(
        tuple(CellType(vcpus, blocks, count) for (vcpus, blocks), count in counted.items())
    )


@dataclass(frozen=True, slots=True)
class _Need:
    """Cells at most, blocks to place at least, their size, and a copy each cell's node holds."""

    most: int
    blocks: int
    block_mib: int
    copy_mib: int


def _fewest_cells(vm: Vm, need: _Need, host: Host) -> int:
    """Cells that an empty `host` needs at least; 1 if no number of cells helps."""
    own_node_only = vm.memory_mode is MemoryMode.STRICT and vm.memory_nodes is None
    nodes = [n for n in host.nodes if vm.hard_nodes is None or n.id in vm.hard_nodes]
    for count in range(1, min(need.most, len(nodes)) + 1):
        # Each cell is at most as large as the one before it, so they fit if and only if for every
        # k there are k nodes that take the k-th.
        sizes = Counter(_even_cells(vm.vcpus, need.blocks, count))
        up_to = 0
        for (vcpus, blocks), equal in sizes.items():
            up_to += equal
            mib = need.copy_mib + (blocks * need.block_mib if own_node_only else 0)
            takers = sum(
                node_takes(vm, vcpus, node, host) and node.pool_mib(vm.page_size) >= mib
                for node in nodes
            )
            if takers < up_to:
                break
        else:
            return count
    return 1


def node_takes(vm: Vm, vcpus: int, node: NumaNode, host: Host) -> bool:
    """Tell whether the pCPUs of the empty node can run `vcpus` of `vm`."""
    if vm.cpu_policy is CpuPolicy.SHARED:
        return vcpus * MILLI <= host.ratio_milli * node.threads
    if vm.thread_policy is ThreadPolicy.ISOLATE:
        return vcpus <= node.cores
    if vm.thread_policy is ThreadPolicy.REQUIRE:
        return vcpus <= sum(n for n in Counter(p.core for p in node.pcpus).values() if n > 1)
    return vcpus <= node.threads
