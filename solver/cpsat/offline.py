"""Programs of the offline optimum, solved by CP-SAT."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
from ortools.sat.python import cp_model

from numaplace.models.result import SolveStatus
from numaplace.solver.cpsat.engine import Engine, new_solver, stoppable, whole_bound
from numaplace.solver.formulation.program import Program
from numaplace.solver.offline.master import Answer, OfflineRun

TURN_S = 1.5
"""Seconds of the first turn of a question; each is twice as long as the one before."""
SYMMETRY = (0, 2)
"""Levels of symmetry breaking that take turns."""
STATUS = {
    cp_model.OPTIMAL: SolveStatus.OPTIMAL,
    cp_model.FEASIBLE: SolveStatus.FEASIBLE,
    cp_model.INFEASIBLE: SolveStatus.INFEASIBLE,
}


def run_program(program: Program, run: OfflineRun) -> Answer:
    """Maximise a program with CP-SAT, see `numaplace.solver.offline.master.Engine`."""
    if run.over:
        return Answer(SolveStatus.UNKNOWN)
    engine = Engine(program)
    if run.start is not None:
        engine.hint((k, value) for k, value in enumerate(run.start.tolist()) if value >= 0)
    if not program.objective:
        return _question(engine, run)
    engine.aim(program.objective, maximise=True)
    solver = new_solver(run.workers, run.seconds_left)
    solver.parameters.random_seed = run.seed
    return _solve(solver, engine, run)


def _solve(solver: cp_model.CpSolver, engine: Engine, run: OfflineRun) -> Answer:
    tell = run.on_bound

    def on_bound(bound: float) -> None:
        whole = whole_bound(bound, maximised=True)
        if tell is not None and whole is not None:
            tell(whole)

    if tell is not None:
        solver.best_bound_callback = on_bound
    with stoppable(solver, run.stopped):
        status = STATUS.get(solver.solve(engine.model), SolveStatus.UNKNOWN)
    if status in (SolveStatus.INFEASIBLE, SolveStatus.UNKNOWN):
        # CP-SAT's bound may still be 0 if time ran out in presolve: it bounds no maximum.
        return Answer(status)
    values = np.array(engine.values(solver), np.int64)
    return Answer(status, values, whole_bound(solver.best_objective_bound, maximised=True))


def _question(engine: Engine, run: OfflineRun) -> Answer:
    """Tell whether VMs fit, by searches of one worker each.

    How long one takes is a matter of luck, so each is begun anew from another seed after a while.
    Without symmetry breaking it finds a way sooner, with it that there is none: both take turns, or
    run side by side if there are workers.
    """
    answers: list[Answer] = []
    errors: list[BaseException] = []
    own = replace(run, stopped=lambda: bool(answers) or bool(errors) or run.stopped())

    def search(levels: tuple[int, ...]) -> None:
        try:
            turn = 0
            while not own.over:
                seconds = min(own.seconds_left, TURN_S * 2 ** (turn // len(levels)))
                solver = new_solver(1, seconds)
                solver.parameters.symmetry_level = levels[turn % len(levels)]
                solver.parameters.random_seed = run.seed + turn
                answer = _solve(solver, engine, own)
                if answer.status is not SolveStatus.UNKNOWN:
                    answers.append(answer)
                turn += 1
        except BaseException as error:
            errors.append(error)

    sides = [SYMMETRY] if run.workers == 1 else [(level,) for level in SYMMETRY]
    threads = [threading.Thread(target=search, args=(levels,), daemon=True) for levels in sides]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return answers[0] if answers else Answer(SolveStatus.UNKNOWN)
