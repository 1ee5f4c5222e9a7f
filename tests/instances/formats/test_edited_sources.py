"""Sources with faults: refused, or edited into what the plan says."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numaplace.instances.applying import apply_plan
from numaplace.instances.formats.registry import VM_FORMATS
from numaplace.models.errors import InputError
from numaplace.tests.instances.formats import test_write_libvirt, test_write_proxmox, test_write_xl
from numaplace.tests.instances.formats.plans import host, planned, saved

XL_PLAN = planned((test_write_xl.DB, test_write_xl.DB_PLACED))
PROXMOX_PLAN = planned((test_write_proxmox.DB, test_write_proxmox.DB_PLACED))
PROXMOX_SOURCE = test_write_proxmox.SOURCE.replace("cpus=2-3,", "cpus=2,").replace(
    "cpus=4,memory=512", "cpus=3,memory=512"
)
CASES = {
    "libvirt-domain": ("libvirt", test_write_libvirt.SOURCE, test_write_libvirt.two(), "big"),
    "xl-cfg": ("xl", test_write_xl.SOURCE, XL_PLAN, "db"),
    "proxmox": ("proxmox", PROXMOX_SOURCE, PROXMOX_PLAN, "db"),
}
Fault = tuple[float, int, str]
FAULTS = st.lists(
    st.tuples(
        st.floats(0, 1, exclude_max=True),
        st.integers(0, 12),
        st.text(alphabet="0129<>/='\"[];,#\n :&-x", max_size=3),
    ),
    max_size=3,
)


def faulty(text: str, faults: list[Fault]) -> str:
    """The text with pieces cut out and others put in."""
    for where, cut, put in faults:
        at = int(where * len(text))
        text = text[:at] + put + text[at + cut :]
    return text


@pytest.mark.parametrize("name", CASES)
@given(faults=FAULTS)
@settings(max_examples=150, deadline=None)
def test_faulty_sources(name: str, faults: list[Fault]) -> None:
    """Nothing but `InputError`; what is written is as the plan says, and needs no second edit."""
    kind, source, (instance, plan), vm_name = CASES[name]
    with TemporaryDirectory() as folder:
        path = saved(Path(folder), "vm", faulty(source, faults))
        try:
            text = apply_plan(instance, plan, kind, vms=[vm_name], sources=[path]).item[0].text
        except InputError:
            return
        saved(Path(folder), "vm", text)
        read = VM_FORMATS[name].read_vms(path, host()).item[0]
        wanted = instance.vm(vm_name)
        assert (read.vcpus, read.memory_mib, read.cells) == (
            wanted.vcpus,
            wanted.memory_mib,
            wanted.cells,
        )
        again = apply_plan(instance, plan, kind, vms=[vm_name], sources=[path]).item[0].text
        assert again == text
