"""Cases of the rules on devices, on VMs together and apart, and on shared pages."""

from __future__ import annotations

from dataclasses import replace

from numaplace.models.instance import Instance
from numaplace.models.plan import Plan, SharedCopy, TakenDevice
from numaplace.models.relations import Apart, Scope, SharingGroup, Together
from numaplace.models.topology import Device, Host
from numaplace.models.verify import Rule
from numaplace.models.vm import DevicePolicy, DeviceRequest
from numaplace.tests.builders import make_host, make_node
from numaplace.tests.models.case import (
    BLOCK,
    RuleCase,
    case,
    cell,
    instance,
    on,
    plan,
    vm,
    with_nodes,
)

NIC_0 = Device("0000:00:00.0", "nic", frozenset({0}), 2, "8086:1572")
NIC_1 = Device("0000:01:00.0", "nic", frozenset({1}), 1, "15b3:101d")
GPU = Device("0000:02:00.0", "gpu", frozenset({1}))
LOST = Device("0000:03:00.0", "nic", frozenset())
HOST = replace(make_host(nodes=3), devices=(NIC_0, NIC_1, GPU, LOST))
# Nodes 0 and 1 are on socket 0, node 2 is on socket 1.
SOCKETS = Host(
    "host",
    (make_node(0, socket=0), make_node(1, socket=0), make_node(2, socket=1)),
    devices=(NIC_0,),
)
# Node 2 is a GPU's memory on socket 0, node 1 is on socket 1; the GPU is local to its memory.
GPU_MEMORY = with_nodes(
    replace(make_host(nodes=3), devices=(Device("0000:02:00.0", "gpu", frozenset({2})),)),
    n2={"pcpus": (), "socket": 0},
)
TIMES = {"a": {"end": 5}, "b": {"start": 5}, "c": {"start": 3, "end": 8}}
AB = ("a", "b")
ABC = ("a", "b", "c")


def takes(device: Device, functions: int = 1, request: str = "nic") -> tuple[TakenDevice, ...]:
    return (TakenDevice(request, device.address, functions),)


def wants(
    kind: str = "nic", count: int = 1, policy: DevicePolicy = DevicePolicy.PREFERRED
) -> tuple[DeviceRequest, ...]:
    return (DeviceRequest(kind, count, policy),)


DEVICES: list[RuleCase] = [
    case(
        Rule.DEVICE_COUNT,
        "a request is not answered",
        instance(vm(devices=wants()), host=HOST),
        plan(a=on(cell(0), takes=takes(NIC_0))),
        plan(a=on(cell(0))),
    ),
    case(
        Rule.DEVICE_COUNT,
        "fewer functions than wanted, though two devices may serve them",
        instance(vm(devices=wants(count=2)), host=HOST),
        plan(a=on(cell(0), takes=takes(NIC_0) + takes(NIC_1))),
        plan(a=on(cell(0), takes=takes(NIC_0))),
    ),
    case(
        Rule.DEVICE_COUNT,
        "more functions than wanted",
        instance(vm(devices=wants()), host=HOST),
        plan(a=on(cell(0), takes=takes(NIC_0))),
        plan(a=on(cell(0), takes=takes(NIC_0, 2))),
    ),
    case(
        Rule.DEVICE_COUNT,
        "a device of another kind",
        instance(vm(devices=wants()), host=HOST),
        plan(a=on(cell(1), takes=takes(NIC_1))),
        plan(a=on(cell(1), takes=takes(GPU))),
    ),
    case(
        Rule.DEVICE_COUNT,
        "a device of the kind but of another vendor:product",
        instance(vm(devices=wants("15b3:101d")), host=HOST),
        plan(a=on(cell(0), takes=takes(NIC_1, request="15b3:101d"))),
        plan(a=on(cell(0), takes=takes(NIC_0, request="15b3:101d"))),
    ),
    case(
        Rule.DEVICE_COUNT,
        "a device nobody asked for",
        instance(vm("a", devices=wants()), vm("b"), host=HOST),
        plan(a=on(cell(0), takes=takes(NIC_0)), b=on(cell(0))),
        plan(a=on(cell(0), takes=takes(NIC_0)), b=on(cell(0), takes=takes(NIC_1))),
    ),
    case(
        Rule.DEVICE_LOCALITY,
        "a required device on another node",
        instance(vm(devices=wants(policy=DevicePolicy.REQUIRED)), host=HOST),
        plan(a=on(cell(1), takes=takes(NIC_1))),
        plan(a=on(cell(1), takes=takes(NIC_0))),
    ),
    case(
        Rule.DEVICE_LOCALITY,
        "a required device that is nowhere known",
        instance(vm(devices=wants(policy=DevicePolicy.REQUIRED)), host=HOST),
        plan(a=on(cell(0), takes=takes(NIC_0))),
        plan(a=on(cell(0), takes=takes(LOST))),
    ),
    case(
        Rule.DEVICE_LOCALITY,
        "a required device near one cell is enough, near none is not",
        instance(
            vm(vcpus=2, blocks=2, max_cells=2, devices=wants("gpu", 1, DevicePolicy.REQUIRED)),
            host=HOST,
        ),
        plan(a=on(cell(0), cell(1), takes=takes(GPU, request="gpu"))),
        plan(a=on(cell(0), cell(2), takes=takes(GPU, request="gpu"))),
    ),
    case(
        Rule.DEVICE_LOCALITY,
        "a device on another socket",
        instance(vm(devices=wants(policy=DevicePolicy.SOCKET)), host=SOCKETS),
        plan(a=on(cell(1), takes=takes(NIC_0))),
        plan(a=on(cell(2), takes=takes(NIC_0))),
    ),
    case(
        Rule.DEVICE_LOCALITY,
        "the socket of a device at a node without pCPUs",
        instance(vm(devices=wants("gpu", 1, DevicePolicy.SOCKET)), host=GPU_MEMORY),
        plan(a=on(cell(0), takes=takes(GPU, request="gpu"))),
        plan(a=on(cell(1), takes=takes(GPU, request="gpu"))),
    ),
    case(
        Rule.DEVICE_LOCALITY,
        "a device nowhere known is on no socket",
        instance(vm(devices=wants(policy=DevicePolicy.SOCKET)), host=HOST),
        plan(a=on(cell(0), takes=takes(NIC_0))),
        plan(a=on(cell(0), takes=takes(LOST))),
    ),
    case(
        Rule.DEVICE_FUNCTIONS,
        "one function for two VMs",
        instance(vm("a", devices=wants()), vm("b", devices=wants()), host=HOST),
        plan(a=on(cell(0), takes=takes(NIC_0)), b=on(cell(1), takes=takes(NIC_1))),
        plan(a=on(cell(0), takes=takes(NIC_1)), b=on(cell(1), takes=takes(NIC_1))),
    ),
    case(
        Rule.DEVICE_FUNCTIONS,
        "three VMs on two virtual functions",
        instance(*(vm(n, devices=wants()) for n in ABC), host=HOST),
        plan(
            a=on(cell(0), takes=takes(NIC_0)),
            b=on(cell(0), takes=takes(NIC_0)),
            c=on(cell(0), takes=takes(LOST)),
        ),
        plan(
            a=on(cell(0), takes=takes(NIC_0)),
            b=on(cell(0), takes=takes(NIC_0)),
            c=on(cell(0), takes=takes(NIC_0)),
        ),
    ),
    case(
        Rule.DEVICE_FUNCTIONS,
        "a function is free again once its VM has ended",
        instance(*(vm(n, devices=wants(), **TIMES[n]) for n in ABC), host=HOST),
        plan(
            a=on(cell(0), takes=takes(NIC_1)),
            b=on(cell(0), takes=takes(NIC_1)),
            c=on(cell(0), takes=takes(NIC_0)),
        ),
        plan(
            a=on(cell(0), takes=takes(NIC_1)),
            b=on(cell(0), takes=takes(NIC_0)),
            c=on(cell(0), takes=takes(NIC_1)),
        ),
    ),
]

TWO_HOSTS = (make_host("one"), make_host("two"))
SPLIT = vm("a", 2, 2, max_cells=2)
RACKS = tuple(
    replace(make_host(name), labels={"rack": rack} if rack else {})
    for name, rack in (("one", "x"), ("two", "x"), ("three", "y"), ("four", ""), ("five", ""))
)
TWO_DOMAINS = Apart(domains=(AB, ("c",)), scope="rack")


def racked(**hosts: str) -> Plan:
    """A plan with each VM on node 0 of a host."""
    return plan(**{name: on(cell(0), host=host) for name, host in hosts.items()})


PAIRS: list[RuleCase] = [
    case(
        Rule.TOGETHER,
        "two VMs on different nodes",
        instance(vm("a"), vm("b"), togethers=(Together(AB),)),
        plan(a=on(cell(1)), b=on(cell(1))),
        plan(a=on(cell(1)), b=on(cell(0))),
    ),
    case(
        Rule.TOGETHER,
        "two VMs on different hosts",
        Instance(TWO_HOSTS, (vm("a"), vm("b")), togethers=(Together(AB, Scope.HOST),)),
        plan(a=on(cell(0), host="one"), b=on(cell(1), host="one")),
        plan(a=on(cell(0), host="one"), b=on(cell(0), host="two")),
    ),
    case(
        Rule.TOGETHER,
        "nodes of equal number on different hosts are not the same",
        Instance(TWO_HOSTS, (vm("a"), vm("b")), togethers=(Together(AB),)),
        plan(a=on(cell(0), host="two"), b=on(cell(0), host="two")),
        plan(a=on(cell(0), host="one"), b=on(cell(0), host="two")),
    ),
    case(
        Rule.TOGETHER,
        "one VM uses a node more than the other",
        instance(SPLIT, vm("b", 2, 2, max_cells=2), togethers=(Together(AB),)),
        plan(a=on(cell(0), cell(1)), b=on(cell(1), cell(0))),
        plan(a=on(cell(0), cell(1)), b=on(cell(1, 2, 2))),
    ),
    case(
        Rule.TOGETHER,
        "only VMs that meet must be together",
        instance(*(vm(n, **TIMES[n]) for n in ABC), togethers=(Together(AB), Together(("b", "c")))),
        plan(a=on(cell(0)), b=on(cell(1)), c=on(cell(1))),
        plan(a=on(cell(0)), b=on(cell(1)), c=on(cell(0))),
    ),
    case(
        Rule.APART,
        "two VMs on one node",
        instance(vm("a"), vm("b"), aparts=(Apart(AB),)),
        plan(a=on(cell(0)), b=on(cell(1))),
        plan(a=on(cell(0)), b=on(cell(0))),
    ),
    case(
        Rule.APART,
        "two VMs on different nodes of one host",
        Instance(TWO_HOSTS, (vm("a"), vm("b")), aparts=(Apart(AB, Scope.HOST),)),
        plan(a=on(cell(0), host="one"), b=on(cell(0), host="two")),
        plan(a=on(cell(0), host="one"), b=on(cell(1), host="one")),
    ),
    case(
        Rule.APART,
        "nodes of equal number on different hosts are not the same",
        Instance(TWO_HOSTS, (vm("a"), vm("b")), aparts=(Apart(AB),)),
        plan(a=on(cell(0), host="one"), b=on(cell(0), host="two")),
        plan(a=on(cell(0), host="one"), b=on(cell(0), host="one")),
    ),
    case(
        Rule.APART,
        "a cell of a split VM meets the other VM",
        instance(SPLIT, vm("b"), aparts=(Apart(AB),)),
        plan(a=on(cell(0), cell(1)), b=on(cell(2))),
        plan(a=on(cell(0), cell(1)), b=on(cell(1))),
    ),
    case(
        Rule.APART,
        "no two of three on one node",
        instance(*(vm(n) for n in ABC), aparts=(Apart(ABC),)),
        plan(a=on(cell(0)), b=on(cell(1)), c=on(cell(2))),
        plan(a=on(cell(0)), b=on(cell(1)), c=on(cell(1))),
    ),
    case(
        Rule.APART,
        "only VMs that meet must be apart",
        instance(*(vm(n, **TIMES[n]) for n in ABC), aparts=(Apart(ABC),)),
        plan(a=on(cell(0)), b=on(cell(0)), c=on(cell(1))),
        plan(a=on(cell(0)), b=on(cell(1)), c=on(cell(1))),
    ),
    case(
        Rule.TOGETHER,
        "two VMs in different racks",
        Instance(RACKS, (vm("a"), vm("b")), togethers=(Together(AB, "rack"),)),
        racked(a="one", b="two"),
        racked(a="one", b="three"),
    ),
    case(
        Rule.TOGETHER,
        "hosts without the label are no rack",
        Instance(RACKS, (vm("a"), vm("b")), togethers=(Together(AB, "rack"),)),
        racked(a="four", b="four"),
        racked(a="four", b="five"),
    ),
    case(
        Rule.APART,
        "two VMs on different hosts of one rack",
        Instance(RACKS, (vm("a"), vm("b")), aparts=(Apart(AB, "rack"),)),
        racked(a="one", b="three"),
        racked(a="one", b="two"),
    ),
    case(
        Rule.APART,
        "a host without the label is a rack of its own",
        Instance(RACKS, (vm("a"), vm("b")), aparts=(Apart(AB, "rack"),)),
        racked(a="four", b="five"),
        racked(a="four", b="four"),
    ),
    case(
        Rule.APART,
        "VMs of one domain may share a rack, those of two may not",
        Instance(RACKS, tuple(map(vm, ABC)), aparts=(TWO_DOMAINS,)),
        racked(a="one", b="two", c="three"),
        racked(a="one", b="three", c="two"),
    ),
    case(
        Rule.APART,
        "a VM in no domain is one by itself",
        Instance(RACKS, tuple(map(vm, "abcd")), aparts=(Apart(tuple("abcd"), "rack", (AB,)),)),
        racked(a="one", b="one", c="three", d="four"),
        racked(a="one", b="one", c="three", d="three"),
    ),
    case(
        Rule.APART,
        "VMs of one domain may share a node, of which a third keeps off",
        instance(*map(vm, ABC), aparts=(Apart(domains=(AB, ("c",))),)),
        plan(a=on(cell(0)), b=on(cell(0)), c=on(cell(1))),
        plan(a=on(cell(0)), b=on(cell(0)), c=on(cell(0))),
    ),
    case(
        Rule.APART,
        "VMs of two domains may share a rack at different times",
        Instance(RACKS, tuple(vm(n, **TIMES[n]) for n in ABC), aparts=(TWO_DOMAINS,)),
        racked(a="one", b="two", c="three"),
        racked(a="one", b="two", c="two"),
    ),
]

LOCAL = (SharingGroup("g", AB, BLOCK),)
ACROSS = (SharingGroup("g", AB, BLOCK, across_nodes=True),)
MEMBERS = (vm("a", 1, 2), vm("b", 1, 2))


def copy(*nodes: int, host: str = "host") -> SharedCopy:
    return SharedCopy("g", host, nodes)


SHARING: list[RuleCase] = [
    case(
        Rule.SHARED_PAGES,
        "no copy on a member's node",
        instance(*MEMBERS, sharing=LOCAL),
        plan(copy(0, 1), a=on(cell(0)), b=on(cell(1))),
        plan(copy(0), a=on(cell(0)), b=on(cell(1))),
    ),
    case(
        Rule.SHARED_PAGES,
        "no copy on one cell's node",
        instance(vm("a", 2, 3, max_cells=2), vm("b", 1, 2), sharing=LOCAL),
        plan(copy(0, 2), a=on(cell(0), cell(2))),
        plan(copy(0), a=on(cell(0), cell(2))),
    ),
    case(
        Rule.SHARED_PAGES,
        "a copy elsewhere on the host will do, none will not",
        instance(*MEMBERS, sharing=ACROSS),
        plan(copy(2), a=on(cell(0)), b=on(cell(1))),
        plan(a=on(cell(0)), b=on(cell(1))),
    ),
    case(
        Rule.SHARED_PAGES,
        "a copy on another host",
        Instance(TWO_HOSTS, MEMBERS, sharing=ACROSS),
        plan(copy(1, host="one"), a=on(cell(0), host="one")),
        plan(copy(1, host="two"), a=on(cell(0), host="one")),
    ),
    case(
        Rule.SHARED_PAGES,
        "members on two hosts need a copy on each",
        Instance(TWO_HOSTS, MEMBERS, sharing=LOCAL),
        plan(
            copy(0, host="one"),
            copy(0, host="two"),
            a=on(cell(0), host="one"),
            b=on(cell(0), host="two"),
        ),
        plan(copy(0, host="one"), a=on(cell(0), host="one"), b=on(cell(0), host="two")),
    ),
]

CASES = DEVICES + PAIRS + SHARING
