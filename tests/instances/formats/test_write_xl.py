"""Plans as xl configurations."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from numaplace.instances.formats.format import AffinityKind
from numaplace.instances.formats.xen.xl_text import XlText, XlValue, format_xl, parse_xl_text
from numaplace.models.errors import InputError
from numaplace.models.instance import Instance
from numaplace.models.plan import PlacedCell, Plan, TakenDevice
from numaplace.models.units import PageSize
from numaplace.models.vm import Cell, CpuPolicy, DeviceRequest, GuestNuma, Vm
from numaplace.tests.instances.formats.placements import read_xl_placement
from numaplace.tests.instances.formats.plans import cell, host, on, planned, saved
from numaplace.tests.instances.formats.vm_files import VMS
from numaplace.tests.instances.formats.writing import write_xl

SOURCE = """\
# the database
name = 'db'   # do not rename
type = "hvm"; vcpus = 2
maxvcpus=4
memory = 0x400
cpus = [ "0", "1",  # first
         "2", "3" ]
cpus_soft = "all"
pci = [ '3b:00.0,permissive=1@5', "af:00.0" ]
vnuma = [ [ "pnode=0", "size=1024", "vcpus=0-3", "vdistances=10" ] ]
disk = [ 'phy:/dev/vg/db,xvda,w' ]
on_crash = 'restart'
"""
SOURCE = SOURCE.replace(",permissive=1@5", "@5,permissive=1")
DB = Vm(
    "db",
    4,
    2048,
    guest_numa=GuestNuma.EXPLICIT,
    cells=(Cell(2, 1024), Cell(2, 1024)),
    devices=(DeviceRequest("nic"), DeviceRequest("gpu")),
)
DB_PLACED = on(
    cell(2, 2, 1024),
    cell(3, 2, 1024),
    devices=(TakenDevice("nic", "0000:5e:00.0"), TakenDevice("gpu", "0000:af:00.0")),
)


def ballooned(node: int, vcpus: int, mib: int, size_mib: int) -> PlacedCell:
    return PlacedCell(node, vcpus, ((node, mib),), (), size_mib)


def test_a_source_is_edited_and_the_rest_stays() -> None:
    """Comments, order, quotes and all other keys stay."""
    instance, plan = planned((DB, DB_PLACED))
    expected = """\
# the database
name = 'db'   # do not rename
type = "hvm"; vcpus = 2
maxvcpus=4
memory = 2048
cpus = ["8-11", "8-11", "12-15", "12-15"]
cpus_soft = ["8-11", "8-11", "12-15", "12-15"]
pci = ["0000:5e:00.0@5,permissive=1", "af:00.0"]
vnuma = [
    ["pnode=2", "size=1024", "vcpus=0-1", "vdistances=10,20"],
    ["pnode=3", "size=1024", "vcpus=2-3", "vdistances=20,10"],
]
disk = [ 'phy:/dev/vg/db,xvda,w' ]
on_crash = 'restart'
"""
    text = write_xl(instance, plan, DB, SOURCE, file="db.cfg").item
    assert text == expected
    assert write_xl(instance, plan, DB, text).item == text


def test_an_edited_source_is_read_back_as_the_plan(tmp_path: Path) -> None:
    """Cells, memory and devices."""
    instance, plan = planned((DB, DB_PLACED))
    path = saved(tmp_path, "db.cfg", write_xl(instance, plan, DB, SOURCE).item)
    read = read_xl_placement(path, instance, DB, host()).item
    assert [(c.node, c.vcpus, c.memory_mib) for c in read.cells] == [
        (c.node, c.vcpus, c.memory_mib) for c in DB_PLACED.cells
    ]
    assert read.devices == DB_PLACED.devices


@pytest.mark.parametrize(
    ("affinity", "lines"),
    [
        (AffinityKind.HARD, ['cpus = "4-7"']),
        (AffinityKind.SOFT, ['cpus_soft = "4-7"']),
        (AffinityKind.BOTH, ['cpus = "4-7"', 'cpus_soft = "4-7"']),
    ],
)
def test_affinity(affinity: AffinityKind, lines: list[str]) -> None:
    """What was said before is replaced, in every way."""
    vm = Vm("web", 1, 1024)
    instance, plan = planned((vm, on(cell(1, 1, 1024))))
    source = 'cpus = "0"\nmemory=1024\ncpus_soft = "0"\n'
    text = write_xl(instance, plan, vm, source, affinity=affinity).item
    assert [line for line in text.splitlines() if line.startswith("cpus")] == lines
    assert (text == write_xl(instance, plan, vm, source).item) is (affinity is AffinityKind.BOTH)
    new = write_xl(instance, plan, vm, affinity=affinity).item
    assert [line for line in new.splitlines() if line.startswith("cpus")] == lines


def test_soft_affinity_stays_within_hard_nodes() -> None:
    """What the VM is pinned to is kept."""
    vm = Vm("web", 1, 1024, hard_nodes=frozenset({1, 2}))
    instance, plan = planned((vm, on(cell(1, 1, 1024))))
    text = write_xl(instance, plan, vm, affinity=AffinityKind.SOFT).item
    assert 'cpus = "4-11"\ncpus_soft = "4-7"\n' in text


def test_ballooning() -> None:
    """Memory is what is left, maxmem what there was."""
    vm = Vm("web", 1, 1024, memory_min_mib=512)
    instance, plan = planned((vm, on(ballooned(1, 1, 768, 1024))))
    assert "memory = 768\nmaxmem = 1024\n" in write_xl(instance, plan, vm, "memory=1024").item


def test_a_ballooned_guest_keeps_what_it_has() -> None:
    """Unless the plan takes memory away."""
    vm = Vm("web", 1, 1024, memory_min_mib=512)
    instance, plan = planned((vm, on(cell(1, 1, 1024))))
    reading = write_xl(instance, plan, vm, "memory=512\nmaxmem=1024\n")
    assert reading.item.startswith("memory=512\nmaxmem=1024\n")
    assert "keeps the 512 MiB it has now" in " ".join(reading.notes)


def test_pins_by_hand_that_change_are_told() -> None:
    """Hard and soft ones, vCPU by vCPU; those that stay are not."""
    vm = Vm("web", 2, 1024)
    instance, plan = planned((vm, on(cell(1, 2, 1024))))
    source = 'memory=1024\nvcpus=2\ncpus=["3", "4,5,6-7"]\ncpus_soft="all"\n'
    notes = " ".join(write_xl(instance, plan, vm, source).notes)
    assert "pinned by hand, changed: cpus of vCPU 0 from 3 to 4-7" in notes
    assert "vCPU 1" not in notes
    assert "cpus_soft" not in notes


def test_remarks_tell_what_xl_cannot_say() -> None:
    """Memory away from its vCPUs, huge pages, dedicated pCPUs that are only wished for."""
    vm = Vm("web", 1, 1024, cpu_policy=CpuPolicy.DEDICATED)
    _, plan = planned((vm, on(cell(1, 1, 1024, 4, at=2))))
    huge = Vm("web", 1, 1024, page_size=PageSize.HUGE_2M, cpu_policy=CpuPolicy.DEDICATED)
    notes = write_xl(Instance((host(),), (huge,)), plan, huge, affinity=AffinityKind.SOFT).notes
    told = " ".join(notes)
    for words in ("memory on node(s) 2", "2M pages", "only wished for"):
        assert words in told


@pytest.mark.parametrize(
    ("affinity", "memory", "words"),
    [
        (AffinityKind.BOTH, (512, 512), ""),
        (
            AffinityKind.BOTH,
            (768, 256),
            "evenly over nodes 1-2 (planned: 768 MiB on 1, 256 MiB on 2)",
        ),
        (AffinityKind.HARD, (512, 512), "without cpus_soft Xen (since 4.12) may put its memory on"),
    ],
)
def test_memory_on_several_nodes(
    affinity: AffinityKind, memory: tuple[int, int], words: str
) -> None:
    """Xen knows even parts only, and none without soft affinity."""
    vm = Vm("web", 4, 1024, max_cells=2)
    cells = (cell(1, 2, 512), cell(2, 2, 512))
    instance, _ = planned((vm, on(*cells)))
    cells = tuple(replace(c, memory_mib=((c.node, m),)) for c, m in zip(cells, memory, strict=True))
    reading = write_xl(instance, Plan({"web": on(*cells)}), vm, "memory=1024", affinity=affinity)
    assert 'cpus = ["4-7", "4-7", "8-11", "8-11"]' in reading.item
    assert words in " ".join(reading.notes)
    assert len(reading.notes) == bool(words)


def test_a_cell_whose_memory_is_elsewhere_is_built_there() -> None:
    """With vnuma the node of the memory can be said."""
    vm = Vm("web", 1, 1024, guest_numa=GuestNuma.EXPLICIT, cells=(Cell(1, 1024),))
    instance, plan = planned((vm, on(cell(1, 1, 1024, at=2))))
    text = write_xl(instance, plan, vm).item
    assert '"pnode=2"' in text
    assert 'cpus = "4-7"' in text


@pytest.mark.parametrize("kind", ["", 'type = "pv"\n', 'builder = "generic"\n', 'type = "pvh"\n'])
def test_pv_and_pvh_guests_have_no_vnuma(kind: str) -> None:
    """Xen refuses it."""
    instance, plan = planned((DB, DB_PLACED))
    with pytest.raises(InputError, match=r"PVH? guests: give type"):
        write_xl(instance, plan, DB, kind + 'name="db"\nmemory=2048\nvcpus=4\n')


def test_ballooning_does_not_go_with_vnuma_or_devices() -> None:
    """Xen refuses both."""
    vm = Vm("web", 2, 1024, memory_min_mib=512, guest_numa=GuestNuma.AUTOMATIC, max_cells=2)
    half = on(ballooned(1, 1, 256, 512), ballooned(2, 1, 512, 512))
    instance, plan = planned((vm, half))
    with pytest.raises(InputError, match="together with vnuma"):
        write_xl(instance, plan, vm)
    vm = Vm("web", 1, 1024, memory_min_mib=512, devices=(DeviceRequest("gpu"),))
    taken = (TakenDevice("gpu", "0000:af:00.0"),)
    instance, plan = planned((vm, on(ballooned(1, 1, 512, 1024), devices=taken)))
    with pytest.raises(InputError, match="together with PCI devices"):
        write_xl(instance, plan, vm, 'type="hvm"\nmemory=1024\n')
    assert "memory = 512" in write_xl(instance, plan, vm, 'type="pv"\nmemory=1024\n').item


@pytest.mark.parametrize("path", sorted(VMS.glob("*.cfg")), ids=lambda path: path.name)
def test_without_changes_the_text_stays(path: Path) -> None:
    """Not a byte changes."""
    text = path.read_bytes().decode()
    assert XlText(text, "f").result() == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a=1\nvcpus=2 # two\nb=2", "a=1\nvcpus = 3 # two\nb=2"),
        ("vcpus=1;vcpus=2\nb=2\n", "vcpus = 3;\nb=2\n"),
        ("vcpus='1'\nvcpus+='1'\nb=2\n", "vcpus = 3\nb=2\n"),
        ("b=[\n1, # ]\n2]", "b=[\n1, # ]\n2]\nvcpus = 3\n"),
        ("b='vcpus=1'\r\n", "b='vcpus=1'\r\nvcpus = 3\r\n"),
        ("# vcpus=1\n", "# vcpus=1\nvcpus = 3\n"),
        ("", "vcpus = 3\n"),
    ],
)
def test_statements_are_found(text: str, expected: str) -> None:
    """Whatever stands around them."""
    xl = XlText(text, "f")
    xl.set_number("vcpus", 3)
    assert xl.result() == expected
    assert parse_xl_text(expected, "f")["vcpus"].value == "3"


def test_statements_are_removed() -> None:
    """With their line, if nothing else is on it."""
    xl = XlText("a=1\n  cpus = [1,\n 2]  \nb=2; cpus='3'\n", "f")
    xl.remove("cpus")
    assert xl.result() == "a=1\nb=2; \n"


VALUES = st.recursive(
    st.text(alphabet="ab\\\"'#];é= ", max_size=8),
    lambda values: st.lists(values, max_size=3).map(tuple),
    max_leaves=8,
)


@given(VALUES)
def test_values_are_read_back(value: XlValue) -> None:
    """Whatever is in a string."""
    assert parse_xl_text(f"key = {format_xl(value)}\n", "f")["key"].value == value


def test_a_vm_that_is_not_placed() -> None:
    """There is nothing to write."""
    vm = Vm("web", 1, 1024)
    with pytest.raises(InputError, match="is not placed"):
        write_xl(Instance((host(),), (vm,)), Plan(), vm)
