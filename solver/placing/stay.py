"""Plans that move as little as can be: nothing at all, or nothing without a reason."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

from numaplace.models.cost import evaluate
from numaplace.models.instance import Instance
from numaplace.models.moves import Step, StepKind, broken, steps_between
from numaplace.models.plan import Placement, Plan
from numaplace.models.result import key_of
from numaplace.models.verify import ALONE, Rule, violations
from numaplace.solver.placing.build import Home, build, homes_of
from numaplace.solver.placing.placer import Order, Placer, ordered


def staying(instance: Instance) -> Plan | None:
    """Return the current plan, with VMs that it has not where they fit without any move.

    VMs that are to be larger or smaller are so where they are. None if what stays breaks a rule,
    or a required VM finds no room.
    """
    current = instance.current or Plan()
    fits = {n: p for n, p in current.placements.items() if not _breaks(instance, n, p, current)}
    kept = Plan(fits, current.copies)
    if any(found.rule is not Rule.REQUIRED_VMS for found in violations(instance, kept)):
        return None
    engine = Placer(instance, plan=kept)
    for name in current.placements.keys() - fits:
        resized = _resized(instance, engine, name)
        if resized is None or Step(name, current.placements[name], resized).is_move:
            return None
    for vm in ordered(instance, Order.DECREASING):
        if vm.name not in engine:
            engine.add(vm)
    plan = engine.plan()
    return None if violations(instance, plan) else plan


def _breaks(instance: Instance, name: str, placement: Placement, current: Plan) -> bool:
    """Tell whether a VM may not stay as it is, whatever others do."""
    return any(broken(instance, Plan({name: placement}, current.copies), ALONE))


def _resized(instance: Instance, engine: Placer, name: str) -> Placement | None:
    """Place a VM with its new size on the nodes that it uses; None if that does not fit."""
    assert instance.current is not None
    vm, old = instance.vm(name), instance.current.placements[name]
    if vm.allowed_hosts is not None and old.host not in vm.allowed_hosts:
        return None
    places = sorted(instance.place_of[old.host, node].index for node in old.nodes)
    for shape in instance.form(name).shapes:
        for at in set(permutations(shape.cells())) if shape.num_cells == len(places) else ():
            homes = [Home(place_index, *cell) for place_index, cell in zip(places, at, strict=True)]
            found = build(engine.state, vm, homes)
            if found is not None:
                engine.take(found)
                return found.footprint.placement
    return None


def keep_in_place(instance: Instance, plan: Plan) -> Plan:
    """Return an equally good plan in which VMs that do not move keep pCPUs and devices.

    Exact solvers count pCPUs and choose ids afterwards, for all VMs anew. Differences of less than
    a block, where the current plan's memory lies in other parts, are no reason to move either.
    """
    current = instance.current or Plan()
    kept = {
        step.vm: step.before
        for step in steps_between(instance, current, plan)
        if step.before is not None
        and _idle(instance, step)
        and not _breaks(instance, step.vm, step.before, plan)
    }
    if not kept:
        return plan
    known = key_of(instance, evaluate(instance, plan))
    with_kept = Plan({**plan.placements, **kept}, plan.copies)
    for candidate in (with_kept, _pinned_anew(instance, with_kept, current)):
        better = candidate is not None and not violations(instance, candidate)
        if better and candidate and key_of(instance, evaluate(instance, candidate)) <= known:
            return candidate
    return plan


def _idle(instance: Instance, step: Step) -> bool:
    """Tell whether a step moves nothing that an operator would move."""
    if step.kind is StepKind.REPIN:
        return True
    if step.before is None or step.kind is StepKind.ACROSS:
        return False
    before, after = (sum(p.memory_by_node().values()) for p in (step.before, step.after))
    same = step.before.vcpus_by_node() == step.after.vcpus_by_node()
    return same and max(step.mib, abs(after - before)) < instance.form(step.vm).block_mib


def _pinned_anew(instance: Instance, plan: Plan, current: Plan) -> Plan | None:
    """Choose pCPUs and devices of the VMs that move beside those of the VMs that do not."""
    stays = {n: p for n, p in plan.placements.items() if current.placements.get(n) == p}
    engine = Placer(instance, plan=Plan(stays, plan.copies))
    placements = dict(plan.placements)
    for name, placement in plan.placements.items():
        if name in stays:
            continue
        vm = instance.vm(name)
        found = build(engine.state, vm, homes_of(instance, vm, placement), balloon=True)
        if found is None:
            return None
        built = found.footprint.placement
        pairs = zip(placement.cells, built.cells, strict=True)
        cells = tuple(replace(cell, pcpus=other.pcpus) for cell, other in pairs)
        placements[name] = Placement(placement.host, cells, built.devices)
        engine.take(found)
    return Plan(placements, plan.copies)
