"""What one placed VM takes of each place, and what it loses whatever the others do."""

from __future__ import annotations

from dataclasses import dataclass, field

from numaplace.models import rates
from numaplace.models.cores import node_llcs
from numaplace.models.cost import OWN, TERMS
from numaplace.models.instance import Instance
from numaplace.models.plan import Placement, Plan
from numaplace.models.relations import Scope
from numaplace.models.vm import CpuPolicy, Vm
from numaplace.solver.placing.ledger import Amounts, Use

_NOBODY = Plan()


@dataclass(slots=True)
class Footprint(Use):
    """A VM at a placement.

    Parameters
    ----------
    vm, placement
        The VM and where it is.
    homes
        vCPUs by place index.
    functions
        Functions by device address.
    own_micro
        Loss by the terms of `cost.OWN`.
    """

    vm: Vm
    placement: Placement
    homes: Amounts
    functions: tuple[tuple[str, int], ...]
    own_micro: int
    _domains: dict[Scope, frozenset[int]] = field(default_factory=dict)

    def domains(self, instance: Instance, scope: Scope) -> frozenset[int]:
        """Hosts, nodes or last-level caches the VM uses, each as a number unique to its scope.

        A node of unknown caches is one domain, as in the cost's competition term.
        """
        known = self._domains.get(scope)
        if known is None:
            known = self._domains[scope] = self._find_domains(instance, scope)
        return known

    def _find_domains(self, instance: Instance, scope: Scope) -> frozenset[int]:
        if scope is Scope.HOST:
            return frozenset({self.host_index})
        if scope is Scope.NODE:
            return frozenset(place for place, _ in self.homes)
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
    ratio = round(instance.hosts[host_index].vcpu_overcommit * 1000)
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
        demand = tuple((place, per_block * mib // block_mib) for place, mib in pages)
    functions: dict[str, int] = {}
    for taken in placement.devices:
        functions[taken.address] = functions.get(taken.address, 0) + taken.functions
    located = [(vm, placement, cells)]
    own = sum(micro for t in OWN for _, micro in TERMS[t](instance, _NOBODY, located))
    return Footprint(
        vm=vm,
        placement=placement,
        host_index=host_index,
        page_size=vm.page_size,
        homes=tuple((place.index, cell.vcpus) for place, cell in cells),
        load=tuple((place.index, rates.load_milli(vm, cell.vcpus)) for place, cell in cells),
        cpu=tuple(
            (place.index, cell.vcpus * 1000 if shared else ratio * threads)
            for (place, cell), threads in zip(cells, held, strict=True)
        ),
        pages=pages,
        demand=demand,
        functions=tuple(functions.items()),
        own_micro=own,
    )
