"""Beside the hosts: distances, losses, what patterns mean; below them: the key of VMs."""

from __future__ import annotations

import math
from collections.abc import Sequence

from numaplace.models.instance import Instance
from numaplace.models.plan import Plan
from numaplace.models.topology import Host
from numaplace.models.units import SLIT_LOCAL
from numaplace.models.vm import Vm
from numaplace.report.picture.geometry import (
    Box,
    Label,
    Picture,
    Shape,
    Style,
    merged,
    shortened,
    text_width,
)
from numaplace.report.tables.words import loss, memory, plural

SIDE_WIDTH = 210.0
TITLE = 9.0
TEXT = 7.5
LEAST = 4.5
CELL_MAX = 24.0
MAPS_MAX = 3
MAP_NODES_MAX = 128
BAR = 10.0

MEANINGS = (
    (Style.CELL, "vCPUs or memory of a VM"),
    (Style.AWAY, "pages away from their vCPUs (arrow: to them)"),
    (Style.COPY, "pages that a sharing group has in common"),
    (Style.RESERVED, "memory reserved for the hypervisor"),
    (Style.POOL, "pool of huge pages"),
    (Style.LIMIT, "beside a CPU bar: its cores (or pCPUs)"),
)


def side_picture(hosts: Sequence[Host], losses: dict[str, int], *, strips: bool = False) -> Picture:
    """Lay out the panel; equal distances are shown once, losses are in micro-vCPU by term.

    Beside `strips` there is no key of patterns.
    """
    parts = [_distances(host, count) for host, count in _kinds(hosts)[:MAPS_MAX]]
    parts += [_losses(losses), _strips_key() if strips else _meanings()]
    y = 0.0
    moved: list[Picture] = []
    for part in parts:
        moved.append(part.moved(0, y))
        y += part.height + 2 * TITLE
    return merged(SIDE_WIDTH, y - 2 * TITLE, moved)


def _strips_key() -> Picture:
    texts = ("A column is a host, a row a node; darker is fuller,", "orange more vCPUs than pCPUs.")
    labels = [Label(0, (k + 0.5) * 2 * TEXT, text, TEXT) for k, text in enumerate(texts)]
    return Picture(SIDE_WIDTH, 4 * TEXT, labels=tuple(labels))


def _kinds(hosts: Sequence[Host]) -> list[tuple[Host, int]]:
    """Hosts with different distances to show, not too many, and how many there are of each."""
    counts: dict[object, int] = {}
    first: dict[object, Host] = {}
    for host in hosts:
        if 1 < len(host.nodes) <= MAP_NODES_MAX:
            key = (host.relative, tuple(node.id for node in host.nodes))
            counts[key] = counts.get(key, 0) + 1
            first.setdefault(key, host)
    return [(first[key], count) for key, count in counts.items()]


def _distances(host: Host, count: int) -> Picture:
    """Heat map: row and column for each node, numbers where there is room."""
    ids = [str(node.id) for node in host.nodes]
    edge = max(text_width(text, TEXT) for text in ids) + 5
    side = min(CELL_MAX, (SIDE_WIDTH - edge) / len(ids))
    measured = any(value > 0 for row in host.latency_ns for value in row)
    what = "Latency over local latency" if measured else "Distance (10 = local)"
    whose = host.name if count == 1 else f"{host.name} and {plural(count - 1, 'more host')}"
    title = Label(0, TITLE / 2, what, TITLE, bold=True)
    name = shortened(f"from row to column, {whose}", SIDE_WIDTH, TEXT)
    labels = [title, Label(0, TITLE * 1.9, name, TEXT, faint=True)]
    scale = 1 if measured else SLIT_LOCAL
    texts = [[f"{scale * r:.3g}" for r in row] for row in host.relative]
    widest = max(len(text) for row in texts for text in row)
    size = min(TEXT, (side - 2) / (0.64 * widest))
    farthest = max(max(row) for row in host.relative)
    top = 4.2 * TITLE
    shapes: list[Shape] = []
    for a, row in enumerate(host.relative):
        for b, r in enumerate(row):
            box = Box(edge + b * side, top + a * side, side, side)
            level = (r - 1) / (farthest - 1) if farthest > 1 else 0.0
            shapes.append(Shape(box, Style.HEAT, level=level))
            if size >= LEAST:
                x, y = box.middle
                labels.append(Label(x, y, texts[a][b], size, "center", level=level))
    labels += _ticks(ids, edge, top, side)
    return Picture(SIDE_WIDTH, top + side * len(ids), tuple(shapes), tuple(labels))


def _ticks(ids: Sequence[str], edge: float, top: float, side: float) -> list[Label]:
    """Node ids along the map, as many as have room."""
    size = min(TEXT, max(0.8 * side, 5.5))
    widest = max(text_width(text, size) for text in ids) + 2
    across, down = (math.ceil(need / side) for need in (widest, size * 1.2))
    labels: list[Label] = []
    for index, text in enumerate(ids):
        middle = (index + 0.5) * side
        if index % across == 0:
            labels.append(Label(edge + middle, top - size * 0.8, text, size, "center", faint=True))
        if index % down == 0:
            labels.append(Label(edge - 4, top + middle, text, size, "right", faint=True))
    return labels


def _losses(losses: dict[str, int]) -> Picture:
    """Bars of the losses, the largest first."""
    labels = [Label(0, TITLE / 2, "Loss in vCPUs", TITLE, bold=True)]
    y = 1.6 * TITLE
    if not losses:
        labels.append(Label(0, y + TEXT / 2, "none: every VM runs as if alone", TEXT, faint=True))
        return Picture(SIDE_WIDTH, y + TEXT, labels=tuple(labels))
    shapes: list[Shape] = []
    numbers = {name: loss(micro) for name, micro in losses.items()}
    left = max(text_width(name, TEXT) for name in losses) + 6
    room = SIDE_WIDTH - left - max(text_width(text, TEXT) for text in numbers.values()) - 6
    for name, micro in losses.items():
        width = max(1.0, room * micro / max(losses.values()))
        shapes.append(Shape(Box(left, y, width, BAR * 0.8), Style.LOSS))
        middle = y + BAR * 0.4
        labels.append(Label(left - 4, middle, name, TEXT, "right"))
        labels.append(Label(left + width + 4, middle, numbers[name], TEXT))
        y += BAR * 1.2
    return Picture(SIDE_WIDTH, y, tuple(shapes), tuple(labels))


def _meanings() -> Picture:
    labels = [Label(0, TITLE / 2, "Key", TITLE, bold=True)]
    shapes: list[Shape] = []
    y = 1.6 * TITLE
    for style, meaning in MEANINGS:
        height, width = (0.0, 6.0) if style is Style.LIMIT else (BAR, 18.0)
        shapes.append(Shape(Box(18 - width, y + (BAR - height) / 2, width, height), style))
        labels.append(Label(24, y + BAR / 2, meaning, TEXT))
        y += BAR * 1.45
    return Picture(SIDE_WIDTH, y, tuple(shapes), tuple(labels))


# ---- the key of VMs -----------------------------------------------------------------------------

VMS_MAX = 160
ROW = 12.0
SWATCH = 9.0
NAME_MAX = 130.0


def key_picture(instance: Instance, plan: Plan, width: float) -> Picture:
    """Lay out the key in as many columns as `width` has room for; VMs not placed come first."""
    if not instance.vms:
        return Picture(width, 0.0)
    numbers = {vm.name: str(index + 1) for index, vm in enumerate(instance.vms)}
    vms = sorted(instance.vms, key=lambda vm: vm.name in plan)
    shown = vms[:VMS_MAX]
    left_out = f" (the first {VMS_MAX} of {len(vms)})" if len(vms) > VMS_MAX else ""
    title = Label(0, TITLE / 2, f"{plural(len(vms), 'VM')}{left_out}", TITLE, bold=True)
    names = [shortened(vm.name, NAME_MAX, TEXT, middle=True) for vm in shown]
    edge = max(text_width(numbers[vm.name], TEXT) for vm in shown)
    at_name = edge + SWATCH + 8
    at_size = at_name + max(text_width(name, TEXT) for name in names) + 8
    sizes = [_size(vm, placed=vm.name in plan) for vm in shown]
    column = at_size + max(text_width(size, TEXT) for size in sizes) + 16
    rows = -(-len(shown) // max(1, int(width / column)))
    shapes: list[Shape] = []
    labels: list[Label] = [title]
    for index, (vm, name, size) in enumerate(zip(shown, names, sizes, strict=True)):
        x, y = (index // rows) * column, 1.8 * TITLE + (index % rows) * ROW
        middle = y + ROW / 2
        style = Style.CELL if vm.name in plan else Style.TRACK
        shapes.append(Shape(Box(x + edge + 4, middle - SWATCH / 2, SWATCH, SWATCH), style, vm.name))
        labels.append(Label(x + edge, middle, numbers[vm.name], TEXT, "right", faint=True))
        labels.append(Label(x + at_name, middle, name, TEXT))
        labels.append(Label(x + at_size, middle, size, TEXT, faint=True))
    return Picture(width, 1.8 * TITLE + rows * ROW, tuple(shapes), tuple(labels))


def _size(vm: Vm, *, placed: bool) -> str:
    size = f"{plural(vm.vcpus, 'vCPU')}, {memory(vm.memory_mib)}"
    return size if placed else f"{size}, not placed"
