"""Solvers by name, and `solve`, the one way in.

Back ends are imported when they are asked for: importing numaplace costs no solver.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from importlib import import_module
from typing import cast

from numaplace.models.cost import ALL, evaluate
from numaplace.models.errors import InputError
from numaplace.models.instance import Instance
from numaplace.models.locality import unlabelled
from numaplace.models.plan import Plan
from numaplace.models.result import Result, SolveStatus, Stage, key_of
from numaplace.models.verify import Rule, violations
from numaplace.models.vm import Vm
from numaplace.solver.base import Solver, make_result
from numaplace.solver.deadline import Deadline, OutOfTimeError
from numaplace.solver.formulation.empty_hosts import EmptyHosts
from numaplace.solver.formulation.reasons import COSTS_OTHERS, NO_TIME, UNDECIDED, reason_alone
from numaplace.solver.names import AUTO, EXACT, PATTERNS, SOLVER_NAMES
from numaplace.solver.params import SolveParams

# Time for the plan that exact solvers start from: seconds of the first pass however late it is;
# of local search: share of the time limit, seconds at most, and seconds by the square of VMs times
# nodes, as it has soon seen all of a small instance.
FIRST_PASS_S = 0.3
HINT_SHARE = 0.15
HINT_S = 10.0
HINT_S_PER_SQUARE = 1 / 30_000
# From how many hosts, and VMs times nodes, an instance is planned as a fleet.
FLEET_HOSTS, FLEET_CHOICES = 8, 2_000
# Share of the time that local search takes where there is no model: the rest is for the check.
ALMOST_ALL = 0.95
# Choices that a model can be made of in a second, at best.
CHOICES_PER_S = {"cpsat": 20_000, "milp": 10_000}


def solve(instance: Instance, solver: str = AUTO, params: SolveParams | None = None) -> Result:
    """Plan an instance.

    Parameters
    ----------
    instance
        Hosts, VMs and relations.
    solver
        One of `SOLVER_NAMES`: ``auto`` takes ``patterns`` for fleets and ``cpsat`` else; these and
        ``milp`` prove how good their plan is, the others decide one VM at a time.
    params
        Time limit, workers, seed, callbacks; the defaults if None.

    Returns
    -------
    Result
        Plan, cost, bounds and status; a plan in it has passed the verifier.

    Raises
    ------
    InputError
        If there is no solver of that name, or the hint breaks a rule.

    Examples
    --------
    >>> from numaplace.models.instance import Instance
    >>> from numaplace.models.topology import Host, NumaNode, PCpu
    >>> from numaplace.models.vm import Vm
    >>> nodes = tuple(
    ...     NumaNode(n, tuple(PCpu(4 * n + c, core=4 * n + c) for c in range(4)), 8192)
    ...     for n in range(2)
    ... )
    >>> vms = tuple(Vm(f"vm{i}", vcpus=2, memory_mib=4096) for i in range(3))
    >>> result = solve(Instance((Host("host", nodes),), vms))
    >>> result.status.value, result.cost.loss_micro
    ('optimal', 0)
    """
    params = (params or SolveParams()).begun()
    if solver not in SOLVER_NAMES:
        known = ", ".join(SOLVER_NAMES)
        raise InputError("solver", "", f"{solver!r} is unknown, choose one of {known}")
    started = time.monotonic()
    if params.require_all:
        instance = replace(instance, vms=tuple(replace(vm, required=True) for vm in instance.vms))
    if params.hint is not None:
        params = replace(params, hint=_usable(instance, params.hint))
    if solver == AUTO:
        solver = PATTERNS if _is_fleet(instance, params.until) else "cpsat"
    if solver == PATTERNS:
        result = _solve_fleet(instance, params)
    elif solver in EXACT:
        result = _solve_exactly(instance, solver, params)
    else:
        result = _load(solver)(instance, replace(params, deadline=_first_pass(params)))
        result = _bounded(instance, result, params.until)
    if result.plan is not None and instance.current is not None and params.terms == ALL:
        result = _in_place(instance, result, result.plan)
    told = (*result.remarks, *unlabelled(instance))
    return replace(result, runtime_s=time.monotonic() - started, remarks=told)


def _in_place(instance: Instance, result: Result, plan: Plan) -> Result:
    """Return a result in which VMs that do not move keep their pCPUs and devices."""
    kept = import_module("numaplace.solver.placing.stay").keep_in_place(instance, plan)
    if kept == plan:
        return result
    return _with_plan(instance, result, kept)


def _with_plan(instance: Instance, result: Result, plan: Plan) -> Result:
    """Return the result with another plan, checked; its bounds and what it tells stay."""
    bounds = {stage.stage: stage.bound for stage in result.stages}
    made = make_result(result.solver, instance, plan, bounds, runtime_s=result.runtime_s)
    return replace(result, plan=plan, cost=made.cost, stages=made.stages, status=made.status)


def _solve_exactly(instance: Instance, solver: str, params: SolveParams) -> Result:
    """Solve from a good start, or look for a better start if a model would take too long."""
    large = _too_large(instance, solver, params.until)
    if params.hint is None:
        params = replace(params, hint=_hint(instance, params, all_the_time=large))
    if large or params.until.over:  # then not even the solver's library is loaded
        return _without_model(solver, instance, params)
    result = _load(solver)(instance, params)
    if params.explain:
        explain = import_module("numaplace.solver.cpsat.explain").explained
        return cast(Result, explain(instance, result, params))
    return result


def _is_fleet(instance: Instance, until: Deadline) -> bool:
    """Tell whether patterns are the better way: many hosts and VMs, of which none runs yet.

    What pairs of VMs lose is seen by a model of all, if there is time to make one.
    """
    choices = len(instance.vms) * len(instance.places)
    if len(instance.hosts) < FLEET_HOSTS or choices < FLEET_CHOICES or instance.current is not None:
        return False
    if not (instance.cooperations or instance.competitions):
        return True
    groups = import_module("numaplace.solver.fleet.groups").fleet_of(instance, until)
    return groups is not None or _too_large(instance, "cpsat", until)


def _polished(instance: Instance, result: Result, params: SolveParams) -> Result:
    """Return a result whose plan local search has improved, if that takes less time than it had."""
    until = params.until.share(ALMOST_ALL, _search_s(instance))
    if result.plan is None or result.status is SolveStatus.OPTIMAL or params.terms != ALL:
        return result
    improve = import_module("numaplace.solver.placing.improve").improve
    plan = improve(instance, result.plan, until=until, seed=params.seed)
    return _with_plan(instance, result, plan)


def _search_s(instance: Instance) -> float:
    """Seconds after which local search has seen an instance of that size, or long enough."""
    choices = len(instance.vms) * len(instance.places)
    return min(HINT_S, HINT_S_PER_SQUARE * choices**2)


def _solve_fleet(instance: Instance, params: SolveParams) -> Result:
    """Solve by patterns; without a plan of them in time, one VM after the other."""
    result = _polished(instance, _load(PATTERNS)(instance, params), params)
    if result.plan is None and result.status is not SolveStatus.INFEASIBLE:
        quick = replace(params, explain=False, deadline=_first_pass(params))
        start = _load("first_fit")(instance, quick).plan
        result = _without_model(PATTERNS, instance, replace(params, hint=start))
    placed = () if result.plan is None else result.plan.placements
    left_out = [vm for vm in instance.vms if result.plan is not None and vm.name not in placed]
    value = result.stage(Stage.VALUE)
    why = COSTS_OTHERS if value is not None and value.proven else UNDECIDED
    alone = _alone(instance, left_out)
    return replace(result, unplaced={vm.name: why for vm in left_out} | alone)


def _bounded(instance: Instance, result: Result, until: Deadline) -> Result:
    """Add to the result of a solver that proves nothing what can be told without a search."""
    value = result.stage(Stage.VALUE)
    if value is not None:
        value_bound = import_module("numaplace.solver.value_bound").value_bound
        most = max(value_bound(EmptyHosts(instance, until)), value.objective)
        result = replace(result, stages=(replace(value, bound=most), *result.stages[1:]))
    alone = _alone(instance, (vm for vm in instance.vms if vm.required and result.plan is None))
    reasons = tuple(f"VM {name!r}: {why}" for name, why in alone.items()) or result.reasons
    unplaced = {**result.unplaced, **_alone(instance, map(instance.vm, result.unplaced))}
    return replace(result, unplaced=unplaced, reasons=reasons)


def _alone(instance: Instance, vms: Iterable[Vm]) -> dict[str, str]:
    """Why those of some VMs that fit nowhere do not, even alone."""
    empty = EmptyHosts(instance)
    known: dict[tuple[object, ...], str | None] = {}
    found: dict[str, str] = {}
    for vm in vms:
        like = empty.like_vm[vm.name], vm.allowed_hosts
        if like not in known:
            known[like] = reason_alone(empty, vm)
        reason = known[like]
        if reason is not None:
            found[vm.name] = reason
    return found


def _load(name: str) -> Solver:
    if name == "cpsat":
        return cast(Solver, import_module("numaplace.solver.cpsat.solve").solve_cpsat)
    if name == PATTERNS:
        return cast(Solver, import_module("numaplace.solver.fleet.solve").solve_patterns)
    if name == "milp":
        return cast(Solver, import_module("numaplace.solver.milp.solve").solve_milp)
    return cast(Solver, import_module("numaplace.solver.placing.solver").GREEDY_SOLVERS[name])


def _usable(instance: Instance, hint: Plan) -> Plan | None:
    """Return a caller's hint; None if it is valid but for required VMs that are missing."""
    broken = violations(instance, hint)
    for violation in broken:
        if violation.rule is not Rule.REQUIRED_VMS:
            raise InputError("parameters", "hint", f"is no valid plan: {violation}")
    return None if broken else hint


def _too_large(instance: Instance, solver: str, until: Deadline) -> bool:
    """Tell whether making the choices of an instance would take more time than there is."""
    try:
        choices = EmptyHosts(instance, until).num_choices
    except OutOfTimeError:
        return True
    return choices > CHOICES_PER_S[solver] * until.left_s


def _without_model(solver: str, instance: Instance, params: SolveParams) -> Result:
    """Return what is known without a model."""

    def not_built(stage: Stage, until: Deadline, to_hold: Mapping[Stage, int]) -> bool:
        raise OutOfTimeError

    stages = import_module("numaplace.solver.stages").Stages(solver, instance, params)
    result: Result = stages.solve(not_built)
    if result.status is SolveStatus.OPTIMAL or params.stopped:
        return result
    placed = () if result.plan is None else result.plan.placements
    unplaced = {vm.name: NO_TIME for vm in instance.vms if result.plan and vm.name not in placed}
    unplaced |= _alone(instance, map(instance.vm, unplaced))
    return replace(result, unplaced=unplaced)


def _first_pass(params: SolveParams) -> Deadline:
    """Deadline of a pass that is made even if the start took all the time.

    Without it there would be nothing to hand over.
    """
    end = max(params.until.end, time.monotonic() + FIRST_PASS_S)
    return Deadline(end, params.should_stop)


def _hint(instance: Instance, params: SolveParams, *, all_the_time: bool) -> Plan | None:
    """Return the best online plan, or what runs now and the rest beside it, improved by search.

    None without one.
    """
    greedy = import_module("numaplace.solver.placing.solver")
    improve = import_module("numaplace.solver.placing.improve").improve
    until = params.until
    quick = replace(params, explain=False, deadline=_first_pass(params))
    starts = [greedy.solve_greedy(instance, quick)]
    if not until.over:
        starts.append(greedy.solve_greedy_sorted(instance, replace(quick, deadline=until)))
    plans = [cast(Plan, start.plan) for start in starts if start.plan is not None]
    if instance.current is not None and not violations(instance, instance.current):
        rest = greedy.place_rest(instance, instance.current, until=until)
        plans.append(cast(Plan, rest.plan))
    if not plans:
        return None
    best = min(plans, key=lambda plan: key_of(instance, evaluate(instance, plan), params.terms))
    if params.terms != ALL:
        return best  # local search knows the loss of all terms only
    limit_s = min(HINT_SHARE * params.time_limit_s, _search_s(instance))
    until = until.share(ALMOST_ALL) if all_the_time else until.share(1.0, limit_s)
    return cast(Plan, improve(instance, best, until=until, seed=params.seed))
