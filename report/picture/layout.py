"""Where everything of a plan's picture is, as data: hosts, side panel, key of VMs, title.

`svg` and `numaplace.report.figures.picture_figure` only draw what is decided here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from numaplace.models.cost import evaluate
from numaplace.models.instance import Instance
from numaplace.models.plan import Plan
from numaplace.report.picture.geometry import Label, Picture, merged, shortened
from numaplace.report.picture.layout_fleet import fleet_picture
from numaplace.report.picture.layout_host import host_picture
from numaplace.report.picture.layout_node import Detail, device_texts
from numaplace.report.picture.layout_side import SIDE_WIDTH, key_picture, side_picture
from numaplace.report.tables.fleet import is_fleet, shapes_of
from numaplace.report.tables.usage import HostUse, NodeUse, by_interest, host_uses
from numaplace.report.tables.words import plural, term_losses

NODES_MAX = 128
ASPECT = 1.5
MARGIN = 18.0
GAP = 15.0
TITLE = 15.0
TEXT = 9.0

# The least number of nodes shown -> the sizes for it.
DETAILS = {
    1: Detail(104, 150, 8, 5, 10.5, 7, 5),
    9: Detail(72, 104, 6.5, 4.5, 8.5, 5, 3),
    33: Detail(50, 62, 5.5, 4.2, 7, 4, 2),
}
BAR_HEIGHT_MAX = 250.0


@dataclass(frozen=True, slots=True)
class Caption:
    """Title of a picture and the lines below it."""

    title: str
    lines: tuple[str, ...] = ()


def plan_picture(plan: Plan, instance: Instance, caption: Caption) -> Picture:
    """Lay out the picture of a plan, which must name only things that exist.

    Hosts without VMs come last, and are left out, with a note, beyond `NODES_MAX` nodes.
    """
    if is_fleet(instance):
        return _fleet(plan, instance, caption)
    uses = by_interest(host_uses(instance, plan))
    shown = shown_hosts(uses)
    detail = _detail([node for use in shown for node in use.nodes])
    numbers = {vm.name: index + 1 for index, vm in enumerate(instance.vms)}
    hosts = _packed([host_picture(instance, use, detail, numbers) for use in shown])
    side = side_picture([use.host for use in shown], term_losses(evaluate(instance, plan)))
    body_width = hosts.width + GAP + SIDE_WIDTH
    key = key_picture(instance, plan, body_width)
    width = body_width + 2 * MARGIN
    notes = _notes(instance, uses, shown)
    head = _head(Caption(caption.title, (*caption.lines, *notes)), body_width)
    body_height = max(hosts.height, side.height)
    top = MARGIN + head.height
    parts = [
        head.moved(MARGIN, MARGIN),
        hosts.moved(MARGIN, top),
        side.moved(MARGIN + hosts.width + GAP, top),
        key.moved(MARGIN, top + body_height + GAP),
    ]
    return merged(width, top + body_height + GAP + key.height + MARGIN, parts)


def _fleet(plan: Plan, instance: Instance, caption: Caption) -> Picture:
    """Lay out many hosts: how full their nodes are, and what is lost."""
    uses = host_uses(instance, plan)
    shapes = shapes_of(uses)
    hosts = fleet_picture(shapes)
    losses = term_losses(evaluate(instance, plan))
    side = side_picture([shape.host for shape in shapes], losses, strips=True)
    width = hosts.width + GAP + SIDE_WIDTH
    head = _head(Caption(caption.title, (*caption.lines, *_notes(instance, uses, uses))), width)
    top = MARGIN + head.height
    parts = [
        head.moved(MARGIN, MARGIN),
        hosts.moved(MARGIN, top),
        side.moved(MARGIN + hosts.width + GAP, top),
    ]
    height = top + max(hosts.height, side.height) + MARGIN
    return merged(width + 2 * MARGIN, height, parts)


def shown_hosts(uses: Sequence[HostUse]) -> list[HostUse]:
    """Return the hosts that have room in one picture: the first, as long as nodes are few."""
    shown: list[HostUse] = []
    for use in uses:
        if shown and sum(len(other.nodes) for other in [*shown, use]) > NODES_MAX:
            break
        shown.append(use)
    return shown


def _notes(instance: Instance, uses: Sequence[HostUse], shown: Sequence[HostUse]) -> list[str]:
    notes: list[str] = []
    if len(shown) < len(uses):
        left_out = uses[len(shown) :]
        running = sum(use.vcpus > 0 for use in left_out)
        notes.append(f"{plural(len(left_out), 'host')} not shown, {running} of them running VMs")
    if len(instance.instants) > 1:
        notes.append("shown: the instant at which most vCPUs exist")
    return notes


def _head(caption: Caption, width: float) -> Picture:
    title = shortened(caption.title, width, TITLE, bold=True)
    labels = [Label(0, TITLE / 2, title, TITLE, bold=True)]
    y = 1.7 * TITLE
    for line in caption.lines:
        labels.append(Label(0, y, shortened(line, width, TEXT), TEXT, faint=True))
        y += 1.5 * TEXT
    return Picture(width, y + 0.5 * TEXT, labels=tuple(labels))


def _detail(nodes: Sequence[NodeUse]) -> Detail:
    """Choose sizes; bars of few nodes grow until small cells have room for their names."""
    detail = DETAILS[max(least for least in DETAILS if least <= len(nodes))]
    lines = max(len(device_texts(node)) for node in nodes)
    shares = [
        cell.vcpus / max(node.place.node.threads, node.vcpus) for node in nodes for cell in node.cpu
    ]
    wanted = detail.text * 1.35 / min(shares, default=1.0)
    most = BAR_HEIGHT_MAX * detail.text / DETAILS[1].text
    return replace(
        detail,
        device_lines=min(lines, detail.device_lines),
        bar_height=min(most, max(detail.bar_height, wanted)),
    )


def _packed(pictures: Sequence[Picture]) -> Picture:
    """Put pictures in rows so that the whole is about as wide as a page is."""
    area = sum((p.width + GAP) * (p.height + GAP) for p in pictures)
    limit = max(max(p.width for p in pictures), math.sqrt(area * ASPECT))
    x = y = row = width = 0.0
    moved: list[Picture] = []
    for picture in pictures:
        if x and x + picture.width > limit + 1:
            x, y, row = 0.0, y + row + GAP, 0.0
        moved.append(picture.moved(x, y))
        x += picture.width + GAP
        row = max(row, picture.height)
        width = max(width, x - GAP)
    return merged(width, y + row, moved)
