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
    JsonOpt,
    OutOpt,
    PictureOpt,
    PlanArg,
    QuietOpt,
    SeedOpt,
    TimeOpt,
    WorkersOpt,
    argument,
    option,
)
from numaplace.commands.shown import File, drawn, hand_over, provenance, result_told
from numaplace.models.cost import evaluate
from numaplace.models.plan import Plan
from numaplace.models.verify import violations
from numaplace.report.figures.compare_figure import compare_figure
from numaplace.report.figures.placement_figure import placement_figure
from numaplace.report.tables import plain
from numaplace.report.tables import terminal_views as views
from numaplace.report.tables.terminal_compare import comparison_table
from numaplace.solver.compare.solvers import solver_names
from numaplace.solver.names import MilpBackend
from numaplace.solver.params import SolveParams


@app.command()
def solve(
    instance: InstanceArg,
    solver: Annotated[str, SOLVER] = "cpsat",
    time: TimeOpt = 60.0,
    workers: WorkersOpt = 0,
    seed: SeedOpt = 0,
    gap: Annotated[float, option("Good enough: stop at this gap, such as 0.01.")] = 0.0,
    require_all: Annotated[bool, option("Every VM must be placed.", "--all")] = False,
    milp_backend: BackendOpt = MilpBackend.HIGHS,
    hint: Annotated[Path | None, option("Plan to start from.", metavar="PLAN")] = None,
    out: OutOpt = None,
    picture: PictureOpt = None,
    force: ForceOpt = False,
    as_json: JsonOpt = False,
    quiet: QuietOpt = False,
) -> None:
    """Find the best plan for an instance, and prove it as far as the time allows.

    Ctrl-C ends the search and keeps the best plan found; a second Ctrl-C aborts.
    """
    from numaplace.instances import lookup
    from numaplace.instances.formats.document.io import plan_text, told_plan_to_dict

    lookup.check_writable([picture], document=out, inputs=[instance, hint], overwrite=force)
    problem = lookup.find_instance(instance)
    params = SolveParams(
        time_limit_s=time,
        workers=workers,
        seed=seed,
        relative_gap=gap,
        require_all=require_all,
        hint=lookup.read_valid_plan(hint, problem)[0] if hint else None,
        milp_backend=milp_backend,
    )
    result = running.solve_on_terminal(problem, solver, params, quiet=quiet)
    code = exit_code(problem, result)
    plan = result.plan

    told = provenance(problem, result, params, "every VM is placed" if require_all else "")
    files: list[File] = []
    if plan is not None and code == OK:
        files = [
            (out, lambda: plan_text(plan, out or Path(), told)),
            drawn(picture, lambda: placement_figure(plan, problem, result)),
        ]
    document = told_plan_to_dict(plan, told) if plan is not None else None
    hand_over(
        lambda: output.answer(
            lambda: {**plain.result_plain(problem, result), "plan": document},
            lambda width: views.solve_views(problem, result, width),
            as_json=as_json,
            quiet=quiet,
        ),
        *files,
        overwrite=force,
        told=as_json,
    )
    raise typer.Exit(code)


@app.command()
def compare(
    instances: InstancesArg,
    solvers: Annotated[str, SOLVER_LIST] = "first_fit,greedy,cpsat",
    time: TimeOpt = 60.0,
    workers: WorkersOpt = 0,
    seeds: Annotated[str, option("Seeds to run each solver with, such as 0-2.")] = "0",
    milp_backend: BackendOpt = MilpBackend.HIGHS,
    csv: Annotated[Path | None, option("Write the rows to this file.", metavar="FILE")] = None,
    plot: PictureOpt = None,
    force: ForceOpt = False,
    as_json: JsonOpt = False,
    quiet: QuietOpt = False,
) -> None:
    """Run several solvers: what each places and loses, its gap to the best bound, its time."""
    from numaplace.instances import lookup
    from numaplace.instances.ranges import parse_ids

    lookup.check_writable([csv, plot], inputs=instances, overwrite=force)
    params = SolveParams(time, workers, milp_backend=milp_backend)
    names = solver_names(solvers)
    numbers = sorted(parse_ids(seeds, thing="compare", field="--seeds"))
    problems = [lookup.named_instance(name) for name in instances]
    rows = running.compare_on_terminal(problems, names, params, numbers, quiet=quiet)
    hand_over(
        lambda: output.answer(
            lambda: {"rows": [plain.row_plain(row) for row in rows]},
            lambda width: [comparison_table(rows, width)],
            as_json=as_json,
            quiet=quiet,
        ),
        (csv, lambda: plain.rows_csv(rows)),
        drawn(plot, lambda: compare_figure(rows)),
        overwrite=force,
        told=as_json,
    )


@app.command()
def check(
    instance: InstanceArg, plan: PlanArg, as_json: JsonOpt = False, quiet: QuietOpt = False
) -> None:
    """Check a plan against every rule, and say what it loses; exit code 1 if it breaks one."""
    from numaplace.instances.formats.document.io import read_told_plan
    from numaplace.instances.lookup import find_instance

    problem, (checked, told) = find_instance(instance), read_told_plan(plan)
    found = violations(problem, checked)
    result = None if found else result_told(problem, checked, told, plan)
    cost = None if found else evaluate(problem, checked)
    output.answer(
        lambda: {**plain.check_plain(found, cost), **plain.told_plain(told, result)},
        lambda _width: views.check_views(problem, checked, found, cost, told, result),
        as_json=as_json,
        quiet=quiet,
    )
    raise typer.Exit(BROKEN_RULES if found else OK)


@app.command()
def show(
    instance: InstanceArg,
    plan: Annotated[Path | None, argument("File of a plan.", "[PLAN]")] = None,
    picture: PictureOpt = None,
    force: ForceOpt = False,
    as_json: JsonOpt = False,
    quiet: QuietOpt = False,
) -> None:
    """Show an instance, or a plan for it: nodes, VMs, memory, devices, losses, broken rules."""
    from numaplace.instances.lookup import check_writable, find_instance, read_known_plan

    check_writable([picture], inputs=[instance, plan], overwrite=force)
    problem = find_instance(instance)
    shown, told = read_known_plan(plan, problem) if plan else (Plan(), None)
    found = violations(problem, shown) if plan else []
    result = result_told(problem, shown, told, plan) if plan and not found else None
    hand_over(
        lambda: output.answer(
            lambda: {
                "violations": plain.violations_plain(found),
                "nodes": plain.usage_plain(problem, shown),
                **plain.told_plain(told, result),
            },
            lambda width: views.show_views(
                problem, shown if plan else None, width, found, told, result
            ),
            as_json=as_json,
            quiet=quiet,
        ),
        drawn(picture, lambda: placement_figure(shown, problem, result, found=found)),
        overwrite=force,
    )
