"""The command line: parse, make one call, print, set the exit code.

What is heavy (solvers, pydantic, matplotlib) is imported by the commands that need it, so that
help and completion are quick.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import asdict, astuple
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from numaplace import __version__
from numaplace.models.cost import evaluate
from numaplace.models.errors import InputError
from numaplace.models.plan import Plan
from numaplace.models.verify import violations
from numaplace.solver.compare import solver_names
from numaplace.solver.params import MilpBackend, SolveParams
from numaplace.solver.registry import EXACT, ONLINE
from numaplace.solver.report import plain
from numaplace.solver.report import terminal_output as output
from numaplace.solver.report import terminal_views as views
from numaplace.solver.report.compare_figure import compare_figure
from numaplace.solver.report.exit_codes import ABORTED, BAD_INPUT, BROKEN_RULES, OK, exit_code
from numaplace.solver.report.figure_file import drawable, figure_bytes, picture_format
from numaplace.solver.report.manual import EPILOG, HELP
from numaplace.solver.report.placement_figure import placement_figure
from numaplace.solver.report.terminal_compare import comparison_table

if TYPE_CHECKING:
    from numaplace.models.instance import Instance

# Newer versions of typer bring a click of their own; this is the usage error of either.
UsageError: Any = typer.BadParameter.__base__


class Commands(TyperGroup):
    """The commands; whatever a user got wrong is one line on standard error and exit code 2."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run the command line, then exit."""
        try:
            code = super().main(*args, **{**kwargs, "standalone_mode": False})
            sys.stdout.flush()
        except InputError as error:
            code = _complain(str(error))
        except UsageError as error:
            command = error.ctx.command_path if error.ctx else "numaplace"
            code = _complain(f"{error.format_message()} (see {command} --help)")
        except OSError as error:  # files have errors of their own, so this is a stream's
            output.drop_output()
            code = _complain(f"standard output cannot be written ({error.strerror or error})")
        except (KeyboardInterrupt, typer.Abort):
            code = ABORTED
        sys.exit(code or OK)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Print the help, and after it what is no list of options."""
        super().format_help(ctx, formatter)
        print(EPILOG)


def _complain(text: str) -> int:
    print(f"numaplace: error: {' '.join(text.split())}", file=sys.stderr)
    return BAD_INPUT


app = typer.Typer(
    cls=Commands,
    help=HELP,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main() -> None:
    """Entry point of the ``numaplace`` command."""
    output.prepare_streams()
    app(prog_name="numaplace")


def _names(module: str, table: str) -> Callable[[str], list[str]]:
    """Complete a name, or the last of several, from a table of a module imported when needed."""

    def complete(incomplete: str) -> list[str]:
        before, comma, last = incomplete.rpartition(",")
        found = getattr(import_module(module), table)
        known = found() if callable(found) else found
        return [f"{before}{comma}{name}" for name in known if name.startswith(last)]

    return complete


def _instance_names(incomplete: str) -> list[str]:
    from numaplace.instances.lookup import complete_instance

    return complete_instance(incomplete)


def _option(text: str, *names: str, **more: Any) -> Any:
    return typer.Option(*names, help=text, **more)


def _argument(text: str, metavar: str, complete: Callable[[str], list[str]] | None = None) -> Any:
    return typer.Argument(help=text, metavar=metavar, show_default=False, autocompletion=complete)


_SOLVERS = _names("numaplace.solver.registry", "SOLVER_NAMES")
_SOLVER = _option(f"{', '.join(EXACT)} (exact); {', '.join(ONLINE)}.", autocompletion=_SOLVERS)
_SOLVER_LIST = _option("Names of solvers, with commas.", autocompletion=_SOLVERS)
_CATALOG = _names("numaplace.instances.lookup", "catalog_names")
_FORMATS = "numaplace.instances.formats.registry"
_IN_CATALOG = "File, or name in the catalogue."

InstanceArg = Annotated[str, _argument(_IN_CATALOG, "INSTANCE", _instance_names)]
InstancesArg = Annotated[list[str], _argument(_IN_CATALOG, "INSTANCE...", _instance_names)]
PlanArg = Annotated[Path, _argument("File of a plan.", "PLAN")]
JsonOpt = Annotated[bool, _option("Print JSON on standard output, and nothing else.", "--json")]
ForceOpt = Annotated[bool, _option("Overwrite files that exist.", "--force")]
QuietOpt = Annotated[bool, _option("Print no tables and no progress.", "--quiet", "-q")]
OutOpt = Annotated[Path | None, _option("Write it to this file (.json, .yaml).", metavar="FILE")]
PictureOpt = Annotated[
    Path | None, _option("Draw it (.png, .svg, .pdf).", metavar="FILE", callback=drawable)
]
TimeOpt = Annotated[float, _option("Seconds a solve may take.", "--time", metavar="SECONDS")]
WorkersOpt = Annotated[int, _option("Threads; 0: one per core.")]
SeedOpt = Annotated[int, _option("Seed of everything random.")]
BackendOpt = Annotated[MilpBackend, _option("Code behind the solver milp.")]


def _write_figure(path: Path, figure: Any, overwrite: bool) -> None:
    from numaplace.instances.files import write_bytes

    write_bytes(path, figure_bytes(figure, picture_format(path)), overwrite=overwrite)


@app.callback(invoke_without_command=True)
def _root(
    ctx: typer.Context,
    version: Annotated[bool, _option("Print the version.", "--version", "-V")] = False,
) -> None:
    if version:
        print(f"numaplace {__version__}")
    elif ctx.invoked_subcommand is None:
        ctx.get_help()


@app.command(rich_help_panel="Plans")
def solve(
    instance: InstanceArg,
    solver: Annotated[str, _SOLVER] = "cpsat",
    time: TimeOpt = 60.0,
    workers: WorkersOpt = 0,
    seed: SeedOpt = 0,
    gap: Annotated[float, _option("Good enough: stop at this gap, such as 0.01.")] = 0.0,
    require_all: Annotated[bool, _option("Every VM must be placed.", "--all")] = False,
    milp_backend: BackendOpt = MilpBackend.HIGHS,
    hint: Annotated[Path | None, _option("Plan to start from.", metavar="PLAN")] = None,
    out: OutOpt = None,
    picture: PictureOpt = None,
    force: ForceOpt = False,
    as_json: JsonOpt = False,
    quiet: QuietOpt = False,
) -> None:
    """Find the best plan for an instance, and prove it as far as the time allows.

    Ctrl-C ends the search and keeps the best plan found; a second Ctrl-C aborts.
    """
    from numaplace.instances import lookup
    from numaplace.instances.formats.json_io import write_plan
    from numaplace.instances.formats.json_plain import plan_to_dict

    lookup.check_writable([picture], document=out, overwrite=force)
    problem = lookup.find_instance(instance)
    params = SolveParams(
        time_limit_s=time,
        workers=workers,
        seed=seed,
        relative_gap=gap,
        require_all=require_all,
        hint=lookup.read_valid_plan(hint, problem) if hint else None,
        milp_backend=milp_backend,
    )
    result = output.solve_on_terminal(problem, solver, params, quiet=quiet)
    code = exit_code(problem, result)
    if result.plan is not None and code == OK:
        if out:
            write_plan(result.plan, out, overwrite=force)
        if picture:
            _write_figure(picture, placement_figure(result.plan, problem, result), force)
    if as_json:
        plan_doc = plan_to_dict(result.plan) if result.plan is not None else None
        output.print_json({**plain.result_plain(problem, result), "plan": plan_doc})
    elif not quiet:
        output.show(views.solve_views(problem, result, output.width()))
    raise typer.Exit(code)


@app.command(rich_help_panel="Plans")
def compare(
    instances: InstancesArg,
    solvers: Annotated[str, _SOLVER_LIST] = "first_fit,greedy,cpsat",
    time: TimeOpt = 60.0,
    workers: WorkersOpt = 0,
    seeds: Annotated[str, _option("Seeds to run each solver with, such as 0-2.")] = "0",
    milp_backend: BackendOpt = MilpBackend.HIGHS,
    csv: Annotated[Path | None, _option("Write the rows to this file.", metavar="FILE")] = None,
    plot: PictureOpt = None,
    force: ForceOpt = False,
    as_json: JsonOpt = False,
    quiet: QuietOpt = False,
) -> None:
    """Run several solvers: what each places and loses, its gap to the best bound, its time."""
    from numaplace.instances import lookup
    from numaplace.instances.files import write_text
    from numaplace.instances.ranges import parse_ids

    lookup.check_writable([csv, plot], overwrite=force)
    names = solver_names(solvers)
    numbers = sorted(parse_ids(seeds, thing="compare", field="--seeds"))
    problems = [lookup.named_instance(name) for name in instances]
    params = SolveParams(time_limit_s=time, workers=workers, milp_backend=milp_backend)
    rows = output.compare_on_terminal(problems, names, params, numbers, quiet=quiet)
    if csv:
        write_text(csv, plain.rows_csv(rows), overwrite=force)
    if plot:
        _write_figure(plot, compare_figure(rows), force)
    if as_json:
        output.print_json({"rows": [plain.row_plain(row) for row in rows]})
    elif not quiet:
        output.show([comparison_table(rows, output.width())])


@app.command(rich_help_panel="Plans")
def check(
    instance: InstanceArg, plan: PlanArg, as_json: JsonOpt = False, quiet: QuietOpt = False
) -> None:
    """Check a plan against every rule, and say what it loses; exit code 1 if it breaks a rule."""
    from numaplace.instances.formats.json_io import read_plan
    from numaplace.instances.lookup import find_instance

    problem, checked = find_instance(instance), read_plan(plan)
    found = violations(problem, checked)
    cost = None if found else evaluate(problem, checked)
    if as_json:
        output.print_json(plain.check_plain(found, cost))
    elif not quiet:
        output.show(views.check_views(problem, checked, found, cost))
    raise typer.Exit(BROKEN_RULES if found else OK)


@app.command(rich_help_panel="Plans")
def show(
    instance: InstanceArg,
    plan: Annotated[Path | None, _argument("File of a plan.", "[PLAN]")] = None,
    picture: PictureOpt = None,
    force: ForceOpt = False,
    as_json: JsonOpt = False,
) -> None:
    """Show an instance, or a plan for it: nodes, VMs, memory, devices, losses, broken rules."""
    from numaplace.instances.lookup import check_writable, find_instance, read_known_plan

    check_writable([picture], overwrite=force)
    problem = find_instance(instance)
    shown = read_known_plan(plan, problem) if plan else Plan()
    found = violations(problem, shown) if plan else []
    if picture:
        _write_figure(picture, placement_figure(shown, problem, found=found), force)
    if as_json:
        nodes = plain.usage_plain(problem, shown)
        output.print_json({"violations": plain.violations_plain(found), "nodes": nodes})
    else:
        output.show(views.show_views(problem, shown if plan else None, output.width(), found))


def _deliver(instance: Instance, out: Path | None, force: bool, as_json: bool) -> None:
    """Write an instance to a file and show what is in it; without a file, print it."""
    from numaplace.instances.formats.json_io import write_instance
    from numaplace.instances.formats.json_plain import instance_to_dict

    if out:
        write_instance(instance, out, overwrite=force)
    if as_json or not out:
        output.print_json(instance_to_dict(instance))
    else:
        output.show(views.instance_views(instance, vms=False))


_SOURCES = "[FORMAT:]FILE[*COPIES]; may be given again."
_KINDS = _names("numaplace.instances.formats.json_schema", "KINDS")
_KIND = _argument("What it describes.", "instance|plan", _KINDS)
_PRESET = _argument("What to make.", "PRESET", _names("numaplace.instances.presets", "PRESETS"))
_CHANGES = _option("Change it; may be given again.", "--set", metavar="KEY=VALUE")
_HOST = _option(f"Hosts: {_SOURCES}", metavar="SOURCE")
_VMS = _option(f"VMs: {_SOURCES}", metavar="SOURCE", default_factory=list, show_default=False)
_HOST_FORMAT = _option("Else told by content.", autocompletion=_names(_FORMATS, "HOST_FORMATS"))
_VM_FORMAT = _option("Else told by content.", autocompletion=_names(_FORMATS, "VM_FORMATS"))


@app.command("import", rich_help_panel="Instances")
def import_(
    host: Annotated[list[str], _HOST],
    vms: Annotated[list[str], _VMS],
    host_format: Annotated[str | None, _HOST_FORMAT] = None,
    vm_format: Annotated[str | None, _VM_FORMAT] = None,
    name: Annotated[str, _option("Name of the instance.")] = "",
    reserve: Annotated[int | None, _option("MiB a node keeps for the hypervisor.")] = None,
    memory: Annotated[int | None, _option("MiB of a node, if the file does not tell.")] = None,
    overcommit: Annotated[float | None, _option("Shared vCPUs allowed per pCPU.")] = None,
    smt_yield: Annotated[float | None, _option("Yield of a core with both threads busy.")] = None,
    rename: Annotated[bool, _option("Number equal names.", "--rename")] = False,
    out: OutOpt = None,
    force: ForceOpt = False,
    as_json: JsonOpt = False,
) -> None:
    """Make an instance of files that describe hosts and VMs.

    Formats of hosts: sysfs, numaplace, hwloc-xml, libvirt-capabilities, lscpu, numactl, xl-info.
    Formats of VMs: numaplace, libvirt-domain, openstack, flavours-csv, proxmox, xl-cfg.
    """
    from numaplace.instances.importer import HostOptions, SameNames, import_instance
    from numaplace.instances.lookup import check_writable, host_sources, vm_sources

    check_writable(document=out, overwrite=force)
    reading = import_instance(
        host_sources(host, host_format),
        vm_sources(vms, vm_format),
        options=HostOptions(reserve, memory, overcommit, smt_yield),
        same_names=SameNames.SUFFIX if rename else SameNames.ERROR,
        name=name,
    )
    for note in reading.notes:
        output.remark(note)
    _deliver(reading.item, out, force, as_json)


@app.command(rich_help_panel="Instances")
def generate(
    preset: Annotated[str, _PRESET],
    seed: SeedOpt = 0,
    changes: Annotated[list[str], _CHANGES] = [],  # noqa: B006
    out: OutOpt = None,
    force: ForceOpt = False,
    as_json: JsonOpt = False,
) -> None:
    """Generate a random instance; the same preset, changes and seed give the same instance.

    KEY is shape, hosts, vms, name, cpu_load or memory_load (of what hosts have),
    cooperating or competing (pairs per VM), device_share or soft_share (of VMs).
    """
    from numaplace.instances import lookup
    from numaplace.instances.generate import generate_instance

    lookup.check_writable(document=out, overwrite=force)
    params = lookup.changed_preset(preset, changes)
    _deliver(generate_instance(params, seed), out, force, as_json)


@app.command(rich_help_panel="Instances")
def schema(kind: Annotated[str, _KIND], as_json: JsonOpt = True) -> None:
    """Print the JSON schema of files that hold instances, or plans."""
    from numaplace.instances.formats.json_schema import json_schema

    output.print_json(json_schema(kind))


@app.command(rich_help_panel="Instances")
def catalog(
    name: Annotated[str | None, _argument("Print this one.", "[NAME]", _CATALOG)] = None,
    as_json: JsonOpt = False,
) -> None:
    """List the instances that come with numaplace, with their optimum; or print one as JSON."""
    from numaplace.instances.catalog import list_catalog, load_catalog
    from numaplace.instances.formats.json_plain import instance_to_dict

    if name is not None:
        output.print_json(instance_to_dict(load_catalog(name)))
    elif as_json:
        output.print_json([asdict(entry) for entry in list_catalog()])
    else:
        output.show([views.catalogue_view(map(astuple, list_catalog()))])


@app.command(rich_help_panel="More")
def demo(
    out: Annotated[Path, _option("Folder to write to.", metavar="FOLDER")] = Path("demo-out"),
    time: TimeOpt = 15.0,
    as_json: JsonOpt = False,
) -> None:
    """Take a guided tour: three instances, what solvers make of them, pictures to look at."""
    from numaplace.instances import files, lookup
    from numaplace.instances.formats.json_io import write_plan
    from numaplace.solver.report.terminal_demo import INSTANCES, tour

    lookup.make_folder(out)
    rows = tour(
        [lookup.named_instance(name) for name in INSTANCES],
        SolveParams(time_limit_s=time),
        lambda name, data: files.write_bytes(out / name, data, overwrite=True),
        lambda name, plan: write_plan(plan, out / name, overwrite=True),
        quiet=as_json,
    )
    if as_json:
        output.print_json({"folder": str(out), "rows": [plain.row_plain(row) for row in rows]})
    else:
        output.show(views.demo_views(sorted(out.iterdir())))


if __name__ == "__main__":
    main()
