"""What writers have in common: devices that are exchanged, distances, and what cannot be said."""

from __future__ import annotations

from collections.abc import Sequence

from numaplace.instances.formats.placed import NumberedCell, PlacedVm
from numaplace.instances.ranges import format_ids
from numaplace.models.vm import MemoryMode


def exchanged_devices(
    placed: PlacedVm, present: Sequence[str]
) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return which devices of a source become others, and which are to be added.

    A device that the plan does not take becomes one of the same kind that it does, so that all the
    source says of it stays. For VMs without requests the source's devices are left alone.
    `InputError` if it passes through one that the plan neither takes nor exchanges.
    """
    if not placed.vm.devices:
        return {}, ()
    kinds = {device.address: device.kind for device in placed.host.devices}
    missing = [address for address in placed.addresses if address not in present]
    exchanged: dict[str, str] = {}
    for address in present:
        if address in placed.addresses:
            continue
        kind = kinds.get(address)
        found = next((new for new in missing if kind and kinds.get(new) == kind), None)
        if found is None:
            reason = f"{address} is passed through by the source, but not taken by the plan"
            raise placed.error("devices", reason)
        exchanged[address] = found
        missing.remove(found)
    return exchanged, tuple(missing)


def amounts_note(placed: PlacedVm, cells: Sequence[NumberedCell], what: str) -> tuple[str, ...]:
    """Return a remark if memory of `cells` is on several nodes, and not evenly by its mode."""
    nodes = frozenset[int]().union(*(cell.memory_nodes for cell in cells))
    if len(nodes) < 2 or placed.vm.memory_mode is MemoryMode.INTERLEAVE:
        return ()
    told = ", ".join(f"{mib} MiB on {node}" for node, mib in sorted(node_sums(cells).items()))
    reason = f"cannot say how much memory lies on each of nodes {format_ids(nodes)}"
    return (f"{what} {reason} (planned: {told})",)


def node_sums(cells: Sequence[NumberedCell]) -> dict[int, int]:
    """Memory of cells in MiB by node."""
    sums: dict[int, int] = {}
    for cell in cells:
        for node, mib in cell.memory_mib:
            sums[node] = sums.get(node, 0) + mib
    return sums


def guest_distances(placed: PlacedVm) -> list[list[int]]:
    """Distances between guest cells as SLIT values: those of the nodes their memory is on."""
    position = placed.host.position
    relative = placed.host.relative
    homes = [position[cell.main_node] for cell in placed.cells]
    return [
        [
            10 if a == b else min(254, max(11, round(10 * relative[home_a][home_b])))
            for b, home_b in enumerate(homes)
        ]
        for a, home_a in enumerate(homes)
    ]


def other_pcpus(
    placed: PlacedVm, *, allocated: bool = False
) -> tuple[frozenset[int], tuple[str, ...]]:
    """Return pCPUs for the hypervisor's own threads, and remarks if they are not at home.

    Those of its nodes that no dedicated vCPU holds, else of the nearest node that has any; its own
    if the host has none. If its pages are `allocated` at its start, QEMU's threads for that run on
    the pages' nodes, or it does not start: then some of each such node are among them.
    """
    host, nodes, notes = placed.host, placed.host.nodes, list[str]()
    homes = {host.position[cell.node] for cell in placed.cells}
    free = [frozenset(p.id for p in node.pcpus) & placed.free_pcpus for node in nodes]
    pcpus = frozenset[int]().union(*(free[home] for home in homes))
    if not pcpus:
        away = {
            n: min(host.relative[home][n] for home in homes) for n, each in enumerate(free) if each
        }
        near = min(away, key=lambda n: (away[n], n), default=None)
        pcpus = placed.all_pcpus if near is None else free[near]
        reason = "the host; its emulator threads run on its own"
        if near is not None:
            reason = f"its node(s); its emulator threads run on node {nodes[near].id}"
        notes.append(f"dedicated vCPUs hold every pCPU of {reason}")
    for node in (nodes[host.position[n]] for n in placed.memory_nodes if allocated):
        whole = frozenset(pcpu.id for pcpu in node.pcpus)
        if whole and not whole & pcpus:
            pcpus |= whole & placed.free_pcpus or whole & placed.all_pcpus or whole
            reason = f"its pages are allocated by threads on node {node.id}: they may run there"
            notes.append(f"{reason}, too")
    return pcpus, tuple(notes)
