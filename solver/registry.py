"""Solvers by name, and `solve`, the one way in.

Back ends are imported when they are asked for: importing numaplace costs no solver.
"""

from __future__ import annotations

import time
from dataclasses import replace
from importlib import import_module
from typing import cast

from numaplace.models.errors import InputError
from numaplace.models.instance import Instance
from numaplace.models.plan import Plan
from numaplace.models.result import Result
from numaplace.models.verify import Rule, violations
from numaplace.solver.base import Solver
from numaplace.solver.deadline import Deadline
from numaplace.solver.params import SolveParams

EXACT = ("cpsat", "milp")
ONLINE = ("greedy", "first_fit", "best_fit", "xen_4_2", "xen", "nova")
SOLVER_NAMES = (*EXACT, *ONLINE)

# Time for the plan that exact solvers start from: seconds of the first pass however late it is;
# of local search: share of the time limit, seconds at most, and
# seconds by the square of VMs times nodes: local search has soon seen all of a small instance.
FIRST_PASS_S = 0.3
HINT_SHARE = 0.15
HINT_S = 10.0
HINT_S_PER_SQUARE = 1 / 30_000


def solve(instance: Instance, solver: str = "cpsat", params: SolveParams | None = None) -> Result:
    """Plan an instance.

    Parameters
    ----------
    instance
        Hosts, VMs and relations.
    solver
        One of `SOLVER_NAMES`: ``cpsat`` and ``milp`` prove how good their plan is, the others
        decide one VM at a time.
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
    run = _load(solver)
    started = time.monotonic()
    if params.require_all:
        instance = replace(instance, vms=tuple(replace(vm, required=True) for vm in instance.vms))
    if params.hint is not None:
        params = replace(params, hint=_usable(instance, params.hint))
    if solver in EXACT and params.hint is None:
        hint = _hint(instance, params)
        params = replace(params, hint=hint)
    result = run(instance, params)
    if params.explain and solver in EXACT:
        result = import_module("numaplace.solver.cpsat.explain").explained(instance, result, params)
    return replace(result, runtime_s=time.monotonic() - started)


def _load(name: str) -> Solver:
    if name == "cpsat":
        return cast(Solver, import_module("numaplace.solver.cpsat.solve").solve_cpsat)
    if name == "milp":
        return cast(Solver, import_module("numaplace.solver.milp.solve").solve_milp)
    if name in ONLINE:
        return cast(Solver, import_module("numaplace.solver.greedy.solver").GREEDY_SOLVERS[name])
    raise InputError("solver", "", f"{name!r} is unknown, choose one of {', '.join(SOLVER_NAMES)}")


def _usable(instance: Instance, hint: Plan) -> Plan | None:
    """Return a caller's hint; None if it is valid but for required VMs that are missing."""
    broken = violations(instance, hint)
    for violation in broken:
        if violation.rule is not Rule.REQUIRED_VMS:
            raise InputError("parameters", "hint", f"is no valid plan: {violation}")
    return None if broken else hint


def _hint(instance: Instance, params: SolveParams) -> Plan | None:
    """Return the best online plan, improved by local search; None if there is none."""
    greedy = import_module("numaplace.solver.greedy.solver")
    improve = import_module("numaplace.solver.greedy.improve").improve
    until = params.until
    # One pass is made even if the start took all the time: else there is nothing to hand over.
    first = Deadline(max(until.end, time.monotonic() + FIRST_PASS_S), params.should_stop)
    quick = replace(params, explain=False, deadline=first)
    starts = [greedy.solve_greedy(instance, quick)]
    if not until.over:
        starts.append(greedy.solve_greedy_sorted(instance, replace(quick, deadline=until)))
    costs = [(-start.cost.value_milli, start.cost.loss_micro) for start in starts if start.cost]
    if not costs:
        return None
    plans = [start.plan for start in starts if start.plan is not None]
    best = plans[costs.index(min(costs))]
    choices = len(instance.vms) * len(instance.places)
    limit_s = min(HINT_S, HINT_SHARE * params.time_limit_s, HINT_S_PER_SQUARE * choices**2)
    until = until.share(1.0, limit_s)
    return cast(Plan, improve(instance, best, until=until, seed=params.seed))
