"""A planned VM as an xl configuration (xl.cfg): a given one edited, or what a plan decides.

==================== ===========================================================================
plan                 xl.cfg
==================== ===========================================================================
vCPUs                vcpus (maxvcpus is left out unless both together say the same)
their pCPUs          cpus (hard), cpus_soft (soft): one text, or one for each vCPU; both
                     unless told otherwise
memory, ballooning   memory (after ballooning), maxmem
guest cells          vnuma: pnode is the node most of a cell's pages are on; not for PV guests,
                     not with ballooning (Xen refuses both)
devices              pci
==================== ===========================================================================

Xen spreads the memory of a guest without vnuma evenly over the nodes its vCPUs are kept on; but
since 4.12 ``cpus`` alone does not say so: automatic placement then chooses nodes of its own.
"""

from __future__ import annotations

from numaplace.instances.formats.format import AffinityKind
from numaplace.instances.formats.guest import changed_pins
from numaplace.instances.formats.placed import PlacedVm
from numaplace.instances.formats.write_placed import exchanged_devices, guest_distances, node_sums
from numaplace.instances.formats.xen.xl_cfg import bdf_of, vcpu_texts
from numaplace.instances.formats.xen.xl_text import XlText, XlValue
from numaplace.instances.pci import parse_pci_functions
from numaplace.instances.ranges import format_ids, parse_c_whole
from numaplace.instances.reading import Reading
from numaplace.models.topology import MIB_MAX
from numaplace.models.units import PageSize
from numaplace.models.vm import VCPUS_MAX, CpuPolicy, MemoryMode


def write_xl(
    placed: PlacedVm, affinity: AffinityKind, source: str | None, file: str
) -> Reading[str]:
    """Return the xl configuration of a planned VM: its `source`, edited, or a new one.

    `InputError` if Xen would refuse or not do what the plan says.
    """
    text = XlText(source or "", file)
    if source is None:
        text.set("name", placed.vm.name)
        if placed.shows_cells:
            text.set("type", "hvm")
    hvm = _kind(text) == "hvm" or (source is None and placed.shows_cells)
    _apply_vcpus(text, placed)
    notes = _apply_memory(text, placed, hvm)
    notes += _apply_affinity(text, placed, affinity)
    notes += _apply_vnuma(text, placed, hvm)
    notes += _memory_notes(placed, affinity)
    _apply_devices(text, placed)
    if placed.vm.page_size is not PageSize.SMALL:
        notes.append(f"xl cannot ask for {placed.vm.page_size} pages")
    return Reading(text.result(), tuple(notes))


def _kind(text: XlText) -> str:
    """What a guest is: ``hvm``, ``pvh``, or else ``pv``."""
    kind = text.value("type") or text.value("builder")
    return kind if kind in ("hvm", "pvh") else "pv"


def _apply_vcpus(text: XlText, placed: PlacedVm) -> None:
    vcpus = placed.vm.vcpus
    most = text.value("maxvcpus") or text.value("vcpus") or ("1" if text.settings else "0")
    if isinstance(most, str) and _number(most, VCPUS_MAX) == vcpus:
        return
    text.set_number("vcpus", vcpus)
    text.remove("maxvcpus")


def _number(text: str, high: int) -> int:
    return parse_c_whole(text, thing="xl configuration", field="number", low=0, high=high)


def _apply_memory(text: XlText, placed: PlacedVm, hvm: bool) -> list[str]:
    if placed.ballooned and placed.shows_cells:
        reason = "Xen refuses memory below maxmem together with vnuma, but the plan balloons it"
        raise placed.error("memory", reason)
    if placed.ballooned and hvm and placed.addresses:
        reason = "Xen refuses memory below maxmem together with PCI devices in an HVM guest"
        raise placed.error("memory", reason)
    now = text.value("memory")
    now_mib = _number(now, MIB_MAX) if isinstance(now, str) else 0
    kept = placed.kept(now_mib)
    if not kept:
        _set_mib(text, "memory", placed.target_mib)
    if placed.ballooned or "maxmem" in text.settings:
        _set_mib(text, "maxmem", placed.vm.memory_mib)
    return kept


def _set_mib(text: XlText, key: str, mib: int) -> None:
    old = text.value(key)
    if not isinstance(old, str) or _number(old, MIB_MAX) != mib:
        text.set_number(key, mib)


def _apply_affinity(text: XlText, placed: PlacedVm, affinity: AffinityKind) -> list[str]:
    masks = placed.pins
    hard = placed.vm.hard_nodes
    nodes = (node for node in placed.host.nodes if hard is not None and node.id in hard)
    allowed = format_ids(pcpu.id for node in nodes for pcpu in node.pcpus)
    now = {
        "cpus": (allowed,) * len(masks) if affinity is AffinityKind.SOFT else masks,
        "cpus_soft": ("",) * len(masks) if affinity is AffinityKind.HARD else masks,
    }
    was: list[tuple[str, str | None, str]] = []
    for key, texts in now.items():
        for vcpu, old in enumerate(_texts(text, key, len(texts))):
            was.append((f"{key} of vCPU {vcpu}", old, texts[vcpu] or "all"))
        if not any(texts):
            text.remove(key)
        else:
            text.set(key, texts[0] if len(set(texts)) == 1 else texts)
    notes = list(changed_pins(was))
    if affinity is AffinityKind.SOFT and placed.vm.cpu_policy is CpuPolicy.DEDICATED:
        notes.append("its pCPUs are only wished for: others may run on them")
    return notes


def _texts(text: XlText, key: str, vcpus: int) -> list[str | None]:
    """What a key says of each vCPU; None where it says nothing, or ``all``."""
    each = vcpu_texts(text.value(key), vcpus)
    return [None if word == "all" else word for word in each] + [None] * (vcpus - len(each))


def _apply_vnuma(text: XlText, placed: PlacedVm, hvm: bool) -> list[str]:
    if not placed.shows_cells:
        text.remove("vnuma")
        return []
    if not hvm:
        raise placed.error(
            "vnuma", f'Xen refuses it for {_kind(text).upper()} guests: give type = "hvm"'
        )
    vnodes: tuple[XlValue, ...] = tuple(
        (
            f"pnode={cell.main_node}",
            f"size={cell.size_mib}",
            f"vcpus={format_ids(cell.vcpus)}",
            f"vdistances={','.join(map(str, row))}",
        )
        for cell, row in zip(placed.cells, guest_distances(placed), strict=True)
    )
    text.set("vnuma", vnodes)
    reason = "a cell of vnuma has one node, the plan puts cell"
    return [
        f"{reason} {number} on nodes {format_ids(cell.memory_nodes)}"
        for number, cell in enumerate(placed.cells)
        if len(cell.memory_nodes) > 1
    ]


def _memory_notes(placed: PlacedVm, affinity: AffinityKind) -> list[str]:
    """Where Xen puts memory in another way than planned."""
    notes: list[str] = []
    homes = frozenset(cell.node for cell in placed.cells)
    if not placed.shows_cells:
        if affinity is AffinityKind.HARD:
            notes.append("without cpus_soft Xen (since 4.12) may put its memory on other nodes")
        if placed.memory_nodes != homes:
            nodes = format_ids(placed.memory_nodes)
            reason = "Xen spreads it evenly over the nodes of its vCPUs"
            notes.append(f"xl cannot put memory on node(s) {nodes}; {reason}")
        elif len(homes) > 1:
            sums = node_sums(placed.cells)
            # Plans count in blocks of a 64th or less.
            if max(sums.values()) - min(sums.values()) > sum(sums.values()) // 64 + 1:
                told = ", ".join(f"{mib} MiB on {node}" for node, mib in sorted(sums.items()))
                reason = f"Xen spreads its memory evenly over nodes {format_ids(homes)}"
                notes.append(f"{reason} (planned: {told})")
    if placed.vm.memory_mode is MemoryMode.STRICT:
        notes.append("Xen falls back to other nodes where memory is short")
    return notes


def _apply_devices(text: XlText, placed: PlacedVm) -> None:
    old = text.value("pci")
    items = [item for item in (old if isinstance(old, tuple) else ()) if isinstance(item, str)]
    found = [_bdf(item) for item in items]
    exchanged, added = exchanged_devices(placed, [address for address, _ in found])
    if not exchanged and not added:
        return
    changed = [
        item.replace(bdf, exchanged.get(address, bdf), 1)
        for item, (address, bdf) in zip(items, found, strict=True)
    ]
    text.set("pci", (*changed, *added))


def _bdf(item: str) -> tuple[str, str]:
    """Address of a PCI specification, and how it is spelt there."""
    spelt = bdf_of(item)
    address, _ = parse_pci_functions(spelt, thing="xl configuration", field="pci")
    return address, spelt
