"""When something does not fit: which VMs and which rules conflict, in words.

A conflict is a set of VMs and rules that cannot all hold, and would if any one of them were left
out (as far as the time allows to find out). It is found by deletion: rules and VMs are switched
off one after the other, and stay off while the rest is still infeasible.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace

from ortools.sat.python import cp_model

from numaplace.models.instance import Instance
from numaplace.models.result import Result, SolveStatus, Stage
from numaplace.models.verify import Rule
from numaplace.solver.cpsat.engine import Engine, Switch, new_solver
from numaplace.solver.deadline import Deadline, OutOfTimeError, within
from numaplace.solver.formulation.empty_hosts import EmptyHosts
from numaplace.solver.formulation.model import Formulation
from numaplace.solver.formulation.reasons import NO_TIME, UNDECIDED, reason_alone
from numaplace.solver.params import SolveParams

# Seconds for one check of a conflict, and for all explanations of a result.
CHECK_S = 2.0
TOTAL_S = 10.0
NAMES_SHOWN = 8
UNPROVEN = "not placed: giving it room would cost other VMs their place or was not decided in time"

WORDS = {
    Rule.MEMORY_CAPACITY: "memory of",
    Rule.SHARED_CPUS: "vCPU capacity of",
    Rule.DEDICATED_CPUS: "free cores or threads of",
    Rule.DEVICE_COUNT: "devices wanted by",
    Rule.DEVICE_FUNCTIONS: "functions of",
    Rule.TOGETHER: "together rule of",
    Rule.APART: "apart rule of",
    Rule.SHARED_PAGES: "copies of sharing group",
}


def explained(instance: Instance, result: Result, params: SolveParams) -> Result:
    """Add to a result why VMs are not placed, or why nothing is feasible."""
    until = params.until.share(1.0, TOTAL_S)
    empty = EmptyHosts(instance)
    if result.status is SolveStatus.INFEASIBLE:
        required = [vm for vm in instance.vms if vm.required]
        for vm in required:
            alone = reason_alone(empty, vm)
            if alone is not None:
                return replace(result, reasons=(f"VM {vm.name!r}: {alone}",))
        try:
            reason = _conflict(instance, [vm.name for vm in required], None, until)
        except OutOfTimeError:
            return result
        return replace(result, reasons=(reason,))
    if result.plan is None:
        return result
    placed = [vm.name for vm in instance.vms if vm.name in result.plan]
    value = result.stage(Stage.VALUE)
    undecided = value is not None and not value.proven
    unplaced: dict[str, str] = {}
    for vm in instance.vms:
        if vm.name not in result.plan:
            alone = reason_alone(empty, vm)
            try:
                unplaced[vm.name] = alone or (
                    UNDECIDED if undecided else _conflict(instance, placed, vm.name, until)
                )
            except OutOfTimeError:
                unplaced[vm.name] = NO_TIME
    return replace(result, unplaced=unplaced)


def _conflict(instance: Instance, names: list[str], extra: str | None, until: Deadline) -> str:
    """Say why `names`, and `extra` beside them, cannot all be placed though each alone can."""
    until.check()
    wanted = [*names, extra] if extra is not None else names
    conflict = find_conflict(instance, wanted, until)
    return UNPROVEN if conflict is None else _in_words(conflict, extra)


def find_conflict(instance: Instance, names: Iterable[str], until: Deadline) -> set[Switch] | None:
    """Find VMs and rules, as (rule, subject), that conflict if all VMs of `names` must be placed.

    VMs are there as (required_vms, name). Minimal if time sufficed; None if no conflict was proven.
    """
    wanted = set(names)
    vms = tuple(replace(vm, required=vm.name in wanted) for vm in instance.vms)
    formulation = Formulation(replace(instance, vms=vms), literals=True, until=until)
    engine = Engine(formulation.program, assumed=True)
    switches = engine.switches
    if _feasible(engine, set(switches), until) is not False:
        return None
    kept = set(switches)
    by_rule: dict[Rule, set[Switch]] = defaultdict(set)
    for switch in sorted(switches):
        by_rule[switch[0]].add(switch)
    # VMs first, under all rules: a conflict of few VMs is easier to read than one of few nodes.
    for switch in sorted(by_rule.pop(Rule.REQUIRED_VMS, set())):
        kept = _without(engine, kept, {switch}, until)
    for family in by_rule.values():
        kept = _without(engine, kept, family, until)
    for switch in sorted(kept, key=lambda s: (s[0] is Rule.REQUIRED_VMS, s)):
        kept = _without(engine, kept, {switch}, until)
    return kept


def _without(engine: Engine, kept: set[Switch], some: set[Switch], until: Deadline) -> set[Switch]:
    """Return `kept` less `some` if that is still infeasible, `kept` otherwise."""
    if not kept & some or until.over:
        return kept
    return kept - some if _feasible(engine, kept - some, until) is False else kept


def _feasible(engine: Engine, switches: set[Switch], until: Deadline) -> bool | None:
    """Decide whether all rules switched on can hold; None if that takes too long."""
    model = engine.model
    model.clear_assumptions()
    model.add_assumptions([engine.switches[s] for s in sorted(switches)])
    solver = new_solver(1, min(CHECK_S, until.left_s))
    status = within(until, lambda: solver.solve(model))
    if status in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        return True
    return False if status == cp_model.INFEASIBLE else None


def _in_words(conflict: set[Switch], extra: str | None) -> str:
    vms = sorted(subject for rule, subject in conflict if rule is Rule.REQUIRED_VMS)
    others = [name for name in vms if name != extra]
    subjects: dict[Rule, list[str]] = defaultdict(list)
    for rule, subject in sorted(conflict):
        if rule is not Rule.REQUIRED_VMS:
            subjects[rule].append(subject)
    rules = "; ".join(
        f"{WORDS.get(rule, str(rule))} {_listed(names)} [{rule}]"
        for rule, names in subjects.items()
    )
    if not rules:
        # Left are rules without a switch: cells on distinct nodes, memory in blocks.
        rules = "no host has nodes for their cells with room for their memory in whole blocks"
    if extra is None:
        return f"VMs {_listed(others)} cannot all be placed: {rules}"
    if not others:
        return f"does not fit even alone: {rules}"
    return f"does not fit beside {_listed(others)}: {rules}"


def _listed(names: list[str]) -> str:
    shown = ", ".join(names[:NAMES_SHOWN])
    more = len(names) - NAMES_SHOWN
    return f"{shown} and {more} more" if more > 0 else shown
