"""The talk's experiment as a whole, and plans simulated again and again."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest

from numaplace.instances.catalog import load_catalog
from numaplace.models.errors import InputError
from numaplace.models.instance import Instance
from numaplace.solver.deadline import Deadline
from numaplace.solver.parallel import JobEngine
from numaplace.solver.params import SolveParams
from numaplace.solver.registry import solve
from numaplace.solver.simulator.from_plan import SimulatedAffinity
from numaplace.solver.simulator.plans import simulate_plan
from numaplace.solver.simulator.published import TalkProgram
from numaplace.solver.simulator.runs import (
    PLANNERS,
    RunOptions,
    floating,
    run_repeatedly,
    timelines,
)
from numaplace.solver.simulator.scenario import Hypervisor
from numaplace.solver.simulator.talk import CALIBRATED, Configuration, vm_throughput
from numaplace.solver.simulator.talk_run import Experiment, TalkSetup, run_talk

SETUP = TalkSetup(CALIBRATED[TalkProgram.SPECJBB], (2, 4), 2, time_s=0.3, seed=3)


@cache
def _whole() -> Experiment:
    return run_talk(SETUP)


def test_every_point_has_its_runs() -> None:
    found = _whole()
    assert list(found.outcomes) == [
        (configuration, vms, repetition)
        for configuration in Configuration
        for vms in (2, 4)
        for repetition in (0, 1)
    ]
    assert found.missing == 0 and len(found.points) == 6
    for point in found.points:
        runs = [found.outcomes[(point.configuration, point.vms, k)] for k in (0, 1)]
        expected = [SETUP.traits.score * vm_throughput(run) for run in runs]
        assert point.scores == pytest.approx(expected)
        assert point.uncertainty > point.deviation and 0.01 < point.spread < 0.1
    pinned = found.point(Configuration.AUTO_PINNING, 2)
    floats = found.point(Configuration.ALL_CPUS, 2)
    assert pinned is not None and floats is not None
    assert (floats.calibrated, pinned.calibrated) == (True, True)
    assert found.gain(floats) == 0
    assert found.gain(pinned) == pytest.approx(pinned.mean / floats.mean - 1)


def test_the_result_does_not_depend_on_the_processes() -> None:
    """Same seed, same result to the last digit, in whatever order runs come to their end."""
    assert _whole() == run_talk(SETUP, engine=JobEngine(jobs=2))
    other = run_talk(replace(SETUP, counts=(2,), repetitions=1, seed=5))
    assert other.outcomes.keys() < _whole().outcomes.keys()
    assert all(outcome != _whole().outcomes[job] for job, outcome in other.outcomes.items())


def test_a_stop_keeps_what_has_been_run() -> None:
    told: list[int] = []
    found = run_talk(
        SETUP,
        on_done=lambda done, total, last: told.append(total),
        until=Deadline(should_stop=lambda: len(told) >= 5),
    )
    assert told == [12] * 5
    assert (len(found.outcomes), found.missing) == (5, 7)
    assert all(_whole().outcomes[job] == outcome for job, outcome in found.outcomes.items())
    assert sum(len(point.scores) for point in found.points) == 5


def test_a_gain_needs_all_cpus() -> None:
    found = run_talk(replace(SETUP, counts=(2,), repetitions=1))
    pinned = found.point(Configuration.AUTO_PINNING, 2)
    assert pinned is not None
    assert Experiment(SETUP, {}, (pinned,), 0).gain(pinned) is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"counts": (2, 11)}, "--vms: 11 is above 10"),
        ({"counts": (0,)}, "--vms: 0 is below 1"),
        ({"repetitions": 0}, "--repetitions: 0 is below 1"),
        ({"time_s": 0.0}, "--time: 0.0 is outside"),
        ({"seed": -1}, "--seed: is negative"),
    ],
)
def test_bad_setups_are_refused(change: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        replace(SETUP, **change)  # type: ignore[arg-type]


# ---- plans --------------------------------------------------------------------------------------

OPTIONS = RunOptions(time_s=0.5, warm_up_s=0.2, seed=2)


@pytest.fixture(scope="module")
def talk_4() -> Instance:
    return load_catalog("talk-4")


def _plan(instance: Instance, solver: str = "greedy"):  # type: ignore[no-untyped-def]
    plan = solve(instance, solver, SolveParams(explain=False)).plan
    assert plan is not None
    return plan


def test_repetitions_have_consecutive_seeds(talk_4: Instance) -> None:
    plan = _plan(talk_4)
    steps: list[tuple[int, str]] = []
    options = replace(OPTIONS, affinity=SimulatedAffinity.SOFT, repetitions=2)
    found = run_repeatedly(talk_4, plan, options, on_step=lambda *step: steps.append(step))
    assert found.complete and len(found.runs) == found.wanted == 2
    assert steps == [(0, "e5620"), (1, "e5620")]
    for number, run in enumerate(found.runs):
        told = {vm.name: SimulatedAffinity.SOFT for vm in talk_4.vms}
        hypervisor = Hypervisor(options.release)
        assert run == simulate_plan(
            talk_4, plan, 0.5, affinity=told, hypervisor=hypervisor, seed=2 + number, warm_up_s=0.2
        )


def test_stops_keep_complete_repetitions_only(talk_4: Instance) -> None:
    plan, asked = _plan(talk_4), [0]

    def stop_after(polls: int):  # type: ignore[no-untyped-def]
        asked[0] = 0

        def should_stop() -> bool:
            asked[0] += 1
            return asked[0] > polls

        return should_stop

    options = replace(OPTIONS, repetitions=3)
    at_once = run_repeatedly(talk_4, plan, options, should_stop=stop_after(0))
    assert (at_once.runs, at_once.complete) == ((), False)
    early = run_repeatedly(talk_4, plan, options, should_stop=stop_after(5))
    assert not early.complete
    assert [run.hosts["e5620"].time_us for run in early.runs] == [300_000]
    later = run_repeatedly(talk_4, plan, options, should_stop=stop_after(10))
    assert later.complete and len(later.runs) == 1 and later.wanted == 3
    assert later.runs == run_repeatedly(talk_4, plan, OPTIONS).runs


def test_floating_plans_keep_their_hosts_and_stripe_memory() -> None:
    instance = load_catalog("small-fleet")
    plan = _plan(instance)
    found = floating(instance, plan)
    assert found.placements.keys() == plan.placements.keys()
    for name, placement in found.placements.items():
        assert placement.host == plan.placements[name].host
        (cell,) = placement.cells
        sizes = [mib for _, mib in cell.memory_mib]
        assert sum(sizes) == instance.vm(name).memory_mib and max(sizes) - min(sizes) <= 1
        with_memory = [node for node in instance.host(placement.host).nodes if node.memory_mib]
        assert len(sizes) == len(with_memory)
        assert cell.vcpus == instance.vm(name).vcpus


def test_planners_are_those_of_the_talk() -> None:
    assert [(*row,) for row in PLANNERS.values()] == [
        ("greedy", "none", "4.2"),
        ("xen_4_2", "hard", "4.2"),
        ("xen", "soft", "4.3"),
    ]
    assert list(PLANNERS) == list(Configuration)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"time_s": 0.0}, "--time"),
        ({"warm_up_s": -1.0}, "warm_up"),
        ({"busy_ms": 0.0}, "busy_ms"),
        ({"seed": -1}, "--seed"),
        ({"repetitions": 0}, "--repetitions"),
    ],
)
def test_bad_options_are_refused(change: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        replace(OPTIONS, **change)  # type: ignore[arg-type]


# ---- timelines ----------------------------------------------------------------------------------


def test_a_timeline_is_the_begin_of_the_first_run(talk_4: Instance) -> None:
    """Segments of a window as long as the run add up to its run times, to the microsecond."""
    plan = _plan(talk_4)
    for affinity in (SimulatedAffinity.HARD, SimulatedAffinity.NONE):
        options = replace(OPTIONS, affinity=affinity)
        (timeline,) = timelines(talk_4, plan, options, 10_000)
        (run,) = run_repeatedly(talk_4, plan, options).runs
        assert (timeline.start_us, timeline.end_us) == (200_000, 700_000)
        for guest in run.hosts["e5620"].guests:
            on_node = [0, 0]
            for segment in timeline.segments:
                if segment.vcpu.startswith(f"{guest.name}/"):
                    on_node[timeline.node_of[segment.pcpu]] += segment.end_us - segment.start_us
            assert tuple(on_node) == guest.node_us


def test_nobody_runs_twice_at_a_time(talk_4: Instance) -> None:
    """On each pCPU one vCPU after the other, and each vCPU on one pCPU at a time."""
    (timeline,) = timelines(
        talk_4, _plan(talk_4), replace(OPTIONS, affinity=SimulatedAffinity.NONE), 100
    )
    assert timeline.end_us == 300_000 and timeline.pcpu_ids == tuple(range(16))
    for key in (lambda s: s.pcpu, lambda s: s.vcpu):
        ends: dict[object, int] = {}
        for segment in sorted(timeline.segments, key=lambda s: s.start_us):
            assert 200_000 <= segment.start_us < segment.end_us <= 300_000
            assert segment.start_us >= ends.get(key(segment), 0)
            ends[key(segment)] = segment.end_us
