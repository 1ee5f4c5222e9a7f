"""VMs from xl configuration files."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from numaplace.instances.formats.xen.xl_cfg import read_vms
from numaplace.instances.formats.xen.xl_cpus import named_nodes, parse_affinity, pcpus_of, restricts
from numaplace.models.errors import InputError
from numaplace.models.vm import Cell, GuestNuma, Vm
from numaplace.tests.instances.formats.vm_files import SHARED, VMS, small_host

TERMS = st.lists(
    st.sampled_from(["all", "0", "3-9", "^4", "^2-5", "node:1", "nodes:0-2", "^node:2"]), min_size=1
)


def read_one(path: Path, text: str) -> tuple[Vm, tuple[str, ...]]:
    """The VM of a text, pinned on the small host, and the notes."""
    file = path / "guest.cfg"
    file.write_text(text, encoding="utf-8")
    reading = read_vms(file, small_host())
    return reading.item[0], reading.notes


def test_plain_guest() -> None:
    """Numbers in any base, ballooning range, node affinities without a host, three devices."""
    reading = read_vms(VMS / "plain.cfg")
    (vm,) = reading.item
    assert (vm.name, vm.vcpus, vm.memory_mib, vm.memory_min_mib) == ("plain", 4, 256, 128)
    assert vm.hard_nodes == {0, 1, 3}
    assert vm.soft_nodes == {1}
    kinds = [request.kind for request in vm.devices]
    assert kinds == ["0000:3b:00.0", "0000:5e:00.1", "0000:af:00.0"]
    assert vm.guest_numa is GuestNuma.NONE
    assert len(reading.notes) == 3
    assert "may get 4" in reading.notes[0]
    assert "0000:af:00 " in reading.notes[1]
    assert "'pool' is not kept" in reading.notes[2]


def test_pins_need_a_host() -> None:
    """pCPUs are left out without a host, as the importer tells, and become nodes with one."""
    without = read_vms(VMS / "pinned.cfg")
    assert (without.item[0].hard_nodes, without.item[0].soft_nodes) == (None, None)
    reading = read_vms(VMS / "pinned.cfg", small_host())
    assert reading.item[0].hard_nodes == {0, 1}
    assert reading.item[0].soft_nodes == {0, 2, 3}
    assert any("differs between vCPUs" in note for note in reading.notes)
    assert any("a part of node(s) 0-1" in note for note in reading.notes)


def test_virtual_nodes() -> None:
    """vnuma gives unequal cells; the pnodes together are hard nodes, which is noted."""
    reading = read_vms(VMS / "vnuma.cfg")
    (vm,) = reading.item
    assert vm.guest_numa is GuestNuma.EXPLICIT
    assert vm.cells == (Cell(3, 2048), Cell(1, 1024))
    assert vm.hard_nodes == {0, 1}
    assert any("pnodes" in note and "0-1" in note for note in reading.notes)
    assert any("vdistances" in note for note in reading.notes)


@pytest.mark.parametrize(
    ("cpus", "pnodes", "nodes"), [("nodes:1-2", (0, 1), {1}), ("nodes:2-3", (0, 1), {2, 3})]
)
def test_pnodes_and_affinity(
    tmp_path: Path, cpus: str, pnodes: tuple[int, int], nodes: set[int]
) -> None:
    """Where both are given their common nodes count, or the affinity if there are none."""
    cells = ", ".join(f'["pnode={p}", "size=512", "vcpus={i}"]' for i, p in enumerate(pnodes))
    text = f'name = "v"\nvcpus = 2\ncpus = "{cpus}"\nvnuma = [ {cells} ]'
    vm, notes = read_one(tmp_path, text)
    assert vm.hard_nodes == nodes
    assert vm.memory_mib == 1024
    assert any("names pnodes 0-1" in note for note in notes)


def test_short_list_of_cpus(tmp_path: Path) -> None:
    """vCPUs that the list does not name may run anywhere, so there are no hard nodes."""
    vm, notes = read_one(tmp_path, 'memory = 512\nvcpus = 3\ncpus = ["0", "1"]')
    assert vm.hard_nodes is None
    assert any("not name every vCPU" in note for note in notes)


def test_long_list_of_cpus(tmp_path: Path) -> None:
    """Entries beyond the last vCPU are left out, as xl does."""
    vm, notes = read_one(tmp_path, "memory = 512\nvcpus = 2\ncpus = [4, 5, 15]")
    assert vm.hard_nodes == {1}
    assert any("3 entries for 2 vCPUs" in note for note in notes)


def test_all_restricts_nothing(tmp_path: Path) -> None:
    """The affinity "all" is none, even after other terms."""
    vm, _ = read_one(tmp_path, 'memory = 512\ncpus = "all"\ncpus_soft = "^3,all,0"')
    assert (vm.hard_nodes, vm.soft_nodes) == (None, None)
    for text, restricted in (("^3,all,0", False), ("all,^3", True), ("all,^3,all", False)):
        assert restricts(parse_affinity(text, thing="t", field="cpus")) is restricted


def test_name_and_duplicates(tmp_path: Path) -> None:
    """A guest without a name is called as its file; a value given twice is noted."""
    vm, notes = read_one(tmp_path, "memory = 512\nmemory = 1024")
    assert (vm.name, vm.memory_mib) == ("guest", 1024)
    assert notes == ("VM 'guest': 'memory' is given in lines 1 and 2; the last counts",)


@given(TERMS)
def test_affinity_terms_apply_from_left_to_right(terms: list[str]) -> None:
    """The sets equal those of a plain interpreter of the terms."""
    host = small_host()
    wanted: set[int] = set()
    for term in terms:
        word = term.removeprefix("^")
        if word == "all":
            named = set(range(16))
        else:
            first, _, last = word.removeprefix("node:").removeprefix("nodes:").partition("-")
            named = set(range(int(first), int(last or first) + 1))
            if word.startswith("node"):
                named = {pcpu for node in named for pcpu in range(4 * node, 4 * node + 4)}
        wanted = wanted - named if term.startswith("^") else wanted | named
    affinity = parse_affinity(",".join(terms), thing="t", field="cpus")
    assert pcpus_of(affinity, host) == wanted
    if not restricts(affinity):
        assert wanted == set(range(16))
    nodes = named_nodes(affinity)
    if nodes is not None:
        assert {4 * node for node in nodes} == {pcpu for pcpu in wanted if pcpu % 4 == 0}


@given(st.text(max_size=20) | st.text("0123456789-,^: nodesal", max_size=20))
def test_any_affinity_is_read_or_refused(text: str) -> None:
    """Arbitrary text is an affinity or an InputError."""
    try:
        affinity = parse_affinity(text, thing="t", field="cpus")
    except InputError as error:
        assert error.field == "cpus"
    else:
        assert affinity


def test_affinities_are_bounded(tmp_path: Path) -> None:
    """A list that names millions of pCPUs one by one is refused, not worked through."""
    entries = ", ".join(f'"{i}-{i + 60000}"' for i in range(100))
    text = f"memory = 512\nvcpus = 100\ncpus = [{entries}]"
    with pytest.raises(InputError, match=r"guest\.cfg:3: .*cpus: names 6000100 ids"):
        read_one(tmp_path, text)


@pytest.mark.skipif(not (SHARED / "xen").is_dir(), reason=f"no real xl files in {SHARED}/xen")
def test_real_files() -> None:
    """Two files of real guests: vNUMA over four nodes, and ballooning with two PCI devices."""
    (vnuma,) = read_vms(SHARED / "xen" / "vnuma.cfg").item
    assert vnuma.cells == (Cell(2, 2048),) * 4
    assert vnuma.hard_nodes == {0, 1, 2, 3}
    (pci,) = read_vms(SHARED / "xen" / "pci.cfg").item
    assert (pci.vcpus, pci.memory_mib, pci.memory_min_mib) == (1, 579, 394)
    assert [request.kind for request in pci.devices] == ["0000:01:1a.1", "0000:02:00.0"]
