"""A guided tour: what one-at-a-time placement loses, what the optimum is, and its picture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

from rich.rule import Rule
from rich.text import Text

from numaplace.commands.app import app
from numaplace.commands.options import TimeOpt, option
from numaplace.commands.output import show, width
from numaplace.commands.printing import USUAL, Printing, bundled
from numaplace.commands.running import solve_on_terminal
from numaplace.commands.shown import provenance
from numaplace.models.instance import Instance
from numaplace.models.result import Result
from numaplace.report.figures.figure_file import can_draw, figure_bytes, how_to_draw
from numaplace.report.picture.drawing import Drawing, comparison_drawing, plan_drawing
from numaplace.report.picture.terminal import plan_view
from numaplace.report.tables.comparisons import DEMO, ROW, comparison_table, row_table
from numaplace.report.tables.instances import instance_views
from numaplace.report.tables.plans import loss_table
from numaplace.report.tables.table import Views
from numaplace.solver.compare.solvers import Row, rows_of
from numaplace.solver.params import SolveParams

SOLVERS = ("first_fit", "xen", "greedy", "cpsat")
FORMATS = ("png", "svg")
INSTANCES = ("talk-10", "devices", "cxl")

Write = Callable[[str, bytes], None]
WritePlan = Callable[[str, Instance, Result], None]


@app.command()
@bundled
def demo(
    out: Annotated[Path, option("Folder to write to.", metavar="FOLDER")] = Path("demo-out"),
    time: TimeOpt = 15.0,
    form: Printing = USUAL,
) -> None:
    """Take a guided tour: three instances, what solvers make of them, pictures to look at."""
    from numaplace.instances import files, lookup
    from numaplace.instances.formats.document.io import write_plan

    form.expect(ROW)
    params = SolveParams(time_limit_s=time)

    def write(name: str, instance: Instance, result: Result) -> None:
        if result.plan is not None:
            told = provenance(instance, result, params)
            write_plan(result.plan, out / name, told=told, overwrite=True)

    with lookup.made_folder(out):
        rows = tour(
            [lookup.named_instance(name) for name in INSTANCES],
            params,
            lambda name, data: files.write_bytes(out / name, data, overwrite=True),
            write,
            quiet=form.quiet or bool(form.columns) or not form.people,
        )
    form.answer(
        lambda: DEMO.plain((out, rows)),
        lambda: _written(sorted(out.iterdir())),
        lambda: row_table(rows),
    )


def _written(written: Sequence[Path]) -> Views:
    """Where to look after the tour."""
    lines = Text("Written:\n", "bold")
    lines.append("\n".join(f"  {path}" for path in written), "not bold")
    views: Views = [lines]
    if not any(path.suffix == ".png" for path in written):
        views.append(Text(f"No pictures: {how_to_draw()} brings what draws them."))
    return [*views, Text("Next: numaplace catalog, numaplace solve devices, numaplace --help")]


def tour(
    instances: Sequence[tuple[str, Instance]],
    params: SolveParams,
    write: Write,
    write_plan: WritePlan,
    *,
    quiet: bool = False,
) -> tuple[Row, ...]:
    """Plan each of pairs (name, instance) with several solvers; print and draw what comes of it.

    `write` writes a picture of a name, `write_plan` the plan of a result; `quiet` prints nothing.
    """
    rows: list[Row] = []
    for name, instance in instances:
        results = _results(instance, params, quiet=quiet)
        rows += rows_of(name, instance, [(params.seed, result) for result in results])
        best = results[-1]
        if best.plan is None or best.cost is None:
            continue
        if not quiet:
            compared = comparison_table(rows[-len(results) :])
            show([*_views(name, instance, best), compared, Text()])
        write_plan(f"{name}-plan.json", instance, best)
        _draw(write, f"{name}-plan", plan_drawing(best.plan, instance, best))
    _draw(write, "comparison", comparison_drawing(rows))
    return tuple(rows)


def _draw(write: Write, name: str, figure: Drawing) -> None:
    for kind in FORMATS if can_draw() else ("svg",):
        write(f"{name}.{kind}", figure_bytes(figure, kind))


def _results(instance: Instance, params: SolveParams, *, quiet: bool) -> Sequence[Result]:
    return [solve_on_terminal(instance, solver, params, quiet=quiet) for solver in SOLVERS]


def _views(name: str, instance: Instance, best: Result) -> Views:
    assert best.plan is not None and best.cost is not None
    head = Rule(Text(name, "bold"), align="left")
    picture = plan_view(best.plan, instance, width())
    return [head, *instance_views(instance, vms=False), picture, loss_table(best.cost)]
