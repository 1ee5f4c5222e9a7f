"""Room for one more VM: the cheapest moves and balloon changes, or the proof that none help.

If the VM fits with everything else left where it is, nothing moves. If not, one of two goals
decides. ``moves``: the VMs give way whose moving and ballooning is cheapest; where those go, and
whether their pages go along, is then decided by what they lose there, all others being left alone.
``loss``: the least loss of the whole plan, which holds migration and ballooning; a move may also be
made because it gains more than it costs. All VMs that run keep running.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import islice, permutations

from numaplace.models.cost import DISTURBING, Term, evaluate
from numaplace.models.errors import InputError
from numaplace.models.instance import Between, Instance
from numaplace.models.plan import Placement, Plan
from numaplace.models.relations import narrowed
from numaplace.models.result import Result, SolveStatus, Stage
from numaplace.models.verify import violations
from numaplace.models.vm import Vm
from numaplace.solver.base import make_result
from numaplace.solver.deadline import Deadline
from numaplace.solver.params import SolveParams
from numaplace.solver.placing.placer import Placer
from numaplace.solver.registry import solve
from numaplace.solver.replan.diff import Difference, differences

GIVING_WAY = DISTURBING | {Term.NODE_AFFINITY}  # Terms that decide who gives way
ORDERS_MAX = 120

SOLVE_SHARE = 0.9  # Of the time; the rest is for where those that give way go
HOME_WEIGHT = 1e-5  # vCPUs lost if all vCPUs of a VM change their nodes: of equal moves, the fewest
BUSY_LEAST = 0.01  # Moving an idle VM is not free, or it would be moved for nothing


class RoomGoal(StrEnum):
    """What the changes are to be cheapest in."""

    MOVES = "moves"
    LOSS = "loss"


@dataclass(frozen=True, slots=True)
class Room:
    """Where one more VM goes, and what has to give way.

    Parameters
    ----------
    instance
        The VMs that run, and the one more, all of them required.
    vm
        The name of the one more.
    goal
        What `changes` are cheapest in.
    result
        A plan for all, with its loss in all; ``optimal`` means that no cheaper changes exist,
        ``infeasible`` that none exist. It has a stage for the loss only if that is the goal.
    changes
        VMs that run and are not left as they are.
    price_micro
        Migration and additional ballooning, also of the one more; 0 if nothing changes.
    least_micro
        The least price at which room can be made at all, by moving vCPUs without their pages if
        need be; None if the goal is the loss.
    """

    instance: Instance
    vm: str
    goal: RoomGoal
    result: Result
    changes: tuple[Difference, ...] = ()
    price_micro: int = 0
    least_micro: int | None = None

    @property
    def placement(self) -> Placement | None:
        """Where the one more goes; None if no room was found."""
        return None if self.result.plan is None else self.result.plan.placements.get(self.vm)


def make_room(
    instance: Instance,
    vm: Vm,
    params: SolveParams | None = None,
    *,
    goal: RoomGoal = RoomGoal.MOVES,
    solver: str = "cpsat",
) -> Room:
    """Find the cheapest changes that make room for `vm` among the VMs that run.

    The instance's current plan says what runs where; VMs that are not in it play no part. `vm` is
    a new one, or one of the instance that does not run. `solver`, `params` and `goal` say how to
    solve, if something has to change.

    Raises
    ------
    InputError
        If nothing is known of where VMs run, or the VM runs already.
    """
    began = time.monotonic()
    params = (params or SolveParams()).begun()
    running = _with_running(instance, vm)
    current = running.current or Plan()
    plan = _left_alone(running, vm.name, current)
    if plan is not None:
        result = make_result("greedy", running, plan, {}, runtime_s=time.monotonic() - began)
        result = replace(result, status=SolveStatus.OPTIMAL, stages=())
        return _room(running, vm.name, goal, result, current)
    if goal is RoomGoal.LOSS:
        found = solve(running, solver, params)
        return _room(running, vm.name, goal, found, current)
    cheap = replace(params.part(SOLVE_SHARE), terms=GIVING_WAY)
    found = solve(_reluctant(running), solver, cheap)
    if found.plan is None:
        return _room(running, vm.name, goal, found, current)
    stages = tuple(stage for stage in found.stages if stage.stage is not Stage.LOSS)
    least = _room(running, vm.name, goal, replace(found, stages=stages), current)
    settled = _settled(running, least, found.plan, params.until)
    room = _room(running, vm.name, goal, replace(least.result, plan=settled), current)
    return replace(room, least_micro=least.price_micro)


def _room(instance: Instance, name: str, goal: RoomGoal, result: Result, current: Plan) -> Room:
    if result.plan is None:
        return Room(instance, name, goal, result)
    names = {vm.name for vm in instance.vms if vm.required}
    kept = {name: at for name, at in result.plan.placements.items() if name in names}
    plan = Plan(kept, result.plan.copies)
    changes = tuple(d for d in differences(instance, current, plan) if d.vm != name)
    price = disturbance_micro(instance, plan) - disturbance_micro(instance, current)
    result = replace(result, plan=plan, cost=evaluate(instance, plan))
    return Room(instance, name, goal, result, changes, price)


def disturbance_micro(instance: Instance, plan: Plan) -> int:
    """Migration and ballooning of a plan."""
    terms = evaluate(instance, plan).terms
    return sum(terms[term] for term in DISTURBING)


def _with_running(instance: Instance, vm: Vm) -> Instance:
    """Return the instance of the VMs that run and of `vm`, all required.

    Members of a sharing group that do not run stay as VMs of no value: without them, pages in
    common would be the members' own.
    """
    if instance.current is None and instance.vms:
        reason = "is missing: where VMs run now must be known"
        raise InputError(f"instance {instance.name!r:.80}", "current", reason)
    current = instance.current or Plan()
    if vm.name in current:
        raise InputError("room", f"VM {vm.name!r:.80}", "runs already")
    names = {*current.placements, vm.name}
    idle = {n for group in instance.sharing if names & set(group.vms) for n in group.vms} - names
    vms = [
        replace(other, required=True)
        if other.name in current
        else replace(other, required=False, value=0.0)
        for other in instance.vms
        if other.name in names | idle and other.name != vm.name
    ]
    vms.append(replace(vm, required=True))
    kept = names | idle
    sharing = tuple(group for group in instance.sharing if kept & set(group.vms))
    shared = {group.name for group in sharing}
    return replace(
        instance,
        vms=tuple(vms),
        cooperations=tuple(p for p in instance.cooperations if {p.first, p.second} <= kept),
        competitions=tuple(p for p in instance.competitions if {p.first, p.second} <= kept),
        togethers=tuple(narrowed(instance.togethers, kept)),
        aparts=tuple(narrowed(instance.aparts, kept)),
        sharing=sharing,
        between=Between.NOTHING,
        current=replace(current, copies=tuple(c for c in current.copies if c.group in shared)),
    )


def _reluctant(instance: Instance) -> Instance:
    """Return the same instance in which vCPUs would rather stay, and idle VMs as well."""
    vms: list[Vm] = []
    for vm in instance.vms:
        now = (instance.current or Plan()).placements.get(vm.name)
        if now is None:
            vms.append(replace(vm, soft_nodes=None))
        else:
            stays = replace(vm, soft_nodes=now.nodes, soft_weight=HOME_WEIGHT)
            vms.append(replace(stays, utilisation=max(vm.utilisation, BUSY_LEAST)))
    return replace(instance, vms=tuple(vms))


def _left_alone(instance: Instance, name: str, current: Plan) -> Plan | None:
    """Return the current plan with the one more in it; None if it does not fit so."""
    others = replace(
        instance, vms=tuple(replace(vm, required=vm.name in current) for vm in instance.vms)
    )
    if violations(others, current):
        return None
    engine = Placer(instance, plan=current)
    return engine.plan() if engine.add(instance.vm(name)) is not None else None


def _settled(instance: Instance, least: Room, plan: Plan, until: Deadline) -> Plan:
    """Return a plan in which who gives way, and the one more, are where they lose little.

    They are placed one after the other, each where the plan then loses least, in all orders if
    they are few; all others stay as they are in `plan`.
    """
    movers = [change.vm for change in least.changes] + [least.vm]
    others = {name: at for name, at in plan.placements.items() if name not in movers}
    best, loss = plan, evaluate(instance, plan).loss_micro
    for order in islice(permutations(movers), ORDERS_MAX):
        if until.over:
            break
        engine = Placer(instance, plan=Plan(others, plan.copies))
        if all(engine.add(instance.vm(name)) is not None for name in order):
            found = engine.plan()
            if (cost := evaluate(instance, found).loss_micro) < loss:
                best, loss = found, cost
    return best
