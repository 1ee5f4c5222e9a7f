"""Plans that move as little as can be: nothing at all, or nothing without a reason."""

from __future__ import annotations

from dataclasses import replace

from numaplace.models.cost import evaluate
from numaplace.models.instance import Instance
from numaplace.models.moves import Step, StepKind, steps_between
from numaplace.models.plan import PlacedCell, Placement, Plan
from numaplace.models.units import ceil_div
from numaplace.models.verify import Rule, violations
from numaplace.solver.base import objective_of, stages_of
from numaplace.solver.greedy.build import build
from numaplace.solver.greedy.engine import Engine
from numaplace.solver.greedy.orders import Order, ordered
from numaplace.solver.greedy.paging import Home
from numaplace.solver.stages import sign


def staying(instance: Instance) -> Plan | None:
    """Return the current plan, with VMs that it has not where they fit without any move.

    None if the current plan breaks a rule, or a required VM finds no room.
    """
    current = instance.current or Plan()
    if any(found.rule is not Rule.REQUIRED_VMS for found in violations(instance, current)):
        return None
    engine = Engine(instance)
    engine.load_plan(current)
    for vm in ordered(instance, Order.DECREASING):
        if vm.name not in engine:
            engine.add(vm)
    plan = engine.plan()
    return None if violations(instance, plan) else plan


def keep_in_place(instance: Instance, plan: Plan) -> Plan:
    """Return an equally good plan in which VMs that do not move keep pCPUs and devices.

    Exact solvers count pCPUs and choose ids afterwards, for all VMs anew. Differences of less than
    a block, where the current plan's memory lies in other parts, are no reason to move either.
    """
    current = instance.current or Plan()
    kept = {
        step.vm: step.before
        for step in steps_between(instance, current, plan)
        if step.before is not None and _idle(instance, step)
    }
    if not kept:
        return plan
    with_kept = Plan({**plan.placements, **kept}, plan.copies)
    for candidate in (with_kept, _pinned_anew(instance, with_kept, current)):
        better = candidate is not None and not violations(instance, candidate)
        if better and candidate and _key(instance, candidate) <= _key(instance, plan):
            return candidate
    return plan


def _idle(instance: Instance, step: Step) -> bool:
    """Tell whether a step moves nothing that an operator would move."""
    if step.kind is StepKind.REPIN:
        return True
    vcpus = [
        sorted((cell.node, cell.vcpus) for cell in placement.cells)
        for placement in (step.before, step.after)
        if placement is not None
    ]
    small = step.mib < instance.form(step.vm).block_mib
    return step.kind is StepKind.WITHIN and small and vcpus[0] == vcpus[1]


def _key(instance: Instance, plan: Plan) -> tuple[int, ...]:
    cost = evaluate(instance, plan)
    return tuple(sign(stage) * objective_of(cost, stage) for stage in stages_of(instance))


def _pinned_anew(instance: Instance, plan: Plan, current: Plan) -> Plan | None:
    """Choose pCPUs and devices of the VMs that move beside those of the VMs that do not."""
    stays = {n: p for n, p in plan.placements.items() if current.placements.get(n) == p}
    engine = Engine(instance)
    engine.load_plan(Plan(stays, plan.copies))
    placements = dict(plan.placements)
    for name, placement in plan.placements.items():
        if name in stays:
            continue
        vm = instance.vm(name)
        block_mib = instance.form(name).block_mib
        homes = [
            Home(
                instance.place_of[placement.host, cell.node].index,
                cell.vcpus,
                ceil_div(cell.nominal_mib, block_mib),
            )
            for cell in placement.cells
        ]
        found = build(engine.state, vm, homes, balloon=True)
        if found is None:
            return None
        built = found.footprint.placement
        cells = tuple(map(_with_pcpus, placement.cells, built.cells))
        placements[name] = Placement(placement.host, cells, built.devices)
        engine.take(found)
    return Plan(placements, plan.copies)


def _with_pcpus(cell: PlacedCell, other: PlacedCell) -> PlacedCell:
    return replace(cell, pcpus=other.pcpus)
