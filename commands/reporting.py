"""The command that writes a report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from numaplace.commands import output, running
from numaplace.commands.app import app
from numaplace.commands.exit_codes import OK, exit_code
from numaplace.commands.options import (
    SOLVER,
    ForceOpt,
    InstanceArg,
    JsonOpt,
    QuietOpt,
    argument,
    option,
)
from numaplace.commands.printing import bundled
from numaplace.commands.shown import EFFORT, Effort, hand_over, provenance, result_told
from numaplace.models.errors import InputError, WriteError
from numaplace.models.verify import violations
from numaplace.solver.names import AUTO

if TYPE_CHECKING:
    from numaplace.models.plan import Plan

_BEFORE = "Plan to compare with; the instance's current one unless given."


@app.command()
@bundled
def report(
    instance: InstanceArg,
    out: Annotated[Path, option("Write it to this file (.html).", metavar="FILE")],
    plan: Annotated[Path | None, argument("File of a plan.", "[PLAN]")] = None,
    before: Annotated[Path | None, option(_BEFORE, metavar="PLAN")] = None,
    solver: Annotated[str, SOLVER] = AUTO,
    effort: Effort = EFFORT,
    force: ForceOpt = False,
    as_json: JsonOpt = False,
    quiet: QuietOpt = False,
) -> None:
    """Write a report as one HTML file: hosts before and after, moves, losses, gap, reasons.

    It needs no network and no other file. Without PLAN, the solver plans first; if it proves that
    there is no plan, the report tells why.
    """
    from numaplace.instances import lookup
    from numaplace.instances.formats.document.io import told_plan_to_dict
    from numaplace.report.html.report import html_report
    from numaplace.report.tables.moves import REPORT

    if out.suffix.lower() not in (".html", ".htm"):
        raise InputError("file", "", "the name must end in one of .html, .htm", file=str(out))
    lookup.check_writable([out], inputs=[instance, plan, before], overwrite=force)
    problem = lookup.find_instance(instance)
    old = lookup.read_known_plan(before, problem)[0] if before else problem.current
    params = effort.params()
    shown: Plan | None
    if plan:
        shown, told = lookup.read_known_plan(plan, problem)
        result = result_told(problem, shown, told, plan)
    else:
        result = running.solve_on_terminal(problem, solver, params, quiet=quiet, drawn=True)
        shown, told = result.plan, provenance(problem, result, params)
    found = violations(problem, shown) if shown is not None else []
    html = html_report(problem, shown, before=old, result=result, found=found)

    def show() -> None:
        if as_json:
            output.print_json(REPORT.plain((out, problem, shown, old, result, told)))

    try:
        hand_over(show, (out, html.encode), overwrite=force)
    except WriteError:
        if plan is None and not as_json:  # the page is lost, what was planned is not
            output.print_json(None if shown is None else told_plan_to_dict(shown, told))
        raise
    if not quiet and not as_json:
        output.remark(f"report written to {out}")
    raise typer.Exit(OK if result is None or plan else exit_code(problem, result))
