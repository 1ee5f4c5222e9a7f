"""What each VM is ballooned to, and from which node its pages go: read off a plan.

Placement and ballooning are chosen together, by the solvers (terms `ballooning` and `remote_memory`
of docs/model.md); this tells what a plan means for the balloon driver of each guest.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from numaplace.models.instance import Instance
from numaplace.models.plan import Placement, Plan


@dataclass(frozen=True, slots=True)
class NodePages:
    """Memory of one VM on one node in MiB, before and as the plan wants it."""

    node: int
    before_mib: int
    target_mib: int


@dataclass(frozen=True, slots=True)
class BalloonTarget:
    """What one VM is ballooned to.

    Parameters
    ----------
    vm, host
        The VM, and the host the plan puts it on.
    nominal_mib, least_mib, before_mib, target_mib
        Its memory, what it keeps at least, what it has before, and what the plan leaves it.
    nodes
        The same by node. Before is where its pages are now if it runs on that host, else all its
        memory where its cells go.
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
            before = _nominal(placement)
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


def _nominal(placement: Placement) -> Counter[int]:
    """Memory before ballooning, each cell's at its home."""
    amounts: Counter[int] = Counter()
    for cell in placement.cells:
        amounts[cell.node] += cell.nominal_mib
    return amounts
