"""VMs from libvirt domain XML."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import pytest

from numaplace.instances.formats.libvirt.domain import read_vms
from numaplace.instances.formats.libvirt.numa import pinned_pcpus
from numaplace.instances.formats.libvirt.size import size_bytes
from numaplace.instances.reading import Reading
from numaplace.models.errors import InputError
from numaplace.models.units import PageSize
from numaplace.models.vm import Cell, GuestNuma, MemoryMode, Vm
from numaplace.tests.instances.formats.vm_files import VMS, small_host


def read_one(path: Path, body: str) -> Reading[tuple[Vm, ...]]:
    """The VM of a domain with 1024 MiB, four vCPUs and a body."""
    file = path / "a.xml"
    start = "<domain><name>a</name><memory unit='MiB'>1024</memory><vcpu>4</vcpu>"
    file.write_text(f"{start}{body}</domain>", encoding="utf-8")
    return read_vms(file)


def cells(*binding: str) -> str:
    """Two equal cells, and memnode elements."""
    cpu = "".join(f"<cell cpus='{c}' memory='512' unit='MiB'/>" for c in ("0-1", "2-3"))
    nodes = "".join(f"<memnode cellid='{i}' {b}/>" for i, b in enumerate(binding) if b)
    return f"<cpu><numa>{cpu}</numa></cpu><numatune>{nodes}</numatune>"


def test_wide_domain() -> None:
    """Unequal cells in order of id, huge pages, joined memory binding, devices in two bases."""
    reading = read_vms(VMS / "database.xml", small_host())
    (vm,) = reading.item
    assert (vm.name, vm.vcpus, vm.memory_mib, vm.memory_min_mib) == ("database", 6, 24576, None)
    assert vm.page_size is PageSize.HUGE_2M
    assert vm.cells == (Cell(4, 16384), Cell(2, 8192))
    assert vm.memory_mode is MemoryMode.STRICT
    assert vm.memory_nodes == {0, 1}
    assert [request.kind for request in vm.devices] == ["0000:3b:02.1", "0000:3b:10.0"]
    assert vm.hard_nodes == {0, 2, 3}
    told = "\n".join(reading.notes)
    for words in ("bind their memory differently", "no sharing group", "emulator threads"):
        assert words in told
    assert "only a part of node(s) 2;" in told


def test_several_domains() -> None:
    """A wrapper with two domains: units, balloon range, interleaved memory, no balloon device."""
    reading = read_vms(VMS / "two-domains.xml")
    web, cache = reading.item
    assert (web.vcpus, web.memory_mib, web.memory_min_mib) == (4, 4096, 2048)
    assert (cache.memory_mib, cache.memory_min_mib) == (954, None)
    assert (cache.memory_mode, cache.memory_nodes) == (MemoryMode.INTERLEAVE, {0, 1, 3})
    assert any("no balloon device" in note for note in reading.notes)
    assert any("976562 KiB rounded up to 954 MiB" in note for note in reading.notes)


def test_memory_devices() -> None:
    """A DIMM counts as memory of the cell it is plugged into."""
    (vm,) = read_vms(VMS / "dimm.xml").item
    assert vm.cells == (Cell(1, 1024), Cell(1, 2048))


@pytest.mark.parametrize(
    ("unit", "factor"),
    [
        (None, 1024),
        ("b", 1),
        ("bytes", 1),
        ("KB", 1000),
        ("k", 1024),
        ("KiB", 1024),
        ("MB", 10**6),
        ("M", 2**20),
        ("mib", 2**20),
        ("GB", 10**9),
        ("GiB", 2**30),
        ("T", 2**40),
        ("TB", 10**12),
        ("PiB", 2**50),
        ("E", 2**60),
    ],
)
def test_units(unit: str | None, factor: int) -> None:
    """Every unit libvirt knows, with and without a letter for the base."""
    assert size_bytes(Element("memory"), unit, " 1 ") == factor


@pytest.mark.parametrize("unit", ["bit", "ki", "kibi", "X", "MiBs"])
def test_unknown_units(unit: str) -> None:
    """Anything else is refused."""
    with pytest.raises(InputError, match="unit"):
        size_bytes(Element("memory"), unit, "1")


@pytest.mark.parametrize(
    ("bindings", "mode", "nodes", "note"),
    [
        (("mode='strict' nodeset='1'",) * 2, MemoryMode.STRICT, {1}, None),
        (
            ("mode='preferred' nodeset='0'", "mode='strict' nodeset='2'"),
            MemoryMode.STRICT,
            {0, 2},
            "differently",
        ),
        (("", "mode='strict' nodeset='2'"), MemoryMode.PREFERRED, None, "only 1 of its 2"),
        (("mode='restrictive' nodeset='0'",) * 2, MemoryMode.STRICT, {0}, "restrictive"),
    ],
)
def test_bindings_of_cells(
    tmp_path: Path,
    bindings: tuple[str, str],
    mode: MemoryMode,
    nodes: set[int] | None,
    note: str | None,
) -> None:
    """Bindings of cells are joined; what is lost is noted."""
    reading = read_one(tmp_path, cells(*bindings))
    (vm,) = reading.item
    assert vm.guest_numa is GuestNuma.EXPLICIT
    assert (vm.memory_mode, vm.memory_nodes) == (mode, nodes)
    assert any(note in told for told in reading.notes) if note else not reading.notes


def test_unbound_cells_take_the_general_binding(tmp_path: Path) -> None:
    """A cell without a memnode follows numatune's memory element."""
    body = cells("", "mode='strict' nodeset='2'")
    body = body.replace("<numatune>", "<numatune><memory mode='strict' nodeset='2'/>")
    (vm,) = read_one(tmp_path, body).item
    assert (vm.memory_mode, vm.memory_nodes) == (MemoryMode.STRICT, {2})


def test_placement_by_numad(tmp_path: Path) -> None:
    """placement='auto' leaves the nodes to the solver, whatever nodeset says."""
    body = "<numatune><memory mode='strict' placement='auto' nodeset='1'/></numatune>"
    reading = read_one(tmp_path, body)
    assert reading.item[0].memory_nodes is None
    assert any("numad" in note for note in reading.notes)


def test_default_huge_pages(tmp_path: Path) -> None:
    """Huge pages without a size are 2M, with a note."""
    reading = read_one(tmp_path, "<memoryBacking><hugepages/></memoryBacking>")
    assert reading.item[0].page_size is PageSize.HUGE_2M
    assert any("taken as 2M" in note for note in reading.notes)


def test_balloon_floor_in_whole_pages(tmp_path: Path) -> None:
    """What ballooning leaves is rounded up to whole huge pages, with a note."""
    body = (
        "<currentMemory unit='KiB'>524289</currentMemory>"
        "<memoryBacking><hugepages><page size='2048'/></hugepages></memoryBacking>"
    )
    reading = read_one(tmp_path, body)
    assert reading.item[0].memory_min_mib == 514
    assert any("rounded up to 514" in note for note in reading.notes)


@pytest.mark.parametrize("size", ["0", "1048580"])
def test_current_memory_that_says_nothing(tmp_path: Path, size: str) -> None:
    """Zero, and a little more than the memory (rounding), mean all of it."""
    reading = read_one(tmp_path, f"<currentMemory>{size}</currentMemory>")
    assert reading.item[0].memory_min_mib is None
    assert reading.notes == ()


def test_pinning_of_some_vcpus(tmp_path: Path) -> None:
    """vCPUs without a pin may run anywhere unless vcpu names a set for them."""
    reading = read_one(tmp_path, "<cputune><vcpupin vcpu='0' cpuset='3'/></cputune>")
    assert reading.item[0].hard_nodes is None
    assert reading.notes == ()


def test_pins_of_some_vcpus_beside_a_common_set() -> None:
    """The others run where vcpu says; once all are pinned that no longer matters."""
    pins = "".join(f"<vcpupin vcpu='{n}' cpuset='{8 + n}'/>" for n in range(2))
    text = f"<domain><vcpu cpuset='0-3'>2</vcpu><cputune>{pins}</cputune></domain>"
    domain = ElementTree.fromstring(text)
    assert pinned_pcpus(domain, 2) == {8, 9}
    assert pinned_pcpus(domain, 3) == {0, 1, 2, 3, 8, 9}


def test_cells_as_libvirt_completes_them(tmp_path: Path) -> None:
    """vCPUs of no cell are in the first, cells without vCPUs add memory, the cells' sum counts."""
    numa = "<cell id='0' cpus='1' memory='1' unit='GiB'/>"
    (vm,) = read_one(tmp_path, f"<cpu><numa>{numa}</numa></cpu>").item
    assert vm.cells == (Cell(4, 1024),)
    numa += "<cell id='1' cpus='2-3' memory='2' unit='GiB'/><cell id='2' memory='3' unit='GiB'/>"
    reading = read_one(tmp_path, f"<cpu><numa>{numa}</numa></cpu>")
    (vm,) = reading.item
    assert vm.cells == (Cell(2, 1024), Cell(2, 5120))
    assert vm.memory_mib == 6144
    for words in ("vCPUs 0, which no", "cells 2, which have no vCPUs", "is the 6291456 KiB of its"):
        assert any(words in note for note in reading.notes), words


def test_several_documents_in_a_row(tmp_path: Path) -> None:
    """As ``virsh dumpxml`` appends them; lines of errors stay right."""
    one = "<?xml version='1.0'?>\n<!-- made by hand -->\n<domain><name>{}</name>{}</domain>\n"
    memory = "<memory>4000000</memory>"
    file = tmp_path / "all.xml"
    file.write_text(one.format("a", memory) + one.format("b", memory) + one.format("c", memory))
    assert [(vm.name, vm.memory_mib) for vm in read_vms(file).item] == [
        (name, 3907) for name in "abc"
    ]
    file.write_text(one.format("a", memory) + one.format("b", "<memory>x</memory>"))
    with pytest.raises(InputError) as caught:
        read_vms(file)
    assert str(caught.value).startswith(f"{file}:6: <memory>")


def test_devices_that_cannot_be_asked_for_are_told(tmp_path: Path) -> None:
    """Mediated and vDPA devices, pools of virtual functions; the default network is none."""
    reading = read_one(
        tmp_path,
        "<devices><hostdev type='mdev'><source><address uuid='u-1'/></source></hostdev>"
        "<interface type='network'><source network='pool'/></interface>"
        "<interface type='network'><source network='default'/></interface>"
        "<interface type='vdpa'><source dev='/dev/v0'/></interface>"
        "<disk type='nvme'><source/></disk></devices>",
    )
    assert reading.item[0].devices == ()
    kinds = ("mediated device u-1", "network 'pool'", "vDPA interface /dev/v0", "NVMe disk")
    assert [any(kind in note for note in reading.notes) for kind in kinds] == [True] * 4
    assert len(reading.notes) == 4


def test_memory_is_rounded_up_to_whole_pages(tmp_path: Path) -> None:
    """1025 MiB in 2M pages are 1026, in each cell."""
    pages = "<memoryBacking><hugepages/></memoryBacking>"
    numa = "<cell cpus='0-1' memory='511' unit='MiB'/><cell cpus='2-3' memory='514' unit='MiB'/>"
    reading = read_one(tmp_path, f"{pages}<cpu><numa>{numa}</numa></cpu>")
    assert reading.item[0].cells == (Cell(2, 512), Cell(2, 514))
    assert any("1025 MiB rounded up to 1026, whole pages" in note for note in reading.notes)
