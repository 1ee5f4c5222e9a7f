"""Where the nodes of one host are: by socket, near ones near, with arrows to pages away."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from numaplace.models.instance import Instance
from numaplace.models.topology import Host
from numaplace.models.vm import MemoryMode
from numaplace.report.picture.arrange import arranged, columns_for
from numaplace.report.picture.geometry import (
    Arrow,
    Box,
    Label,
    Picture,
    Shape,
    Style,
    merged,
    shortened,
    text_width,
)
from numaplace.report.picture.layout_node import Detail, NodeLayout, node_layout
from numaplace.report.tables.usage import HostUse
from numaplace.report.tables.words import host_words, short_address

GAP = 12.0
ASPECT = 1.6


@dataclass(frozen=True, slots=True)
class Group:
    """Nodes (by position) drawn next to each other, as a rule those of one socket."""

    name: str
    members: tuple[int, ...]


def socket_groups(host: Host) -> tuple[Group, ...]:
    """Group the nodes of a host by socket.

    A node of no known socket (memory that a device brings, as a rule) goes to the group of the
    nearest node that has one; one that spans sockets is a group of its own.
    """
    members: dict[tuple[int, ...], list[int]] = {}
    known = [index for index, node in enumerate(host.nodes) if node.sockets]
    for index, node in enumerate(host.nodes):
        key = tuple(sorted(node.sockets))
        if not key and known:
            nearest = min(known, key=lambda other: _between(host, index, other))
            key = tuple(sorted(host.nodes[nearest].sockets))
        members.setdefault(key, []).append(index)
    return tuple(
        Group(f"socket {'+'.join(map(str, key))}" if key else "", tuple(members[key]))
        for key in sorted(members)
    )


def host_picture(
    instance: Instance, use: HostUse, detail: Detail, numbers: Mapping[str, int]
) -> Picture:
    """Lay out one host; `numbers` are those of the VMs."""
    layouts = [node_layout(node, detail, numbers) for node in use.nodes]
    groups = socket_groups(use.host)
    framed = len(groups) > 1 and any(len(group.members) > 1 for group in groups)
    if not framed:
        groups = (Group("", tuple(range(len(layouts)))),)
    node = layouts[0].picture
    pictures = [_group_picture(use.host, group, layouts, detail, framed) for group in groups]
    width = max(picture.width for picture in pictures)
    height = max(picture.height for picture in pictures)
    between = [[_mean(use.host, a, b) for b in groups] for a in groups]
    slots = arranged(between, columns_for(len(groups), width / height, ASPECT))
    top = 2.0 * detail.title + GAP / 2
    placed = [
        picture.moved(GAP + column * (width + GAP), top + row * (height + GAP))
        for picture, (row, column) in zip(pictures, slots, strict=True)
    ]
    boxes = [shape.box for picture in placed for shape in picture.shapes]
    least = 2 * node.width if len(layouts) > 1 else node.width
    whole = Box(
        0,
        0,
        max(least, *(box.right for box in boxes)) + GAP,
        max(box.bottom for box in boxes) + GAP + _foot_height(use, detail),
    )
    frame = Picture(
        whole.width, whole.height, (Shape(whole, Style.HOST),), _words(use, whole, detail)
    )
    picture = merged(whole.width, whole.height, [frame, *placed])
    return replace(picture, arrows=_arrows(instance, use, layouts, picture))


def _group_picture(
    host: Host, group: Group, layouts: Sequence[NodeLayout], detail: Detail, framed: bool
) -> Picture:
    node = layouts[0].picture
    gap = GAP * detail.text / 8
    columns = columns_for(len(group.members), node.width / node.height, 1.1 if framed else ASPECT)
    distance = [[host.relative[a][b] for b in group.members] for a in group.members]
    slots = arranged(distance, columns)
    margin, top = (gap, 1.2 * detail.text + gap) if framed else (0.0, 0.0)
    placed = [
        layouts[member].picture.moved(
            margin + column * (node.width + gap), top + row * (node.height + gap)
        )
        for member, (row, column) in zip(group.members, slots, strict=True)
    ]
    rows = 1 + max(row for row, _ in slots)
    width = columns * (node.width + gap) - gap + 2 * margin
    height = top + rows * (node.height + gap) - gap + margin
    if not framed:
        return merged(width, height, placed)
    size = detail.text
    name = Label(gap, top / 2 + 1, shortened(group.name, width - 2 * gap, size), size, faint=True)
    frame = Picture(width, height, (Shape(Box(0, 0, width, height), Style.SOCKET),), (name,))
    return merged(width, height, [frame, *placed])


def _words(use: HostUse, whole: Box, detail: Detail) -> tuple[Label, ...]:
    """Name of the host, what it has, and its devices whose node is unknown."""
    room = whole.width - 2 * GAP
    size = detail.title
    y = GAP / 2 + size * 0.7
    name = shortened(use.host.name, room, size, bold=True)
    labels = [Label(GAP, y, name, size, bold=True)]
    words = shortened(
        host_words(use.host), room - text_width(f"{name}  ", size, bold=True), detail.text
    )
    if words:
        labels.append(Label(whole.width - GAP, y, words, detail.text, "right", faint=True))
    if use.devices:
        names = ", ".join(
            f"{d.device.kind} {short_address(d.device.address)}"
            + (f" ({', '.join(name for name, _ in d.holders)})" if d.holders else "")
            for d in use.devices
        )
        text = shortened(f"devices of unknown node: {names}", room, detail.text)
        labels.append(Label(GAP, whole.bottom - GAP / 2 - detail.text / 2, text, detail.text))
    return tuple(labels)


def _foot_height(use: HostUse, detail: Detail) -> float:
    return detail.line if use.devices else 0.0


def _arrows(
    instance: Instance, use: HostUse, layouts: Sequence[NodeLayout], picture: Picture
) -> tuple[Arrow, ...]:
    """Arrows from pages away to their vCPUs; interleaved pages are away by wish and have none."""
    node_boxes = {shape.place: shape.box for shape in picture.shapes if shape.style is Style.NODE}
    found: list[Arrow] = []
    for node, layout in zip(use.nodes, layouts, strict=True):
        at = node_boxes[node.key]
        for (vm, home), box in layout.away.items():
            if instance.vm(vm).memory_mode is MemoryMode.INTERLEAVE:
                continue
            index = use.host.position[home]
            there = node_boxes[use.nodes[index].key]
            cell = layouts[index].cells[vm]
            found.append(Arrow(_facing(box, at, there), _facing(cell, there, at), vm))
    return tuple(found)


def _facing(box: Box, node: Box, other: Box) -> tuple[float, float]:
    """Point on the side of `box`, part of `node`, that faces the other node.

    Nodes above each other are joined through the gutter between their bars.
    """
    left_bar = box.middle[0] < node.width / 2
    ahead = other.x > node.x or (other.x == node.x and left_bar)
    x = box.right - 1 if ahead else box.x + 1
    return node.x + x, node.y + box.middle[1]


def _between(host: Host, a: int, b: int) -> float:
    return (host.relative[a][b] + host.relative[b][a]) / 2


def _mean(host: Host, a: Group, b: Group) -> float:
    pairs = [(i, j) for i in a.members for j in b.members]
    return sum(_between(host, i, j) for i, j in pairs) / len(pairs)
