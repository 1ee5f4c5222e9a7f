"""A fleet on one screen: what each shape of host has and runs, and how full each node is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from operator import attrgetter

from rich.console import Group, RenderableType
from rich.text import Text

from numaplace.models.instance import Instance
from numaplace.models.topology import Host
from numaplace.report.tables import words
from numaplace.report.tables.columns import Column
from numaplace.report.tables.table import Table
from numaplace.report.tables.usage import HostUse, NodeUse

HOSTS_MAX = 12
"""More hosts than these are shown as a fleet."""
LINES_MAX = 24
"""Lines of all strips; hosts beyond share columns."""
SHAPES_MAX = 8
MORE = "more shapes"
REASONS_MAX = 8
LEVELS = "▁▂▃▄▅▆▇█"
EMPTY, BEYOND = "·", "▓"
STYLES = ("green", "green", "green", "green", "yellow", "yellow", "dark_orange3", "dark_orange3")


@dataclass(frozen=True, slots=True)
class ShapeUse:
    """Hosts with the same nodes, under what their names have in common."""

    name: str
    uses: tuple[HostUse, ...]

    @property
    def host(self) -> Host:
        """One of them."""
        return self.uses[0].host

    @property
    def vms(self) -> int:
        """VMs that run on them."""
        return sum(len({vm for node in use.nodes for vm in node.vms}) for use in self.uses)


def shapes_of(uses: Iterable[HostUse]) -> list[ShapeUse]:
    """Group hosts by what their nodes have, those with most hosts first."""
    groups: dict[object, list[HostUse]] = {}
    for use in uses:
        nodes = tuple((n.place.node.threads, n.place.node.memory_mib) for n in use.nodes)
        groups.setdefault((nodes, len(use.host.devices)), []).append(use)
    shapes = [ShapeUse(_name([use.host.name for use in g]), tuple(g)) for g in groups.values()]
    names = Counter(shape.name for shape in shapes)
    shapes = [s if names[s.name] == 1 else replace(s, name=_sized(s)) for s in shapes]
    return sorted(shapes, key=lambda shape: -len(shape.uses))


def _name(names: Sequence[str]) -> str:
    alike = takewhile(lambda letters: len(set(letters)) == 1, zip(*names, strict=False))
    common = "".join(letters[0] for letters in alike)
    return names[0] if len(names) == 1 else f"{common.rstrip('0123456789-_.')}*"


def _sized(shape: ShapeUse) -> str:
    """Name and largest node of a shape whose name others bear too: pCPUs x GiB."""
    nodes = shape.host.nodes
    sizes = "+".join(f"{n.threads}x{n.memory_mib / words.GIB:g}" for n in nodes[:2])
    return f"{shape.name} {sizes}{'+..' * (len(nodes) > 2)}"


def is_fleet(instance: Instance) -> bool:
    """Tell whether there are too many hosts to show each in full."""
    return len(instance.hosts) > HOSTS_MAX


def mean_shares(hosts: Sequence[HostUse], share: Callable[[NodeUse], float | None]) -> list[float]:
    """Mean over some hosts of one shape, by node; 0 where none has what is asked for."""
    found: list[float] = []
    for nodes in zip(*(use.nodes for use in hosts), strict=True):
        known = [each for each in map(share, nodes) if each is not None]
        found.append(sum(known) / len(known) if known else 0.0)
    return found


def cpu_share(node: NodeUse) -> float | None:
    """VCPUs of a node over its pCPUs, above 1 if overcommitted; None without pCPUs."""
    return node.vcpus / node.place.node.threads if node.place.node.threads else None


def memory_share(node: NodeUse) -> float | None:
    """Share of a node's memory that is taken or reserved; None without memory."""
    have = node.place.node
    return (node.used_mib + have.reserved_mib) / have.memory_mib if have.memory_mib else None


def _used_of(shape: ShapeUse) -> str:
    pcpus = sum(use.host.threads for use in shape.uses)
    return f"{sum(use.vcpus for use in shape.uses):,}/{pcpus:,}"


def _memory_of(shape: ShapeUse) -> str:
    used, have = (sum(map(get, shape.uses)) for get in map(attrgetter, ("used_mib", "memory_mib")))
    return words.memory_of(used, have)


def _each(shape: ShapeUse) -> str | None:
    return None if shape.name.endswith(MORE) else words.host_words(shape.host)


SHAPE = (
    Column("name", head="hosts"),
    Column("hosts", int, lambda shape: len(shape.uses), "count"),
    Column("used", int, lambda shape: sum(use.vcpus > 0 for use in shape.uses), "in use"),
    Column("vms", int, head="VMs"),
    Column("-cpu", str, _used_of, "vCPUs/pCPUs", right=True),
    Column("-memory", str, _memory_of, "memory", right=True),
    Column("-each", str, _each, "each", prose=True),
)


def fleet_view(uses: Sequence[HostUse], width: int) -> RenderableType:
    """Totals by shape of host, then how full the nodes are: a letter a node, hosts in order."""
    shapes = shapes_of(uses)
    shown = shapes[:SHAPES_MAX]
    if len(shapes) > len(shown):
        rest = tuple(use for shape in shapes[len(shown) :] for use in shape.uses)
        shapes = [*shown, ShapeUse(f"{len(shapes) - len(shown)} {MORE}", rest)]
    parts: list[RenderableType] = [Table(SHAPE, shapes, "Hosts by shape", "shape")]
    for shape in shown:
        for name, share in (("CPU", cpu_share), ("mem", memory_share)):
            lines = max(1, LINES_MAX // (2 * len(shown)))
            parts.append(_strip(shape, f"{shape.name} {name}", share, width, lines))
    key = f"A letter is a node: {EMPTY} empty, {LEVELS} fuller, {BEYOND} more vCPUs than pCPUs; "
    key += "×n: the mean of n hosts."
    return Group(*parts, Text(key, "dim"))


def _strip(
    shape: ShapeUse, name: str, share: Callable[[NodeUse], float | None], width: int, lines: int
) -> Text:
    nodes = max(len(use.nodes) for use in shape.uses)
    room = max(1, (width - len(name) - 6) // (nodes + 1))
    each = -(-len(shape.uses) // (room * lines))
    label = f"{name}{f' ×{each}' if each > 1 else ''}  "
    text = Text(label, "bold")
    starts = range(0, len(shape.uses), each)
    for column, start in enumerate(starts):
        if column and column % room == 0:
            text.append("\n" + " " * len(label))
        hosts = shape.uses[start : start + each]
        for mean in mean_shares(hosts, share):
            text.append_text(_letter(mean))
        text.append(" ")
    return text


def _letter(mean: float) -> Text:
    if mean <= 0:
        return Text(EMPTY, "dim")
    if mean > 1:
        return Text(BEYOND, "red")
    level = min(len(LEVELS) - 1, int(mean * len(LEVELS)))
    return Text(LEVELS[level], STYLES[level])


UNPLACED_REASON = (
    Column("vms", int, "1", "VMs"),
    Column("reason", str, "0", "why", lambda why: why or "not told", prose=True),
    Column("-such", str, lambda row: ", ".join(row[2]), "such as", prose=True),
)


def unplaced_by_reason(missing: Mapping[str, str]) -> Table:
    """VMs that are not placed, by reason."""
    counts = Counter(missing.values())
    such: dict[str, list[str]] = {}
    for name, why in missing.items():
        if len(such.setdefault(why, [])) < 3:
            such[why].append(name)
    rows = [(why, count, such[why]) for why, count in counts.most_common()]
    title = f"Not placed: {words.plural(len(missing), 'VM')}"
    more = len(rows) - REASONS_MAX
    notes = [Text(f"and {words.plural(more, 'more reason')}", "italic")] if more > 0 else []
    return Table(UNPLACED_REASON, rows[:REASONS_MAX], title, "reason", notes=notes)
