"""The random instances of the tests keep what they promise."""

from collections import Counter

from hypothesis import given, settings

from numaplace.models.instance import Between, Instance
from numaplace.models.relations import Scope
from numaplace.models.units import PageSize
from numaplace.models.vm import CpuPolicy, DevicePolicy, GuestNuma, MemoryMode, ThreadPolicy
from numaplace.tests.strategies import FEATURES, instances, plans_at_most, random_small_instance

SEEDS = range(300)


def _used(instance: Instance) -> set[object]:
    """Names of the features an instance uses."""
    used: set[object] = {instance.between}
    for name in ("cooperations", "competitions", "togethers", "aparts", "sharing", "current"):
        if getattr(instance, name):
            used.add(name)
    used |= {("competition", pair.scope) for pair in instance.competitions}
    used |= {("cooperation", pair.scope) for pair in instance.cooperations}
    used |= {("together", group.scope) for group in instance.togethers}
    used |= {("apart", group.scope) for group in instance.aparts}
    used |= {("apart", max(map(len, group.domains), default=0)) for group in instance.aparts}
    used |= {("sharing across", group.across_nodes) for group in instance.sharing}
    used.add(("hosts", len(instance.hosts)))
    for host in instance.hosts:
        names = ("distances", "latency_ns", "bandwidth_mbps", "devices")
        used |= {name for name in names if getattr(host, name)}
        pairs = [(a, b) for a in range(len(host.nodes)) for b in range(a)]
        if any(host.distances and host.distances[a][b] != host.distances[b][a] for a, b in pairs):
            used.add("asymmetric")
        if host.nodes[-1].id >= len(host.nodes):
            used.add("gaps")
        for node in host.nodes:
            names = ("reserved_mib", "pages_2m", "pages_1g", "bandwidth_mbps")
            used |= {f"node {name}" for name in names if getattr(node, name)}
            used.add(("node has", bool(node.pcpus), bool(node.memory_mib)))
            used.add(("smt", node.cores < node.threads))
    for vm in instance.vms:
        names = ("hard_nodes", "soft_nodes", "memory_nodes", "allowed_hosts", "value", "required")
        names = (*names, "start", "end", "balloon_mib", "bandwidth_mbps")
        used |= {f"VM {name}" for name in names if getattr(vm, name)}
        used |= {vm.guest_numa, vm.memory_mode, vm.page_size, ("cpu", vm.cpu_policy)}
        used.add(("threads", vm.cpu_policy, vm.thread_policy))
        used |= {request.policy for request in vm.devices}
        used.add(("cells", instance.form(vm.name).max_cells))
        used.add(("odd", instance.form(vm.name).rounding_mib > 0))
    return used


def test_seeds_use_every_feature() -> None:
    """Three hundred seeds between them use everything that models can say."""
    counts = Counter(name for seed in SEEDS for name in _used(random_small_instance(seed)))
    wanted: set[object] = {*Between, *GuestNuma, *MemoryMode, *PageSize, *DevicePolicy}
    wanted |= {("competition", scope) for scope in (*Scope, "rack")} | {("apart", 2)}
    wanted |= {("cooperation", scope) for scope in (None, "host", "rack")}
    wanted |= {("threads", CpuPolicy.DEDICATED, policy) for policy in ThreadPolicy}
    wanted |= {
        (word, scope) for word in ("together", "apart") for scope in ("node", "host", "rack")
    }
    wanted |= {
        ("sharing across", True),
        ("sharing across", False),
        ("hosts", 2),
        ("cells", 2),
        ("odd", True),
    }
    wanted |= {("node has", True, True), ("node has", True, False), ("node has", False, True)}
    wanted |= {("smt", True), "asymmetric", "gaps", "cooperations", "current", "latency_ns"}
    wanted |= {"bandwidth_mbps", "node bandwidth_mbps", "node reserved_mib", "VM balloon_mib"}
    wanted |= {"VM hard_nodes", "VM soft_nodes", "VM memory_nodes", "VM allowed_hosts"}
    wanted |= {"VM value", "VM required", "VM start", "VM end", "VM bandwidth_mbps"}
    assert not {name for name in wanted if counts[name] < 3}


def test_seeds_are_small_and_repeatable() -> None:
    """A seed always gives the same instance, with one to four blocks a VM and few plans."""
    for seed in SEEDS:
        instance = random_small_instance(seed, max_plans=5_000)
        assert instance == random_small_instance(seed, max_plans=5_000)
        assert all(1 <= instance.form(vm.name).blocks <= 4 for vm in instance.vms)
        assert len(instance.vms) == 1 or plans_at_most(instance) <= 5_000


@settings(max_examples=50, deadline=None)
@given(instances(max_hosts=1, features=frozenset()))
def test_no_features_gives_plain_instances(instance: Instance) -> None:
    """Without features there are only strict, shared, one-celled VMs without relations."""
    assert len(instance.hosts) == 1
    assert not instance.cooperations and not instance.sharing and instance.current is None
    assert all(vm.memory_mode is MemoryMode.STRICT for vm in instance.vms)
    assert all(vm.cpu_policy is CpuPolicy.SHARED for vm in instance.vms)


def test_each_feature_is_switched_off_by_its_name() -> None:
    """Leaving out one name removes what it stands for and nothing is drawn that needs it."""
    for seed in range(60):
        without = random_small_instance(seed, features=FEATURES - {"cooperation", "balloon"})
        assert not without.cooperations
        assert all(vm.balloon_mib == 0 for vm in without.vms)
