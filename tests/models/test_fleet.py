"""Fleets as arrays."""

import numpy as np
import pytest

from numaplace.models.errors import InputError
from numaplace.models.fleet import Fleet, split_to_fit
from numaplace.models.topology import Host, NumaNode, PCpu
from numaplace.models.trace import make_trace
from numaplace.tests.random_traces import small_host


def test_places_and_pairs_are_numbered_host_by_host() -> None:
    wide = small_host("wide", (4, 4, 2), (1024, 2048, 512))
    fleet = Fleet(((small_host("one", (2,), (100,)), 2), (wide, 2)))
    assert fleet.num_hosts == 4
    assert fleet.host_start.tolist() == [0, 1, 2, 5, 8]
    assert fleet.place_host.tolist() == [0, 1, 2, 2, 2, 3, 3, 3]
    assert fleet.cpu_capacity.tolist() == [2, 2, 4, 4, 2, 4, 4, 2]
    assert fleet.memory_mib.tolist() == [100, 100, 1024, 2048, 512, 1024, 2048, 512]
    pairs = slice(fleet.num_places, fleet.num_slots)
    assert fleet.slots(2) == pairs
    assert fleet.first[pairs].tolist() == [2, 2, 3, 5, 5, 6]
    assert fleet.second[pairs].tolist() == [3, 4, 4, 6, 7, 7]
    assert fleet.second[:8].tolist() == list(range(8))
    assert [fleet.host_name(h) for h in range(4)] == ["one-1", "one-2", "wide-1", "wide-2"]
    assert [host.name for host in fleet.hosts()] == ["one-1", "one-2", "wide-1", "wide-2"]
    assert fleet.host_of(fleet.num_places + 4) == 3


def test_distances_of_pairs_go_both_ways() -> None:
    nodes = tuple(NumaNode(n, (PCpu(n, core=n),), 64) for n in (0, 3))
    host = Host("h", nodes, distances=((10, 21), (32, 10)))
    fleet = Fleet(((host, 2),))
    there, back = fleet.pair_distance
    np.testing.assert_allclose(there, [2.1, 2.1])
    np.testing.assert_allclose(back, [3.2, 3.2])
    assert fleet.node_id.tolist() == [0, 3, 0, 3]


def test_overcommit_and_reserved_memory_count() -> None:
    node = NumaNode(0, tuple(PCpu(c, core=c) for c in range(3)), 1000, reserved_mib=200)
    fleet = Fleet(((Host("h", (node,), vcpu_overcommit=1.5), 1),))
    assert fleet.cpu_capacity.tolist() == [4]
    assert fleet.memory_mib.tolist() == [800]


@pytest.mark.parametrize("shapes", [(), ((small_host("a", (1,), (1,)), 0),)])
def test_a_fleet_has_hosts(shapes: tuple[tuple[Host, int], ...]) -> None:
    with pytest.raises(InputError):
        Fleet(shapes)


def test_a_fleet_has_pcpus() -> None:
    with pytest.raises(InputError, match="have no pCPUs"):
        Fleet(((Host("h", (NumaNode(0, (), 64),)), 1),))


def test_what_fits_no_node_is_split() -> None:
    fleet = Fleet(((small_host("a", (4, 4), (1024, 4096)), 1),))
    trace = make_trace(
        tuple("abcd"), vcpus=[4, 5, 1, 2], memory_mib=[4096, 512, 5000, 5000], start_ms=[0, 0, 0, 0]
    )
    assert split_to_fit(trace, fleet).cells.tolist() == [1, 2, 1, 2]
