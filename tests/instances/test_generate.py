"""Generated instances are repeatable, as full as asked, and shaped as asked."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from numaplace.instances.generate import (
    MIXED,
    PRESETS,
    SHAPES,
    Flavour,
    GenerateParams,
    VmMix,
    generate_instance,
    preset,
)
from numaplace.instances.shapes import Fabric, HostShape, make_host, socket_hops
from numaplace.models.errors import InputError
from numaplace.models.instance import Instance


def _loads(instance: Instance) -> tuple[float, float]:
    """vCPUs per pCPU and memory wanted per memory there."""
    pool = sum(place.node.memory_mib - place.node.reserved_mib for place in instance.places)
    threads = sum(host.threads for host in instance.hosts)
    vcpus = sum(vm.vcpus for vm in instance.vms)
    return vcpus / threads, sum(vm.memory_mib for vm in instance.vms) / pool


@pytest.mark.parametrize("name", PRESETS)
def test_same_seed_same_instance(name: str) -> None:
    """A seed fixes the instance; another seed gives another one."""
    first = generate_instance(preset(name), 7)
    assert first == generate_instance(preset(name), 7)
    assert first.vms != generate_instance(preset(name), 8).vms
    assert first.name == name


@pytest.mark.parametrize("name", [name for name, params in PRESETS.items() if params.vms])
def test_exact_numbers_meet_both_loads(name: str) -> None:
    """With an exact number of VMs, loads and pairs are those asked for."""
    params = preset(name)
    for seed in range(3):
        instance = generate_instance(params, seed)
        cpu, memory = _loads(instance)
        assert len(instance.vms) == params.vms
        assert cpu == pytest.approx(params.cpu_load, abs=0.02)
        assert memory == pytest.approx(params.memory_load, abs=0.01)
        assert len(instance.cooperations) == round(params.cooperating * len(instance.vms))
        assert len(instance.competitions) == round(params.competing * len(instance.vms))
        pairs = [(p.first, p.second) for p in (*instance.cooperations, *instance.competitions)]
        assert len({frozenset(pair) for pair in pairs}) == len(pairs)


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("name", ["8n-30vm", "8n-60vm"])
def test_eight_node_presets_are_tight_but_fit(name: str, seed: int) -> None:
    """Three distance levels; VMs of 1 to 8 vCPUs that first fit decreasing packs on 16 pCPUs."""
    instance = generate_instance(preset(name), seed)
    (host,) = instance.hosts
    assert {value for row in host.distances for value in row} == {10, 12, 32}
    assert [(node.threads, node.cores) for node in host.nodes] == [(16, 16)] * 8
    assert {vm.vcpus for vm in instance.vms} <= set(range(1, 9))
    free = [16] * 8
    for vcpus in sorted((vm.vcpus for vm in instance.vms), reverse=True):
        node = next(node for node in range(8) if free[node] >= vcpus)
        free[node] -= vcpus
    assert sum(free) < 0.17 * 128
    assert all(0.2 <= pair.weight <= 2.0 for pair in instance.cooperations)
    assert all(0.2 <= pair.weight <= 1.0 for pair in instance.competitions)


def test_racks_are_of_neighbouring_hosts() -> None:
    """Ten hosts in four racks; without racks there are no labels."""
    params = replace(preset("fleet"), hosts=10, vms=20, racks=4)
    racks = [host.labels["rack"][-1] for host in generate_instance(params, 1).hosts]
    assert "".join(racks) == "1112233344"
    assert not generate_instance(replace(params, racks=0), 1).hosts[0].labels


def test_fleet_is_of_a_few_classes() -> None:
    """The fleet's hosts are equal, and its VMs differ in nothing but flavour."""
    instance = generate_instance(preset("fleet"), 1)
    assert len(instance.hosts) == 100
    assert len({(host.nodes, host.distances) for host in instance.hosts}) == 1
    assert len({replace(vm, name="x") for vm in instance.vms}) == 4
    cpu, memory = _loads(instance)
    assert 0.79 < cpu <= 0.8 and memory <= 0.8


def test_groups_talk_in_chains_and_may_be_of_a_few_kinds() -> None:
    """Each five VMs are a chain, ends compete, and so do the first and the next group's third."""
    params = replace(preset("groups-smt"), hosts=8, group_kinds=3)
    instance = generate_instance(params, 1)
    size, count = 5, len(instance.vms) // 5
    assert count * size == len(instance.vms)
    number = {vm.name: n for n, vm in enumerate(instance.vms)}
    talks = [(number[p.first], number[p.second]) for p in instance.cooperations]
    assert talks == [(5 * g + k, 5 * g + k + 1) for g in range(count) for k in range(4)]
    rivals = {(number[p.first], number[p.second]) for p in instance.competitions}
    within = {(5 * g, 5 * g + 4) for g in range(count)}
    assert rivals == within | {(5 * g, 5 * g + 7) for g in range(count - 1)}
    vcpus = [tuple(vm.vcpus for vm in instance.vms[5 * g : 5 * g + 5]) for g in range(count)]
    weights = [p.weight for p in instance.cooperations]
    kinds = {(vcpus[g], *weights[4 * g : 4 * g + 4]) for g in range(count)}
    assert len(kinds) == 3
    cpu, _ = _loads(instance)
    assert 0.5 < cpu <= 0.575
    with pytest.raises(InputError, match="vms: must not be given with group_size"):
        replace(params, vms=10)


def test_devices_and_soft_sets_are_drawn() -> None:
    """About the share asked for wants a device that exists, or has a socket as its soft set."""
    params = replace(preset("io"), vms=26, cpu_load=1.0)
    instance = generate_instance(params, 3)
    (host,) = instance.hosts
    kinds = {request.kind for vm in instance.vms for request in vm.devices}
    assert kinds and kinds <= {device.kind for device in host.devices}
    assert 4 <= sum(bool(vm.devices) for vm in instance.vms) <= 22
    soft = {vm.soft_nodes for vm in instance.vms if vm.soft_nodes}
    assert soft and soft <= {frozenset({0, 1}), frozenset({2, 3})}


@pytest.mark.parametrize(
    ("fabric", "a", "b", "hops"),
    [
        (Fabric.FULL, 0, 5, 1),
        (Fabric.RING, 0, 5, 3),
        (Fabric.RING, 1, 7, 2),
        (Fabric.MESH, 0, 7, 4),  # 2 rows of 4 places: 3 columns and 1 row away
        (Fabric.MESH, 4, 0, 1),
        (Fabric.MESH, 3, 3, 0),
    ],
)
def test_hops_between_eight_sockets(fabric: Fabric, a: int, b: int, hops: int) -> None:
    """Each wiring has its own number of links between two sockets, the same both ways."""
    assert socket_hops(fabric, 8, a, b) == socket_hops(fabric, 8, b, a) == hops


@pytest.mark.parametrize(("name", "nodes"), [("16n", 16), ("24n", 24), ("64n", 64), ("cxl", 4)])
def test_shapes_have_symmetric_distances(name: str, nodes: int) -> None:
    """Distances are symmetric, 10 at home and more elsewhere."""
    host = make_host(SHAPES[name], "a")
    assert len(host.nodes) == nodes
    for a in range(nodes):
        for b in range(nodes):
            assert host.distances[a][b] == host.distances[b][a]
            assert (host.distances[a][b] == 10) == (a == b)


def test_host_has_the_shape() -> None:
    """Threads, caches, memory-only nodes and devices are where the shape says."""
    shape = HostShape(
        nodes_per_socket=2,
        cores_per_node=4,
        threads_per_core=2,
        cores_per_llc=2,
        memory_only_nodes=1,
        nics=2,
        gpus=4,
        bandwidth_mbps=9000,
    )
    host = make_host(shape, "a")
    assert [node.threads for node in host.nodes] == [8, 8, 8, 8, 0]
    assert [pcpu.llc for pcpu in host.nodes[1].pcpus] == [4, 4, 4, 4, 6, 6, 6, 6]
    assert [sorted(node.sockets) for node in host.nodes] == [[0], [0], [1], [1], [0]]
    where = [(device.kind, *device.nodes) for device in host.devices]
    assert where == [("nic", 0), ("nic", 2), ("gpu", 0), ("gpu", 1), ("gpu", 2), ("gpu", 3)]
    assert host.node_bandwidth_mbps(0) == 9000


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"vms": 0}, "vms: 0 is below 1"),
        ({"hosts": 0}, "hosts: 0 is below 1"),
        ({"cpu_load": -1.0}, "cpu_load"),
        ({"cpu_load": float("nan")}, "cpu_load: must be finite"),
        ({"device_share": 2.0}, "device_share"),
        ({"vms": 500}, "cpu_load: 500 VMs of this mix cannot make it up"),
        ({"vms": 2}, "cpu_load: 2 VMs of this mix cannot make it up"),
        ({"memory_load": 0.0}, "memory_load"),
        ({"cooperating": 100.0}, "do not have"),
    ],
)
def test_impossible_wishes_are_refused(change: dict[str, Any], words: str) -> None:
    """The error names the parameter and says why."""
    with pytest.raises(InputError, match=words):
        generate_instance(replace(preset("8n-30vm"), **change), 0)


def test_bad_shapes_mixes_and_seeds_are_refused() -> None:
    """Sizes are bounded, weights must be able to draw something."""
    with pytest.raises(InputError, match="sockets: 0 is below 1"):
        HostShape(sockets=0)
    with pytest.raises(InputError, match="number of pCPUs"):
        HostShape(sockets=64, cores_per_node=1024)
    with pytest.raises(InputError, match="nics and gpus"):
        make_host(HostShape(nics=200, gpus=100), "a")
    with pytest.raises(InputError, match="no flavour has a weight"):
        VmMix((Flavour("a", 1, 1, 0.0),))
    with pytest.raises(InputError, match="'a' occurs twice"):
        VmMix((Flavour("a", 1, 1), Flavour("a", 2, 2)))
    with pytest.raises(InputError, match="seed: is negative"):
        generate_instance(GenerateParams(HostShape(), MIXED), -1)
    with pytest.raises(InputError, match="preset: must be one of 8n-30vm"):
        preset("9n")
