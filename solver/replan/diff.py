"""What is not the same in two plans: VMs that move, balloon, start or go.

It says how the plans differ, not in which order one becomes the other.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum

from numaplace.models.instance import Instance
from numaplace.models.moves import Step
from numaplace.models.plan import Placement, Plan


class Change(StrEnum):
    """What happens to a VM.

    ``moves``: vCPUs or pages go elsewhere. ``changes``: it stays on its nodes, but gets other
    pCPUs or devices, or more or less memory or vCPUs. ``starts`` and ``goes``: it is in one plan
    only.
    """

    MOVES = "moves"
    CHANGES = "changes"
    STARTS = "starts"
    GOES = "goes"


@dataclass(frozen=True, slots=True)
class Difference:
    """One VM that is not where it was; `before` or `after` is None if it is not placed.

    `moved_mib` is memory that is copied, as the term `migration` counts it; `ballooned_mib` what
    ballooning takes in addition, negative: gives back.
    """

    vm: str
    change: Change
    before: Placement | None
    after: Placement | None
    moved_mib: int = 0
    ballooned_mib: int = 0


def differences(instance: Instance, before: Plan, after: Plan) -> tuple[Difference, ...]:
    """Return what is not the same in both plans, in the order of the instance's VMs."""
    found = (
        _difference(vm.name, before.placements.get(vm.name), after.placements.get(vm.name))
        for vm in instance.vms
    )
    return tuple(difference for difference in found if difference is not None)


def _difference(name: str, before: Placement | None, after: Placement | None) -> Difference | None:
    if before is None or after is None:
        if before is after:
            return None
        change = Change.STARTS if before is None else Change.GOES
        return Difference(name, change, before, after)
    moved = after.copied_mib(before)
    ballooned = _ballooned_mib(after) - _ballooned_mib(before)
    if Step(name, before, after).is_move:
        return Difference(name, Change.MOVES, before, after, moved, ballooned)
    if ballooned or _held(before) != _held(after):
        return Difference(name, Change.CHANGES, before, after, moved, ballooned)
    return None


def _ballooned_mib(placement: Placement) -> int:
    return sum(cell.nominal_mib - cell.total_mib for cell in placement.cells)


def _held(placement: Placement) -> tuple[object, ...]:
    """Everything that a VM which does not move may hold more or less of."""
    mib = {node: mib for node, mib in placement.memory_by_node().items() if mib}
    pcpus = sorted(pcpu for cell in placement.cells for pcpu in cell.pcpus)
    devices = sorted((d.request, d.address, d.functions) for d in placement.devices)
    return placement.vcpus_by_node(), mib, pcpus, devices


@dataclass(frozen=True, slots=True)
class NodePages:
    """Memory of one VM on one node in MiB, before and as the plan wants it."""

    node: int
    before_mib: int
    target_mib: int


@dataclass(frozen=True, slots=True)
class BalloonTarget:
    """What one VM is ballooned to, in all and by node.

    `least_mib` is what it keeps at least. Before is where its pages are now if it runs on that
    host, else all its memory where its cells go.
    """

    vm: str
    host: str
    nominal_mib: int
    least_mib: int
    before_mib: int
    target_mib: int
    nodes: tuple[NodePages, ...]

    @property
    def change_mib(self) -> int:
        """MiB given back (above zero) or taken away (below)."""
        return self.target_mib - self.before_mib


def balloon_targets(instance: Instance, plan: Plan) -> tuple[BalloonTarget, ...]:
    """Return the targets of all placed VMs that can be ballooned, in order of the instance.

    Memory of a sharing group counts as kept; it is not on any node here.
    """
    found: list[BalloonTarget] = []
    for vm in instance.vms:
        placement = plan.placements.get(vm.name)
        if placement is None or not vm.balloon_mib:
            continue
        now = instance.current.placements.get(vm.name) if instance.current is not None else None
        if now is not None and now.host == placement.host:
            before = Counter(now.memory_by_node())
        else:
            before = Counter()
            for cell in placement.cells:
                before[cell.node] += cell.nominal_mib
        target = Counter(placement.memory_by_node())
        nodes = tuple(
            NodePages(node, before[node], target[node]) for node in sorted(before | target)
        )
        shared = instance.form(vm.name).shared_mib
        found.append(
            BalloonTarget(
                vm.name,
                placement.host,
                vm.memory_mib,
                vm.memory_least_mib,
                shared + before.total(),
                shared + target.total(),
                nodes,
            )
        )
    return tuple(found)
