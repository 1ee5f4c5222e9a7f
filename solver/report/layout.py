"""Where everything of a plan's picture is: hosts, sockets, nodes, and arrows to pages away.

Pure data: `numaplace.solver.report.placement_figure` only draws what is decided here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from numaplace.models.instance import Instance
from numaplace.models.topology import Host
from numaplace.models.vm import MemoryMode
from numaplace.solver.report.arrange import Cell, arranged, columns_for
from numaplace.solver.report.geometry import (
    Arrow,
    Box,
    Label,
    Picture,
    Shape,
    Style,
    merged,
    shortened,
)
from numaplace.solver.report.layout_node import Detail, NodeLayout, device_texts, node_layout
from numaplace.solver.report.usage import HostUse, NodeUse
from numaplace.solver.report.words import host_words

NODES_MAX = 128
ARROWS_MAX = 60
ASPECT = 1.5
GAP = 10.0

# The least number of nodes shown -> the sizes for it.
DETAILS = {
    1: Detail(104, 150, 8, 5, 10.5, 7, 5),
    9: Detail(70, 104, 6.5, 4.5, 8.5, 5, 3),
    33: Detail(48, 62, 5.5, 4.2, 7, 4, 2),
}
BAR_HEIGHT_MAX = 250.0


@dataclass(frozen=True, slots=True)
class HostsLayout:
    """Picture of all hosts shown, and how many were left out for lack of room."""

    picture: Picture
    hosts_left_out: int = 0


def hosts_layout(instance: Instance, uses: Sequence[HostUse]) -> HostsLayout:
    """Lay out hosts side by side, as many as have room, the first first."""
    shown: list[HostUse] = []
    for use in uses:
        if shown and sum(len(u.nodes) for u in [*shown, use]) > NODES_MAX:
            break
        shown.append(use)
    detail = _detail([node for use in shown for node in use.nodes])
    numbers = {vm.name: index + 1 for index, vm in enumerate(instance.vms)}
    pictures = [_host_picture(instance, use, detail, numbers) for use in shown]
    return HostsLayout(_packed(pictures), len(uses) - len(shown))


def _detail(nodes: Sequence[NodeUse]) -> Detail:
    """Choose sizes; bars of few nodes grow until small cells have room for their names."""
    detail = DETAILS[max(least for least in DETAILS if least <= max(1, len(nodes)))]
    lines = max((len(device_texts(node)) for node in nodes), default=0)
    detail = replace(detail, device_lines=min(lines, detail.device_lines))
    shares = [
        cell.vcpus / max(node.place.node.threads, node.vcpus) for node in nodes for cell in node.cpu
    ]
    wanted = detail.text * 1.35 / min(shares, default=1.0)
    most = BAR_HEIGHT_MAX * detail.text / DETAILS[1].text
    return replace(detail, bar_height=min(most, max(detail.bar_height, wanted)))


def _packed(pictures: Sequence[Picture]) -> Picture:
    """Put pictures in rows so that the whole is about as wide as a page is."""
    gap = 1.5 * GAP
    area = sum((p.width + gap) * (p.height + gap) for p in pictures)
    limit = max(max(p.width for p in pictures), math.sqrt(area * ASPECT))
    x = y = row = width = 0.0
    moved: list[Picture] = []
    for picture in pictures:
        if x and x + picture.width > limit + 1:
            x, y, row = 0.0, y + row + gap, 0.0
        moved.append(picture.moved(x, y))
        x += picture.width + gap
        row = max(row, picture.height)
        width = max(width, x - gap)
    return merged(width, y + row, moved)


def _host_picture(
    instance: Instance, use: HostUse, detail: Detail, numbers: Mapping[str, int]
) -> Picture:
    """Lay out a host: its sockets, the nodes of each, and arrows between nodes."""
    lines = detail.device_lines
    layouts = [node_layout(node, detail, numbers, lines) for node in use.nodes]
    node = layouts[0].picture
    groups = socket_groups(use.host)
    framed = len(groups) > 1 and any(len(members) > 1 for members in groups.values())
    if not framed:
        groups = {"": list(range(len(use.nodes)))}
    inner = {
        name: _grid(use.host, members, node.width / node.height, [members])
        for name, members in groups.items()
    }
    head = 1.6 * detail.title if framed else 0.0
    sockets = [
        _group_picture(name, members, inner[name], layouts, head, detail)
        for name, members in groups.items()
    ]
    width, height = max(s.width for s in sockets), max(s.height for s in sockets)
    slots = _grid(use.host, range(len(sockets)), width / height, list(groups.values()))
    gap, pad, top = GAP if framed else 0.0, GAP, 2.2 * detail.title
    placed = [
        picture.moved(pad + column * (width + gap), top + row * (height + gap))
        for picture, (row, column) in zip(sockets, slots, strict=True)
    ]
    whole = Box(
        0, 0, max(p_right(p) for p in placed) + pad, max(p_bottom(p) for p in placed) + pad
    )
    title = _host_title(use, whole.width, detail)
    frame = Picture(whole.width, whole.height, (Shape(whole, Style.HOST),), title)
    picture = merged(whole.width, whole.height, [frame, *placed])
    return replace(picture, arrows=_arrows(instance, use, layouts, picture))


def p_right(picture: Picture) -> float:
    """Right end of what is drawn."""
    return max(shape.box.right for shape in picture.shapes)


def p_bottom(picture: Picture) -> float:
    """Lower end of what is drawn."""
    return max(shape.box.bottom for shape in picture.shapes)
