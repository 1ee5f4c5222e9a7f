"""The command that tells balloon targets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from numaplace.commands import output, running
from numaplace.commands.app import app
from numaplace.commands.exit_codes import OK, exit_code
from numaplace.commands.options import (
    SOLVER,
    ForceOpt,
    InstanceArg,
    OutOpt,
    SeedOpt,
    TimeOpt,
    WorkersOpt,
    argument,
)
from numaplace.commands.printing import USUAL, Printing, bundled
from numaplace.commands.shown import hand_over, provenance
from numaplace.models.cost import evaluate
from numaplace.solver.params import SolveParams


@app.command()
@bundled
def balloon(
    instance: InstanceArg,
    plan: Annotated[Path | None, argument("Plan; planned anew unless given.", "[PLAN]")] = None,
    solver: Annotated[str, SOLVER] = "cpsat",
    time: TimeOpt = 60.0,
    workers: WorkersOpt = 0,
    seed: SeedOpt = 0,
    out: OutOpt = None,
    force: ForceOpt = False,
    form: Printing = USUAL,
) -> None:
    """Say what each VM is ballooned to, and from which node its pages go.

    Placement and ballooning are chosen together: memory is taken where that costs less than pages
    on another node do. VMs that give have a memory_min_mib.
    """
    from numaplace.instances import lookup
    from numaplace.instances.formats.document.io import plan_text
    from numaplace.report.tables.moves import BALLOON, TARGET, balloon_table, balloon_views
    from numaplace.solver.replan.diff import balloon_targets

    form.expect(TARGET)
    lookup.check_writable(document=out, inputs=[instance, plan], overwrite=force)
    problem = lookup.find_instance(instance)
    if plan is not None:
        chosen, told = lookup.read_valid_plan(plan, problem)
    else:
        params = SolveParams(time_limit_s=time, workers=workers, seed=seed)
        result = running.solve_on_terminal(problem, solver, params, quiet=form.quiet)
        code = exit_code(problem, result)
        if result.plan is None or code != OK:
            for reason in result.reasons:
                output.remark(reason)
            for name, reason in result.unplaced.items():
                output.remark(f"VM {name!r}: {reason}")
            raise typer.Exit(code)
        chosen, told = result.plan, provenance(problem, result, params)
    targets, cost = balloon_targets(problem, chosen), evaluate(problem, chosen)
    hand_over(
        lambda: form.answer(
            lambda: BALLOON.plain((targets, cost, chosen, told)),
            lambda: balloon_views(targets, cost),
            lambda: balloon_table(targets),
        ),
        (out, lambda: plan_text(chosen, out or Path(), told)),
        overwrite=force,
        told=form.all_json,
    )
