"""The NUMA parts of a planned libvirt domain: guest cells, and where memory is bound."""

from __future__ import annotations

from xml.etree.ElementTree import Element

from numaplace.instances.formats.guest import changed_pins
from numaplace.instances.formats.libvirt.size import MIB, size_bytes
from numaplace.instances.formats.placed import PlacedVm
from numaplace.instances.formats.write_placed import amounts_note, guest_distances
from numaplace.instances.ranges import format_ids, parse_ids
from numaplace.instances.xmlspans import NewElement, Span, XmlText
from numaplace.models.vm import MemoryMode


def apply_cells(xml: XmlText, placed: PlacedVm) -> list[str]:
    """Write the guest's cells; return remarks."""
    numa = xml.root.find("cpu/numa")
    if not placed.shows_cells:
        if numa is None:
            return []
        xml.remove(numa)
        return [f"{placed.thing}: the source's guest NUMA cells are taken away"]
    if numa is None:
        xml.put("cpu", NewElement("numa", children=_new_cells(placed)))
        return []
    spans = _by_number(numa)
    if len(spans) != len(placed.cells):
        for span in spans.values():
            xml.remove(span)
        for element in _new_cells(placed):
            xml.add(numa, element)
        return [f"{placed.thing}: its guest NUMA cells are written anew"]
    for number, cell in zip(sorted(spans), placed.cells, strict=True):
        span = spans[number]
        xml.set_attributes(span, cpus=format_ids(cell.vcpus))
        if span_bytes(span, "memory") != cell.size_mib * MIB:
            xml.set_attributes(span, memory=cell.size_mib, unit="MiB")
    return []


def apply_memory_binding(xml: XmlText, placed: PlacedVm) -> list[str]:
    """Write the nodes that the memory lies on; return remarks."""
    tune = xml.root.find("numatune")
    new: list[NewElement] = []
    cells = placed.cells if placed.shows_cells else ()
    _bind_whole(tune, xml, placed, new)
    old = {} if tune is None else {int(s.attributes["cellid"]): s for s in tune.all("memnode")}
    memory = None if tune is None else tune.find("memory")
    was = {f"memory of cell {number}": _nodeset(span) for number, span in old.items()}
    was["memory"] = _nodeset(memory)
    numa = xml.root.find("cpu/numa")
    # An existing <numa> keeps its numbers only if it keeps its cells.
    numbers = sorted(_by_number(numa)) if numa is not None and cells else []
    if len(numbers) != len(cells):
        numbers = list(range(len(cells)))
    for number, cell in zip(numbers, cells, strict=True):
        values = _binding(placed, cell.memory_nodes)
        if number in old:
            xml.set_attributes(old.pop(number), **values)
        else:
            new.append(NewElement("memnode", {"cellid": number, **values}))
    for span in old.values():
        xml.remove(span)
    if new or tune is None:
        xml.put("numatune", *new)
    nodes = dict.fromkeys(was, format_ids(placed.memory_nodes))
    for number, cell in zip(numbers, cells, strict=True):
        nodes[f"memory of cell {number}"] = format_ids(cell.memory_nodes)
    changes = ((what, old_nodes, f"node {nodes[what]}") for what, old_nodes in was.items())
    notes = list(changed_pins(placed.thing, changes))
    return notes + [n for group in placed.groups for n in amounts_note(placed, group, "libvirt")]


def _nodeset(span: Span | None) -> str | None:
    """Nodes that an element binds memory to."""
    text = None if span is None else span.attributes.get("nodeset")
    if not text:
        return None
    return f"node {format_ids(parse_ids(text, thing='numatune', field='nodeset'))}"


def _bind_whole(tune: Span | None, xml: XmlText, placed: PlacedVm, new: list[NewElement]) -> None:
    """Bind what is in no guest cell, unless cells may spill and nothing bound it before."""
    memory = None if tune is None else tune.find("memory")
    values = _binding(placed, placed.memory_nodes)
    if placed.shows_cells and placed.vm.memory_mode is MemoryMode.PREFERRED:
        if memory is not None:
            xml.remove(memory)
    elif memory is None:
        new.insert(0, NewElement("memory", values))
    else:
        xml.set_attributes(memory, **values)
        if memory.attributes.get("placement") == "auto":
            xml.set_attributes(memory, placement="static")


def _binding(placed: PlacedVm, nodes: frozenset[int]) -> dict[str, str]:
    return {"mode": str(placed.binding(nodes).mode), "nodeset": format_ids(nodes)}


def _by_number(numa: Span) -> dict[int, Span]:
    """Cells by id; without ids by their order, as libvirt numbers them."""
    cells = enumerate(numa.all("cell"))
    return {int(span.attributes.get("id", order)): span for order, span in cells}


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


def span_bytes(span: Span, attribute: str | None = None) -> int:
    """Return the size that an element holds as text, or in an attribute, in bytes."""
    text = span.text if attribute is None else span.attributes[attribute]
    return size_bytes(Element(span.tag), span.attributes.get("unit"), text, attribute or "")
