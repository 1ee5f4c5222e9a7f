"""Programs of the offline optimum, solved as MILPs by HiGHS."""

from __future__ import annotations

import numpy as np

from numaplace.models.result import SolveStatus
from numaplace.solver.deadline import Deadline
from numaplace.solver.formulation.program import Program
from numaplace.solver.milp.backend import Task, whole_bound
from numaplace.solver.milp.engine import Engine
from numaplace.solver.milp.highs import solve_highs
from numaplace.solver.offline.master import Answer, OfflineRun


def run_program(program: Program, run: OfflineRun) -> Answer:
    """Maximise a program with HiGHS, see `numaplace.solver.offline.master.Engine`.

    Bounds rest on floating point: they are rounded with a margin. Values are whole numbers that
    obey every row exactly, or there are none.
    """
    if run.over:
        return Answer(SolveStatus.UNKNOWN)
    engine = Engine(program)
    engine.aim(program.objective, maximise=True)
    start = []
    if run.start is not None:
        start = [(k, value) for k, value in enumerate(run.start.tolist()) if value >= 0]
    task = Task(engine.start(start), Deadline(run.deadline), run.workers, run.seed)
    # Bounds told during the run are not used: while HiGHS completes a start that lacks variables
    # it tells those of the program in which the start is fixed.
    outcome = solve_highs(engine.problem, task, lambda _objective, _bound: run.stopped())
    if outcome.infeasible:
        return Answer(SolveStatus.INFEASIBLE)
    bound = _upper(outcome.bound) if program.objective else None
    if outcome.objective is None:
        return Answer(SolveStatus.UNKNOWN, None, bound)
    values = engine.values()
    if not program.holds(values):
        return Answer(SolveStatus.UNKNOWN, None, bound)
    proven = not program.objective or bound == program.value(values)
    status = SolveStatus.OPTIMAL if proven else SolveStatus.FEASIBLE
    return Answer(status, np.array(values, np.int64), bound)


def _upper(bound: float | None) -> int | None:
    lower = whole_bound(bound)
    return None if lower is None else -lower
