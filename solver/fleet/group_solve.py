"""Plans and a bound of fleets of groups: parts of the fleet one by one, the bound of all of it.

Prices to start from prove most of what there is to prove. A part's contents are found by column
generation and chosen in whole numbers; then the hosts that lose more than the bound has for them
are chosen anew with some others, again and again.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import numpy as np

from numaplace.models.plan import Plan
from numaplace.models.units import HALVES, ceil_div
from numaplace.solver.deadline import Deadline, OutOfTimeError
from numaplace.solver.fleet.group_master import GroupMaster
from numaplace.solver.fleet.group_plans import covered, packed, plan_of, trimmed
from numaplace.solver.fleet.group_prices import UNKNOWN, Contents, Part, Prices, Pricing
from numaplace.solver.fleet.groups import GroupFleet
from numaplace.solver.fleet.options import TWICE

PART_KINDS = 100
"""Kinds of groups of a part at most: one program of many that all differ comes to no end."""
ANEW_KINDS = 60
"""Of groups on the hosts that are chosen anew together, about."""
DRAWS, NOISE = 6, 0.0005
"""Contents to begin with are the best at prices raised by up to so many vCPUs, so many times."""
CALM = (0.8, 0.8, 0.8, 0.8, 0.5, 0.5, 0.5, 0.5)
"""Weight of the prices of the best bound in those tried next, by round; none later."""
ROUNDS = 40
FIRST_SHARE = 0.8
"""Of the time that is left for each part still to come; then hosts are chosen anew."""
PART_S = 20.0
"""Seconds at most for a part that is chosen anew."""
STALE = 5
"""Parts chosen anew without gain after which the bound is looked at."""


@dataclass(frozen=True, slots=True)
class GroupsFound:
    """A plan, a bound of the loss of plans of all VMs in micro-vCPU, and numbers of the search."""

    plan: Plan
    bound: int
    stats: dict[str, float]


def solve_groups(
    fleet: GroupFleet,
    until: Deadline,
    *,
    seed: int = 0,
    relative_gap: float = 0.0,
    rounds: float = math.inf,
    on_state: Callable[[int | None, int], None] | None = None,
) -> GroupsFound | None:
    """Place all VMs of a fleet of groups at little loss; None if there was no time to begin.

    A plan may lack VMs where no room was found for them in time. `on_state` is told the loss of
    contents (None while VMs are missing) and the bound in micro-vCPU.
    """
    try:
        search = _Search(Pricing(fleet, until), until, seed, relative_gap, on_state)
    except OutOfTimeError:
        return None
    with suppress(OutOfTimeError):
        search.run(rounds)
    return GroupsFound(plan_of(search.pricing, search.used), search.bound, search.stats)


@dataclass(slots=True)
class _Ascent:
    """Column generation on its way: its program, the prices of the best bound, those found last."""

    master: GroupMaster
    center: Prices
    bound: int
    last: Prices = field(default_factory=dict)


class _Search:
    """The contents chosen so far, and the bound; both count losses twice."""

    def __init__(
        self,
        pricing: Pricing,
        until: Deadline,
        seed: int,
        relative_gap: float,
        on_state: Callable[[int | None, int], None] | None,
    ) -> None:
        self.pricing = pricing
        self.until = until
        self.relative_gap = relative_gap
        self.on_state = on_state
        self.rng = np.random.default_rng(seed)
        self.whole = pricing.whole
        self.used: list[Contents] = []
        self.pool: dict[Contents, None] = {}
        self.prices = pricing.start
        self.raised = False  # the bound is that of the relaxation
        least = {
            h: pricing.table(h, self.prices, self.whole, until)[0].least for h in self.whole.hosts
        }
        self.twice_bound = pricing.bound(self.prices, self.whole, least)
        self.least = least
        self.stats: dict[str, float] = {}

    @property
    def bound(self) -> int:
        """The bound in micro-vCPU."""
        return ceil_div(self.twice_bound, TWICE)

    def run(self, rounds: float) -> None:
        """Solve part by part, then the worst hosts again, as long as there is time and a gap."""
        parts = _dealt(self.pricing, self.whole)
        for n, part in enumerate(parts):
            share = FIRST_SHARE / (len(parts) - n)
            until = self.until.share(share)
            self.used += self._solved(part, packed(self.pricing, part, until.share(0.5)), until)
            self.stats["parts"] = n + 1
        stale = 0
        while not self._done() and not self.until.over and self.stats.get("anew", 0) < rounds:
            stale = 0 if self._anew() else stale + 1
            self.stats["anew"] = self.stats.get("anew", 0) + 1
            if stale >= STALE and not self.raised:
                self._raise_bound(self.until.share(0.5))
                stale = 0

    def _done(self) -> bool:
        lost = sum(contents.lost for contents in self.used)
        missing = self._missing(self.whole, self.used)
        if self.on_state is not None:
            self.on_state(None if missing else lost // TWICE, self.bound)
        return (
            not missing and ceil_div(lost, TWICE) - self.bound <= self.relative_gap * lost / TWICE
        )

    def _missing(self, part: Part, used: Sequence[Contents]) -> int:
        """How many vCPUs of a part are nowhere."""
        here, vcpus = covered(self.pricing, used), self.pricing.vcpus
        return sum(
            int((np.maximum(count - here[k], 0) if k in here else count) @ vcpus[k])
            if k in here
            else count * int(vcpus[k].sum())
            for k, count in part.groups.items()
        )

    def _solved(
        self, part: Part, start: list[Contents], until: Deadline, split: Collection[int] = ()
    ) -> list[Contents]:
        """Return good contents of a part, no worse than those it starts from."""
        split = {*split, *self.pricing.forced} & part.groups.keys()
        master = GroupMaster(self.pricing, part, split)
        master.add(start)
        try:
            master, best = self._generate(master, until.share(0.5))
            chosen = master.choose(until, best, Counter(start))
        except OutOfTimeError:
            return start
        if chosen is None:
            return start
        found = trimmed(self.pricing, part, [c for c, times in chosen for _ in range(times)])

        def key(used: list[Contents]) -> tuple[int, int]:
            return self._missing(part, used), sum(contents.lost for contents in used)

        return found if key(found) < key(start) else start

    def _generate(self, master: GroupMaster, until: Deadline) -> tuple[GroupMaster, int]:
        """Return a program with contents worth choosing from, and the bound of its part."""
        pricing, part = self.pricing, master.part
        way = _Ascent(master, {k: self.prices[k] for k in part.groups}, -UNKNOWN)
        try:
            way.bound = pricing.bound_only(way.center, part, until)
            self._add_noisy(way.master, way.center, until)
            self._ascend(way, ROUNDS - len(CALM), until)
            self._add_noisy(way.master, way.last, until)
        except OutOfTimeError:
            pass
        self.pool.update(dict.fromkeys(way.master.columns))
        return way.master, way.bound

    def _ascend(self, way: _Ascent, rounds: int, until: Deadline) -> None:
        """Add contents that are missing: at calm prices first, then for some rounds as they are."""
        for calm in (*CALM, *(0.0,) * rounds):
            master, part = way.master, way.master.part
            objective, way.last = master.solve(until)
            broken = master.fragments()
            if broken:
                way.master = master.split_further(broken)
                continue
            if objective <= way.bound + TWICE:
                break
            at = {k: _between(way.last[k], way.center[k], calm) for k in part.groups}
            bound, found = self.pricing.price(at, part, until)
            if bound > way.bound:
                way.bound, way.center = bound, at
            if not master.add(contents for _, contents in found) and not calm:
                break

    def _add_noisy(self, master: GroupMaster, prices: Prices, until: Deadline) -> None:
        """Add the best contents at prices that are raised by chance."""
        for _ in range(DRAWS):
            drawn = self.rng.uniform(0.1, 1.0, len(prices)) * NOISE * HALVES
            raised = {
                k: prices[k] + np.rint(more * self.pricing.vcpus[k]).astype(np.int64)
                for k, more in zip(prices, drawn, strict=True)
            }
            found = self.pricing.price(raised, master.part, until)[1]
            master.add(contents for _, contents in found)

    def _anew(self) -> bool:
        """Choose the contents of some hosts anew, with groups that are missing; tell of a gain."""
        taken = self._worst()
        start = [contents for n, contents in enumerate(self.used) if n in taken]
        rest = [contents for n, contents in enumerate(self.used) if n not in taken]
        here, there = covered(self.pricing, start), covered(self.pricing, self.used)
        groups, more = Counter[int](), ANEW_KINDS
        lacking: set[int] = set()
        for k, count in self.whole.groups.items():
            missing = min(more, count - int(there[k].max(initial=0)) if k in there else count)
            groups[k] = (int(here[k].max(initial=0)) if k in here else 0) + missing
            more -= missing
            if missing or (k in there and there[k].min(initial=0) < there[k].max(initial=0)):
                lacking.add(k)
        used, again = Counter(c.host for c in self.used), Counter(c.host for c in start)
        free = max(len(taken), ANEW_KINDS)
        hosts = {h: again[h] + min(n - used[h], free) for h, n in self.whole.hosts.items()}
        part = Part(+groups, {h: count for h, count in hosts.items() if count})
        found = self._solved(part, start, self.until.share(1.0, PART_S), lacking)
        self.used = rest + found
        return found is not start

    def _worst(self) -> set[int]:
        """Positions of contents to choose anew: the worst, some others, and their fragments."""
        excess = np.array([self._excess(contents) for contents in self.used], np.float64)
        parts = sum(len(contents.parts) for contents in self.used)
        count = max(2, round(ANEW_KINDS * len(self.used) / max(1, parts)))
        order = np.lexsort((self.rng.random(len(excess)), -excess))
        bad = [int(n) for n in order[: count // 2] if excess[n] > TWICE]
        others = self.rng.permutation([n for n in range(len(excess)) if n not in bad])
        taken = {*bad, *others[: count - len(bad)].tolist()}
        broken = {
            k
            for n in taken
            for k, o in self.used[n].parts
            if not self.pricing.is_whole(self.used[n].host, k, o)
        }
        for n, contents in enumerate(self.used):
            if any(k in broken for k, _ in contents.parts):
                taken.add(n)
        return taken

    def _excess(self, contents: Contents) -> int:
        """What contents lose more than the bound has for them."""
        worth = (
            int((self.pricing.options[contents.host][k].ways[o] != 0) @ self.prices[k])
            for k, o in contents.parts
        )
        return contents.lost - sum(worth) - min(0, self.least[contents.host])

    def _raise_bound(self, until: Deadline) -> None:
        """Raise the bound by the prices of the relaxation of the fleet over all contents known."""
        master = GroupMaster(self.pricing, self.whole, self.pricing.forced)
        way = _Ascent(master, self.prices, self.twice_bound)
        with suppress(OutOfTimeError):
            master.add(until.each(self.pool))
            self._ascend(way, ROUNDS, until)
            self.raised = True
        self.twice_bound, self.prices = way.bound, way.center


def _between(prices: np.ndarray, center: np.ndarray, calm: float) -> np.ndarray:
    return np.rint((1 - calm) * prices + calm * center).astype(np.int64)


def _dealt(pricing: Pricing, whole: Part) -> list[Part]:
    """Deal groups, the largest first, and hosts to parts."""
    count = ceil_div(len(whole.groups), PART_KINDS)
    groups: list[Counter[int]] = [Counter() for _ in range(count)]
    hosts: list[Counter[int]] = [Counter() for _ in range(count)]
    order = sorted(whole.groups, key=lambda k: -int(pricing.vcpus[k].sum()))
    for n, k in enumerate(kind for kind in order for _ in range(whole.groups[kind])):
        lap, at = divmod(n, count)
        groups[at if lap % 2 else count - 1 - at][k] += 1
    for n, h in enumerate(kind for kind, times in whole.hosts.items() for _ in range(times)):
        hosts[n % count][h] += 1
    return [Part(g, h) for g, h in zip(groups, hosts, strict=True)]
