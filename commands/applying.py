"""Commands that bring a plan to hypervisors: apply, numad."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from numaplace.commands import output
from numaplace.commands.app import app
from numaplace.commands.exit_codes import BROKEN_RULES
from numaplace.commands.options import ForceOpt, InstanceArg, PlanArg, option
from numaplace.commands.shown import hand_over
from numaplace.instances.formats.write_placed import Affinity, ApplyFormat
from numaplace.models.errors import InputError
from numaplace.models.instance import Instance
from numaplace.models.plan import Plan
from numaplace.models.topology import MIB_MAX
from numaplace.models.verify import violations
from numaplace.models.vm import VCPUS_MAX

if TYPE_CHECKING:
    from numaplace.models.topology import Host

_FORMAT = option("What to write.", "--format", "-f")
_VMS = option("Only this VM; may be given again.", "--vm", metavar="NAME", show_default=False)
_SOURCE = option(
    "Its xl.cfg, domain XML or Proxmox conf, to be edited; a folder; may be given again.",
    metavar="FILE",
    show_default=False,
)
_AFFINITY = option("Whether vCPUs must, or should, stay on their pCPUs. [default: both on Xen]")
_OUT = option("Where a file for each VM (commands: each host) goes.", metavar="FOLDER|FILE")
_WANTED = option("CPUs, and MiB of memory.", "-w", metavar="CPUS[:MB]")
_HOST = option("The machine: a copy of sysfs, or a file that describes it.", metavar="SOURCE")
_TAKEN = option("Plan of the VMs that run already.", "--taken", metavar="PLAN")
_OF = option("What that plan is for; its host is taken.", "--instance", metavar="INSTANCE")


@app.command(rich_help_panel="Plans")
def apply(
    instance: InstanceArg,
    plan: PlanArg,
    kind: Annotated[ApplyFormat, _FORMAT],
    vms: Annotated[list[str], _VMS] = [],  # noqa: B006
    source: Annotated[list[Path], _SOURCE] = [],  # noqa: B006
    affinity: Annotated[Affinity | None, _AFFINITY] = None,
    out: Annotated[Path | None, _OUT] = None,
    force: ForceOpt = False,
) -> None:
    """Write what brings VMs to where a plan wants them: configurations, or commands.

    The plan must obey every rule. Remarks say what the format cannot express.
    """
    from numaplace.instances import applying
    from numaplace.instances.lookup import find_instance
    from numaplace.instances.sources import source_files

    problem = find_instance(instance)
    checked = _obeying(problem, plan)
    reading = applying.apply_plan(
        problem, checked, kind, vms=vms, sources=source, affinity=affinity
    )
    paths: list[Path] = []
    if out:
        read = [
            Path(instance),
            plan,
            *(file for path in source for file in source_files(path).item),
        ]
        paths = applying.target_paths(out, reading.item, read, overwrite=force)
    for note in reading.notes:
        output.remark(note)
    hand_over(
        lambda: None if out else print(applying.joined_text(reading.item, kind), end=""),
        *((path, partial(str, file.text)) for path, file in zip(paths, reading.item, strict=False)),
        overwrite=force,
    )


def _obeying(problem: Instance, path: Path) -> Plan:
    """Read a plan; if it breaks rules, say so and end with the exit code of `check`."""
    from numaplace.instances.formats.document.io import read_plan

    plan = read_plan(path)
    found = violations(problem, plan)
    for broken in found:
        output.remark(f"{path}: {broken}")
    if found:
        raise typer.Exit(BROKEN_RULES)
    return plan


@app.command(rich_help_panel="Plans")
def numad(
    wanted: Annotated[str, _WANTED],
    host: Annotated[str, _HOST] = "sysfs:/",
    taken: Annotated[Path | None, _TAKEN] = None,
    instance: Annotated[str | None, _OF] = None,
) -> None:
    """Answer as numad -w does: print the nodes for one more VM, such as 0-1,3.

    Without --taken, memory is what sysfs says is free now, and all pCPUs count as idle.
    """
    from numaplace.instances.ranges import format_ids
    from numaplace.solver.placing.numad import advise

    vcpus, memory_mib = _wish(wanted)
    if (taken is None) != (instance is None):
        raise typer.BadParameter("--taken and --instance go together")
    if taken is None or instance is None:
        machine = _machine(host)
        problem, plan = Instance((machine,), ()), Plan()
    else:
        from numaplace.instances.lookup import find_instance

        problem = find_instance(instance)
        plan = _obeying(problem, taken)
        machine = _host_of(problem, host)
    advice = advise(problem, plan, machine, vcpus, memory_mib)
    if advice.remark:
        output.remark(advice.remark)
    print(format_ids(advice.nodes))


def _wish(text: str) -> tuple[int, int]:
    """VCPUs and MiB of ``4:8192``; without memory 0."""
    match = re.fullmatch(r"([0-9]{1,9})(?::([0-9]{1,15}))?", text, re.ASCII)
    vcpus, mib = (int(match[1]), int(match[2] or "0")) if match else (0, 0)
    if not 1 <= vcpus <= VCPUS_MAX or mib > MIB_MAX:
        raise InputError("numad", "-w", f"must be CPUS[:MB], such as 4:8192, not {text!r:.60}")
    return vcpus, mib


def _machine(text: str) -> Host:
    """The only host of a source; of a folder with sysfs, with the memory that is free now."""
    from numaplace.instances.formats.registry import detect_host_format
    from numaplace.instances.importer import HostOptions, import_instance
    from numaplace.instances.lookup import host_sources

    source = host_sources([text], None)[0]
    live = source.path.is_dir() and (source.format or detect_host_format(source.path)) == "sysfs"
    hosts = import_instance([source], options=HostOptions(free_memory=live)).item.hosts
    if len(hosts) > 1:
        raise InputError("numad", "--host", f"{text!r:.80} describes {len(hosts)} hosts, not one")
    return hosts[0]


def _host_of(problem: Instance, text: str) -> Host:
    """The host of an instance that is asked about: its only one, or the one of that name."""
    if len(problem.hosts) == 1:
        return problem.hosts[0]
    name = text if text in problem.host_index else _machine(text).name
    if name not in problem.host_index:
        raise InputError("numad", "--host", f"{name!r:.80} is no host of the instance")
    return problem.host(name)
