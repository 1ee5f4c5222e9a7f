"""One host of a class and VMs of entries on it: as an instance, and laid out VM by VM."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from numaplace.models.cost import ALL, Term, evaluate
from numaplace.models.instance import Instance
from numaplace.models.plan import Placement, Plan, SharedCopy
from numaplace.models.vm import VCPUS_MAX, CpuPolicy, Vm
from numaplace.solver.cpsat.solve import solve_cpsat
from numaplace.solver.deadline import Deadline
from numaplace.solver.fleet.classes import Census
from numaplace.solver.formulation.extract import Decisions, extract_plan
from numaplace.solver.formulation.option import Option, most_cores
from numaplace.solver.formulation.prepare import Prepared
from numaplace.solver.params import SolveParams

GHOST = "ghost"
"""A VM that fits nowhere: it stands beside the one of a sharing group that a host may have."""
LAYOUT_S = 2.0
"""Seconds at most for the layout of one host."""

Held = tuple[tuple[int, int], ...]
Cells = tuple[tuple[int, int, int, int, int], ...]
"""Cells of a pattern: entry, shape, type, position of the node, how many."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """What one host of a class holds.

    Parameters
    ----------
    host_class
        Index of the class.
    held
        Pairs (entry, number of VMs), in order, without zeros.
    units
        Pairs (unit, how many the host has, whole or in part).
    value
        What the VMs are worth, in thousandths.
    loss
        What they lose on one host, in micro-vCPU; not known: 0.
    """

    host_class: int
    held: Held
    units: Held
    value: int
    loss: int = 0


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the VMs of a pattern are on the host that stands for its class, by entry."""

    placements: Mapping[int, list[Placement]]
    copies: tuple[SharedCopy, ...]
    loss: int


class OneHost:
    """One host of a class, and what of the entries may be there.

    Attributes
    ----------
    host
        The first of the class.
    vms
        A VM of each entry that may be there, named by the entry's number.
    """

    def __init__(self, census: Census, host_class: int, terms: frozenset[Term] = ALL) -> None:
        self.census = census
        self.host_class = host_class
        self.terms = terms
        self.host = census.instance.hosts[census.classes[host_class].hosts[0]]
        self.vms = {e: self._here(e) for e in range(len(census.entries)) if self._allowed(e)}
        self._layouts: dict[Held, Layout] = {}

    def _allowed(self, entry: int) -> bool:
        vm = self.census.entries[entry].vm
        for nodes in (vm.hard_nodes, vm.memory_nodes):
            if nodes is not None and not nodes & self.host.position.keys():
                return False
        return vm.allowed_hosts is None or self.host.name in vm.allowed_hosts

    def _here(self, entry: int) -> Vm:
        """Return a VM of an entry as one that knows this host only."""
        vm = self.census.entries[entry].vm
        if not (vm.hard_nodes or vm.soft_nodes or vm.memory_nodes or vm.allowed_hosts):
            return self.census.alone[entry]
        ids = frozenset(self.host.position)
        sets: dict[str, Any] = {
            name: (getattr(vm, name) & ids) or None
            for name in ("hard_nodes", "soft_nodes", "memory_nodes")
            if getattr(vm, name) is not None
        }
        return replace(vm, name=str(entry), allowed_hosts=None, required=False, **sets)

    def _instance(self, names: Mapping[int, list[str]]) -> Instance:
        """Return an instance of this host and VMs of entries, with what relates them."""
        whole = self.census.instance
        vms = tuple(
            self.vms[e] if name == str(e) else replace(self.vms[e], name=name)
            for e, found in names.items()
            for name in found
        )
        related = self._related({e: found[0] for e, found in names.items()})
        if GHOST in (name for group in related.get("sharing", ()) for name in group.vms):
            most = max(group.shared_mib for group in whole.sharing)
            dedicated = CpuPolicy.DEDICATED
            ghost = Vm(GHOST, VCPUS_MAX, most + 1, cpu_policy=dedicated, max_cells=1, value=0)
            vms = *vms, ghost
        instance = Instance((self.host,), vms, prices=whole.prices, **related)
        forms = {e: whole.form(self.census.entries[e].vm.name) for e in names}
        instance.keep_forms({name: forms[e] for e, found in names.items() for name in found})
        return instance

    def _related(self, names: Mapping[int, str]) -> dict[str, Any]:
        """Relations among the VMs of entries that are told apart, by these names here."""
        found: dict[str, list[Any]] = defaultdict(list)
        for field, relation, entries in self.census.related:
            here = {name: names[e] for name, e in entries.items() if e in names}
            changes: dict[str, Any] = {"vms": tuple(here.values())}
            if field in ("cooperations", "competitions"):
                changes = dict(zip(("first", "second"), here.values(), strict=False))
            elif field == "aparts":
                parts = (tuple(here[n] for n in part if n in here) for part in relation.domains)
                changes["domains"] = tuple(parts)
            elif field == "sharing" and len(here) == 1:
                here[GHOST] = GHOST
                changes["vms"] = tuple(here.values())
            if len(here) > 1:
                found[field].append(replace(relation, **changes))
        return {field: tuple(relations) for field, relations in found.items()}

    def of(self, held: Held, loss: int = 0) -> Pattern:
        """Return the pattern that holds VMs of these entries."""
        value_milli, entries = self.census.instance.value_milli, self.census.entries
        units: dict[int, int] = {}
        for e, count in held:
            entry = entries[e]
            units[entry.unit] = max(units.get(entry.unit, 0), -(-count // entry.times))
        value = sum(count * value_milli(entries[e].vm) for e, count in held)
        return Pattern(self.host_class, held, tuple(sorted(units.items())), value, loss)

    def pattern(self, layout: Layout) -> Pattern | None:
        """Return the pattern of a layout, which is kept if it is the best; None if it is empty."""
        held = tuple((e, len(found)) for e, found in layout.placements.items() if found)
        known = self._layouts.get(held)
        if known is None or layout.loss < known.loss:
            self._layouts[held] = layout
        return self.of(held, self._layouts[held].loss) if held else None

    def laid_out(
        self, placements: Mapping[int, list[Placement]], copies: tuple[SharedCopy, ...]
    ) -> Pattern | None:
        """Return the pattern of placements on the first host of the class, by entry."""
        names = {e: [f"{e}#{k}" for k in range(len(found))] for e, found in placements.items()}
        placed = {
            name: found for e in names for name, found in zip(names[e], placements[e], strict=True)
        }
        return self.pattern(self._layout(self._instance(names), Plan(placed, copies), names))

    def layout(self, held: Held, until: Deadline) -> Layout:
        """Lay out VMs on the host, as well as it can be done in short time; all of them if so."""
        if held not in self._layouts:
            names = {e: [f"{e}#{k}" for k in range(count)] for e, count in held}
            instance = self._instance(names)
            params = SolveParams(deadline=until.share(1.0, LAYOUT_S), workers=1, explain=False)
            params = replace(params, terms=self.terms)
            plan = solve_cpsat(instance, params).plan or Plan()
            self._layouts[held] = self._layout(instance, plan, names)
        return self._layouts[held]

    def _layout(self, instance: Instance, plan: Plan, names: Mapping[int, list[str]]) -> Layout:
        placements = {
            e: [plan.placements[name] for name in found if name in plan]
            for e, found in names.items()
        }
        lost = evaluate(instance, plan).terms
        loss = sum(lost[term] for term in self.terms)
        return Layout(placements, plan.copies, loss)

    def dealt(self, held: Held, cells: Mapping[Option, int]) -> None:
        """Lay out a pattern by how many VMs have each option, if that leaves nothing to choose."""
        if self.census.instance.sharing:
            return
        at: dict[int, Counter[tuple[int, int, int]]] = defaultdict(Counter)
        for option, times in cells.items():
            at[int(option.vm)][option.shape_index, option.cell.count, option.place_index] = times
        names = {e: [f"{e}#{k}" for k in range(count)] for e, count in held}
        instance = self._instance(names)
        prepared, decisions = Prepared(instance), Decisions()
        for e, found in names.items():
            for name, (shape, places) in zip(found, _dealt(at[e]), strict=True):
                for option in prepared.options[name]:
                    if option.shape_index == shape and option.place_index in places:
                        decisions.cells.append(option)
                        vm = instance.vm(name)
                        if vm.cpu_policy is CpuPolicy.DEDICATED:
                            group = prepared.core_groups(option.place)[0]
                            most = most_cores(vm, option.cell.vcpus, group)
                            decisions.cores[option, 0] = most
        plan = extract_plan(prepared, decisions)
        self.pattern(self._layout(instance, plan, names))


def _dealt(cells: Counter[tuple[int, int, int]]) -> list[tuple[int, list[int]]]:
    """Deal equal cells, counted by (shape, cells of a VM, place), to VMs: (shape, places) of each.

    A VM takes the places that have most left, so that what is left can always be dealt.
    """
    dealt: list[tuple[int, list[int]]] = []
    for shape, size in dict.fromkeys((s, size) for s, size, _ in cells):
        left = {place: n for (s, _, place), n in cells.items() if s == shape}
        while any(left.values()):
            places = sorted(left, key=lambda place: -left[place])[:size]
            for place in places:
                left[place] -= 1
            dealt.append((shape, places))
    return dealt
