"""The command that brings a plan to hypervisors."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from numaplace.commands import output
from numaplace.commands.app import ListsFormats, app
from numaplace.commands.exit_codes import BROKEN_RULES
from numaplace.commands.options import ForceOpt, InstanceArg, PlanArg, names_of, option
from numaplace.commands.shown import hand_over
from numaplace.instances.formats.format import AffinityKind
from numaplace.models.instance import Instance
from numaplace.models.plan import Plan
from numaplace.models.verify import violations

_WRITTEN = names_of("numaplace.instances.formats.registry", "WRITTEN_FORMATS")
_FORMAT = option("What to write.", "--format", "-f", metavar="FORMAT", autocompletion=_WRITTEN)
_VMS = option("Only this VM; may be given again.", "--vm", metavar="NAME", show_default=False)
_SOURCE = option(
    "Its xl.cfg, domain XML or Proxmox conf, to be edited; a folder; may be given again.",
    metavar="FILE",
    show_default=False,
)
_AFFINITY = option(
    "Whether vCPUs must, or should (not kept by Xen's credit2), stay on their pCPUs. "
    "[default: both on Xen]"
)
_OUT = option("Where a file for each VM (commands: each host) goes.", metavar="FOLDER|FILE")


@app.command(cls=ListsFormats)
def apply(
    instance: InstanceArg,
    plan: PlanArg,
    kind: Annotated[str, _FORMAT],
    vms: Annotated[list[str], _VMS] = [],  # noqa: B006
    source: Annotated[list[Path], _SOURCE] = [],  # noqa: B006
    affinity: Annotated[AffinityKind | None, _AFFINITY] = None,
    out: Annotated[Path | None, _OUT] = None,
    force: ForceOpt = False,
) -> None:
    """Write what brings VMs to where a plan wants them: configurations, or commands.

    The plan must obey every rule. Remarks say what the format cannot express.
    """
    from numaplace.instances import applying
    from numaplace.instances.import_source import source_files
    from numaplace.instances.lookup import find_instance

    problem = find_instance(instance)
    checked = obeying(problem, plan)
    reading = applying.apply_plan(
        problem, checked, kind, vms=vms, sources=source, affinity=affinity
    )
    read = [Path(instance), plan, *(file for path in source for file in source_files(path).item)]
    files = reading.item
    targets: AbstractContextManager[list[Path]] = nullcontext([])
    if out:
        targets = applying.target_paths(out, files, read, overwrite=force)
    with targets as paths:
        for note in reading.notes:
            output.remark(note)
        hand_over(
            lambda: None if out else print(applying.joined_text(files, kind), end=""),
            *((path, partial(str, file.text)) for path, file in zip(paths, files, strict=False)),
            overwrite=force,
        )


def obeying(problem: Instance, path: Path) -> Plan:
    """Read a plan; if it breaks rules, say so and end with the exit code of `check`."""
    from numaplace.instances.formats.document.io import read_plan

    plan = read_plan(path)
    found = violations(problem, plan)
    for broken in found:
        output.remark(f"{path}: {broken}")
    if found:
        raise typer.Exit(BROKEN_RULES)
    return plan
