"""Scenarios for tests: the talk's host, and random ones."""

from hypothesis import strategies as st

from numaplace.instances.shapes import HostShape, make_host
from numaplace.solver.simulator.balance import Release
from numaplace.solver.simulator.machine import Machine
from numaplace.solver.simulator.scenario import Guest, GuestCpu, Hypervisor, Scenario, SchedulerName

TALK = Machine(
    make_host(HostShape(sockets=2, cores_per_node=4, threads_per_core=2, node_mib=6144), "talk")
)


def local(machine: Machine, node: int) -> tuple[float, ...]:
    """All accesses to one node."""
    return tuple(float(n == node) for n in range(len(machine.node_mask)))


def even(machine: Machine) -> tuple[float, ...]:
    """Accesses to all nodes alike."""
    nodes = len(machine.node_mask)
    return (1.0 / nodes,) * nodes


def pinned(name: str, node: int, vcpus: int = 2, machine: Machine = TALK, **more: object) -> Guest:
    """A VM pinned to a node, its memory there."""
    mask = machine.node_mask[node]
    return Guest(name, (GuestCpu(mask, mask, local(machine, node)),) * vcpus, **more)  # type: ignore[arg-type]


def preferring(
    name: str, node: int, vcpus: int = 2, machine: Machine = TALK, **more: object
) -> Guest:
    """A VM that prefers a node, its memory there."""
    cpu = GuestCpu(machine.everywhere, machine.node_mask[node], local(machine, node))
    return Guest(name, (cpu,) * vcpus, **more)  # type: ignore[arg-type]


def floating(name: str, vcpus: int = 2, machine: Machine = TALK, **more: object) -> Guest:
    """A VM that floats, its memory striped."""
    cpu = GuestCpu(machine.everywhere, machine.everywhere, even(machine))
    return Guest(name, (cpu,) * vcpus, **more)  # type: ignore[arg-type]


@st.composite
def scenes(draw: st.DrawFn) -> Scenario:
    """A host of 1 to 3 sockets and up to six VMs of any affinity, weight and cap."""
    machine = Machine(
        make_host(
            HostShape(
                sockets=draw(st.integers(1, 3)),
                nodes_per_socket=draw(st.integers(1, 2)),
                cores_per_node=draw(st.integers(1, 2)),
                threads_per_core=draw(st.integers(1, 2)),
            ),
            "h",
        )
    )
    everywhere = machine.everywhere
    guests = []
    for number in range(draw(st.integers(1, 6))):
        cpus = []
        for _ in range(draw(st.integers(1, 4))):
            hard = draw(st.integers(1, everywhere))
            soft = hard & draw(st.integers(1, everywhere)) or hard
            node = draw(st.integers(0, len(machine.node_mask) - 1))
            cpus.append(GuestCpu(hard, soft, local(machine, node)))
        guests.append(
            Guest(
                f"vm{number}",
                tuple(cpus),
                utilisation=draw(st.sampled_from((0.2, 0.7, 0.95, 1.0, 1.0))),
                busy_ms=draw(st.sampled_from((0.5, 5.0, 30.0))),
                weight=draw(st.sampled_from((128, 256, 512))),
                cap=draw(st.sampled_from((0, 0, 0, 50))),
            )
        )
    release, scheduler = draw(st.sampled_from(Release)), draw(st.sampled_from(SchedulerName))
    return Scenario(machine, tuple(guests), hypervisor=Hypervisor(release, scheduler=scheduler))
