"""How fast a running vCPU gets on: memory latency, bandwidth, messages, rivals, clock; not SMT.

A unit of work takes a microsecond alone, with all memory local. Elsewhere it takes

    1 + mu (sum over nodes j of access[j] r(i, j) q[j] - 1) + messages + rivals + devices + drag

where i is the node it runs on and q[j] >= 1 the latency of node j's memory under its load over that
when idle. Nodes asked for more than their peak bandwidth share it fairly, which holds back who asks
for more than a fair share. The load is looked at in steps (`WorkProgress.refresh`), not at all
events.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from math import inf

from numaplace.solver.simulator.guest import VCpu
from numaplace.solver.simulator.scenario import Guest, Rivalry, Scenario, Talk

# Loaded latency over idle latency by share of the peak bandwidth: mean of the two machines (Ivy
# Bridge, Ice Lake) measured with Intel's MLC in hpcleuven/VscDocumentation.
LOADS = (0.0, 0.49, 0.80, 0.94, 1.0)
LATENCIES = (1.0, 1.27, 1.65, 2.06, 2.93)
DAMPING = 0.5
"""Share of the old latency that is kept in a step: latency and demand depend on each other."""


def loaded_latency(share: float) -> float:
    """Relative latency of a memory of which a share of the peak bandwidth is asked."""
    if share >= 1.0:
        return LATENCIES[-1]
    at = bisect_right(LOADS, share) - 1
    low, high = LOADS[at], LOADS[at + 1]
    return LATENCIES[at] + (LATENCIES[at + 1] - LATENCIES[at]) * (share - low) / (high - low)


def fair_level(demands: Sequence[float], limit: float) -> float:
    """Return the most that each of some users gets of a memory, so that all together get its peak.

    Who asks for less gets all of it, the others the same (max-min fairness); infinite if all that
    is asked for can be had.
    """
    left, level = limit, inf
    for served, demand in enumerate(sorted(demands)):
        share = left / (len(demands) - served)
        if demand > share:
            level = share
            break
        left -= demand
    return level


class WorkProgress:
    """Time that a unit of work of each vCPU takes on each node.

    Parameters
    ----------
    scenario, vcpus
        What is simulated, and its vCPUs in order.

    Attributes
    ----------
    pace
        By vCPU and position of the node: units of work a microsecond, but for SMT.
    changes
        Whether the pace depends on what else runs.
    """

    def __init__(self, scenario: Scenario, vcpus: Sequence[VCpu]) -> None:
        self._scenario, self._vcpus = scenario, vcpus
        self._guests: list[tuple[Guest, int]] = [
            (guest, number) for guest in scenario.guests for number in range(len(guest.cpus))
        ]
        self._of_guest: list[list[int]] = []
        first = 0
        for guest in scenario.guests:
            self._of_guest.append(list(range(first, first + len(guest.cpus))))
            first += len(guest.cpus)
        host = scenario.machine.host
        self._r = host.relative
        limits = [host.node_bandwidth_mbps(node) for node in range(len(host.nodes))]
        self._limits = [float(limit) if limit else None for limit in limits]
        thirsty = any(guest.bandwidth_mbps for guest in scenario.guests)
        self._by_load = thirsty and any(self._limits)
        self._q = [1.0] * len(host.nodes)
        self._throttle = [1.0] * len(vcpus)
        self.changes = self._by_load or bool(scenario.talks or scenario.rivalries)
        self._extra = [0.0] * len(vcpus)
        self._fixed = [self._fixed_costs(guest) for guest, _ in self._guests]
        self.pace = [self._paces(index) for index in range(len(vcpus))]

    def _fixed_costs(self, guest: Guest) -> list[float]:
        """Time added to a unit of work on each node, whatever else runs."""
        return [
            guest.drag + sum(reach.weight * (row[reach.node] - 1.0) for reach in guest.reaches)
            for row in self._r
        ]

    def _paces(self, index: int) -> list[float]:
        guest, number = self._guests[index]
        access, mu, q = guest.cpus[number].access, guest.memory_intensity, self._q
        paces: list[float] = []
        for row, fixed in zip(self._r, self._fixed[index], strict=True):
            wait = sum(share * row[j] * q[j] for j, share in enumerate(access) if share)
            time = 1.0 + mu * (wait - 1.0) + fixed + self._extra[index]
            paces.append(self._throttle[index] / time)
        return paces

    def rate(self, index: int, node: int, clock: float) -> float:
        """Units of work a microsecond on a node, if the core runs at a share of its full clock.

        Memory does not become slower with the core.
        """
        pace = self.pace[index][node]
        if clock == 1.0:
            return pace
        computes = 1.0 - self._guests[index][0].memory_intensity
        return pace / (1.0 + pace * computes * (1.0 / clock - 1.0))

    def refresh(self, running: Sequence[tuple[int, float]]) -> None:
        """Work out the pace of everything anew.

        Parameters
        ----------
        running
            Pairs (vCPU, units of work it does a microsecond) of what runs now.
        """
        if self._by_load:
            self._load_memory(running)
        self._extra = [0.0] * len(self._vcpus)
        on = frozenset(index for index, _ in running)
        for talk in self._scenario.talks:
            self._add_talk(talk)
        for rivalry in self._scenario.rivalries:
            self._add_rivalry(rivalry, on)
        self.pace = [self._paces(index) for index in range(len(self._vcpus))]

    def _load_memory(self, running: Sequence[tuple[int, float]]) -> None:
        """Share the bandwidth of each node, and work out its latency under that load."""
        users: list[list[tuple[int, float]]] = [[] for _ in self._q]
        for index, rate in running:
            guest, number = self._guests[index]
            if guest.bandwidth_mbps:
                # What it would ask for if nobody held it back.
                each = rate / self._throttle[index] * guest.bandwidth_mbps / len(guest.cpus)
                for node, share in enumerate(guest.cpus[number].access):
                    if share:
                        users[node].append((index, share * each))
        self._throttle = [1.0] * len(self._vcpus)
        for node, limit in enumerate(self._limits):
            if limit:
                demands = [demand for _, demand in users[node]]
                level = fair_level(demands, limit)
                for index, demand in users[node]:
                    if demand > level:
                        self._throttle[index] = min(self._throttle[index], level / demand)
                target = loaded_latency(min(1.0, sum(demands) / limit))
                self._q[node] = DAMPING * self._q[node] + (1.0 - DAMPING) * target

    def _add_talk(self, talk: Talk) -> None:
        node_of, r = self._scenario.machine.node_of, self._r
        first, second = self._of_guest[talk.first], self._of_guest[talk.second]
        ends = [[node_of[self._vcpus[v].pcpu] for v in vcpus] for vcpus in (first, second)]
        for side, vcpus in enumerate((first, second)):
            others = ends[1 - side]
            for index, here in zip(vcpus, ends[side], strict=True):
                far = sum((r[here][there] + r[there][here]) / 2 for there in others) / len(others)
                self._extra[index] += talk.weights[side] * (far - 1.0)

    def _add_rivalry(self, rivalry: Rivalry, on: frozenset[int]) -> None:
        domains = rivalry.domains
        sides = (self._of_guest[rivalry.first], self._of_guest[rivalry.second])
        where = [[domains[self._vcpus[v].pcpu] for v in side if v in on] for side in sides]
        for side, vcpus in enumerate(sides):
            others = where[1 - side]
            for index in vcpus:
                here = domains[self._vcpus[index].pcpu]
                share = others.count(here) / len(sides[1 - side])
                self._extra[index] += rivalry.weights[side] * share
