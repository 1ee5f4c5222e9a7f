"""Where files pin VMs to is where they run now; what is written is read back as what it was."""

from __future__ import annotations

import io
import sys
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from numaplace.instances.applying import apply_plan
from numaplace.instances.formats.document.io import (
    instance_from_dict,
    read_instance,
    write_instance,
)
from numaplace.instances.formats.document.plain import instance_to_dict
from numaplace.instances.formats.placed import placed_vm
from numaplace.instances.import_source import ImportSource
from numaplace.instances.importer import import_instance
from numaplace.instances.reading import Reading
from numaplace.models.errors import InputError
from numaplace.models.instance import Instance
from numaplace.models.plan import PlacedCell, Plan
from numaplace.models.verify import violations
from numaplace.models.vm import CpuPolicy, MemoryMode, Vm
from numaplace.solver.params import SolveParams
from numaplace.solver.registry import solve
from numaplace.tests.instances.formats.plans import host, saved
from numaplace.tests.strategies import random_small_instance

FORMATS = ("xl", "libvirt", "proxmox")


def domain(name: str, *pins: str, more: str = "", vcpu: str = "") -> str:
    """A domain of 1 GiB with a vCPU for each pin."""
    tune = "".join(f"<vcpupin vcpu='{n}' cpuset='{pin}'/>" for n, pin in enumerate(pins) if pin)
    return (
        f"<domain><name>{name}</name><memory unit='MiB'>1024</memory>"
        f"<vcpu {vcpu}>{len(pins)}</vcpu><cputune>{tune}</cputune>{more}</domain>"
    )


def imported(folder: Path, *domains: str, keep_pins: bool = False) -> Reading[Instance]:
    """An import of domains on the host of four nodes of 4 pCPUs."""
    rack = folder / "rack.json"
    if not rack.exists():
        write_instance(Instance((host(),), ()), rack)
    path = saved(folder, "all.xml", f"<domains>{''.join(domains)}</domains>")
    return import_instance([ImportSource(rack)], [ImportSource(path)], keep_pins=keep_pins)


def test_pins_one_to_one_are_dedicated(tmp_path: Path) -> None:
    """Each vCPU keeps its pCPU as the present place; a set, or a pCPU that others use, does not."""
    binding = "<numatune><memory mode='strict' nodeset='0-1'/></numatune>"
    reading = imported(
        tmp_path,
        domain("rt", "3", "1", more=binding),
        domain("web", "8-11", "9"),
        domain("a", "12", "13"),
        domain("b", "13"),
        domain("free", "", ""),
    )
    instance = reading.item
    policies = {vm.name: vm.cpu_policy for vm in instance.vms if vm.cpu_policy != "shared"}
    assert policies == {"rt": CpuPolicy.DEDICATED}
    assert all(vm.hard_nodes is None is vm.memory_nodes for vm in instance.vms)
    assert instance.vm("rt").memory_mode is MemoryMode.STRICT
    assert instance.current is not None
    cells = {name: placement.cells for name, placement in instance.current.placements.items()}
    assert cells == {
        "rt": (PlacedCell(0, 2, ((0, 512), (1, 512)), (3, 1), 1024),),
        "web": (PlacedCell(2, 2, ((2, 1024),), (), 1024),),
        "a": (PlacedCell(3, 2, ((3, 1024),), (), 1024),),
        "b": (PlacedCell(3, 1, ((3, 1024),), (), 1024),),
    }
    assert cells["web"][0].vcpu_sets == (frozenset({8, 9, 10, 11}), frozenset({9}))
    assert cells["b"][0].vcpu_sets == (frozenset({13}),)
    told = "\n".join(reading.notes)
    assert "VM 'rt': each vCPU is pinned to a pCPU that no other pinned VM may use" in told
    assert "VMs 'rt', 'web', 'a', 'b': what its file pins it to is where it runs now" in told
    assert "VMs 'web', 'a', 'b': nothing binds its memory" in told
    assert solve(instance, "greedy", SolveParams()).plan is not None


def test_pins_are_kept_if_asked_for(tmp_path: Path) -> None:
    """Then a VM stays on the nodes of its pins."""
    vm = imported(tmp_path, domain("web", "8-11", "9"), keep_pins=True).item.vm("web")
    assert vm.hard_nodes == {2}


def test_cells_are_as_many_as_now(tmp_path: Path) -> None:
    """A guest without cells that is pinned to two nodes may be cut so; on no node, it is told."""
    reading = imported(tmp_path, domain("two", "3", "4"), domain("wide", "0-15", more=""))
    assert reading.item.vm("two").max_cells == 2
    assert reading.item.current is not None
    assert violations(reading.item, reading.item.current) == []
    assert list(reading.item.current.placements) == ["two"]
    told = "\n".join(reading.notes)
    assert "VM 'two': may be cut into 2 cells, as it is now" in told
    assert "VM 'wide': where it runs now is not kept: vCPU 0 is kept on nodes 0-3" in told


def test_pins_to_pcpus_that_do_not_exist(tmp_path: Path) -> None:
    """They stop no import, and make nothing dedicated."""
    reading = imported(tmp_path, domain("far", "64"))
    assert reading.item.vm("far").cpu_policy is CpuPolicy.SHARED
    assert reading.item.current is None
    assert any("vCPU 0 is kept on nodes none" in note for note in reading.notes)


def test_xen_domains_take_more_than_their_memory(tmp_path: Path) -> None:
    """Each node reserves an even part of it, or what the largest wants; not for other VMs."""
    xl = saved(tmp_path, "big.cfg", "name='big'\nvcpus=2\nmemory=512\n")
    imported(tmp_path, domain("plain", ""))
    rack, plain = ImportSource(tmp_path / "rack.json"), ImportSource(tmp_path / "all.xml")
    for source, mib in ((ImportSource(xl), 6), (ImportSource(xl, 10), 15), (plain, 0)):
        reading = import_instance([rack], [source])
        assert [node.reserved_mib for node in reading.item.hosts[0].nodes] == [mib] * 4
        told = [note for note in reading.notes if "Xen domains take beside their memory" in note]
        assert len(told) == bool(mib)


def test_several_hosts(tmp_path: Path) -> None:
    """Which one a VM runs on is not told, so there is no current plan."""
    write_instance(Instance((host(), replace(host(), name="b")), ()), tmp_path / "rack.json")
    reading = imported(tmp_path, domain("rt", "3"))
    assert reading.item.current is None
    assert reading.item.vm("rt").cpu_policy is CpuPolicy.DEDICATED
    assert any("on which of several hosts it runs is not told" in note for note in reading.notes)


def test_standard_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is read once, and pins are known all the same."""
    write_instance(Instance((host(),), ()), tmp_path / "rack.json")
    stdin = io.TextIOWrapper(io.BytesIO(domain("rt", "3").encode()))
    monkeypatch.setattr(sys, "stdin", stdin)
    source = ImportSource(Path("-"), format="libvirt-domain")
    reading = import_instance([ImportSource(tmp_path / "rack.json")], [source])
    assert reading.item.current is not None
    assert reading.item.current.placements["rt"].cells[0].pcpus == (3,)


def test_sets_by_hand_are_in_documents(tmp_path: Path) -> None:
    """Written as lists of ids, read back; nothing is told of cells that have none."""
    instance = imported(tmp_path, domain("web", "8-9,11", "9")).item
    document = instance_to_dict(instance)
    cell = document["current"]["placements"]["web"]["cells"][0]
    assert cell["vcpu_sets"] == ["8-9,11", "9"]
    write_instance(instance, tmp_path / "i.json")
    for again in (read_instance(tmp_path / "i.json"), instance_from_dict(document)):
        assert again == instance
        assert again.current is not None
        placed = again.current.placements["web"].cells[0]
        assert placed.vcpu_sets == (frozenset({8, 9, 11}), frozenset({9}))
    for sets, words in ((["1"], "number of vcpu_sets"), (["x", "1"], "is no id")):
        cell["vcpu_sets"] = sets
        with pytest.raises(InputError, match=words):
            instance_from_dict(document)


def test_the_current_plan_applied_changes_nothing(tmp_path: Path) -> None:
    """Pins by hand are written as they are; another plan tells what it changes."""
    text = domain("web", "8-9,11", "9")
    instance = imported(tmp_path, text).item
    assert instance.current is not None
    source = saved(tmp_path, "web.xml", text)
    kept = apply_plan(instance, instance.current, "libvirt", sources=[source])
    assert "<vcpupin vcpu='0' cpuset='8-9,11'/><vcpupin vcpu='1' cpuset='9'/>" in kept.item[0].text
    assert not any("pinned by hand" in note for note in kept.notes)
    moved = solve(replace(instance, current=None), "greedy", SolveParams()).plan
    assert moved is not None
    told = apply_plan(instance, moved, "libvirt", sources=[source]).notes
    change = "pinned by hand, changed: vCPU 0 from 8-9,11 to 0-3, vCPU 1 from 9 to 0-3"
    assert any(change in note for note in told)


@pytest.mark.parametrize("kind", FORMATS)
@given(seed=st.integers(0, 100_000))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_round_trip(kind: str, seed: int) -> None:
    """Dedicated stays dedicated, shared stays shared, and the plan is the current one."""
    instance = random_small_instance(seed)
    instance = replace(
        instance, vms=tuple(replace(vm, start=None, end=None) for vm in instance.vms), current=None
    )
    plan = solve(instance, "greedy", SolveParams()).plan or Plan()
    only = instance.hosts[0]
    names = [name for name, placement in plan.placements.items() if placement.host == only.name]
    with TemporaryDirectory() as folder:
        rack, files = Path(folder) / "rack.json", Path(folder) / "vms"
        write_instance(Instance((only,), ()), rack)
        files.mkdir()
        written = []
        for name in names:
            try:
                (file,) = apply_plan(instance, plan, kind, vms=[name]).item
            except InputError:  # what the format cannot express
                continue
            saved(files, file.name, file.text)
            written.append(name)
        if not written:
            return
        found = import_instance([ImportSource(rack)], [ImportSource(files)]).item
    assert {vm.name: vm.cpu_policy for vm in found.vms} == {
        name: instance.vm(name).cpu_policy for name in written
    }
    current = found.current.placements if found.current else {}
    for name in written:
        placed = placed_vm(instance, plan, instance.vm(name))
        hidden = len(placed.cells) > 1 and not placed.shows_cells
        apart = any(cell.memory_nodes != {cell.node} for cell in placed.cells)
        if kind == "proxmox" and (hidden or apart):
            continue  # one list of pCPUs and one of nodes: which cell is where is not told
        cells = [(cell.node, cell.vcpus, cell.pcpus) for cell in current[name].cells]
        own = placed.vm.cpu_policy is CpuPolicy.DEDICATED
        assert cells == [
            (c.node, len(c.vcpus), tuple(p for pin in c.pcpus for p in pin) if own else ())
            for c in placed.cells
        ]
        if not own:
            assert tuple(s for c in current[name].cells for s in c.vcpu_sets) == placed.pcpus
        if not apart:
            nodes = {node for node, mib in current[name].memory_by_node().items() if mib}
            assert nodes == placed.memory_nodes


@pytest.mark.parametrize(
    ("vcpus", "remark"),
    [
        ("<vcpu cpuset='0-3'>2</vcpu>", "is not kept: its memory is bound to node 9"),
        ("<vcpu>2</vcpu>", "the nodes its file names bind it no more, nor tell which pCPUs it has"),
    ],
)
def test_nodes_that_say_nothing_stop_no_import(tmp_path: Path, vcpus: str, remark: str) -> None:
    """Memory on a node of another host, or bound without pins: a remark."""
    tune = "<numatune><memory mode='strict' nodeset='9'/></numatune>"
    text = f"<domain><name>a</name><memory unit='MiB'>1024</memory>{vcpus}{tune}</domain>"
    reading = imported(tmp_path, text)
    assert reading.item.current is None
    assert any(remark in note for note in reading.notes)


def test_vcpu_sets_are_not_compared() -> None:
    """A cell is the same wherever in its node its vCPUs are kept."""
    plain = PlacedCell(0, 1, ((0, 64),))
    assert replace(plain, vcpu_sets=(frozenset({3}),)) == plain
    assert Vm("a", 1, 64).cpu_policy is CpuPolicy.SHARED
    with pytest.raises(InputError, match="number of vcpu_sets"):
        replace(plain, vcpu_sets=(frozenset({3}), frozenset({4})))
