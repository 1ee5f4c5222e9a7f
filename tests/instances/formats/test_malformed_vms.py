"""Malformed VM files: each is refused with one line that says what is wrong and where."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from numaplace.instances.formats.libvirt import domain as libvirt_domain
from numaplace.instances.formats.openstack import flavours as openstack
from numaplace.instances.formats.proxmox import conf as proxmox
from numaplace.instances.formats.tables import flavours_csv
from numaplace.instances.formats.xen import xl_cfg
from numaplace.instances.reading import Reading
from numaplace.models.errors import InputError
from numaplace.models.topology import Host
from numaplace.models.vm import Vm
from numaplace.tests.instances.formats.vm_files import MALFORMED, VMS, small_host

READERS: dict[str, Callable[[Path], Reading[tuple[Vm, ...]]]] = {
    "flavours_csv": flavours_csv.read_vms,
    "libvirt_domain": libvirt_domain.read_vms,
    "openstack": openstack.read_vms,
    "proxmox": proxmox.read_vms,
    "xl_cfg": xl_cfg.read_vms,
}
HOSTED: dict[str, Callable[[Path, Host | None], Reading[tuple[Vm, ...]]]] = {
    "libvirt_domain": libvirt_domain.read_vms,
    "proxmox": proxmox.read_vms,
    "xl_cfg": xl_cfg.read_vms,
}
SNIFFERS: dict[str, Callable[[str, Path], bool]] = {
    "flavours_csv": flavours_csv.sniff,
    "libvirt_domain": libvirt_domain.sniff,
    "openstack": openstack.sniff,
    "proxmox": proxmox.sniff,
    "xl_cfg": xl_cfg.sniff,
}
OWN = {
    ".csv": "flavours_csv",
    ".xml": "libvirt_domain",
    ".json": "openstack",
    ".yaml": "openstack",
    ".conf": "proxmox",
    ".cfg": "xl_cfg",
}


def expected(name: str) -> dict[str, list[str]]:
    """Substrings of the error by file, for one format."""
    text = (MALFORMED / name / "expected.json").read_text(encoding="utf-8")
    loaded: dict[str, list[str]] = json.loads(text)
    return loaded


CASES = [(name, file, words) for name in READERS for file, words in expected(name).items()]


@pytest.mark.parametrize(("name", "file", "words"), CASES, ids=[f"{n}-{f}" for n, f, _ in CASES])
def test_malformed(name: str, file: str, words: list[str]) -> None:
    """The reader raises an InputError of one line that holds the expected words."""
    path = MALFORMED / name / file
    with pytest.raises(InputError) as caught:
        READERS[name](path)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert "\n" not in message
    assert [word for word in words if word not in message] == []


@pytest.mark.parametrize("name", READERS)
def test_every_malformed_file_is_expected(name: str) -> None:
    """No file lies there without an expectation, and none is only expected."""
    found = {path.name for path in (MALFORMED / name).iterdir()} - {"expected.json"}
    assert found == expected(name).keys()


@pytest.mark.parametrize("name", READERS)
def test_unreadable_files(name: str, tmp_path: Path) -> None:
    """A folder and a file that does not exist are named, not a traceback."""
    for path in (tmp_path, tmp_path / "absent"):
        with pytest.raises(InputError, match="cannot be read"):
            READERS[name](path)


@pytest.mark.parametrize("path", sorted(VMS.iterdir()), ids=lambda path: path.name)
def test_files_are_known_by_their_content(path: Path) -> None:
    """Of the five formats exactly the right one claims a file, whatever it is called."""
    head = path.read_text(encoding="utf-8")
    claimed = [name for name, sniff in SNIFFERS.items() if sniff(head, Path("some.file"))]
    assert claimed == [OWN[path.suffix]]


@pytest.mark.parametrize(
    "head",
    [
        "<capabilities><guest><arch><domain type='kvm'/></arch></guest></capabilities>",
        "<!-- <domain> --><topology version='2.0'><object type='Machine'/></topology>",
        "host                   : name\nnr_cpus                : 2\nmemory                 : 3\n",
        "available: 1 nodes (0)\nnode 0 cpus: 0 1\nnode 0 size: 4096 MB\n",
        '{"hosts": [{"name": "h"}], "vms": [{"name": "a", "vcpus": 1, "memory_mib": 512}]}',
        "vmid,cpu,memory,time,type\n0,2,4,0,0\n",
        "",
    ],
)
def test_other_files_are_not_claimed(head: str) -> None:
    """Files with hosts, instances and traces are none of the five formats."""
    assert [name for name, sniff in SNIFFERS.items() if sniff(head, Path("some.file"))] == []


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.sampled_from(sorted(VMS.iterdir())),
    st.floats(0, 1),
    st.integers(0, 12),
    st.sampled_from(["", "0", "-1", "^", ",", ";", '"', "[", "]", "<", ">", "\n", "=", ":", "²"]),
    st.booleans(),
)
def test_damaged_files_are_read_or_refused(
    tmp_path: Path, source: Path, where: float, cut: int, put: str, pinned: bool
) -> None:
    """A good file with a few characters replaced gives VMs or an InputError that names the file."""
    text = source.read_text(encoding="utf-8")
    start = int(where * len(text))
    path = tmp_path / f"damaged{source.suffix}"
    path.write_text(text[:start] + put + text[start + cut :], encoding="utf-8")
    name = OWN[source.suffix]
    try:
        if pinned and name in HOSTED:
            vms = HOSTED[name](path, small_host()).item
        else:
            vms = READERS[name](path).item
    except InputError as error:
        assert str(error).startswith(str(path))
        assert "\n" not in str(error)
    else:
        assert len({vm.name for vm in vms}) == len(vms) > 0
