"""Predicted against simulated loss on random instances; print Markdown, draw a scatter plot.

``python benchmarks/truth.py [--count 200] [--seconds 10] [--plot docs/pictures/truth.png]``: random
hosts (2 nodes with SMT; 4 nodes in 2 sockets with SMT; 4 nodes of limited memory bandwidth), random
VMs, pairs that cooperate and compete, plans that are good, bad and random in turn.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from numaplace.instances.generate import MIXED, GenerateParams, generate_instance
from numaplace.instances.shapes import HostShape
from numaplace.models.instance import Instance
from numaplace.models.relations import Competition, Cooperation, Scope
from numaplace.solver.deadline import Deadline
from numaplace.solver.parallel import JobEngine, run_parallel
from numaplace.solver.simulator.truth import Quality, Verdict, correlation, disagreements, judge

SHAPES = (
    HostShape(cores_per_node=4, threads_per_core=2, node_mib=32768),
    HostShape(sockets=2, nodes_per_socket=2, cores_per_node=4, threads_per_core=2, far=32),
    HostShape(sockets=4, cores_per_node=4, node_mib=32768, bandwidth_mbps=20_000),
)
TOLD = 12


def random_instance(seed: int) -> Instance:
    """Return a host with VMs of every kind of loss that the simulator knows."""
    rng = np.random.default_rng(seed)
    params = GenerateParams(
        SHAPES[seed % len(SHAPES)], MIXED, cpu_load=float(rng.uniform(0.4, 1.0)), name=f"#{seed}"
    )
    instance = generate_instance(params, seed)
    one = float(rng.choice([0.5, 0.8, 1.0]))
    vms = tuple(
        replace(
            vm,
            utilisation=one if seed % 2 else float(rng.uniform(0.3, 1.0)),
            memory_intensity=float(rng.uniform(0, 0.8)),
            bandwidth_mbps=int(rng.choice([0, 4000 * vm.vcpus])),
        )
        for vm in instance.vms
    )
    names = [vm.name for vm in vms]
    pairs = [(a, b) for i, a in enumerate(names) for b in names[:i]]
    rng.shuffle(pairs)
    some = min(len(pairs) // 4, len(names) // 2) if seed % 4 else 0
    talks = tuple(Cooperation(a, b, float(rng.uniform(0.1, 1.0))) for a, b in pairs[:some])
    rivals = tuple(
        Competition(a, b, float(rng.uniform(0.1, 0.6)), Scope.NODE)
        for a, b in pairs[some : 2 * some]
    )
    return replace(instance, vms=vms, cooperations=talks, competitions=rivals)


def run(job: tuple[int, float], _until: Deadline) -> Verdict:
    """Judge the plan of one seed."""
    seed, seconds = job
    quality = list(Quality)[seed // len(SHAPES) % len(Quality)]
    return judge(random_instance(seed), quality, seed, seconds)


def main(options: argparse.Namespace) -> None:
    """Judge plans and tell what came of it."""
    began = time.perf_counter()
    jobs = [(seed, options.seconds) for seed in range(options.first, options.first + options.count)]
    verdicts = [v for v in run_parallel(run, jobs, engine=JobEngine(jobs=2)).results if v]
    print(f"{len(verdicts)} plans, {options.seconds:g} simulated seconds each,", end=" ")
    print(f"{time.perf_counter() - began:.0f} s")
    print(f"\nSpearman {correlation(verdicts) or 0:.3f}\n")
    print("| plans | number | Spearman | mean predicted | mean simulated |\n|---|---|---|---|---|")
    for quality in Quality:
        some = [v for v in verdicts if v.quality is quality]
        means = [np.mean([getattr(v, name) for v in some]) for name in ("predicted", "simulated")]
        rank = correlation(some) or 0.0
        print(f"| {quality} | {len(some)} | {rank:.3f} | {means[0]:.3f} | {means[1]:.3f} |")
    print("\n| plan | quality | predicted | simulated | ranks apart | predicted terms |")
    print("|---|---|---|---|---|---|")
    for apart, v in disagreements(verdicts)[:TOLD]:
        terms = ", ".join(f"{term} {loss:.2f}" for term, loss in v.terms.items())
        print(
            f"| {v.name} | {v.quality} | {v.predicted:.2f} | {v.simulated:.2f} | {apart:+.0f} "
            f"| {terms or '-'} |"
        )
    if options.plot:
        from numaplace.report.figures.figure_file import figure_bytes, picture_format
        from numaplace.report.figures.scatter_figure import Prediction, scatter_figure

        points = [Prediction(v.name, v.predicted, v.simulated, str(v.quality)) for v in verdicts]
        options.plot.write_bytes(figure_bytes(scatter_figure(points), picture_format(options.plot)))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--plot", type=Path)
    main(parser.parse_args())
