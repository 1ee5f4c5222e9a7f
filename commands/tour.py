"""The guided tour."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from rich.text import Text

from numaplace.commands.app import app
from numaplace.commands.options import TimeOpt, option
from numaplace.commands.printing import USUAL, Printing, bundled
from numaplace.commands.shown import provenance
from numaplace.models.instance import Instance
from numaplace.models.result import Result
from numaplace.report.figures.figure_file import how_to_draw
from numaplace.report.tables.comparisons import DEMO, ROW, row_table
from numaplace.report.tables.table import Views
from numaplace.solver.params import SolveParams


@app.command()
@bundled
def demo(
    out: Annotated[Path, option("Folder to write to.", metavar="FOLDER")] = Path("demo-out"),
    time: TimeOpt = 15.0,
    form: Printing = USUAL,
) -> None:
    """Take a guided tour: three instances, what solvers make of them, pictures to look at."""
    from numaplace.commands.demo import INSTANCES, tour
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
        lambda: _views(sorted(out.iterdir())),
        lambda: row_table(rows),
    )


def _views(written: Sequence[Path]) -> Views:
    """Where to look after the tour."""
    lines = Text("Written:\n", "bold")
    lines.append("\n".join(f"  {path}" for path in written), "not bold")
    views: Views = [lines]
    if not any(path.suffix == ".png" for path in written):
        views.append(Text(f"No pictures: {how_to_draw()} brings what draws them."))
    return [*views, Text("Next: numaplace catalog, numaplace solve devices, numaplace --help")]
