"""Rebalance generated hosts of 8 nodes from which a quarter of 100 VMs has gone; print Markdown.

``python benchmarks/rebalance.py``: each instance is planned online (greedy), then 25 VMs go, with
the pairs they were in. Budgets are numbers of moves and shares of the memory of all VMs that are
left. Each line is one rebalance of at most 60 s, its steps checked by the verifier.
"""

from __future__ import annotations

import argparse
import random
import time
from dataclasses import replace

from numaplace.instances.generate import MIXED, SHAPES, GenerateParams, generate_instance
from numaplace.models.instance import Instance
from numaplace.models.moves import Budget, Transition
from numaplace.models.plan import Plan
from numaplace.models.units import MICRO
from numaplace.models.verify import violations
from numaplace.solver.params import SolveParams
from numaplace.solver.registry import solve
from numaplace.solver.replan.rebalance import Rebalanced, rebalance

VMS, GONE = 100, 25
MOVES = (10, 20, 40)
MEMORY_PERCENT = (5, 10)
HEAD = "seed | budget | lost before | lost after | status | gap | moves | GiB | s | order valid"


def left_over(seed: int) -> Instance:
    """A host of 8 nodes, 100 VMs placed as they came, a quarter of them gone."""
    params = GenerateParams(
        SHAPES["8n"],
        MIXED,
        vms=VMS,
        cpu_load=0.85,
        memory_load=0.8,
        cooperating=1.0,
        competing=0.5,
        name="8n-100vm",
    )
    instance = generate_instance(params, seed)
    before = solve(instance, "greedy", SolveParams(explain=False)).plan
    assert before is not None
    names = [vm.name for vm in instance.vms]
    left = set(names) - set(random.Random(seed).sample(names, GONE))
    return replace(
        instance,
        vms=tuple(vm for vm in instance.vms if vm.name in left),
        cooperations=tuple(c for c in instance.cooperations if {c.first, c.second} <= left),
        competitions=tuple(c for c in instance.competitions if {c.first, c.second} <= left),
        current=Plan({n: p for n, p in before.placements.items() if n in left}),
    )


def is_valid(instance: Instance, found: Rebalanced) -> bool:
    """Check the plan, every step, and that nothing is worse than before."""
    plan = found.result.plan
    assert plan is not None
    assert instance.current is not None
    steps = [one.step for one in found.steps]
    broken = (
        violations(found.instance, plan),
        Transition(instance, instance.current, plan).check(steps),
    )
    assert found.lasting_micro is not None
    assert found.stay_micro is not None
    return broken == ([], []) and found.lasting_micro <= found.stay_micro


def line(seed: int, text: str, budget: Budget, limit_s: float) -> str:
    """Rebalance once."""
    instance = left_over(seed)
    began = time.monotonic()
    found = rebalance(instance, budget, SolveParams(time_limit_s=limit_s, workers=2))
    seconds = time.monotonic() - began
    result = found.result
    assert found.stay_micro is not None
    assert found.lasting_micro is not None
    assert result.gap is not None
    return (
        f"| {seed} | {text} | {found.stay_micro / MICRO:.2f} | {found.lasting_micro / MICRO:.2f} "
        f"| {result.status} | {100 * result.gap:.1f} % | {found.spent.moves} "
        f"| {found.spent.mib / 1024:.1f} | {seconds:.1f} "
        f"| {'yes' if is_valid(instance, found) else 'NO'} |"
    )


def main() -> None:
    """Print a table of seeds and budgets."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--time", type=float, default=60.0)
    options = parser.parse_args()
    print(f"| {HEAD} |\n|{'---|' * (HEAD.count('|') + 1)}")
    for seed in range(options.seeds):
        total_mib = sum(vm.memory_mib for vm in left_over(seed).vms)
        budgets = {f"{moves} moves": Budget(moves=moves) for moves in MOVES}
        for percent in MEMORY_PERCENT:
            budgets[f"{percent} % of the memory"] = Budget(mib=total_mib * percent // 100)
        budgets["none"] = Budget()
        for text, budget in budgets.items():
            print(line(seed, text, budget, options.time), flush=True)


if __name__ == "__main__":
    main()
