"""The commands that change what runs: rebalance, and balloon targets."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from numaplace.commands import output, running
from numaplace.commands.app import app
from numaplace.commands.exit_codes import OK, exit_code
from numaplace.commands.options import SOLVER, CurrentOpt, InstanceArg, argument, option
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
    with_current,
)
from numaplace.models.cost import evaluate
from numaplace.models.errors import InputError, check_real
from numaplace.models.moves import Budget
from numaplace.report.figures.figure_file import drawable
from numaplace.solver.params import SolveParams

if TYPE_CHECKING:
    from numaplace.models.instance import Instance
    from numaplace.solver.replan.rebalance import Rebalanced

MINUTE_S = 60.0
CURVE_SHARE, POINTS_SHARE = 0.3, 0.85
"""Of the time, for the rebalance before a curve; of what is left, for its points."""
_CURVE = "Draw loss against MiB moved (.png, .svg, .pdf); shares the time."
_PAYS_BACK = "Minutes within which a move must pay back; the instance's horizon unless given."


CurveOpt = Annotated[Path | None, option(_CURVE, metavar="FILE", callback=drawable)]


@app.command()
@bundled
def rebalance(
    instance: InstanceArg,
    current: CurrentOpt = None,
    budget_mib: Annotated[int | None, option("MiB that may be copied at most.")] = None,
    budget_moves: Annotated[int | None, option("VMs that may move at most.")] = None,
    budget_seconds: Annotated[float | None, option("Seconds that copying may take.")] = None,
    pays_back: Annotated[float | None, option(_PAYS_BACK, metavar="MINUTES")] = None,
    effort: Effort = EFFORT,
    curve: CurveOpt = None,
    keeping: Keeping = KEEPING,
    form: Printing = USUAL,
) -> None:
    """Re-plan what runs within a budget of moves, and say in which order to move.

    The instance holds the current plan. VMs that run stay placed; the new plan is never worse.
    Every state on the way obeys the capacities: pages that are copied take memory on both sides.
    With --curve, the trade-off of loss against MiB moved is drawn as well.
    """
    from numaplace.instances import lookup
    from numaplace.report.figures.curve_figure import curve_figure
    from numaplace.report.tables.moves import REBALANCE, STEP, rebalance_views, steps_table

    form.expect(STEP)
    inputs = [instance, current]
    lookup.check_writable([curve], document=keeping.out, inputs=inputs, overwrite=keeping.force)
    given = lookup.find_instance(instance)
    problem = _problem(with_current(given, current), pays_back)
    budget = Budget(budget_mib, budget_moves, budget_seconds)
    params = effort.params()
    found, points = _run(problem, budget, params, curve=curve is not None, quiet=form.quiet)
    code = exit_code(found.instance, found.result)
    plan = found.result.plan
    told = provenance(given, found.result, params, _within(budget, pays_back))
    files: list[File] = [drawn(curve, lambda: curve_figure(points))]
    if plan is not None and code == OK:
        files.insert(0, keeping.plan(plan, told))
    deliver(
        form,
        lambda: REBALANCE.plain((found, points, told)),
        lambda: rebalance_views(found, points),
        lambda: steps_table(found.steps),
        *files,
        overwrite=keeping.force,
    )
    raise typer.Exit(code)


def _within(budget: Budget, pays_back: float | None) -> str:
    """Say what a plan was held to."""
    limits = {
        "copies are at most {} MiB": budget.mib,
        "moves are at most {}": budget.moves,
        "copying is at most {} s": budget.seconds,
        "moves pay back within {} min": pays_back,
    }
    told = [words.format(number) for words, number in limits.items() if number is not None]
    return ", ".join(["VMs that run stay placed", *told])


def _problem(instance: Instance, pays_back: float | None) -> Instance:
    if instance.current is None:
        reason = "is missing: what runs where now is what is rebalanced"
        raise InputError("instance", "current", reason)
    if pays_back is None:
        return instance
    check_real("rebalance", "--pays-back", pays_back, 1 / MINUTE_S, 1e9)
    prices = replace(instance.prices, horizon_s=MINUTE_S * pays_back)
    return replace(instance, prices=prices)


def _share(params: SolveParams, *, curve: bool) -> SolveParams:
    """Return what a rebalance may take if a trade-off is to follow in the same time."""
    return params.part(CURVE_SHARE) if curve else params


def _run(
    problem: Instance, budget: Budget, params: SolveParams, *, curve: bool, quiet: bool
) -> tuple[Rebalanced, tuple[Rebalanced, ...]]:
    """Rebalance, and once more under several budgets if the curve is asked for."""
    from numaplace.solver.replan import rebalance as solver

    found = running.on_terminal(
        lambda line, stop: solver.rebalance(
            problem,
            budget,
            _share(running.watched(params, line, stop, problem, drawn=curve), curve=curve),
        ),
        f"rebalancing {problem.name}".rstrip(),
        quiet=quiet,
    )
    if not curve:
        return found, ()
    points = running.on_terminal(
        lambda line, stop: solver.trade_off(
            problem, running.watched(params, line, stop, problem, drawn=True).part(POINTS_SHARE)
        ),
        "trade-off of loss against MiB moved",
        quiet=quiet,
    )
    return found, points


# ---- balloons -----------------------------------------------------------------------------------


@app.command()
@bundled
def balloon(
    instance: InstanceArg,
    plan: Annotated[Path | None, argument("Plan; planned anew unless given.", "[PLAN]")] = None,
    solver: Annotated[str, SOLVER] = "cpsat",
    effort: Effort = EFFORT,
    keeping: Keeping = KEEPING,
    form: Printing = USUAL,
) -> None:
    """Say what each VM is ballooned to, and from which node its pages go.

    Placement and ballooning are chosen together: memory is taken where that costs less than pages
    on another node do. VMs that give have a memory_min_mib.
    """
    from numaplace.instances import lookup
    from numaplace.report.tables.moves import BALLOON, TARGET, balloon_table, balloon_views
    from numaplace.solver.replan.diff import balloon_targets

    form.expect(TARGET)
    lookup.check_writable(document=keeping.out, inputs=[instance, plan], overwrite=keeping.force)
    problem = lookup.find_instance(instance)
    if plan is not None:
        chosen, told = lookup.read_valid_plan(plan, problem)
    else:
        params = effort.params()
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
    deliver(
        form,
        lambda: BALLOON.plain((targets, cost, chosen, told)),
        lambda: balloon_views(targets, cost),
        lambda: balloon_table(targets),
        keeping.plan(chosen, told),
        overwrite=keeping.force,
    )
