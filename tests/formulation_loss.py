"""The loss that each formulation sees in a plan, to be held against verifier and cost."""

from collections.abc import Callable

from ortools.sat.python import cp_model

from numaplace.models.instance import Instance
from numaplace.models.plan import Plan
from numaplace.models.result import Stage
from numaplace.solver.cpsat.engine import Engine as CpsatEngine
from numaplace.solver.cpsat.engine import new_solver
from numaplace.solver.formulation.model import Formulation
from numaplace.solver.milp.backend import Task
from numaplace.solver.milp.engine import Engine as MilpEngine
from numaplace.solver.milp.highs import solve_highs

LossOf = Callable[[Instance, Plan], int | None]


def fixed(instance: Instance, plan: Plan, *, literals: bool) -> Formulation | None:
    """A program that allows nothing but `plan`; None if it cannot express it."""
    formulation = Formulation(instance, literals=literals)
    values = formulation.values_of(plan)
    for variable, value in values or ():
        formulation.program.equal([(variable, 1)], value)
    return None if values is None else formulation


def cpsat_loss_of(instance: Instance, plan: Plan) -> int | None:
    """The loss CP-SAT's form of the program sees in `plan`, None if it forbids the plan."""
    formulation = fixed(instance, plan, literals=True)
    if formulation is None:
        return None
    engine = CpsatEngine(formulation.program)
    engine.aim(formulation.stage(Stage.LOSS), maximise=False)
    solver = new_solver(1)
    status = solver.solve(engine.model)
    return round(solver.objective_value) if status == cp_model.OPTIMAL else None


def milp_loss_of(instance: Instance, plan: Plan) -> int | None:
    """The same of the MILP's form."""
    formulation = fixed(instance, plan, literals=False)
    if formulation is None:
        return None
    engine = MilpEngine(formulation.program)
    engine.aim(formulation.stage(Stage.LOSS), maximise=False)
    outcome = solve_highs(engine.problem, Task([]))
    return None if outcome.objective is None else round(outcome.objective)
