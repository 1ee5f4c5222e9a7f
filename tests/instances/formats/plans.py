"""Small instances with plans for the tests of writers."""

from __future__ import annotations

from pathlib import Path

from numaplace.models.instance import Instance
from numaplace.models.plan import PlacedCell, Placement, Plan
from numaplace.models.topology import Device, Host
from numaplace.models.verify import violations
from numaplace.models.vm import Vm
from numaplace.tests.instances.formats.vm_files import small_host

CARDS = (
    Device("0000:3b:00.0", "nic", frozenset({0})),
    Device("0000:5e:00.0", "nic", frozenset({2})),
    Device("0000:af:00.0", "gpu", frozenset({2})),
    Device("0000:d8:00.0", "vf", frozenset({3}), functions=4),
)


def host() -> Host:
    """Four nodes of 4 pCPUs and 4 GiB: node n has pCPUs 4n to 4n + 3."""
    plain = small_host()
    return Host("small", plain.nodes, devices=CARDS)


def planned(*placed: tuple[Vm, Placement]) -> tuple[Instance, Plan]:
    """An instance of these VMs, and the plan that places them so; it must be valid."""
    instance = Instance((host(),), tuple(vm for vm, _ in placed))
    plan = Plan({vm.name: placement for vm, placement in placed})
    assert violations(instance, plan) == []
    return instance, plan


def on(*cells: PlacedCell, devices: tuple[object, ...] = ()) -> Placement:
    """A placement on the host."""
    return Placement("small", cells, devices)  # type: ignore[arg-type]


def cell(node: int, vcpus: int, mib: int, *pcpus: int, at: int | None = None) -> PlacedCell:
    """A cell whose memory is on its own node, or on node `at`."""
    return PlacedCell(node, vcpus, ((node if at is None else at, mib),), pcpus)


def saved(folder: Path, name: str, text: str) -> Path:
    """A file with a text."""
    path = folder / name
    path.write_text(text, encoding="utf-8", newline="")
    return path
