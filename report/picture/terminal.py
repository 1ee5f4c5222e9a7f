"""The picture of a plan in a terminal: nodes side by side, bars of letters, one letter a VM.

Letters carry the meaning and colours only help, so it reads the same without colours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from string import ascii_letters, digits

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from numaplace.models.instance import Instance
from numaplace.models.plan import Plan
from numaplace.report.picture.layout_node import device_texts
from numaplace.report.picture.palette import text_colour, vm_colours
from numaplace.report.tables.usage import HostUse, NodeUse, by_interest, host_uses
from numaplace.report.tables.words import host_words, id_ranges, memory, memory_of, plural

PANEL_WIDTH = 38
PANEL_NODES_MAX = 12
HOSTS_MAX = 16
FREE, RESERVED = "·", "#"
LETTERS = ascii_letters + digits


@dataclass(frozen=True, slots=True)
class Stretch:
    """A stretch of a bar."""

    letter: str
    amount: int
    style: str = ""


@dataclass(frozen=True, slots=True)
class Legend:
    """Letter and style of each VM and sharing group."""

    letters: dict[str, str]
    styles: dict[str, str]
    away: dict[str, str]

    @staticmethod
    def of(instance: Instance) -> Legend:
        """Give letters and colours in the order of the instance; the 63rd starts over."""
        names = [*(vm.name for vm in instance.vms), *(group.name for group in instance.sharing)]
        colours = vm_colours(names)
        return Legend(
            {name: LETTERS[index % len(LETTERS)] for index, name in enumerate(names)},
            {name: f"{text_colour(colour)} on {colour}" for name, colour in colours.items()},
            {
                name: f"underline {text_colour(colour)} on {colour}"
                for name, colour in colours.items()
            },
        )

    def key(self, name: str) -> Text:
        """The letter in its colour."""
        return Text(self.letters[name], self.styles[name])


def plan_view(plan: Plan, instance: Instance, width: int) -> RenderableType:
    """Show hosts with what runs where, in a terminal `width` columns wide.

    The plan must name only things that exist. Hosts without VMs come last.
    """
    uses = by_interest(host_uses(instance, plan))
    legend = Legend.of(instance)
    parts: list[RenderableType] = []
    for use in uses[:HOSTS_MAX]:
        parts += [*_host_head(use), _nodes(use, legend, width), Text()]
    if len(uses) > HOSTS_MAX:
        parts.append(Text(f"and {plural(len(uses) - HOSTS_MAX, 'more host')}", "italic"))
    if len(instance.instants) > 1:
        parts.append(Text("Shown is the instant at which most vCPUs exist.", "italic"))
    parts.append(_key() if plan.placements else Text(f"{FREE} free, {RESERVED} reserved", "dim"))
    return Group(*parts)


def bar(parts: Sequence[Stretch], total: int, width: int) -> Text:
    """Return a bar of `width` letters for parts of `total`; what is left is free.

    Every part gets a letter as long as there is room; larger ones get the nearest share.
    """
    ends: list[int] = []
    done = 0
    for part in parts:
        done += part.amount
        ends.append(max(round(width * done / max(total, 1)), (ends[-1] if ends else 0) + 1))
    text = Text()
    start = 0
    for part, end in zip(parts, ends, strict=True):
        text.append(part.letter * (min(end, width) - start), part.style)
        start = max(start, min(end, width))
    text.append(FREE * (width - start), "dim")
    return text


def bar_of(amount: int, total: int, width: int) -> Text:
    """A plain bar for an amount, at least one block."""
    return Text("█" * max(1, round(width * amount / max(total, 1))), "dark_orange3")


def _host_head(use: HostUse) -> list[RenderableType]:
    lines = [Text.assemble((use.host.name, "bold"), "  ", (host_words(use.host), "dim"))]
    if use.devices:
        names = ", ".join(device.device.kind for device in use.devices)
        lines.append(Text(f"devices of unknown node: {names}", "dim"))
    return list(lines)


def _key() -> Text:
    return Text.assemble(
        (f"one letter a VM; {FREE} free, {RESERVED} reserved, ", "dim"),
        ("underlined", "dim underline"),
        (": pages away from their vCPUs", "dim"),
    )


def _nodes(use: HostUse, legend: Legend, width: int) -> RenderableType:
    if len(use.nodes) > PANEL_NODES_MAX:
        return _node_table(use, legend, width)
    columns = max(1, min(len(use.nodes), (width + 1) // (PANEL_WIDTH + 1)))
    wide = min((width - columns + 1) // columns, 2 * PANEL_WIDTH)
    bodies = [_body(node, legend, wide - 4) for node in use.nodes]
    grid = Table.grid(padding=(0, 1, 0, 0))
    for start in range(0, len(bodies), columns):
        row = range(start, min(start + columns, len(bodies)))
        height = 2 + max(len(bodies[index]) for index in row)
        panels = [_panel(use.nodes[index], bodies[index], wide, height) for index in row]
        grid.add_row(*panels)
    return grid


def _panel(node: NodeUse, body: Sequence[Text], width: int, height: int) -> Panel:
    sockets = id_ranges(tuple(sorted(node.place.node.sockets)))
    title = Text(f"node {node.place.node.id}", "bold")
    if sockets:
        title.append(f" · socket {sockets}", "not bold dim")
    return Panel(Group(*body), title=title, title_align="left", width=width, height=height)


def _body(node: NodeUse, legend: Legend, width: int) -> list[Text]:
    """Lines of a panel: both bars, then VMs with their vCPUs and memory, then devices."""
    lines: list[Text] = []
    for label, amount, parts, total in _bars(node, legend):
        room = width - len(label) - len(amount) - 2
        lines.append(Text.assemble(f"{label} ", bar(parts, total, room), f" {amount}"))
    lines += [_vm_line(legend, name, (vcpus, amount), width) for name, vcpus, amount in _rows(node)]
    for text in device_texts(node):
        line = Text(text, "dim")
        line.truncate(width, overflow="ellipsis")
        lines.append(line)
    return lines


def _vm_line(legend: Legend, name: str, amounts: tuple[str, str], width: int) -> Text:
    vcpus, amount = amounts
    tail = f"{vcpus:>9} {amount:>9}"
    shown = Text(name)
    shown.truncate(width - len(tail) - 3, overflow="ellipsis", pad=True)
    return Text.assemble(legend.key(name), " ", shown, " ", tail)


def _rows(node: NodeUse) -> list[tuple[str, str, str]]:
    """VMs of a node: name, vCPUs (or the node they run on), memory here."""
    home = {use.owner: use.mib for use in node.memory if not node.away(use) and not use.shared}
    rows: list[tuple[str, str, str]] = []
    for cpu in node.cpu:
        mib = home.get(cpu.vm, 0)
        vcpus = f"CPU {id_ranges(cpu.pcpus)}" if cpu.pcpus else plural(cpu.vcpus, "vCPU")
        vcpus = vcpus if len(vcpus) <= 9 else f"{cpu.vcpus} pinned"
        rows.append((cpu.vm, vcpus, memory(mib)))
    for use in node.memory:
        if use.shared:
            rows.append((use.owner, "shared", memory(use.mib)))
        elif node.away(use):
            rows.append((use.owner, f"of node {use.home}", memory(use.mib)))
    return rows


def _bars(node: NodeUse, legend: Legend) -> list[tuple[str, str, list[Stretch], int]]:
    """Bars of pCPUs and memory: label, amount, parts, total; a node may lack either."""
    have = node.place.node
    found: list[tuple[str, str, list[Stretch], int]] = []
    if have.pcpus:
        cpu = [Stretch(legend.letters[u.vm], u.vcpus, legend.styles[u.vm]) for u in node.cpu]
        amount = f"{node.vcpus}/{have.threads}"
        found.append(("CPU", f"{amount:>9}", cpu, max(have.threads, node.vcpus)))
    if have.memory_mib:
        parts = [Stretch(RESERVED, have.reserved_mib, "dim")] if have.reserved_mib else []
        for use in node.memory:
            style = (legend.away if node.away(use) else legend.styles)[use.owner]
            parts.append(Stretch(legend.letters[use.owner], use.mib, style))
        total = max(have.memory_mib, have.reserved_mib + node.used_mib)
        found.append(("mem", f"{memory_of(node.used_mib, have.memory_mib):>9}", parts, total))
    return found


def _node_table(use: HostUse, legend: Legend, width: int) -> RenderableType:
    """One line a node, for hosts with many."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("node", "pCPUs", "", "memory", "", "VMs"):
        table.add_column(name, justify="right" if name in ("node", "") else "left", no_wrap=True)
    table.columns[-1].no_wrap, table.columns[-1].overflow = False, "fold"
    room = max(8, min(24, (width - 44) // 2))
    for node in use.nodes:
        cells: dict[str, tuple[Text, str]] = {
            label: (bar(parts, total, room), amount.strip())
            for label, amount, parts, total in _bars(node, legend)
        }
        cpu, mem = (cells.get(label, (Text("none", "dim"), "")) for label in ("CPU", "mem"))
        names = Text(" ").join([Text.assemble(legend.key(n), f"={n}") for n in node.vms])
        table.add_row(str(node.place.node.id), *cpu, *mem, names)
    return Padding(table, (0, 0, 0, 1))
