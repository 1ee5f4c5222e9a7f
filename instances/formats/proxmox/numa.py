"""The guest NUMA cells of a Proxmox VM: its numaN lines, or one for each socket."""

from __future__ import annotations

from dataclasses import dataclass, replace

from numaplace.instances.formats.guest import Binding, missing_vcpus
from numaplace.instances.formats.proxmox.conf_text import Conf
from numaplace.instances.ranges import format_ids, parse_whole
from numaplace.instances.reading import located
from numaplace.models.topology import MIB_MAX
from numaplace.models.vm import CELLS_MAX, VCPUS_MAX, MemoryMode

NUMA_MAX = 8
"""Proxmox knows numa0 to numa7."""

POLICIES = {
    "bind": MemoryMode.STRICT,
    "preferred": MemoryMode.PREFERRED,
    "interleave": MemoryMode.INTERLEAVE,
}


@dataclass(frozen=True, slots=True)
class ConfCell:
    """vCPUs and memory of a guest cell, and where that is bound (None: not said)."""

    vcpus: frozenset[int]
    memory_mib: int
    binding: Binding | None = None


def guest_cells(conf: Conf, vcpus: int, memory_mib: int, notes: list[str]) -> tuple[ConfCell, ...]:
    """Return the guest's cells; none if it has no NUMA of its own."""
    keys = conf.numbered("numa")
    for key in keys:
        if int(key[4:]) >= NUMA_MAX:
            raise conf.error(key, f"does not exist, numa0 to numa{NUMA_MAX - 1} do")
    if not conf.flag("numa", False):
        if keys:
            notes.append(f"VM {conf.name!r}: its numaN lines do not count without 'numa: 1'")
        return ()
    if keys:
        return _stated_cells(conf, keys, vcpus, memory_mib, notes)
    sockets = conf.whole("sockets", 1, VCPUS_MAX, 1)
    if sockets == 1:
        return ()
    if sockets > CELLS_MAX:
        raise conf.error("sockets", f"{sockets} guest NUMA cells are more than {CELLS_MAX}")
    each, more = divmod(memory_mib, sockets)
    if more:
        notes.append(f"VM {conf.name!r}: {memory_mib} MiB are not even over {sockets} sockets")
    cores = vcpus // sockets
    return tuple(
        ConfCell(frozenset(range(at * cores, (at + 1) * cores)), each + (at < more))
        for at in range(sockets)
    )


def _stated_cells(
    conf: Conf, keys: list[str], vcpus: int, memory_mib: int, notes: list[str]
) -> tuple[ConfCell, ...]:
    cells: list[ConfCell] = []
    for key in keys:
        with located(conf.file, conf.line(key)):
            cells.append(_cell(conf, key))
    missing = missing_vcpus(
        [cell.vcpus for cell in cells],
        vcpus,
        "the VM has",
        lambda at, reason: conf.error(keys[at], reason),
    )
    total = sum(cell.memory_mib for cell in cells)
    if total != memory_mib:
        raise conf.error(keys[-1], f"the cells' memory adds up to {total}, memory is {memory_mib}")
    if missing:
        cells[0] = replace(cells[0], vcpus=cells[0].vcpus | missing)
        told = f"vCPUs {format_ids(missing)}, which no numaN line names,"
        notes.append(f"VM {conf.name!r}: {told} are taken to be in {keys[0]}")
    return tuple(cells)


def _cell(conf: Conf, key: str) -> ConfCell:
    """The cell that a numaN line states."""
    options = conf.options(key, ("cpus", "hostnodes", "memory", "policy"))
    for option in ("cpus", "memory"):
        if option not in options:
            raise conf.error(key, f"{option} is missing")
    cpus = conf.ids(options["cpus"], f"{key} cpus")
    mib = parse_whole(
        options["memory"], thing=conf.thing, field=f"{key} memory", low=1, high=MIB_MAX
    )
    policy = options.get("policy")
    if policy is not None and policy not in POLICIES:
        raise conf.error(key, f"policy {policy!r:.20} is none of {', '.join(POLICIES)}")
    if "hostnodes" not in options:
        return ConfCell(cpus, mib)
    if policy is None:
        raise conf.error(key, "hostnodes needs a policy")
    nodes = conf.ids(options["hostnodes"], f"{key} hostnodes")
    return ConfCell(cpus, mib, Binding(POLICIES[policy], nodes))
