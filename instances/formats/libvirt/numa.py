"""The NUMA parts of a libvirt domain: guest cells, memory binding, page size, pins."""

from __future__ import annotations

from dataclasses import dataclass, replace
from xml.etree.ElementTree import Element

from numaplace.instances.formats.guest import (
    PAGE_KIB,
    UNBOUND,
    Binding,
    join_bindings,
    missing_vcpus,
)
from numaplace.instances.formats.libvirt.size import KIB, attribute_bytes, text_bytes, to_mib
from numaplace.instances.ranges import format_ids
from numaplace.instances.xmlfile import attribute, child, error_at, ids_attribute, whole_attribute
from numaplace.models.units import PageSize
from numaplace.models.vm import CELLS_MAX, VCPUS_MAX, Cell, MemoryMode

_PAGES = {kib * KIB: size for size, kib in PAGE_KIB.items()}
_MODES = {
    "strict": MemoryMode.STRICT,
    "preferred": MemoryMode.PREFERRED,
    "interleave": MemoryMode.INTERLEAVE,
    "restrictive": MemoryMode.STRICT,
}


@dataclass(frozen=True, slots=True)
class GuestCell:
    """A guest NUMA cell as the file numbers it; memory in bytes."""

    id: int
    vcpus: frozenset[int]
    memory: int
    element: Element


def id_list(element: Element, name: str) -> frozenset[int]:
    """Return the ids an attribute lists (``1-4,^3``); `InputError` if it lists none."""
    ids = ids_attribute(element, name)
    if not ids:
        raise error_at(element, name, "names none")
    return ids


def cell_elements(domain: Element) -> dict[int, Element]:
    """Return the cells of ``cpu/numa`` by id; without ids by order, as libvirt numbers them."""
    cells: dict[int, Element] = {}
    for order, element in enumerate(domain.iterfind("cpu/numa/cell")):
        number = whole_attribute(element, "id") if "id" in element.attrib else order
        if number in cells:
            raise error_at(element, "id", f"{number} occurs twice")
        if len(cells) == CELLS_MAX:
            raise error_at(element, "", f"is one cell more than {CELLS_MAX}, the most that is read")
        cells[number] = element
    return cells


def by_number(domain: Element, path: str, name: str, twice: str) -> dict[int, Element]:
    """Return elements at a path by the number in their attribute `name`, which none repeats."""
    found: dict[int, Element] = {}
    for element in domain.iterfind(path):
        number = whole_attribute(element, name, high=VCPUS_MAX)
        if number in found:
            raise error_at(element, name, f"{number} {twice}")
        found[number] = element
    return found


def memnodes(domain: Element) -> dict[int, Element]:
    """Return what binds memory of guest cells, by the cell's id."""
    return by_number(domain, "numatune/memnode", "cellid", "occurs twice")


def vcpu_pins(domain: Element) -> dict[int, Element]:
    """Return what pins a vCPU, by vCPU."""
    return by_number(domain, "cputune/vcpupin", "vcpu", "is pinned twice")


def common_pin(domain: Element) -> Element | None:
    """Return the ``vcpu`` whose cpuset holds for every vCPU without a pin of its own."""
    vcpu = domain.find("vcpu")
    counts = vcpu is not None and "cpuset" in vcpu.attrib and vcpu.get("placement") != "auto"
    return vcpu if counts else None


def guest_cells(domain: Element, vcpus: int, notes: list[str]) -> tuple[GuestCell, ...]:
    """Return the cells of ``cpu/numa`` by id; vCPUs that none names are in the first.

    Cells may be without vCPUs. `InputError` for ids or vCPUs that occur twice or do not exist.
    """
    cells: dict[int, GuestCell] = {}
    for number, element in cell_elements(domain).items():
        own = id_list(element, "cpus") if element.get("cpus") else frozenset[int]()
        cells[number] = GuestCell(number, own, attribute_bytes(element, "memory"), element)
    listed = list(cells.values())
    missing = missing_vcpus(
        [cell.vcpus for cell in listed],
        vcpus,
        "<vcpu> is",
        lambda at, reason: error_at(listed[at].element, "cpus", reason),
    )
    if cells and missing:
        first = min(cells)
        cells[first] = replace(cells[first], vcpus=cells[first].vcpus | missing)
        told = f"vCPUs {format_ids(missing)}, which no guest NUMA cell names,"
        notes.append(f"{told} are in cell {first}, as libvirt has it")
    return tuple(cells[number] for number in sorted(cells))


def placed_cells(
    domain: Element, cells: tuple[GuestCell, ...], memory: int | None, notes: list[str]
) -> tuple[tuple[Cell, ...], int]:
    """Return cells with memory devices (DIMMs) added to theirs, and the domain's memory in bytes.

    Memory of a cell without vCPUs counts with the last cell before it that has some. `memory` is
    what ``<memory>`` says in bytes; libvirt goes by the sum of the cells and devices. `InputError`
    if there is neither memory nor a cell, or a device's cell does not exist.
    """
    extra: dict[int, int] = {}
    devices = 0
    for element in domain.iterfind("devices/memory/target"):
        size = text_bytes(child(element, "size"))
        devices += size
        node = element.find("node")
        if cells and node is not None:
            number = (node.text or "").strip()
            known = {str(cell.id): cell.id for cell in cells}
            if number not in known:
                raise error_at(node, "", f"guest NUMA cell {number!r:.20} does not exist")
            extra[known[number]] = extra.get(known[number], 0) + size
    if not cells:
        if memory is None:
            raise error_at(domain, "memory", "is missing")
        return (), memory
    stated = sum(cell.memory for cell in cells)
    if memory is not None and memory != stated + devices:
        notes.append(
            f"its memory is the {(stated + devices) // KIB} KiB of its guest NUMA "
            f"cells and memory devices, as libvirt has it; <memory> is {memory // KIB} KiB"
        )
    sizes: dict[int, int] = {}
    home = next(index for index, cell in enumerate(cells) if cell.vcpus)
    for index, cell in enumerate(cells):
        home = index if cell.vcpus else home
        sizes[home] = sizes.get(home, 0) + cell.memory + extra.get(cell.id, 0)
    bare = frozenset(cell.id for cell in cells if not cell.vcpus)
    if bare:
        notes.append(
            f"memory of guest NUMA cells {format_ids(bare)}, which have no vCPUs, "
            "counts with the cells before them"
        )
    placed = tuple(Cell(len(cells[at].vcpus), to_mib(size)) for at, size in sizes.items())
    return placed, stated + devices


def memory_binding(domain: Element, cells: tuple[GuestCell, ...], notes: list[str]) -> Binding:
    """Return what ``numatune`` says of the memory, cells joined."""
    memory = domain.find("numatune/memory")
    general = None if memory is None else _binding(memory, notes)
    bound: dict[int, Binding] = {}
    for number, element in memnodes(domain).items():
        if number not in {cell.id for cell in cells}:
            raise error_at(element, "cellid", f"guest NUMA cell {number} does not exist")
        attribute(element, "nodeset")
        bound[number] = _binding(element, notes)
    if not bound:
        return general or UNBOUND
    return join_bindings([bound.get(cell.id, general) for cell in cells], notes)


def _binding(element: Element, notes: list[str]) -> Binding:
    word = element.get("mode", "strict")
    if word not in _MODES:
        raise error_at(element, "mode", f"{word!r:.20} is none of {', '.join(_MODES)}")
    if word == "restrictive":
        notes.append("memory mode 'restrictive' is taken as strict")
    automatic = element.get("placement") == "auto"
    if automatic:
        notes.append("numad was to choose its memory nodes; left to the solver")
    nodes = None if automatic or "nodeset" not in element.attrib else id_list(element, "nodeset")
    return Binding(_MODES[word], nodes)


def page_size(domain: Element, cells: tuple[GuestCell, ...], notes: list[str]) -> PageSize:
    """Return the size of the pages that back the memory; `InputError` for other or several ones."""
    huge = domain.find("memoryBacking/hugepages")
    if huge is None:
        return PageSize.SMALL
    pages = huge.findall("page")
    if not pages:
        notes.append("huge pages of the host's default size are taken as 2M")
        return PageSize.HUGE_2M
    sizes: set[PageSize] = set()
    covered: set[int] = set()
    for page in pages:
        size = attribute_bytes(page, "size")
        if size not in _PAGES:
            raise error_at(page, "size", f"{size // KIB} KiB is none of 4K, 2M and 1G")
        sizes.add(_PAGES[size])
        whole = frozenset(cell.id for cell in cells) or frozenset({0})
        covered |= id_list(page, "nodeset") if "nodeset" in page.attrib else whole
    if len(sizes) > 1 or not {cell.id for cell in cells} <= covered:
        reason = "pages of several sizes in one VM are not supported"
        raise error_at(huge, "page", reason)
    return sizes.pop()


def pinned_pcpus(domain: Element, vcpus: int) -> frozenset[int] | None:
    """PCPUs that the vCPUs are pinned to, all together; None if some vCPU may run anywhere."""
    vcpu = common_pin(domain)
    common = None if vcpu is None else id_list(vcpu, "cpuset")
    pins: dict[int, frozenset[int]] = {}
    for number, element in vcpu_pins(domain).items():
        if number >= vcpus:
            raise error_at(element, "vcpu", f"vCPU {number} does not exist, <vcpu> is {vcpus}")
        pins[number] = id_list(element, "cpuset")
    pinned = frozenset[int]().union(*pins.values())
    if len(pins) == vcpus:
        return pinned
    return None if common is None else pinned | common
