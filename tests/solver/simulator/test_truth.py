"""The cost against the simulation, on fewer plans than the benchmark."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from numaplace.instances.generate import MIXED, GenerateParams, generate_instance
from numaplace.instances.shapes import HostShape
from numaplace.models.instance import Instance
from numaplace.models.verify import violations
from numaplace.solver.simulator.ranks import ranks, spearman
from numaplace.solver.simulator.truth import Quality, correlation, disagreements, judge, make_plan

SHAPE = HostShape(sockets=2, nodes_per_socket=2, cores_per_node=4, threads_per_core=2, far=32)


def instance(seed: int, load: float) -> Instance:
    params = GenerateParams(SHAPE, MIXED, cpu_load=load, name=f"#{seed}")
    return generate_instance(params, seed)


def test_ranks_share_their_mean() -> None:
    assert ranks([3.0, 1.0, 3.0, 2.0]).tolist() == [2.5, 0.0, 2.5, 1.0]


def test_spearman_by_hand() -> None:
    """Ranks 0 1 2 3 against 0 2 1 3: 1 - 6 * 2 / (4 * 15) = 0.8."""
    assert spearman([1, 2, 3, 4], [10, 30, 20, 40]) == pytest.approx(0.8)
    assert spearman([1, 2, 3], [3, 2, 1]) == pytest.approx(-1.0)
    assert spearman([1, 1, 1], [3, 2, 1]) is None


@given(st.lists(st.integers(-5, 5), min_size=2, max_size=8))
def test_spearman_of_a_series_with_itself(values: list[int]) -> None:
    expected = pytest.approx(1.0) if len(set(values)) > 1 else None
    assert spearman(values, values) == expected


@pytest.mark.parametrize("quality", Quality)
def test_plans_of_any_quality_are_valid(quality: Quality) -> None:
    problem = instance(3, 0.8)
    assert violations(problem, make_plan(problem, quality, 1)) == []


def test_bad_plans_are_worse_and_the_simulation_agrees() -> None:
    good, bad = (
        judge(instance(5, 0.7), quality, 5, 1.0) for quality in (Quality.GOOD, Quality.BAD)
    )
    assert good.predicted < bad.predicted
    assert good.simulated < bad.simulated


@pytest.mark.slow
def test_predicted_and_simulated_losses_are_alike_in_rank() -> None:
    """Thirty plans of a second; the benchmark takes two hundred of ten."""
    verdicts = [
        judge(instance(seed, 0.3 + 0.02 * seed), list(Quality)[seed % 3], seed, 1.0)
        for seed in range(30)
    ]
    agreement = correlation(verdicts)
    assert agreement is not None
    assert agreement > 0.9
    apart = [abs(rank) for rank, _ in disagreements(verdicts)]
    assert apart == sorted(apart, reverse=True)
