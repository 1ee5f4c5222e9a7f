"""VMs from OpenStack flavours, one VM a flavour, as JSON or YAML.

Read are ``openstack flavor show -f json`` and ``flavor list --long -f json`` (``-f yaml`` too),
and the compute API's ``{"flavor": ...}`` and ``{"flavors": [...]}``. Properties (extra specs) may
be an object or the text ``k='v', k2='v2'``.

============================ =================================================================
flavour                      Vm
============================ =================================================================
name                         name
vcpus, ram (MiB)             vcpus, memory_mib
hw:cpu_policy                cpu_policy; mixed is taken as dedicated, with a note
hw:cpu_thread_policy         thread_policy
hw:mem_page_size             page_size: small 4K, large 2M, any 4K (as Nova's libvirt driver
                             takes them), or the size
hw:numa_nodes                cells, equal ones
hw:numa_cpus.N, numa_mem.N   cells, unequal ones
any of these but shared      guest topology of one cell if no number is given, and memory_mode
                             strict: Nova keeps a cell's memory on the cell's node
pci_passthrough:alias        devices (kind = alias)
hw:pci_numa_affinity_policy  policy of the devices; legacy = required
hw:emulator_threads_policy,  left out with a note
hw:locked_memory
============================ =================================================================

All other extra specs are listed in a note, but for the guest's sockets, cores and threads.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from numaplace.instances.files import read_text
from numaplace.instances.formats.document.json_text import json_line, parse_json
from numaplace.instances.formats.document.yaml_text import parse_yaml, yaml_line
from numaplace.instances.formats.guest import UNBOUND, Binding, guest_vm
from numaplace.instances.formats.openstack import nova_specs
from numaplace.instances.ranges import parse_whole
from numaplace.instances.reading import Reading, located, shown
from numaplace.models.errors import InputError, check_int
from numaplace.models.topology import MIB_MAX
from numaplace.models.units import PageSize
from numaplace.models.vm import VCPUS_MAX, VMS_MAX, CpuPolicy, MemoryMode, Vm

_PROPERTIES = ("properties", "extra_specs", "os-flv-with-ext-specs:extra_specs")
_SHOWN_MAX = 8
_Steps = tuple[str | int, ...]


def sniff(head: str, path: Path) -> bool:
    """Tell whether the beginning of a file looks like OpenStack flavours."""
    keys = (rf"(?i)(?:^|[\s\"'{{,]){key}[\"']?\s*:" for key in ("ram", "vcpus"))
    return all(re.search(key, head) for key in keys)


def read_vms(path: Path) -> Reading[tuple[Vm, ...]]:
    """Return one VM a flavour; `InputError` with file and line for what Nova would refuse."""
    text = read_text(path)
    file = str(path)
    as_json = text.lstrip()[:1] in ("{", "[")
    with located(file):
        flavours = _flavours(parse_json(text, file) if as_json else parse_yaml(text, file))
    vms: dict[str, Vm] = {}
    notes: list[str] = []
    for steps, flavour in flavours:
        told: list[str] = []
        try:
            vm = _vm(flavour, told)
            if vm.name in vms:
                raise InputError(f"flavour {vm.name!r}", "name", "occurs twice")
        except InputError as error:
            steps += _steps_to(flavour, error.field)
            line = json_line(text, steps) if as_json else yaml_line(text, steps)
            raise error.at(file, line) from None
        vms[vm.name] = vm
        notes += [f"flavour {vm.name!r:.80}: {note}" for note in told]
    return Reading(tuple(vms.values()), tuple(notes))


def _flavours(value: object) -> list[tuple[_Steps, dict[str, object]]]:
    """Flavours of a document, and the way to each."""
    steps: _Steps = ()
    if isinstance(value, dict):
        for key in ("flavors", "flavor"):
            if key in value:
                steps, value = (key,), value[key]
                break
    items = value if isinstance(value, list) else [value]
    found: list[tuple[_Steps, dict[str, object]]] = []
    check_int("document", "number of flavours", len(items), 1, VMS_MAX)
    for index, item in enumerate(items):
        if not isinstance(item, dict):
            raise InputError("document", f"flavour {index}", f"must be an object, not {item!r:.40}")
        found.append(((*steps, index) if isinstance(value, list) else steps, item))
    return found


def _steps_to(flavour: dict[str, object], field: str) -> _Steps:
    """Way from a flavour to the field of an error."""
    for key, value in flavour.items():
        if key.lower() == field:
            return (key,)
        if key.lower() in _PROPERTIES:
            properties: _Steps = (key, field) if isinstance(value, dict) else (key,)
            if field in str(value):
                return properties
    return ()


def _vm(flavour: dict[str, object], notes: list[str]) -> Vm:
    fields = {key.lower(): value for key, value in flavour.items()}
    name = fields.get("name")
    if not isinstance(name, str) or not name.strip():
        raise InputError("flavour", "name", "is missing or no text")
    thing = f"flavour {name!r:.80}"
    vcpus = _whole(fields, "vcpus", thing, VCPUS_MAX)
    memory_mib = _whole(fields, "ram", thing, MIB_MAX)
    specs = nova_specs.Specs(thing, _extra_specs(fields, thing))
    cpu_policy, thread_policy = nova_specs.cpu_policies(specs, notes)
    pages = nova_specs.page_size(specs, notes)
    implied = pages is not None or cpu_policy is CpuPolicy.DEDICATED
    cells = nova_specs.guest_cells(specs, vcpus, memory_mib, implied, notes)
    vm = guest_vm(
        name,
        vcpus,
        memory_mib,
        cells,
        notes,
        pages=pages or PageSize.SMALL,
        binding=Binding(MemoryMode.STRICT) if cells else UNBOUND,
        devices=nova_specs.devices(specs, bool(cells), notes),
    )
    if unused := specs.unused():
        left = shown([f"{key:.60}" for key in unused], _SHOWN_MAX)
        notes.append(f"extra specs left out: {left}")
    return replace(vm, cpu_policy=cpu_policy, thread_policy=thread_policy)


def _whole(fields: dict[str, object], key: str, thing: str, high: int) -> int:
    """A whole number, or text that is one."""
    value = fields.get(key)
    if value is None:
        raise InputError(thing, key, "is missing")
    if isinstance(value, str):
        return parse_whole(value, thing=thing, field=key, low=1, high=high)
    check_int(thing, key, value, 1, high)
    return int(str(value))


def _extra_specs(fields: dict[str, object], thing: str) -> dict[str, str]:
    stated = [key for key in _PROPERTIES if fields.get(key)]
    if not stated:
        return {}
    value = fields[stated[0]]
    if isinstance(value, str):
        return nova_specs.split_properties(value, thing)
    if not isinstance(value, dict):
        raise InputError(thing, stated[0], f"must be an object or text, not {value!r:.40}")
    specs: dict[str, str] = {}
    for key, item in value.items():
        if isinstance(item, bool):
            item = "true" if item else "false"
        if not isinstance(item, str | int):
            raise InputError(thing, str(key), f"must be text or a whole number, not {item!r:.40}")
        specs[str(key)] = str(item).strip()
    return specs
