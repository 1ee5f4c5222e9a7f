"""What is free on every place and host: the one ledger of both engines, of plans and of traces.

Amounts are arrays by *row* and place. A row is an instant of an instance, or there is a single
one, now. CPU counts in what `cpu` counts: thousandths of a shared vCPU for plans, vCPUs for traces.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from numaplace.models import rates
from numaplace.models.cores import node_llcs
from numaplace.models.cost import OWN, TERMS
from numaplace.models.instance import Instance
from numaplace.models.plan import Placement, Plan
from numaplace.models.rates import ContentionLines
from numaplace.models.relations import Scope
from numaplace.models.trace import Ints
from numaplace.models.units import PageSize
from numaplace.models.vm import CpuPolicy, Vm

Amounts = tuple[tuple[int, int], ...]  # Pairs (place index, amount)
Crowds = tuple[tuple[int, int, int], ...]  # Triples (place index, load, crowding)
NOW = slice(0, 1)  # The row of a ledger that has only one


@dataclass(slots=True)
class Use:
    """What one VM takes of a host's places, by place index.

    CPU as the ledger counts it, memory in MiB of one size of pages, load in milli-vCPU, the same
    with crowding as CPU contention counts it (`rates.crowd`), and bandwidth in thousandths of MB/s.
    """

    host_index: int
    page_size: PageSize
    cpu: Amounts
    pages: Amounts
    load: Amounts
    crowd: Crowds
    demand: Amounts


class Ledger:
    """What each place and host has left, and what runs there.

    Free are `free_cpu` and, by page size, `free_mib`; in use `demand_milli`, by row and place, and
    `values` of the lines of CPU contention, by row, line and place. `host_free_cpu`,
    `host_free_mib` (small pages) and `host_load_milli` are sums by row and host; `host_cpu` and
    `host_mib` what each host has, 1 at least; what begins with `past_` are peaks before now,
    `host_vms` the VMs on each host. `host_start` is the first place of each host.
    """

    def __init__(
        self,
        cpu: Ints,
        mib: Mapping[PageSize, Ints],
        host_start: Ints,
        lines: ContentionLines | None,
        rows: int = 1,
    ) -> None:
        self.lines, self.values = lines, np.zeros((rows, 0, len(cpu)), np.int64)
        if lines is not None:
            self.values = np.repeat(-lines.offsets[np.newaxis], rows, axis=0)
        self.cpu_capacity, self.mib_capacity, self.host_start = cpu, mib, host_start
        self.single_row = rows == 1
        hosts = np.arange(len(host_start))
        self.place_host = np.repeat(hosts, np.diff(host_start, append=len(cpu)))

        def in_rows(amounts: Ints) -> Ints:
            return np.repeat(amounts[np.newaxis], rows, axis=0)

        self.free_cpu = in_rows(cpu)
        self.free_mib = {size: in_rows(pool) for size, pool in mib.items()}
        self.demand_milli = in_rows(np.zeros_like(cpu))
        host_cpu, host_mib = self.by_host(cpu), self.by_host(mib[PageSize.SMALL])
        self.host_free_cpu, self.host_free_mib = in_rows(host_cpu), in_rows(host_mib)
        self.host_cpu, self.host_mib = np.maximum(1, host_cpu), np.maximum(1, host_mib)
        self.cpu_whole = np.maximum(1, cpu)
        self.mib_whole = {size: np.maximum(1, pool) for size, pool in mib.items()}
        self.host_nodes = self.by_host((cpu > 0).astype(np.int64))
        self.host_load_milli = in_rows(np.zeros_like(hosts))
        self._cpu, self._demand = self._view(self.free_cpu), self._view(self.demand_milli)
        self._mib = {size: self._view(pool) for size, pool in self.free_mib.items()}
        self._host_cpu, self._host_mib, self._host_load = (
            self._view(a) for a in (self.host_free_cpu, self.host_free_mib, self.host_load_milli)
        )
        self.past_demand_milli = np.zeros_like(cpu)
        self.past_host_load_milli, self.host_vms = np.zeros_like(hosts), np.zeros_like(hosts)

    def _view(self, amounts: Ints) -> Any:
        """Return where single numbers are written: of one row its memory, which is faster."""
        return memoryview(amounts[0]) if self.single_row else amounts

    def by_host(self, amounts: Ints) -> Ints:
        """Sums by host of amounts by place."""
        sums: Ints = np.add.reduceat(amounts, self.host_start)
        return sums

    def least(self, free: Ints, rows: slice) -> Ints:
        """Least of each column over some rows."""
        low: Ints = free[0] if self.single_row else free[rows].min(axis=0)
        return low

    def most(self, used: Ints, rows: slice) -> Ints:
        """Largest of each column over some rows."""
        top: Ints = used[0] if self.single_row else used[rows].max(axis=0)
        return top

    def least_at(self, free: Ints, place_index: int, rows: slice | Ints) -> int:
        """Least of one place over some rows."""
        return int(free.item(0, place_index) if self.single_row else free[rows, place_index].min())

    def most_at(self, used: Ints, place_index: int, rows: slice) -> int:
        """Largest of one place over some rows."""
        return int(used.item(0, place_index) if self.single_row else used[rows, place_index].max())

    def change(self, use: Use, rows: slice, sign: int) -> None:
        """Take what a VM uses at some rows, or with a `sign` of -1 give it back."""
        single, host = self.single_row, use.host_index
        cpu = load = 0
        for place_index, amount in use.cpu:
            self._cpu[place_index if single else (rows, place_index)] -= sign * amount
            cpu += amount
        for _, milli in use.load:
            load += milli
        if self.lines is not None:
            for place_index, milli, crowding in use.crowd:
                added = sign * milli * self.lines.weights(crowding)[:, place_index]
                self.values[rows, :, place_index] += added
        for place_index, milli in use.demand:
            self._demand[place_index if single else (rows, place_index)] += sign * milli
        at = host if single else (rows, host)
        self._host_cpu[at] -= sign * cpu
        self._host_load[at] += sign * load
        self.take_pages(use.page_size, host, use.pages, rows, sign)

    def crowded(self, place: int) -> int:
        """CPU contention of one place, at the worst row."""
        return max(0, int(self.values[:, :, place].max()))

    def crowded_by(self, rows: slice, place: int, milli: int, crowding: int) -> int:
        """CPU contention of one place at the worst of some rows, with some load more."""
        assert self.lines is not None
        more = milli * self.lines.weights(crowding)[:, place]
        return max(0, int((self.values[rows, :, place] + more).max()))

    def take_pages(
        self, size: PageSize, host: int, pages: Amounts, rows: slice | Ints, sign: int
    ) -> None:
        """Take memory of a pool at some rows, or give it back."""
        single, free, mib = self.single_row, self._mib[size], 0
        for place_index, amount in pages:
            free[place_index if single else (rows, place_index)] -= sign * amount
            mib += amount
        if size is PageSize.SMALL:
            self._host_mib[host if single else (rows, host)] -= sign * mib

    def keep_peaks(self) -> None:
        """Remember how much runs now, before some of it ends."""
        for past, now in (
            (self.past_demand_milli, self.demand_milli),
            (self.past_host_load_milli, self.host_load_milli),
        ):
            np.maximum(past, now[0], out=past)


_NOBODY = Plan()


@dataclass(slots=True)
class Footprint(Use):
    """A VM at a placement: vCPUs by place (`homes`), functions by device address.

    `own_micro` is its loss by the terms of `cost.OWN`, and by its own siblings on whole cores.
    """

    vm: Vm
    placement: Placement
    homes: Amounts
    functions: tuple[tuple[str, int], ...]
    own_micro: int
    _domains: dict[str, frozenset[int]] = field(default_factory=dict)

    def domains(self, instance: Instance, scope: str) -> frozenset[int]:
        """Labels, hosts, nodes or caches the VM uses, each as a number unique to its scope.

        A node of unknown caches is one domain, as in the cost's competition term.
        """
        known = self._domains.get(scope)
        if known is None:
            known = self._domains[scope] = self._find_domains(instance, scope)
        return known

    def _find_domains(self, instance: Instance, scope: str) -> frozenset[int]:
        if scope == Scope.NODE:
            return frozenset(place_index for place_index, _ in self.homes)
        if scope != Scope.LLC:
            return frozenset({instance.domains(scope)[self.host_index]})
        used: set[int] = set()
        for cell in self.placement.cells:
            place = instance.place_of[self.placement.host, cell.node]
            llcs = node_llcs(place.node)
            if llcs and self.vm.cpu_policy is CpuPolicy.DEDICATED and cell.pcpus:
                held = set(cell.pcpus)
                pcpus = [pcpu for pcpu in place.node.pcpus if pcpu.id in held]
                llcs = frozenset(pcpu.llc for pcpu in pcpus if pcpu.llc is not None)
            used |= {llc_domain(self.host_index, llc) for llc in llcs or {-1 - place.position}}
        return frozenset(used)


def llc_domain(host_index: int, llc: int) -> int:
    """Return a number for a last-level cache of a host (or, if negative, a node without one)."""
    return (host_index << 24) + llc


def make_footprint(
    instance: Instance, vm: Vm, placement: Placement, held: tuple[int, ...]
) -> Footprint:
    """Work out what `vm` takes at `placement`; `held` is how many pCPUs each cell keeps."""
    host_index = instance.host_index[placement.host]
    cells = [(instance.place_of[placement.host, cell.node], cell) for cell in placement.cells]
    ratio = instance.hosts[host_index].ratio_milli
    shared = vm.cpu_policy is CpuPolicy.SHARED
    pages = tuple(
        (instance.place_of[placement.host, node].index, mib)
        for node, mib in placement.memory_by_node().items()
        if mib
    )
    demand: Amounts = ()
    if vm.bandwidth_mbps:
        block_mib = instance.form(vm.name).block_mib
        per_block = rates.demand_per_block(instance, vm)
        demand = tuple((place_index, per_block * mib // block_mib) for place_index, mib in pages)
    functions: dict[str, int] = {}
    for taken in placement.devices:
        functions[taken.address] = functions.get(taken.address, 0) + taken.functions
    located = [(vm, placement, cells)]
    own = sum(micro for t in OWN for _, micro in TERMS[t](instance, _NOBODY, located))
    own += sum(rates.siblings_loss(vm, cell.vcpus, place) for place, cell in cells)
    return Footprint(
        vm=vm,
        placement=placement,
        host_index=host_index,
        page_size=vm.page_size,
        homes=tuple((place.index, cell.vcpus) for place, cell in cells),
        load=tuple((place.index, rates.load_milli(vm, cell.vcpus)) for place, cell in cells),
        crowd=tuple((p.index, *rates.crowd(vm, cell.vcpus, p)) for p, cell in cells),
        cpu=tuple(
            (place.index, cell.vcpus * 1000 if shared else ratio * threads)
            for (place, cell), threads in zip(cells, held, strict=True)
        ),
        pages=pages,
        demand=demand,
        functions=tuple(functions.items()),
        own_micro=own,
    )
