"""What is inside the box of one node: a bar of its pCPUs, a bar of its memory, its devices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from numaplace.models.units import PageSize
from numaplace.report.picture.geometry import (
    LINE,
    Box,
    Label,
    Picture,
    Shape,
    Style,
    fitting,
    shortened,
    text_width,
)
from numaplace.report.tables.usage import DeviceUse, MemoryUse, NodeUse
from numaplace.report.tables.words import id_ranges, memory, memory_of, plural, short_address

POOLS = (PageSize.SMALL, PageSize.HUGE_2M, PageSize.HUGE_1G)


@dataclass(frozen=True, slots=True)
class Detail:
    """Sizes in points; the more nodes, the smaller.

    Bars have a width and a height each; `text` is the wanted size of what is written on them, and
    text smaller than `least_text` is left out; `title` is that of a node's name, `pad` the space
    around things; every node has room for so many lines of devices.
    """

    bar_width: float
    bar_height: float
    text: float
    least_text: float
    title: float
    pad: float
    device_lines: int

    @property
    def node_width(self) -> float:
        """Width of a node's box; the gutter between the bars has room for the pools' names."""
        return 2 * self.bar_width + self.gutter + 2 * self.pad

    @property
    def gutter(self) -> float:
        """Space between both bars."""
        return 1.6 * self.text + 3

    @property
    def line(self) -> float:
        """Height of a line of small text."""
        return self.text * 1.45


@dataclass(slots=True)
class NodeLayout:
    """Picture of a node, and where arrows start and end: cells by VM, pages by (VM, home)."""

    picture: Picture
    cells: dict[str, Box] = field(default_factory=dict)
    away: dict[tuple[str, int], Box] = field(default_factory=dict)


def node_layout(use: NodeUse, detail: Detail, numbers: Mapping[str, int]) -> NodeLayout:
    """Lay out one node; `numbers` are for cells too small for the name of a VM."""
    layout = NodeLayout(Picture(0, 0))
    device_lines = detail.device_lines
    parts = _Parts(use, detail, numbers, layout)
    parts.head()
    top = detail.pad + 1.5 * detail.title + detail.line
    left = Box(detail.pad, top, detail.bar_width, detail.bar_height)
    right = Box(left.right + detail.gutter, top, detail.bar_width, detail.bar_height)
    parts.cpu_bar(left)
    parts.memory_bar(right)
    parts.devices(left.bottom + 0.6 * detail.line, device_lines)
    bottom = left.bottom + (device_lines + 0.4) * detail.line if device_lines else left.bottom
    height = bottom + detail.pad
    frame = Shape(Box(0, 0, detail.node_width, height), Style.NODE, place=use.key)
    layout.picture = Picture(detail.node_width, height, (frame, *parts.shapes), tuple(parts.labels))
    return layout


def device_texts(use: NodeUse) -> list[str]:
    """One line for each device that VMs hold, then one for each kind with devices left over."""
    return [
        *(_held(device) for device in use.devices if device.taken),
        *_left_over([device for device in use.devices if not device.taken]),
    ]


def _held(use: DeviceUse) -> str:
    names = ", ".join(name if count == 1 else f"{name} ×{count}" for name, count in use.holders)
    functions = use.device.functions
    share = f" {use.taken}/{functions}" if functions > 1 else ""
    return f"{use.device.kind} {short_address(use.device.address)}{share}: {names}"


def _left_over(uses: Sequence[DeviceUse]) -> list[str]:
    kinds: dict[str, int] = {}
    for use in uses:
        kinds[use.device.kind] = kinds.get(use.device.kind, 0) + 1
    return [f"{kind} free" if n == 1 else f"{n} {kind} free" for kind, n in kinds.items()]


class _Parts:
    """Collects shapes and labels of one node."""

    def __init__(
        self, use: NodeUse, detail: Detail, numbers: Mapping[str, int], layout: NodeLayout
    ) -> None:
        self.use = use
        self.detail = detail
        self.numbers = numbers
        self.layout = layout
        self.shapes: list[Shape] = []
        self.labels: list[Label] = []

    def head(self) -> None:
        """Name of the node, and its socket as far as there is room."""
        node, detail = self.use.place.node, self.detail
        y = detail.pad + 0.5 * detail.title
        self.labels.append(Label(detail.pad, y, f"node {node.id}", detail.title, bold=True))
        sockets = id_ranges(tuple(sorted(node.sockets)))
        room = detail.node_width - 2 * detail.pad
        room -= text_width(f"node {node.id}  ", detail.title, bold=True)
        text = f"socket {sockets}" if sockets else ""
        if text and text_width(text, detail.text) <= room:
            x = detail.node_width - detail.pad
            self.labels.append(Label(x, y, text, detail.text, "right", faint=True))

    def cpu_bar(self, box: Box) -> None:
        """Stack the vCPUs of VMs on pCPUs."""
        node = self.use.place.node
        if not node.pcpus:
            self._note(box, ("no pCPUs", "no CPU"))
            return
        total = max(node.threads, self.use.vcpus)
        self._caption(box, f"{self.use.vcpus}/{node.threads}", ("pCPUs", "CPU"))
        self._add(box, Style.BAR)
        bottom = box.bottom
        for use in self.use.cpu:
            height = box.height * use.vcpus / total
            cell = Box(box.x, bottom - height, box.width, height)
            bottom -= height
            self.layout.cells[use.vm] = cell
            ids = f"pCPU {id_ranges(use.pcpus)}" if use.pcpus else plural(use.vcpus, "vCPU")
            self._add(cell, Style.CELL, use.vm)
            self._write(cell, use.vm, (f"{use.vm} · {ids}", f"{use.vm} · {use.vcpus}"))
        tick = 0.7 * self.detail.pad
        for count in sorted({count for count in (node.cores, node.threads) if count < total}):
            y = box.bottom - box.height * count / total
            self._add(Box(box.x - tick, y, tick, 0), Style.LIMIT)
            self._add(Box(box.right, y, tick, 0), Style.LIMIT)

    def memory_bar(self, box: Box) -> None:
        """Stack reserved memory and each page pool with the VMs' pages and what is free."""
        node = self.use.place.node
        if not node.memory_mib:
            self._note(box, ("no memory",))
            return
        self._caption(box, *_split_unit(memory_of(self.use.used_mib, node.memory_mib)))
        self._add(box, Style.BAR)
        used = {pool: sum(use.mib for use in self.use.memory if use.pool is pool) for pool in POOLS}
        sizes = {pool: max(node.pool_mib(pool), used[pool]) for pool in POOLS}
        per_mib = box.height / (node.reserved_mib + sum(sizes.values()))
        bottom = box.bottom
        if node.reserved_mib:
            height = node.reserved_mib * per_mib
            kept = Box(box.x, bottom - height, box.width, height)
            bottom -= height
            self._add(kept, Style.RESERVED)
            words = (f"{memory(node.reserved_mib)} reserved", "reserved")
            self._write(kept, "", words)
        for pool in POOLS:
            if sizes[pool]:
                height = sizes[pool] * per_mib
                self._pool(Box(box.x, bottom - height, box.width, height), pool, per_mib)
                bottom -= height

    def _pool(self, box: Box, pool: PageSize, per_mib: float) -> None:
        bottom = box.bottom
        for use in self.use.memory:
            if use.pool is pool:
                height = use.mib * per_mib
                self._pages(Box(box.x, bottom - height, box.width, height), use)
                bottom -= height
        free_mib = round((bottom - box.y) / per_mib)
        huge = pool is not PageSize.SMALL
        if free_mib:
            free = Box(box.x, box.y, box.width, bottom - box.y)
            self._write(free, "", (f"{memory(free_mib)} free", "free"), faint=True)
        if huge:
            self._add(box, Style.POOL)
            size = min(self.detail.text, box.height)
            if size >= self.detail.least_text:
                x = box.x - 0.5 * self.detail.gutter
                self.labels.append(Label(x, box.middle[1], str(pool), size * 0.9, "center"))

    def _pages(self, box: Box, use: MemoryUse) -> None:
        if use.shared:
            self._add(box, Style.COPY, use.owner)
            self._write(box, "", (f"{use.owner} · {memory(use.mib)} shared", "shared"))
            return
        away = self.use.away(use)
        self._add(box, Style.AWAY if away else Style.MEMORY, use.owner)
        if away and use.home is not None:
            self.layout.away[use.owner, use.home] = box
        self._write(box, use.owner, (f"{use.owner} · {memory(use.mib)}",), plain=away)

    def devices(self, y: float, lines: int) -> None:
        """Write devices below the bars."""
        texts = device_texts(self.use)
        if len(texts) > lines:
            rest = len(texts) - lines + 1
            texts = [*texts[: lines - 1], f"and {plural(rest, 'line')} more"] if lines else []
        width = self.detail.node_width - 2 * self.detail.pad
        for index, text in enumerate(texts):
            line = shortened(text, width, self.detail.text)
            at = y + (index + 0.3) * self.detail.line
            self.labels.append(Label(self.detail.pad, at, line, self.detail.text))

    def _add(self, box: Box, style: Style, owner: str = "") -> None:
        self.shapes.append(Shape(box, style, owner, self.use.key))

    def _caption(self, bar: Box, amounts: str, units: Sequence[str]) -> None:
        candidates = [*(f"{amounts} {unit}" for unit in units), amounts]
        size = self.detail.text
        text = next((c for c in candidates if text_width(c, size) <= bar.width), "")
        if text:
            self.labels.append(Label(bar.x, bar.y - 0.6 * self.detail.line, text, size))

    def _note(self, bar: Box, words: Sequence[str]) -> None:
        self._add(bar, Style.TRACK)
        self._write(bar, "", words, faint=True)

    def _write(
        self,
        box: Box,
        owner: str,
        texts: Sequence[str],
        *,
        faint: bool = False,
        plain: bool = False,
    ) -> None:
        """Write the first text that fits: the longest, the name, the name cut, the number."""
        detail = self.detail
        candidates = list(texts)
        if owner:
            candidates += [owner, _cut(owner, box, detail), f"{self.numbers[owner]}"]
        found = fitting(candidates, box, detail.text, detail.least_text)
        if found is not None:
            x, y = box.middle
            on = "" if plain else owner
            self.labels.append(Label(x, y, found[0], found[1], "center", faint=faint, owner=on))


def _cut(name: str, box: Box, detail: Detail) -> str:
    cut = shortened(name, box.width - 4, min(detail.text, box.height / LINE), middle=True)
    return cut if len(cut) >= 5 else ""


def _split_unit(text: str) -> tuple[str, tuple[str, ...]]:
    amounts, _, unit = text.rpartition(" ")
    return amounts, (unit,)
