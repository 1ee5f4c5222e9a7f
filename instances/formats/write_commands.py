"""Commands that bring VMs that run already to where a plan wants them: xl and virsh.

What cannot be changed while a VM runs (guest cells, devices, where its memory lies) is left out
with a remark.
"""

from __future__ import annotations

import re
import shlex

from numaplace.instances.formats.format import AffinityKind
from numaplace.instances.formats.placed import PlacedVm
from numaplace.instances.formats.write_placed import other_pcpus
from numaplace.instances.ranges import format_ids
from numaplace.instances.reading import Reading
from numaplace.models.units import PageSize

SCRIPT = "#!/bin/sh\nset -e\n"
"""How a script of commands begins."""


def write_xl_commands(
    placed: PlacedVm, affinity: AffinityKind, source: str | None, file: str
) -> Reading[str]:
    """Return lines of ``xl vcpu-pin`` and ``xl mem-set`` for a planned VM that runs.

    `InputError` if xl would take its name for a number.
    """
    domain = _name(placed, "a domain's id")
    dashes = "-- " if placed.vm.name.startswith("-") else ""
    masks = [_masks(pcpus, affinity) for pcpus in placed.pins]
    pins = [("all", masks[0])] if len(set(masks)) == 1 else list(enumerate(masks))
    lines = [f"xl vcpu-pin {dashes}{domain} {vcpu} {mask}" for vcpu, mask in pins]
    if placed.ballooned:
        lines.append(f"xl mem-set {dashes}{domain} {placed.target_mib}")
    reason = "Xen does not move memory that a domain has already"
    return _told(lines, [*placed.kept(None), reason])


def _told(lines: list[str], notes: list[str]) -> Reading[str]:
    return Reading("".join(line + "\n" for line in lines), tuple(notes))


def _masks(pcpus: str, affinity: AffinityKind) -> str:
    """Hard and soft affinity as ``xl vcpu-pin`` takes them."""
    hard = "all" if affinity is AffinityKind.SOFT else pcpus
    return f"{hard} {'all' if affinity is AffinityKind.HARD else pcpus}"


def write_virsh_commands(
    placed: PlacedVm, affinity: AffinityKind, source: str | None, file: str
) -> Reading[str]:
    """Return lines of ``virsh vcpupin``, ``emulatorpin``, ``numatune`` and ``setmem``.

    Pins and memory size hold at once and after a restart, the binding of memory after a restart
    only, as libvirt moves the memory of no running domain whose mode is strict. `InputError` if
    virsh would take its name for a number.
    """
    domain = f"--domain {_name(placed, 'an id')}"
    lines = [
        f"virsh vcpupin {domain} --vcpu {vcpu} --cpulist {pcpus} --live --config"
        for vcpu, pcpus in enumerate(placed.pins)
    ]
    pcpus, told = other_pcpus(placed, allocated=placed.vm.page_size is not PageSize.SMALL)
    others = format_ids(pcpus)
    notes = [*told]
    lines.append(f"virsh emulatorpin {domain} --cpulist {others} --live --config")
    if placed.shows_cells:
        notes.append("virsh cannot bind guest cells; edit its XML for that")
    else:
        binding = placed.binding(placed.memory_nodes)
        nodes = format_ids(placed.memory_nodes)
        lines.append(f"virsh numatune {domain} --mode {binding.mode} --nodeset {nodes} --config")
        notes.append("its memory is bound from its next start on")
    if placed.ballooned and placed.vm.page_size is PageSize.SMALL:
        lines.append(f"virsh setmem {domain} --size {placed.target_mib}MiB --live --config")
    return _told(lines, [*notes, *placed.kept(None)])


def _name(placed: PlacedVm, what: str) -> str:
    name = placed.vm.name
    if re.fullmatch(r"[0-9]+", name.strip()):
        raise placed.error("name", f"would be taken for {what}, use one that is no number")
    return shlex.quote(name)
