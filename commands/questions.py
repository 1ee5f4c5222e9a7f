"""Commands that answer operators' questions, such as: is there room for one more."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from numaplace.commands import output, running
from numaplace.commands.app import app
from numaplace.commands.exit_codes import INFEASIBLE, NO_PLAN, OK
from numaplace.commands.options import (
    CurrentOpt,
    InstanceArg,
    SettingsOpt,
    argument,
    names_of,
    option,
    settings,
    whole,
)
from numaplace.commands.printing import USUAL, Printing, bundled
from numaplace.commands.shown import (
    EFFORT,
    KEEPING,
    Effort,
    Keeping,
    deliver,
    provenance,
    with_current,
)
from numaplace.models.errors import InputError, check_int
from numaplace.models.result import Result, SolveStatus
from numaplace.models.vm import CELLS_MAX, CpuPolicy

if TYPE_CHECKING:
    from numaplace.models.instance import Instance
    from numaplace.models.topology import Host
    from numaplace.models.vm import Vm

_VM = "A VM of the instance that does not run, or a file of one VM in any format of import."
_GOAL = "Cheapest in what: moves (and balloons), or loss of the whole plan."
_GUESTS = "A VM to look at, may be given again; all that are wider than a node unless given."
_WHAT_IF = "Host that guests are moved to while they run, in any format of import."
_MAX_CELLS = "Even cells tried, from 1 on; 4, or as many as it needs and one more, unless given."
_NO_GUEST = "No VM is wider than a node; --vm names one to look at."
_EXACT = option("cpsat or milp.", autocompletion=names_of("numaplace.solver.names", "EXACT"))


def _policy(text: str) -> CpuPolicy:
    if text not in list(CpuPolicy):
        raise ValueError(" or ".join(CpuPolicy))
    return CpuPolicy(text)


_NEW: dict[str, Callable[[str], Any]] = {
    "name": str,
    "memory_min_mib": whole,
    "max_cells": whole,
    "cpu_policy": _policy,
}


@app.command()
@bundled
def room(
    instance: InstanceArg,
    vm: Annotated[str | None, argument(_VM, "[VM|VMFILE]")] = None,
    vcpus: Annotated[int | None, option("vCPUs of a new VM.")] = None,
    memory_mib: Annotated[int | None, option("Its memory.")] = None,
    setting: SettingsOpt = [],  # noqa: B006
    current: CurrentOpt = None,
    goal: Annotated[str, option(_GOAL)] = "moves",
    solver: Annotated[str, _EXACT] = "cpsat",
    effort: Effort = EFFORT,
    keeping: Keeping = KEEPING,
    form: Printing = USUAL,
) -> None:
    """Make room for one more VM: the cheapest moves and balloons, or the proof that none help.

    What runs where is the instance's current plan. The VM is one of the instance
    that does not run, one of a file, or a new one (--vcpus, --memory-mib).
    Exit code 3 if no moves help.

    KEY of --set, for a new VM:
    name            else it is called new
    memory_min_mib  what it can be ballooned to
    max_cells       nodes it may be split over
    cpu_policy      shared, or dedicated: it holds pCPUs of its own
    """
    from numaplace.instances import lookup
    from numaplace.report.tables.moves import CHANGE, changes_table
    from numaplace.report.tables.questions import ROOM, room_views
    from numaplace.solver.replan.room import RoomGoal, make_room

    form.expect(CHANGE)
    inputs = [instance, vm, current]
    lookup.check_writable(document=keeping.out, inputs=inputs, overwrite=keeping.force)
    if goal not in list(RoomGoal):
        reason = f"must be one of {', '.join(RoomGoal)}, not {goal!r:.60}"
        raise InputError("room", "--goal", reason)
    _check_exact(solver)
    given = lookup.find_instance(instance)
    problem = with_current(given, current)
    sizes = {"vcpus": vcpus, "memory_mib": memory_mib}
    fields = {field: number for field, number in sizes.items() if number is not None}
    wanted = _one_more(problem, vm, {**fields, **settings(setting, "room", _NEW)})
    params = effort.params()
    found = running.on_terminal(
        lambda line, stop: make_room(
            problem,
            wanted,
            running.watched(params, line, stop, problem),
            goal=RoomGoal(goal),
            solver=solver,
        ),
        f"room for {wanted.name}",
        quiet=form.quiet,
    )
    cheapest = "moves" if goal == RoomGoal.MOVES else "moves and the least loss"
    within = f"room is made for {wanted.name!r} by the cheapest {cheapest}"
    told = provenance(given, found.result, params, within)
    deliver(
        form,
        lambda: ROOM.plain((found, told)),
        lambda: room_views(found),
        lambda: changes_table(found.changes),
        keeping.plan(found.result.plan, told),
        overwrite=keeping.force,
    )
    if found.placement is None:
        proven = found.result.status is SolveStatus.INFEASIBLE
        raise typer.Exit(INFEASIBLE if proven else NO_PLAN)
    raise typer.Exit(OK)


@app.command()
@bundled
def sharing(
    instance: InstanceArg,
    solver: Annotated[str, _EXACT] = "cpsat",
    effort: Effort = EFFORT,
    form: Printing = USUAL,
) -> None:
    """Compare ways to share pages: none, within nodes, across nodes; memory against remote reads.

    The instance is planned anew for each. The last row is the plan across nodes with one copy a
    host: how much that would save, and at how many remote reads.
    """
    from numaplace.instances.lookup import find_instance
    from numaplace.report.tables.questions import SHARING, SHARING_ROW, sharing_table, sharing_views
    from numaplace.solver.compare.sharing import compare_sharing

    form.expect(SHARING_ROW)
    _check_exact(solver)
    problem = find_instance(instance)
    params = effort.params(explain=False)
    rows = running.on_terminal(
        lambda line, stop: compare_sharing(
            problem,
            running.watched(params, line, stop, problem),
            solver=solver,
            on_start=line.label,
        ),
        "sharing",
        quiet=form.quiet,
    )
    form.answer(
        lambda: SHARING.plain(rows), lambda: sharing_views(rows), lambda: sharing_table(rows)
    )
    raise typer.Exit(_code([row.result for row in rows]))


@app.command("guest-numa")
@bundled
def guest_numa(
    instance: InstanceArg,
    vm: Annotated[list[str], option(_GUESTS)] = [],  # noqa: B006
    what_if: Annotated[Path | None, option(_WHAT_IF, metavar="HOSTFILE")] = None,
    max_cells: Annotated[int | None, option(_MAX_CELLS)] = None,
    solver: Annotated[str, _EXACT] = "cpsat",
    effort: Effort = EFFORT,
    form: Printing = USUAL,
) -> None:
    """Choose the cells of wide guests: how many, told or not, and what each choice loses.

    The whole instance is planned again for each choice. With --what-if: what a guest loses after a
    live migration to another kind of host, where it keeps the topology it was told at boot.
    """
    from numaplace.instances.lookup import find_instance
    from numaplace.report.tables.questions import GUEST_NUMA, choice_table, guest_views
    from numaplace.solver.compare.guest_moved import what_if as work_out
    from numaplace.solver.compare.guest_numa import all_guest_choices, wide_vms

    form.expect(choice_table([]).columns)
    _check_exact(solver)
    if max_cells is not None:
        check_int("guest NUMA", "--max-cells", max_cells, 1, CELLS_MAX)
    problem = find_instance(instance)
    for name in vm:
        if name not in problem.vm_index:
            raise InputError("guest NUMA", "--vm", f"VM {name!r:.80} is not in the instance")
    other = _one_host(what_if) if what_if else None
    params = effort.params()
    guests = [problem.vm(name) for name in dict.fromkeys(vm)] or wide_vms(problem)
    answers = running.on_terminal(
        lambda line, stop: all_guest_choices(
            problem,
            guests,
            running.watched(params, line, stop, problem),
            max_cells=max_cells,
            solver=solver,
            on_start=line.label,
        ),
        "guest NUMA",
        quiet=form.quiet,
    )
    pairs = [(answer, work_out(other, answer) if other else None) for answer in answers]
    form.answer(
        lambda: GUEST_NUMA.plain((problem.name, pairs)),
        lambda: [view for pair in pairs for view in guest_views(*pair)] or [_NO_GUEST],
        lambda: choice_table(pairs),
    )
    results = [choice.result for answer in answers for choice in answer.choices]
    raise typer.Exit(_code(results) if results else OK)


def _one_host(file: Path) -> Host:
    """Return the host of a file in any format."""
    from numaplace.instances.import_source import ImportSource
    from numaplace.instances.importer import HostOptions, read_hosts

    notes: list[str] = []
    hosts = read_hosts(ImportSource(file), HostOptions(), notes)
    for note in notes:
        output.remark(note)
    if len(hosts) != 1:
        reason = f"holds {len(hosts)} hosts, must hold one"
        raise InputError("guest NUMA", "--what-if", reason, file=str(file))
    return hosts[0]


def _code(results: Sequence[Result]) -> int:
    """Exit code of several solves: one plan is enough; infeasible only if all are."""
    if any(result.plan is not None for result in results):
        return OK
    proven = all(result.status is SolveStatus.INFEASIBLE for result in results)
    return INFEASIBLE if proven else NO_PLAN


def _check_exact(solver: str) -> None:
    from numaplace.solver.names import EXACT

    if solver not in EXACT:
        reason = f"must be one that proves ({', '.join(EXACT)}), not {solver!r:.60}"
        raise InputError("solver", "", reason)


def _one_more(problem: Instance, vm: str | None, fields: dict[str, Any]) -> Vm:
    """Return the VM that was named in one of the three ways."""
    from numaplace.models.vm import Vm

    if (vm is None) != bool(fields):
        reason = "name one VM: of the instance, of a VMFILE, or by --vcpus and --memory-mib"
        raise InputError("room", "", reason)
    if vm in problem.vm_index:
        return problem.vm(vm)
    if vm is None:
        for field in ("vcpus", "memory_mib"):
            if field not in fields:
                raise InputError("room", f"--{field.replace('_', '-')}", "is missing")
        found = Vm(**{"name": "new", **fields})
    elif not os.path.lexists(vm):
        raise InputError("room", "VM", f"{vm!r:.80} is no VM of the instance, and no file")
    else:
        found = _vm_of(Path(vm))
    if found.name in problem.vm_index:
        raise InputError("room", f"VM {found.name!r:.80}", "is in the instance already")
    return found


def _vm_of(file: Path) -> Vm:
    from numaplace.instances.formats.registry import vm_format

    read = vm_format(file).read_vms
    assert read
    reading = read(file, None)
    for note in reading.notes:
        output.remark(f"{file}: {note}")
    vms = tuple(reading.item)
    if len(vms) != 1:
        raise InputError("room", "VMFILE", f"holds {len(vms)} VMs, must hold one", file=str(file))
    return vms[0]
