"""From one plan to another, move by move: an order in which every state has room.

Moves that only wait for room another one makes come after it. The order is searched in depth: the
moves that gain most a second come first, a dead end is left by going back. Where moves wait for one
another in a circle, one of the VMs is moved out of the way, to a node (or host) with room, and on
to its place later: a *bounce*. What is then still stuck is reported with the reason.

Each state is checked by `numaplace.models.moves`, so a sequence found is a valid one. That none is
found is no proof that there is none: the search is bounded, and bounces one VM at a time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from numaplace.models.cost import evaluate
from numaplace.models.instance import Instance
from numaplace.models.moves import Step, StepKind, Transition, step_us, steps_between
from numaplace.models.plan import Placement, Plan, SharedCopy
from numaplace.models.units import MILLI, PageSize
from numaplace.models.vm import CpuPolicy
from numaplace.solver.deadline import NEVER, Deadline
from numaplace.solver.placing.build import Home, build, homes_of
from numaplace.solver.placing.placer import Placer
from numaplace.solver.placing.rules import greedy
from numaplace.solver.placing.search import PlaceSearch

# States looked at, in all and in search of one order without bounces.
TRIES_MAX, TRIES_A_SEARCH = 20_000, 3_000
TRIES_A_STEP = 20
RANK_SHARE = 0.3  # Of the time, for what single steps gain: the order to try them in
BOUNCES_PER_VM = 2


@dataclass(frozen=True, slots=True)
class Ordered:
    """Steps in a valid order, and why the others cannot be made.

    Parameters
    ----------
    steps, copies
        What can be made, in this order; copies of shared pages that are there on the way.
    stuck, reasons
        VMs that do not get to their place, and why, in words; none if all do.
    """

    steps: tuple[Step, ...]
    copies: tuple[SharedCopy, ...] = ()
    stuck: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PricedStep:
    """A step with what it costs, microseconds of copying, and gains.

    `gain_micro` is the loss before it less the loss after it, in micro-vCPU, without the price of
    moving. Negative if a VM starts, or makes room for another; None if there was no time to work it
    out.
    """

    step: Step
    copying_us: int
    gain_micro: int | None


def order_moves(
    instance: Instance, current: Plan, target: Plan, until: Deadline = NEVER
) -> Ordered:
    """Find an order of the steps from one plan to a valid one.

    What rules the current plan breaks may stay broken until moves mend them; what is not ordered by
    `until` counts as stuck.
    """
    return _Sequencer(instance, current, target, until).run()


def priced(
    instance: Instance, current: Plan, steps: Sequence[Step], until: Deadline = NEVER
) -> tuple[PricedStep, ...]:
    """Return what each step costs and, as long as there is time, gains where it stands."""
    without = replace(instance, current=None)
    placements = dict(current.placements)
    loss = evaluate(without, current).loss_micro
    found: list[PricedStep] = []
    for step in steps:
        placements[step.vm] = step.after
        gain = None
        if not until.over:
            now = evaluate(without, Plan(placements, current.copies)).loss_micro
            loss, gain = now, loss - now
        found.append(PricedStep(step, step_us(instance, step), gain))
    return tuple(found)


class _Sequencer:
    """Search for an order, from one dead end to the next bounce."""

    def __init__(self, instance: Instance, current: Plan, target: Plan, until: Deadline) -> None:
        self.instance = instance
        self.course = Transition(instance, current, target)
        self.until = until
        self.plan = self.course.start().plan
        self.steps: list[Step] = []
        self.pending = {step.vm: step for step in self._by_gain(current, target)}
        self.bounced: dict[str, int] = {}
        self.tries = 0
        self.tries_max = max(TRIES_MAX, 2 * TRIES_A_STEP * len(self.pending))

    def _by_gain(self, current: Plan, target: Plan) -> list[Step]:
        """Steps: VMs that start, then those that gain most for a second of copying."""
        steps = steps_between(self.instance, current, target)
        early = self.until.share(RANK_SHARE)
        without = replace(self.instance, current=None)
        now = evaluate(without, current).loss_micro
        gains: dict[str, int] = {}
        for step in steps:
            if early.over:
                break
            alone = Plan({**current.placements, step.vm: step.after}, current.copies)
            gains[step.vm] = now - evaluate(without, alone).loss_micro

        def rank(step: Step) -> tuple[bool, float]:
            copying_us = max(1, step_us(self.instance, step))
            return step.kind is not StepKind.START, -gains.get(step.vm, 0) / copying_us

        return sorted(steps, key=rank)

    @property
    def over(self) -> bool:
        """Whether the search has gone on long enough."""
        return self.tries > self.tries_max or self.until.over

    def run(self) -> Ordered:
        """Order moves; bounce where there is no other way."""
        while True:
            self._advance()
            if not self.pending:
                return Ordered(tuple(self.steps), self.plan.copies)
            if self.over or not self._bounce():
                stuck = tuple(self.pending)
                reasons = tuple(self._reason(step) for step in self.pending.values())
                return Ordered(tuple(self.steps), self.plan.copies, stuck, reasons)

    def _possible(self, plan: Plan, step: Step) -> bool:
        self.tries += 1
        return self.course.hindrance(plan, step) is None

    def _advance(self) -> None:
        """Make as many of the pending steps as a search in depth finds possible."""
        best: list[Step] = []
        end = self.tries + max(TRIES_A_SEARCH, TRIES_A_STEP * len(self.pending))
        seen: set[frozenset[str]] = set()
        path: list[Step] = []
        trail = [(self.plan, self._choices(self.plan, frozenset(self.pending)))]
        while trail:
            plan, choices = trail[-1]
            step = next(choices, None)
            if step is None:
                trail.pop()
                if path:
                    path.pop()
                continue
            path.append(step)
            left = frozenset(self.pending).difference(done.vm for done in path)
            if len(path) > len(best):
                best = list(path)
            if not left or self.over or self.tries > end:
                break
            if left in seen:
                path.pop()
                continue
            seen.add(left)
            after = self.course.after(plan, step).plan
            trail.append((after, self._choices(after, left)))
        for step in best:
            self._make(step)
            del self.pending[step.vm]

    def _choices(self, plan: Plan, left: frozenset[str]) -> Iterator[Step]:
        room = None if self.course.has_excuses else StepRoom(self.instance, plan)
        for name, step in self.pending.items():
            if name not in left or self.over or (room is not None and not room.may_take(step)):
                continue
            if self._possible(plan, step):
                yield step

    def _make(self, step: Step) -> None:
        self.plan = self.course.after(self.plan, step).plan
        self.steps.append(step)

    def _bounce(self) -> bool:
        """Move a VM out of the way of another; False if that helps nobody."""
        movable = [s for s in self.pending.values() if s.kind is not StepKind.START]
        for step in sorted(movable, key=lambda s: (s.mib, s.vm)):
            if self.bounced.get(step.vm, 0) >= BOUNCES_PER_VM:
                continue
            for between in self._stops(step):
                if self.over:
                    return False
                away = Step(step.vm, step.before, between, bounce=True)
                if self._possible(self.plan, away) and self._helps(away):
                    self._make(away)
                    self.bounced[step.vm] = self.bounced.get(step.vm, 0) + 1
                    self.pending[step.vm] = Step(step.vm, between, step.after)
                    return True
        return False

    def _helps(self, away: Step) -> bool:
        """Tell whether another pending step is possible once a VM is out of the way."""
        plan = self.course.after(self.plan, away).plan
        left = frozenset(self.pending).difference({away.vm})
        return next(self._choices(plan, left), None) is not None

    def _stops(self, step: Step) -> Iterator[Placement]:
        """Placements that a VM may have for a while: its host's other nodes, other hosts."""
        vm = self.instance.vm(step.vm)
        try:
            engine = Placer(self.instance, plan=self.plan)
        except (KeyError, ValueError, RuntimeError):
            return  # a plan that breaks rules, which the engine does not know
        engine.remove(step.vm)
        assert step.before is not None
        for homes in self._homes(step):
            found = build(engine.state, vm, homes)
            if found is not None and found.footprint.placement not in (step.before, step.after):
                yield found.footprint.placement
        for host in self.instance.allowed_hosts(vm):
            if host.name != step.before.host:
                elsewhere = replace(vm, allowed_hosts=frozenset({host.name}))
                best = PlaceSearch(engine.state, elsewhere, greedy).best()
                if best is not None:
                    yield best.footprint.placement

    def _homes(self, step: Step) -> Iterator[list[Home]]:
        """Homes that differ in one cell from where a VM is."""
        assert step.before is not None
        vm, old = self.instance.vm(step.vm), step.before
        at = homes_of(self.instance, vm, old)
        used = {home.place_index for home in at}
        for place in self.instance.host_places[self.instance.host_index[old.host]]:
            hard = vm.hard_nodes is None or place.node.id in vm.hard_nodes
            if place.index in used or not hard or not place.node.pcpus:
                continue
            for number, home in enumerate(at):
                yield [*at[:number], Home(place.index, home.vcpus, home.blocks), *at[number + 1 :]]

    def _reason(self, step: Step) -> str:
        fault = None if self.over else self.course.hindrance(self.plan, step)
        if fault is None:
            return f"VM {step.vm!r}: the time to look for an order was over"
        where = f"{fault.subject}: {fault.message}"
        if step.kind is StepKind.START:
            return f"VM {step.vm!r} cannot start: {where}"
        return f"VM {step.vm!r} cannot move: {where}, and no VM can make room in between"


class StepRoom:
    """Memory and shared vCPUs of each node that a plan takes, before a step.

    Where VMs come and go over time, nothing is ruled out.
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
            most = place.host.ratio_milli * place.node.threads
            if MILLI * (self._vcpus[host, node] - ran.get(node, 0) + vcpus) > most:
                return False
        return True
