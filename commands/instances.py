"""Commands about instances: import, generate, schema, catalog."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from numaplace.commands import output
from numaplace.commands.app import ListsFormats, app
from numaplace.commands.options import (
    ForceOpt,
    JsonOpt,
    OutOpt,
    QuietOpt,
    SeedOpt,
    SettingsOpt,
    argument,
    names_of,
    option,
)
from numaplace.commands.printing import USUAL, Printing, bundled
from numaplace.commands.shown import hand_over
from numaplace.report.tables.instances import ENTRY, instance_views
from numaplace.report.tables.table import Table

if TYPE_CHECKING:
    from numaplace.models.instance import Instance

_CATALOG = names_of("numaplace.instances.lookup", "catalog_names")


def _deliver(
    instance: Instance, out: Path | None, *, force: bool, as_json: bool, quiet: bool
) -> None:
    """Show what is in an instance and write it to a file; without a file, print it."""
    from numaplace.instances.formats.document.io import instance_text
    from numaplace.instances.formats.document.plain import instance_to_dict

    as_json = as_json or out is None

    def show() -> None:
        if as_json:
            output.print_json(instance_to_dict(instance))
        elif not quiet:
            output.show(instance_views(instance, vms=False))

    hand_over(
        show, (out, lambda: instance_text(instance, out or Path())), overwrite=force, told=as_json
    )


_SOURCES = "[FORMAT:]FILE[*COPIES], or NODESxCPUSxGIB[*COPIES]; may be given again."
_KINDS = names_of("numaplace.report.tables.documents", "names")
_KIND = argument("instance, plan, or a command that prints JSON.", "NAME", _KINDS)
_MARKDOWN = option("Print a table of all fields of files, as docs/fields.md.", "--markdown")
_PRESET = argument("What to make.", "PRESET", names_of("numaplace.instances.generate", "PRESETS"))
_HOST = option(f"Hosts: {_SOURCES}", metavar="SOURCE")
_FILES = "VMs: [FORMAT:]FILE[*COPIES], a folder or a 'pattern*'; may be given again."
_VMS = option(_FILES, metavar="SOURCE", default_factory=list, show_default=False)
_MEMORY = option(
    "All, what is free now, or MiB of a node where the file tells none.", metavar="total|free|MIB"
)


_ASSUME = option(
    "What files cannot tell: utilisation, memory_intensity, smt_yield; may be given again.",
    "--assume",
    metavar="KEY=VALUE",
)


@app.command("import", cls=ListsFormats)
def import_(
    host: Annotated[list[str], _HOST],
    vms: Annotated[list[str], _VMS],
    name: Annotated[str, option("Name of the instance.")] = "",
    reserve: Annotated[int | None, option("MiB a node keeps for the hypervisor.")] = None,
    memory: Annotated[str, _MEMORY] = "total",
    gpu_memory: Annotated[bool, option("Keep nodes of GPU memory.", "--gpu-memory")] = False,
    overcommit: Annotated[float | None, option("Shared vCPUs allowed per pCPU.")] = None,
    assume: Annotated[list[str], _ASSUME] = [],  # noqa: B006
    keep_pins: Annotated[
        bool, option("VMs must stay where their files pin them.", "--keep-pins")
    ] = False,
    rename: Annotated[bool, option("Number equal names.", "--rename")] = False,
    out: OutOpt = None,
    force: ForceOpt = False,
    as_json: JsonOpt = False,
    quiet: QuietOpt = False,
) -> None:
    """Make an instance of files that describe hosts and VMs.

    A format that the content does not tell goes before the file: lscpu:FILE.
    """
    from numaplace.instances import lookup
    from numaplace.instances.import_source import SameNames, files_of, host_sources, vm_sources
    from numaplace.instances.importer import HostOptions, import_instance

    lookup.check_writable(document=out, inputs=[*host, *files_of(vms)], overwrite=force)
    assumed = lookup.assumed_values(assume)
    reading = import_instance(
        host_sources(host),
        vm_sources(vms),
        options=HostOptions(
            reserve_mib=reserve,
            vcpu_overcommit=overcommit,
            smt_yield=assumed.pop("smt_yield", None),
            gpu_memory=gpu_memory,
            **lookup.wanted_memory(memory),
        ),
        assumed=assumed,
        same_names=SameNames.SUFFIX if rename else SameNames.ERROR,
        keep_pins=keep_pins,
        name=name,
    )
    for note in reading.notes:
        output.remark(note)
    _deliver(reading.item, out, force=force, as_json=as_json, quiet=quiet)


@app.command()
def generate(
    preset: Annotated[str, _PRESET],
    seed: SeedOpt = 0,
    changes: SettingsOpt = [],  # noqa: B006
    out: OutOpt = None,
    force: ForceOpt = False,
    as_json: JsonOpt = False,
    quiet: QuietOpt = False,
) -> None:
    """Generate a random instance; the same preset, changes and seed give the same instance.

    KEY of --set is shape, hosts, racks, vms, name, cpu_load or memory_load (of what hosts have),
    cooperating or competing (pairs per VM), device_share or soft_share (of VMs).
    """
    from numaplace.instances import lookup
    from numaplace.instances.generate import generate_instance

    lookup.check_writable(document=out, overwrite=force)
    params = lookup.changed_preset(preset, changes)
    made = generate_instance(params, seed)
    _deliver(made, out, force=force, as_json=as_json, quiet=quiet)


@app.command()
def schema(
    kind: Annotated[str, _KIND] = "instance",
    markdown: Annotated[bool, _MARKDOWN] = False,
    as_json: JsonOpt = True,
) -> None:
    """Print the JSON schema of files that hold instances or plans, or of a command's JSON."""
    from numaplace.instances.formats.document.schema import field_reference
    from numaplace.report.tables.documents import published_schema

    if markdown:
        print(field_reference(), end="")
    else:
        output.print_json(published_schema(kind))


@app.command()
@bundled
def catalog(
    name: Annotated[str | None, argument("Print this one.", "[NAME]", _CATALOG)] = None,
    form: Printing = USUAL,
) -> None:
    """List the instances that come with numaplace, with their optimum; or print one as JSON."""
    from numaplace.instances.catalog import list_catalog, load_catalog
    from numaplace.instances.formats.document.plain import instance_to_dict

    table = Table(ENTRY, list_catalog(), noun="instance")
    form.expect(ENTRY)
    if name is not None:
        output.print_json(instance_to_dict(load_catalog(name)))
    else:
        form.answer(table.plain, lambda: [table], lambda: table)
