"""The command that answers as numad does; libvirt waits for it, so little is imported."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from numaplace.commands import output
from numaplace.commands.app import app
from numaplace.commands.options import option
from numaplace.models.errors import InputError

if TYPE_CHECKING:
    from numaplace.models.instance import Instance
    from numaplace.models.topology import Host

_WANTED = option("CPUs, and MiB of memory.", "-w", metavar="CPUS[:MB]")
_HOST = option("The machine: a copy of sysfs, or a file that describes it.", metavar="SOURCE")
_TAKEN = option("Plan of the VMs that run already.", "--taken", metavar="PLAN")
_OF = option("What that plan is for; its host is taken.", "--instance", metavar="INSTANCE")
SYSFS = "sysfs:"


@app.command()
def numad(
    wanted: Annotated[str, _WANTED],
    host: Annotated[str, _HOST] = f"{SYSFS}/",
    taken: Annotated[Path | None, _TAKEN] = None,
    instance: Annotated[str | None, _OF] = None,
) -> None:
    """Answer as numad -w does: print the nodes for one more VM, such as 0-1,3.

    Without --taken, memory is what sysfs says is free now, and all pCPUs count as idle.
    """
    from numaplace.instances.ranges import format_ids
    from numaplace.models.instance import Instance
    from numaplace.models.plan import Plan
    from numaplace.solver.placing.numad import advise

    vcpus, memory_mib = _wish(wanted)
    if (taken is None) != (instance is None):
        raise typer.BadParameter("--taken and --instance go together")
    if taken is None or instance is None:
        machine = _machine(host)
        problem, plan = Instance((machine,), ()), Plan()
    else:
        from numaplace.commands.applying import obeying
        from numaplace.instances.lookup import find_instance

        problem = find_instance(instance)
        plan = obeying(problem, taken)
        machine = _host_of(problem, host)
    advice = advise(problem, plan, machine, vcpus, memory_mib)
    if advice.remark:
        output.remark(advice.remark)
    print(format_ids(advice.nodes))


def _wish(text: str) -> tuple[int, int]:
    """VCPUs and MiB of ``4:8192``; without memory 0."""
    from numaplace.models.topology import MIB_MAX
    from numaplace.models.vm import VCPUS_MAX

    match = re.fullmatch(r"([0-9]{1,9})(?::([0-9]{1,15}))?", text, re.ASCII)
    vcpus, mib = (int(match[1]), int(match[2] or "0")) if match else (0, 0)
    if not 1 <= vcpus <= VCPUS_MAX or mib > MIB_MAX:
        raise InputError("numad", "-w", f"must be CPUS[:MB], such as 4:8192, not {text!r:.60}")
    return vcpus, mib


def _machine(text: str) -> Host:
    """The only host of a source; of a folder with sysfs, with the memory that is free now."""
    folder = Path(text.removeprefix(SYSFS))
    if text.startswith(SYSFS) and (folder / "sys").is_dir():  # no other reader need be loaded
        from numaplace.instances.formats.linux.sysfs import read_host
        from numaplace.instances.hostmemory import as_asked

        return as_asked(read_host(folder), free=True, gpu_memory=False).item

    from numaplace.instances.formats.linux.sysfs import SYSFS as FROM_SYSFS
    from numaplace.instances.formats.registry import host_format
    from numaplace.instances.import_source import host_sources
    from numaplace.instances.importer import HostOptions, import_instance

    source = host_sources([text])[0]
    live = source.path.is_dir() and host_format(source.path, source.format) is FROM_SYSFS
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
