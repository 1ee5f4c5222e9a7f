"""Plans as libvirt domain XML."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from numaplace.instances.applying import apply_plan
from numaplace.instances.catalog import load_catalog
from numaplace.instances.formats.format import AffinityKind
from numaplace.instances.formats.libvirt.domain import read_vms
from numaplace.models.errors import InputError
from numaplace.models.instance import Instance
from numaplace.models.plan import Plan, TakenDevice
from numaplace.models.units import PageSize
from numaplace.models.vm import Cell, CpuPolicy, DeviceRequest, GuestNuma, Vm
from numaplace.solver.params import SolveParams
from numaplace.solver.registry import solve
from numaplace.tests.instances.formats.placements import read_libvirt_placement
from numaplace.tests.instances.formats.plans import cell, host, on, planned, saved
from numaplace.tests.instances.formats.writing import write_libvirt

VALIDATE = shutil.which("virt-xml-validate")
VIRSH = shutil.which("virsh")
needs_validator = pytest.mark.skipif(
    VALIDATE is None or shutil.which("xmllint") is None,
    reason="virt-xml-validate (Debian: libvirt-clients) or xmllint (libxml2-utils) is missing",
)

SOURCE = """<?xml version='1.0'?>
<!-- written by hand -->
<domain type="kvm" id='7'>
  <name>big</name>
  <uuid>4dea22b3-1d52-d8f3-2516-782e98ab3fa0</uuid>
  <memory unit='KiB'>3145728</memory>
  <currentMemory unit='KiB'>2097152</currentMemory>
  <vcpu placement='auto' cpuset="0-15">4</vcpu>
  <cputune>
    <shares>2048</shares>   <!-- twice as much -->
    <vcpupin vcpu="0" cpuset="9"/>
    <vcpupin vcpu="1" cpuset="9"/>
    <emulatorpin cpuset='0-3'/>
    <iothreadpin iothread='1' cpuset='0'/>
  </cputune>
  <numatune>
    <memory mode='strict' placement='auto'/>
  </numatune>
  <iothreads>1</iothreads>
  <os><type arch='x86_64' machine='q35'>hvm</type></os>
  <cpu mode='host-passthrough' check="none">
    <topology sockets='1' dies='1' cores='4' threads='1'/>
    <numa>
      <cell id='1' cpus='3' memory='1' unit='GiB' memAccess='shared'/>
      <cell id='0' cpus='0-2' memory='2048' unit='MiB'/>
    </numa>
  </cpu>
  <devices>
    <disk type='file' device='disk'><target dev='vda'/></disk>
    <hostdev mode='subsystem' type='pci' managed='yes'>
      <source>
        <address domain='0x0000' bus='0x3b' slot='0x00' function='0x0'/>
      </source>
      <boot order='1'/>
    </hostdev>
  </devices>
</domain>
"""
BIG = Vm(
    "big",
    4,
    3072,
    cpu_policy=CpuPolicy.DEDICATED,
    guest_numa=GuestNuma.EXPLICIT,
    cells=(Cell(3, 2048), Cell(1, 1024)),
    devices=(DeviceRequest("nic"),),
)
SMALL = Vm("small", 2, 1024)
BIG_PLACED = on(
    cell(3, 1, 1024, 14), cell(2, 3, 2048, 8, 10, 9), devices=(TakenDevice("nic", "0000:5e:00.0"),)
)
SMALL_PLACED = on(cell(2, 1, 512), cell(3, 1, 512))


def two() -> tuple[Instance, Plan]:
    return planned((BIG, BIG_PLACED), (SMALL.__class__("small", 1, 1024), on(cell(2, 1, 1024))))


def validate(path: Path) -> None:
    assert VALIDATE is not None
    done = subprocess.run([VALIDATE, path, "domain"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_source_is_edited_and_the_rest_stays() -> None:
    """What the plan decides changes in place; comments, quotes and order stay."""
    instance, plan = two()
    reading = write_libvirt(instance, plan, BIG, SOURCE, file="big.xml")
    pairs = [
        ("unit='KiB'>2097152<", "unit='MiB'>3072<"),
        ("""placement='auto' cpuset="0-15\"""", """placement='static' cpuset="8-10,14\""""),
        ('vcpu="0" cpuset="9"', 'vcpu="0" cpuset="8"'),
        (
            'vcpu="1" cpuset="9"/>\n',
            'vcpu="1" cpuset="10"/>\n'
            "    <vcpupin vcpu='2' cpuset='9'/>\n    <vcpupin vcpu='3' cpuset='14'/>\n",
        ),
        ("emulatorpin cpuset='0-3'", "emulatorpin cpuset='11-13,15'"),
        ("    <memory mode='strict' placement='auto'/>\n", MEMNODES),
        ("bus='0x3b'", "bus='0x5e'"),
    ]
    expected = SOURCE
    for old, new in pairs:
        assert expected.count(old) == 1
        expected = expected.replace(old, new)
    assert reading.item == expected
    assert any("I/O threads stay" in note for note in reading.notes)


MEMNODES = """\
    <memnode cellid='0' mode='preferred' nodeset='2'/>
    <memnode cellid='1' mode='preferred' nodeset='3'/>
"""


def test_an_edited_source_is_read_back_as_the_plan(tmp_path: Path) -> None:
    """The cells in the guest's order, with their pCPUs, memory and device; nothing more to do."""
    instance, plan = two()
    text = write_libvirt(instance, plan, BIG, SOURCE).item
    path = saved(tmp_path, "big.xml", text)
    read = read_libvirt_placement(path, instance, BIG, host()).item
    big, small = BIG_PLACED.cells[1], BIG_PLACED.cells[0]
    assert [(c.node, c.pcpus, c.memory_mib) for c in read.cells] == [
        (c.node, c.pcpus, c.memory_mib) for c in (big, small)
    ]
    assert read.devices == BIG_PLACED.devices
    assert write_libvirt(instance, plan, BIG, text).item == text


def test_what_was_pinned_by_hand() -> None:
    """Changes are told; an emulator's pin stays with those of the vCPUs, if nobody holds it."""
    vm = Vm("rt", 2, 1024, memory_min_mib=512, cpu_policy=CpuPolicy.DEDICATED)
    other = Vm("other", 1, 1024, cpu_policy=CpuPolicy.DEDICATED)
    source = (
        "<domain><name>rt</name><memory unit='MiB'>1024</memory>"
        "<currentMemory unit='MiB'>512</currentMemory><vcpu>2</vcpu><cputune>"
        "<vcpupin vcpu='0' cpuset='5'/><vcpupin vcpu='1' cpuset='4'/>"
        "<emulatorpin cpuset='{}'/><iothreadpin iothread='1' cpuset='5-6'/></cputune>"
        "<numatune><memory mode='preferred' nodeset='0'/></numatune></domain>"
    )
    both = ((vm, on(cell(1, 2, 1024, 5, 4))), (other, on(cell(3, 1, 1024, 12))))
    instance, plan = planned(*both)
    reading = write_libvirt(instance, plan, vm, source.format("8"))
    assert "<emulatorpin cpuset='8'/>" in reading.item
    assert "<currentMemory unit='MiB'>512</currentMemory>" in reading.item
    assert reading.notes == (
        "VM 'rt': keeps the 512 MiB it has now; the plan has room for all 1024 MiB of it",
        "VM 'rt': pins of I/O threads stay as they are; dedicated vCPUs run on 5",
        "VM 'rt': pinned by hand, changed: memory from node 0 to node 1",
    )
    reading = write_libvirt(instance, plan, vm, source.format("12"))
    assert "<emulatorpin cpuset='6-7'/>" in reading.item
    assert any("changed: emulator threads from 12 to 6-7" in note for note in reading.notes)


def test_shared_vcpus_keep_off_dedicated_ones() -> None:
    """A shared VM has the pCPUs of its node that nobody holds."""
    instance, plan = two()
    text = write_libvirt(instance, plan, instance.vm("small")).item
    assert "<vcpupin vcpu='0' cpuset='11-11'/>" in text  # a set, no pin


def test_pages_and_ballooning() -> None:
    """Huge pages come and go with the instance, the balloon with the plan."""
    huge = Vm("huge", 1, 1024, page_size=PageSize.HUGE_1G)
    plain = Instance((host(),), (Vm("huge", 1, 1024, memory_min_mib=512),))
    plan = Plan({"huge": on(cell(1, 1, 1024))})
    text = write_libvirt(Instance((host(),), (huge,)), plan, huge).item
    assert "<page size='1048576' unit='KiB'/>" in text
    less = Plan({"huge": on(cell(1, 1, 768).__class__(1, 1, ((1, 768),), (), 1024))})
    back = write_libvirt(plain, less, plain.vms[0], text).item
    assert "hugepages" not in back
    assert "<currentMemory unit='MiB'>768</currentMemory>" in back


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("cores='4'", "cores='8'", "makes 8 vCPUs"),
        ("<domain type", "<network type", "must be <domain>"),
        ("bus='0x3b'", "bus='0x99'", "0000:99:00.0 is passed through by the source"),
        ("<cputune>", "<cputune/><cputune>", "occurs twice"),
        ("<emulatorpin cpuset='0-3'/>", "<emulatorpin/>", "cpuset: attribute is missing"),
        ("<cputune>", "<cputune><iothreadpin iothread='1'/>", "cpuset: attribute is missing"),
        (
            "<devices>",
            "<devices><memory model='dimm'><target><size>1</size></target></memory>",
            "memory devices",
        ),
    ],
)
def test_what_would_be_wrong_is_refused(old: str, new: str, words: str) -> None:
    """Nothing is written that would not run as planned."""
    instance, plan = two()
    text = SOURCE.replace(old, new)
    if "network" in new:
        text = text.replace("</domain>", "</network>")
    with pytest.raises(InputError, match=words):
        write_libvirt(instance, plan, BIG, text)


def test_a_balloon_needs_its_device() -> None:
    """A domain without a balloon device cannot be ballooned."""
    vm = Vm("vm", 1, 1024, memory_min_mib=512)
    instance = Instance((host(),), (vm,))
    plan = Plan({"vm": on(cell(1, 1, 768).__class__(1, 1, ((1, 768),), (), 1024))})
    text = (
        "<domain><name>vm</name><memory>1048576</memory><devices><memballoon model='none'/>"
        "</devices></domain>"
    )
    with pytest.raises(InputError, match="balloons VM 'vm' to 768 MiB"):
        write_libvirt(instance, plan, vm, text)


def test_soft_affinity() -> None:
    """Libvirt has none: refused alone, a remark beside the hard one."""
    instance, plan = two()
    with pytest.raises(InputError, match="libvirt has no soft affinity"):
        write_libvirt(instance, plan, BIG, affinity=AffinityKind.SOFT)
    notes = write_libvirt(instance, plan, BIG, affinity=AffinityKind.BOTH).notes
    assert any("no soft affinity" in note for note in notes)


def test_memory_on_several_nodes_is_told() -> None:
    """Amounts cannot be said, and libvirt prefers one node only: strict."""
    instance, plan = planned((SMALL, on(cell(2, 2, 512).__class__(2, 2, ((2, 512), (3, 512))))))
    reading = write_libvirt(instance, plan, SMALL)
    assert "<memory mode='strict' nodeset='2-3'/>" in reading.item
    assert any("512 MiB on 2, 512 MiB on 3" in note for note in reading.notes)


@needs_validator
def test_an_edited_source_is_valid(tmp_path: Path) -> None:
    """Libvirt's own schema takes what was edited, if it took the source."""
    instance, plan = two()
    source = SOURCE.replace("<disk type='file' device='disk'><target dev='vda'/></disk>", "")
    validate(saved(tmp_path, "source.xml", source))
    validate(saved(tmp_path, "big.xml", write_libvirt(instance, plan, BIG, source).item))


@needs_validator
@pytest.mark.parametrize("name", ["devices", "guest-numa", "ballooning", "huge-pages", "cxl"])
def test_new_domains_are_valid(name: str, tmp_path: Path) -> None:
    """Libvirt's own schema takes the domains of whole plans."""
    instance = load_catalog(name)
    plan = solve(instance, "greedy", SolveParams()).plan
    assert plan is not None
    files = apply_plan(instance, plan, "libvirt").item
    assert len(files) == len(plan)
    for file in files:
        path = saved(tmp_path, file.name, file.text)
        validate(path)
        assert read_vms(path).item[0].name in plan


@pytest.mark.skipif(VIRSH is None, reason="virsh (Debian: libvirt-clients) is not installed")
@pytest.mark.parametrize("name", ["guest-numa", "ballooning", "huge-pages"])
def test_libvirt_reads_the_same_plan(name: str, tmp_path: Path) -> None:
    """Libvirt defines each domain (in its test driver); what it makes of it is still the plan."""
    instance = load_catalog(name)
    plan = solve(instance, "greedy", SolveParams()).plan
    assert plan is not None
    for file in apply_plan(instance, plan, "libvirt").item:
        path = saved(tmp_path, file.name, file.text)
        vm = instance.vm(path.stem)
        where = instance.host(plan.placements[vm.name].host)
        script = f"define {path}; dumpxml {vm.name}"
        done = subprocess.run(
            [str(VIRSH), "-q", "-c", "test:///default", script],
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        dumped = saved(tmp_path, "dumped.xml", done.stdout[done.stdout.index("<domain") :])
        expected = read_libvirt_placement(path, instance, vm, where).item
        assert read_libvirt_placement(dumped, instance, vm, where).item == expected
