"""Which memory of a host VMs get: all or what is free, and that of GPUs only if wanted."""

from __future__ import annotations

import pytest

from numaplace.instances.hostmemory import Free, HostReading, as_asked, gpu_nodes
from numaplace.instances.hostparts import finish_host
from numaplace.models.errors import InputError
from numaplace.models.topology import Device, Host, NumaNode, PCpu

CPUS = [NumaNode(0, (PCpu(0, 0),), 16384), NumaNode(8, (PCpu(1, 1),), 16384)]


def _reading(extra: list[NumaNode], far: float, **more: object) -> HostReading:
    ids = [node.id for node in [*CPUS, *extra]]
    distances = {(a, b): 10.0 if a == b else far for a in ids for b in ids}
    return finish_host("h", [*CPUS, *extra], [], distances=distances, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("number", "far", "told", "expected"),
    [
        (255, 80, {}, True),  # POWER9
        (1, 80, {}, True),  # Grace
        (255, 40, {}, False),
        (1, 28, {}, False),  # CXL
        (1, 28, {1: True}, True),
        (1, 80, {1: False}, False),
    ],
)
def test_which_memory_is_a_gpus(
    number: int, far: float, told: dict[int, bool], expected: bool
) -> None:
    """What is told counts; else a node without CPUs that is as far as NVIDIA puts its GPUs."""
    reading = _reading([NumaNode(number, memory_mib=1024)], far, gpu=told)
    assert reading.gpu_nodes == ({number} if expected else set())


def test_which_memory_is_a_gpus_where_no_distance_is_told() -> None:
    """POWER9 numbers GPUs' nodes from 255 down."""
    nodes = [*CPUS, NumaNode(7, memory_mib=1), NumaNode(250, memory_mib=1), NumaNode(300)]
    assert gpu_nodes(nodes, {}, {}) == {250}


def test_gpu_nodes_are_left_out_unless_wanted() -> None:
    """Without them a GPU that is local to its own memory alone is local to the nearest CPUs."""
    extra = [NumaNode(254, memory_mib=1024), NumaNode(255, memory_mib=1024)]
    devices = [Device("a", "gpu", frozenset({255})), Device("b", "nic", frozenset({8}))]
    reading = _reading(extra, 80, devices=devices, bandwidth_mbps={(0, 255): 9000.0})
    found = as_asked(reading, free=False, gpu_memory=False)
    assert [node.id for node in found.item.nodes] == [0, 8]
    assert found.item.distances == ((10, 80), (80, 10))
    assert [sorted(device.nodes) for device in found.item.devices] == [[0, 8], [8]]
    assert found.notes == ("nodes 254-255 are memory of GPUs: left out (--gpu-memory keeps them)",)
    kept = as_asked(reading, free=False, gpu_memory=True)
    assert kept.item == reading.item and "VMs may get it" in kept.notes[0]


def test_free_memory_only_if_it_is_told() -> None:
    """A file that does not tell what is free cannot be asked for it."""
    reading = HostReading(Host("h", (NumaNode(0, (PCpu(0, 0),), 4096, pages_2m=512),)))
    with pytest.raises(InputError, match="host 'h': memory: is not told by this file"):
        as_asked(reading, free=True, gpu_memory=False)
    told = HostReading(reading.item, free={0: Free(700, pages_2m=128)}, held="held")
    (node,) = as_asked(told, free=True, gpu_memory=False).item.nodes
    assert (node.memory_mib, node.pages_2m) == (700, 128)
    whole = as_asked(told, free=False, gpu_memory=False)
    assert whole.item == reading.item and whole.notes[0] == "held" and len(whole.notes) == 2
