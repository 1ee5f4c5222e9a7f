"""A planned VM as an OpenStack flavour with extra specs, as ``openstack flavor show`` prints it.

Nova chooses host nodes, pCPUs and devices itself: what can be said is how the VM is cut into cells,
how it holds pCPUs, its page size and how near its devices must be.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from numaplace.instances.formats.format import AffinityKind, AppliedFile, Format
from numaplace.instances.formats.guest import PAGE_KIB
from numaplace.instances.formats.openstack import flavours
from numaplace.instances.formats.placed import PlacedVm
from numaplace.instances.ranges import format_ids
from numaplace.instances.reading import Reading
from numaplace.models.units import PageSize
from numaplace.models.vm import CpuPolicy, MemoryMode


def write_openstack(
    placed: PlacedVm, affinity: AffinityKind, source: str | None, file: str
) -> Reading[str]:
    """Return a flavour for a planned VM, as JSON; `InputError` if Nova could not cut it so."""
    vm = placed.vm
    notes: list[str] = []
    specs = _cpu_specs(placed) | _cell_specs(placed, notes)
    if vm.page_size is not PageSize.SMALL:
        specs["hw:mem_page_size"] = str(PAGE_KIB[vm.page_size])
    specs |= _device_specs(placed, notes)
    notes.append("Nova chooses host nodes itself; those of the plan are left out")
    if placed.ballooned:
        notes.append("Nova does not balloon; all its memory is asked for")
    flavour = {"name": vm.name, "vcpus": vm.vcpus, "ram": vm.memory_mib, "properties": specs}
    return Reading(json.dumps(flavour, indent=2, ensure_ascii=False) + "\n", tuple(notes))


def _cpu_specs(placed: PlacedVm) -> dict[str, str]:
    if placed.vm.cpu_policy is not CpuPolicy.DEDICATED:
        return {}
    threads = str(placed.vm.thread_policy)
    return {"hw:cpu_policy": "dedicated", "hw:cpu_thread_policy": threads}


def _cell_specs(placed: PlacedVm, notes: list[str]) -> dict[str, str]:
    vm, cells = placed.vm, placed.cells
    if len(cells) > 1 and not placed.shows_cells:
        if vm.cpu_policy is CpuPolicy.DEDICATED or vm.page_size is not PageSize.SMALL:
            reason = (
                f"Nova keeps a guest without a topology of its own on one node, the plan cuts it "
                f"into {len(cells)} cells: use guest_numa 'automatic'"
            )
            raise placed.error("guest_numa", reason)
        notes.append("Nova lets a guest without a topology of its own run on all nodes")
        return {}
    if any(cell.memory_nodes != {cell.node} for cell in cells):
        notes.append("Nova keeps a cell's memory on the node of its vCPUs")
    elif vm.memory_mode is not MemoryMode.STRICT:
        notes.append(f"Nova is strict about memory, mode {vm.memory_mode} is not")
    specs = {"hw:numa_nodes": str(len(cells))}
    for number, cell in enumerate(cells):
        specs[f"hw:numa_cpus.{number}"] = format_ids(cell.vcpus)
        specs[f"hw:numa_mem.{number}"] = str(cell.size_mib)
    return specs


def _device_specs(placed: PlacedVm, notes: list[str]) -> dict[str, str]:
    requests = placed.vm.devices
    if not requests:
        return {}
    policies = sorted({str(request.policy) for request in requests})
    if len(policies) > 1:
        reason = f"Nova has one PCI policy for all requests, not {' and '.join(policies)}"
        raise placed.error("devices", reason)
    notes.append("its device requests need PCI aliases of the same names in Nova")
    alias = ",".join(f"{request.kind}:{request.count}" for request in requests)
    return {"pci_passthrough:alias": alias, "hw:pci_numa_affinity_policy": policies[0]}


def join(files: Sequence[AppliedFile]) -> str:
    """Return flavours as one list."""
    return "[\n" + ",\n".join(file.text.rstrip("\n") for file in files) + "\n]\n"


OPENSTACK = Format(
    *("openstack", "OpenStack flavours as JSON or YAML", f"{flavours.__doc__}\n{__doc__}"),
    sniff=flavours.sniff,
    read_vms=lambda path, host: flavours.read_vms(path),
    write=write_openstack,
    suffix=".json",
    system="Nova",
    join=join,
)
