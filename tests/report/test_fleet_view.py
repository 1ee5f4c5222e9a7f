"""Many hosts on one screen, and in one picture."""

from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console

from numaplace.models.errors import InputError
from numaplace.models.instance import Instance
from numaplace.models.plan import PlacedCell, Placement, Plan
from numaplace.models.relations import Cooperation
from numaplace.models.topology import Host
from numaplace.models.vm import Vm
from numaplace.report.picture.geometry import Style
from numaplace.report.picture.layout import Caption, plan_picture
from numaplace.report.tables.fleet import fleet_view, shapes_of, unplaced_by_reason
from numaplace.report.tables.plans import solve_views
from numaplace.report.tables.usage import host_uses, of_host
from numaplace.solver.registry import solve
from numaplace.tests.builders import make_node


def fleet(count: int = 20) -> Instance:
    """So many hosts of two nodes, and two larger ones; as many VMs of half a node."""
    nodes = (make_node(0, cores=4, memory_mib=1024), make_node(1, cores=4, memory_mib=1024))
    large = (make_node(0, cores=8, threads=2, memory_mib=4096),)
    hosts = [Host(f"n{k + 1}", nodes) for k in range(count)]
    hosts += [Host(f"big-{k}", large) for k in range(2)]
    vms = tuple(Vm(f"vm{k}", 2, 256) for k in range(count))
    return Instance(tuple(hosts), vms, (Cooperation("vm0", "vm1", 0.1),))


def half(instance: Instance) -> Plan:
    """Each VM on node 0 of a host of its own."""
    hosts = zip(instance.vms, instance.hosts, strict=False)
    return Plan({vm.name: Placement(h.name, (PlacedCell(0, 2, ((0, 256),)),)) for vm, h in hosts})


def text(view: object, width: int = 80) -> str:
    console = Console(width=width, record=True, color_system=None, file=StringIO())
    console.print(view)
    return console.export_text()


def test_shapes_have_their_totals_and_nodes_their_letters() -> None:
    """Twenty hosts: half of the pCPUs of node 0 and a quarter of its memory, node 1 empty."""
    instance = fleet()
    uses = host_uses(instance, half(instance))
    assert [(shape.name, len(shape.uses), shape.vms) for shape in shapes_of(uses)] == [
        ("n*", 20, 20),
        ("big*", 2, 0),
    ]
    shown = text(fleet_view(uses, 80))
    assert "40/160" in shown and "0/32" in shown
    rows = {line[:8].strip(): line for line in shown.splitlines()}
    assert rows["n* CPU"].count("▅·") == 20 and rows["n* mem"].count("▃·") == 20
    assert rows["big* CPU"].rstrip().endswith("· ·")


def test_hosts_beyond_the_room_share_a_column() -> None:
    """However many hosts, the strips keep their lines and say how many share a letter."""
    instance = fleet(900)
    shown = text(fleet_view(host_uses(instance, half(instance)), 80))
    assert len(shown.splitlines()) < 40 and "n* CPU ×" in shown


def test_a_solve_of_many_hosts_ends_with_its_verdict() -> None:
    """On one screen; reasons of VMs that are not placed are told once each."""
    instance = fleet()
    result = solve(instance, "greedy")
    views = solve_views(instance, result, 80)
    lines = [line for view in views for line in text(view).splitlines()]
    assert len(lines) < 40 and "20 of 20 VMs placed" in " ".join(lines[-2:])
    why = unplaced_by_reason({f"vm{k}": "no room" if k < 5 else "no gpu" for k in range(7)})
    shown = text(why)
    assert "vm0, vm1, vm2" in shown and shown.index("no room") < shown.index("no gpu")


def test_the_picture_of_a_fleet_has_a_cell_a_node() -> None:
    """Heat follows the share of pCPUs and memory; each node is there twice."""
    instance = fleet()
    picture = plan_picture(half(instance), instance, Caption("fleet"))
    heat = [shape for shape in picture.shapes if shape.style is Style.HEAT and "/" in shape.place]
    assert len(heat) == 2 * (20 * 2 + 2)
    assert {round(s.level, 2) for s in heat if s.place == "n1/0"} == {0.5, 0.25}
    assert picture.width < 1000 and picture.height < 500


def test_one_host_of_a_plan_is_an_instance_of_its_own() -> None:
    """With its VMs and the relations among them; an unknown one is an error."""
    instance = fleet()
    only, plan = of_host(instance, half(instance), "n2")
    assert [vm.name for vm in only.vms] == ["vm1"] == list(plan.placements)
    assert only.cooperations == () and [host.name for host in only.hosts] == ["n2"]
    with pytest.raises(InputError, match="'n99' is no host of the instance"):
        of_host(instance, half(instance), "n99")
