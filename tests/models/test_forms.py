"""Blocks and shapes, and where pages may lie."""

from __future__ import annotations

from dataclasses import replace

import pytest

from numaplace.models.errors import InputError
from numaplace.models.forms import VmForm, make_form, node_takes
from numaplace.models.pages import interleaved_blocks, page_nodes
from numaplace.models.topology import Host
from numaplace.models.units import PageSize
from numaplace.models.vm import Cell, CpuPolicy, GuestNuma, MemoryMode, ThreadPolicy, Vm
from numaplace.tests.builders import make_host
from numaplace.tests.models.case import with_nodes

STRICT, PREFERRED = MemoryMode.STRICT, MemoryMode.PREFERRED
HOST = make_host(nodes=4)


def form(vm: Vm, *hosts: Host, shared_mib: int = 0, copy_mib: int = 0) -> VmForm:
    return make_form(vm, shared_mib, list(hosts or (HOST,)), copy_mib=copy_mib)


def cells(vm: Vm, *hosts: Host, **more: int) -> list[list[tuple[int, int]]]:
    return [shape.cells() for shape in form(vm, *hosts, **more).shapes]


@pytest.mark.parametrize(
    ("memory", "block", "blocks"),
    [
        (4096, 64, 64),
        (1000, 10, 100),  # 15.6 is the most for 64 parts; 10 is the largest divisor below it
        (64, 1, 64),
        (63, 1, 63),
        (1, 1, 1),
        (997, 1, 997),  # a prime has no other divisor
    ],
)
def test_blocks_are_the_coarsest_of_at_least_64_parts(memory: int, block: int, blocks: int) -> None:
    """Divisors of the memory only; small memory goes by the MiB."""
    found = form(Vm("a", 1, memory))
    assert (found.block_mib, found.blocks) == (block, blocks)


@pytest.mark.parametrize(
    ("memory", "size", "block"),
    [(4096, PageSize.HUGE_2M, 64), (62, PageSize.HUGE_2M, 2), (8192, PageSize.HUGE_1G, 1024)],
)
def test_blocks_are_whole_pages(memory: int, size: PageSize, block: int) -> None:
    """A page is the least, whatever the number of parts."""
    assert form(Vm("a", 1, memory, page_size=size)).block_mib == block


def test_blocks_divide_balloon_cells_and_own_memory() -> None:
    """4096 with 4000 kept: gcd 32; cells of 1000 and 3096: gcd 8; 96 shared of 4096: 4000."""
    soft = form(Vm("a", 1, 4096, memory_min_mib=4000))
    assert (soft.block_mib, soft.balloon_blocks) == (32, 3)
    explicit = (Cell(1, 1000), Cell(1, 3096))
    cut = form(Vm("a", 2, 4096, guest_numa=GuestNuma.EXPLICIT, cells=explicit))
    assert cut.block_mib == 8
    assert cut.shapes[0].cells() == [(1, 387), (1, 125)]
    member = form(Vm("a", 1, 4096), shared_mib=96)
    assert (member.block_mib, member.blocks, member.shared_mib) == (50, 80, 96)


def rounded(vm: Vm) -> tuple[int, int, int]:
    found = form(vm)
    return found.block_mib, found.blocks, found.rounding_mib


@pytest.mark.parametrize(
    ("memory", "block", "blocks", "rounding"),
    [
        (3907, 46, 85, 3),  # from 64 parts on the first that adds less than a thousandth
        (4099, 50, 82, 1),
        (15259, 218, 70, 1),  # 16,000,000,000 bytes
        (61036, 954, 64, 20),
        (11341, 1031, 11, 0),  # 11 parts are exact, and 8 are enough
    ],
)
def test_memory_without_parts_is_rounded_up(
    memory: int, block: int, blocks: int, rounding: int
) -> None:
    """By less than a thousandth if some number of parts allows it; the VM keeps what it says."""
    assert rounded(Vm("a", 1, memory)) == (block, blocks, rounding)


@pytest.mark.parametrize("size", list(PageSize))
def test_every_size_has_a_form(size: PageSize) -> None:
    """Of whole pages; one that is rounded has a thousandth more at most, or one page."""
    for pages in (*range(1, 5000, 7), 104_729, 1_299_709):
        vm = Vm("a", 1, pages * size.mib, page_size=size)
        block, blocks, rounding = rounded(vm)
        assert block % size.mib == 0 and block * blocks == vm.memory_mib + rounding
        assert rounding * 1024 < vm.memory_mib or rounding == size.mib
        assert blocks >= 64 or pages < 64 or (blocks >= 8 and not rounding)


def test_unequal_cells_are_rounded_each() -> None:
    """16 GiB over three cells have no common part but a MiB: 16,384 parts would be too many."""
    given = (Cell(2, 5461), Cell(1, 5461), Cell(1, 5462))
    found = form(Vm("a", 4, 16384, guest_numa=GuestNuma.EXPLICIT, cells=given))
    assert (found.block_mib, found.rounding_mib) == (77, 17)
    assert found.shapes[0].cells() == [(2, 71), (1, 71), (1, 71)]
    assert [found.whole_mib(mib) for mib in (5461, 5462, 5449, 5467)] == [5467, 5467, 5449, 5467]


def test_a_given_block_is_rounded_up_to() -> None:
    """Unless it is no whole page, or more than there is."""
    assert rounded(Vm("a", 1, 1024, block_mib=512)) == (512, 2, 0)
    assert rounded(Vm("a", 1, 1024, block_mib=3)) == (3, 342, 2)
    assert form(Vm("a", 1, 1024, memory_min_mib=768, block_mib=512)).balloon_blocks == 0
    wrong = [
        Vm("a", 1, 1024, block_mib=1025),
        Vm("a", 1, 1024, block_mib=1, page_size=PageSize.HUGE_2M),
    ]
    for vm in wrong:
        with pytest.raises(InputError) as caught:
            form(vm)
        assert str(caught.value).startswith("VM 'a': block_mib: ")


def test_max_cells_gives_all_counts_up_to_it() -> None:
    """Even cuts, the rest to the first cells; never more than vCPUs or blocks."""
    vm = Vm("a", 5, 4096, block_mib=1024, max_cells=3)
    assert cells(vm) == [[(5, 4)], [(3, 2), (2, 2)], [(2, 2), (2, 1), (1, 1)]]
    assert form(vm).max_cells == 3
    assert len(cells(replace(vm, vcpus=2))) == 2
    assert len(cells(replace(vm, block_mib=4096))) == 1


def test_equal_cells_are_counted_by_type() -> None:
    """Five vCPUs in four cells: one of two, three of one."""
    shape = form(Vm("a", 5, 4096, block_mib=1024, max_cells=4)).shapes[-1]
    assert [(t.vcpus, t.blocks, t.count) for t in shape.types] == [(2, 1, 1), (1, 1, 3)]
    assert shape.num_cells == 4


def test_explicit_cells_are_the_only_shape() -> None:
    """Unequal cells stay as given; equal ones are merged into one type."""
    given = (Cell(1, 512), Cell(2, 1024), Cell(1, 512))
    vm = Vm("a", 4, 2048, guest_numa=GuestNuma.EXPLICIT, cells=given, block_mib=512)
    assert cells(vm) == [[(2, 2), (1, 1), (1, 1)]]


def _counts(vm: Vm, *hosts: Host, **more: int) -> list[int]:
    return [len(shape) for shape in cells(vm, *hosts, **more)]


def test_a_vm_wider_than_every_node_gets_the_fewest_cells() -> None:
    """Nodes of 4 pCPUs: 4 vCPUs fit one, 9 need three; more than the host has stays whole."""
    assert _counts(Vm("a", 4, 1024)) == [1]
    assert _counts(Vm("a", 9, 1024)) == [3]
    assert _counts(Vm("a", 17, 1024)) == [1]
    assert _counts(Vm("a", 9, 1024, hard_nodes=frozenset({1, 2}))) == [1]


def test_strict_memory_counts_towards_the_width() -> None:
    """Nodes of 4096 MiB: 6000 need two if strict, one if they may spill or are in a node set."""
    assert _counts(Vm("a", 2, 6000, memory_mode=STRICT)) == [2]
    assert _counts(Vm("a", 2, 6000, memory_mode=PREFERRED)) == [1]
    wide = Vm("a", 2, 6000, memory_mode=STRICT, memory_nodes=frozenset({0, 1}))
    assert _counts(wide) == [1]
    assert _counts(Vm("a", 2, 6000, memory_min_mib=4000, memory_mode=STRICT)) == [1]


def test_cells_need_not_fit_the_same_nodes() -> None:
    """3 vCPUs on nodes of 2 and 1 pCPUs: two cells of 2 and 1."""
    host = make_host(cores=2)
    host = with_nodes(host, n1={"pcpus": host.nodes[1].pcpus[:1]})
    assert cells(Vm("a", 3, 2, block_mib=1), host) == [[(2, 1), (1, 1)]]


def test_the_count_is_that_of_whole_blocks() -> None:
    """Three blocks of 256 on nodes of 400 MiB: two cells would need 512 on one, so three."""
    host = make_host(nodes=3, memory_mib=400)
    vm = Vm("a", 3, 768, memory_mode=STRICT, block_mib=256)
    assert _counts(vm, host) == [3]


def test_shared_memory_is_not_own_but_a_copy_takes_room() -> None:
    """600 of 1000 MiB are shared; nodes of 500 hold the own 400, but no copy of 600 as well."""
    host = make_host(memory_mib=500)
    vm = Vm("a", 2, 1000, memory_mode=STRICT, block_mib=100)
    assert _counts(vm, host) == [2]
    assert _counts(vm, host, shared_mib=600) == [1]
    host = make_host(memory_mib=800)
    assert _counts(vm, host, shared_mib=600, copy_mib=600) == [2]


def test_hosts_of_different_kinds_may_need_different_counts() -> None:
    """8 vCPUs: two cells on nodes of 4 pCPUs, one on a node of 8; without a host one."""
    assert _counts(Vm("a", 8, 1024), HOST, make_host("big", cores=8)) == [1, 2]
    assert [len(s.cells()) for s in make_form(Vm("a", 8, 1024), 0, []).shapes] == [1]


@pytest.mark.parametrize(
    ("policy", "most"),
    [(None, 9), (ThreadPolicy.PREFER, 6), (ThreadPolicy.ISOLATE, 4), (ThreadPolicy.REQUIRE, 4)],
)
def test_what_a_node_takes(policy: ThreadPolicy | None, most: int) -> None:
    """Two cores of two threads and two of one: 6 threads, x 1.5 shared, 4 cores, 4 siblings."""
    host = replace(make_host(cores=2, threads=2), vcpu_overcommit=1.5)
    singles = make_host(cores=12).nodes[0].pcpus[10:]
    node = replace(host.nodes[0], pcpus=host.nodes[0].pcpus + singles)
    vm = Vm("a", 1, 1)
    if policy is not None:
        vm = replace(vm, cpu_policy=CpuPolicy.DEDICATED, thread_policy=policy)
    assert node_takes(vm, most, node, host)
    assert not node_takes(vm, most + 1, node, host)


def test_page_nodes_by_mode() -> None:
    """Strict: home; others: every node with a pool; a node set narrows each."""
    host = with_nodes(make_host(nodes=4), n2={"memory_mib": 0})
    assert page_nodes(Vm("a", 1, 1, memory_mode=STRICT), host, 1) == [1]
    assert page_nodes(Vm("a", 1, 1, memory_mode=STRICT), host, 2) == []
    for mode in (PREFERRED, MemoryMode.INTERLEAVE):
        assert page_nodes(Vm("a", 1, 1, memory_mode=mode), host, 2) == [0, 1, 3]
    for mode in MemoryMode:
        narrow = Vm("a", 1, 1, memory_mode=mode, memory_nodes=frozenset({2, 3}))
        assert page_nodes(narrow, host, 0) == [3]
    huge = Vm("a", 1, 2, page_size=PageSize.HUGE_2M)
    assert page_nodes(huge, host, 0) == []


def test_interleaved_blocks() -> None:
    """Even, the rest one each to the lowest; nodes that get nothing are left out."""
    assert interleaved_blocks([0, 2, 5], 7) == {0: 3, 2: 2, 5: 2}
    assert interleaved_blocks([0, 2, 5], 2) == {0: 1, 2: 1}
    assert interleaved_blocks([], 2) == {}
