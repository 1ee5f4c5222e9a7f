"""Where configurations put VMs: what they do not tell, and what is no placement."""

from __future__ import annotations

from pathlib import Path

import pytest

from numaplace.models.errors import InputError
from numaplace.models.instance import Instance
from numaplace.models.plan import PlacedCell
from numaplace.models.vm import Vm
from numaplace.tests.instances.formats.placements import (
    read_libvirt_placement,
    read_proxmox_placement,
    read_xl_placement,
)
from numaplace.tests.instances.formats.plans import host, saved

WEB = Vm("web", 2, 1024, memory_min_mib=512, max_cells=2)
INSTANCE = Instance((host(),), (WEB,))


def test_amounts_on_several_nodes_are_taken_as_equal(tmp_path: Path) -> None:
    """A note says so; what ballooning has taken is missing from them."""
    text = (
        "<domain><name>web</name><memory unit='MiB'>1024</memory>"
        "<currentMemory unit='MiB'>768</currentMemory><vcpu>2</vcpu>"
        "<cputune><vcpupin vcpu='0' cpuset='4-7'/><vcpupin vcpu='1' cpuset='4-7'/></cputune>"
        "<numatune><memory nodeset='1-2'/></numatune></domain>"
    )
    reading = read_libvirt_placement(saved(tmp_path, "web.xml", text), INSTANCE, WEB, host())
    assert reading.item.cells == (PlacedCell(1, 2, ((1, 384), (2, 384)), (), 1024),)
    assert any("equal parts" in note for note in reading.notes)


def test_cells_are_told_by_pins(tmp_path: Path) -> None:
    """A guest that does not see its cells still has them."""
    text = 'name="web"\nmemory=1024\nvcpus=2\ncpus=["node:3", "4-5"]\n'
    reading = read_xl_placement(saved(tmp_path, "web.cfg", text), INSTANCE, WEB, host())
    assert reading.item.cells == (
        PlacedCell(3, 1, ((3, 512),), (), 512),
        PlacedCell(1, 1, ((1, 512),), (), 512),
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('memory=1024\nvcpus=2\ncpus="3-4"\n', "vCPU 0 is kept on nodes 0-1, must be one"),
        ('memory=1024\nvcpus=2\ncpus="all"\n', "pins: are missing for some vCPUs"),
        (
            "memory=1024\nvcpus=2\ncpus=['0','4']\nvnuma=[['pnode=0','size=1024','vcpus=0-1']]\n",
            "guest cell 0 runs on nodes 0-1",
        ),
    ],
)
def test_what_is_no_placement(tmp_path: Path, text: str, words: str) -> None:
    """vCPUs that may run on several nodes are on none of them."""
    path = saved(tmp_path, "web.cfg", text)
    with pytest.raises(InputError, match=words):
        read_xl_placement(path, INSTANCE, WEB, host())


def test_missing_pins(tmp_path: Path) -> None:
    """Nothing says where the VM runs."""
    path = saved(
        tmp_path,
        "web.xml",
        "<domain><name>web</name><memory>1048576</memory><vcpu>2</vcpu></domain>",
    )
    with pytest.raises(InputError, match="pins: are missing for some vCPUs"):
        read_libvirt_placement(path, INSTANCE, WEB, host())
    path = saved(tmp_path, "web.conf", "cores: 2\nmemory: 1024\n")
    with pytest.raises(InputError, match="pins: are missing for some vCPUs"):
        read_proxmox_placement(path, INSTANCE, WEB, host())


def test_cells_of_proxmox_without_a_line_each(tmp_path: Path) -> None:
    """Sockets are cells; vCPUs that no line names are in the first; lines may not count at all."""
    two = Vm("web", 2, 1024, max_cells=2)
    instance = Instance((host(),), (two,))
    common = "memory: 1024\naffinity: 0-3\n"
    sockets = saved(tmp_path, "web.conf", f"sockets: 2\nnuma: 1\n{common}")
    cells = read_proxmox_placement(sockets, instance, two, host()).item.cells
    assert [(cell.vcpus, cell.size_mib) for cell in cells] == [(1, 512), (1, 512)]
    line = "numa0: cpus=0,memory=1024,hostnodes=0,policy=bind\n"
    for numa in ("numa: 1\n", ""):
        path = saved(tmp_path, "web.conf", f"sockets: 2\n{numa}{line}{common}")
        cells = read_proxmox_placement(path, instance, two, host()).item.cells
        assert [cell.vcpus for cell in cells] == [2]


def test_memory_on_a_node_that_is_not_there(tmp_path: Path) -> None:
    """The file is of another host: where the VM runs is not kept, and that is all."""
    text = 'name="web"\nmemory=1024\nvcpus=2\ncpus="node:3"\n'
    cell = 'vnuma=[["pnode=9", "size=1024", "vcpus=0-1"]]\n'
    path = saved(tmp_path, "web.cfg", text + cell)
    with pytest.raises(InputError, match="bound to node 9, which the host lacks"):
        read_xl_placement(path, INSTANCE, WEB, host())
