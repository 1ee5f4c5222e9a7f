"""CBC through PuLP: the program that comes with PuLP, or the one on the path.

CBC runs as a program of its own. It ends by itself or at its time limit; `should_stop` is asked
between stages only, and Ctrl-C ends it without its solution (the best plan known before is kept).
"""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

import pulp

from numaplace.models.errors import InputError
from numaplace.solver.milp.backend import GAP, Linear, MilpOutcome, Task

_BOUND = re.compile(r"^Lower bound:\s+(\S+)", re.MULTILINE)
_NODES = re.compile(r"^Enumerated nodes:\s+(\d+)", re.MULTILINE)
_OPTIMAL = re.compile(r"^Result - Optimal solution found", re.MULTILINE)


def cbc_program() -> str:
    """Return the path of CBC; `InputError` if there is none on this machine."""
    for path in (pulp.PULP_CBC_CMD.pulp_cbc_path, pulp.COIN_CMD().path):
        if pulp.COIN_CMD(path=path).available():
            return str(path)
    reason = "CBC is not on this machine (PuLP has none for it, none is on the path): take 'highs'"
    raise InputError("parameters", "milp_backend", reason)


def solve_cbc(problem: Linear, task: Task) -> MilpOutcome:
    """Minimise `problem`, a `pulp.LpProblem`; its variables hold the solution, if there is one."""
    for variable in problem.variables():
        variable.varValue = None
    for variable, value in task.start:
        variable.setInitialValue(value)
    with tempfile.TemporaryDirectory(prefix="numaplace-") as folder:
        log = Path(folder) / "cbc.log"
        solver = pulp.COIN_CMD(
            path=cbc_program(),
            msg=False,
            timeLimit=task.seconds_left,
            threads=task.workers,
            gapRel=task.relative_gap,
            gapAbs=GAP,
            warmStart=bool(task.start),
            # To CBC, seed 0 is the time of day.
            options=[f"randomCbcSeed {task.seed + 1}", f"randomSeed {task.seed + 1}"],
            logPath=str(log),
        )
        solver.tmpDir = folder
        problem.solve(solver)
        text = log.read_text(errors="replace")
    found = problem.sol_status in (pulp.LpSolutionOptimal, pulp.LpSolutionIntegerFeasible)
    objective = problem.objective.valueOrDefault() if found else None
    nodes = _NODES.search(text)
    bound = _bound(text, objective, task.relative_gap)
    infeasible = problem.status == pulp.LpStatusInfeasible
    return MilpOutcome(objective, bound, infeasible, float(nodes[1]) if nodes else 0.0)


def _bound(text: str, objective: float | None, relative_gap: float) -> float | None:
    """Bound that CBC's log states; an optimum without one is its own bound, less the gap."""
    stated = _BOUND.search(text)
    if stated:
        return float(stated[1])
    if objective is None or not _OPTIMAL.search(text):
        return None
    return objective - max(GAP, relative_gap * abs(objective))
