"""Hosts and VMs from files of different formats become one instance."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from numaplace.instances.formats.registry import HOST_FORMATS, VM_FORMATS, host_format, vm_format
from numaplace.instances.import_source import ImportSource, SameNames, parse_source
from numaplace.instances.importer import HostOptions, import_instance
from numaplace.models.errors import InputError
from numaplace.models.vm import MemoryMode

NUMACTL = """\
available: 2 nodes (0-1)
node 0 cpus: 0 1 2 3
node 0 size: 8192 MB
node 0 free: 8000 MB
node 1 cpus: 4 5 6 7
node 1 size: 8192 MB
node 1 free: 8000 MB
node distances:
node   0   1
  0:  10  21
  1:  21  10
"""
LSCPU = '{"cpus": [{"cpu": 0, "node": 0, "socket": 0, "core": 0, "online": "yes"}]}\n'
XL_INFO = """\
host                   : xen1
nr_cpus                : 2
cpu_topology           :
cpu:    core    socket     node
  0:       0        0        0
  1:       1        0        1
numa_info              :
node:    memsize    memfree    distances
   0:      4096       4000      10,20
   1:      4096       4000      20,10
"""
CSV = "name,vcpus,memory_mib\nweb,2,1024\ndb,4,2048\n"
XL_CFG = 'name = "web"\nmemory = 512\nvcpus = 2\ncpus = "4-5"\n'
DOCUMENT = """\
format: numaplace-instance/1
hosts:
  - {name: yaml, nodes: [{id: 0, cores: 4, memory_mib: 8192}]}
vms:
  - {name: a, vcpus: 1, memory_mib: 512, memory_mode: strict}
  - {name: b, vcpus: 1, memory_mib: 512}
cooperations:
  - {first: a, second: b, weight: 0.5}
prices: {horizon_s: 60}
"""
SAMPLES = {
    "numactl": NUMACTL,
    "lscpu": LSCPU,
    "xl-info": XL_INFO,
    "hwloc-xml": '<?xml version="1.0"?>\n<topology version="2.0">\n<object type="Machine"/>',
    "libvirt-capabilities": "<capabilities>\n<host/>\n</capabilities>",
    "numaplace": DOCUMENT,
    "flavours-csv": CSV,
    "hosts-csv": "shape,count\n2x4x8,3\n",
    "xl-cfg": XL_CFG,
    "libvirt-domain": "<domain type='kvm'>\n<name>a</name>\n</domain>",
    "proxmox": "cores: 4\nmemory: 2048\nnuma: 1\nsockets: 1\n",
    "openstack": '[{"Name": "m1", "RAM": 512, "VCPUs": 1, "Properties": ""}]',
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with a file for each sample, named after its format."""
    for name, text in SAMPLES.items():
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.mark.parametrize("name", [name for name in HOST_FORMATS if name != "sysfs"])
def test_host_formats_are_told_by_content(folder: Path, name: str) -> None:
    """A host file needs no telling suffix."""
    assert host_format(folder / name).name == name


def test_sysfs_is_a_folder_or_an_archive(tmp_path: Path) -> None:
    """A copy of /sys is known by being a folder or an archive."""
    assert host_format(tmp_path).name == "sysfs"
    (tmp_path / "a.tar.gz").write_bytes(b"\x1f\x8b")
    assert host_format(tmp_path / "a.tar.gz").name == "sysfs"


@pytest.mark.parametrize("name", VM_FORMATS)
def test_vm_formats_are_told_by_content(folder: Path, name: str) -> None:
    """A VM file needs no telling suffix."""
    assert vm_format(folder / name).name == name


def test_what_is_no_known_format_is_refused(tmp_path: Path) -> None:
    """The error names the file and the formats there are."""
    (tmp_path / "poem").write_text("Once upon a midnight dreary\n")
    with pytest.raises(InputError, match=r"poem: file: is no host file .*hwloc-xml"):
        host_format(tmp_path / "poem")
    with pytest.raises(InputError, match=r"poem: file: is no VM file .*proxmox"):
        vm_format(tmp_path / "poem")
    with pytest.raises(InputError, match="absent: file: cannot be read"):
        vm_format(tmp_path / "absent")
    with pytest.raises(InputError, match=r"must be one of .*, not 'poem'"):
        import_instance([ImportSource(tmp_path / "poem", format="poem")])


def test_hosts_and_vms_of_several_files(folder: Path) -> None:
    """Counts make numbered copies, pins of an xl file become nodes of the host if asked for."""
    found = import_instance(
        [parse_source(f"{folder}/numactl*2")],
        [parse_source(f"{folder}/xl-cfg"), parse_source(f"flavours-csv:{folder}/flavours-csv*2")],
        same_names=SameNames.SUFFIX,
        keep_pins=True,
        name="both",
    )
    instance = found.item
    assert [host.name for host in instance.hosts] == ["numactl1", "numactl2"]
    assert instance.hosts[0].nodes == instance.hosts[1].nodes
    assert [vm.name for vm in instance.vms] == ["web", "web1", "web2", "db1", "db2"]
    assert instance.vm("web").hard_nodes == frozenset({1})
    assert instance.name == "both"


def test_equal_names_are_an_error_or_get_a_suffix(folder: Path) -> None:
    """Nothing is overwritten silently: an error names both files, a suffix is noted."""
    hosts = [ImportSource(folder / "numactl")]
    vms = [
        ImportSource(folder / "xl-cfg"),
        ImportSource(folder / "flavours-csv"),
        ImportSource(folder / "xl-cfg"),
    ]
    with pytest.raises(InputError, match=r"flavours-csv: VM 'web': name: is in .*xl-cfg already"):
        import_instance(hosts, vms)
    found = import_instance(hosts, vms, same_names=SameNames.SUFFIX)
    assert [vm.name for vm in found.item.vms] == ["web", "web-2", "db", "web-3"]
    assert sum("the name was taken" in note for note in found.notes) == 2
    with pytest.raises(InputError, match=r"host 'numactl': name: is in .* already"):
        import_instance(hosts * 2)


def test_options_of_hosts(folder: Path) -> None:
    """Reserved memory, overcommitment and SMT yield are set on every host."""
    options = HostOptions(reserve_mib=1024, vcpu_overcommit=2.0, smt_yield=1.5, network_factor=3.0)
    found = import_instance(
        [ImportSource(folder / "numactl"), ImportSource(folder / "numaplace")], options=options
    )
    for host in found.item.hosts:
        assert (host.vcpu_overcommit, host.smt_yield, host.network_factor) == (2.0, 1.5, 3.0)
        assert {node.reserved_mib for node in host.nodes} == {1024}
    assert any("number their pCPUs differently" in note for note in found.notes)
    with pytest.raises(InputError, match="numactl: host 'numactl', node 0: reserve_mib"):
        import_instance([ImportSource(folder / "numactl")], options=HostOptions(reserve_mib=9000))
    with pytest.raises(InputError, match="host options: reserve_mib: is negative"):
        HostOptions(reserve_mib=-1)


def test_memory_is_given_where_a_format_does_not_tell_it(folder: Path) -> None:
    """lscpu knows no memory; other formats do, so the option is noted as unused."""
    options = HostOptions(memory_mib=2048)
    found = import_instance(
        [ImportSource(folder / "lscpu"), ImportSource(folder / "numactl")], options=options
    )
    assert [node.memory_mib for node in found.item.hosts[0].nodes] == [2048]
    assert [node.memory_mib for node in found.item.hosts[1].nodes] == [8192, 8192]
    assert any("numactl: the memory given per node is not used" in note for note in found.notes)


def test_relations_come_with_an_instance(folder: Path) -> None:
    """VMs of an instance bring their relations, and what else it says is noted as left out."""
    found = import_instance(
        [ImportSource(folder / "numactl")], [ImportSource(folder / "numaplace")]
    )
    (pair,) = found.item.cooperations
    assert (pair.first, pair.second, pair.weight) == ("a", "b", 0.5)
    assert found.item.vm("a").memory_mode is MemoryMode.STRICT
    assert any("prices" in note and "left out" in note for note in found.notes)


def test_relations_of_renamed_vms_are_left_out_with_a_note(folder: Path) -> None:
    """Copies of related VMs have no relations, and the user is told."""
    found = import_instance(
        [ImportSource(folder / "numactl")], [ImportSource(folder / "numaplace", 2)]
    )
    assert [vm.name for vm in found.item.vms] == ["a1", "a2", "b1", "b2"]
    assert found.item.cooperations == ()
    assert any("cooperations are left out" in note for note in found.notes)


def test_standard_input_needs_a_format(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Standard input cannot be looked at first and cannot be read twice."""
    with pytest.raises(InputError, match="name its format"):
        import_instance([parse_source("-")])
    with pytest.raises(InputError, match="read only once"):
        import_instance([parse_source("numactl:-")], [parse_source("xl-cfg:-")])
    stdin = io.TextIOWrapper(io.BytesIO(NUMACTL.encode()))
    monkeypatch.setattr(sys, "stdin", stdin)
    found = import_instance([parse_source("numactl:-")])
    assert len(found.item.hosts[0].nodes) == 2


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("a.xml", ImportSource(Path("a.xml"))),
        ("a.xml*12", ImportSource(Path("a.xml"), 12)),
        ("lscpu:a*2", ImportSource(Path("a"), 2, "lscpu")),
        ("other:a", ImportSource(Path("other:a"))),
        ("a*", ImportSource(Path("a*"))),
        ("lscpu:", ImportSource(Path("lscpu:"))),
    ],
)
def test_sources_as_text(text: str, source: ImportSource) -> None:
    """Formats stand before a colon if known, counts behind a star."""
    assert parse_source(text) == source


def test_a_file_with_a_star_in_its_name_is_meant(tmp_path: Path) -> None:
    """What exists under the whole name is read, not taken apart."""
    (tmp_path / "a*3").write_text(NUMACTL)
    assert parse_source(f"{tmp_path}/a*3") == ImportSource(tmp_path / "a*3")


def test_bad_sources_are_refused(folder: Path) -> None:
    """Counts are bounded, something must be named, and there must be a host."""
    for text in ("a*0", "a*999999999"):
        with pytest.raises(InputError, match="a: source: count"):
            parse_source(text)
    with pytest.raises(InputError, match="is empty"):
        parse_source("")
    with pytest.raises(InputError, match="import: hosts: no host file is given"):
        import_instance([])
    with pytest.raises(InputError, match="import: number of hosts: 200000 is above 100000"):
        import_instance([ImportSource(folder / "numactl", 200_000)])


def test_what_is_assumed_is_told_once(tmp_path: Path) -> None:
    """With the options that set it; nothing of what is given, or what files tell."""
    (host := tmp_path / "host").write_text(NUMACTL)
    (vm := tmp_path / "vm").write_text(XL_CFG)
    (told := tmp_path / "told.yaml").write_text(DOCUMENT)

    def assumed(*arguments: object, **more: object) -> list[str]:
        reading = import_instance(*arguments, **more)  # type: ignore[arg-type]
        return [note for note in reading.notes if note.startswith("assumed")]

    (note,) = assumed([ImportSource(host)], [ImportSource(vm, 3)])
    for words in ("utilisation 1, memory_intensity 0.3 (--assume", "--overcommit", "--reserve"):
        assert words in note
    options = HostOptions(reserve_mib=100, vcpu_overcommit=2)
    values = {"utilisation": 0.25, "memory_intensity": 0.1}
    assert assumed([ImportSource(host)], [ImportSource(vm)], options=options, assumed=values) == []
    reading = import_instance(
        [ImportSource(host)], [ImportSource(vm), ImportSource(told)], assumed=values
    )
    assert [vm.utilisation for vm in reading.item.vms] == [0.25, 1.0, 1.0]
    assert assumed([ImportSource(told)], [ImportSource(told)]) == []


def test_what_does_not_fit_is_told(tmp_path: Path) -> None:
    """Devices that no host file tells of, and memory that is rounded up; VMs alike together."""
    (host := tmp_path / "host").write_text(NUMACTL)
    (vm := tmp_path / "vm").write_text('name = "a"\nmemory = 4099\npci = ["41:00.0"]\n')
    notes = import_instance([ImportSource(host)], [ImportSource(vm, 7)]).notes
    about = "VMs 'a1', 'a2', 'a3', 'a4', 'a5' and 2 more: wants '0000:41:00.0', but no host file"
    assert sum(note.startswith(about) for note in notes) == 1
    assert any("memory of 7 VMs is rounded up" in note and "1 MiB" in note for note in notes)
