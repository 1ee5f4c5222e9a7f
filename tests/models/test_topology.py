"""Hosts: what is refused, distances, page pools, devices."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from numaplace.models.errors import InputError
from numaplace.models.topology import Device, Host, NumaNode, PCpu
from numaplace.models.units import PageSize

NODE = NumaNode(0, (PCpu(0, 0),), 1024)
GAPS = (NumaNode(0, (PCpu(0, 0),), 1024), NumaNode(2, (), 512), NumaNode(5, (PCpu(9, 9),)))


def host(**more: object) -> Host:
    fields: dict[str, object] = {"name": "h", "nodes": GAPS, **more}
    return Host(**fields)  # type: ignore[arg-type]


ERRORS: list[tuple[Callable[[], object], str]] = [
    (lambda: PCpu(-1, 0), "pCPU -1: id: is negative (-1)"),
    (lambda: PCpu(0, True), "pCPU 0: core: must be a whole number, not True"),
    (lambda: PCpu(0, 0, 1 << 21), "pCPU 0: socket: 2097152 is above 1048576"),
    (lambda: PCpu(0, 0, 0, -2), "pCPU 0: llc: is negative (-2)"),
    (lambda: NumaNode(-1), "node -1: id: is negative (-1)"),
    (lambda: NumaNode(0, memory_mib=1.5), "node 0: memory_mib: must be a whole number"),
    (lambda: NumaNode(0, (), 100, 101), "node 0: memory_mib: 101 MiB reserved or in huge pages"),
    (lambda: NumaNode(0, (), 100, 0, 51), "node 0: memory_mib: 102 MiB reserved or in huge"),
    (lambda: NumaNode(0, (), 1023, 0, 0, 1), "node 0: memory_mib: 1024 MiB reserved or in huge"),
    (lambda: NumaNode(0, bandwidth_mbps=0), "node 0: bandwidth_mbps: 0 is below 1"),
    (lambda: NumaNode(0, socket=-1), "node 0: socket: is negative (-1)"),
    (lambda: NumaNode(0, (PCpu(3, 0), PCpu(3, 1))), "node 0: pcpus: 3 occurs twice"),
    (lambda: Device("", "nic"), "device '': address: is empty"),
    (lambda: Device("a", "n\n"), "device 'a': kind: holds unprintable characters"),
    (lambda: Device("a", "nic", functions=-1), "device 'a': functions: is negative (-1)"),
    (lambda: Device("a", "nic", frozenset({-1})), "device 'a': nodes: is negative (-1)"),
    (lambda: Device("a", "nic", [0]), "device 'a': nodes: must be a frozenset, not [0]"),
    (lambda: Device("a", "nic", vendor_product=""), "device 'a': vendor_product: is empty"),
    (lambda: host(name=" "), "host ' ': name: is empty"),
    (lambda: host(nodes=()), "host 'h': number of nodes: 0 is below 1"),
    (lambda: host(nodes=(NODE, NODE)), "host 'h': nodes: 0 occurs twice"),
    (lambda: host(nodes=GAPS[::-1]), "host 'h': nodes: must be in ascending order of id"),
    (lambda: host(nodes=(NODE, NumaNode(1, (PCpu(0, 1),)))), "host 'h': pcpus: 0 occurs twice"),
    (
        lambda: host(nodes=(NODE, NumaNode(1, (PCpu(1, 0),)))),
        "host 'h': pcpus: core 0 lies on nodes 0 and 1",
    ),
    (
        lambda: host(nodes=(NumaNode(0, (PCpu(0, 4, 0, 1), PCpu(1, 4, 0, 2))),)),
        "host 'h': llc: core 4 is in caches 1 and 2",
    ),
    (
        lambda: host(distances=((10.0, 20.0), (20.0, 10.0))),
        "host 'h': distances: must have 3 rows of 3 numbers",
    ),
    (
        lambda: host(latency_ns=((1.0, 1.0, 1.0), (1.0,), (1.0, 1.0, 1.0))),
        "host 'h': latency_ns: must have 3 rows of 3 numbers",
    ),
    (
        lambda: host(distances=((10.0, 9.0, 20.0),) * 3),
        "host 'h': distances: 9.0 is outside 10 to 65536",
    ),
    (
        lambda: host(distances=((10.0, 20.0, 20.0),) * 3),
        "host 'h': distances: node 2 is 20 from itself, must be 10",
    ),
    (lambda: host(latency_ns=((float("nan"),) * 3,) * 3), "host 'h': latency_ns: must be finite"),
    (
        lambda: host(bandwidth_mbps=((-1.0,) * 3,) * 3),
        "host 'h': bandwidth_mbps: -1.0 is outside 0",
    ),
    (
        lambda: host(devices=(Device("a", "nic", frozenset({1})),)),
        "device 'a': nodes: node 1 does not exist on host 'h'",
    ),
    (
        lambda: host(devices=(Device("a", "nic"), Device("a", "gpu"))),
        "host 'h': devices: 'a' occurs twice",
    ),
    (lambda: host(vcpu_overcommit=0), "host 'h': vcpu_overcommit: 0 is outside"),
    (lambda: host(smt_yield=0.9), "host 'h': smt_yield: 0.9 is outside 1.0 to 2.0"),
    (lambda: host(smt_yield=2.1), "host 'h': smt_yield: 2.1 is outside 1.0 to 2.0"),
    (lambda: host(network_factor=0.5), "host 'h': network_factor: 0.5 is outside 1.0"),
    (lambda: host(network_factor="far"), "host 'h': network_factor: must be a number, not 'far'"),
]


@pytest.mark.parametrize(("build", "words"), ERRORS, ids=[words for _, words in ERRORS])
def test_errors_name_thing_field_and_reason(build: Callable[[], object], words: str) -> None:
    """One line each, never a traceback of something else."""
    with pytest.raises(InputError) as caught:
        build()
    assert str(caught.value).startswith(words)
    assert "\n" not in str(caught.value)


def test_without_a_slit_other_nodes_are_at_twenty() -> None:
    """Positions, not ids, index the matrix."""
    assert host().relative == ((1.0, 2.0, 2.0), (2.0, 1.0, 2.0), (2.0, 2.0, 1.0))
    assert host().position == {0: 0, 2: 1, 5: 2}


def test_slit_is_divided_by_ten_and_may_be_asymmetric() -> None:
    """Rows are the initiator, columns the target."""
    slit = ((10.0, 12.0, 32.0), (21.0, 10.0, 17.0), (255.0, 10.0, 10.0))
    assert host(distances=slit).relative == ((1.0, 1.2, 3.2), (2.1, 1.0, 1.7), (25.5, 1.0, 1.0))


def test_latency_replaces_the_slit_where_it_is_known() -> None:
    """Row 0: 120/80, unknown (SLIT); row 1, no local latency: over the smallest, 80."""
    latency = ((80.0, 120.0, 0.0), (160.0, 0.0, 0.0), (50.0, 200.0, 100.0))
    slit = ((10.0, 40.0, 17.0), (40.0, 10.0, 21.0), (40.0, 40.0, 10.0))
    # Row 2: 50/100 is faster than local and counts as local; 200/100.
    assert host(distances=slit, latency_ns=latency).relative == (
        (1.0, 1.5, 1.7),
        (2.0, 1.0, 2.1),
        (1.0, 2.0, 1.0),
    )


def test_latency_without_any_local_value_is_not_used() -> None:
    """A ratio needs something to divide by."""
    latency = ((0.0, 120.0, 130.0), (160.0, 0.0, 0.0), (50.0, 200.0, 0.0))
    assert host(latency_ns=latency).relative == host().relative


def test_page_pools_share_the_memory() -> None:
    """4096 MiB less 96 reserved, 100 pages of 2 MiB and one of 1 GiB."""
    node = NumaNode(0, (), 4096, 96, 100, 1)
    assert [node.pool_mib(size) for size in PageSize] == [2776, 200, 1024]
    assert [size.mib for size in PageSize] == [1, 2, 1024]


def test_threads_cores_and_sockets() -> None:
    """Two threads of one core and one of another; a node without pCPUs may state its socket."""
    node = NumaNode(0, (PCpu(0, 0, 1), PCpu(1, 0, 1), PCpu(2, 2, 1)), socket=7)
    assert (node.threads, node.cores, node.sockets) == (3, 2, frozenset({1}))
    bare = NumaNode(1, socket=7)
    assert (bare.threads, bare.cores, bare.sockets) == (0, 0, frozenset({7}))
    assert NumaNode(1).sockets == frozenset()
    assert host().threads == 2


def test_bandwidth_of_a_node_is_stated_or_measured_or_unknown() -> None:
    """What the node states wins; the matrix counts by its diagonal; 0 is unknown."""
    nodes = (NumaNode(0, bandwidth_mbps=500), NumaNode(1), NumaNode(2))
    measured = ((900.0, 1.0, 1.0), (1.0, 800.4, 1.0), (1.0, 1.0, 0.0))
    found = host(nodes=nodes, bandwidth_mbps=measured)
    assert [found.node_bandwidth_mbps(i) for i in range(3)] == [500, 800, None]
    assert host(nodes=nodes).node_bandwidth_mbps(1) is None


def test_a_device_answers_to_kind_product_and_address() -> None:
    """And to nothing else."""
    device = Device("0000:3b:00.0", "nic", vendor_product="8086:1572")
    assert all(device.answers(name) for name in ("nic", "8086:1572", "0000:3b:00.0"))
    assert not device.answers("gpu") and not device.answers("")
