"""VMs, relations, plans, prices: what is refused, and why in words; times."""

from __future__ import annotations

import pickle
from collections.abc import Callable

import pytest

from numaplace.models.errors import InputError
from numaplace.models.plan import PlacedCell, Placement, Plan, TakenDevice
from numaplace.models.prices import Prices
from numaplace.models.relations import (
    Apart,
    Competition,
    Cooperation,
    Scope,
    SharingGroup,
    Together,
)
from numaplace.models.units import PageSize, ceil_div, to_micro, to_milli
from numaplace.models.vm import Cell, DeviceRequest, GuestNuma, MemoryMode, Vm


def vm(**more: object) -> Vm:
    fields: dict[str, object] = {"name": "a", "vcpus": 2, "memory_mib": 1024, **more}
    return Vm(**fields)  # type: ignore[arg-type]


EXPLICIT = GuestNuma.EXPLICIT
HALVES = (Cell(1, 512), Cell(1, 512))
TWICE = (DeviceRequest("nic"), DeviceRequest("nic"))
Build = Callable[[], object]

VMS: list[tuple[Build, str]] = [
    (lambda: vm(name=""), "VM '': name: is empty"),
    (lambda: vm(name="x" * 256), f"VM '{'x' * 79}: name: is longer than 255"),
    (lambda: vm(name=3), "VM 3: name: must be a string, not 3"),
    (lambda: vm(vcpus=0), "VM 'a': vcpus: 0 is below 1"),
    (lambda: vm(vcpus=2.0), "VM 'a': vcpus: must be a whole number, not 2.0"),
    (lambda: vm(memory_mib=-4), "VM 'a': memory_mib: is negative (-4)"),
    (lambda: vm(utilisation=1.01), "VM 'a': utilisation: 1.01 is outside 0 to 1"),
    (lambda: vm(memory_intensity=-0.1), "VM 'a': memory_intensity: -0.1 is outside 0 to 1"),
    (lambda: vm(guest_locality=float("inf")), "VM 'a': guest_locality: must be finite"),
    (lambda: vm(bandwidth_mbps=-1), "VM 'a': bandwidth_mbps: is negative (-1)"),
    (lambda: vm(soft_weight=-1), "VM 'a': soft_weight: -1 is outside"),
    (lambda: vm(value=-1.0), "VM 'a': value: -1.0 is outside"),
    (lambda: vm(cpu_policy="dedicated"), "VM 'a': cpu_policy: must be a CpuPolicy (shared, ded"),
    (lambda: vm(thread_policy="isolate"), "VM 'a': thread_policy: must be a ThreadPolicy"),
    (lambda: vm(page_size="2M"), "VM 'a': page_size: must be a PageSize (4K, 2M, 1G)"),
    (lambda: vm(memory_mode="strict"), "VM 'a': memory_mode: must be a MemoryMode"),
    (lambda: vm(guest_numa=None), "VM 'a': guest_numa: must be a GuestNuma"),
    (lambda: vm(memory_min_mib=0), "VM 'a': memory_min_mib: 0 is below 1"),
    (lambda: vm(memory_min_mib=1025), "VM 'a': memory_min_mib: 1025 is above memory_mib, 1024"),
    (
        lambda: vm(memory_min_mib=512, memory_mode=MemoryMode.INTERLEAVE),
        "VM 'a': memory_min_mib: an interleaved VM cannot be ballooned",
    ),
    (
        lambda: vm(memory_mib=1023, page_size=PageSize.HUGE_2M),
        "VM 'a': memory_mib: 1023 MiB are not whole pages of 2M",
    ),
    (
        lambda: vm(memory_min_mib=511, page_size=PageSize.HUGE_2M),
        "VM 'a': memory_min_mib: 511 MiB are not whole pages of 2M",
    ),
    (lambda: vm(block_mib=0), "VM 'a': block_mib: 0 is below 1"),
    (lambda: vm(max_cells=65), "VM 'a': max_cells: 65 is above 64"),
    (lambda: vm(cells=HALVES), "VM 'a': cells: must be given for, and only for"),
    (lambda: vm(guest_numa=EXPLICIT), "VM 'a': cells: must be given for, and only for"),
    (
        lambda: vm(guest_numa=EXPLICIT, cells=HALVES, max_cells=2),
        "VM 'a': max_cells: does not go with explicit cells",
    ),
    (
        lambda: vm(vcpus=3, guest_numa=EXPLICIT, cells=HALVES),
        "VM 'a': cells: the cells' vcpus add up to 2, the VM has 3",
    ),
    (
        lambda: vm(memory_mib=1025, guest_numa=EXPLICIT, cells=HALVES),
        "VM 'a': cells: the cells' memory_mib add up to 1024, the VM has 1025",
    ),
    (
        lambda: vm(
            guest_numa=EXPLICIT, cells=(Cell(1, 511), Cell(1, 513)), page_size=PageSize.HUGE_2M
        ),
        "VM 'a': cells: 511 MiB are not whole pages of 2M",
    ),
    (lambda: vm(hard_nodes=frozenset()), "VM 'a': hard_nodes: is empty"),
    (lambda: vm(soft_nodes=frozenset({-1})), "VM 'a': soft_nodes: is negative (-1)"),
    (lambda: vm(memory_nodes={0}), "VM 'a': memory_nodes: must be a frozenset, not {0}"),
    (lambda: vm(allowed_hosts=frozenset()), "VM 'a': allowed_hosts: is empty"),
    (lambda: vm(allowed_hosts="host"), "VM 'a': allowed_hosts: must be a frozenset, not 'host'"),
    (lambda: vm(devices=TWICE), "VM 'a': devices: 'nic' occurs twice"),
    (lambda: vm(start=1.5), "VM 'a': start: must be a whole number"),
    (lambda: vm(start=5, end=5), "VM 'a': end: 5 is not after start, 5"),
    (lambda: Cell(0, 1), "guest NUMA cell: vcpus: 0 is below 1"),
    (lambda: Cell(1, 0), "guest NUMA cell: memory_mib: 0 is below 1"),
    (lambda: DeviceRequest("nic", 0), "device request 'nic': count: 0 is below 1"),
    (lambda: DeviceRequest("nic", weight=-1), "device request 'nic': weight: -1 is outside"),
    (
        lambda: DeviceRequest("nic", policy="required"),  # type: ignore[arg-type]
        "device request 'nic': policy: must be a DevicePolicy",
    ),
]

OTHERS: list[tuple[Build, str]] = [
    (lambda: Cooperation("a", "a", 1), "cooperation of 'a' and 'a': second: a VM has no relation"),
    (lambda: Cooperation("a", "b", -1), "cooperation of 'a' and 'b': weight: -1 is outside"),
    (
        lambda: Cooperation("a", "b", 1, "node"),
        "cooperation of 'a' and 'b': scope: must be 'host' or the key of a label",
    ),
    (
        lambda: Apart(("a", "b", *map(str, range(499)))).softened(1.0),
        f"apart of {', '.join(['a', 'b', *map(str, range(499))])!r:.80}: number of VMs with a",
    ),
    (lambda: Competition("a", "a", 1), "competition of 'a' and 'a': second: a VM has no relation"),
    (lambda: Competition("a", "b", 1, ""), "competition of 'a' and 'b': scope: is empty"),
    (lambda: Together(("a",)), "together of 'a': number of VMs: 1 is below 2"),
    (lambda: Together(("a", "a")), "together of 'a, a': vms: 'a' occurs twice"),
    (lambda: Apart(("a", "b"), Scope.LLC), "apart of 'a, b': scope: must be 'node', 'host' or"),
    (lambda: Apart(("a", "b"), "llc"), "apart of 'a, b': scope: must be 'node', 'host' or the key"),
    (lambda: Apart(), "apart of '': number of VMs: 0 is below 2"),
    (lambda: Apart(domains=(("a",),)), "apart of 'a': number of VMs: 1 is below 2"),
    (lambda: Apart(domains=(("a", "b"), ("b",))), "apart of 'a, b, b': vms: 'b' occurs twice"),
    (
        lambda: Apart(("a", "b"), domains=(("a",), ("a",))),
        "apart of 'a, b': domains: 'a' occurs twice",
    ),
    (
        lambda: Apart(("a", "b"), domains=(("a", "c"),)),
        "apart of 'a, b': domains: VM 'c' is not among its vms",
    ),
    (lambda: SharingGroup("", ("a", "b"), 1), "sharing group '': name: is empty"),
    (lambda: SharingGroup("g", ("a",), 1), "sharing group 'g': number of VMs: 1 is below 2"),
    (lambda: SharingGroup("g", ("a", "b"), 0), "sharing group 'g': shared_mib: 0 is below 1"),
    (lambda: Prices(horizon_s=0), "prices: horizon_s: 0 is outside"),
    (lambda: Prices(balloon_pressure=-1), "prices: balloon_pressure: -1 is outside"),
    (lambda: PlacedCell(-1, 1), "placed cell: node: is negative (-1)"),
    (lambda: PlacedCell(0, 0), "placed cell: vcpus: 0 is below 1"),
    (lambda: PlacedCell(0, 1, ((0, -5),)), "placed cell: memory_mib: is negative (-5)"),
    (lambda: PlacedCell(0, 1, ((0, 5), (0, 5))), "placed cell: memory node: 0 occurs twice"),
    (lambda: PlacedCell(0, 1, ((0, 5),), (), 4), "placed cell: size_mib: 4 is below 5"),
    (lambda: PlacedCell(0, 1, (), (-1,)), "placed cell: pcpus: is negative (-1)"),
    (lambda: Placement("", (PlacedCell(0, 1),)), "placement: host: is empty"),
    (lambda: Placement("h", ()), "placement: number of cells: 0 is below 1"),
    (lambda: TakenDevice("nic", "x", 0), "taken device: functions: 0 is below 1"),
    (lambda: TakenDevice("", "x"), "taken device: request: is empty"),
]


@pytest.mark.parametrize(
    ("build", "words"), VMS + OTHERS, ids=[words[:60] for _, words in VMS + OTHERS]
)
def test_errors_name_thing_field_and_reason(build: Build, words: str) -> None:
    """One line each, never a traceback of something else."""
    with pytest.raises(InputError) as caught:
        build()
    assert str(caught.value).startswith(words)
    assert "\n" not in str(caught.value)


def test_an_error_is_told_where_it_was_read() -> None:
    """File and line come first; what knew its place already keeps it."""
    error = InputError("VM 'a'", "vcpus", "is\nodd")
    assert str(error) == "VM 'a': vcpus: is odd"
    assert str(error.at("x.yaml", 3)) == "x.yaml:3: VM 'a': vcpus: is odd"
    assert str(error.at("x.yaml")) == "x.yaml: VM 'a': vcpus: is odd"
    assert str(error.at("x.yaml", 3).at("y.yaml", 4)) == "x.yaml:3: VM 'a': vcpus: is odd"


@pytest.mark.parametrize(
    ("first", "second", "meet"),
    [
        ((None, None), (None, None), True),
        ((None, 5), (5, None), False),
        ((None, 5), (4, None), True),
        ((0, 10), (3, 4), True),
        ((0, 3), (3, 6), False),
        ((0, 3), (4, 6), False),
        ((5, None), (7, None), True),
        ((None, 5), (None, 1), True),
    ],
)
def test_times_are_half_open(
    first: tuple[int | None, int | None], second: tuple[int | None, int | None], meet: bool
) -> None:
    """One may end when the other starts; the relation is symmetric."""
    a, b = (vm(start=start, end=end) for start, end in (first, second))
    assert a.overlaps(b) is meet and b.overlaps(a) is meet


def test_what_follows_from_the_fields() -> None:
    """Ballooning, and locality only for a guest that sees its cells."""
    soft = vm(memory_min_mib=768)
    assert (soft.memory_least_mib, soft.balloon_mib, soft.locality) == (768, 256, 0.0)
    assert (vm().memory_least_mib, vm().balloon_mib) == (1024, 0)
    assert vm(guest_numa=GuestNuma.AUTOMATIC).locality == 0.8
    assert vm(guest_numa=EXPLICIT, cells=HALVES, guest_locality=0.5).locality == 0.5


def test_a_plan_is_read_only_and_survives_pickling() -> None:
    """A copy of the mapping is kept; changing the source changes nothing."""
    cells = (PlacedCell(0, 1, ((0, 5), (3, 7)), size_mib=20), PlacedCell(2, 1, ((3, 1),)))
    source = {"a": Placement("h", cells)}
    plan = Plan(source)
    source.clear()
    assert "a" in plan and len(plan) == 1
    with pytest.raises(TypeError):
        plan.placements["b"] = plan.placements["a"]  # type: ignore[index]
    assert pickle.loads(pickle.dumps(plan)) == plan
    assert plan.placements["a"].nodes == {0, 2}
    assert plan.placements["a"].memory_by_node() == {0: 5, 3: 8}
    assert [(c.total_mib, c.nominal_mib) for c in cells] == [(12, 20), (1, 1)]


def test_rounding() -> None:
    """Half to even, and division upwards, also below zero."""
    assert [to_micro(x) for x in (0.0000005, 0.0000015, 1 / 3)] == [0, 2, 333_333]
    assert [to_milli(x) for x in (0.0005, 2.0, 0.3333)] == [0, 2000, 333]
    assert [ceil_div(n, 3) for n in (-4, -3, 0, 1, 3, 4)] == [-1, -1, 0, 1, 1, 2]
