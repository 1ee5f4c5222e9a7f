"""Commands about plans: solve, compare, check, show."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from numaplace.commands import output, running
from numaplace.commands.app import app
from numaplace.commands.exit_codes import BROKEN_RULES, OK, exit_code
from numaplace.commands.options import (
    SOLVER,
    SOLVER_LIST,
    BackendOpt,
    ForceOpt,
    InstanceArg,
    InstancesArg,
    ParallelOpt,
    PictureOpt,
    PlanArg,
    TimeOpt,
    WorkersOpt,
    argument,
    option,
)
from numaplace.commands.printing import USUAL, Printing, bundled
from numaplace.commands.shown import (
    EFFORT,
    KEEPING,
    Effort,
    File,
    Keeping,
    deliver,
    drawn,
    provenance,
    result_told,
)
from numaplace.models.cost import evaluate
from numaplace.models.plan import Plan
from numaplace.models.verify import violations
from numaplace.report.picture.drawing import comparison_drawing, plan_drawing
from numaplace.report.tables.comparisons import COMPARE, ROW, comparison_table, row_table
from numaplace.report.tables.instances import NODE, SHOW, node_table, show_views
from numaplace.report.tables.plans import (
    CHECK,
    PLAN,
    SOLVE,
    VIOLATION,
    check_views,
    plan_table,
    solve_views,
    violation_table,
)
from numaplace.report.tables.usage import of_host
from numaplace.solver.compare.solvers import solver_names
from numaplace.solver.names import AUTO, MilpBackend
from numaplace.solver.parallel import JobEngine
from numaplace.solver.params import SolveParams


@app.command()
@bundled
def solve(
    instance: InstanceArg,
    solver: Annotated[str, SOLVER] = AUTO,
    effort: Effort = EFFORT,
    gap: Annotated[float, option("Good enough: stop at this gap, such as 0.01.")] = 0.0,
    require_all: Annotated[bool, option("Every VM must be placed.", "--all")] = False,
    milp_backend: BackendOpt = MilpBackend.HIGHS,
    hint: Annotated[Path | None, option("Plan to start from.", metavar="PLAN")] = None,
    picture: PictureOpt = None,
    keeping: Keeping = KEEPING,
    form: Printing = USUAL,
) -> None:
    """Find the best plan for an instance, and prove it as far as the time allows.

    Ctrl-C ends the search and keeps the best plan found; a second Ctrl-C aborts.
    """
    from numaplace.instances import lookup

    form.expect(PLAN)
    lookup.check_writable(
        [picture], document=keeping.out, inputs=[instance, hint], overwrite=keeping.force
    )
    problem = lookup.find_instance(instance)
    params = effort.params(
        relative_gap=gap,
        require_all=require_all,
        hint=lookup.read_valid_plan(hint, problem)[0] if hint else None,
        milp_backend=milp_backend,
    )
    result = running.solve_on_terminal(
        problem, solver, params, quiet=form.quiet, drawn=picture is not None
    )
    code = exit_code(problem, result)
    plan = result.plan

    told = provenance(problem, result, params, "every VM is placed" if require_all else "")
    files: list[File] = []
    if plan is not None and code == OK:
        files = [
            keeping.plan(plan, told),
            drawn(picture, lambda: plan_drawing(plan, problem, result)),
        ]
    deliver(
        form,
        lambda: SOLVE.plain((problem, result, told)),
        lambda: solve_views(problem, result, output.width()),
        lambda: plan_table(plan or Plan(), problem),
        *files,
        overwrite=keeping.force,
    )
    raise typer.Exit(code)


@app.command()
@bundled
def compare(
    instances: InstancesArg,
    solvers: Annotated[str, SOLVER_LIST] = "first_fit,greedy,cpsat",
    time: TimeOpt = 60.0,
    workers: WorkersOpt = 0,
    seeds: Annotated[str, option("Seeds to run each solver with, such as 0-2.")] = "0",
    jobs: Annotated[int, option("Solves at the same time; 0: one per core.")] = 1,
    parallel: ParallelOpt = "loky",
    milp_backend: BackendOpt = MilpBackend.HIGHS,
    csv: Annotated[Path | None, option("Write the rows to this file.", metavar="FILE")] = None,
    plot: PictureOpt = None,
    force: ForceOpt = False,
    form: Printing = USUAL,
) -> None:
    """Run several solvers: what each places and loses, its gap to the best bound, its time."""
    from numaplace.instances import lookup
    from numaplace.instances.ranges import parse_ids

    form.expect(ROW)
    lookup.check_writable([csv, plot], inputs=instances, overwrite=force)
    params = SolveParams(time, workers, milp_backend=milp_backend)
    engine = JobEngine.parse(parallel, jobs, "--jobs")
    names = solver_names(solvers)
    numbers = sorted(parse_ids(seeds, thing="compare", field="--seeds"))
    problems = [lookup.named_instance(name) for name in instances]
    rows = running.compare_on_terminal(
        problems, names, params, numbers, engine, quiet=form.quiet, drawn=plot is not None
    )
    deliver(
        form,
        lambda: COMPARE.plain(rows),
        lambda: [comparison_table(rows)],
        lambda: row_table(rows),
        (csv, lambda: row_table(rows).csv()),
        drawn(plot, lambda: comparison_drawing(rows)),
        overwrite=force,
    )


@app.command()
@bundled
def check(instance: InstanceArg, plan: PlanArg, form: Printing = USUAL) -> None:
    """Check a plan against every rule, and say what it loses; exit code 1 if it breaks one."""
    from numaplace.instances.formats.document.io import read_told_plan
    from numaplace.instances.lookup import find_instance

    form.expect(VIOLATION)
    problem, (checked, told) = find_instance(instance), read_told_plan(plan)
    found = violations(problem, checked)
    result = None if found else result_told(problem, checked, told, plan)
    cost = None if found else evaluate(problem, checked)
    form.answer(
        lambda: CHECK.plain((found, cost, told, result)),
        lambda: check_views(problem, checked, found, cost, told, result),
        lambda: violation_table(found),
    )
    raise typer.Exit(BROKEN_RULES if found else OK)


@app.command()
@bundled
def show(
    instance: InstanceArg,
    plan: Annotated[Path | None, argument("File of a plan.", "[PLAN]")] = None,
    host: Annotated[str | None, option("Only this host, in full.", metavar="NAME")] = None,
    picture: PictureOpt = None,
    force: ForceOpt = False,
    form: Printing = USUAL,
) -> None:
    """Show an instance, or a plan for it: nodes, VMs, memory, devices, losses, broken rules.

    More than 12 hosts are shown as a fleet: totals by shape, and how full each node is.
    """
    from numaplace.instances.lookup import check_writable, find_instance, read_known_plan

    form.expect(NODE)
    check_writable([picture], inputs=[instance, plan], overwrite=force)
    problem = find_instance(instance)
    shown, told = read_known_plan(plan, problem) if plan else (Plan(), None)
    found = violations(problem, shown) if plan else []
    result = result_told(problem, shown, told, plan) if plan and not found else None
    if host is not None:
        problem, shown = of_host(problem, shown, host)
        told = result = None
    deliver(
        form,
        lambda: SHOW.plain((found, node_table(problem, shown).rows, told, result)),
        lambda: show_views(problem, shown if plan else None, output.width(), found, told, result),
        lambda: node_table(problem, shown),
        drawn(picture, lambda: plan_drawing(shown, problem, result, found=found)),
        overwrite=force,
    )
