"""Moves from one plan to another: what each copies, and every state a fleet is in on the way.

A *step* changes the placement of one VM; steps come one after the other. Within a host the vCPUs
go first, at once, and the pages follow. To another host a VM is copied while it runs and switches
over at the end. While a step lasts

* pages that are copied take memory where they were and where they will be;
* a VM that goes to another host takes vCPUs, pCPUs and device functions on both;
* a device that is given up is held until the end of the step;
* of a sharing group, the copies before and after all steps are both there.

So there are two states a step: *during* it, where capacities hold, and *after* it, where all rules
hold but those that speak of several VMs at their places (`PASSING`). Nothing here knows a solver.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property
from typing import Annotated, ClassVar

from numaplace.models.fields import Bound, checked
from numaplace.models.instance import Instance
from numaplace.models.plan import Placement, Plan, SharedCopy, TakenDevice, gone_elsewhere
from numaplace.models.topology import MIB_MAX, Mib
from numaplace.models.units import ceil_div
from numaplace.models.verify import ALONE, CAPACITIES, PASSING, RULES, Rule, Violation
from numaplace.models.vm import Vm

SETTLED = tuple(rule for rule in RULES if rule not in PASSING)
"""Rules of every state after a step; during it the `CAPACITIES` hold."""

US_PER_S = 1_000_000
TWIN_LENGTH_MAX = 200  # characters of a VM's name in that of its twin


class StepKind(StrEnum):
    """What a step does."""

    START = "start"
    REPIN = "repin"
    RESIZE = "resize"
    WITHIN = "within"
    ACROSS = "across"


@dataclass(frozen=True, slots=True)
class Step:
    """A VM gets another placement."""

    vm: str
    before: Placement | None  # where it is; None if it does not run yet
    after: Placement
    bounce: bool = False  # it has to go on from there: it only makes room for another VM

    @property
    def kind(self) -> StepKind:
        """What the step does.

        ``repin``: nothing but pCPUs or devices change; ``resize``: it grows or shrinks, and what
        it keeps stays where it is.
        """
        if self.before is None:
            return StepKind.START
        if self.before.host != self.after.host:
            return StepKind.ACROSS
        if layout_of(self.before) == layout_of(self.after):
            return StepKind.REPIN
        return StepKind.WITHIN if self.is_move else StepKind.RESIZE

    @property
    def is_move(self) -> bool:
        """Whether vCPUs or memory of a running VM go elsewhere."""
        if self.before is None or self.before.host != self.after.host:
            return self.before is not None
        vcpus = gone_elsewhere(self.before.vcpus_by_node(), self.after.vcpus_by_node())
        return self.mib > 0 or vcpus > 0

    @property
    def mib(self) -> int:
        """Memory that has to be copied."""
        return 0 if self.before is None else self.after.copied_mib(self.before)


def layout_of(placement: Placement) -> tuple[object, ...]:
    """Where vCPUs and memory are, without pCPUs and devices: what a move changes."""
    cells = [
        (cell.node, cell.vcpus, tuple(part for part in sorted(cell.memory_mib) if part[1]))
        for cell in placement.cells
    ]
    return (placement.host, *sorted(cells))


def micros_per_mib(instance: Instance) -> tuple[int, int]:
    """Microseconds that copying a MiB takes within a host, and to another one; rounded up."""
    rates = instance.prices.copy_mib_per_s, instance.prices.network_mib_per_s
    local, network = (
        max(1, ceil_div(US_PER_S * US_PER_S, round(US_PER_S * rate))) for rate in rates
    )
    return local, network


def step_us(instance: Instance, step: Step) -> int:
    """Microseconds that a step copies."""
    local, network = micros_per_mib(instance)
    return step.mib * (network if step.kind is StepKind.ACROSS else local)


@dataclass(frozen=True, slots=True)
class Budget:
    """What moving may cost at most; None: any amount."""

    THING: ClassVar[str] = "budget"

    mib: Annotated[Mib | None, "Memory copied."] = None
    moves: Annotated[int | None, Bound(0, MIB_MAX), "Moves of running VMs."] = None
    seconds: Annotated[
        float | None, Bound(0, 1e9, "s"), "Time of copying, one VM after the other."
    ] = None

    def __post_init__(self) -> None:
        checked(self)

    @property
    def copying_us(self) -> int | None:
        """Microseconds of copying."""
        return None if self.seconds is None else int(self.seconds * US_PER_S)

    def allows(self, spent: Spent) -> bool:
        """Tell whether what was spent is within the budget."""
        limits = self.mib, self.moves, self.copying_us
        amounts = spent.mib, spent.moves, spent.copying_us
        return all(most is None or a <= most for a, most in zip(amounts, limits, strict=True))


@dataclass(frozen=True, slots=True)
class Spent:
    """MiB copied, moves made and microseconds of copying."""

    mib: int = 0
    moves: int = 0
    copying_us: int = 0


def spent_on(instance: Instance, steps: Iterable[Step]) -> Spent:
    """Add up what steps cost."""
    made = [(step.mib, step.is_move, step_us(instance, step)) for step in steps]
    return Spent(*map(sum, zip(*made, strict=True)))


def steps_between(instance: Instance, current: Plan, target: Plan) -> list[Step]:
    """Return the step of each VM whose placement differs, in the order of the instance.

    A VM that only the current plan has is left out: plans that rebalance do not stop VMs.
    """
    return [
        Step(vm.name, current.placements.get(vm.name), target.placements[vm.name])
        for vm in instance.vms
        if vm.name in target and target.placements[vm.name] != current.placements.get(vm.name)
    ]


@dataclass(frozen=True, slots=True)
class Moment:
    """A fleet at one moment: `plan` by the names of `instance`, which has arriving twins."""

    instance: Instance
    plan: Plan
    during: Step | None


class Transition:
    """The states between a first plan and a last one; that of the instance is not looked at."""

    def __init__(self, instance: Instance, current: Plan, target: Plan) -> None:
        self.instance = instance
        self.current = current
        self.target = target
        self._copies = _all_copies(current.copies, target.copies)
        start = Plan(current.placements, self._copies)
        self._excused = {
            (found.rule, found.subject) for found in broken(self.instance, start, tuple(RULES))
        }

    @cached_property
    def _twins(self) -> dict[str, str]:
        """Name of a second VM, for each VM, that stands for it where it arrives."""
        taken = set(self.instance.vm_index)
        names: dict[str, str] = {}
        for vm in self.instance.vms:
            twin = f"{vm.name[:TWIN_LENGTH_MAX]} (arriving)"
            while twin in taken:
                twin += "'"
            names[vm.name] = twin
            taken.add(twin)
        return names

    @cached_property
    def _with_twins(self) -> Instance:
        twins = tuple(
            _twin(self.instance, vm, self._twins[vm.name])
            for vm in self.instance.vms
            if vm.name in self.current
        )
        return replace(self.instance, vms=self.instance.vms + twins, current=None)

    @property
    def has_excuses(self) -> bool:
        """Whether the current plan breaks rules."""
        return bool(self._excused)

    def start(self) -> Moment:
        """Return the state before the first step."""
        return Moment(self.instance, Plan(self.current.placements, self._copies), None)

    def during(self, plan: Plan, step: Step) -> Moment:
        """Return the state while a step is under way, from the plan before it."""
        if step.kind is StepKind.ACROSS:
            placements = {**plan.placements, self._twins[step.vm]: step.after}
            return Moment(self._with_twins, Plan(placements, self._copies), step)
        held = step.after if step.before is None else _held(step.before, step.after)
        placements = {**plan.placements, step.vm: held}
        return Moment(self.instance, Plan(placements, self._copies), step)

    def after(self, plan: Plan, step: Step) -> Moment:
        """Return the state after a step, from the plan before it."""
        placements = {**plan.placements, step.vm: step.after}
        return Moment(self.instance, Plan(placements, self._copies), None)

    def states(self, steps: Sequence[Step]) -> Iterator[Moment]:
        """Yield every state: at the start, during each step, after it."""
        state = self.start()
        yield state
        for step in steps:
            yield self.during(state.plan, step)
            state = self.after(state.plan, step)
            yield state

    def faults(self, state: Moment) -> list[Violation]:
        """Return the rules that a state breaks, without what the current plan breaks anyway."""
        return self._faults(state, SETTLED if state.during is None else CAPACITIES)

    def _faults(self, state: Moment, rules: Iterable[Rule]) -> list[Violation]:
        found = broken(state.instance, state.plan, rules)
        return [fault for fault in found if (fault.rule, fault.subject) not in self._excused]

    def hindrance(self, plan: Plan, step: Step) -> Violation | None:
        """Return a fault of the states during and after a step; None if it may be made.

        What a step takes after it is part of what it takes during it, so of the state after it
        only what regards the VM itself is looked at, and whom it meets on another host.
        """
        alone = Moment(self.instance, Plan({step.vm: step.after}, self._copies), None)
        checks = [(self.during(plan, step), CAPACITIES), (alone, ALONE)]
        if step.kind is StepKind.ACROSS:
            checks.append((self.after(plan, step), (Rule.APART,)))
        return next((found for check in checks for found in self._faults(*check)), None)

    def check(self, steps: Sequence[Step]) -> list[str]:
        """Return what is wrong with a sequence of steps, in words; nothing if it is valid.

        Each step begins where its VM is, no state breaks a rule, and the target is reached.
        """
        wrong: list[str] = []
        now = dict(self.current.placements)
        for number, step in enumerate(steps, 1):
            if now.get(step.vm) != step.before:
                wrong.append(f"step {number}: VM {step.vm!r} is not where the step begins")
            now[step.vm] = step.after
        for number, state in enumerate(self.states(steps)):
            when = f"{'during' if state.during else 'after'} step {(number + 1) // 2}"
            wrong += [f"{when}: {fault}" for fault in self.faults(state)]
        gone = {name: now[name] for name in now if name not in self.target}
        if now != {**gone, **self.target.placements}:
            wrong.append("the steps do not lead to the new plan")
        return wrong


def broken(instance: Instance, plan: Plan, rules: Iterable[Rule]) -> Iterator[Violation]:
    """Yield what a plan breaks of some of the rules."""
    for rule in rules:
        for found in RULES[rule](instance, plan):
            yield Violation(rule, *found)


def _held(before: Placement, after: Placement) -> Placement:
    """What a VM holds while it moves within a host: new vCPUs, memory and devices of both."""
    have, need = before.memory_by_node(), after.memory_by_node()
    first, *others = after.cells
    memory = dict(first.memory_mib)
    for node, mib in have.items():
        if mib > need.get(node, 0):
            memory[node] = memory.get(node, 0) + mib - need.get(node, 0)
    first = replace(first, memory_mib=tuple(sorted(memory.items())), size_mib=None)
    functions: dict[tuple[str, str], int] = {}
    for taken in (*before.devices, *after.devices):
        key = taken.request, taken.address
        functions[key] = max(taken.functions, functions.get(key, 0))
    devices = tuple(TakenDevice(*key, amount) for key, amount in functions.items())
    return Placement(after.host, (first, *others), devices)


def _all_copies(
    before: tuple[SharedCopy, ...], after: tuple[SharedCopy, ...]
) -> tuple[SharedCopy, ...]:
    nodes: dict[tuple[str, str], set[int]] = {}
    for copy in (*before, *after):
        nodes.setdefault((copy.group, copy.host), set()).update(copy.nodes)
    return tuple(SharedCopy(*key, tuple(sorted(ids))) for key, ids in sorted(nodes.items()))


def _twin(instance: Instance, vm: Vm, name: str) -> Vm:
    """Return a VM that takes what `vm` takes; pages of a sharing group are counted already."""
    form = instance.form(vm.name)
    cells = [replace(cell, memory_mib=form.whole_mib(cell.memory_mib)) for cell in vm.cells]
    return replace(
        vm,
        name=name,
        memory_mib=form.own_mib,
        cells=tuple(cells),
        memory_min_mib=None,
        block_mib=form.block_mib,
        required=False,
        soft_nodes=None,
    )
