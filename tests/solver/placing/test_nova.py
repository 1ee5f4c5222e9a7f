"""Nova's choice of host cells, worked out by hand."""

from itertools import permutations

from numaplace.models.instance import Instance
from numaplace.models.topology import Device, Host, NumaNode, PCpu
from numaplace.models.vm import Cell, CpuPolicy, DevicePolicy, DeviceRequest, GuestNuma, Vm
from numaplace.solver.placing.nova import NovaPlacement
from numaplace.solver.placing.placer import Placer
from numaplace.solver.registry import solve
from numaplace.tests.builders import make_node


def host(*cpus: int, devices: tuple[Device, ...] = (), mib: int = 4096) -> Host:
    """Return a host whose nodes have that many pCPUs."""
    nodes, first = [], 0
    for number, count in enumerate(cpus):
        pcpus = tuple(PCpu(first + c, first + c) for c in range(count))
        nodes.append(NumaNode(number, pcpus, mib))
        first += count
    return Host("h", tuple(nodes), devices=devices)


def explicit(name: str, *vcpus: int, **more: object) -> Vm:
    """Return a guest of explicit cells."""
    cells = tuple(Cell(count, 256) for count in vcpus)
    return Vm(
        name,
        sum(vcpus),
        256 * len(vcpus),
        guest_numa=GuestNuma.EXPLICIT,
        cells=cells,
        **more,  # type: ignore[arg-type]
    )


def nodes(where: Host, *vms: Vm, pack: bool = False) -> list[list[int] | None]:
    """Return the nodes of each VM's cells, one VM after the other."""
    instance = Instance((where,), vms)
    engine, nova = Placer(instance), NovaPlacement(instance, pack=pack)
    found: list[list[int] | None] = []
    for vm in vms:
        candidate = nova(engine, vm)
        if candidate is not None:
            engine.take(candidate)
        found.append(candidate and [c.node for c in candidate.footprint.placement.cells])
    return found


def test_spread_takes_the_emptiest_cell_and_pack_the_fullest() -> None:
    """Three VMs on three nodes: one each, or all on the first."""
    vms = tuple(Vm(f"v{n}", 1, 256) for n in range(3))
    assert nodes(host(4, 4, 4), *vms) == [[0], [1], [2]]
    assert nodes(host(4, 4, 4), *vms, pack=True) == [[0], [0], [0]]


def test_cpus_come_before_memory() -> None:
    """Fewer vCPUs in use decide; among equals, the node with more memory free."""
    vms = (
        Vm("cpus", 3, 256, hard_nodes=frozenset({0})),
        Vm("memory", 1, 2048, hard_nodes=frozenset({1})),
        Vm("next", 1, 256),
    )
    assert nodes(host(4, 4, 4), *vms, Vm("last", 1, 256))[2:] == [[2], [2]]


def test_guests_without_devices_stay_off_cells_that_have_them() -> None:
    """Node 0 has a device: a guest that wants none goes to node 1, one that wants it to node 0."""
    nic = Device("0000:01:00.0", "nic", frozenset({0}), functions=4)
    plain = Vm("plain", 1, 256)
    wants = Vm("wants", 1, 256, devices=(DeviceRequest("nic", 1, DevicePolicy.PREFERRED),))
    assert nodes(host(4, 4, devices=(nic,)), plain, wants) == [[1], [0]]


def test_guest_cells_of_4_and_12_fit_on_nodes_of_8_16_and_8() -> None:
    """Nova itself refuses this guest, for its caches; in the other order of cells it fits."""
    dedicated = {"cpu_policy": CpuPolicy.DEDICATED}
    assert nodes(host(8, 16, 8), explicit("g", 4, 12, **dedicated)) == [[1, 0]]


def test_a_guest_that_cannot_fit_is_refused_at_once() -> None:
    """Four nodes of 12, a guest with a cell of 14 (Nova accepts it, without pinning that cell)."""
    dedicated = {"cpu_policy": CpuPolicy.DEDICATED}
    assert nodes(host(12, 12, 12, 12), explicit("g", 4, 4, 4, 14, **dedicated)) == [None]


def test_the_fit_is_the_first_permutation() -> None:
    """Cells of 2, 6 and 3 on loaded nodes: as trying permutations in Nova's order."""
    loads = (5, 1, 4, 2)
    fillers = tuple(
        Vm(f"f{n}", load, 64, hard_nodes=frozenset({n})) for n, load in enumerate(loads)
    )
    order = sorted(range(4), key=lambda n: loads[n])
    cells = (6, 3, 2)
    first = next(
        chosen
        for chosen in permutations(order, 3)
        if all(vcpus <= 8 - loads[n] for vcpus, n in zip(cells, chosen, strict=True))
    )
    assert nodes(host(8, 8, 8, 8), *fillers, explicit("g", *cells))[-1] == list(first)


def test_a_required_device_takes_the_guest_to_its_node() -> None:
    """A guest of two cells on four nodes needs one of them on node 3, where the device is."""
    gpu = Device("0000:01:00.0", "gpu", frozenset({3}))
    request = DeviceRequest("gpu", 1, DevicePolicy.REQUIRED)
    placed = nodes(host(4, 4, 4, 4, devices=(gpu,)), explicit("g", 2, 2, devices=(request,)))
    assert placed[0] is not None
    assert 3 in placed[0]


def test_the_number_of_cells_is_as_asked() -> None:
    """``hw:numa_nodes=2`` always cuts, though one node would do."""
    guest = Vm("g", 2, 512, guest_numa=GuestNuma.AUTOMATIC, max_cells=2)
    assert nodes(host(4, 4, 4), guest) == [[0, 1]]


def test_dedicated_vcpus_get_siblings_first() -> None:
    """Policy ``prefer``: 4 vCPUs of 8 idle cores take two, where others give them four."""
    node = make_node(0, cores=8, threads=2, memory_mib=8192)
    vm = Vm("a", 4, 1024, cpu_policy=CpuPolicy.DEDICATED, memory_intensity=0.0)
    instance = Instance((Host("h", (node,)),), (vm,))
    for solver, cores, lost in (("nova", 2, 1_500_000), ("greedy", 4, 0)):
        result = solve(instance, solver)
        assert result.plan is not None and result.cost.loss_micro == lost
        assert len({p // 2 for p in result.plan.placements["a"].cells[0].pcpus}) == cores
