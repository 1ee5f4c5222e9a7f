"""The picture of a plan as data: everything is there, in its place, and nothing overlaps."""

from __future__ import annotations

from itertools import combinations

import pytest

from numaplace.models.instance import Instance
from numaplace.models.plan import Plan
from numaplace.models.topology import Host
from numaplace.models.vm import Vm
from numaplace.report.picture.geometry import Box, Label, Picture, Style
from numaplace.report.picture.layout import NODES_MAX, Caption, plan_picture
from numaplace.report.picture.layout_host import socket_groups
from numaplace.report.tables.usage import busiest_instant
from numaplace.tests.builders import make_host, make_instance, make_node
from numaplace.tests.report.samples import NAMES, rich, sample

CAPTION = Caption("Title", ("a line below it",))


def _picture(name: str) -> Picture:
    instance, plan = sample(name)
    return plan_picture(plan, instance, CAPTION)


def _overlapping(boxes: list[tuple[Box, object]]) -> list[tuple[object, object]]:
    """Pairs that overlap; sorted by their left end, so that few pairs are looked at."""
    boxes = sorted(boxes, key=lambda entry: entry[0].x)
    found = []
    for index, (box, what) in enumerate(boxes):
        for other, other_what in boxes[index + 1 :]:
            if other.x >= box.right:
                break
            if box.overlaps(other, slack=0.3):
                found.append((what, other_what))
    return found


@pytest.mark.parametrize("name", NAMES)
def test_nothing_overlaps_or_sticks_out(name: str) -> None:
    """No two texts overlap, nor two hosts, sockets, nodes or cells; all lies on the page."""
    picture = _picture(name)
    page = Box(0, 0, picture.width, picture.height)
    assert [shape for shape in picture.shapes if not page.holds(shape.box)] == []
    assert [label for label in picture.labels if not page.holds(label.box, slack=0.5)] == []
    assert _overlapping([(label.box, label.text) for label in picture.labels]) == []
    for styles in (
        {Style.HOST},
        {Style.SOCKET},
        {Style.NODE},
        {Style.HEAT},
        {Style.CELL, Style.MEMORY, Style.AWAY, Style.COPY, Style.RESERVED},
    ):
        boxes = [(shape.box, shape) for shape in picture.shapes if shape.style in styles]
        assert _overlapping(boxes) == []


@pytest.mark.parametrize("name", [name for name in NAMES if name != "fleet"])
def test_what_is_on_a_node_lies_in_its_box(name: str) -> None:
    """Bars and blocks of a node are inside the node, nodes inside a host."""
    picture = _picture(name)
    nodes = {shape.place: shape.box for shape in picture.shapes if shape.style is Style.NODE}
    hosts = [shape.box for shape in picture.shapes if shape.style is Style.HOST]
    assert nodes and hosts
    assert all(any(host.holds(node) for host in hosts) for node in nodes.values())
    inside = [shape for shape in picture.shapes if shape.place]
    assert [shape for shape in inside if not nodes[shape.place].holds(shape.box)] == []


@pytest.mark.parametrize("name", [name for name in NAMES if name != "fleet"])
def test_every_vm_is_drawn_where_it_runs(name: str) -> None:
    """Each cell and each part of memory of the plan has a block on its node, and no other has."""
    instance, plan = sample(name)
    alive = busiest_instant(instance, plan)
    picture = _picture(name)
    shown = {vm: p for vm, p in plan.placements.items() if vm in alive}
    cells = {(vm, f"{p.host}/{node}") for vm, p in shown.items() for node in p.nodes}
    pages = {
        (vm, f"{p.host}/{node}")
        for vm, p in shown.items()
        for node, mib in p.memory_by_node().items()
        if mib
    }
    drawn = [shape for shape in picture.shapes if shape.place]
    assert {(s.owner, s.place) for s in drawn if s.style is Style.CELL} == cells
    assert {(s.owner, s.place) for s in drawn if s.style in (Style.MEMORY, Style.AWAY)} == pages


def test_blocks_are_to_scale() -> None:
    """A block's height is its share of the bar: 4 of 8 vCPUs are half of it."""
    instance, plan = rich()
    picture = plan_picture(plan, instance, CAPTION)
    on_node = [shape for shape in picture.shapes if shape.place == "lab/0"]
    bar = max(s.box.height for s in on_node if s.style is Style.BAR)
    heights = {s.owner: s.box.height for s in on_node if s.style is Style.CELL}
    assert heights["a-database-with-a-very-long-name"] == pytest.approx(bar * 4 / 8)
    assert heights["pinned"] == pytest.approx(bar * 2 / 8)
    memory = {s.owner: s.box.height for s in on_node if s.style is Style.MEMORY}
    assert memory["pinned"] == pytest.approx(bar * 1024 / 8192)


def test_arrows_lead_from_pages_away_to_their_vcpus() -> None:
    """One arrow for each spilled part, none for interleaved pages, both ends in the right node."""
    instance, plan = rich()
    picture = plan_picture(plan, instance, CAPTION)
    nodes = {shape.place: shape.box for shape in picture.shapes if shape.style is Style.NODE}
    assert sorted(arrow.owner for arrow in picture.arrows) == [
        "a-database-with-a-very-long-name",
        "twin2",
    ]
    for arrow in picture.arrows:
        for node, (x, y) in (("lab/4", arrow.start), ("lab/0", arrow.end)):
            assert nodes[node].holds(Box(x, y, 0, 0))


def test_everything_special_is_drawn() -> None:
    """Huge page pool, reserved memory, shared copy, limits, devices, VMs not placed: all there."""
    instance, plan = rich()
    picture = plan_picture(plan, instance, CAPTION)
    on_nodes = {shape.style for shape in picture.shapes if shape.place}
    wanted = {Style.POOL, Style.RESERVED, Style.COPY, Style.AWAY, Style.TRACK}
    assert wanted <= on_nodes
    texts = [label.text for label in picture.labels]
    for words in (
        "nic 3b:00.0 2/4: web ×2",
        "gpu free",
        "devices of unknown node: usb 00:1f.0",
        "no pCPUs",
        "2M",
        "1 vCPU, 64 MiB, not placed",
        "Title",
        "remote memory",
    ):
        assert words in texts


def test_near_nodes_are_near() -> None:
    """A node of memory only stands in the socket of the node it is nearest to."""
    instance, _ = rich()
    groups = socket_groups(instance.hosts[0])
    assert [(group.name, group.members) for group in groups] == [
        ("socket 0", (0, 2)),
        ("socket 1", (1,)),
    ]


def test_large_fleets_are_cut_with_a_note() -> None:
    """Beyond the limit of nodes the rest of the hosts is only counted."""
    of_each = tuple(make_node(n, cores=1, memory_mib=256) for n in range(16))
    hosts = tuple(Host(f"h{k}", of_each) for k in range(12))
    picture = plan_picture(Plan(), Instance(hosts), CAPTION)
    nodes = [shape for shape in picture.shapes if shape.style is Style.NODE]
    assert len(nodes) == NODES_MAX
    notes = [label.text for label in picture.labels if "not shown" in label.text]
    assert len(notes) == 1 and notes[0].startswith("4 hosts not shown")


def test_a_plan_over_time_says_which_instant_is_shown() -> None:
    """VMs that do not exist at the busiest instant are left out, and the picture says so."""
    vms = [Vm("early", 2, 64, start=0, end=5), Vm("late", 3, 64, start=5, end=9)]
    instance = make_instance(*vms)
    from numaplace.models.plan import PlacedCell, Placement

    placements = {vm.name: Placement("host", (PlacedCell(0, vm.vcpus, ((0, 64),)),)) for vm in vms}
    picture = plan_picture(Plan(placements), instance, CAPTION)
    drawn = {s.owner for s in picture.shapes if s.place and s.style is Style.CELL}
    assert drawn == {"late"}
    assert any("instant" in label.text for label in picture.labels)


def test_an_overfull_node_still_fits_its_bar() -> None:
    """A plan that breaks rules is drawn as well: bars then show what is used, not what there is."""
    from numaplace.models.plan import PlacedCell, Placement

    instance = make_instance(Vm("a", 9, 9000), Vm("b", 9, 9000), host=make_host())
    cell = (PlacedCell(0, 9, ((0, 9000),)),)
    plan = Plan({"a": Placement("host", cell), "b": Placement("host", cell)})
    picture = plan_picture(plan, instance, CAPTION)
    bar = next(s.box for s in picture.shapes if s.style is Style.BAR)
    cells = [s.box for s in picture.shapes if s.style is Style.CELL and s.place]
    assert len(cells) == 2 and all(bar.holds(cell) for cell in cells)
    assert not any(a.overlaps(b) for a, b in combinations(cells, 2))


def test_no_vms_at_all() -> None:
    """An empty instance has its host drawn, and no key of VMs."""
    picture = plan_picture(Plan(), make_instance(), CAPTION)
    assert sum(shape.style is Style.NODE for shape in picture.shapes) == 2
    assert not any(isinstance(label, Label) and "VMs" in label.text for label in picture.labels)
