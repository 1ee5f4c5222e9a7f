"""Instances: cross references, instants, places and distances."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import combinations

import pytest

from numaplace.models.errors import InputError
from numaplace.models.instance import Between, Instance
from numaplace.models.plan import Placement
from numaplace.models.prices import Prices
from numaplace.models.relations import Apart, Competition, Cooperation, SharingGroup, Together
from numaplace.models.topology import Host, NumaNode
from numaplace.models.units import PageSize
from numaplace.models.vm import Cell, DeviceRequest, GuestNuma, Vm
from numaplace.tests.builders import make_host
from numaplace.tests.models.case import cell, on, plan, vm
from numaplace.tests.strategies import random_small_instance

HOSTS = (make_host("h"),)
A, B, C = (Vm(name, 2, 1024) for name in "abc")
CELLS = (Cell(1, 512), Cell(1, 512))


def make(*vms: Vm, **more: object) -> Instance:
    return Instance(**{"hosts": HOSTS, "vms": vms, **more})  # type: ignore[arg-type]


def group(*names: str, mib: int = 256, name: str = "g") -> SharingGroup:
    return SharingGroup(name, names, mib)


Build = Callable[[], object]
ERRORS: list[tuple[Build, str]] = [
    (lambda: make(hosts=()), "instance: number of hosts: 0 is below 1"),
    (lambda: make(hosts=HOSTS * 2), "instance: hosts: 'h' occurs twice"),
    (lambda: make(A, A), "instance: vms: 'a' occurs twice"),
    (lambda: make(between="balance"), "instance: between: must be a Between"),
    (
        lambda: make(A, cooperations=(Cooperation("a", "z", 1),)),
        "cooperation of 'a' and 'z': second: VM 'z' does not exist",
    ),
    (
        lambda: make(A, competitions=(Competition("z", "a", 1),)),
        "competition of 'z' and 'a': first: VM 'z' does not exist",
    ),
    (
        lambda: make(A, togethers=(Together(("a", "z")),)),
        "together of 'a, z': vms: VM 'z' does not exist",
    ),
    (
        lambda: make(hosts=(replace(HOSTS[0], labels={"node": "x"}),)),
        "host 'h': labels: 'node' is no key: as a scope it means the node itself",
    ),
    (lambda: make(A, aparts=(Apart(("a", "z")),)), "apart of 'a, z': vms: VM 'z' does not exist"),
    (lambda: make(A, sharing=(group("a", "z"),)), "sharing group 'g': vms: VM 'z' does not exist"),
    (
        lambda: make(A, B, C, sharing=(group("a", "b"), group("b", "c"))),
        "instance: sharing groups: 'g' occurs twice",
    ),
    (
        lambda: make(A, B, C, sharing=(group("a", "b"), group("c", "b", name="h"))),
        "sharing group 'h': vms: VM 'b' is in group 'g' too",
    ),
    (
        lambda: make(A, B, sharing=(group("a", "b", mib=1024),)),
        "sharing group 'g': shared_mib: 1024 must be less than VM 'a' keeps, 1024 MiB",
    ),
    (
        lambda: make(A, replace(B, memory_min_mib=512), sharing=(group("a", "b", mib=512),)),
        "sharing group 'g': shared_mib: 512 must be less than VM 'b' keeps, 512 MiB",
    ),
    (
        lambda: make(A, replace(B, page_size=PageSize.HUGE_2M), sharing=(group("a", "b"),)),
        "sharing group 'g': vms: VM 'b' has 2M pages",
    ),
    (
        lambda: make(
            A, replace(B, guest_numa=GuestNuma.EXPLICIT, cells=CELLS), sharing=(group("a", "b"),)
        ),
        "sharing group 'g': vms: VM 'b' has explicit guest NUMA cells",
    ),
    (
        lambda: make(replace(A, allowed_hosts=frozenset({"moon"}))),
        "VM 'a': allowed_hosts: host 'moon' does not exist",
    ),
    *(
        (
            lambda field=field: make(replace(A, **{field: frozenset({0, 9})})),
            f"VM 'a': {field}: node 9 exists on none of its hosts",
        )
        for field in ("hard_nodes", "soft_nodes", "memory_nodes")
    ),
    (
        lambda: make(
            replace(A, allowed_hosts=frozenset({"h"}), hard_nodes=frozenset({2})),
            hosts=(*HOSTS, make_host("large", 3)),
        ),
        "VM 'a': hard_nodes: node 2 exists on none of its hosts",
    ),
    (
        lambda: make(A, current=plan(z=on(cell(0), host="h"))),
        "current plan: placements: VM 'z' does not exist",
    ),
    (
        lambda: make(A, current=plan(a=on(cell(0), host="moon"))),
        "current plan, VM 'a': host: host 'moon' does not exist",
    ),
    (
        lambda: make(A, current=plan(a=on(cell(2), host="h"))),
        "current plan, VM 'a': node: node 2 is not on host 'h'",
    ),
    (
        lambda: make(A, current=plan(a=on(cell(0, 1, {2: 1}), host="h"))),
        "current plan, VM 'a': node: node 2 is not on host 'h'",
    ),
    (
        lambda: make(replace(A, block_mib=4096)),
        "VM 'a': block_mib: 4096 is above its own memory, 1024",
    ),
    (
        lambda: make(
            replace(A, block_mib=1024), replace(B, block_mib=512), sharing=(group("a", "b"),)
        ),
        "VM 'a': block_mib: 1024 is above its own memory, 768",
    ),
]


@pytest.mark.parametrize(
    ("make", "least"),
    [
        (lambda v: Cooperation("a", "b", v), 1e-6),
        (lambda v: Competition("a", "b", v), 1e-6),
        (lambda v: Vm("a", 1, 64, soft_weight=v), 1e-6),
        (lambda v: DeviceRequest("nic", weight=v), 1e-6),
        (lambda v: Prices(vcpus_per_mbps=v), 1e-6),
        (lambda v: Prices(balloon_pressure=v), 1e-6),
        (lambda v: Vm("a", 1, 64, value=v), 1e-3),
    ],
)
def test_what_is_too_small_to_count_is_refused(
    make: Callable[[float], object], least: float
) -> None:
    """It would be rounded to nothing without a word; 0 is meant."""
    make(0.0)
    make(least)
    with pytest.raises(InputError, match="is too small to count: use 0, or"):
        make(least * 0.9)


@pytest.mark.parametrize(("build", "words"), ERRORS, ids=[words for _, words in ERRORS])
def test_errors_name_thing_field_and_reason(build: Build, words: str) -> None:
    """One line each, raised where the instance is built."""
    with pytest.raises(InputError) as caught:
        build()
    assert str(caught.value).startswith(words)
    assert "\n" not in str(caught.value)


def timed(*times: tuple[int | None, int | None]) -> Instance:
    """Return an instance of VMs a, b, c, ... with these starts and ends."""
    vms = (vm(chr(97 + i), start=start, end=end) for i, (start, end) in enumerate(times))
    return make(*vms)


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ([], [""]),
        ([(None, None), (None, None)], ["ab"]),
        ([(0, 5), (5, 9)], ["a", "b"]),
        ([(0, 5), (4, 9), (8, 12)], ["ab", "bc"]),
        ([(0, 20), (1, 3), (2, 4), (5, 6)], ["abc", "ad"]),
        ([(None, 3), (2, None), (3, None)], ["ab", "bc"]),
        ([(None, 3), (None, None), (7, 8)], ["ab", "bc"]),
        ([(None, -5), (-5, None)], ["a", "b"]),
        ([(0, 1), (0, 9), (1, 2), (2, 3)], ["ab", "bc", "bd"]),
        ([(3, 4), (0, 9)], ["ab"]),
        ([(None, None), (5, 6)], ["ab"]),
    ],
)
def test_instants_by_hand(times: list[tuple[int | None, int | None]], expected: list[str]) -> None:
    """Maximal sets of VMs alive together, in order of time."""
    assert [set(alive) for alive in timed(*times).instants] == [set(word) for word in expected]


@pytest.mark.parametrize("seed", range(80))
def test_instants_are_the_maximal_cliques(seed: int) -> None:
    """Pairwise overlap is common overlap, so cliques of pairs are sets alive together."""
    found = random_small_instance(seed, max_vms=4, max_plans=10**9)
    names = [each.name for each in found.vms]
    cliques = [
        frozenset(chosen)
        for size in range(1, len(names) + 1)
        for chosen in combinations(names, size)
        if all(found.vm(a).overlaps(found.vm(b)) for a, b in combinations(chosen, 2))
    ]
    maximal = {c for c in cliques if not any(c < other for other in cliques)}
    assert set(found.instants) == maximal
    assert len(found.instants) == len(maximal)


def test_places_count_the_nodes_of_all_hosts() -> None:
    """Index over all hosts, position within one; ids may have gaps and repeat on other hosts."""
    hosts = (make_host("one"), Host("two", (NumaNode(1), NumaNode(7))))
    found = make(hosts=hosts)
    assert [str(place) for place in found.places] == ["one/0", "one/1", "two/1", "two/7"]
    assert [(p.index, p.host_index, p.position) for p in found.places] == [
        (0, 0, 0),
        (1, 0, 1),
        (2, 1, 0),
        (3, 1, 1),
    ]
    assert found.place_of["two", 7] is found.places[3]
    assert [len(group) for group in found.host_places] == [2, 2]


def test_distance_within_and_between_hosts() -> None:
    """Relative distance on a host; the larger network factor between, in both directions."""
    hosts = (make_host("one", distance=32.0), replace(make_host("two"), network_factor=30.0))
    found = make(hosts=hosts)
    one_0, one_1, two_0, _ = found.places
    assert (found.r(one_0, one_0), found.r(one_0, one_1)) == (1.0, 3.2)
    assert found.r(one_0, two_0) == found.r(two_0, one_0) == 30.0


def test_allowed_hosts_and_value() -> None:
    """All hosts unless named, in the instance's order; value is the vCPUs unless stated."""
    hosts = (make_host("one"), make_host("two"))
    bound = replace(A, allowed_hosts=frozenset({"two"}), value=0.25)
    found = make(bound, B, hosts=hosts)
    assert [h.name for h in found.allowed_hosts(found.vm("a"))] == ["two"]
    assert [h.name for h in found.allowed_hosts(found.vm("b"))] == ["one", "two"]
    assert [found.value_milli(each) for each in found.vms] == [250, 2000]


def test_the_form_knows_the_sharing_group_and_the_allowed_hosts() -> None:
    """Shared memory is not own; only hosts a VM may go to decide how it is cut."""
    hosts = (make_host("small", cores=4), make_host("large", cores=8))
    wide = Vm("w", 8, 1024, allowed_hosts=frozenset({"small"}))
    found = make(A, B, wide, replace(wide, name="x", allowed_hosts=None), hosts=hosts)
    assert [found.form(name).max_cells for name in "wx"] == [2, 2]
    assert [len(found.form(name).shapes) for name in "wx"] == [1, 2]
    shared = make(A, B, sharing=(group("a", "b"),))
    assert (shared.form("a").shared_mib, shared.group_of["b"].name) == (256, "g")
    form = shared.form("a")
    assert form.blocks * form.block_mib == 768


def test_defaults() -> None:
    """Nothing between value and loss; prices as documented."""
    found = make(A)
    assert found.between is Between.NOTHING and found.current is None
    assert found.prices == Prices(0.5, 0.0002, 1000.0, 1000.0, 0.5, 3600.0)


def test_a_current_plan_may_break_rules_but_not_name_the_unknown() -> None:
    """What runs now may be anything: two cells on a node, memory anywhere."""
    odd = Placement("h", (cell(0), cell(0, 1, {1: 9})))
    assert make(A, current=plan(a=odd)).current is not None
