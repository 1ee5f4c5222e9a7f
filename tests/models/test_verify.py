"""What the table of rule cases leaves out: unknown names, wrong pinnings, odd plans."""

from __future__ import annotations

from dataclasses import replace

import pytest

from numaplace.models.plan import PlacedCell, Placement, Plan, SharedCopy, TakenDevice
from numaplace.models.relations import SharingGroup
from numaplace.models.topology import Host, NumaNode
from numaplace.models.units import PageSize
from numaplace.models.verify import RULES, Rule, violations
from numaplace.models.vm import MemoryMode, ThreadPolicy, Vm
from numaplace.tests.builders import make_host
from numaplace.tests.models.case import BLOCK, cell, instance, on, pinned, plan, vm, with_nodes

ISOLATE, REQUIRE = ThreadPolicy.ISOLATE, ThreadPolicy.REQUIRE
# Two nodes of three cores of two threads: pCPUs 0..5 (cores 0, 0, 1, 1, 2, 2) and 1000..1005.
SMT = make_host(cores=3, threads=2)


def test_every_rule_has_a_function() -> None:
    """`known_names` is asked first and apart, all others are in the table."""
    assert set(RULES) == set(Rule) - {Rule.KNOWN_NAMES}


@pytest.mark.parametrize(
    ("unknown", "words"),
    [
        (plan(z=on(cell(0))), "VM 'z': does not exist"),
        (plan(a=on(cell(0), host="moon")), "VM 'a': host 'moon' does not exist"),
        (plan(a=on(cell(7, 1, {0: 1}))), "VM 'a': node 7 does not exist on host 'host'"),
        (plan(a=on(cell(0, 1, {7: 1}))), "VM 'a': node 7 does not exist on host 'host'"),
        (
            plan(a=on(cell(0), takes=(TakenDevice("nic", "0000:09:00.0"),))),
            "VM 'a': device '0000:09:00.0' does not exist",
        ),
        (plan(SharedCopy("h", "host", (0,))), "sharing group 'h': does not exist"),
        (plan(SharedCopy("g", "moon", (0,))), "sharing group 'g': host 'moon' does not exist"),
        (plan(SharedCopy("g", "moon", ())), "sharing group 'g': host 'moon' does not exist"),
        (plan(SharedCopy("g", "host", (7,))), "sharing group 'g': node 7 of host 'host'"),
    ],
)
def test_unknown_names_are_told_in_words(unknown: Plan, words: str) -> None:
    """Each is one violation that names the thing, in place of a KeyError."""
    group = SharingGroup("g", ("a", "b"), BLOCK)
    here = instance(vm("a", 1, 2), vm("b", 1, 2), sharing=(group,))
    (found,) = violations(here, unknown)
    assert found.rule is Rule.KNOWN_NAMES
    assert str(found).startswith(words)


def test_unknown_names_hide_other_rules() -> None:
    """A required VM is missing as well, but only the unknown name is told."""
    here = instance(vm("a", required=True))
    assert [v.rule for v in violations(here, plan(z=on(cell(0))))] == [Rule.KNOWN_NAMES]


def _faults(good: Plan, bad: Plan, *vms: object, host: Host = SMT) -> list[str]:
    """Messages of `bad`, which breaks `dedicated_cpus` only; `good` breaks nothing."""
    here = instance(*vms, host=host)  # type: ignore[arg-type]
    assert violations(here, good) == []
    found = violations(here, bad)
    assert {fault.rule for fault in found} == {Rule.DEDICATED_CPUS}
    return [f"{fault.subject} {fault.message}" for fault in found]


def _one(*pcpus: int, vcpus: int = 2) -> Plan:
    return plan(a=on(cell(0, vcpus, pcpus=pcpus)))


@pytest.mark.parametrize(
    ("pcpus", "words"),
    [
        ((0, 1000), "holds pCPUs [1000], which are not on node 0"),
        ((0, 77), "holds pCPUs [77], which are not on node 0"),
        ((0,), "holds 1 pCPUs on node 0 for 2 vCPUs"),
        ((), "holds 0 pCPUs on node 0 for 2 vCPUs"),
        ((0, 0), "holds 1 pCPUs on node 0 for 2 vCPUs"),
        ((0, 1, 2), "holds 3 pCPUs on node 0 for 2 vCPUs"),
    ],
)
def test_a_dedicated_cell_holds_one_pcpu_of_its_node_per_vcpu(
    pcpus: tuple[int, ...], words: str
) -> None:
    """Foreign, missing, doubled and superfluous pCPUs."""
    assert _faults(_one(0, 3), _one(*pcpus), pinned("a", 2)) == [f"VM 'a' {words}"]


def test_a_shared_vm_holds_no_pcpus() -> None:
    """Shared vCPUs float."""
    bad = plan(a=on(cell(0, pcpus=(0,))))
    assert _faults(plan(a=on(cell(0))), bad, vm("a")) == ["VM 'a' is shared but holds pCPUs"]


def test_one_pcpu_held_by_two_vms_though_others_are_free() -> None:
    """The pinning counts, not only the number."""
    good = plan(a=on(cell(0, pcpus=(0,))), b=on(cell(0, pcpus=(1,))))
    bad = plan(a=on(cell(0, pcpus=(1,))), b=on(cell(0, pcpus=(1,))))
    words = ["pCPU 1 of host 'host' is held by 'a' and 'b'"]
    assert _faults(good, bad, pinned("a"), pinned("b")) == words


def test_isolated_vcpus_on_siblings_though_cores_are_free() -> None:
    """pCPUs 0 and 1 are one core."""
    (words,) = _faults(_one(0, 2), _one(0, 1), pinned("a", 2, ISOLATE))
    assert "two on one core" in words


def test_required_siblings_half_used() -> None:
    """Two vCPUs take one core; three may leave one thread idle, but not three cores half used."""
    (words,) = _faults(_one(2, 3), _one(1, 2), pinned("a", 2, REQUIRE))
    assert "leaves several half used" in words
    good, bad = _one(0, 4, 5, vcpus=3), _one(0, 2, 4, vcpus=3)
    assert len(_faults(good, bad, pinned("a", 3, REQUIRE))) == 1


def test_a_core_serves_one_kind_of_vm_over_all_time() -> None:
    """They never meet, other cores are free, yet core 0 would change its kind."""
    vms = pinned("a", 1, ISOLATE, end=5), pinned("b", 1, start=5)
    good = plan(a=on(cell(0, pcpus=(0,))), b=on(cell(0, pcpus=(2,))))
    bad = plan(a=on(cell(0, pcpus=(0,))), b=on(cell(0, pcpus=(1,))))
    assert _faults(good, bad, *vms) == [
        "core 0 of host 'host' serves whole-core VMs and single-thread VMs"
    ]


def test_memory_is_whole_pages() -> None:
    """255 + 257 MiB are the right sum, but no 2M pages; 254 + 258 are."""
    nodes = [{"pages_2m": 512}] * 2
    host = with_nodes(make_host(), n0=nodes[0], n1=nodes[1])
    node_set = frozenset({0, 1})
    here = instance(vm(blocks=2, page_size=PageSize.HUGE_2M, memory_nodes=node_set), host=host)

    def split(first: int) -> Plan:
        return plan(a=on(PlacedCell(0, 1, ((0, first), (1, 512 - first)))))

    assert violations(here, split(254)) == []
    assert {v.rule for v in violations(here, split(255))} == {Rule.MEMORY_AMOUNT}


def test_a_ballooned_cell_must_say_its_nominal_size() -> None:
    """Without `size_mib` the cell is taken for a smaller shape."""
    here = instance(vm(blocks=2, memory_min_mib=BLOCK))
    assert violations(here, plan(a=on(cell(0, 1, 1, size=2)))) == []
    assert {v.rule for v in violations(here, plan(a=on(cell(0))))} == {Rule.CELLS}


def test_a_plan_by_hand_may_have_the_memory_as_said() -> None:
    """3907 MiB are 85 blocks of 46: 3907 to 3910 will do, in one cell or two; no more, no less."""
    here = instance(Vm("a", 2, 3907, max_cells=2))

    def found(*cells: PlacedCell) -> set[Rule]:
        return {broken.rule for broken in violations(here, plan(a=on(*cells)))}

    for mib in (3907, 3908, 3910):
        assert found(PlacedCell(0, 2, ((0, mib),))) == set()
    assert Rule.MEMORY_AMOUNT in found(PlacedCell(0, 2, ((0, 3906),)))
    assert Rule.MEMORY_AMOUNT in found(PlacedCell(0, 2, ((0, 3911),)))
    halves = [(1978, 1932), (1978, 1929), (1975, 1932), (1977, 1930)]
    for first, second in halves:
        assert found(PlacedCell(0, 1, ((0, first),)), PlacedCell(1, 1, ((1, second),))) == set()
    assert Rule.CELLS in found(PlacedCell(0, 1, ((0, 1954),)), PlacedCell(1, 1, ((1, 1953),)))
    soft = instance(Vm("a", 2, 3907, memory_min_mib=3000, max_cells=2))
    short = plan(a=on(PlacedCell(0, 1, ((0, 1975),)), PlacedCell(1, 1, ((1, 1929),))))
    assert {v.rule for v in violations(soft, short)} == {Rule.CELLS}  # 3904, 3 nobody took away
    nodes = frozenset({0, 1})
    spread = instance(Vm("a", 1, 3907, memory_mode=MemoryMode.INTERLEAVE, memory_nodes=nodes))
    for first, second in halves:
        even = plan(a=on(PlacedCell(0, 1, ((0, first), (1, second)))))
        assert violations(spread, even) == []


def test_copies_are_listed_once_a_host() -> None:
    """Two entries for one host could contradict each other."""
    group = SharingGroup("g", ("a", "b"), BLOCK)
    here = instance(vm("a", 1, 2), vm("b", 1, 2), sharing=(group,))
    one, two = SharedCopy("g", "host", (0,)), SharedCopy("g", "host", (1,))
    assert violations(here, plan(one, a=on(cell(0)))) == []
    found = violations(here, plan(one, two, a=on(cell(0))))
    assert Rule.SHARED_PAGES in {v.rule for v in found}


def test_a_copy_counts_while_any_member_exists() -> None:
    """Member b is not placed, but its time keeps the copy alive (docs/model.md)."""
    group = SharingGroup("g", ("a", "b"), BLOCK)
    members = vm("a", 1, 2, end=5), vm("b", 1, 2, start=5)
    host = make_host(memory_mib=2 * BLOCK)
    copies = SharedCopy("g", "host", (0,))
    placed = {"a": on(cell(0)), "z": on(cell(0, 1, 2))}
    late = instance(*members, vm("z", 1, 2, start=5), sharing=(group,), host=host)
    found = violations(late, Plan(placed, (copies,)))
    assert {v.rule for v in found} == {Rule.MEMORY_CAPACITY}
    assert violations(late, Plan({"z": placed["z"]})) == []


def test_a_copy_ends_with_its_members() -> None:
    """When z starts, both members are gone: the node is z's alone."""
    group = SharingGroup("g", ("a", "b"), BLOCK)
    vms = vm("a", 1, 2, end=5), vm("b", 1, 2, end=4), vm("z", 1, 2, start=5)
    here = instance(*vms, sharing=(group,), host=make_host(memory_mib=2 * BLOCK))
    placed = {"a": on(cell(0)), "z": on(cell(0, 1, 2))}
    assert violations(here, Plan(placed, (SharedCopy("g", "host", (0,)),))) == []


def test_an_empty_plan_is_valid_unless_something_is_required() -> None:
    """Also with an empty instance, and on a host without pCPUs and memory."""
    void = Host("void", (NumaNode(0),))
    assert violations(instance(host=void), Plan()) == []
    assert violations(instance(vm(), host=void), Plan()) == []
    found = violations(instance(vm(required=True), host=void), Plan())
    assert [v.rule for v in found] == [Rule.REQUIRED_VMS]


def test_plans_on_a_host_that_has_nothing_break_capacities() -> None:
    """No pCPUs, no memory: nothing crashes, every shortage is told."""
    void = Host("void", (NumaNode(0),))
    placed = Plan({"a": Placement("void", (cell(0),))})
    found = {v.rule for v in violations(instance(vm(), host=void), placed)}
    assert found == {Rule.MEMORY_NODES, Rule.MEMORY_CAPACITY, Rule.SHARED_CPUS}


def test_empty_memory_entries_mean_nothing() -> None:
    """A pair (node, 0) is as if it were not there, even where no memory may lie."""
    here = instance(vm())
    zero = replace(cell(0), memory_mib=((0, BLOCK), (1, 0)))
    assert violations(here, plan(a=on(zero))) == []


def test_the_same_violation_at_two_instants_is_told_once() -> None:
    """Three VMs in pairs overfill a node at two instants with the same words."""
    host = make_host(memory_mib=BLOCK)
    here = instance(vm("a"), vm("b", end=5), vm("c", start=5), host=host)
    placed = plan(a=on(cell(0)), b=on(cell(0)), c=on(cell(0)))
    assert len(here.instants) == 2
    assert [v.rule for v in violations(here, placed)] == [Rule.MEMORY_CAPACITY]
