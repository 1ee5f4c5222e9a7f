"""The guided tour."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from numaplace.commands import output
from numaplace.commands.app import app
from numaplace.commands.options import JsonOpt, QuietOpt, TimeOpt, option
from numaplace.commands.shown import provenance
from numaplace.models.instance import Instance
from numaplace.models.result import Result
from numaplace.report.tables import plain
from numaplace.report.tables import terminal_views as views
from numaplace.solver.params import SolveParams


@app.command()
def demo(
    out: Annotated[Path, option("Folder to write to.", metavar="FOLDER")] = Path("demo-out"),
    time: TimeOpt = 15.0,
    as_json: JsonOpt = False,
    quiet: QuietOpt = False,
) -> None:
    """Take a guided tour: three instances, what solvers make of them, pictures to look at."""
    from numaplace.commands.demo import INSTANCES, tour
    from numaplace.instances import files, lookup
    from numaplace.instances.formats.document.io import write_plan

    lookup.make_folder(out)
    params = SolveParams(time_limit_s=time)

    def write(name: str, instance: Instance, result: Result) -> None:
        if result.plan is not None:
            told = provenance(instance, result, params)
            write_plan(result.plan, out / name, told=told, overwrite=True)

    rows = tour(
        [lookup.named_instance(name) for name in INSTANCES],
        params,
        lambda name, data: files.write_bytes(out / name, data, overwrite=True),
        write,
        quiet=as_json or quiet,
    )
    output.answer(
        lambda: {"folder": str(out), "rows": [plain.row_plain(row) for row in rows]},
        lambda _width: views.demo_views(sorted(out.iterdir())),
        as_json=as_json,
        quiet=quiet,
    )
