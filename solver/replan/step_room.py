"""A quick look at whether a step may have room, before the verifier looks at the whole plan."""

from __future__ import annotations

from collections import Counter

from numaplace.models.instance import Instance
from numaplace.models.moves import Step
from numaplace.models.plan import Plan
from numaplace.models.units import MILLI, PageSize
from numaplace.models.vm import CpuPolicy


class StepRoom:
    """Memory and shared vCPUs of each node that a plan takes.

    Parameters
    ----------
    instance
        The instance. Where VMs come and go over time, nothing is ruled out.
    plan
        The plan before a step.
    """

    def __init__(self, instance: Instance, plan: Plan) -> None:
        self.instance = instance
        self.timed = len(instance.instants) > 1
        self._mib: Counter[tuple[str, int, PageSize]] = Counter()
        self._vcpus: Counter[tuple[str, int]] = Counter()
        for name, placement in plan.placements.items():
            vm = instance.vm(name)
            for node, mib in placement.memory_by_node().items():
                self._mib[placement.host, node, vm.page_size] += mib
            if vm.cpu_policy is CpuPolicy.SHARED:
                for node, vcpus in placement.vcpus_by_node().items():
                    self._vcpus[placement.host, node] += vcpus

    def may_take(self, step: Step) -> bool:
        """Tell whether a step could be made; False only if a node surely has no room for it."""
        if self.timed:
            return True
        vm, host = self.instance.vm(step.vm), step.after.host
        stays = step.before is not None and step.before.host == host
        old = step.before if stays else None
        lay = old.memory_by_node() if old is not None else {}
        ran = old.vcpus_by_node() if old is not None else {}
        for node, mib in step.after.memory_by_node().items():
            more = max(0, mib - lay.get(node, 0))
            pool = self.instance.place_of[host, node].node.pool_mib(vm.page_size)
            if self._mib[host, node, vm.page_size] + more > pool:
                return False
        if vm.cpu_policy is not CpuPolicy.SHARED:
            return True
        for node, vcpus in step.after.vcpus_by_node().items():
            place = self.instance.place_of[host, node]
            most = round(place.host.vcpu_overcommit * MILLI) * place.node.threads
            if MILLI * (self._vcpus[host, node] - ran.get(node, 0) + vcpus) > most:
                return False
        return True
