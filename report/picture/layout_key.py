"""The key of VMs below the hosts: number, colour, name, size, and which are not placed."""

from __future__ import annotations

from numaplace.models.instance import Instance
from numaplace.models.plan import Plan
from numaplace.models.vm import Vm
from numaplace.report.picture.geometry import (
    Box,
    Label,
    Picture,
    Shape,
    Style,
    shortened,
    text_width,
)
from numaplace.report.tables.words import memory, plural

VMS_MAX = 160
TITLE = 9.0
TEXT = 7.5
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
