"""The NUMA parts of a planned libvirt domain: guest cells, and where memory is bound."""

from __future__ import annotations

from xml.etree.ElementTree import Element

from numaplace.instances.formats.guest import changed_pins
from numaplace.instances.formats.libvirt.numa import cell_elements, memnodes
from numaplace.instances.formats.libvirt.size import MIB, attribute_bytes
from numaplace.instances.formats.placed import PlacedVm
from numaplace.instances.formats.write_placed import amounts_note, guest_distances
from numaplace.instances.ranges import format_ids
from numaplace.instances.xmlfile import ids_attribute
from numaplace.instances.xmlspans import NewElement, XmlText
from numaplace.models.vm import MemoryMode


def apply_cells(xml: XmlText, placed: PlacedVm) -> list[str]:
    """Write the guest's cells; return remarks."""
    numa = xml.root.find("cpu/numa")
    if not placed.shows_cells:
        if numa is None:
            return []
        xml.remove(numa)
        return ["the source's guest NUMA cells are taken away"]
    if numa is None:
        xml.put("cpu", NewElement("numa", children=_new_cells(placed)))
        return []
    elements = cell_elements(xml.root)
    if len(elements) != len(placed.cells):
        for element in elements.values():
            xml.remove(element)
        for new in _new_cells(placed):
            xml.add(numa, new)
        return ["its guest NUMA cells are written anew"]
    for (_, element), cell in zip(sorted(elements.items()), placed.cells, strict=True):
        xml.set_attributes(element, cpus=format_ids(cell.vcpus))
        if attribute_bytes(element, "memory") != cell.size_mib * MIB:
            xml.set_attributes(element, memory=cell.size_mib, unit="MiB")
    return []


def apply_memory_binding(xml: XmlText, placed: PlacedVm) -> list[str]:
    """Write the nodes that the memory lies on; return remarks."""
    new: list[NewElement] = []
    cells = placed.cells if placed.shows_cells else ()
    _bind_whole(xml, placed, new)
    old = memnodes(xml.root)
    was = {f"memory of cell {number}": _nodeset(element) for number, element in old.items()}
    was["memory"] = _nodeset(xml.root.find("numatune/memory"))
    # An existing <numa> keeps its numbers only if it keeps its cells.
    numbers = sorted(cell_elements(xml.root)) if cells else []
    if len(numbers) != len(cells):
        numbers = list(range(len(cells)))
    for number, cell in zip(numbers, cells, strict=True):
        values = _binding(placed, cell.memory_nodes)
        if number in old:
            xml.set_attributes(old.pop(number), **values)
        else:
            new.append(NewElement("memnode", {"cellid": number, **values}))
    for element in old.values():
        xml.remove(element)
    if new or xml.root.find("numatune") is None:
        xml.put("numatune", *new)
    nodes = dict.fromkeys(was, format_ids(placed.memory_nodes))
    for number, cell in zip(numbers, cells, strict=True):
        nodes[f"memory of cell {number}"] = format_ids(cell.memory_nodes)
    changes = ((what, old_nodes, f"node {nodes[what]}") for what, old_nodes in was.items())
    notes = list(changed_pins(changes))
    return notes + [n for group in placed.groups for n in amounts_note(placed, group, "libvirt")]


def _nodeset(element: Element | None) -> str | None:
    """Nodes that an element binds memory to."""
    if element is None or not element.get("nodeset"):
        return None
    return f"node {format_ids(ids_attribute(element, 'nodeset'))}"


def _bind_whole(xml: XmlText, placed: PlacedVm, new: list[NewElement]) -> None:
    """Bind what is in no guest cell, unless cells may spill and nothing bound it before."""
    memory = xml.root.find("numatune/memory")
    values = _binding(placed, placed.memory_nodes)
    if placed.shows_cells and placed.vm.memory_mode is MemoryMode.PREFERRED:
        if memory is not None:
            xml.remove(memory)
    elif memory is None:
        new.insert(0, NewElement("memory", values))
    else:
        xml.set_attributes(memory, **values)
        if memory.get("placement") == "auto":
            xml.set_attributes(memory, placement="static")


def _binding(placed: PlacedVm, nodes: frozenset[int]) -> dict[str, str]:
    return {"mode": str(placed.binding(nodes).mode), "nodeset": format_ids(nodes)}


def _new_cells(placed: PlacedVm) -> tuple[NewElement, ...]:
    distances = guest_distances(placed)
    return tuple(
        NewElement(
            "cell",
            {"id": number, "cpus": format_ids(cell.vcpus), "memory": cell.size_mib, "unit": "MiB"},
            children=(_siblings(distances[number]),) if len(distances) > 1 else (),
        )
        for number, cell in enumerate(placed.cells)
    )


def _siblings(row: list[int]) -> NewElement:
    siblings = [NewElement("sibling", {"id": n, "value": value}) for n, value in enumerate(row)]
    return NewElement("distances", children=tuple(siblings))
