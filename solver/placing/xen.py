"""Xen's automatic NUMA placement (libxl), of release 4.2 and of today, as a baseline.

What libxl does (xen-project/xen, tools/libs/light/libxl_numa.c and libxl_dom.c; release 4.2:
tools/libxl): node sets of the host are tried in lexicographic order, smaller ones first, from the
least number of nodes whose pCPUs cover the vCPUs. A set is dropped if its summed free memory or
its pCPUs are too few. Of the first size with any set left, the set with the least load wins, then
the one with the most free memory, then the first. Load counts vCPUs that may run there: each node
by itself and then summed (today), or each vCPU once per set (4.2). Distances play no role. Hosts
with one node or more than sixteen are not placed on; where nothing fits, the domain is spread
over all nodes. Placement is skipped for domains with affinity of their own (4.2: hard; today:
soft).

How that becomes a plan of ours: vCPUs float over the set and memory is striped over it, so a VM
gets one even cell per node of the set, if it may be cut so; else as few cells fewer as it takes,
on the least loaded nodes of the set, and a VM of one cell gets its pages striped evenly over the
set. What does not fit there goes to other nodes if the VM's memory mode allows. Free must be what
libxl wants beside the memory (`models/xen`), but a VM takes its memory only, and dom0 is left out.
libxl's CPUs may be overcommitted without limit: here the placement must obey every rule, and a VM
for which it does not is not placed. libxl knows one host; of several the first where the VM can be
placed is taken.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

import numpy as np

from numaplace.models.instance import Instance
from numaplace.models.units import ceil_div
from numaplace.models.vm import CpuPolicy, Vm
from numaplace.models.xen import domain_mib
from numaplace.solver.placing.build import Candidate, Home, build
from numaplace.solver.placing.cell_offer import places_for
from numaplace.solver.placing.matching import FORBIDDEN, assign
from numaplace.solver.placing.occupancy import Occupancy
from numaplace.solver.placing.offer import Offer
from numaplace.solver.placing.placer import Placer
from numaplace.solver.placing.rules import choose, xen, xen_4_2

NODES_MAX = 16  # Hosts with more nodes are not placed on
NodeSet = tuple[int, ...]  # Places of one host, ascending


class _NodeSets(Offer):
    """Node sets of one host."""

    def __init__(
        self,
        state: Occupancy,
        sets: list[NodeSet],
        free_mib: Mapping[int, int],
        running: Sequence[tuple[int, frozenset[int]]],
    ) -> None:
        super().__init__(state.ledger)
        self.slots = np.arange(len(sets))
        self.first = self.second = np.array([nodes[0] for nodes in sets])
        shared = [[(vcpus, len(on.intersection(s))) for vcpus, on in running] for s in sets]
        self.left_mib = np.array([sum(free_mib[node] for node in nodes) for nodes in sets])
        self.runnable = np.array([sum(vcpus * n for vcpus, n in of_set) for of_set in shared])
        self.runnable_once = np.array([sum(v for v, n in of_set if n) for of_set in shared])


class XenPlacement:
    """Chooser that does as libxl, of release 4.2 or of today.

    It remembers the nodes on which each domain may run.
    """

    def __init__(self, instance: Instance, *, release_4_2: bool) -> None:
        self.instance = instance
        self.release_4_2, self.rule = release_4_2, xen_4_2 if release_4_2 else xen
        self.affinity: dict[str, frozenset[int]] = {}

    def __call__(self, engine: Placer, vm: Vm) -> Candidate | None:
        """Choose a node set and place `vm` on it; None if that breaks a rule on every host."""
        state = engine.state
        mask, exactly = places_for(state, vm)
        for host in self.instance.allowed_hosts(vm):
            host_index = self.instance.host_index[host.name]
            nodes = self.node_set(state, vm, host_index)
            usable = [p for p in self._runs_on(vm, host_index, nodes) if mask[p]]
            found = self._placed(state, vm, usable, nodes, exactly)
            if found is not None:
                self.affinity[vm.name] = frozenset(self._runs_on(vm, host_index, nodes))
                return found
        return None

    def node_set(self, state: Occupancy, vm: Vm, host_index: int) -> NodeSet:
        """Nodes that libxl chooses for a domain; all nodes if it places nothing."""
        places = self.instance.host_places[host_index]
        everywhere = tuple(place.index for place in places)
        own = vm.hard_nodes if self.release_4_2 else vm.soft_nodes
        if own is not None:
            nodes = tuple(place.index for place in places if place.node.id in own)
            return nodes or everywhere
        if not 1 < len(places) <= NODES_MAX:
            return everywhere
        suitable = [place for place in places if place.node.threads]
        counts = {place.node.threads for place in places}
        per_node = counts.pop() if len(counts) == 1 else 0
        fewest = ceil_div(vm.vcpus, per_node) if per_node else 1
        # Guests with cells of their own name nodes by hand; here they get as many as they have.
        fewest = max(fewest, self.instance.form(vm.name).shapes[0].num_cells)
        rows = state.rows(vm.name)
        wanted_mib = domain_mib(vm.vcpus, vm.memory_mib)
        need_mib = max(wanted_mib, self.instance.form(vm.name).memory_mib)
        free = {p.index: state.free_mib(p.index, vm.page_size, rows) for p in suitable}
        for size in range(min(fewest, len(suitable)), len(suitable) + 1):
            sets = [
                tuple(place.index for place in group)
                for group in combinations(suitable, size)
                if sum(free[place.index] for place in group) >= need_mib
                and sum(place.node.threads for place in group) >= vm.vcpus
            ]
            if sets:
                return sets[choose(_NodeSets(state, sets, free, self._running(state)), self.rule)]
        return everywhere

    def _running(self, state: Occupancy) -> list[tuple[int, frozenset[int]]]:
        """VCPUs of each running domain, and the nodes it may run on."""
        return [
            (state.placed[name].vm.vcpus, where)
            for name, where in self.affinity.items()
            if name in state.placed and name not in state.ended
        ]

    def _runs_on(self, vm: Vm, host_index: int, nodes: NodeSet) -> list[int]:
        """Nodes on which the vCPUs run: the set, as far as hard affinity leaves any of it."""
        if vm.hard_nodes is None:
            return list(nodes)
        places = self.instance.host_places[host_index]
        hard = [place.index for place in places if place.node.id in vm.hard_nodes]
        return [place_index for place_index in hard if place_index in nodes] or hard

    def _placed(
        self,
        state: Occupancy,
        vm: Vm,
        usable: list[int],
        nodes: NodeSet,
        exactly: frozenset[int] | None,
    ) -> Candidate | None:
        for homes in self._homes(state, vm, usable, nodes):
            if exactly is None or exactly == {home.place_index for home in homes}:
                found = build(state, vm, homes, spread=nodes)
                if found is not None:
                    return found
        return None

    def _homes(
        self, state: Occupancy, vm: Vm, usable: list[int], nodes: NodeSet
    ) -> Iterator[list[Home]]:
        """Ways to cut a domain over its nodes: most cells first, least loaded nodes first."""
        running = self._running(state)
        loads = {p: float(sum(vcpus for vcpus, on in running if p in on)) for p in usable}
        for shape in reversed(self.instance.form(vm.name).shapes):
            if shape.num_cells > min(len(usable), len(nodes)):
                continue
            if shape.num_cells == 1:
                kind = shape.types[0]
                for place_index in sorted(usable, key=lambda p: (loads[p], p)):
                    yield [Home(place_index, kind.vcpus, kind.blocks)]
                continue
            costs = [
                [
                    loads[place_index]
                    if self._has_cpus(state, vm, place_index, kind.vcpus)
                    else FORBIDDEN
                    for place_index in usable
                ]
                for kind in shape.types
            ]
            given = assign(costs, [kind.count for kind in shape.types])
            if given is not None:
                yield [
                    Home(usable[column], kind.vcpus, kind.blocks)
                    for kind, taken in zip(shape.types, given, strict=True)
                    for column in sorted(taken)
                ]

    def _has_cpus(self, state: Occupancy, vm: Vm, place_index: int, vcpus: int) -> bool:
        if vm.cpu_policy is CpuPolicy.DEDICATED:
            return state.room(place_index, vm.thread_policy, state.row_mask(vm.name)) >= vcpus
        return state.free_cpu(place_index, state.rows(vm.name)) >= vcpus * 1000
