"""What sharing pages gains and costs: an instance planned without it, within and across nodes.

Sharing saves memory; a reader whose nearest copy is on another node pays the distance. The three
plans are the best of their kind. The last row keeps the best plan across nodes and leaves each
group one copy a host: the most memory that this plan can save, at the most remote reads.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum

from numaplace.models.cost import Cost, Term, evaluate
from numaplace.models.errors import InputError
from numaplace.models.instance import Instance
from numaplace.models.plan import Plan, SharedCopy
from numaplace.models.result import Result
from numaplace.models.vm import Vm
from numaplace.solver.params import SolveParams
from numaplace.solver.registry import solve


class Sharing(StrEnum):
    """How pages in common may be shared."""

    NONE = "none"
    NODES = "within nodes"
    ACROSS = "across nodes"
    ONE_COPY = "one copy a host"


@dataclass(frozen=True, slots=True)
class SharingRow:
    """One way to share, and what it comes to.

    The result of ``one copy a host`` is that of ``across nodes``.
    """

    sharing: Sharing
    instance: Instance
    result: Result
    plan: Plan | None
    cost: Cost | None
    saved_mib: int = 0  # memory of the placed members that is in common, less the copies
    copies: int = 0  # of all groups that placed members read
    remote_vcpus: int = 0  # of members whose nearest copy is on another node

    @property
    def placed(self) -> int:
        """VMs placed."""
        return 0 if self.plan is None else len(self.plan)

    @property
    def read_micro(self) -> int:
        """Loss by reading copies on other nodes."""
        return 0 if self.cost is None else self.cost.terms[Term.PAGE_SHARING]


def compare_sharing(
    instance: Instance,
    params: SolveParams | None = None,
    *,
    solver: str = "cpsat",
    on_start: Callable[[str], None] | None = None,
) -> tuple[SharingRow, ...]:
    """Plan an instance anew for each way to share its groups' pages; `InputError` without one."""
    if not instance.sharing:
        reason = "is missing: no group of VMs has pages in common"
        raise InputError(f"instance {instance.name!r:.80}", "sharing", reason)
    params = (params or SolveParams()).begun()
    rows: list[SharingRow] = []
    for left, sharing in ((3, Sharing.NONE), (2, Sharing.NODES), (1, Sharing.ACROSS)):
        if on_start is not None:
            on_start(f"sharing {sharing}")
        changed = shared_so(instance, sharing)
        result = solve(changed, solver, params.part(1 / left))
        rows.append(_row(sharing, changed, result, result.plan))
    across = rows[-1]
    if across.plan is not None:
        plan = one_copy(across.instance, across.plan)
        rows.append(_row(Sharing.ONE_COPY, across.instance, across.result, plan))
    return tuple(rows)


def shared_so(instance: Instance, sharing: Sharing) -> Instance:
    """Return the instance with its pages shared in one way, to be planned anew."""
    if sharing is Sharing.NONE:
        members = instance.group_of.keys()
        vms = tuple(_unshared(vm) if vm.name in members else vm for vm in instance.vms)
        return replace(instance, vms=vms, sharing=(), current=None)
    across = sharing is not Sharing.NODES
    groups = tuple(replace(group, across_nodes=across) for group in instance.sharing)
    return replace(instance, sharing=groups, current=None)


def _unshared(vm: Vm) -> Vm:
    """Return a member with blocks that divide all its memory, not only its own."""
    sizes = (vm.memory_mib, vm.balloon_mib)
    fits = vm.block_mib is None or all(mib % vm.block_mib == 0 for mib in sizes)
    return vm if fits else replace(vm, block_mib=None)


def one_copy(instance: Instance, plan: Plan) -> Plan:
    """Return the plan with one copy of each group a host, where its readers lose least."""
    copies = []
    for copy in plan.copies:
        others = tuple(other for other in plan.copies if other is not copy)

        def loss(choice: SharedCopy, others: tuple[SharedCopy, ...] = others) -> int:
            return evaluate(instance, Plan(plan.placements, (*others, choice))).loss_micro

        if copy.nodes:
            choices = [replace(copy, nodes=(node,)) for node in sorted(copy.nodes)]
            copies.append(min(choices, key=loss))
    return Plan(plan.placements, tuple(copies))


def _row(sharing: Sharing, instance: Instance, result: Result, plan: Plan | None) -> SharingRow:
    if plan is None:
        return SharingRow(sharing, instance, result, None, None)
    read = [copy for copy in plan.copies if _readers(instance, plan, copy)]
    shared_mib = {group.name: group.shared_mib for group in instance.sharing}
    members = sum(group.shared_mib for n, group in instance.group_of.items() if n in plan)
    return SharingRow(
        sharing,
        instance,
        result,
        plan,
        evaluate(instance, plan),
        members - sum(shared_mib[copy.group] * len(set(copy.nodes)) for copy in read),
        sum(len(set(copy.nodes)) for copy in read),
        _remote_vcpus(instance, plan),
    )


def _readers(instance: Instance, plan: Plan, copy: SharedCopy) -> list[str]:
    group = next(group for group in instance.sharing if group.name == copy.group)
    return [n for n in group.vms if n in plan and plan.placements[n].host == copy.host]


def _remote_vcpus(instance: Instance, plan: Plan) -> int:
    at: dict[tuple[str, str], set[int]] = defaultdict(set)
    for copy in plan.copies:
        at[copy.group, copy.host] |= set(copy.nodes)
    return sum(
        cell.vcpus
        for name, group in instance.group_of.items()
        if name in plan
        for cell in plan.placements[name].cells
        if cell.node not in at[group.name, plan.placements[name].host]
    )
