"""Instances and plans to draw, small and large, plain and with everything."""

from __future__ import annotations

from functools import cache

from numaplace.instances.catalog import load_catalog
from numaplace.instances.generate import generate_instance, preset
from numaplace.models.instance import Instance
from numaplace.models.plan import PlacedCell, Placement, Plan, SharedCopy, TakenDevice
from numaplace.models.relations import SharingGroup
from numaplace.models.topology import Device, Host, NumaNode, PCpu
from numaplace.models.units import PageSize
from numaplace.models.vm import CpuPolicy, DeviceRequest, MemoryMode, Vm
from numaplace.solver.params import SolveParams
from numaplace.solver.registry import solve
from numaplace.tests.strategies import random_small_instance

CATALOGUE = ("talk-10", "devices", "cxl", "guest-numa", "page-sharing", "huge-pages", "over-time")
PRESETS = ("8n-30vm", "24n", "64n", "fleet")
SEEDS = 12
NAMES = ("rich", *CATALOGUE, *PRESETS, *(f"random-{seed}" for seed in range(SEEDS)))


def rich() -> tuple[Instance, Plan]:
    """Two nodes with SMT and one of memory only; pages away, shared, huge, interleaved, devices."""
    nodes = (
        NumaNode(0, _pcpus(0, 0), 8192, 1024, pages_2m=1024),
        NumaNode(1, _pcpus(8, 1), 8192, 1024),
        NumaNode(4, (), 16384),
    )
    devices = (
        Device("0000:3b:00.0", "nic", frozenset({1}), functions=4),
        Device("0000:5e:00.0", "gpu", frozenset({0})),
        Device("0000:00:1f.0", "usb"),
    )
    slit = ((10.0, 21.0, 17.0), (21.0, 10.0, 28.0), (17.0, 28.0, 10.0))
    vms = (
        Vm("web", 2, 1024, devices=(DeviceRequest("nic", 2),)),
        Vm("a-database-with-a-very-long-name", 4, 6144),
        Vm("pinned", 2, 1024, cpu_policy=CpuPolicy.DEDICATED),
        Vm("huge", 1, 1024, page_size=PageSize.HUGE_2M),
        Vm("even", 1, 3072, memory_mode=MemoryMode.INTERLEAVE),
        Vm("twin1", 1, 1024),
        Vm("twin2", 1, 1024),
        Vm("$left[out]", 1, 64),
    )
    host = Host("lab", nodes, slit, devices=devices, vcpu_overcommit=2.0)
    sharing = (SharingGroup("twins", ("twin1", "twin2"), 512, across_nodes=True),)

    def at(node: int, vcpus: int, *memory: tuple[int, int]) -> tuple[PlacedCell, ...]:
        return (PlacedCell(node, vcpus, memory),)

    placements = {
        "web": Placement("lab", at(1, 2, (1, 1024)), (TakenDevice("nic", "0000:3b:00.0", 2),)),
        "a-database-with-a-very-long-name": Placement("lab", at(0, 4, (0, 2048), (4, 4096))),
        "pinned": Placement("lab", (PlacedCell(0, 2, ((0, 1024),), (0, 2)),)),
        "huge": Placement("lab", at(0, 1, (0, 1024))),
        "even": Placement("lab", at(1, 1, (0, 1024), (1, 1024), (4, 1024))),
        "twin1": Placement("lab", at(1, 1, (1, 512))),
        "twin2": Placement("lab", at(0, 1, (4, 512))),
    }
    return Instance((host,), vms, sharing=sharing, name="rich"), Plan(
        placements, (SharedCopy("twins", "lab", (1,)),)
    )


def _pcpus(first: int, socket: int) -> tuple[PCpu, ...]:
    return tuple(PCpu(first + t, (first + t) // 2, socket) for t in range(8))


@cache
def sample(name: str) -> tuple[Instance, Plan]:
    """Return one of `NAMES` with a plan for it (that of the greedy solver)."""
    if name == "rich":
        return rich()
    if name in CATALOGUE:
        instance = load_catalog(name)
    elif name in PRESETS:
        instance = generate_instance(preset(name), seed=0)
    else:
        instance = random_small_instance(int(name.removeprefix("random-")))
    result = solve(instance, "greedy", SolveParams(time_limit_s=5))
    return instance, result.plan or Plan()
