"""Room for one more VM: worked out by hand, and against exhaustive search."""

from __future__ import annotations

from dataclasses import replace

import pytest

from numaplace.instances.catalog import load_catalog
from numaplace.models.cost import DISTURBING, evaluate
from numaplace.models.errors import InputError
from numaplace.models.instance import Instance
from numaplace.models.plan import PlacedCell, Placement, Plan, SharedCopy
from numaplace.models.prices import Prices
from numaplace.models.relations import SharingGroup
from numaplace.models.result import SolveStatus
from numaplace.models.verify import violations
from numaplace.models.vm import MemoryMode, Vm
from numaplace.solver.params import SolveParams
from numaplace.solver.registry import solve
from numaplace.solver.replan.diff import Change
from numaplace.solver.replan.room import Room, RoomGoal, disturbance_micro, make_room
from numaplace.tests import oracle
from numaplace.tests.builders import make_host, make_instance
from numaplace.tests.strategies import random_small_instance

PARAMS = SolveParams(time_limit_s=20, workers=1)
STRICT = MemoryMode.STRICT
# Of the first 600 random instances, some in which room can be made and is not there.
WHERE_SOMETHING_MOVES = (24, 135, 204, 217, 262, 276, 293, 305, 401, 477, 510, 541, 592)


def at(node: int, vcpus: int, mib: int, size: int | None = None) -> Placement:
    return Placement("host", (PlacedCell(node, vcpus, ((node, mib),), (), size),))


def halves(**more: object) -> Instance:
    """Two nodes of 4 cores and 4096 MiB, each half full; the smaller VM is on node 1."""
    vms = (Vm("big", 2, 2048, memory_mode=STRICT), Vm("small", 2, 1024, memory_mode=STRICT))
    current = Plan({"big": at(0, 2, 2048), "small": at(1, 2, 1024)})
    return make_instance(*vms, current=current, **more)


@pytest.mark.parametrize("goal", RoomGoal)
def test_what_fits_moves_nothing(goal: RoomGoal) -> None:
    """Room is there: nothing changes, nothing is paid."""
    room = make_room(halves(), Vm("new", 2, 2048), PARAMS, goal=goal)
    assert (room.result.status, room.changes, room.price_micro) == (SolveStatus.OPTIMAL, (), 0)
    assert room.placement is not None


@pytest.mark.parametrize("goal", RoomGoal)
def test_the_smaller_vm_gives_way(goal: RoomGoal) -> None:
    """A VM as wide as a node: 1024 MiB move rather than 2048; the price is worked out by hand."""
    room = make_room(halves(), Vm("new", 4, 2048, memory_mode=STRICT), PARAMS, goal=goal)
    assert room.result.status is SolveStatus.OPTIMAL
    ((change),) = room.changes
    assert (change.vm, change.change, change.moved_mib) == ("small", Change.MOVES, 1024)
    # 2 vCPUs at half speed for 1.024 s of 3600 s
    assert room.price_micro == -(-1024 * round(1e9 * 0.5 * 2 / 3600 / 1000) // 1000)
    assert room.placement is not None and room.placement.nodes == {1}
    assert room.result.plan is not None
    assert violations(room.instance, room.result.plan) == []


@pytest.mark.parametrize("goal", RoomGoal)
def test_a_balloon_makes_room(goal: RoomGoal) -> None:
    """One node: only ballooning helps; as much of it as is needed, in whole blocks."""
    host = make_host(nodes=1)
    vm = Vm("old", 2, 3072, memory_min_mib=1024, block_mib=256)
    instance = make_instance(vm, host=host, current=Plan({"old": at(0, 2, 3072)}))
    room = make_room(instance, Vm("new", 2, 2048), PARAMS, goal=goal)
    ((change),) = room.changes
    assert (change.change, change.moved_mib, change.ballooned_mib) == (Change.CHANGES, 0, 1024)
    assert room.price_micro == round(0.5 * 2 * 1024 / 3072 / 4 * 1e6) * 4


@pytest.mark.parametrize("goal", RoomGoal)
def test_no_room_is_proven(goal: RoomGoal) -> None:
    """Infeasible with reasons that name the rule; no plan is handed over."""
    room = make_room(halves(), Vm("new", 8, 1024, max_cells=2), PARAMS, goal=goal)
    assert room.result.status is SolveStatus.INFEASIBLE
    assert room.placement is None and room.changes == ()
    assert "shared_cpus" in room.result.reasons[0]


def test_goals_differ_in_who_gives_way() -> None:
    """Web alone is enough, and takes its pages along; db moves as well since that pays."""
    instance = load_catalog("re-planning")
    vm = instance.vm("batch2")
    moves, loss = (
        make_room(instance, vm, PARAMS, goal=goal) for goal in (RoomGoal.MOVES, RoomGoal.LOSS)
    )
    assert [change.vm for change in moves.changes] == ["web"]
    assert [change.vm for change in loss.changes] == ["db", "web"]
    # 2 GiB of web go to the node of db; its vCPUs alone could go for nothing
    assert (moves.least_micro, moves.price_micro, loss.price_micro) == (0, 6826, 20478)
    assert moves.result.cost is not None and loss.result.cost is not None
    assert moves.result.cost.loss_micro > loss.result.cost.loss_micro == 20478
    assert loss.least_micro is None


def test_vms_that_do_not_run_play_no_part() -> None:
    """Neither for room nor by their relations; a member of a sharing group keeps its pages."""
    vms = (Vm("a", 2, 2048), Vm("b", 2, 2048), Vm("idle", 4, 4096, required=True))
    group = SharingGroup("g", ("a", "b"), 1024, across_nodes=True)
    current = Plan({"a": at(0, 2, 1024)}, (SharedCopy("g", "host", (0,)),))
    instance = make_instance(*vms, sharing=(group,), current=current)
    room = make_room(instance, Vm("new", 4, 4096), PARAMS)
    assert room.result.plan is not None
    assert room.result.plan.placements.keys() == {"a", "new"}
    assert room.changes == ()
    joined = make_room(instance, instance.vm("b"), PARAMS)
    assert joined.placement is not None and joined.placement.memory_by_node() == {0: 1024}


def test_pages_that_are_in_no_whole_blocks_stay() -> None:
    """A running system's page counts are odd; what fits still moves nothing."""
    vm = Vm("odd", 2, 2048)
    cell = PlacedCell(0, 2, ((0, 1999), (1, 49)))
    instance = make_instance(vm, current=Plan({"odd": Placement("host", (cell,))}))
    room = make_room(instance, Vm("new", 4, 2048), PARAMS)
    assert (room.result.status, room.changes) == (SolveStatus.OPTIMAL, ())


def test_a_current_plan_that_breaks_rules_is_mended() -> None:
    """The one more is no reason to leave a node overfull."""
    current = Plan({"big": at(0, 2, 2048), "small": at(0, 2, 1024), "third": at(0, 2, 512)})
    instance = halves()
    vms = (*instance.vms, Vm("third", 2, 512))
    room = make_room(replace(instance, vms=vms, current=current), Vm("new", 2, 1024), PARAMS)
    assert room.result.plan is not None and violations(room.instance, room.result.plan) == []
    assert len(room.changes) == 1


@pytest.mark.parametrize(
    ("instance", "vm", "words"),
    [
        (halves(), Vm("big", 1, 512), "runs already"),
        (make_instance(Vm("a", 1, 512)), Vm("b", 1, 512), "must be known"),
    ],
)
def test_bad_input(instance: Instance, vm: Vm, words: str) -> None:
    """What runs must be known, and the one more must not be among it."""
    with pytest.raises(InputError, match=words):
        make_room(instance, vm, PARAMS)


@pytest.mark.parametrize("seed", [*range(20), *WHERE_SOMETHING_MOVES])
def test_against_exhaustive_search(seed: int) -> None:
    """On random instances with all features: as cheap as any plan there is, or there is none."""
    instance = random_small_instance(seed)
    result = solve(instance, "greedy", PARAMS)
    if result.plan is None or len(instance.vms) < 2:
        return  # nothing runs in it
    *_, last = instance.vms
    placements = {n: at for n, at in result.plan.placements.items() if n != last.name}
    instance = replace(instance, current=Plan(placements, result.plan.copies))
    for goal in RoomGoal:
        room = make_room(instance, last, PARAMS, goal=goal)
        best = _least(room)
        assert (room.result.plan is None) == (best is None)
        assert room.result.status is not SolveStatus.FEASIBLE
        if best is None or room.result.plan is None:
            continue
        assert violations(room.instance, room.result.plan) == []
        assert bool(room.changes) == (seed in WHERE_SOMETHING_MOVES)
        if not room.changes:
            continue
        if goal is RoomGoal.LOSS:
            assert evaluate(room.instance, room.result.plan).loss_micro == best
        else:
            now = disturbance_micro(room.instance, room.instance.current or Plan())
            assert room.least_micro == best - now
            assert room.price_micro >= room.least_micro


def _least(room: Room) -> int | None:
    """The least loss, or the least migration and ballooning, of all plans for all VMs."""
    instance = room.instance
    if room.goal is RoomGoal.LOSS:
        found = oracle.brute_force(instance)
        return None if found is None else found.loss_micro
    options = {vm.name: oracle._options(instance, vm) for vm in instance.vms}
    search = oracle._Search(
        instance, options, lambda cost: sum(cost.terms[term] for term in DISTURBING), None
    )
    search.run(frozenset(vm.name for vm in instance.vms if vm.required), separable=False)
    return search.score


def test_prices_out_of_the_ordinary() -> None:
    """Prices so high that loads cannot be scaled down give the same choice."""
    prices = Prices(horizon_s=1.0, copy_mib_per_s=1.0, network_mib_per_s=1.0)
    room = make_room(
        halves(prices=prices), Vm("new", 4, 2048, memory_mode=STRICT), PARAMS, goal=RoomGoal.MOVES
    )
    assert [change.vm for change in room.changes] == ["small"]
